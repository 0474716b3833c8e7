"""The key `scores` of a sweep: which held-out fields networks are measured against, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csd.core.errors import InputError
from csd.core.random import stream
from csd.study.config.reading import parse
from csd.study.config.study import STAGES, jobs_of
from csd.study.cost.limits import study_costs
from csd.study.cost.pace import REFERENCE
from tests.helpers import runs_of

FIELDS: dict[str, Any] = {"path": "fields", "loss": "denoising", "max_steps": 100}
SCORES = {
    "exact": {"dimension": 2, "sizes": [8, 12], "noise_levels": [0.1, 0.5], "fields": 16, "seeds": [3, 1]},
    "heavy": {"dimension": 2, "sizes": [8], "mass": 0.5, "noise_levels": [0.1], "fields": 16},
    "other noise": {"dimension": 2, "sizes": [8], "noise_levels": [0.1], "schedule": "ve", "fields": 16},
}


def study(scores: str | None = "exact", **keys: Any) -> dict[str, Any]:
    """A study of one sweep that is measured against scores."""
    sweep = {"dimension": 2, "sizes": [8, 12], "architectures": {"name": "wiener", "width": 2}, **keys}
    return {
        "study": "s",
        "training": {"noise_levels": [0.1], "seeds": [1, 2], **FIELDS},
        "scores": SCORES,
        "sweeps": {"line": sweep | ({} if scores is None else {"scores": scores})},
    }


def test_a_training_takes_the_file_of_its_target_and_size() -> None:
    """It is no flag of the job: the workflow knows where the file lies. Of several seeds it is the first."""
    parsed = parse(study())
    jobs = jobs_of(parsed)
    for run in jobs["training"].values():
        stage, scores = STAGES["training"].takes(run)["--scores"]
        assert stage == "scores"
        assert scores is not None
        assert jobs["scores"][scores.identifier] == scores
        assert (scores.size, scores.settings.seed) == (run.size, 3)  # type: ignore[attr-defined]
        assert "--scores" not in run.arguments()
        assert STAGES["training"].step(run) == "train api/scored"
    plain = runs_of(study(None))
    assert [run.identifier for run in plain] == list(jobs["training"])
    assert not any(STAGES["training"].takes(run) for run in plain)
    assert parse(parsed.model_dump(mode="json")) == parsed


PHI4: dict[str, Any] = {"dimension": 2, "sizes": [8, 12], "couplings": {"r0": -0.470762, "u": 0.299822}}
SPINS: dict[str, Any] = {"dimension": 2, "sizes": [8, 12], "beta": 0.44}


@pytest.mark.parametrize(
    ("fields", "scores", "same"),
    [
        (PHI4, PHI4 | {"components": 1}, True),
        (PHI4 | {"components": [2, 1]}, PHI4 | {"components": [1, 2]}, True),
        (SPINS, SPINS, True),
        # Without components couplings mean n → ∞.
        (PHI4, PHI4, False),
        (PHI4, PHI4 | {"components": 2}, False),
        (PHI4, PHI4 | {"couplings": {"r0": -0.47, "u": 0.299822}, "components": 1}, False),
        (SPINS, SPINS | {"beta": 0.41}, False),
    ],
)
def test_fields_of_a_monte_carlo_job_have_scores_of_their_couplings_and_components(
    fields: dict[str, Any], scores: dict[str, Any], same: bool
) -> None:
    sampler = "metropolis" if "beta" in fields else "hmc"
    content = study(data={"monte_carlo": "mine"})
    content["monte_carlo"] = {"mine": fields | {"samplers": sampler, "sweeps": 1000, "fields": 20, "seeds": [1, 2]}}
    content["scores"] = {"exact": scores | {"noise_levels": [0.1], "fields": 16}}
    if not same:
        with pytest.raises(InputError, match=r"scores\.exact has no fields of the sweep's target .* components"):
            runs_of(content)
        return
    for run in runs_of(content):
        taken: dict[str, Any] = {flag: job for flag, (_, job) in STAGES["training"].takes(run).items()}
        assert set(taken) == {"--data", "--scores"}
        assert taken["--scores"].components == taken["--data"].components
        assert taken["--scores"].size == taken["--data"].size == run.size
        assert taken["--data"].settings.seed == run.seeds[0]


def test_scores_of_a_user_defined_target_belong_to_sweeps_of_this_target() -> None:
    """A Gaussian field of the same mass is another target; the classes are not imported."""
    own = {"target": "mine:Own", "mass_times_length": 1.0}
    content = study(**own)
    content["scores"] = {"exact": own | {"dimension": 2, "sizes": [8, 12], "noise_levels": [0.1]}}
    for run in runs_of(content):
        assert run.scores is not None
        assert run.scores.job.user_defined
    for of_sweep, of_scores in (("gaussian", "mine:Own"), ("mine:Own", "gaussian"), ("mine:Own", "mine:Other")):
        content["sweeps"]["line"]["target"] = of_sweep
        content["scores"]["exact"]["target"] = of_scores
        with pytest.raises(InputError, match=r"scores\.exact has no fields of the sweep's target .* the same target"):
            runs_of(content)


def test_fields_of_a_file_have_scores_of_the_couplings_that_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("fields.npy", stream("fields beside scores").standard_normal((40, 8, 8)))
    content = study(data={"file": "fields.npy", "r0": 0.5, "u": 1.0}, sizes=8)
    part = {"dimension": 2, "sizes": 8, "couplings": {"r0": 0.5, "u": 1.0}, "noise_levels": [0.1]}
    content["scores"] = {"exact": part | {"components": [2, 1]}}
    (run,) = runs_of(content)
    assert run.scores is not None
    assert run.scores.job.components == 1
    content["scores"] = {"exact": part}
    with pytest.raises(InputError, match="no fields of the sweep's target"):
        runs_of(content)


def test_what_is_asked_for_holds_the_digest_of_the_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a training is stale once its scores are others; they are read where the results lie."""
    import csd

    monkeypatch.chdir(tmp_path)
    (run, _) = runs_of(study())
    (plain, _) = runs_of(study(None))
    with pytest.raises(InputError, match=r"the scores in results/scores/.* run the study, which makes them"):
        _ = run.request
    assert run.scores is not None
    how: dict[str, Any] = {"dimension": 2, "size": 8, "noise_levels": [0.1, 0.5], "fields": 16}
    found = []
    for seed in (3, 4):
        csd.scores(**how, seed=seed, output=run.scores.file)
        assert {**run.request, "scores": None} == {**plain.request, "scores": None}
        found.append(run.request["scores"])
    assert found[0] != found[1]


def test_scores_cost_time_and_memory() -> None:
    """A network without a kernel is called on every field at every recorded step."""
    large = study()
    large["scores"] = {"exact": SCORES["exact"] | {"fields": 512}}
    costs = [study_costs(jobs_of(parse(one)), REFERENCE) for one in (study(None), study(), large)]
    for name in ("seconds", "memory_mb"):
        first, second, third = (sum(getattr(one, name) for one in own if one.stage == "training") for own in costs)
        assert first < second < third


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"scores": "exct"}, r"sweeps\.line: unknown scores 'exct'.*did you mean 'exact'"),
        (
            {"sizes": [8, 16]},
            "scores.exact has no fields in dimension 2 of size 16; it has dimension 2 and sizes 8, 12",
        ),
        ({"dimension": 1}, "scores.exact has no fields in dimension 1 of size 8"),
        ({"scores": "heavy", "sizes": 8}, "scores.heavy has no fields of the sweep's target in dimension 2 of size 8"),
        ({"scores": "other noise", "sizes": 8}, "scores.other noise has schedule ve, the training vp"),
        (
            {"training": {"noise_levels": [0.1, 0.2]}},
            "scores.exact has no noise level 0.2, .* noise_levels must hold all of .0.1, 0.2",
        ),
        (
            {"generation": {"steps": 4, "samples": 8}, "architectures": "two_layer", "training": {"path": "spectral"}},
            "scores.exact has no noise level .* at which the networks are measured",
        ),
    ],
)
def test_scores_of_something_else_are_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        runs_of(study(**keys))


@pytest.mark.parametrize(
    ("target", "words"),
    [("nowhere", r"scores\.exact: unknown target 'nowhere'"), ("mine:Own", r"scores\.exact: target is 'mine:Own'")],
)
def test_an_error_in_scores_is_not_reported_as_one_of_the_sweep(target: str, words: str) -> None:
    content = study()
    content["scores"] = {"exact": PHI4 | {"noise_levels": [0.1], "target": target}}
    with pytest.raises(InputError, match="^" + words):
        runs_of(content)


def test_the_noise_levels_that_are_asked_for_are_accepted() -> None:
    """Those of a grid to generate on have as many digits as numbers can have."""
    content = study(
        sizes=8, generation={"steps": 4, "samples": 8}, architectures="two_layer", training={"path": "spectral"}
    )
    with pytest.raises(InputError) as refused:
        runs_of(content)
    asked_for = json.loads(str(refused.value).partition("hold all of ")[2])
    content["scores"] = {"exact": SCORES["exact"] | {"noise_levels": asked_for}}
    assert all(run.scores for run in runs_of(content))
