"""User-defined networks: checks when they are built, `eval()` while they are measured, random numbers of their own.

A module is in `eval()` while it is measured, and in the modes of its construction while it steps. What it draws from
PyTorch's generators comes from a state of its own, so that its numbers do not depend on what ran before or runs beside
it, and the generators of the caller stay as they were.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.plugins import require_methods
from csd.core.random import ONE_AT_A_TIME
from csd.lattice import Array, Lattice
from csd.networks.module import ScoreNetwork, defining_class, kernel_of

PRECISIONS = (torch.float32, torch.float64, torch.complex64, torch.complex128)
"""The types that parameters may have."""


class TorchStream:
    """A state of PyTorch's generators for one network, which draws from it in this context.

    Args:
        seed: of the first state.
        device: of the network.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generators = [torch.default_generator]
        if device.type == "cuda":
            number = torch.cuda.current_device() if device.index is None else device.index
            self._generators.append(torch.cuda.default_generators[number])
        places = [torch.Generator(generator.device) for generator in self._generators]
        self._first = self._own = [place.manual_seed(seed).get_state() for place in places]

    def __enter__(self) -> None:
        ONE_AT_A_TIME.acquire()
        self._outside = self._exchanged(self._own)

    def __exit__(self, *error: object) -> None:
        self._own = self._exchanged(self._outside)
        ONE_AT_A_TIME.release()

    def _exchanged(self, states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Set the states of the generators; return those that they had."""
        before = [generator.get_state() for generator in self._generators]
        for generator, state in zip(self._generators, states, strict=True):
            generator.set_state(state)
        return before

    @contextmanager
    def measuring(self, network: torch.nn.Module) -> Iterator[None]:
        """Put a module into `eval()` and draw from the first state while the block runs; then both are as before."""
        own, self._own = self._own, self._first
        try:
            with self, _evaluating(network):
                yield
        finally:
            self._own = own

    @property
    def used(self) -> bool:
        """Whether anything was drawn."""
        return not all(map(torch.equal, self._own, self._first))

    def snapshot(self) -> NDArray[np.uint8]:
        """The present state."""
        return torch.cat(self._own).numpy()

    def resume(self, snapshot: NDArray[np.uint8]) -> None:
        """Return to the state of a snapshot."""
        sizes = [len(state) for state in self._own]
        self._own = list(torch.split(torch.from_numpy(np.array(snapshot)), sizes))


@contextmanager
def _evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Put a module into `eval()` while the block runs; then each of its parts is in its mode again."""
    stepping = [part for part in network.modules() if part.training]
    network.eval()
    try:
        yield
    finally:
        for part in stepping:
            part.training = True


def check_network(network: Any, lattice: Lattice, spectrum: Array) -> None:
    """Refuse a user-defined network that cannot be trained; it is called once on two fields.

    Args:
        network: at its start.
        lattice: of the fields.
        spectrum: C_t in the *half* layout, which sets the size of the fields.

    Raises:
        InputError: unless it is a `ScoreNetwork` on this lattice, in single or double precision, whose score and kernel
            have the right shape and are finite.
    """
    if not isinstance(network, ScoreNetwork):
        raise InputError(f"network {type(network).__name__} is no ScoreNetwork (csd.networks.module); subclass it")
    name = f"network {defining_class(network).__name__}"
    if getattr(network, "lattice", None) != lattice:
        raise InputError(f"{name} is on another lattice; its __init__ must call super().__init__(lattice)")
    if not isinstance(network.uses, int) or network.uses < 1:
        raise InputError(f"{name}: uses is {network.uses!r}; it must be an integer of at least 1")
    calls = "forward(fields)", "kernel()", "learning_rate(spectrum)", "divergence(fields, probe)"
    require_methods("network", network, *calls)
    for parameter, values in network.named_parameters():
        if values.dtype not in PRECISIONS:
            raise InputError(f"{name}: parameter {parameter} is {values.dtype}; it must be float32, float64 or complex")
    deviation = np.sqrt((lattice.half_multiplicity * spectrum).sum() / lattice.sites)
    fields = torch.from_numpy(deviation * np.cos(np.arange(2 * lattice.sites)).reshape(2, *lattice.shape))
    given, before = fields.clone(), [buffer.clone() for buffer in network.buffers()]
    with torch.no_grad(), _evaluating(network):
        kernel = kernel_of(network)
        score = network(fields) if kernel is None else kernel
        for buffer, own in zip(network.buffers(), before, strict=True):
            buffer.copy_(own)
    if not torch.equal(fields, given):
        raise InputError(f"{name}: forward(fields) changes its fields in place; it must work on a copy")
    if not torch.isfinite(score).all():
        what = "forward(fields) gives a score" if kernel is None else "kernel() gives a kernel"
        raise InputError(f"{name}: {what} that is not finite at the start; all of its numbers must be finite")
    if kernel is not None and kernel.is_complex():
        values, pairs = kernel.detach().numpy(), lattice.pairs
        at_pairs = lattice.gather(values, pairs)
        single = at_pairs[len(pairs) - pairs.self_conjugate :]
        off = max(np.abs(values - lattice.spread(at_pairs, pairs)).max(), np.abs(single.imag).max())
        if off > 1e-5 * np.abs(values).max():
            raise InputError(f"{name}: kernel() is the transform of no real filter; it must have K(-k) = K(k)*")
