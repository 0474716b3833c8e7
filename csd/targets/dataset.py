"""Targets given by fields alone: the decorrelated fields of a Monte Carlo file, or any array of fields.

There is no closed form. But the loss of a translation-invariant linear network depends on the fields only through their
mean μ and their power spectrum S, so the best network is s = −K∗(x − α μ), K = 1/(α² S + σ²), whatever the
distribution.

    MeasuredField   M fields of a Monte Carlo file; S is that of its long run, and μ = 0 by symmetry
    FieldSet        M training fields, whose mean is μ, and M′ held-out fields, whose spectrum is S

Networks are trained on the M fields, whose own spectrum scatters about S.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from math import pi, sin, sqrt
from pathlib import Path
from typing import Any, Self

import numpy as np

from csd.core.errors import InputError
from csd.core.files import ENSEMBLE, Content, read_content
from csd.lattice import Array, Lattice, Modes
from csd.lattice.arrays import StoredFields, fields_between, open_fields, pieces_of
from csd.lattice.observables import first_shell, susceptibility
from csd.targets.base import Spec, lattice_of
from csd.targets.options import KNOWN

FLATTEST, STEEPEST = 1e-2, 1e12
"""Smallest and largest S(0)/S(k₁) − 1 that define a correlation length."""
IN_MEMORY = 2**28
"""Bytes of fields, as float64, that are held in memory; more are read when they are needed."""
HELD_OUT_SHARE = 5
"""One of so many fields is held out."""
BLOCKS = 20
"""The most blocks of held-out fields."""
FEWEST = 2
"""Fields of which a spectrum about their mean can be measured."""


class KnownByFields(ABC):
    """A target that draws its samples from given fields, and whose spectrum is measured."""

    lattice: Lattice
    data: Any
    components: int
    symmetric: bool = True
    """Whether −φ is as probable as φ; drawn fields then have random signs."""

    @property
    @abstractmethod
    def shell_spectrum(self) -> Array:
        """S averaged over the momenta of each of the lattice's *shells*, shape (shells,)."""

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        """(distinct values of k̂², mean S over the momenta of each)."""
        shells = self.lattice.shells
        values, place = np.unique(np.round(shells.laplacian, 9), return_inverse=True)
        weight = np.bincount(place, weights=shells.multiplicity)
        return values, np.bincount(place, weights=shells.multiplicity * self.shell_spectrum) / weight

    def propagator(self, laplacian: Array) -> Array:
        """S at the lattice's values of k̂², averaged over all momenta that share one."""
        values, spectrum = self._table
        return spectrum[np.searchsorted(values, np.round(laplacian, 9) - 1e-10)]

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """`count` fields drawn with replacement, with random signs if `symmetric`; shape (count, *lattice.shape)."""
        chosen = np.asarray(self.data[generator.integers(len(self.data), size=count)], dtype=float)
        if not self.symmetric:
            return chosen
        signs = generator.choice([-1.0, 1.0], size=count)
        return chosen * signs.reshape(-1, *(1,) * self.lattice.dimension)


def _inverse_length(lattice: Lattice, modes: Modes, spectrum: Array) -> float:
    """1/ξ with the second-moment ξ = sqrt(S(0)/S(k₁) − 1) / (2 sin(π/L)); S(0)/S(k₁) − 1 is kept between bounds."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(susceptibility(modes, spectrum) / (spectrum @ first_shell(lattice, modes))) - 1.0
    return 2.0 * sin(pi / lattice.size) / sqrt(min(max(FLATTEST, ratio), STEEPEST))


@dataclass(frozen=True, eq=False)
class MeasuredField(KnownByFields):
    """Fields of an interacting target, each component one scalar field (n independent ones share a spectrum).

    Args:
        lattice: where they live.
        data: shape (M, *lattice.shape), the components of a configuration one after the other.
        spectrum: S of the long run at the lattice's *shells*.
        file: path of their file; '' for fields that are in no file.
        components: n of a configuration.
        hamiltonian: spec of the target of the Markov chains; empty if it is not known.
        spectrum_error: standard error of S, same shape; None if it is not known.
        estimates: (value, standard error) of observables of the long run, by their names in the file.
    """

    lattice: Lattice
    data: Array
    spectrum: Array
    file: str = ""
    components: int = 1
    hamiltonian: Mapping[str, Any] = field(default_factory=dict)
    spectrum_error: Array | None = None
    estimates: Mapping[str, tuple[float, float]] = field(default_factory=dict)

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
        flat, count = fields.reshape(-1, *lattice.shape), int(content.attrs.get("components", 1))
        spectrum, error = (np.asarray(content[f"power_spectrum{part}"].values) for part in ("", "_error"))
        names, values, errors = (content[name].values.ravel() for name in ("observable", "mean", "error"))
        estimates = {str(name): (one, own) for name, one, own in zip(names, values, errors, strict=True)}
        return cls(lattice, flat, spectrum, file, count, content.attrs, error, estimates)

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
        about = {"target": "data", "dimension": self.lattice.dimension, "size": self.lattice.size}
        return {**about, **({"data": self.file} if self.file else {}), "data_digest": self.digest}

    @property
    def couplings(self) -> str:
        """The couplings of the Hamiltonian as files of trainings record them; '' if it is not known."""
        return ", ".join(f"{name} {self.hamiltonian[name]}" for name in KNOWN if name in self.hamiltonian)

    @property
    def shell_spectrum(self) -> Array:
        """S of the long run."""
        return self.spectrum

    @cached_property
    def mass(self) -> float:
        """1/ξ of the second moment; it sets scales of length only."""
        return _inverse_length(self.lattice, self.lattice.shells, self.spectrum)

    @cached_property
    def digest(self) -> str:
        """Hash of the fields and the spectrum."""
        return blake2b(self.data.tobytes() + self.spectrum.tobytes(), digest_size=16).hexdigest()

    def empirical_spectrum(self, modes: Modes) -> Array:
        """Power spectrum of the M fields, shape (modes,)."""
        return self.lattice.gather(self.lattice.power_spectrum(self.data).mean(axis=0), modes)


@dataclass(frozen=True, eq=False)
class FieldSet(KnownByFields):
    """Fields of a distribution of which nothing else is known, some to learn from and some held out.

    Arrays may be memory maps or read their file when they are indexed: `len`, `shape`, `dtype`, slices and arrays of
    integers are used, in pieces of bounded size.

    Args:
        lattice: where the fields live.
        data: the training fields, shape (M, *lattice.shape), the components of a configuration one after the other.
        held_out: further fields, with which networks and samples are compared; shape (M′, *lattice.shape).
        known: couplings of the fields' Hamiltonian. It has the symmetry of the lattice, so that S is averaged over
            rotations and reflections, and without a `source` that of the sign, so that μ = 0.
        file: path of their file; '' for fields that are in no file.
        key: name of the array in the file; '' if the file holds one.
        components: n of a configuration.

    Raises:
        InputError: if the shapes differ from the lattice's, or there are too few fields.
    """

    lattice: Lattice
    data: Any
    held_out: Any
    known: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    key: str = ""
    components: int = 1

    def __post_init__(self) -> None:
        for name, fields in (("training", self.data), ("held-out", self.held_out)):
            if tuple(fields.shape[1:]) != self.lattice.shape or len(fields) < FEWEST:
                raise InputError(
                    f"{self.said}the {name} fields have shape {tuple(fields.shape)};"
                    f" it must be (M, {', '.join(map(str, self.lattice.shape))}) with M of at least {FEWEST}"
                )

    @classmethod
    def split(
        cls,
        lattice: Lattice,
        fields: Any,
        *,
        known: Mapping[str, Any] | None = None,
        file: str = "",
        key: str = "",
        components: int = 1,
    ) -> Self:
        """Hold out the last fifth of the fields, in their order: neighbours along a Markov chain are alike.

        Args:
            lattice: where the fields live.
            fields: shape (M + M′, *lattice.shape).
            known: couplings of their Hamiltonian.
            file: path of their file.
            key: name of the array in the file.
            components: n of a configuration, whose components follow each other and are not separated.

        Raises:
            InputError: if there are fewer than four fields, or their shape differs from the lattice's.
        """
        cut = trained_count(len(fields), components, file)
        parts = (fields_between(fields, 0, cut), fields_between(fields, cut, len(fields)))
        return cls(lattice, *parts, known or {}, file, key, components)

    @classmethod
    def of_stored(cls, fields: StoredFields, known: Mapping[str, Any], file: str = "", key: str = "") -> Self:
        """The set of the fields of a file or an array, which are held in memory if they are few; as for `split`."""
        kept = fields[:] if 8 * int(np.prod(fields.shape)) <= IN_MEMORY else fields
        return cls.split(fields.lattice, kept, known=known, file=file, key=key, components=fields.components)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """The fields of the file in the spec, or of an array in the place of the path, if they have its digest."""
        source, key, digest = spec["data"], str(spec.get("data_key", "")), str(spec["data_digest"])
        fields = open_fields(source, key, dimension=int(spec["dimension"]), size=int(spec["size"]))
        known = {name: spec[name] for name in KNOWN if name in spec}
        # Training files name the components of fields whose couplings are not known.
        known = {} if known.keys() == {"components"} else known
        made = cls.of_stored(fields, known, str(source) if isinstance(source, str | Path) else "", key)
        if made.digest != digest:
            raise InputError(f"{fields.name}: its fields have changed, their digest is {made.digest}, not {digest}")
        return made

    def spec(self) -> Spec:
        """The file, if there is one, the digest of the fields, and what is known of them."""
        lattice, named = self.lattice, {"data": self.file, "data_key": self.key}
        about = {"target": "fields", "dimension": lattice.dimension, "size": lattice.size, **self.known}
        return {**about, **{name: value for name, value in named.items() if value}, "data_digest": self.digest}

    @property
    def said(self) -> str:
        """The beginning of an error message: the file, if there is one."""
        return f"{self.file}: " if self.file else ""

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        """Whether −φ is known to be as probable as φ."""
        return bool(self.known) and not self.known.get("source")

    @property
    def isotropic(self) -> bool:
        """Whether *shells* of momenta suffice: in one dimension. Else S of the training fields differs within shells,
        even if that of their distribution does not.
        """
        return self.lattice.dimension == 1

    @cached_property
    def mean(self) -> float:
        """μ of the training fields; 0 if the symmetry of the sign is known."""
        return 0.0 if self.symmetric else float(self._means_and_power[0].mean())

    @cached_property
    def mass(self) -> float:
        """1/ξ of the second moment of the training fields; it sets scales of length only."""
        modes = self.lattice.pairs
        return _inverse_length(self.lattice, modes, self.empirical_spectrum(modes))

    @cached_property
    def digest(self) -> str:
        """Hash of the training and the held-out fields."""
        hashed = blake2b(digest_size=16)
        for fields in (self.data, self.held_out):
            hashed.update(str(tuple(fields.shape)).encode())
            for piece in pieces_of(fields):
                hashed.update(piece.tobytes())
        return hashed.hexdigest()

    @cached_property
    def _means_and_power(self) -> tuple[Array, Array]:
        """`_measured` of the training fields; an InputError if they are all the same constant."""
        means, power = self._measured(self.data)
        if not power.any() and not np.ptp(means):
            raise InputError(f"{self.said}all training fields are the same constant, so there is nothing to learn")
        return means, power

    def _measured(self, fields: Any) -> tuple[Array, Array]:
        """(mean over the sites of each field, mean over the fields of S(k) in the *half* layout, without S(0)).

        Raises:
            InputError: if a field holds numbers that are not finite.
        """
        lattice, means = self.lattice, []
        power = np.zeros(lattice.half_shape)
        for piece in pieces_of(fields):
            means.append(piece.mean(axis=lattice.axes))
            # A constant is subtracted, so that modes of k ≠ 0 are as accurate as without a mean.
            constant = means[-1].reshape(-1, *[1] * lattice.dimension)
            power += lattice.power_spectrum(piece - constant).sum(axis=0) / len(fields)
        power.ravel()[0] = 0.0
        found = np.concatenate(means)
        if not np.isfinite(power).all():
            raise InputError(f"{self.said}a field holds numbers that are not finite; leave it out")
        return found, power

    def empirical_spectrum(self, modes: Modes) -> Array:
        """S of the training fields about μ, shape (modes,); without bias at k = 0, where μ is their own mean."""
        means, power = self._means_and_power
        lost = 0 if self.symmetric else 1
        whole = power.copy()
        whole.ravel()[0] = self.lattice.sites * ((means - self.mean) ** 2).sum() / (len(means) - lost)
        return self.lattice.gather(whole, modes)

    def spectrum_at(self, modes: Modes) -> Array:
        """S of the held-out fields, shape (modes,); averaged over rotations and reflections where they are known."""
        counts, spectra = self.held_out_blocks(modes)
        return np.asarray(counts @ spectra / counts.sum())

    def held_out_blocks(self, modes: Modes) -> tuple[Array, Array]:
        """Spectra of consecutive held-out fields, from which errors follow even if neighbours are alike.

        Returns:
            Fields of each block, shape (blocks,), and their mean S as `spectrum_at` has it, shape (blocks, modes).
        """
        lattice, (counts, spectra) = self.lattice, self._blocks
        if self.known:
            spectra = lattice.spread(np.stack([self._over_shells(own) for own in spectra]), lattice.shells)
        return counts, lattice.gather(spectra, modes)

    @property
    def shell_spectrum(self) -> Array:
        """S of the held-out fields averaged over the momenta of each of the lattice's *shells*."""
        counts, spectra = self._blocks
        return self._over_shells(np.tensordot(counts, spectra, 1) / counts.sum())

    def _over_shells(self, spectrum: Array) -> Array:
        """The mean over the momenta of each of the lattice's *shells* of S in the *half* layout."""
        lattice = self.lattice
        weights = (lattice.half_multiplicity * spectrum).ravel()
        return np.bincount(lattice.shell_of_half, weights=weights) / lattice.shells.multiplicity

    @cached_property
    def _blocks(self) -> tuple[Array, Array]:
        """The blocks' numbers of fields, and S about 0 or about the mean of all held-out fields, *half* layout."""
        fields = len(self.held_out)
        edges = np.linspace(0, fields, min(BLOCKS, fields) + 1).astype(int).tolist()
        found = [self._measured(fields_between(self.held_out, *ends)) for ends in pairwise(edges)]
        centre, lost = (0.0, 0) if self.symmetric else (float(np.concatenate([own for own, _ in found]).mean()), 1)
        for means, power in found:
            # Without bias at k = 0.
            power.ravel()[0] = self.lattice.sites * ((means - centre) ** 2).mean() * fields / (fields - lost)
        return np.diff(edges).astype(float), np.stack([power for _, power in found])


def held_out_count(fields: int, name: str) -> int:
    """Number of the last fields, of all, that are held out.

    Args:
        fields: number of all.
        name: of their file, for the error; '' for fields that are in no file.

    Raises:
        InputError: if there are fewer than four.
    """
    if fields < 2 * FEWEST:
        raise InputError(
            f"{name + ': ' if name else ''}the number of fields is {fields}; it must be at least {2 * FEWEST}, of which"
            f" {FEWEST} are held out"
        )
    return max(FEWEST, fields // HELD_OUT_SHARE)


def trained_count(fields: int, components: int, name: str) -> int:
    """Number of the first scalar fields that are trained on, the others being held out, whole configurations each.

    Args:
        fields: number of all scalar fields.
        components: n of a configuration.
        name: of their file, as for `held_out_count`.
    """
    return fields - components * held_out_count(fields // components, name)
