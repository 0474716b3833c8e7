"""The reference steps, `mode_step` and `patch_step`, and the fused ones that training takes: the same to rounding."""

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from csd.core.random import stream
from csd.lattice import Lattice, Modes
from csd.networks.linear import place_filters, transform
from csd.networks.local import LocalOneLayer, LocalTwoLayer
from csd.training.descent import modes as full
from csd.training.descent import patches as local

TOLERANCE = {"rtol": 1e-11, "atol": 1e-13}
KEPT = np.array([True, False, True])
"""Of three seeds, those that are trained to the end."""


def _data(generator: np.random.Generator, modes: Modes, shapes: tuple[str, str]) -> tuple[Any, Any]:
    """(S, T) at two levels, of shapes 'number', 'levels' or 'seeds'; T real, or complex with 'complex' in its name."""

    def values(shape: str) -> Any:
        size = (3, 2, len(modes)) if "seeds" in shape else (2, len(modes))
        return 1.0 if "number" in shape else generator.uniform(0.5, 1.5, size)

    spectrum, target = (values(shape) for shape in shapes)
    if "complex" in shapes[1] and np.ndim(target) > 0:
        target = target + 1j * generator.standard_normal(target.shape)
        # What belongs to k = −k is the transform of real numbers.
        target[..., len(modes) - modes.self_conjugate :].imag = 0.0
    return spectrum, target


def _of_kept(values: Any) -> Any:
    """S or T once a seed has gone."""
    return values[KEPT] if np.ndim(values) == 3 else values


@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@given(
    lattice=st.sampled_from([Lattice(1, 9), Lattice(2, 6), Lattice(3, 4)]),
    spectrum=st.sampled_from(["levels", "seeds"]),
    target=st.sampled_from(["number", "levels", "seeds"]),
    same_data=st.booleans(),
    block=st.sampled_from([3, 16, 2**15]),
    steps=st.integers(1, 6),
    number=st.integers(0, 2**32),
)
def test_fused_steps_of_modes_are_the_reference(
    depth: int,
    kind: type,
    lattice: Lattice,
    spectrum: str,
    target: str,
    same_data: bool,
    block: int,
    steps: int,
    number: int,
) -> None:
    """Several steps on three seeds, then on two of them; the same arrays at every step, or new ones."""
    generator, modes = stream("modes", number), lattice.pairs
    filters = generator.uniform(-1.0, 1.0, (3, 2, len(modes))).astype(kind)
    if kind is complex:
        filters += 0.3j * generator.standard_normal(filters.shape)
        target = f"complex {target}"
    rates = np.array([0.02, 0.05])
    with patch.object(full, "BLOCK", block):
        descent = full.ModeDescent(depth, modes, generator.uniform(0.5, 1.5, (2, len(modes))), rates, filters.copy())
        data = _data(generator, modes, (spectrum, target))
        for step in range(2 * steps):
            if step == steps:
                descent.keep(KEPT)
                filters, data = filters[KEPT], (_of_kept(data[0]), _of_kept(data[1]))
            elif not same_data:
                data = _data(generator, modes, (spectrum, target))
                data = data if step < steps else (_of_kept(data[0]), _of_kept(data[1]))
            descent.advance(*data)
            filters = full.mode_step(filters, *data, rates[:, None], depth)
            error = full.mode_error(filters, descent.exact, descent.root_weight, depth)
            np.testing.assert_allclose(descent.error(), error, **TOLERANCE)
        np.testing.assert_allclose(descent.kernel(), full.mode_power(filters, depth), **TOLERANCE)


@given(
    family=st.sampled_from([LocalOneLayer, LocalTwoLayer]),
    problem=st.sampled_from([(1, 9, 0), (1, 9, 3), (2, 6, 1), (2, 7, 3), (3, 4, 1)]),
    spectrum=st.sampled_from(["levels", "seeds"]),
    target=st.sampled_from(["number", "levels", "complex levels", "complex seeds"]),
    pair_times=st.tuples(st.sampled_from([0.0, 1e9]), st.sampled_from([0.0, 1e9])),
    steps=st.integers(1, 6),
    number=st.integers(0, 2**32),
)
def test_fused_steps_of_local_filters_are_the_reference(
    family: type[LocalOneLayer] | type[LocalTwoLayer],
    problem: tuple[int, int, int],
    spectrum: str,
    target: str,
    pair_times: tuple[float, float],
    steps: int,
    number: int,
) -> None:
    """By patch covariances at hand or made for a step, or by transforms; from a start without symmetry."""
    lattice = Lattice(*problem[:2])
    network, modes = family(lattice, problem[2]), lattice.pairs
    generator = stream("patches", number)
    filters = generator.uniform(-0.3, 0.3, (3, 2, *network.filter_shape))
    own, rates = generator.uniform(0.5, 1.5, (2, len(lattice.shells))), np.array([0.02, 0.1])
    spectra = lattice.gather(lattice.spread(own, lattice.shells), modes)
    known, made = pair_times
    with patch.object(local, "KNOWN_PAIR", known), patch.object(local, "SITE_PAIR", made):
        descent = local.PatchDescent(network, modes, spectra, rates, filters, "complex" in target)
        data = _data(generator, modes, (spectrum, target))
        if spectrum == "levels":
            # S of the levels alone is the target's own.
            data = spectra, data[1]
        tied = network.uses == 2
        offsets = network.filter_offsets
        wide = place_filters(lattice, filters, offsets)
        box = place_filters(lattice, np.repeat(descent.rates, len(offsets), axis=-1), offsets)
        halves = lattice.spread(spectra, modes)
        norm = (lattice.half_multiplicity / halves).sum(axis=lattice.axes, keepdims=True)
        root_weight = np.sqrt(lattice.half_multiplicity * halves / norm)
        for step in range(2 * steps):
            if step == steps:
                descent.keep(KEPT)
                wide, data = wide[KEPT], (_of_kept(data[0]), _of_kept(data[1]))
            descent.advance(*data)
            half = [lattice.spread(part, modes) if np.ndim(part) else part for part in data]
            wide = local.patch_step(lattice, wide, *half, box, tied=tied)
            error = local.patch_error(lattice, wide, 1.0 / halves, root_weight, tied=tied)
            np.testing.assert_allclose(descent.error(), error, rtol=1e-9, atol=1e-11)
        kernel = local.patch_kernel(lattice, transform(lattice, wide), tied=tied)
        np.testing.assert_allclose(descent.kernel(), lattice.gather(kernel, modes), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_reference_steps_take_tensors(depth: int, kind: type) -> None:
    """NumPy's numbers and PyTorch's, of every function that steps on a device."""
    generator, lattice = stream("tensors"), Lattice(2, 6)
    modes = lattice.pairs
    filters = generator.standard_normal((3, 2, len(modes))).astype(kind)
    spectrum, target = _data(generator, modes, ("seeds", "complex seeds" if kind is complex else "seeds"))
    rates, exact = np.array([[0.02], [0.3]]), spectrum[0]
    cases: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
        (full.mode_step, (filters, spectrum, target, rates, depth), {}),
        (full.mode_error, (filters, exact, np.sqrt(exact), depth), {}),
    ]
    for tied, channels in ((False, ()), (True, (depth,))):
        fields = generator.standard_normal((3, 2, *channels, *lattice.shape))
        halves = [lattice.spread(part, modes) for part in (spectrum, target)]
        cases += [
            (
                local.patch_step,
                (lattice, fields, *halves, np.full((2, *[1] * len(channels), 1, 1), 0.1)),
                {"tied": tied},
            ),
            (local.patch_error, (lattice, fields, halves[0][0], halves[0][1]), {"tied": tied}),
        ]
    for function, arguments, more in cases:
        tensors = [torch.tensor(one) if isinstance(one, np.ndarray) else one for one in arguments]
        found = function(*tensors, **more)
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found.numpy(), function(*arguments, **more), **TOLERANCE, err_msg=function.__name__)
