"""Descent of every mode alone: w ← w − η (w*)^{p−1} (S wᵖ − T), and ε = Σ_k C |wᵖ − K*|² / Σ_k C K*².

`mode_step` and `mode_error` are the reference, for NumPy and PyTorch arrays alike; they run on devices. `ModeDescent`
is the fast form for a CPU: the same step block by block and in place. A test compares both.
"""

from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csd.lattice import Array, ComplexArray, Modes
from csd.networks.linear import sum_of_squares

BLOCK = 2**15
"""Numbers stepped at a time: few enough for the cache, enough to hide the calls."""


def mode_step(filters: Any, spectrum: Any, target: Any, rates: Any, depth: int) -> Any:
    """w − η (w*)^{p−1} (S wᵖ − T), as a new array.

    Args:
        filters: w, real or complex, shape (seeds, levels, modes).
        spectrum: S, real, of the same shape or broadcasting to it.
        target: T, of the same shape or broadcasting to it, or a number; complex only where w is.
        rates: η, shape (levels, 1) or (seeds, levels, 1).
        depth: p ≥ 1.
    """
    step = rates * (spectrum * mode_power(filters, depth) - target)
    return filters - (step if depth == 1 else mode_power(filters, depth - 1).conj() * step)


def mode_error(filters: Any, exact: Any, root_weight: Any, depth: int) -> Any:
    """ε = Σ_k ρ² |wᵖ − K*|², ρ² = multiplicity × C / Σ_k C K*²; shape (seeds, levels).

    Args:
        filters: w, shape (seeds, levels, modes).
        exact: K*, shape (levels, modes).
        root_weight: ρ, same shape.
        depth: p ≥ 1.
    """
    return sum_of_squares(root_weight * (mode_power(filters, depth) - exact))


def mode_power(filters: Any, depth: int) -> Any:
    """wᵖ, p ≥ 1, by repeated multiplication, which rounds alike everywhere."""
    return reduce(mul, [filters] * depth)


class ModeDescent:
    """`mode_step` and `mode_error` fused: block by block in the cache, in place, with few passes and no temporaries.

    Args:
        depth: p.
        modes: the momenta.
        spectra: C, shape (levels, modes).
        rates: η, shape (levels,) or (seeds, levels).
        filters: w, real or complex, shape (seeds, levels, modes); changed in place.
    """

    weights_are = "modes"

    def __init__(self, depth: int, modes: Modes, spectra: Array, rates: Array, filters: Array | ComplexArray) -> None:
        self.depth, self.filters = depth, filters
        # Of all seeds, or of each.
        self.rates = rates.reshape(-1, len(spectra), 1)
        self.exact = 1.0 / spectra
        norm = (modes.multiplicity / spectra).sum(axis=-1, keepdims=True)
        self.root_weight = np.sqrt(modes.multiplicity * spectra / norm)
        self._start: Any = None
        self._divide()

    def _divide(self) -> None:
        """Divide the work into blocks, so that intermediate results of a step stay in the cache."""
        self._scratch = np.empty((2, min(BLOCK, self.filters.size)), self.filters.dtype)
        self._blocks = [self._block(*place) for place in blocks(self.filters.shape)]
        self._error: Array | None = None
        self._seen: Any = None
        self._scaled: list[Array] = []

    def _block(self, *place: slice) -> "Block":
        """The views of one block."""
        filters, (seeds, levels, modes) = self.filters[place], place
        step, power = (room[: filters.size].reshape(filters.shape) for room in self._scratch)
        # The error is a sum of squares, of real and imaginary parts where there are both.
        weight = np.repeat(self.root_weight[levels, modes], 2 if np.iscomplexobj(filters) else 1, axis=-1)
        rates, exact = self.rates[self._own(seeds), levels], self.exact[levels, modes]
        return Block((seeds, levels, modes), filters, step, power, step.view(float), exact, weight, rates, 1.0 + rates)

    def _own(self, seeds: slice) -> slice:
        """The place of the rates of some seeds."""
        return seeds if len(self.rates) > 1 else slice(None)

    def advance(self, spectrum: Array, target: Any) -> None:
        """Take one step on (S, T)."""
        # If the error was read after the last step, it is read after this one: computed now, a block is in the cache.
        error = None if self._error is None else np.zeros(self.filters.shape[:2])
        few_passes = self.depth == 2 and not np.iscomplexobj(self.filters) and np.ndim(target) == 0 and target == 1.0
        if few_passes and spectrum.ndim == 2 and spectrum is not self._seen:
            # A full-batch loss has the same array at every step; its product with η is kept.
            self._seen, scaled = spectrum, self.rates * spectrum
            self._scaled = [scaled[self._own(block.place[0]), *block.place[1:]] for block in self._blocks]
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
        spectrum = spectrum[block.place[-spectrum.ndim :]]
        if self.depth == 1:
            np.multiply(spectrum, filters, out=step)
        else:
            power = _power(filters, self.depth - 1, out=block.power)
            np.multiply(power, filters, out=step)
            step *= spectrum
        step -= target if np.ndim(target) == 0 else target[block.place[-np.ndim(target) :]]
        step *= block.rates
        if self.depth > 1:
            step *= power.conj() if np.iscomplexobj(power) else power
        filters -= step

    def _advance_square(self, block: "Block", spectrum: Array, scaled: Array | None) -> None:
        """w ← w (1 + η − η S w²), the step for p = 2, T = 1 and a real kernel, in fewer passes."""
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
        """Take j steps from the start on the same (S, T), for p = 1: w = T/S + (1 − η S)^j (w₀ − T/S)."""
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
        """Add the contribution of a block to ε."""
        power = _power(block.filters, self.depth, out=block.step)
        np.subtract(power, block.exact, out=block.step)
        np.multiply(block.parts, block.root_weight, out=block.parts)
        error[block.place[:2]] += np.vecdot(block.parts, block.parts)

    def kernel(self) -> Array | ComplexArray:
        """K = wᵖ."""
        return np.asarray(mode_power(self.filters.copy(), self.depth))

    def weights(self) -> Array | ComplexArray:
        """w."""
        return self.filters.copy()

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        self.filters = self.filters[seeds]
        self.rates = self.rates[seeds] if len(self.rates) > 1 else self.rates
        self._start = None if self._start is None else self._start[seeds]
        self._divide()

    def snapshot(self) -> dict[str, Any]:
        """The filters."""
        return {"filters": self.filters.copy()}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the filters of a snapshot."""
        self.filters[...] = snapshot["filters"]
        self._error = None


@dataclass(frozen=True)
class Block:
    """Views of one block of a `ModeDescent`.

    Attributes:
        place: its seeds, levels and modes.
        filters: w, shape (seeds, levels, modes).
        step, power: buffers for a step and a power of w, same shape.
        parts: the real and imaginary parts in `step`, shape (seeds, levels, modes or twice as many).
        exact: K*, shape (levels, modes).
        root_weight: ρ of the error, for each part.
        rates: η, shape (seeds or 1, levels, 1).
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
    """Divide an array of shape (seeds, levels, modes) into blocks of at most `BLOCK` numbers, by its first axes first.

    The division of the modes depends on their number alone, so that sums over them round alike for any other shape.
    """
    sizes = [1, 1, min(BLOCK, shape[2])]
    sizes[1] = min(shape[1], BLOCK // sizes[2])
    sizes[0] = min(shape[0], BLOCK // (sizes[1] * sizes[2])) if sizes[1] == shape[1] else 1
    cuts = [
        [slice(start, min(start + size, full)) for start in range(0, full, size)]
        for size, full in zip(sizes, shape, strict=True)
    ]
    return list(product(*cuts))


def _power(filters: Any, exponent: int, out: Any) -> Any:
    """wⁿ, n ≥ 1, by repeated multiplication in `out`; w itself for n = 1."""
    if exponent == 1:
        return filters
    np.multiply(filters, filters, out=out)
    for _ in range(exponent - 2):
        out *= filters
    return out
