"""What is measured: problems, sizes, and how long to measure them."""

from dataclasses import dataclass, field

from benchmarks.clock import Effort
from benchmarks.limits import BEYOND_CACHE

BATCH = 64


@dataclass(frozen=True)
class Case:
    """A training problem: d, L, B and the number of noise levels."""

    dimension: int
    size: int
    batch: int = BATCH
    levels: int = 1

    @property
    def label(self) -> str:
        """In words."""
        return f"d = {self.dimension}, L = {self.size}, B = {self.batch}, {self.levels} levels"


HEADLINE = Case(2, 64, 64, 16)


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Args:
        effort: how long.
        training: training problems; the first is the one that targets are set at.
        sampling: (d, L) that fields are generated at.
        sampler_steps: of every sampler.
        trained: (d, L) that a network is trained at to 1 %.
        samples: right samples to make, and the (d, L) they are made at.
        loop_size: L of the loops beyond the cache, d = 2.
        beyond_cache: numbers in the largest arrays that are copied.
        growth: sizes for each dimension.
        files: sizes of the training files, d = 2.
        large: (d, L, architecture) of the large runs.
        sampled: L of the lattices that Monte Carlo updates are timed on, d = 2 and 3.
        limit: seconds that a process may take.
    """

    effort: Effort = field(default_factory=Effort)
    training: tuple[Case, ...] = (
        HEADLINE,
        Case(2, 64, 64, 4),
        Case(2, 64, 64, 1),
        Case(2, 64, 16, 16),
        Case(2, 64, 256, 16),
        Case(2, 16, 64, 16),
        Case(2, 32, 64, 16),
        Case(2, 128, 64, 16),
        Case(1, 64, 64, 16),
        Case(1, 1024, 64, 16),
        Case(3, 8, 64, 16),
        Case(3, 16, 64, 16),
    )
    sampling: tuple[tuple[int, int], ...] = ((1, 1024), (2, 16), (2, 64), (2, 256), (3, 16))
    sampler_steps: int = 32
    trained: tuple[tuple[int, int], ...] = ((2, 16), (2, 64))
    samples: tuple[int, int, int] = (1000, 2, 16)
    loop_size: int = 1024
    beyond_cache: int = BEYOND_CACHE
    growth: tuple[tuple[int, tuple[int, ...]], ...] = (
        (1, (2**10, 2**12, 2**14, 2**16, 2**18, 2**20, 2**22)),
        (2, (32, 64, 128, 256, 512, 1024, 2048)),
        (3, (8, 16, 32, 48, 64, 96, 128, 160)),
    )
    files: tuple[int, ...] = (64, 256, 512, 1024, 2048)
    large: tuple[tuple[int, int, str], ...] = (
        (2, 1024, "two_layer"),
        (2, 1024, "local_two_layer --range 2"),
        (3, 128, "two_layer"),
    )
    sampled: tuple[int, int] = (64, 16)
    limit: float = 240.0
    pair: tuple[int, int, int] = (2, 64, 8000)
    """(d, L, steps) of the two jobs that run together."""


QUICK = Plan(
    effort=Effort(repeats=2, shortest=0.002),
    training=(Case(2, 8, 4, 2), Case(1, 8, 4), Case(3, 4, 4)),
    sampling=((1, 8), (2, 8)),
    sampler_steps=4,
    trained=((1, 8),),
    samples=(10, 1, 8),
    loop_size=32,
    beyond_cache=2**16,
    growth=((1, (8, 16, 32)), (2, (4, 8, 16)), (3, (4, 6, 8))),
    files=(4, 8, 16),
    large=(),
    sampled=(8, 4),
    pair=(1, 8, 100),
)
