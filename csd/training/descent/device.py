"""Descent on power spectra as PyTorch tensors, on a GPU: `mode_step` and `patch_step` without waiting for the host.

`on_device` makes one from a descent that has not stepped yet. Full kernels lie at the modes, as on the CPU; local
filters lie on the whole lattice, zero outside their box, so that levels of any range go together.

Filters are replaced and never changed in place, so a caller that holds old ones can return to them. Errors stay on the
device until `host` reads them; a step and an error launch work and wait for nothing.
"""

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
from csd.training.record import padded


class _OnDevice:
    """A descent whose filters, data and errors are tensors on one device.

    Args:
        device: of the tensors.
        filters: w.
        rates: η.
        exact: K*.
        root_weight: ρ of the error.
    """

    def __init__(self, device: torch.device, filters: Any, rates: Array, exact: Array, root_weight: Array) -> None:
        self.filters, self.rates, self.exact, self.root_weight = (
            torch.tensor(array, device=device) for array in (filters, rates, exact, root_weight)
        )

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        kept = torch.as_tensor(seeds, device=self.filters.device)
        self.filters = self.filters[kept]
        self.rates = self.rates[kept] if len(self.rates) > 1 else self.rates

    def snapshot(self) -> dict[str, Any]:
        """The filters, copied to the host."""
        return {"filters": self.filters.cpu().numpy()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the filters of a snapshot."""
        self.filters = torch.tensor(snapshot["filters"], device=self.filters.device)


class ModesOnDevice(_OnDevice):
    """Descent of every mode alone.

    Args:
        descent: on the CPU.
        device: of the tensors.
    """

    weights_are = "modes"

    def __init__(self, descent: ModeDescent, device: torch.device) -> None:
        super().__init__(device, descent.filters, descent.rates, descent.exact, descent.root_weight)
        self.depth = descent.depth

    def advance(self, spectrum: torch.Tensor, target: torch.Tensor | float) -> None:
        """Take one step on (S, T)."""
        self.filters = mode_step(self.filters, spectrum, target, self.rates, self.depth)

    def error(self) -> torch.Tensor:
        """ε of each seed and level."""
        return torch.as_tensor(mode_error(self.filters, self.exact, self.root_weight, self.depth))

    def kernel(self) -> Array | ComplexArray:
        """K = wᵖ."""
        return np.asarray(mode_power(self.filters, self.depth).cpu())

    def weights(self) -> Array | ComplexArray:
        """w."""
        return np.asarray(self.filters.cpu())


class PatchesOnDevice(_OnDevice):
    """Descent of local filters, each level on a box of its own.

    Args:
        descents: on the CPU, one for each range.
        groups: the levels of each.
        device: of the tensors.
    """

    weights_are = "filters"

    def __init__(self, descents: list[PatchDescent], groups: list[NDArray[np.intp]], device: torch.device) -> None:
        first = descents[0]
        self.lattice = lattice = first.lattice
        self.modes = first.modes
        self.tied = first.network.uses == 2
        seeds, levels, channels = len(first.filters), sum(map(len, groups)), first.filters.shape[2:-1]
        filters = np.zeros((seeds, levels, *channels, *lattice.shape))
        rates = np.zeros((len(first.rates), levels, *[1] * len(channels), *lattice.shape))
        spectra = np.empty((levels, len(self.modes)))
        self._boxes: list[Any] = [None] * levels
        for descent, own in zip(descents, groups, strict=True):
            offsets = descent.network.filter_offsets
            for level in own:
                self._boxes[level] = tuple((offsets % lattice.size).T)
            filters[:, own] = place_filters(lattice, descent.filters, offsets)
            rates[:, own] = place_filters(lattice, descent.rates.repeat(len(offsets), axis=-1), offsets)
            spectra[own] = descent.spectra
        halves, weight = lattice.spread(spectra, self.modes), lattice.half_multiplicity
        norm = (weight / halves).sum(axis=lattice.axes, keepdims=True)
        super().__init__(device, filters, rates, 1.0 / halves, np.sqrt(weight * halves / norm))
        place, mirrored = (lattice.shell_of_half, []) if self.modes.isotropic else lattice.pair_of_half
        self._place = torch.tensor(place, device=device)
        self._mirrored = torch.tensor(mirrored, device=device, dtype=torch.int64)
        self._gather = torch.tensor(self.modes.half_index, device=device)

    def _spread(self, values: torch.Tensor) -> torch.Tensor:
        """Values at the modes in the *half* layout."""
        half = values.index_select(-1, self._place)
        if half.is_complex():
            half = half.index_copy(-1, self._mirrored, half.index_select(-1, self._mirrored).conj())
        return half.reshape(*values.shape[:-1], *self.lattice.half_shape)

    def advance(self, spectrum: torch.Tensor, target: torch.Tensor | float) -> None:
        """Take one step on (S, T)."""
        wanted, half = self._spread(target) if isinstance(target, torch.Tensor) else target, self._spread(spectrum)
        self.filters = patch_step(self.lattice, self.filters, half, wanted, self.rates, tied=self.tied)

    def error(self) -> torch.Tensor:
        """ε of each seed and level."""
        return torch.as_tensor(patch_error(self.lattice, self.filters, self.exact, self.root_weight, tied=self.tied))

    def kernel(self) -> Array | ComplexArray:
        """K at the modes."""
        half = patch_kernel(self.lattice, transform(self.lattice, self.filters), tied=self.tied)
        return np.asarray(half.reshape(*half.shape[: -self.lattice.dimension], -1).index_select(-1, self._gather).cpu())

    def weights(self) -> Array:
        """The filters of each level within its box."""
        filters = self.filters.cpu().numpy()
        return padded([[own[level][..., *box].ravel() for level, box in enumerate(self._boxes)] for own in filters])


def on_device(descent: Descent, device: torch.device) -> "ModesOnDevice | PatchesOnDevice":
    """A copy on a device of a descent of full or local networks that has not stepped yet.

    Raises:
        InputError: for a family that defines a descent of its own.
    """
    if isinstance(descent, ModeDescent):
        return ModesOnDevice(descent, device)
    if isinstance(descent, PatchDescent):
        return PatchesOnDevice([descent], [np.arange(len(descent.spectra))], device)
    if isinstance(descent, GroupedDescent):
        return PatchesOnDevice(list(descent.descents), list(descent.groups), device)
    raise InputError(f"device is 'cuda', but {type(descent).__name__} steps on the CPU only; take device cpu")


def host(values: Any) -> Array:
    """Tensors of one shape as one array on the host; only here the host waits for the device."""
    return np.asarray(torch.stack(list(values)).cpu())
