"""The cost of jobs of scores: of fields that are drawn and transformed, and of the chains of their posteriors."""

from collections.abc import Sequence

from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import Calibration
from csd.study.stages.scores import ScoresJob


def expected_scores(jobs: Sequence[ScoresJob], calibration: Calibration) -> list[ExpectedCost]:
    """The cost of each job: every field is drawn, and transformed there and back at each level."""
    costs = []
    for job in jobs:
        fields, levels = job.settings.fields, len(job.noise_levels)
        numbers = float(fields * job.size**job.dimension)
        seconds = calibration.job.seconds + calibration.field((1.0 + levels) * numbers, (1.0 + levels) * fields)
        memory = calibration.job.memory_mb + 8e-6 * (2.0 + 3.0 * levels) * numbers
        costs.append(ExpectedCost("scores", job.identifier, seconds, memory, 4e-6 * (1.0 + 2.0 * levels) * numbers))
    return costs
