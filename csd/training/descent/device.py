"""Descent on power spectra as PyTorch tensors, on a GPU: `mode_step` and `patch_step`, without a look at the host.

Made from a descent that is ready to start (`on_device`). Here is how its arrays are placed on the device, and how
errors and kernels come back. Full kernels lie at the modes, as on the CPU; local filters lie on the whole lattice, zero
outside their box, so that levels of any range go together.

Filters are never changed in place, so who holds them can bring a descent back to where it was. Errors stay on the
device until they are asked for; a step and an error launch work and wait for nothing.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.lattice import Array, ComplexArray
from csd.networks.linear import place_filters, transform
from csd.training.descent.families import Descent
from csd.training.descent.modes import ModeDescent, mode_error, mode_power, mode_step
from csd.training.descent.patches import GroupedDescent, PatchDescent, patch_error, patch_kernel, patch_step


class DeviceDescent(ABC):
    """A `csd.training.descent.families.Descent` whose filters, data and errors are tensors on one device.

    Args:
        device: where to.
        filters: w.
        rates: η.
        exact: K*.
        root_weight: ρ of the error.
    """

    def __init__(self, device: torch.device, filters: Any, rates: Array, exact: Array, root_weight: Array) -> None:
        self.filters, self.rates, self.exact, self.root_weight = (
            torch.tensor(array, device=device) for array in (filters, rates, exact, root_weight)
        )

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


class ModesOnDevice(DeviceDescent):
    """Descent of every mode alone.

    Args:
        descent: on the CPU.
        device: where to.
    """

    def __init__(self, descent: ModeDescent, device: torch.device) -> None:
        super().__init__(device, descent.filters, descent.rates, descent.exact, descent.root_weight)
        self.depth = descent.depth

    def advance(self, spectrum: torch.Tensor, target: torch.Tensor | float) -> None:
        """One step on (S, T)."""
        self.filters = mode_step(self.filters, spectrum, target, self.rates, self.depth)

    def error(self) -> torch.Tensor:
        """ε of each seed and level."""
        error: torch.Tensor = mode_error(self.filters, self.exact, self.root_weight, self.depth)
        return error

    def kernel(self) -> Array | ComplexArray:
        """K = wᵖ."""
        kernel: Array | ComplexArray = mode_power(self.filters, self.depth).cpu().numpy()
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
        self.lattice = lattice = first.lattice
        self.modes = first.modes
        self.tied = first.network.uses == 2
        seeds, levels, channels = len(first.filters), sum(map(len, groups)), first.filters.shape[2:-1]
        filters = np.zeros((seeds, levels, *channels, *lattice.shape))
        rates = np.zeros((levels, *[1] * len(channels), *lattice.shape))
        spectra = np.empty((levels, len(self.modes)))
        for descent, own in zip(descents, groups, strict=True):
            offsets = descent.network.filter_offsets
            filters[:, own] = place_filters(lattice, descent.filters, offsets)
            rates[own] = place_filters(lattice, descent.rates.repeat(len(offsets), axis=-1), offsets)
            spectra[own] = descent.spectra
        halves, weight = lattice.spread(spectra, self.modes), lattice.half_multiplicity
        norm = (weight / halves).sum(axis=lattice.axes, keepdims=True)
        super().__init__(device, filters, rates, 1.0 / halves, np.sqrt(weight * halves / norm))
        place, mirrored = (lattice.shell_of_half, None) if self.modes.isotropic else lattice.pair_of_half
        self._place = torch.tensor(place, device=device)
        self._mirrored = None if mirrored is None else torch.tensor(mirrored, device=device)
        self._gather = torch.tensor(self.modes.half_index, device=device)

    def _spread(self, values: torch.Tensor) -> torch.Tensor:
        """Values at the modes in the *half* layout."""
        half = values.index_select(-1, self._place)
        if half.is_complex() and self._mirrored is not None:
            half = half.index_copy(-1, self._mirrored, half.index_select(-1, self._mirrored).conj())
        return half.reshape(*values.shape[:-1], *self.lattice.half_shape)

    def advance(self, spectrum: torch.Tensor, target: torch.Tensor | float) -> None:
        """One step on (S, T)."""
        wanted = self._spread(target) if isinstance(target, torch.Tensor) else target
        self.filters = patch_step(
            self.lattice, self.filters, self._spread(spectrum), wanted, self.rates, tied=self.tied
        )

    def error(self) -> torch.Tensor:
        """ε of each seed and level."""
        error: torch.Tensor = patch_error(self.lattice, self.filters, self.exact, self.root_weight, tied=self.tied)
        return error

    def kernel(self) -> Array | ComplexArray:
        """K at the modes."""
        half = patch_kernel(self.lattice, transform(self.lattice, self.filters), tied=self.tied)
        kernel = half.reshape(*half.shape[: -self.lattice.dimension], -1).index_select(-1, self._gather)
        host: Array | ComplexArray = kernel.cpu().numpy()
        return host


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
