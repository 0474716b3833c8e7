"""The cost of the errors against exact scores, which a training measures at recorded steps."""

from csd.study.cost.pace import Calibration
from csd.study.stages.scored import ScoresMade
from csd.training.metrics.scored_fields import MOST_FIELDS


def expected_errors(made: ScoresMade | None, calls: float, pace: Calibration) -> tuple[float, float]:
    """Seconds and bytes that the errors take; 0 where a training has no scores.

    Fields and scores are transformed once. A network without a kernel is called on each field at every recorded step,
    which takes a third of a step of training on as many fields; kernels need the spectra alone.

    Args:
        made: the fields and their scores.
        calls: networks times recorded steps; 0 of networks with a kernel.
        pace: of the machine.
    """
    if made is None:
        return 0.0, 0.0
    job = made.job
    numbers = float(job.settings.fields * (job.components or 1) * job.size**job.dimension)
    share, levels = min(1.0, MOST_FIELDS / job.settings.fields), len(job.noise_levels)
    seconds = pace.field(3.0 * levels * share * numbers, 3.0 * levels * share * job.settings.fields)
    if pace.fields is not None:
        seconds += pace.fields(calls * share * numbers, calls) / 3.0
    # x0; x_t and both halves of its score; one level of them in double precision.
    return seconds, 4.0 * numbers * (1.0 + 3.0 * levels) + 3.0 * 8.0 * share * numbers
