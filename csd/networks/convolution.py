"""Periodic convolution and tanh as PyTorch operations, for one network or for several side by side.

    y_o(r) = Σ_a Σ_c w_co(a) x_c(r + a),   |a_μ| ≤ R

On a CPU both are computed by NumPy, whose matrix products and tanh are faster than those of PyTorch, but for large
filters in d = 2. Each network has matrix products of its own, whose shapes do not depend on how many networks there
are, so that its result is the same to the last bit, alone and among others. Under `torch.func.vmap` over fields and
filters networks are computed side by side; there are derivatives of any order.

In memory fields have the order (networks, lattice axes but the last, channels, last lattice axis, batch). A line of the
lattice along its last axis, with all fields, is one run of memory for each channel, which is copied as a whole. Lines
that are neighbours along the last axis but one are neighbours in memory. So copies shifted along the other axes are
enough: (2R + 1)^{d−1} of them for (2R + 1)^d taps in d = 2 and 3, and 2R + 1 in d = 1.
"""

import threading
from collections.abc import Iterator
from functools import lru_cache
from inspect import signature
from math import isqrt, prod
from typing import Any

import numpy as np
import torch

from csd.lattice import Array

BLOCK = 2**20
"""Most bytes of shifted copies laid out at a time: what stays in the cache beside the fields."""
LAYOUTS = 32
"""Most shapes whose buffers are kept."""
LARGE = 240
"""Taps × channels × sites over padded sites from which PyTorch takes less time in d = 2, in single precision."""


def periodic_convolution(fields: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """y_o(r) = Σ_a Σ_c w_co(a) x_c(r + a) on a periodic lattice.

    Args:
        fields: x, shape (batch, *lattice, channels in).
        filters: w, shape (taps, channels in, channels out), with (2R + 1)^d taps at |a_μ| ≤ R in C order.

    Returns:
        Shape (batch, *lattice, channels out), in the same precision.
    """
    large = fields.dtype == torch.float32 and _large(fields.shape, filters.shape)
    if _by_numpy(fields) and fields.dtype == filters.dtype and not large:
        return torch.squeeze(_convolve(fields[None], filters[None]), 0)
    return _library_convolution(fields, filters, channels_last=large and _by_numpy(fields))


def odd_tanh(fields: torch.Tensor) -> torch.Tensor:
    """tanh x, by NumPy where it is on a CPU."""
    activated: torch.Tensor = _tanh(fields) if _by_numpy(fields) else fields.tanh()
    return activated


def _by_numpy(values: torch.Tensor) -> bool:
    """Whether NumPy computes with a tensor: real numbers of 32 or 64 bits on a CPU."""
    return values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64)


@lru_cache(LAYOUTS)
def _large(fields: tuple[int, ...], filters: tuple[int, ...]) -> bool:
    """Whether PyTorch's convolution takes less time for fields and filters of these shapes."""
    taps, *channels = filters
    padded = prod(1.0 + (isqrt(taps) - 1.0) / size for size in fields[1:3])
    return len(fields) == 4 and taps * max(channels) >= LARGE * padded


def _library_convolution(fields: torch.Tensor, filters: torch.Tensor, *, channels_last: bool) -> torch.Tensor:
    """The same by PyTorch's convolution, for large filters, other devices and other types."""
    functional: Any = torch.nn.functional
    dimension = fields.ndim - 2
    side = round(filters.shape[0] ** (1.0 / dimension))
    weight = filters.reshape((side,) * dimension + filters.shape[1:]).movedim((-1, -2), (0, 1))
    padded, reach = fields.movedim(-1, 1), side // 2
    if channels_last:  # PyTorch then copies nothing on a CPU.
        weight, padded = (own.contiguous(memory_format=torch.channels_last) for own in (weight, padded))
    for axis in range(2, padded.ndim if reach else 2):  # faster than padding of mode 'circular'
        low, high = padded.narrow(axis, 0, reach), padded.narrow(axis, -reach, reach)
        padded = torch.cat([high, padded, low], axis)
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[dimension - 1]
    return convolve(padded, weight).movedim(1, -1)


class _Layout:
    """Buffers and views for the convolution of fields of one shape, block by block.

    Args:
        shape: of the fields in memory, (networks, *lattice but the last axis, channels, last axis, batch).
        side: 2R + 1.
        dtype: of the fields.
    """

    def __init__(self, shape: tuple[int, ...], side: int, dtype: Any) -> None:
        self.dimension, self.reach = len(shape) - 3, side // 2
        *outer, self.channels, self.last, self.batch = shape[1:]
        # The axes of the lattice in memory, and how long each is. Copies are shifted along all but the last but one.
        axes, sizes = [*range(1, self.dimension), self.dimension + 1], [*outer, self.last]
        self.shifted = axes[:-2] + axes[-1:]
        wide = list(shape)
        for axis, size in zip(axes, sizes, strict=True):
            wide[axis] = size + 2 * self.reach
        self.padded = np.empty(wide, dtype)
        inner = [slice(None)] * len(shape)
        for axis, size in zip(axes, sizes, strict=True):
            inner[axis] = slice(self.reach, self.reach + size)
        self.inner = self.padded[tuple(inner)]
        self.wraps = list(self._wraps(axes, sizes))
        self.blocks = list(self._blocks(shape, side))

    def _wraps(self, axes: list[int], sizes: list[int]) -> Iterator[tuple[Array, Array]]:
        """Pairs of views (to, from) that continue the fields beyond the lattice, axis by axis, the last one first."""
        reach = self.reach
        done = [slice(None)] * self.padded.ndim
        for axis, size in zip(axes, sizes, strict=True):
            done[axis] = slice(reach, reach + size)
        for axis, size in reversed(list(zip(axes, sizes, strict=True)) if reach else []):
            for to, of in ((0, size), (size + reach, reach)):
                there, here = list(done), list(done)
                there[axis], here[axis] = slice(to, to + reach), slice(of, of + reach)
                yield self.padded[tuple(there)], self.padded[tuple(here)]
            done[axis] = slice(None)

    def _blocks(self, shape: tuple[int, ...], side: int) -> Iterator[tuple[Any, Array, Array, Array]]:
        """(place in the lines, shifted views, buffer of their copies, columns in the buffer) of each block.

        A block is several networks, or one network and a strip of the first axis of its lattice; which of both depends
        on the shape of one network alone.
        """
        networks, first = shape[0], shape[1] if self.dimension > 1 else self.last
        copies = side ** max(self.dimension - 1, 1)
        row = copies * prod(shape[2:] if self.dimension > 1 else (self.channels, self.batch)) * self.padded.itemsize
        many = max(BLOCK // (row * first), 1)
        strip = first if many > 1 else min(max(BLOCK // row, 1), first)
        buffer: Array = np.empty(0, self.padded.dtype)
        for start in range(0, networks, many):
            for low in range(0, first, strip):
                own = slice(start, min(start + many, networks))
                view = self._shifted(own, slice(low, min(low + strip, first)), side)
                # The first block is the largest.
                buffer = buffer if buffer.size else np.empty(view.size, view.dtype)
                copy = buffer[: view.size].reshape(view.shape)
                if self.dimension == 1:
                    place: Any = (own, slice(None), slice(low * self.batch, (low + strip) * self.batch))
                else:
                    place = (own, slice(low, low + strip))
                yield place, view, copy, self._columns(copy, side)

    def _shifted(self, own: slice, strip: slice, side: int) -> Array:
        """A view (networks, outer axes, shifts, channels, last axis, batch) of the padded fields.

        Along the last axis of the lattice but one there are no shifts; it is longer by 2R instead.
        """
        first = 1 if self.dimension > 1 else 2
        part = self.padded[(own, *[slice(None)] * (first - 1), slice(strip.start, strip.stop + 2 * self.reach))]
        sizes = [size - 2 * self.reach * (axis in self.shifted) for axis, size in enumerate(part.shape)]
        outer, steps = self.dimension, part.strides
        shape = (*sizes[:outer], *[side] * len(self.shifted), *sizes[outer:])
        strides = (*steps[:outer], *(steps[axis] for axis in self.shifted), *steps[outer:])
        return np.lib.stride_tricks.as_strided(part, shape, strides)

    def _columns(self, copy: Array, side: int) -> Array:
        """The copies as matrices (networks, outer axes, taps × channels, last axis × batch), which overlap."""
        lines = copy.shape[: self.dimension] if self.dimension > 1 else copy.shape[:1]
        taps, width = side**self.dimension, copy.shape[-2] * self.batch
        if self.dimension > 1:
            lines = (*lines[:-1], lines[-1] - 2 * self.reach)
        steps = (*copy.strides[: len(lines)], width * copy.itemsize, copy.itemsize)
        return np.lib.stride_tricks.as_strided(copy, (*lines, taps * self.channels, width), steps)

    def columns(self, fields: Array) -> Iterator[tuple[slice, Any, Array]]:
        """(networks, place in the lines, shifted copies as matrices) of each block of fields."""
        np.copyto(self.inner, fields)
        for there, here in self.wraps:
            np.copyto(there, here)
        for place, view, copy, columns in self.blocks:
            np.copyto(copy, view)
            yield place[0], place, columns


@lru_cache(LAYOUTS)
def _layout(shape: tuple[int, ...], side: int, dtype: Any, thread: int) -> _Layout:
    """The layout of a shape; each thread has buffers of its own."""
    return _Layout(shape, side, dtype)


def _columns(fields: Array, side: int) -> Iterator[tuple[slice, Any, Array]]:
    """(networks, place in the lines, shifted copies as matrices) of each block of fields in the order of memory."""
    if side == 1:
        yield slice(None), ..., _lines(fields)
    else:
        yield from _layout(fields.shape, side, fields.dtype, threading.get_ident()).columns(fields)


def _lines(fields: Array) -> Array:
    """Fields in the order of memory as matrices, shape (networks, outer axes, channels, last axis × batch)."""
    return fields.reshape(*fields.shape[:-2], -1)


@lru_cache(LAYOUTS)
def _taps(taps: int, dimension: int) -> tuple[int, Any]:
    """2R + 1, and the taps in the order of rows of the columns: those along the last axis but one change slowest."""
    side = round(taps ** (1.0 / dimension))
    numbers = np.arange(taps).reshape((side,) * dimension)
    return side, np.moveaxis(numbers, max(dimension - 2, 0), 0).ravel()


def _product(fields: Array, filters: Array) -> Array:
    """y = w∗x in the order of memory.

    Args:
        fields: x, shape (networks, outer axes, channels in, last axis, batch).
        filters: w, shape (networks, taps, channels in, channels out).
    """
    side, order = _taps(filters.shape[1], fields.ndim - 3)
    rows = _rows(filters[:, order].transpose(0, 3, 1, 2), fields.ndim)
    result = np.empty((*fields.shape[:-3], filters.shape[-1], *fields.shape[-2:]), fields.dtype)
    lines = _lines(result)
    for own, place, columns in _columns(fields, side):
        np.matmul(rows[own], columns, out=lines[place])
    return result


def _rows(filters: Array, axes: int) -> Array:
    """Filters (networks, channels, taps, other channels) as matrices that act on each line of fields."""
    networks, channels = filters.shape[:2]
    return np.ascontiguousarray(filters).reshape(networks, *[1] * (axes - 4), channels, -1)


def _gradients(fields: Array, filters: Array, gradient: Array) -> tuple[Array, Array]:
    """(∂ℒ/∂x, ∂ℒ/∂w) of y = w∗x in the order of memory, both from shifted copies of ∂ℒ/∂y.

    Args:
        fields: x.
        filters: w.
        gradient: ∂ℒ/∂y.
    """
    networks, taps, inputs, outputs = filters.shape
    side, order = _taps(taps, fields.ndim - 3)
    mirrored = taps - 1 - order
    rows = _rows(filters[:, mirrored].transpose(0, 2, 1, 3), fields.ndim)
    result = np.empty_like(fields)
    lines, of_result = _lines(fields), _lines(result)
    total = np.zeros((networks, taps * outputs, inputs), filters.dtype)
    for own, place, columns in _columns(gradient, side):
        np.matmul(rows[own], columns, out=of_result[place])
        total[own] += _summed(columns, lines[place])
    found = np.empty(filters.shape, filters.dtype)
    found[:, mirrored] = total.reshape(networks, taps, outputs, inputs).swapaxes(-1, -2)
    return result, found


def _gradient_of_filters(fields: Array, gradient: Array, taps: int) -> Array:
    """∂ℒ/∂w alone, from shifted copies of x or of ∂ℒ/∂y, whichever has fewer channels.

    Args:
        fields: x.
        gradient: ∂ℒ/∂y.
        taps: of the filters.
    """
    networks, inputs, outputs = len(fields), fields.shape[-3], gradient.shape[-3]
    side, order = _taps(taps, fields.ndim - 3)
    found = np.empty((networks, taps, inputs, outputs), fields.dtype)
    forward = inputs < outputs
    shifted, other = (fields, gradient) if forward else (gradient, fields)
    total = np.zeros((networks, taps * shifted.shape[-3], other.shape[-3]), fields.dtype)
    lines = _lines(other)
    for own, place, columns in _columns(shifted, side):
        total[own] += _summed(columns, lines[place])
    if forward:
        found[:, order] = total.reshape(networks, taps, inputs, outputs)
    else:
        found[:, taps - 1 - order] = total.reshape(networks, taps, outputs, inputs).swapaxes(-1, -2)
    return found


def _summed(columns: Array, lines: Array) -> Array:
    """Σ columns × linesᵀ over all lines, shape (networks, taps × channels, other channels)."""
    products = np.matmul(columns, lines.swapaxes(-1, -2))
    return products.reshape(len(products), -1, *products.shape[-2:]).sum(axis=1)


def _ordered(fields: torch.Tensor) -> Array:
    """Fields (networks, batch, *lattice, channels) in the order of memory; not copied if they are in it already."""
    axes = fields.ndim
    order = (0, *range(2, axes - 2), axes - 1, axes - 2, 1)
    return np.ascontiguousarray(fields.detach().numpy().transpose(order))


def _tensor(fields: Array) -> torch.Tensor:
    """Fields in the order of memory as a tensor of shape (networks, batch, *lattice, channels), without a copy."""
    axes = fields.ndim
    return torch.from_numpy(fields.transpose(0, axes - 1, *range(1, axes - 3), axes - 2, axes - 3))


def _flattened(batch_size: int, in_dims: tuple[int | None, ...], tensors: tuple[Any, ...]) -> list[Any]:
    """Tensors whose axis of `torch.func.vmap` has become part of that of networks; repeated where they have none."""
    moved = [
        tensor.expand(batch_size, *tensor.shape) if axis is None else tensor.movedim(axis, 0)
        for axis, tensor in zip(in_dims, tensors, strict=True)
    ]
    return [tensor.flatten(0, 1) for tensor in moved]


def _signed(function: Any) -> Any:
    """Store the signature of a function with it: autograd asks for it at every call, and makes it anew otherwise."""
    function.__signature__ = signature(function)
    return function


class _Convolution(torch.autograd.Function):
    """y = w∗x for tensors with an axis of networks before the others."""

    @staticmethod
    @_signed
    def forward(fields: Any, filters: Any) -> Any:
        return _tensor(_product(_ordered(fields), filters.detach().numpy()))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        fields, filters = ctx.saved_tensors
        of_fields, of_filters = ctx.needs_input_grad
        if of_fields and of_filters and not torch.is_grad_enabled():
            result, found = _gradients(_ordered(fields), filters.detach().numpy(), _ordered(gradient))
            return _tensor(result), torch.from_numpy(found)
        # One of them alone, or as operations of which derivatives may be taken.
        return (
            _convolve(gradient, _mirrored(filters)) if of_fields else None,
            _filter_gradient(fields, gradient, filters.shape[1]) if of_filters else None,
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *tensors: Any) -> Any:
        result = _convolve(*_flattened(info.batch_size, in_dims, tensors))
        return result.unflatten(0, (info.batch_size, -1)), 0


class _FilterGradient(torch.autograd.Function):
    """∂ℒ/∂w from x, ∂ℒ/∂y and the number of taps, as an operation that has derivatives."""

    @staticmethod
    @_signed
    def forward(fields: Any, gradient: Any, taps: int) -> Any:
        return torch.from_numpy(_gradient_of_filters(_ordered(fields), _ordered(gradient), taps))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        fields, of_result = ctx.saved_tensors
        return _convolve(of_result, _mirrored(gradient)), _convolve(fields, gradient), None

    @staticmethod
    def vmap(info: Any, in_dims: Any, fields: Any, gradient: Any, taps: int) -> Any:
        result = _filter_gradient(*_flattened(info.batch_size, in_dims[:2], (fields, gradient)), taps)
        return result.unflatten(0, (info.batch_size, -1)), 0


def _mirrored(filters: torch.Tensor) -> torch.Tensor:
    """Filters of the transposed convolution."""
    return filters.flip(1).transpose(2, 3)


class _Tanh(torch.autograd.Function):
    """tanh x."""

    @staticmethod
    @_signed
    def forward(fields: Any) -> Any:
        return torch.from_numpy(np.tanh(fields.detach().numpy()))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        (result,) = ctx.saved_tensors
        # Operations that round alike wherever a number lies in its array, which a fused one does not promise.
        slope = result * result
        if torch.is_grad_enabled():
            return gradient * (1.0 - slope)
        return slope.neg_().add_(1.0).mul_(gradient)

    @staticmethod
    def vmap(info: Any, in_dims: Any, fields: Any) -> Any:
        return _tanh(fields), in_dims[0]


_convolve: Any = _Convolution.apply
_filter_gradient: Any = _FilterGradient.apply
_tanh: Any = _Tanh.apply
