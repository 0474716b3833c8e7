"""Score networks as `torch.nn.Module`s, which are called on fields and trained by autograd.

`ConvolutionalScore` turns a family of `csd.networks.linear` into a module, and `ParametricScore` a network of
`csd.networks.parametric`. A user-defined network is a subclass of `LinearScore` that defines `kernel`, or of
`ScoreNetwork` that defines `forward`, and is named by its dotted path. It is built as
`Class(lattice, spectrum, generator, **options)`, where `spectrum` is C_t in the *half* layout. Its options are
annotated attributes of the class, as those of built-in networks are; parameters of the module need other names.

A nonlinear network of n-component fields has a keyword `components` in its constructor, which is n or, for scalar
fields, None. It then learns all components of a configuration together, as the built-in nonlinear networks do. Any
other network learns each component as a scalar field.
"""

from collections.abc import Mapping
from math import nan
from typing import Any

import numpy as np
import torch

from csd.core.errors import InputError
from csd.lattice import Array, Lattice
from csd.networks.linear import LinearNetwork
from csd.networks.nonlinear import NonlinearNetwork
from csd.networks.parametric import ParametricNetwork


class ScoreNetwork(torch.nn.Module):
    """A score s_θ(x) at one noise level.

    A call takes fields of any precision and gives the score in theirs; `forward` sees them in that of the parameters.

    Args:
        lattice: where the fields live.
    """

    uses: int = 1
    """Number of layers that share each parameter; steps are divided by it, so that learning rates are per use."""

    reach: float = nan
    """Range R of the kernel, lattice spacings; NaN for a kernel as wide as the lattice, or no kernel."""

    functional: bool = False
    """Whether torch.func can differentiate the network, which it cannot for every user-defined one."""

    components: int | None = None
    """n of fields of shape (batch, n, *lattice.shape), which `Architecture.module` sets; None for scalar fields."""

    def __init__(self, lattice: Lattice) -> None:
        super().__init__()
        self.lattice = lattice

    def __call__(self, fields: torch.Tensor, *at: Any) -> torch.Tensor:
        """s(x), or s(x, t), for fields of shape (batch, *lattice.shape) or (batch, n, *lattice.shape).

        The score has the same shape and precision.

        Raises:
            InputError: if `forward` gives anything else than real numbers of that shape.
        """
        score = super().__call__(fields.to(precision(self)), *(self.levels_of(t, fields) for t in at))
        dense = isinstance(score, torch.Tensor) and score.layout is torch.strided
        if not dense or score.is_complex() or score.shape != fields.shape:
            raise InputError(
                f"network {defining_class(self).__name__}: forward(fields) gives {_described(score)} for fields of"
                f" shape {tuple(fields.shape)}; it must give a dense tensor of real numbers of the same shape"
            )
        return score.to(fields.dtype)

    def levels_of(self, t: Any, fields: torch.Tensor) -> Any:
        """Noise levels as `forward` takes them: one for each field, shape (batch,), in the precision of parameters."""
        return torch.as_tensor(t, device=fields.device).to(precision(self)).expand(len(fields))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """s(x) for fields of shape (batch, *lattice.shape) or (batch, n, *lattice.shape); same shape.

        A network that serves all noise levels is called as `forward(fields, t)`, with the level t of each field.
        """
        raise InputError(f"network {type(self).__name__} defines no forward(fields), which training on fields needs")

    def kernel(self) -> torch.Tensor | None:
        """K(k) in the *half* layout of a linear network, s(x) = −K∗x; None for other networks."""
        return None

    def divergence(self, fields: torch.Tensor, probe: torch.Tensor) -> torch.Tensor:
        """Σ_batch ∇·s, estimated as vᵀ(∂s/∂x)v with random signs v = probe (Hutchinson), which is unbiased.

        Raises:
            InputError: if the score cannot be differentiated.
        """
        fields = fields.detach()
        if self.functional or not _takes_gradients(fields):
            product, *_ = torch.func.vjp(self, fields)[1](probe)
            return (product * probe).sum()
        score = self(fields)
        if not score.requires_grad:
            raise InputError(
                f"network {defining_class(self).__name__}: its score cannot be differentiated, which the divergence of"
                " the implicit loss needs; take loss denoising"
            )
        (product,) = torch.autograd.grad((score * probe).sum(), fields, create_graph=True, materialize_grads=True)
        return (product * probe).sum()

    def learning_rate(self, spectrum: Array) -> float:
        """Default η for a spectrum in the *half* layout: 1 / C_max, unless overridden."""
        return float(1.0 / spectrum.max())


def _takes_gradients(fields: torch.Tensor) -> bool:
    """Whether gradients with respect to fields can be asked for, as is not so inside `torch.func.vmap`."""
    try:
        fields.requires_grad_()
    except RuntimeError:
        return False
    return True


class LinearScore(ScoreNetwork):
    """s(x) = −K∗x for a kernel that a subclass defines, with its exact divergence."""

    def kernel(self) -> torch.Tensor:
        """K(k) in the *half* layout."""
        raise InputError(f"network {type(self).__name__} is a LinearScore, but defines no kernel()")

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """−K∗x, by FFT."""
        lattice = self.lattice
        transformed = torch.fft.rfftn(fields, dim=lattice.axes)
        return torch.fft.irfftn(-kernel_of(self) * transformed, s=lattice.shape, dim=lattice.axes)

    def divergence(self, fields: torch.Tensor, probe: torch.Tensor) -> torch.Tensor:
        """∇·s = −N K(r = 0) = −Σ_k K for each field; exact."""
        kernel = kernel_of(self)
        weight = torch.as_tensor(self.lattice.half_multiplicity, device=kernel.device)
        return -len(fields) * (weight * kernel.real).sum()


class ConvolutionalScore(LinearScore):
    """A family of `csd.networks.linear` as a module, whose only parameter is `filters` in real space.

    Args:
        network: the family.
        filters: initial filters, shape `network.filter_shape`.
    """

    def __init__(self, network: LinearNetwork, filters: Array) -> None:
        super().__init__(network.lattice)
        self.network = network
        self.uses = network.uses
        self.filters = torch.nn.Parameter(torch.from_numpy(np.array(filters, dtype=np.float64)))

    # In double precision, with shapes that fit, calls need no conversion.
    __call__ = torch.nn.Module.__call__

    def kernel(self) -> torch.Tensor:
        """K(k) in the *half* layout."""
        kernel: torch.Tensor = self.network.kernel(self.filters)
        return kernel


class ParametricScore(ScoreNetwork):
    """A network of `csd.networks.parametric` as a module.

    Args:
        network: the network.
        parameters: initial parameters, by name.
        constants: numbers that are not trained, by name; files do not hold them.
    """

    def __init__(
        self, network: ParametricNetwork, parameters: Mapping[str, Array], constants: Mapping[str, Array] | None = None
    ) -> None:
        super().__init__(network.lattice)
        self.network = network
        for name, values in parameters.items():
            self.register_parameter(name, torch.nn.Parameter(torch.from_numpy(np.array(values, dtype=np.float64))))
        for name, values in (constants or {}).items():
            self.register_buffer(name, torch.from_numpy(np.array(values, dtype=np.float64)), persistent=False)

    def _numbers(self) -> dict[str, torch.Tensor]:
        """Parameters and constants, by name."""
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """s(x) for fields of shape (batch, *lattice.shape); same shape."""
        score: torch.Tensor = self.network.score(self._numbers(), fields)
        return score

    def divergence(self, fields: torch.Tensor, probe: torch.Tensor) -> torch.Tensor:
        """Σ_batch ∇·s, exact where the network has a formula for it."""
        exact = self.network.divergence(self._numbers(), fields)
        return super().divergence(fields, probe) if exact is None else exact

    def learning_rate(self, spectrum: Array) -> float:
        """The default η of the network."""
        return self.network.learning_rate(spectrum)


def defining_class(network: ScoreNetwork) -> type:
    """The class that defines a network: its own, or that of the family or function that it wraps."""
    wrapped = getattr(network, "network", None)
    return type(wrapped if isinstance(wrapped, LinearNetwork | ParametricNetwork | NonlinearNetwork) else network)


def _described(given: Any) -> str:
    """The type and shape of what a network gave, for a message."""
    return f"{given.dtype} of shape {tuple(given.shape)}" if isinstance(given, torch.Tensor) else type(given).__name__


def precision(module: torch.nn.Module) -> torch.dtype:
    """The widest real type of a module's parameters, or of its buffers if it has none; float64 without either."""
    for tensors in (module.parameters(), module.buffers()):
        kinds = set()
        for own in tensors:
            if own.dtype is torch.float64:
                return own.dtype
            kinds |= {own.dtype.to_real()} if own.is_floating_point() or own.is_complex() else set()
        if kinds:
            return max(kinds, key=lambda kind: torch.finfo(kind).bits)
    return torch.float64


def kernel_of(network: ScoreNetwork) -> Any:
    """K(k) of a network in the *half* layout and in double precision; None for a network without a kernel.

    Raises:
        InputError: if `kernel` gives anything else than numbers of that shape.
    """
    kernel: Any = network.kernel()
    if kernel is None and not isinstance(network, LinearScore):
        return None
    half = network.lattice.half_shape
    numbers = isinstance(kernel, torch.Tensor) and (kernel.is_floating_point() or kernel.is_complex())
    if not numbers or kernel.shape != half:
        full = numbers and kernel.shape == network.lattice.shape
        raise InputError(
            f"network {defining_class(network).__name__}: kernel() gives {_described(kernel)}; it must give real or"
            f" complex numbers in the half layout, of shape {half}{f': kernel[..., :{half[-1]}]' if full else ''}"
        )
    return kernel.to(torch.complex128 if kernel.is_complex() else torch.float64)


def weights_of(module: torch.nn.Module) -> Array:
    """All numbers of a module: its parameters in order, then its buffers; a complex number counts as two."""
    return np.concatenate([np.empty(0), *(tensor.double().cpu().numpy().ravel() for tensor in _tensors(module))])


def numbers_trained(module: torch.nn.Module, *, frozen: bool = True) -> int:
    """How many of the numbers of `weights_of` are parameters; a complex number counts as two.

    Args:
        module: the module.
        frozen: whether parameters that do not require gradients count.
    """
    own = [tensor for tensor in module.parameters() if frozen or tensor.requires_grad]
    return sum(tensor.numel() * (2 if tensor.is_complex() else 1) for tensor in own)


def _tensors(module: torch.nn.Module) -> list[torch.Tensor]:
    """The tensors that hold the numbers; buffers that are not persistent follow from the lattice."""
    kept = module.state_dict().keys()
    buffers = [buffer for name, buffer in module.named_buffers() if name in kept]
    held = [tensor.detach() for tensor in (*module.parameters(), *buffers)]
    return [torch.view_as_real(tensor) if tensor.is_complex() else tensor for tensor in held]


def load_weights(module: torch.nn.Module, weights: Array) -> None:
    """Copy numbers into a module, in the order of `weights_of`; further numbers are ignored."""
    start = 0
    for tensor in _tensors(module):
        own = weights[start : start + tensor.numel()]
        tensor.copy_(torch.as_tensor(own.copy()).reshape(tensor.shape))
        start += tensor.numel()


def on_lattice(module: ScoreNetwork, trained: ScoreNetwork) -> ScoreNetwork:
    """A network on another lattice with the weights of a trained one, and its constants of the same shape.

    Args:
        module: the network, built on the other lattice; it is changed.
        trained: the network on the lattice of its training.

    Raises:
        InputError: if the shapes of the weights differ, which then depend on the lattice.
    """
    for name, own in module.state_dict().items():
        if own.shape != (shape := trained.state_dict()[name].shape):
            sizes = f"{trained.lattice.size} and {tuple(own.shape)} at size {module.lattice.size}"
            raise InputError(
                f"size is {module.lattice.size}, but {name} of network {defining_class(module).__name__} depends on the"
                f" lattice: its shape is {tuple(shape)} at size {sizes}; leave size out"
            )
    load_weights(module, weights_of(trained))
    constants = dict(trained.named_buffers())
    for name, buffer in module.named_buffers():
        if buffer.shape == constants[name].shape:
            buffer.copy_(constants[name])
    return module


def spectral_loss(
    kernel: torch.Tensor, spectrum: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """ℒ = (1/N) Σ_k [½ S |K|² − Re(K T*)].

    Args:
        kernel: K, *half* layout.
        spectrum: S, same shape.
        target: T, same shape.
        weight: multiplicity / N, same shape.
    """
    squared = kernel.real**2 + kernel.imag**2 if kernel.is_complex() else kernel**2
    return (weight * (0.5 * spectrum * squared - (kernel * target.conj()).real)).sum()
