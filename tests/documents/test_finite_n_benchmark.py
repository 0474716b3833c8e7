"""The benchmark of critical spins runs, and its numbers are those of the pages; no thresholds on times."""

import pytest

from benchmarks.finite_n import BETA, main
from docs.numbers import output


def test_a_quick_run_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| L | best linear score | mean_field, untrained |")
    assert len(lines) == 3
    assert lines[2].startswith("| 4 | ")


def test_spins_are_at_the_critical_point() -> None:
    """sinh 2β = 1 (Onsager)."""
    assert pytest.approx(0.44068679350977147, abs=1e-15) == BETA


def test_stored_numbers_miss_no_limit() -> None:
    stored = output("mean_field_spins")
    assert stored["missed"] == []
    assert [row[0] for row in stored["table"]] == ["L", "16", "32"]
