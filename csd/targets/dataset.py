"""A target given by fields alone: the decorrelated fields of a Monte Carlo file, and the spectrum of its long run.

There is no closed form at finite n. But the loss of a translation-invariant linear network depends on the fields only
through their power spectrum, so the best network is K = 1/(α² S + σ²) with the true S, whatever the distribution. Here
S is that of the long run, whose error is in the file. Networks are trained on the M stored fields, whose own spectrum
scatters about S.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from math import pi, sin, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, Content, read_content
from csd.lattice import Array, Lattice, Modes
from csd.lattice.observables import first_shell, susceptibility
from csd.targets.base import Spec, lattice_of

FLATTEST = 1e-2
"""Smallest S(0)/S(k₁) − 1 that defines a correlation length."""


@dataclass(frozen=True, eq=False)
class MeasuredField:
    """Fields of an interacting target, each component one scalar field (n independent ones share a spectrum).

    Args:
        lattice: where they live.
        data: shape (M, *lattice.shape).
        spectrum: S of the long run at the lattice's *shells*.
        file: path of their file; '' for fields that are in no file.
    """

    lattice: Lattice
    data: Array
    spectrum: Array
    file: str = ""

    @classmethod
    def from_content(cls, content: Content, file: str) -> "MeasuredField":
        """The fields of a Monte Carlo file that has been read.

        Raises:
            InputError: if the file holds no fields, or numbers that are not finite.
        """
        if "fields" not in content:
            raise InputError(f"{file}: it holds no fields; make it with csd mcmc --fields M")
        lattice = lattice_of(content.attrs)
        fields = np.asarray(content["fields"].values, dtype=float)
        if not np.isfinite(fields).all():
            raise InputError(f"{file}: a field holds numbers that are not finite; make the file again")
        return cls(lattice, fields.reshape(-1, *lattice.shape), np.asarray(content["power_spectrum"].values), file)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "MeasuredField":
        """The fields of the file in the spec, if their digest is that of the spec."""
        file, digest = str(spec["data"]), str(spec["data_digest"])
        made = cls.from_content(read_content(Path(file), ENSEMBLE), file)
        if made.digest != digest:
            raise InputError(f"{file}: its fields have changed, their digest is {made.digest}, not {digest}")
        return made

    def spec(self) -> Spec:
        """The file, if there is one, and the digest of the fields."""
        lattice, file = self.lattice, {"data": self.file} if self.file else {}
        about = {"target": "data", "dimension": lattice.dimension, "size": lattice.size}
        return {**about, **file, "data_digest": self.digest}

    @cached_property
    def mass(self) -> float:
        """1/ξ with the second-moment ξ = sqrt(S(0)/S(k₁) − 1) / (2 sin(π/L)); it sets scales of length only."""
        shells = self.lattice.shells
        ratio = float(susceptibility(shells, self.spectrum) / (self.spectrum @ first_shell(self.lattice, shells))) - 1.0
        return 2.0 * sin(pi / self.lattice.size) / sqrt(max(ratio, FLATTEST))

    @cached_property
    def digest(self) -> str:
        """Hash of the fields and the spectrum."""
        return blake2b(self.data.tobytes() + self.spectrum.tobytes(), digest_size=16).hexdigest()

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        """(distinct values of k̂², mean S over the momenta of each)."""
        shells = self.lattice.shells
        values, place = np.unique(np.round(shells.laplacian, 9), return_inverse=True)
        weight = np.bincount(place, weights=shells.multiplicity)
        return values, np.bincount(place, weights=shells.multiplicity * self.spectrum) / weight

    def propagator(self, laplacian: Array) -> Array:
        """S at the lattice's values of k̂²; the few shells that share a value by accident have their mean."""
        values, spectrum = self._table
        return spectrum[np.searchsorted(values, np.round(laplacian, 9) - 1e-10)]

    def empirical_spectrum(self, modes: Modes) -> Array:
        """Power spectrum of the M fields, shape (modes,)."""
        return self.lattice.gather(self.lattice.power_spectrum(self.data).mean(axis=0), modes)

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """`count` fields drawn with replacement and given random signs; shape (count, *lattice.shape)."""
        chosen = self.data[generator.integers(len(self.data), size=count)]
        signs = generator.choice([-1.0, 1.0], size=count)
        return chosen * signs.reshape(-1, *(1,) * self.lattice.dimension)
