"""Steps of every optimiser beside those of an independent computation (docs/optimisers.md).

Tuned times have to agree within 15 %, times below 15 steps within two, what has no free number exactly. A time that is
out of this has to be the best of another grid of rates, or that of another criterion, which a test shows.
"""

from typing import Any

import pytest

from csd.training.descent.optimizers import OPTIMIZERS
from docs.numbers.optimizers import (
    CASES,
    DEFINITIONS,
    LASTING,
    SIZES,
    UNTIL,
    Case,
    agree,
    best_of_grids,
    errors,
    last_entries,
    least,
    of_definition,
    scanned,
    steps,
)

OF_A_GRID = {
    (1, 1, "sign_fourier", 8),
    (1, 1, "sign_fourier", 16),
    (2, 1, "adam", 128),
    (2, 1, "adam, cosine", 16),
    (2, 1, "adam, cosine", 128),
    (2, 1, "adam_fourier", 8),
    (2, 1, "sign_fourier", 8),
    (2, 1, "sign_fourier", 16),
}
"""First steps that are fewer by more than 15 % on the fine grid of the trials: layers, d, rule, L."""
OF_A_CRITERION = (1, 1, "adam", 8)
"""The settled time that is another one by the criterion of the independent computation."""


def place(case: Case, size: int) -> tuple[int, int, str, int]:
    """What the case and L are called above."""
    return case.depth, case.dimension, case.words, size


def rows(*, settled: bool) -> list[Any]:
    """(case, L, steps of the independent computation); those of large lattices are slow."""
    return [
        pytest.param(
            *(case, size, wanted),
            id=f"{case.words} {case.depth} d{case.dimension} L{size}",
            marks=[pytest.mark.slow] if size > (16 if case.how == "horizon" else 32) else [],
        )
        for case in CASES
        for size, wanted in (case.settled if settled else case.first).items()
    ]


@pytest.mark.parametrize(("case", "size", "wanted"), rows(settled=False))
def test_first_steps_are_those_of_an_independent_computation(case: Case, size: int, wanted: int) -> None:
    """Those that differ are fewer, of the 64 rates a decade of the trials, where the others are of grids of eight.

    That of the longest cosine is of a grid of four.
    """
    found = steps(case, size)
    if place(case, size) not in OF_A_GRID:
        assert agree(case, found, wanted)
        return
    least, most = best_of_grids(scanned(case, size), 4 if case.how == "horizon" else 8)
    assert not agree(case, found, wanted)
    assert found <= most
    assert least <= wanted <= most


@pytest.mark.parametrize(("case", "size", "wanted"), rows(settled=True))
def test_settled_steps_are_those_of_an_independent_computation(case: Case, size: int, wanted: int) -> None:
    """By one that differs ε stays to step 1500, within 15 % for all grids of eight rates a decade."""
    found = steps(case, size, LASTING)
    if place(case, size) != OF_A_CRITERION:
        assert agree(case, found, wanted)
        return
    ends = best_of_grids(last_entries(errors(size, case.depth, OPTIMIZERS[case.rule], UNTIL)), 8)
    assert not agree(case, found, wanted)
    assert ends[0] <= wanted <= ends[1]


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("words", DEFINITIONS)
def test_the_sign_is_that_of_the_averaged_gradient(words: str, depth: int) -> None:
    """Times of no other definition are those of the independent computation, on whatever grid of eight a decade."""
    (case,) = [one for one in CASES if one.rule == "sign_fourier" and one.depth == depth]
    within = []
    for size in SIZES[1:3]:
        least, most = best_of_grids(of_definition(DEFINITIONS[words], depth, size), 8)
        within.append(least <= case.first[size] <= most)
    assert all(within) if words == next(iter(DEFINITIONS)) else not any(within)


@pytest.mark.parametrize("rule", ["heavy_ball", "nesterov"])
def test_beta_is_tuned_too(rule: str) -> None:
    """Times of one layer at L = 32 with the usual β = 0.9 are not those of the independent computation, but longer."""
    (case,) = [one for one in CASES if (one.depth, one.rule, one.how) == (1, rule, "momentum")]
    assert least(case, 32, momentum=0.9) > 1.5 * case.first[32]
