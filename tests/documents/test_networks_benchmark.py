"""The benchmark of nonlinear networks runs, and measures fields as csd does; no thresholds on times."""

import numpy as np
import pytest

from benchmarks.networks import OBSERVABLES, QUICK, Plan, Report, main, observables
from csd.core.random import stream
from docs.numbers import output


def test_a_quick_run_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"| fields | training in s | {' | '.join(OBSERVABLES.values())} |"
    assert [line.split(" | ")[0] for line in lines[2:5]] == [
        "| Markov chains",
        "| wiener, seed 0",
        "| best linear score",
    ]
    assert lines[-1].startswith("Peak memory at d = 2, L = 8")


def test_the_target_is_at_the_critical_point() -> None:
    """r₀ = (1 − 2λ)/κ − 4 and u = λ/κ², at κ = 0.27088 and λ = 0.022."""
    assert (Plan().target.r0, Plan().target.u) == pytest.approx((-0.470762, 0.299826), abs=1e-6)


def test_observables_of_known_fields() -> None:
    """Constant fields ±c: χ = N c², U4 = 2/3, H/N = r₀ c²/2 + u c⁴/4; independent normal numbers: χ = 1, U4 = 0."""
    target, generator = QUICK.target, stream("observables of the benchmark")
    signs = generator.choice([-1.0, 1.0], size=200)
    found = observables(target, 0.5 * signs[:, None, None] * np.ones(target.lattice.shape))
    wanted = {"susceptibility": 4.0, "binder": 2.0 / 3.0, "magnetisation": 0.5}
    wanted["energy"] = target.r0 / 8.0 + target.u / 64.0
    assert {name: value for name, (value, _) in found.items()} == pytest.approx(wanted)
    assert all(error < 1e-9 for _, error in found.values())
    normal = observables(target, generator.standard_normal((4000, *target.lattice.shape)))
    # Five standard errors: by chance once in a million.
    for name, exact in (("susceptibility", 1.0), ("binder", 0.0)):
        value, error = normal[name]
        assert abs(value - exact) < 5.0 * error < 0.3


def test_what_misses_a_limit_is_told_where_there_are_limits() -> None:
    for strict in (True, False):
        report = Report(strict)
        report.expect("met", True)
        report.expect("U4 is 0.1", False)
        assert report.missed == ["U4 is 0.1"] * strict


def test_the_stored_run_met_all_limits() -> None:
    stored = output("nonlinear_fields")
    assert stored["missed"] == []
    assert [row[0] for row in stored["table"][2:]] == [
        *(f"wiener, seed {seed}" for seed in range(3)),
        "best linear score",
    ]
