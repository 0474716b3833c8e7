"""Layers of nonlinear networks on periodic lattices, for fields of shape (batch, *lattice, channels).

These functions act on PyTorch tensors. They import PyTorch themselves, since commands import the networks that use them
for their options. All of them work under `torch.func.vmap`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from csd.lattice import Array

ODD_ACTIVATIONS = ("tanh", "softsign")
"""Activations with f(−y) = −f(y)."""
FILM_UNITS = 16
"""Hidden units of the function of ln γ that scales the channels."""
LOG_RATIOS = (-6.0, 9.0)
"""Range of ln γ over which the hidden units are spread at the start: VP noise levels from 0.001 to 4.5."""


class Amplitudes(NamedTuple):
    """α and σ² of x_t = α x₀ + σ z: tensors of shape (), or (batch,) for fields at several noise levels."""

    signal: Any
    variance: Any


def convolve(fields: Any, filters: Any) -> Any:
    """y_o(r) = Σ_a Σ_c w_co(a) x_c(r + a), periodic.

    Args:
        fields: x, shape (batch, *lattice, channels in).
        filters: w, shape (taps, channels in, channels out), with (2R + 1)^d taps at |a_μ| ≤ R in C order, 2R < L.

    Returns:
        Shape (batch, *lattice, channels out).
    """
    from csd.networks.convolution import periodic_convolution

    return periodic_convolution(fields, filters)


def transposed(filters: Any) -> Any:
    """Filters of the transposed convolution, shape (taps, channels out, channels in)."""
    return filters.flip(0).transpose(1, 2)


def pool(fields: Any) -> Any:
    """Means over blocks of 2^d sites, shape (batch, *half lattice, channels)."""
    batch, *shape, channels = fields.shape
    blocks = fields.reshape(batch, *(part for size in shape for part in (size // 2, 2)), channels)
    return blocks.mean(dim=tuple(range(2, 2 * len(shape) + 1, 2)))


def unpool(fields: Any) -> Any:
    """Every site repeated in a block of 2^d sites, shape (batch, *double lattice, channels)."""
    for axis in range(1, fields.dim() - 1):
        fields = fields.repeat_interleave(2, dim=axis)
    return fields


def activate(name: str, fields: Any) -> Any:
    """The activation function of a name, at every site."""
    from torch.nn import functional

    from csd.networks.convolution import odd_tanh

    return odd_tanh(fields) if name == "tanh" else getattr(functional, name)(fields)


def on_fields(values: Any, dimension: int) -> Any:
    """Values of shape () or (batch,), with axes for d lattice dimensions and the channels."""
    return values.reshape(*values.shape, *(1,) * (dimension + 1))


def start_film(channels: Mapping[str, int]) -> dict[str, Array]:
    """Parameters of FiLM: hidden units h = tanh(a ln γ + b) spread over ln γ, and V = 0 for each layer, by name."""
    centres = np.linspace(*LOG_RATIOS, FILM_UNITS)
    slopes = np.full(FILM_UNITS, 0.5)
    scales = {f"film_{name}": np.zeros((FILM_UNITS, count)) for name, count in channels.items()}
    return {"film_slopes": slopes, "film_offsets": -slopes * centres, **scales}


def film_units(parameters: Mapping[str, Any], noise: Amplitudes) -> Any:
    """h = tanh(a ln γ + b), γ = σ²/α², shape (…, units); None for a network without FiLM."""
    if "film_slopes" not in parameters:
        return None
    ratio = (noise.variance / noise.signal**2).log()[..., None]
    return (ratio * parameters["film_slopes"] + parameters["film_offsets"]).tanh()


def film(parameters: Mapping[str, Any], name: str, units: Any, dimension: int) -> Any:
    """V h of one layer, shape (…, 1, …, 1, channels), which broadcasts over the lattice; 0 without FiLM."""
    if units is None:
        return 0.0
    values = (units[..., None] * parameters[f"film_{name}"]).sum(-2)
    # In memory the batch comes last, as in the fields after a convolution: loops over both are then vectorised.
    values = values.mT.contiguous().mT if values.dim() > 1 else values
    return values.reshape(*values.shape[:-1], *(1,) * dimension, values.shape[-1])
