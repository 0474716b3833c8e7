"""Random images of fields under the symmetries of their target: the lattice's, and the sign or rotations of O(n)."""

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from csd.core.plugins import is_user_defined
from csd.lattice import Array

if TYPE_CHECKING:
    from csd.targets.noising import NoisedTarget


def random_images(
    fields: Array, noised: "NoisedTarget", generator: np.random.Generator, components: int | None = None
) -> Array:
    """Each field translated and, where the target is known to be symmetric, rotated, reflected and of random sign.

    In the place of the sign, configurations of n components are rotated as a whole by random elements of O(n).

    Args:
        fields: shape (batch, *lattice.shape), or (batch, n, *lattice.shape).
        noised: the target; of a user-defined one no symmetry but translations is known.
        generator: of the random numbers.
        components: n of fields with an axis of components; None for scalar fields.

    Returns:
        Same shape as `fields`.
    """
    target, lattice, count = noised.target, noised.lattice, len(fields)
    ours = not is_user_defined(type(target))
    known = ours and bool(getattr(target, "known", True))
    if components is not None:
        fields = np.moveaxis(fields, 1, -1)
    at, further = np.arange(lattice.size), [1] * (fields.ndim - 1 - lattice.dimension)
    for axis in range(1, 1 + lattice.dimension):
        place = at + generator.integers(lattice.size, size=(count, 1))
        if known:
            place *= generator.choice([-1, 1], size=(count, 1))
        shape = [count, *[1] * lattice.dimension, *further]
        shape[axis] = lattice.size
        fields = np.take_along_axis(fields, (place % lattice.size).reshape(shape), axis)
    orders = list(permutations(range(1, 1 + lattice.dimension)))
    if known and len(orders) > 1:
        drawn, last = generator.integers(len(orders), size=count), range(1 + lattice.dimension, fields.ndim)
        fields = np.concatenate([fields[drawn == i].transpose(0, *order, *last) for i, order in enumerate(orders)])
    if ours and getattr(target, "symmetric", True):
        if components is None:
            fields = fields * generator.choice([-1.0, 1.0], size=count).reshape(-1, *[1] * lattice.dimension)
        else:
            fields = np.einsum("bij,b...j->b...i", random_rotations(components, count, generator), fields)
    return fields if components is None else np.moveaxis(fields, -1, 1)


def random_rotations(components: int, count: int, generator: np.random.Generator) -> Array:
    """Elements of O(n) from the Haar measure, shape (count, n, n); signs for n = 1.

    Each is Q of the QR decomposition of normal numbers with a positive diagonal of R (Mezzadri, Notices AMS 54, 592,
    2007).
    """
    vectors, triangles = np.linalg.qr(generator.standard_normal((count, components, components)))
    return np.asarray(vectors * np.sign(np.diagonal(triangles, axis1=1, axis2=2))[:, None, :])
