"""The held-out fields with exact scores that the trainings of a sweep are measured against: the key `scores`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from csd.core.errors import InputError, exactly, unknown
from csd.study.stages.base import check_target
from csd.study.stages.data import DataField, MadeField
from csd.study.stages.scores import HELD_OUT, ScoresJob
from csd.targets.base import Spec, spec_of
from csd.targets.options import ChainOptions, FieldOptions, NoiseOptions
from csd.training.metrics.scored_fields import SAME, ScoredFields


@dataclass(frozen=True)
class ScoresMade:
    """The file of a job of the stage of scores; it need not be there yet.

    Attributes:
        job: that makes it.
        file: its path.
    """

    job: ScoresJob
    file: Path

    @property
    def digest(self) -> str:
        """The hash of its fields and scores, which only a finished job has."""
        if not self.file.is_file():
            raise InputError(f"the scores in {self.file} are not there; run the study, which makes them")
        state = self.file.stat()
        return _digest(self.file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _digest(file: Path, *state: int) -> str:
    """The hash of the fields and scores of a file in a state."""
    return ScoredFields.read(file).digest


def scores_for(
    parts: Mapping[str, Sequence[ScoresJob]],
    name: str,
    field: FieldOptions | DataField,
    noise: NoiseOptions,
    results: Path,
) -> ScoresMade:
    """The held-out fields of a part of the study that belong to a training; of several seeds those of the first.

    Args:
        parts: the jobs of each part of the key `scores` of the study.
        name: of the part.
        field: the target of the training.
        noise: its noise, at whose levels the networks are measured.
        results: folder of the study.

    Raises:
        InputError: if there is no such part, or it has no fields of this target, lattice and noise.
    """
    if name not in parts:
        raise unknown("scores", name, parts)
    jobs = parts[name]
    alike = [job for job in jobs if (job.dimension, job.size) == (field.dimension, field.size)]
    where = f"dimension {field.dimension} of size {field.size}"
    if not alike:
        sizes = ", ".join(str(size) for size in dict.fromkeys(job.size for job in jobs))
        there = f"dimension {jobs[0].dimension} and sizes {sizes}"
        raise InputError(f"scores.{name} has no fields in {where}; it has {there}")
    found = [job for job in alike if _same_target(job, field)]
    if not found:
        raise InputError(
            f"scores.{name} has no fields of the sweep's target in {where}; give both the same target and mass, or the"
            " same couplings, and components where n is finite"
        )
    _check_noise(name, found[0].noise, noise)
    return ScoresMade(found[0], HELD_OUT.file(found[0], results))


def _same_target(job: ScoresJob, field: FieldOptions | DataField) -> bool:
    """Whether fields with scores are of the target of a training; of fields in a file, as far as it is known."""
    if isinstance(field, MadeField):
        return isinstance(job.field, ChainOptions) and spec_of(job.target) == spec_of(field.job.target)
    if isinstance(field, DataField):
        wanted = {"components": field.components or 1, **field.known} if field.known else {}
        return all(getattr(job.field, name, None) == value for name, value in wanted.items())
    # User-defined targets are compared by name and mass, as their classes are not imported here.
    return isinstance(job.field, FieldOptions) and _spec(job.field) == _spec(field)


def _spec(field: FieldOptions) -> Spec:
    """The spec of a target, complete where it is built in."""
    return field.spec() if ":" in field.target else spec_of(check_target(field))


def _check_noise(name: str, own: NoiseOptions, wanted: NoiseOptions) -> None:
    """Refuse scores without a noise level at which networks are measured, or of another noise."""
    if own.schedule != wanted.schedule:
        raise InputError(
            f"scores.{name} has schedule {own.schedule}, the training {wanted.schedule}; give both the same"
        )
    levels: Sequence[float] = own.noise_levels or ()
    for level in wanted.noise_levels or ():
        if not any(abs(other - level) <= SAME * level for other in levels):
            needed = ", ".join(map(exactly, wanted.noise_levels or ()))
            raise InputError(
                f"scores.{name} has no noise level {exactly(level)}, at which the networks are measured; its"
                f" noise_levels must hold all of [{needed}]"
            )
