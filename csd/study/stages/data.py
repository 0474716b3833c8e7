"""Fields as the target of a sweep, in a file or of a Monte Carlo job of the same study: the key `data`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from csd.core.errors import InputError, unknown
from csd.core.files import digest
from csd.core.options import declared
from csd.core.paths import expanded
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.study.config.schema import Part, with_options
from csd.study.stages.monte_carlo import MONTE_CARLO, MonteCarlo, MonteCarloJob, monte_carlo_jobs
from csd.targets.base import HasFields, is_symmetric
from csd.targets.options import DataOptions

KEYS = {
    name.removeprefix("data_").rstrip("_"): one
    for name, one in declared(DataOptions).items()
    if name not in ("dimension", "size")
}
"""Keys of `data` beside `file`; dimension and size are those of the sweep."""
SIZE = "{size}"
"""Stands for the lattice size in the path of a file."""


@with_options(KEYS)
class FieldsInFile(Part):
    """Fields to learn, and what is known of them."""

    file: Annotated[
        str | None,
        Field(
            None,
            min_length=1,
            description="path from the working directory; its fields are the target; {size} in it stands for the size",
        ),
    ]
    monte_carlo: Annotated[
        str | None, Field(None, description="instead of file: a part of monte_carlo of this study that keeps fields")
    ]

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        """Fields are in a file, or made by the study, which knows everything about them."""
        if (self.file is None) == (self.monte_carlo is None):
            given = "neither file nor monte_carlo is" if self.file is None else "file and monte_carlo are both"
            raise ValueError(f"{given} given; give one of them")
        further = [key for key, one in KEYS.items() if getattr(self, key) != one.default]
        if self.monte_carlo is not None and further:
            raise ValueError(f"{further[0]} is given with monte_carlo, whose jobs determine it; leave it out")
        return self


@dataclass(frozen=True)
class DataField(DataOptions):
    """Fields in a file as the target of a job, in the form of `csd.targets.options.FieldOptions`.

    Attributes:
        file: path of the file.
        pattern: the path with {size} in the place of the size; '' where the study names one file.
    """

    file: str = ""
    pattern: str = ""

    mass = None
    mass_times_length = None
    target = "data"

    @classmethod
    def of(cls, part: FieldsInFile, dimension: Literal[1, 2, 3], size: int) -> "DataField":
        """The fields of the key `data` of a sweep on a lattice."""
        given = {one.name: getattr(part, key) for key, one in KEYS.items()}
        pattern = part.file or ""
        file = pattern.replace(SIZE, str(size))
        return cls(**given, dimension=dimension, size=size, file=file, pattern=pattern if file != pattern else "")

    @property
    def label(self) -> str:
        """Name of the file, and a hash of its path and of what is said of its fields: 'fields.1a2b3c4d'."""
        about = {name: value for name, value in vars(self).items() if name != "pattern"}
        if self.pattern:
            # The same at every size, so that laws are fitted to all of them.
            about = about | {"file": self.pattern, "size": None}
        name = Path(self.pattern.replace(SIZE, "")).stem.strip("-_.") if self.pattern else Path(self.file).stem
        return f"{re.sub('[^A-Za-z0-9_+-]+', '-', name)}.{digest(about)[:8]}"

    def words(self) -> list[str]:
        """The flags of `csd train`."""
        return ["--data", self.file, *super().words()]

    @property
    def lattice(self) -> Lattice:
        """The lattice of the fields."""
        return self.loaded().lattice

    @property
    def count(self) -> int:
        """M of the data set."""
        return len(self.loaded().data)

    @property
    def digest(self) -> str:
        """Hash of the fields."""
        return self.loaded().digest

    @property
    def stand_in_mass(self) -> float:
        """Mass of a Gaussian field that costs as much to learn: the inverse correlation length."""
        return self.loaded().mass

    def with_symmetry(self, architecture: Architecture) -> Architecture:
        """The network with the symmetry of the fields, where it is not given."""
        target = self.loaded()
        return architecture.with_symmetry(is_symmetric(target), lambda: float(getattr(target, "mean", 0.0)))

    def loaded(self, *, check: bool = False) -> HasFields:
        """The fields, read once in this process while their file does not change; `check` as for `load_fields`."""
        path = expanded(self.file)
        if not path.is_file():
            hint = f" (only {SIZE} in it stands for the size)" if "{" in self.file else ""
            raise InputError(f"data.file is {self.file!r}, but there is no such file in {Path.cwd()}{hint}")
        state = path.stat()
        return _loaded(self, state.st_mtime_ns, state.st_size, check)


@dataclass(frozen=True)
class MadeField(DataField):
    """The fields that a Monte Carlo job of the same study keeps; its file need not be there yet.

    Attributes:
        job: that makes them.
        paired: whether there are such jobs with several seeds, each for the training seed of the same number.
    """

    job: MonteCarloJob = None  # type: ignore[assignment]
    paired: bool = False

    digest = ""
    """Snakemake compares the times of the files."""

    @classmethod
    def of_job(cls, job: MonteCarloJob, results: Path, *, paired: bool = False) -> "MadeField":
        """The fields of a job.

        Args:
            job: a Monte Carlo job.
            results: folder of the study.
            paired: whether its part of the study has several seeds.

        Raises:
            InputError: if the job keeps no fields.
        """
        if not job.settings.fields:
            raise InputError(f"data.monte_carlo is {job.sweep!r}, which keeps no fields; add fields to it")
        file = str(MONTE_CARLO.file(job, results))
        return cls(dimension=job.field.dimension, size=job.size, file=file, job=job, paired=paired)

    @property
    def of_any_seed(self) -> "MadeField":
        """What the fields of paired seeds share, as they make one run of a summary; else the fields themselves."""
        if not self.paired:
            return self
        return replace(self, file="", job=replace(self.job, settings=replace(self.job.settings, seed=0)))

    @property
    def label(self) -> str:
        """Name of the part of the study, and a hash of how it samples at any size: 'phi4.1a2b3c4d'.

        Paired seeds share it, as the training seed says which fields they are.
        """
        about = {"target": self.job.target_label, "components": self.job.components, **vars(self.job.settings)}
        if self.paired:
            about["seed"] = None
        return f"{re.sub('[^A-Za-z0-9_+-]+', '-', self.job.sweep)}.{digest(about)[:8]}"

    def words(self) -> list[str]:
        """No flags: the workflow gives the file, whose place it knows, by --data."""
        return []

    @property
    def lattice(self) -> Lattice:
        """The lattice of the job."""
        return Lattice(self.job.dimension, self.job.size)

    @property
    def count(self) -> int:
        """M: every component of a configuration is a field."""
        return self.job.settings.fields * self.job.components

    @property
    def stand_in_mass(self) -> float:
        """1/L, as the fields may be critical."""
        return 1.0 / self.job.size

    def with_symmetry(self, architecture: Architecture) -> Architecture:
        """The network, odd where it is not given: φ and −φ are as probable."""
        return architecture.with_symmetry(True, lambda: 0.0)

    def loaded(self, *, check: bool = False) -> HasFields:
        """The fields, which only a finished job has."""
        if not Path(self.file).is_file():
            raise InputError(f"the fields in {self.file} are not there; run the study, which makes them")
        return super().loaded()


def made_fields(
    parts: Mapping[str, MonteCarlo],
    name: str,
    dimension: int,
    sizes: Sequence[int],
    seeds: Sequence[int],
    results: Path,
) -> Iterator[MadeField]:
    """The fields of the Monte Carlo jobs of a part of the study, on the lattices of a sweep.

    Args:
        parts: the key `monte_carlo` of the study.
        name: of the part.
        dimension: of the lattices.
        sizes: of the lattices.
        seeds: that are trained.
        results: folder of the study.

    Raises:
        InputError: if there is no such part, it has no job on one of the lattices, or it has several seeds, but not one
            for each training seed.
    """
    if name not in parts:
        raise unknown("data.monte_carlo", name, parts)
    own = parts[name].seeds
    paired = len(own) > 1
    if paired and (lacking := [seed for seed in seeds if seed not in own]):
        raise InputError(
            f"monte_carlo.{name} has several seeds, {', '.join(map(str, own))}, each for the training seed of the same"
            f" number, but no seed {lacking[0]}, which is trained; add it there, or leave one seed for all"
        )
    jobs = monte_carlo_jobs({name: parts[name]})
    for size in sizes:
        found = [job for job in jobs if (job.dimension, job.size) == (dimension, size)]
        if not found:
            there = ", ".join(str(size) for size in dict.fromkeys(job.size for job in jobs))
            raise InputError(
                f"monte_carlo.{name} has no fields in dimension {dimension} of size {size}; it has dimension"
                f" {jobs[0].dimension} and sizes {there}"
            )
        for job in found:
            yield MadeField.of_job(job, results, paired=paired)


@lru_cache(maxsize=16)
def _loaded(field: DataField, *state: Any) -> HasFields:
    """The fields of a file in a state."""
    from csd.mcmc.fields import load_fields

    return load_fields(field.file, field, check=state[-1])
