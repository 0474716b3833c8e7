"""Networks at their start: their own, for a seed and noise level, or the weights of a trained network."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.networks.linear import START_KERNEL, LinearNetwork
from csd.networks.registry import Architecture, started

if TYPE_CHECKING:
    from csd.networks.module import ScoreNetwork
    from csd.targets.noising import NoisedTarget

Initial = Callable[[int, float], "ScoreNetwork"]
"""(seed, noise level) → the trained network at whose weights another one starts."""


def start_stream(lattice: Lattice, architecture: Architecture, seed: int, level: float) -> np.random.Generator:
    """The random stream of a network's start, one for each seed and noise level.

    It does not depend on the loss, so that theory can follow a seed. Nor does it depend on size and mass, so that a
    seed of a local network has the same initial filters on every lattice, up to the amplitude set by the lattice: the
    effect of the start on the training time then cancels in its growth with size.
    """
    return stream("start", lattice.dimension, architecture.label, seed, level)


def start_spectra(spectra: Array, start_kernel: float | None) -> Array:
    """Spectra from which networks with two layers or more start at K₀, where it is given, in the place of 0.1 / C_max.

    Their starts see of a spectrum C its largest value alone, so that of white fields with C = 0.1 / K₀ has this K₀.

    Args:
        spectra: C_t, shape (levels, modes).
        start_kernel: K₀, or None.
    """
    return spectra if start_kernel is None else np.full_like(spectra, START_KERNEL / start_kernel)


def started_filters(
    architecture: Architecture,
    network: LinearNetwork,
    spectrum: Array,
    level: float,
    seed: int,
    initial: Initial | None = None,
) -> Array:
    """The initial filters of a family.

    Args:
        architecture: the network.
        network: the same on a lattice.
        spectrum: C_t at the momenta of the target.
        level: t.
        seed: of the start.
        initial: trained networks at whose weights networks start; None for their own start.
    """
    if initial is None:
        return started(network, spectrum, start_stream(network.lattice, architecture, seed, level))
    from csd.networks.module import ConvolutionalScore

    module = ConvolutionalScore(network, np.empty(network.filter_shape))
    start_at(module, initial(seed, level))
    filters: Array = module.filters.detach().numpy()
    return filters


def started_module(
    noised: "NoisedTarget",
    architecture: Architecture,
    spectrum: Array,
    seed: int,
    level: float,
    initial: Initial | None = None,
    **form: Any,
) -> Any:
    """A network as a module at its start.

    Args:
        noised: the target, whose lattice, mass and noise the network has.
        architecture: the network.
        spectrum: C_t at the momenta of the target.
        seed: of the start.
        level: t.
        initial: trained networks at whose weights networks start; None for their own start.
        form: `conditioned` of `Architecture.module`.
    """
    lattice, schedule = noised.lattice, noised.schedule
    length = float(noised.score_lengths()[list(noised.levels).index(level)])
    own = start_stream(lattice, architecture, seed, level)
    form["components"] = architecture.components_of(noised.target)
    module = architecture.module(lattice, length, spectrum, own, (schedule, level), **form)
    if initial is not None:
        start_at(module, initial(seed, level))
    return module


def start_at(module: "ScoreNetwork", trained: "ScoreNetwork") -> None:
    """Copy the parameters of a trained network, and those of its buffers that do not depend on the lattice.

    Raises:
        InputError: if parameters have other shapes.
    """
    own, given = ({name: tuple(one.shape) for name, one in each.named_parameters()} for each in (module, trained))
    for name in {**own, **given}:
        if own.get(name) != given.get(name):
            has, needs = (shapes.get(name, "none") for shapes in (given, own))
            raise InputError(
                f"initial has {name} of shape {has}, but the network needs {needs}; where shapes depend on the lattice,"
                " its size must be that of the file"
            )
    held = module.state_dict()
    fitting = {name: values for name, values in trained.state_dict().items() if values.shape == held[name].shape}
    module.load_state_dict(fitting, strict=False)
