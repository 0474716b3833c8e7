"""User-defined networks: checks when they are built, `eval()` while they are measured, random numbers of their own.

A module is in `eval()` while it is measured, and in the modes of its construction while it steps. What it draws from
PyTorch's generators comes from a state of its own, so that its numbers do not depend on what ran before or runs beside
it, and the generators of the caller stay as they were.
"""

import pickle
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.plugins import require_methods
from csd.core.random import ONE_AT_A_TIME
from csd.lattice import Array, Lattice
from csd.networks.module import ScoreNetwork, defining_class, kernel_of, load_weights, precision, weights_of

PRECISIONS = (torch.float32, torch.float64, torch.complex64, torch.complex128)
"""The types that parameters may have."""
ROUNDING = 100.0
"""Relative difference, in units of the precision, that two calls of one network may have."""
STATE = "state belongs in parameters or in buffers (register_buffer with its final shape in __init__)"
"""What a message says about state that would be lost."""


def global_states() -> bytes:
    """The states of the global generators of Python and NumPy."""
    return pickle.dumps((random.getstate(), np.random.get_state(legacy=False)))  # noqa: NPY002


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
    def from_the_first(self) -> Iterator[None]:
        """Draw from the first state while the block runs; then the state is the present one again."""
        own, self._own = self._own, self._first
        try:
            with self:
                yield
        finally:
            self._own = own

    @contextmanager
    def measuring(self, network: torch.nn.Module) -> Iterator[None]:
        """Put a module into `eval()` and draw from the first state while the block runs; then both are as before."""
        with self.from_the_first(), _evaluating(network):
            yield

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


@contextmanager
def _same_buffers(network: ScoreNetwork) -> Iterator[None]:
    """Restore the values of a network's buffers after the block.

    Raises:
        InputError: if the block has added or removed a buffer, or changed its shape.
    """
    lazy = {name for name, buffer in network.named_buffers() if torch.nn.parameter.is_lazy(buffer)}
    before = {name: buffer.clone() for name, buffer in network.named_buffers() if name not in lazy}
    yield
    after = {name: buffer for name, buffer in network.named_buffers() if name not in lazy}
    _require_equal_shapes(network, before, after)
    for name, own in before.items():
        after[name].copy_(own)


def _require_equal_shapes(
    network: ScoreNetwork, before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]
) -> None:
    """Refuse a network whose buffers are others, or of another shape, than those that it was built with."""
    shapes = [{name: f"shape {tuple(own.shape)}" for name, own in buffers.items()} for buffers in (before, after)]
    changed = [name for name in {**shapes[0], **shapes[1]} if shapes[0].get(name) != shapes[1].get(name)]
    if changed:
        was, now = (own.get(changed[0], "no tensor") for own in shapes)
        name = f"network {defining_class(network).__name__}"
        raise InputError(f"{name} changes its buffer {changed[0]} from {was} to {now}; {STATE}")


def _probe(network: ScoreNetwork, spectrum: Array) -> torch.Tensor:
    """Two fields of the variance of a spectrum in the *half* layout, with the components of a network."""
    lattice, several = network.lattice, () if network.components is None else (network.components,)
    deviation = np.sqrt((lattice.half_multiplicity * spectrum).sum() / lattice.sites)
    shape = (2, *several, *lattice.shape)
    return torch.from_numpy(deviation * np.cos(np.arange(np.prod(shape))).reshape(shape))


def check_restored(
    network: ScoreNetwork, again: ScoreNetwork, spectrum: Array, layers: TorchStream, *at: float
) -> None:
    """Refuse a user-defined network that is not determined by its parameters and buffers.

    Its numbers are loaded into the same network at its start, as from a file or a checkpoint. Both networks are called
    on two fields, in `eval()` and in the modes of a step.

    Args:
        network: during or after training.
        again: built as the network was, on the same device.
        spectrum: C_t in the *half* layout.
        layers: random stream of the network's stochastic layers.
        at: the noise level of the fields, for a network that serves all of them.

    Raises:
        InputError: if the two give different scores or kernels, or have different buffers.
    """
    _require_equal_shapes(network, dict(again.named_buffers()), dict(network.named_buffers()))
    load_weights(again, weights_of(network))
    fields = _probe(network, spectrum).to(next(iter(network.parameters()), torch.empty(0)).device)

    def answers(one: ScoreNetwork) -> list[torch.Tensor]:
        """Its kernel or score in both modes."""
        found = []
        with torch.no_grad(), _same_buffers(one):
            for mode in (_evaluating(one), nullcontext()):
                with layers.from_the_first(), mode:
                    kernel = kernel_of(one)
                    found.append(one(fields, *at) if kernel is None else kernel.clone())
        return found

    allowed = ROUNDING * torch.finfo(precision(network)).eps
    for own, restored in zip(answers(network), answers(again), strict=True):
        if not torch.allclose(
            own, restored, rtol=0.0, atol=allowed * float(own.abs().nan_to_num().max()), equal_nan=True
        ):
            raise InputError(
                f"network {defining_class(network).__name__}: built again with the same parameters and buffers, it is"
                f" another network; {STATE}, and random numbers of __init__ come from its generator"
            )


def check_network(network: Any, lattice: Lattice, spectrum: Array, *at: float) -> None:
    """Refuse a user-defined network that cannot be trained; it is called on two fields, together and one by one.

    Args:
        network: at its start.
        lattice: of the fields.
        spectrum: C_t in the *half* layout, which sets the size of the fields.
        at: the noise level of the fields, for a network that serves all of them.

    Raises:
        InputError: unless it is a `ScoreNetwork` on this lattice, in single or double precision, whose score and kernel
            have the right shape and are finite, and whose score of a field does not depend on the others.
    """
    if not isinstance(network, ScoreNetwork):
        raise InputError(f"network {type(network).__name__} is no ScoreNetwork (csd.networks.module); subclass it")
    name = f"network {defining_class(network).__name__}"
    if getattr(network, "lattice", None) != lattice:
        raise InputError(f"{name} is on another lattice; its __init__ must call super().__init__(lattice)")
    if not isinstance(network.uses, int) or network.uses < 1:
        raise InputError(f"{name}: uses is {network.uses!r}; it must be an integer of at least 1")
    calls = (
        "forward(fields, t)" if at else "forward(fields)",
        "kernel()",
        "learning_rate(spectrum)",
        "divergence(fields, probe)",
    )
    require_methods("network", network, *calls)
    for parameter, values in network.named_parameters():
        if values.dtype not in PRECISIONS:
            raise InputError(f"{name}: parameter {parameter} is {values.dtype}; it must be float32, float64 or complex")
    # In the precision of the network, to which fields of another one would be copied.
    fields = _probe(network, spectrum).to(precision(network))
    given = fields.clone()
    with torch.no_grad(), _same_buffers(network), _evaluating(network):
        kernel = kernel_of(network)
        if kernel is not None and at:
            raise InputError(
                f"{name} has a kernel, which holds at one noise level; conditioned needs forward(fields, t)"
            )
        if kernel is not None and network.components is not None:
            raise InputError(f"{name} has a kernel, which acts on scalar fields; its __init__ must not take components")
        score = network(fields, *at) if kernel is None else kernel
        again = network(fields, *at) if kernel is None else kernel
        alone = torch.cat([network(one[None], *at) for one in fields]) if kernel is None else kernel
    if not torch.equal(fields, given):
        raise InputError(f"{name}: forward(fields) changes its fields in place; it must work on a copy")
    if not torch.isfinite(score).all():
        what = "forward(fields) gives a score" if kernel is None else "kernel() gives a kernel"
        raise InputError(f"{name}: {what} that is not finite at the start; all of its numbers must be finite")
    allowed = ROUNDING * torch.finfo(precision(network)).eps * float(score.detach().abs().max())
    if not torch.allclose(again, score, rtol=0.0, atol=allowed):
        raise InputError(
            f"{name}: the same fields have two scores in two calls; in eval() the score must be a function of fields"
            " alone"
        )
    if not torch.allclose(alone, score, rtol=0.0, atol=allowed):
        raise InputError(
            f"{name}: the score of a field depends on the other fields of its batch; in eval() each field must have the"
            " score that it has alone"
        )
    if kernel is not None and kernel.is_complex():
        values, pairs = kernel.detach().numpy(), lattice.pairs
        at_pairs = lattice.gather(values, pairs)
        single = at_pairs[len(pairs) - pairs.self_conjugate :]
        off = max(np.abs(values - lattice.spread(at_pairs, pairs)).max(), np.abs(single.imag).max())
        if off > 1e-5 * np.abs(values).max():
            raise InputError(f"{name}: kernel() is the transform of no real filter; it must have K(-k) = K(k)*")
