"""Verdicts come from what was trained: right physics holds, wrong physics fails, missing data is not tested."""

import json
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from csd.claims import Criterion, Outcome, as_json, as_markdown, judge, load_claims
from csd.config import Run, expand, parse
from csd.errors import InputError
from csd.field import GaussianField
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.noise import NoisedTarget, VariancePreserving
from csd.record import training_dataset
from csd.store import TRAINING, write
from csd.summary import aggregate, scaling_table, training_file
from csd.theory import predict
from csd.training import Settings, train

CLAIMS = Path(__file__).resolve().parent.parent / "config" / "claims.yaml"
STUDY: dict[str, Any] = {
    "study": "verdicts",
    "training": {"noise_levels": [0.01, 0.1], "seeds": [1], "loss": "population"},
    "sweeps": {"line": {"dimension": 1, "sizes": [8, 12, 16, 24, 32], "architectures": ["one_layer", "two_layer"]}},
}


def trained(
    folder: Path, wrong: dict[str, str] | None = None, fixed_mass: float | None = None, seeds: list[int] | None = None
) -> xr.Dataset:
    """The summary of the study; `wrong` trains other networks than the files say, `fixed_mass` off criticality."""
    study = {**STUDY, "training": {**STUDY["training"], "seeds": seeds or [1]}}
    runs: list[Run] = expand(parse(study))
    for run in runs:
        settings = Settings(loss="population", seeds=run.seeds)
        lattice = Lattice(run.dimension, run.size)
        mass = fixed_mass or 1.0 / run.size
        noised = NoisedTarget(GaussianField(lattice, mass), VariancePreserving(), run.noise_levels)
        built = Architecture((wrong or {}).get(run.name, run.name))
        dataset = training_dataset(
            noised, Architecture(run.name), settings, train(noised, built, settings), predict(noised, built, settings)
        )
        write(dataset, training_file(run, folder), TRAINING)
    return aggregate(runs, folder)


def verdicts(summary: xr.Dataset) -> dict[str, str]:
    """Verdict of each claim."""
    return {v.claim.id: v.verdict for v in judge(load_claims(CLAIMS), scaling_table(summary), summary)}


def test_right_physics_holds(tmp_path: Path) -> None:
    found = verdicts(trained(tmp_path))
    assert (found["C1"], found["C3"]) == ("holds", "holds")
    # Nothing local, nothing deep, nothing generated in this study.
    assert found["C4"] == found["C2"] == found["depth"] == "not tested"


def test_swapped_networks_fail_both_claims(tmp_path: Path) -> None:
    summary = trained(tmp_path, wrong={"one_layer": "two_layer", "two_layer": "one_layer"})
    found = verdicts(summary)
    assert (found["C1"], found["C3"]) == ("fails", "fails")


def test_away_from_criticality_there_is_no_slowing_down(tmp_path: Path) -> None:
    """The same networks at a mass that does not follow the size: L² is gone, and C1 with it."""
    assert verdicts(trained(tmp_path, fixed_mass=0.7))["C1"] == "fails"


@pytest.mark.parametrize(
    ("accepted", "measured", "error", "verdict"),
    [
        ([1.9, 2.1], 2.0, 0.05, "holds"),
        ([1.9, 2.1], 2.0, 0.2, "not tested"),
        ([1.9, 2.1], 2.15, 0.1, "not tested"),
        ([1.9, 2.1], 2.15, 0.01, "fails"),
        ([1.9, 2.1], 1.0, 0.1, "fails"),
        ([None, 0.35], 0.2, 0.1, "holds"),
        ([None, 0.35], 0.5, 0.1, "fails"),
        ([2.0, None], 1.0, 0.0, "fails"),
        ([2.0, None], 30.0, 0.0, "holds"),
        ([2.0, None], float("nan"), 0.0, "not tested"),
    ],
)
def test_a_value_and_its_error_in_a_range(
    accepted: list[float | None], measured: float, error: float, verdict: str
) -> None:
    criterion = Criterion(measure="exponent", architecture="one_layer", dimensions=[1], accepted=accepted)
    assert Outcome(criterion, 1, 0.1, "", measured, error).verdict == verdict


def test_written_verdicts(tmp_path: Path) -> None:
    summary = trained(tmp_path)
    judged = judge(load_claims(CLAIMS), scaling_table(summary), summary)

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is not JSON")

    content = json.loads(as_json(judged), parse_constant=refuse)
    assert [claim["id"] for claim in content] == ["C1", "C2", "C3", "C4", "depth"]
    for claim in content:
        assert {"id", "statement", "measured", "error", "accepted", "verdict"} <= set(claim)
    assert content[0]["measured"] == pytest.approx(2.0, abs=0.1)
    table = as_markdown(judged)
    for claim in content:
        assert f"| **{claim['id']}** |" in table
        assert claim["statement"].replace("|", "\\|") in table


def test_a_mean_over_the_seeds_that_arrived_is_not_fitted(tmp_path: Path) -> None:
    """A seed that was trained and never came to the tolerance leaves no law, and a note."""
    summary = trained(tmp_path, seeds=[1, 2])
    assert set(scaling_table(summary)["law"]) == {"power", "log"}
    summary["crossing_time"].loc[{"seed": 2}] = float("nan")
    table = scaling_table(summary)
    measured = table[table["quantity"] == "training_time"]
    assert set(measured["law"]) == {"none"}
    assert measured["note"].str.contains("never came to the tolerance at size 8").all()


def test_malformed_claims_are_named(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text("claims: [{id: X, statement: s, tests: [{measure: exponnt}]}]")
    with pytest.raises(InputError, match=r"claims\.yaml: claims\.tests\.0\.measure is 'exponnt'"):
        load_claims(path)
    for broken in (
        "measure: exponent, accepted: [null, null]",
        "measure: time_ratio, accepted: [null, 1]",
    ):
        path.write_text(f"claims: [{{id: X, statement: s, tests: [{{architecture: a, dimensions: [1], {broken}}}]}}]")
        with pytest.raises(InputError, match=r"bound is needed|reference"):
            load_claims(path)
    path.write_text("clams: []")
    with pytest.raises(InputError, match="the key 'claims' is missing"):
        load_claims(path)


def test_files_of_another_study_are_not_aggregated(tmp_path: Path) -> None:
    runs = expand(parse(STUDY))
    trained(tmp_path)
    training_file(runs[0], tmp_path).write_bytes(training_file(runs[2], tmp_path).read_bytes())
    with pytest.raises(InputError, match=r"size is \d+, the study asks for 8"):
        aggregate(runs, tmp_path)
