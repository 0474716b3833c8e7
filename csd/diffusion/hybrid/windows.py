"""Windows of the noise level, and the grid of the networks that serve one each.

The network at a noise level t makes the step from t to the next lower level, so a window from T1 to T2 has the levels

    T1 < t ≤ T2,

and the lowest window has T1 too. Windows join where the T1 of one is the T2 of the next. The grid consists of the
noise levels of each training in its window. A conditioned network, which takes any t, has in its window the levels of a
geometric grid between the ends of all windows, so that cutting a window in two does not change the grid.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite
from typing import TypeVar

import numpy as np

from csd.core.errors import InputError, exactly, number_in
from csd.diffusion.grids import GRID_STEPS, geometric_grid
from csd.lattice import Array

SLACK = 1e-6
"""Noise levels are compared to six digits, as `csd show` prints them."""
FORM = "FILE:T1:T2, a training file and the noise levels T1 < T2 between which its networks are used"
"""How a window is written, in words."""


@dataclass(frozen=True)
class Window:
    """The noise levels T1 < t ≤ T2 that the networks of one training serve.

    Attributes:
        low: T1, 0 for the lowest level of the training.
        high: T2, infinite for its highest level.
    """

    low: float = 0.0
    high: float = inf

    def __post_init__(self) -> None:
        for name, value in (("T1", self.low), ("T2", self.high)):
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not value >= 0.0:
                raise InputError(f"{name} is {value!r}; it must be a noise level, 0 or inf")
        if not self.low < self.high:
            raise InputError(f"T1 is {exactly(self.low)}, T2 is {exactly(self.high)}; T1 must be below T2")

    def __str__(self) -> str:
        return f"{exactly(self.low)}:{exactly(self.high)}"


WHOLE = Window()
"""All noise levels of a training."""


def requested(windows: Iterable[tuple[str, Window]]) -> list[list[str]]:
    """What a request says of the trainings of a hybrid, from the digest and the window of each, in any order."""
    falling = sorted(windows, key=lambda one: one[1].low, reverse=True)
    return [[training, str(window)] for training, window in falling]


def window_in(text: str) -> tuple[str, Window]:
    """The file and the window of a text FILE:T1:T2; the name of the file may contain colons.

    Raises:
        InputError: if the text is of another form.
    """
    file, *ends = text.rsplit(":", 2)
    if len(ends) < 2 or not file:
        raise InputError(f"{text!r} is no window; give {FORM}")
    try:
        low, high = (number_in(end.strip(), float) for end in ends)
    except ValueError as error:
        raise InputError(f"{text!r} is no window, as {':'.join(ends)!r} are not two numbers; give {FORM}") from error
    try:
        return file, Window(low, high)
    except InputError as error:
        raise InputError(f"{text!r} is no window: {error}") from error


@dataclass(frozen=True)
class Served:
    """The noise levels of a training, and the window that its networks serve.

    Attributes:
        name: of the training, for messages; '' where it is the only one.
        window: the window.
        levels: at which the networks were trained.
        conditioned: whether one network serves all levels, and any between them.
        sweep: of a study whose job the training is, for messages; '' where it is a file.
    """

    name: str
    window: Window
    levels: tuple[float, ...]
    conditioned: bool
    sweep: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.window})" if self.sweep else f"{self.name}:{self.window}"

    @property
    def holder(self) -> str:
        """What holds the noise levels, for messages."""
        return self.sweep or "the file"

    @property
    def keys(self) -> tuple[str, str]:
        """The names of the ends of the window, for messages."""
        return ("t_min", "t_max") if self.sweep or not self.name else ("T1", "T2")

    @property
    def ends(self) -> tuple[float, float]:
        """T1 and T2, the lowest and the highest trained level in the place of 0 and ∞.

        Raises:
            InputError: if an end is outside the trained levels.
        """
        low, high = self.window.low or min(self.levels), self.window.high
        high = high if isfinite(high) else max(self.levels)
        if low < min(self.levels) * (1.0 - SLACK) or high > max(self.levels) * (1.0 + SLACK):
            which, value = (0, low) if low < min(self.levels) else (1, high)
            words = f"{self.keys[which]} is {value:g}, but {self.covered}; train on levels that cover the grid"
            raise InputError(f"{self.where}{words}")
        return low, high

    @property
    def covered(self) -> str:
        """The range of its noise levels in words."""
        return f"{self.holder}'s noise levels go from {min(self.levels):g} to {max(self.levels):g}"

    @property
    def where(self) -> str:
        """The beginning of a message about it; '' where it is the only one."""
        return f"{self}: " * bool(self.name)


P = TypeVar("P", bound=Served)


def from_the_top(parts: Sequence[P]) -> list[P]:
    """The parts in the order of their windows, from the highest down.

    Raises:
        InputError: if windows overlap, or leave a gap.
    """
    falling = sorted(parts, key=lambda part: (part.window.high, part.window.low), reverse=True)
    for above, below in pairwise(falling):
        gap = above.window.low - below.window.high
        if abs(gap) > SLACK * above.window.low:
            what = "leave a gap" if gap > 0.0 else "overlap"
            words = f"{below.keys[1]} of the lower must be {above.keys[0]} of the upper"
            raise InputError(f"the windows {below} and {above} {what}; {words}")
    return falling


def served_levels(parts: Sequence[Served], steps: int | None = None) -> list[Array]:
    """The levels of the grid that each part serves, falling.

    Args:
        parts: as `from_the_top` has ordered them.
        steps: of the geometric grid of conditioned networks.

    Raises:
        InputError: if the file of a window does not cover it, or has no level in it; if all have fewer than two; or if
            `steps` is given for networks that serve one level each.
    """
    if steps is not None and not any(part.conditioned for part in parts):
        raise InputError(
            f"steps is {steps}, but the networks serve one noise level each, and these levels are the grid;"
            " leave steps out"
        )
    if len(parts) == 1 and len(parts[0].levels) < 2:
        raise InputError(
            f"{parts[0].where}{parts[0].holder} holds one noise level; reverse diffusion needs a grid of at least two"
        )
    ends = [part.ends for part in parts]
    of_any = any(part.conditioned for part in parts)
    whole = geometric_grid(ends[-1][0], ends[0][1], steps or GRID_STEPS) if of_any else np.empty(0)
    found = []
    for part, (low, high) in zip(parts, ends, strict=True):
        own = whole if part.conditioned else np.sort(np.array(part.levels))[::-1]
        least = low * (1.0 - SLACK if part is parts[-1] else 1.0 + SLACK)
        inside = own[(own >= least) & (own <= high * (1.0 + SLACK))]
        if len(parts) == 1 and len(inside) < 2:
            words = f"fewer than two of {part.holder}'s noise levels lie between {low:g} and {high:g}"
            raise InputError(f"{part.where}{words}; {part.covered}")
        if not len(inside):
            of = "the geometric grid" if part.conditioned else part.holder
            raise InputError(f"{part}: no noise level of {of} lies in this window; widen it, or give finer levels")
        found.append(inside)
    return found
