"""Scores s(x, t), from which fields are generated: trained, exact or user-written ones.

Any callable of (fields, t) is a score. A linear score, s = −K∗x, may have a method `kernel(t)` that returns K at its
`modes`, shape (…, modes). The distribution that it generates is then known exactly, for many seeds and training steps
at once, and fields are sampled without a transform. Where the fields have a mean μ, s = −K∗(x − α μ).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from csd.core.errors import InputError
from csd.lattice import Array, Lattice, Modes
from csd.targets.base import HasSpectrum, spectrum_of
from csd.targets.noising import Schedule, noised_spectrum


class Score(Protocol):
    """s(x, t); a linear score may also have `modes` and `kernel(t)`, as `SpectralScore` does."""

    def __call__(self, fields: Array, t: float, /) -> Array:
        """s(x, t) for fields x of shape (batch, *lattice), at noise level t; same shape."""


class SpectralScore(ABC):
    """s(x, t) = −K∗(x − α μ) with a known kernel on one lattice.

    Args:
        lattice: where the fields live.
        modes: its *pairs* or *shells*, at which the kernels are given.
    """

    def __init__(self, lattice: Lattice, modes: Modes) -> None:
        self.lattice, self.modes = lattice, modes

    @abstractmethod
    def kernel(self, t: Any) -> Any:
        """K at the modes, real or complex, shape (…, modes); None if the score turns out not to be linear."""

    def centre(self, t: float) -> float:
        """α(t) μ; 0 unless a subclass says otherwise."""
        return 0.0

    def __call__(self, fields: Array, t: float, /) -> Array:
        """−K∗(x − α μ), by FFT.

        Raises:
            InputError: if the score holds several kernels.
        """
        kernel = self.kernel(t)
        if kernel.ndim > 1:
            raise InputError(f"the score holds {kernel.shape[:-1]} kernels; choose one, score[seed, step], to call it")
        centred = fields - centre if (centre := self.centre(t)) else fields
        return self.lattice.inverse(-self.lattice.spread(kernel, self.modes) * self.lattice.transform(centred))


def level_of(levels: Iterable[float], t: Any, what: str) -> float:
    """Return t if it is one of the noise levels.

    Raises:
        InputError: if it is not.
    """
    if t in levels:
        return float(t)
    nearest = min(levels, key=lambda level: abs(level - t))
    raise InputError(f"the score has no {what} at noise level {t:g}; the nearest is at {nearest:g}")


class KernelScore(SpectralScore):
    """A linear score given by its kernels at some noise levels.

    Args:
        lattice: where the fields live.
        modes: its *pairs* or *shells*.
        levels: noise levels, in any order.
        kernels: K at each of them, shape (levels, …, modes).
        means: α μ at each of them, shape (levels,); 0 if None.
    """

    def __init__(
        self, lattice: Lattice, modes: Modes, levels: Iterable[float], kernels: Any, means: Array | None = None
    ) -> None:
        super().__init__(lattice, modes)
        self.kernels, self.means = kernels, means
        self._place = {float(level): place for place, level in enumerate(levels)}

    @property
    def levels(self) -> list[float]:
        """The noise levels, in the order of the kernels."""
        return list(self._place)

    def kernel(self, t: Any) -> Any:
        """K at one of the levels, shape (…, modes).

        Raises:
            InputError: at any other noise level.
        """
        return self.kernels[self._place[level_of(self._place, t, "kernel")]]

    def centre(self, t: float) -> float:
        """α μ at one of the levels."""
        return 0.0 if self.means is None else float(self.means[self._place[level_of(self._place, t, "kernel")]])

    def __getitem__(self, index: Any) -> "KernelScore":
        """The score of some seeds and steps, by indices of an array of shape (…): score[0], score[:, 3], …"""
        inner = index if isinstance(index, tuple) else (index,)
        return KernelScore(self.lattice, self.modes, self._place, self.kernels[(slice(None), *inner)], self.means)


class ExactScore(SpectralScore):
    """The exact score of noised Gaussian fields, K = 1 / C_t, at any noise level.

    For any other distribution of the same mean and spectrum it is the best linear score.

    Args:
        target: the distribution of the fields.
        schedule: α(t) and σ²(t).
        modes: *pairs* or *shells* of the target's lattice.
    """

    def __init__(self, target: HasSpectrum, schedule: Schedule, modes: Modes) -> None:
        super().__init__(target.lattice, modes)
        self.schedule, self.propagator = schedule, spectrum_of(target, modes)
        self.mean = float(getattr(target, "mean", 0.0))

    def kernel(self, t: Any) -> Array:
        """1 / (α² G + σ²); t may be an array of levels that broadcasts with the modes."""
        return 1.0 / noised_spectrum(self.schedule, t, self.propagator)

    def centre(self, t: float) -> float:
        """α(t) μ of the target."""
        return float(self.schedule.signal(t) * self.mean)


def kernels_of(score: Score, levels: Sequence[float] | Array) -> list[Any] | None:
    """K of a score at each noise level, shape (…, modes) each; None if the score has no kernel."""
    kernel = getattr(score, "kernel", None)
    found = [None] if kernel is None else [kernel(float(t)) for t in levels]
    return None if any(own is None for own in found) else found


def modes_of(score: Score, lattice: Lattice) -> Modes:
    """The modes of the kernels of a score; the *pairs* of the lattice for a score without kernels."""
    modes: Modes = getattr(score, "modes", lattice.pairs)
    return modes
