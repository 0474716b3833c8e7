"""Descent of every mode alone: w ← w − η (w*)^{p−1} (S wᵖ − T), and ε = Σ_k C |wᵖ − K*|² / Σ_k C K*².

First the reference, on NumPy and PyTorch arrays alike: `mode_step` and `mode_error`, which are what runs on a device.
Then what is fast on a CPU: `ModeDescent`, the same in blocks and in place. A test holds the two together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.lattice import Array, ComplexArray, Modes
from csd.networks.full import DeepLinear
from csd.networks.linear import sum_of_squares, transform

BLOCK = 2**15
"""Modes stepped at a time: few enough for the cache, enough to hide the calls."""


def mode_step(filters: Any, spectrum: Any, target: Any, rates: Any, depth: int) -> Any:
    """w − η (w*)^{p−1} (S wᵖ − T), nothing changed in place.

    Args:
        filters: w, real or complex, shape (seeds, levels, modes).
        spectrum: S, real, of the same shape or what broadcasts to it.
        target: T, likewise, or a number; complex only where w is.
        rates: η, shape (levels, 1).
        depth: p ≥ 1.
    """
    step = rates * (spectrum * mode_power(filters, depth) - target)
    return filters - (step if depth == 1 else mode_power(filters, depth - 1).conj() * step)


def mode_error(filters: Any, exact: Any, root_weight: Any, depth: int) -> Any:
    """ε = Σ_k ρ² |wᵖ − K*|², ρ² = C / Σ_k C K*², a mode counted as often as it stands for momenta; (seeds, levels).

    Args:
        filters: w, shape (seeds, levels, modes).
        exact: K*, shape (levels, modes).
        root_weight: ρ, same shape.
        depth: p ≥ 1.
    """
    return sum_of_squares(root_weight * (mode_power(filters, depth) - exact))


def mode_power(filters: Any, depth: int) -> Any:
    """wᵖ, p ≥ 1, by repeated multiplication: exact in the same way everywhere."""
    return reduce(mul, [filters] * depth)


def of_full_networks(
    networks: Sequence[DeepLinear],
    modes: Modes,
    spectra: Array,
    rates: Array,
    starts: Sequence[Sequence[Array]],
    *,
    complex_kernel: bool,
) -> "ModeDescent":
    """Descent of balanced layers as wide as the lattice; see `csd.training.descent.families.descent_of`."""
    lattice = networks[0].lattice
    filters = np.stack(
        [[lattice.gather(transform(lattice, start[0]), modes) for start in of_seed] for of_seed in starts]
    )
    return ModeDescent(networks[0].depth, modes, spectra, rates, filters if complex_kernel else filters.real.copy())


def of_exact(modes: Modes, spectra: Array, seeds: int) -> "ModeDescent":
    """One layer that starts at K* and never moves, for some seeds."""
    return ModeDescent(1, modes, spectra, np.zeros(len(spectra)), np.repeat(1.0 / spectra[None], seeds, axis=0))


class ModeDescent:
    """`mode_step` and `mode_error` fused: block by block in the cache, in place, with few passes and no temporaries.

    Args:
        depth: p.
        modes: the momenta.
        spectra: C, shape (levels, modes).
        rates: η, shape (levels,).
        filters: w, real or complex, shape (seeds, levels, modes); changed in place.
    """

    weights_are = "modes"

    def __init__(self, depth: int, modes: Modes, spectra: Array, rates: Array, filters: Array | ComplexArray) -> None:
        self.depth, self.filters = depth, filters
        self.rates = rates[:, None]
        self.exact = 1.0 / spectra
        norm = (modes.multiplicity / spectra).sum(axis=-1, keepdims=True)
        self.root_weight = np.sqrt(modes.multiplicity * spectra / norm)
        self._start: Any = None
        self._divide()

    def _divide(self) -> None:
        """Cut the work into blocks, so that what passes between the operations of a step stays in the cache."""
        self._scratch = np.empty((2, min(BLOCK, self.filters.size)), self.filters.dtype)
        self._blocks = [self._block(*place) for place in blocks(self.filters.shape)]
        self._error: Array | None = None
        self._seen: Any = None
        self._scaled: list[Array] = []

    def _block(self, seeds: slice, levels: slice, modes: slice) -> "Block":
        """The views of one block."""
        filters = self.filters[seeds, levels, modes]
        step, power = (room[: filters.size].reshape(filters.shape) for room in self._scratch)
        # The error is a sum of squares, of real and imaginary parts where there are both.
        root_weight = self.root_weight[levels, modes]
        return Block(
            (seeds, levels, modes),
            filters,
            step,
            power,
            step.view(np.float64),
            self.exact[levels, modes],
            np.repeat(root_weight, 2, axis=-1) if np.iscomplexobj(filters) else root_weight,
            self.rates[levels],
            1.0 + self.rates[levels],
        )

    def advance(self, spectrum: Array, target: Any) -> None:
        """One step on (S, T)."""
        # An error asked for after the last step will be asked for again: computed now, the block is still in the cache.
        error = None if self._error is None else np.zeros(self.filters.shape[:2])
        few_passes = self.depth == 2 and not np.iscomplexobj(self.filters) and np.ndim(target) == 0 and target == 1.0
        if few_passes and spectrum.ndim == 2 and spectrum is not self._seen:
            # A full-batch loss gives the same array at every step, and its product with η is worth keeping.
            self._seen, scaled = spectrum, self.rates * spectrum
            self._scaled = [scaled[block.place[1:]] for block in self._blocks]
        for number, block in enumerate(self._blocks):
            if few_passes:
                self._advance_square(block, spectrum, None if spectrum.ndim == 3 else self._scaled[number])
            else:
                self._advance_power(block, spectrum, target)
            if error is not None:
                self._measure(block, error)
        self._error = error

    def _advance_power(self, block: "Block", spectrum: Array, target: Any) -> None:
        """w ← w − η (w*)^{p−1} (S wᵖ − T)."""
        filters, step = block.filters, block.step
        power = filters if self.depth == 2 else block.power
        if self.depth == 1:
            np.multiply(spectrum[block.place[-spectrum.ndim :]], filters, out=step)
        else:
            if self.depth > 2:
                _power(filters, self.depth - 1, out=power)
            np.multiply(power, filters, out=step)
            step *= spectrum[block.place[-spectrum.ndim :]]
        step -= target if np.ndim(target) == 0 else target[block.place[-np.ndim(target) :]]
        step *= block.rates
        if self.depth > 1:
            step *= power.conj() if np.iscomplexobj(power) else power
        filters -= step

    def _advance_square(self, block: "Block", spectrum: Array, scaled: Array | None) -> None:
        """w ← w (1 + η − η S w²), which is the step for p = 2, T = 1 and a real kernel, in fewer passes."""
        filters, step = block.filters, block.step
        if scaled is None:
            np.multiply(spectrum[block.place], block.rates, out=step)
            step *= filters
        else:
            np.multiply(scaled, filters, out=step)
        step *= filters
        np.subtract(block.growth, step, out=step)
        filters *= step

    def closed_form_step(self, spectrum: Array, target: Any, step: int) -> None:
        """Where `step` steps from the start on the same (S, T) lead, for p = 1: w = T/S + (1 − η S)^j (w₀ − T/S)."""
        if self._start is None:
            self._start = self.filters.copy()
        end = target / spectrum
        self.filters[...] = end + (1.0 - self.rates * spectrum) ** step * (self._start - end)
        self._error = None

    def error(self) -> Array:
        """ε of each seed and level."""
        if self._error is None:
            self._error = np.zeros(self.filters.shape[:2])
            for block in self._blocks:
                self._measure(block, self._error)
        return self._error

    def _measure(self, block: "Block", error: Array) -> None:
        """Add what a block contributes to ε."""
        if self.depth == 1:
            np.subtract(block.filters, block.exact, out=block.step)
        else:
            _power(block.filters, self.depth, out=block.step)
            np.subtract(block.step, block.exact, out=block.step)
        np.multiply(block.parts, block.root_weight, out=block.parts)
        error[block.place[:2]] += np.vecdot(block.parts, block.parts)

    def kernel(self) -> Array | ComplexArray:
        """K = wᵖ."""
        kernel: Array | ComplexArray = self.filters.copy()
        if self.depth > 1:
            _power(self.filters, self.depth, out=kernel)
        return kernel

    def weights(self) -> Array | ComplexArray:
        """w."""
        return self.filters.copy()

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop the other seeds."""
        self.filters = self.filters[seeds]
        self._start = None if self._start is None else self._start[seeds]
        self._divide()

    def snapshot(self) -> dict[str, Any]:
        """The filters."""
        return {"filters": self.filters.copy()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go on from these filters."""
        self.filters[...] = snapshot["filters"]
        self._error = None


@dataclass(frozen=True)
class Block:
    """Views of the part of a `ModeDescent` that is worked on at a time.

    Attributes:
        place: where it lies along seeds, levels and modes.
        filters: w, shape (seeds, levels, modes).
        step, power: room for a step and a power of w, same shape.
        parts: the real and imaginary parts in `step`, shape (seeds, levels, modes or twice as many).
        exact: K*, shape (levels, modes).
        root_weight: square root of the weight of |K − K*|² in ε, for each part.
        rates: η, shape (levels, 1).
        growth: 1 + η, same shape.
    """

    place: tuple[slice, slice, slice]
    filters: Any
    step: Any
    power: Any
    parts: Array
    exact: Array
    root_weight: Array
    rates: Array
    growth: Array


def blocks(shape: tuple[int, ...]) -> list[tuple[slice, slice, slice]]:
    """An array of shape (seeds, levels, modes) in parts of `BLOCK` numbers or less, cut along its first axes first.

    How modes are cut depends on their number alone, so that a sum over them does not depend on what else is there.
    """
    sizes = [1, 1, min(BLOCK, shape[2])]
    sizes[1] = min(shape[1], BLOCK // sizes[2])
    sizes[0] = min(shape[0], BLOCK // (sizes[1] * sizes[2])) if sizes[1] == shape[1] else 1
    cuts = [
        [slice(start, min(start + size, full)) for start in range(0, full, size)]
        for size, full in zip(sizes, shape, strict=True)
    ]
    return list(product(*cuts))


def _power(filters: Any, exponent: int, out: Any) -> None:
    """wⁿ, n ≥ 2, by repeated multiplication: faster than a general power, and exact in the same way everywhere."""
    np.multiply(filters, filters, out=out)
    for _ in range(exponent - 2):
        out *= filters
