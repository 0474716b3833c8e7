"""Shared by all tests: problems in a line."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import settings

from csd.lattice import Lattice
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving

settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("fixed")

Problem = Callable[..., NoisedTarget]


@pytest.fixture(scope="session")
def critical() -> Problem:
    """The field of mass 1/L, noised by VP: critical(dimension, size, levels)."""

    def make(dimension: int, size: int, levels: Sequence[float] = (0.1,)) -> NoisedTarget:
        return NoisedTarget(GaussianField.on_critical_line(Lattice(dimension, size)), VariancePreserving(), levels)

    return make
