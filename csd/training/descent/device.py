"""Descent on power spectra as PyTorch tensors, on a GPU: the steps of `full` and `local`, without a look at the host.

Made from a descent that is ready to start (`on_device`). Full kernels step at the modes, as on the CPU; local filters
lie on the whole lattice, zero outside their box, so that levels of any range go together:

    ŵ ← w,   K = ŵ or Σ_c |ŵ_c|²,   w ← w − η × (transform of S K − T, or of Re(S K − T) ŵ), on the box.

Errors stay on the device until they are asked for; a step and an error launch work and wait for nothing.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.lattice import Array, ComplexArray
from csd.networks.linear import place_filters
from csd.training.descent.families import Descent
from csd.training.descent.modes import ModeDescent
from csd.training.descent.patches import GroupedDescent, PatchDescent


class DeviceDescent(ABC):
    """A `csd.training.descent.families.Descent` whose filters, data and errors are tensors on one device."""

    filters: torch.Tensor

    @abstractmethod
    def advance(self, spectrum: torch.Tensor, target: torch.Tensor | float) -> None:
        """One step on (S, T) at the modes."""

    @abstractmethod
    def error(self) -> torch.Tensor:
        """ε, shape (seeds, levels), on the device."""

    @abstractmethod
    def kernel(self) -> Array | ComplexArray:
        """K at the modes, on the host."""

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop the other seeds."""
        self.filters = self.filters[torch.as_tensor(seeds, device=self.filters.device)]

    def snapshot(self) -> dict[str, Any]:
        """The filters, on the host."""
        return {"filters": self.filters.cpu().numpy()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go on from these filters."""
        self.filters = torch.tensor(snapshot["filters"], device=self.filters.device)

    def state(self) -> torch.Tensor:
        """A copy of what the steps change."""
        return self.filters.clone()

    def restore(self, state: torch.Tensor) -> None:
        """Go back to a state."""
        self.filters.copy_(state)


class ModesOnDevice(DeviceDescent):
    """w ← w − η (w*)^{p−1} (S wᵖ − T).

    Args:
        descent: on the CPU.
        device: where to.
    """

    def __init__(self, descent: ModeDescent, device: torch.device) -> None:
        self.depth = descent.depth
        self.filters = torch.tensor(descent.filters, device=device)
        self._rates = torch.tensor(descent.rates, device=device)
        self._exact = torch.tensor(descent.exact, device=device)
        self._root_weight = torch.tensor(descent.root_weight, device=device)

    def _power(self, exponent: int) -> torch.Tensor:
        """wⁿ by repeated multiplication, in the order of the CPU."""
        power = self.filters
        for _ in range(exponent - 1):
            power = power * self.filters
        return power

    def advance(self, spectrum: torch.Tensor, target: torch.Tensor | float) -> None:
        """One step on (S, T)."""
        step = (self._power(self.depth) * spectrum - target) * self._rates
        if self.depth > 1:
            step *= self._power(self.depth - 1).conj()
        self.filters -= step

    def error(self) -> torch.Tensor:
        """ε of each seed and level."""
        return _sum_of_squares((self._power(self.depth) - self._exact) * self._root_weight)

    def kernel(self) -> Array | ComplexArray:
        """K = wᵖ."""
        kernel: Array | ComplexArray = self._power(self.depth).cpu().numpy()
        return kernel


class PatchesOnDevice(DeviceDescent):
    """Descent of local filters, each level on a box of its own.

    Args:
        descents: on the CPU, one a range.
        groups: the levels of each.
        device: where to.
    """

    def __init__(self, descents: list[PatchDescent], groups: list[NDArray[np.intp]], device: torch.device) -> None:
        first = descents[0]
        self.lattice = first.lattice
        self.modes = first.modes
        self.squared = first.network.uses == 2
        shape = self.lattice.shape
        seeds, levels = len(first.filters), sum(map(len, groups))
        channels = first.filters.shape[2] if self.squared else 1
        filters = np.zeros((seeds, levels, channels, *shape))
        box = np.zeros((levels, 1, *shape))
        spectra = np.empty((levels, len(self.modes)))
        rates = np.empty((levels, 1, *[1] * self.lattice.dimension))
        for descent, own in zip(descents, groups, strict=True):
            offsets = descent.network.filter_offsets
            values = descent.filters.reshape(seeds, len(own), channels, len(offsets))
            filters[:, own] = place_filters(self.lattice, values, offsets)
            box[own] = place_filters(self.lattice, np.ones((len(own), 1, len(offsets))), offsets)
            spectra[own] = descent.spectra
            rates[own] = descent.rates.reshape(-1, 1, *[1] * self.lattice.dimension)
        self.filters = torch.tensor(filters, device=device)
        self._step = torch.tensor(rates * box, device=device)
        place, mirrored = self.lattice.pair_of_half if not self.modes.isotropic else (self.lattice.shell_of_half, None)
        self._place = torch.tensor(place, device=device)
        self._mirrored = None if mirrored is None else torch.tensor(mirrored, device=device)
        self._gather = torch.tensor(self.modes.half_index, device=device)
        halves = self.lattice.spread(spectra, self.modes)
        weight = self.lattice.half_multiplicity
        norm = (weight / halves).sum(axis=self.lattice.axes, keepdims=True)
        self._exact = torch.tensor(1.0 / halves, device=device)
        self._root_weight = torch.tensor(np.sqrt(weight * halves / norm), device=device)

    def _spread(self, values: torch.Tensor) -> torch.Tensor:
        """Values at the modes in the *half* layout."""
        half = values.index_select(-1, self._place)
        if half.is_complex() and self._mirrored is not None:
            half = half.index_copy(-1, self._mirrored, half.index_select(-1, self._mirrored).conj())
        return half.reshape(*values.shape[:-1], *self.lattice.half_shape)

    def _compose(self, transformed: torch.Tensor) -> torch.Tensor:
        """K in the *half* layout, from ŵ."""
        if self.squared:
            return (transformed.real.square() + transformed.imag.square()).sum(2)
        return transformed[:, :, 0]

    def _transformed(self) -> torch.Tensor:
        """ŵ in the *half* layout."""
        return torch.fft.rfftn(self.filters, dim=self.lattice.axes)

    def advance(self, spectrum: torch.Tensor, target: torch.Tensor | float) -> None:
        """One step on (S, T)."""
        transformed = self._transformed()
        wanted = self._spread(target) if isinstance(target, torch.Tensor) else target
        residual = (self._spread(spectrum) * self._compose(transformed) - wanted)[:, :, None]
        slope = residual.real * transformed if self.squared else residual.to(transformed.dtype)
        self.filters -= self._step * torch.fft.irfftn(slope, s=self.lattice.shape, dim=self.lattice.axes)

    def error(self) -> torch.Tensor:
        """ε of each seed and level."""
        deviation = (self._compose(self._transformed()) - self._exact) * self._root_weight
        return _sum_of_squares(deviation.flatten(2))

    def kernel(self) -> Array | ComplexArray:
        """K at the modes."""
        kernel = self._compose(self._transformed()).flatten(2).index_select(-1, self._gather)
        host: Array | ComplexArray = kernel.cpu().numpy()
        return host


def _sum_of_squares(values: torch.Tensor) -> torch.Tensor:
    """Σ |v|² over the last axis."""
    parts = torch.view_as_real(values).flatten(-2) if values.is_complex() else values
    return torch.linalg.vecdot(parts, parts)


def on_device(descent: Descent, device: torch.device) -> DeviceDescent:
    """A descent of `full` or `local` that has not stepped yet, on a device.

    Raises:
        InputError: for a family that brings a descent of its own.
    """
    if isinstance(descent, ModeDescent):
        return ModesOnDevice(descent, device)
    if isinstance(descent, PatchDescent):
        return PatchesOnDevice([descent], [np.arange(len(descent.spectra))], device)
    if isinstance(descent, GroupedDescent):
        return PatchesOnDevice(list(descent.descents), list(descent.groups), device)
    raise InputError(f"device is 'cuda', but {type(descent).__name__} steps on the CPU only; take device cpu")


def host(values: Any) -> Array:
    """Tensors of one shape, stacked, on the host: the one place where the host waits for the device."""
    stacked: Array = torch.stack(list(values)).cpu().numpy()
    return stacked
