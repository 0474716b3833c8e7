"""Held-out fields with their exact scores, as a training takes them from a file of `csd scores`.

A file of Monte Carlo scores holds two estimates ŝ_A and ŝ_B that are independent given the field. Scores in closed form
are exact, and both are the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.core.errors import InputError, exactly
from csd.core.files import SCORES, Content, content_of, read_content
from csd.core.paths import expanded
from csd.lattice import Array
from csd.targets.noising import NoisedTarget

if TYPE_CHECKING:
    import xarray as xr

MOST_FIELDS = 512
"""The most fields, the first ones of a file, on which networks are measured."""
SAME = 1e-9
"""Relative difference up to which two noise levels or amplitudes are the same."""
NUMBERS = tuple(f"linear_{of}_error{end}" for of in ("score", "zero_mode") for end in ("", "_error"))
"""Numbers of a file of Monte Carlo scores that training files repeat."""


@dataclass(frozen=True, eq=False)
class ScoredFields:
    """Held-out fields at T noise levels with their exact scores.

    Attributes:
        name: of the file, for messages.
        about: the attributes of the file.
        levels: noise levels, shape (T,).
        amplitudes: α and σ² at each of them, shape (2, T).
        clean: x₀, shape (fields, n, *lattice.shape).
        fields: x_t, shape (T, fields, n, *lattice.shape).
        halves: ŝ_A and ŝ_B, shape (T, 2, fields, n, *lattice.shape); (T, 1, …) of exact scores.
        numbers: those of `NUMBERS`, shape (T,) each; empty where scores are in closed form.
    """

    name: str
    about: Mapping[str, Any]
    levels: Array
    amplitudes: Array
    clean: Any
    fields: Any
    halves: Any
    numbers: Mapping[str, Array]

    @classmethod
    def read(cls, given: "xr.Dataset | str | Path") -> "ScoredFields":
        """The fields of a file, or of a Dataset that `csd.scores` returned.

        Raises:
            InputError: if it is no file of scores, or its scores have errors, but not the halves that these are of.
        """
        if isinstance(given, str | Path):
            name, content = str(given), read_content(expanded(given), SCORES)
        else:
            name, kind = "scores", getattr(given, "attrs", {}).get("csd_file")
            if kind != SCORES:
                what = type(given).__name__ if kind is None else f"a {kind} Dataset"
                raise InputError(
                    f"scores is {what}; give the Dataset that csd.scores() returned, or the path of its file"
                )
            content = content_of(given)
        return cls._of(content, name)

    @classmethod
    def _of(cls, content: Content, name: str) -> "ScoredFields":
        """The fields of the content of a file."""
        if "score_error" in content and "half_score" not in content:
            raise InputError(
                f"{name}: its scores have errors, but it holds no half_score, without which errors of networks come out"
                " too large; make it again with csd scores"
            )
        levels = content["noise_level"].values.astype(float)
        halves = content["half_score"].values if "half_score" in content else content["score"].values[:, None]
        amplitudes = np.stack([content[one].values.astype(float) for one in ("signal", "noise_variance")])
        numbers = {one: content[one].values.astype(float) for one in NUMBERS if one in content}
        arrays = (content["clean"].values, content["field"].values, halves)
        return cls(name, content.attrs, levels, amplitudes, *arrays, numbers)

    @cached_property
    def digest(self) -> str:
        """A hash of levels, fields and scores."""
        hashed = blake2b(digest_size=16)
        for array in (self.levels, self.amplitudes, self.fields, self.halves, *self.numbers.values()):
            hashed.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return hashed.hexdigest()

    @property
    def components(self) -> int:
        """n."""
        return int(self.clean.shape[1])

    def places(self, noised: NoisedTarget, *, some: bool = False) -> list[int | None]:
        """The place of each noise level of a training in the file; None for one that it lacks.

        Args:
            noised: the target at its noise levels.
            some: whether one level in the file suffices, as it does for a network of all levels.

        Raises:
            InputError: if the lattice, a noise level or the noise is another one.
        """
        lattice, shape = noised.lattice, self.clean.shape[2:]
        if shape != lattice.shape:
            raise InputError(
                f"{self.name}: its fields are on a lattice of shape {shape}, those of the training on {lattice.shape};"
                " both must be the same"
            )
        found: list[int | None] = []
        for level, amplitudes in zip(noised.levels, zip(noised.signals, noised.variances, strict=True), strict=True):
            place = np.flatnonzero(np.isclose(self.levels, level, rtol=SAME, atol=0.0))
            found.append(int(place[0]) if len(place) else None)
            if len(place) and not np.allclose(self.amplitudes[:, place[0]], amplitudes, rtol=SAME, atol=0.0):
                raise InputError(
                    f"{self.name}: its noise is {self.about.get('schedule')}, that of the training"
                    f" {type(noised.schedule).__name__}; both must be the same"
                )
        missing = [level for level, place in zip(noised.levels, found, strict=True) if place is None]
        if len(missing) == len(found) or (missing and not some):
            held, needed = (" ".join(map(exactly, levels)) for levels in (self.levels, noised.levels))
            one_of = "one or more of " if some else ""
            raise InputError(
                f"{self.name}: it holds scores at noise levels {held}, but not at {exactly(missing[0])}, at which the"
                f" training is measured; make it with {one_of}--noise-level {needed}"
            )
        return found
