"""The key `hybrids` of a study: its jobs, the files that they take, their cost, and what is refused."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from csd.core.errors import InputError
from csd.core.files import digest
from csd.study.config.reading import parse
from csd.study.config.study import STAGES, Study, jobs_of
from csd.study.cost.limits import Limits, cluster_jobs, study_costs
from csd.study.cost.pace import REFERENCE
from csd.study.stages.generation import HybridJob

STUDY: dict[str, Any] = {
    "study": "s",
    "figures": [],
    "training": {"noise_levels": [0.01, 0.1, 1.0, 3.0], "loss": "population", "seeds": [1, 2, 4], "seeds_per_job": 2},
    "sweeps": {
        "wide": {"dimension": 2, "sizes": [6, 8], "mass": [0.25, 0.5], "architectures": ["one_layer"]},
        "local": {
            **{"dimension": 2, "sizes": [8, 10], "mass": 0.25},
            "architectures": {"name": "local_one_layer", "range": [1, 2]},
        },
    },
    "hybrids": {
        "mixed": {
            "start": "exact",
            "windows": [
                {"sweep": "local", "network": "local_one_layer-R2", "t_max": 0.1},
                {"sweep": "wide", "t_min": 0.1, "t_max": 1.0},
                {"sweep": "local", "network": "local_one_layer-R2", "t_min": 1.0},
            ],
        }
    },
}


def hybrids_of(study: Study) -> list[HybridJob]:
    """The jobs of the stage of hybrids."""
    return [job for job in jobs_of(study)["hybrids"].values() if isinstance(job, HybridJob)]


def test_a_job_takes_the_files_of_its_windows() -> None:
    """Of each target, size and group of seeds that all sweeps have: mass 0.25 at L = 8, seeds 1 and 2, and 4."""
    study = parse(STUDY)
    jobs = hybrids_of(study)
    assert [job.identifier for job in jobs] == ["mixed_d2_L8_m0.25_s1-2", "mixed_d2_L8_m0.25_s4"]
    stage = STAGES["hybrids"]
    for job in jobs:
        taken = stage.takes(job)
        assert list(taken) == ["--hybrid={}:0:0.1", "--hybrid={}:0.1:1", "--hybrid={}:1:inf"]
        assert [name for name, _ in taken.values()] == ["training"] * 3
        assert [run.sweep for _, run in taken.values()] == ["local", "wide", "local"]
        assert all(run in jobs_of(study)["training"].values() for _, run in taken.values())
        assert job.arguments() == ["--integrator", "heun", "--start", "exact", "--samples", "256"]
        assert job.label == "local_one_layer-R2+one_layer"
        assert stage.before(job) == [run for _, run in taken.values()]
    assert parse(study.model_dump(mode="json")) == study


def test_the_request_names_networks_and_windows_from_the_highest_down() -> None:
    """So that the order of the windows in the study does not count."""
    (job, _) = hybrids_of(parse(STUDY))
    other = copy.deepcopy(STUDY)
    other["hybrids"]["mixed"]["windows"].reverse()
    assert digest(hybrids_of(parse(other))[0].request) == digest(job.request)
    top, middle, low = job.request["hybrid"]
    assert [window for _, window in (top, middle, low)] == ["1:inf", "0.1:1", "0:0.1"]
    assert top[0] == low[0] == digest(job.runs[0].request)
    assert middle[0] == digest(job.runs[1].request)


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The study with a change to its hybrid."""
    content = copy.deepcopy(STUDY)
    change(content)
    return content


def windows(*given: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """A change of the windows."""

    def change(content: dict[str, Any]) -> None:
        content["hybrids"]["mixed"]["windows"] = list(given)

    return change


R2 = {"sweep": "local", "network": "local_one_layer-R2"}
WRONG: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "sweep": (windows({"sweep": "wyde"}), r"hybrids\.mixed: unknown sweep 'wyde'; did you mean 'wide'"),
    "several networks": (
        windows({"sweep": "local"}),
        r"hybrids\.mixed: sweeps\.local has several networks; name one by network: local_one_layer-R1, local_one",
    ),
    "network": (
        windows({"sweep": "local", "network": "local_one_layer-R3"}),
        r"unknown network of sweeps\.local 'local_one_layer-R3'; did you mean",
    ),
    "gap": (
        windows({**R2, "t_max": 0.1}, {"sweep": "wide", "t_min": 0.5}),
        r"^the windows hybrids\.mixed\.windows\.0 \(0:0\.1\) and hybrids\.mixed\.windows\.1 \(0\.5:inf\) leave a gap; "
        r"t_max of the lower must be t_min of the upper",
    ),
    "no level": (
        windows({**R2, "t_max": 0.2}, {**R2, "t_min": 0.3}, {"sweep": "wide", "t_min": 0.2, "t_max": 0.3}),
        r"^hybrids\.mixed\.windows\.2 \(0\.2:0\.3\): no noise level of sweeps\.wide lies in this window",
    ),
    "order": (
        windows({**R2, "t_min": 1.0, "t_max": 0.1}),
        r"^hybrids\.mixed\.windows\.0: t_min is 1, t_max is 0\.1; t_min must",
    ),
    "not covered": (
        windows({**R2, "t_max": 5.0}),
        r"^hybrids\.mixed\.windows\.0 \(0:5\): t_max is 5, but sweeps\.local's noise levels go from 0\.01 to 3",
    ),
    "no window": (windows(), r"hybrids\.mixed\.windows is \[\]"),
    "key": (windows({"sweep": "wide", "t_mox": 1.0}), r"windows\.0\.t_mox: unknown key; did you mean 't_max'"),
    "size": (
        lambda study: study["hybrids"]["mixed"].update(sizes=6),
        r"sizes has 6, which sweeps\.local and sweeps\.wi",
    ),
    "target": (
        lambda study: study["sweeps"]["local"].update(mass=1.0),
        r"sweeps\.local and sweeps\.wide have no target and size in common: mass is 1 in sweeps\.local and 0\.25 in"
        r" sweeps\.wide; all",
    ),
    "sizes": (
        lambda study: study["sweeps"]["local"].update(sizes=[10]),
        r"no target and size in common: size is 10 in sweeps\.local and 6 in sweeps\.wide; all",
    ),
    "a size twice": (
        lambda study: study["hybrids"]["mixed"].update(sizes=[8, 8]),
        r"hybrids\.mixed: a size is given twice in \[8, 8\]",
    ),
    "seeds": (
        lambda study: study["sweeps"]["local"].update(training={"seeds_per_job": 3}),
        r"sweeps\.local and sweeps\.wide train other seeds, or other numbers of them in a job",
    ),
    "ways": (
        lambda study: study["sweeps"]["wide"].update(training={"data_sets": [8, 16]}),
        r"sweeps\.wide trains one_layer in several ways, as population-M8 and population-M16",
    ),
    "schedule": (lambda study: study["training"].update(schedule="ve"), r"generation needs schedule vp; it is 've'"),
    "steps": (lambda study: study["hybrids"]["mixed"].update(steps=8), r"steps is 8, but the networks serve one"),
    "name": (
        lambda study: study["hybrids"].update({"a b": study["hybrids"].pop("mixed")}),
        r"hybrids\.a b: the run 'a b_d2_L8_m0\.25_s1-2' cannot name a file",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_named_by_their_key(name: str) -> None:
    change, pattern = WRONG[name]
    with pytest.raises(InputError, match=pattern):
        jobs_of(parse(changed(change)))


def test_costs_are_known_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """More fields cost more; hybrids are groups of their own on a cluster."""
    study = parse(STUDY)
    jobs = jobs_of(study)
    costs = [cost for cost in study_costs(jobs, REFERENCE) if cost.stage == "hybrids"]
    assert [cost.identifier for cost in costs] == list(jobs["hybrids"])
    assert all(0.0 < cost.seconds < 60.0 and 0.0 < cost.memory_mb < 1000.0 for cost in costs)
    more = parse(changed(lambda content: content["hybrids"]["mixed"].update(samples=100_000)))
    (long, _) = [cost for cost in study_costs(jobs_of(more), REFERENCE) if cost.stage == "hybrids"]
    assert long.seconds > costs[0].seconds
    assert Limits(jobs).group("hybrids", costs[0].identifier) == "short"
    whole = study_costs(jobs, REFERENCE)
    assert sum(cluster_jobs(whole, jobs)) == pytest.approx(sum(cost.seconds for cost in whole))
    nonlinear = copy.deepcopy(STUDY)
    nonlinear["sweeps"]["wide"].update(
        architectures={"name": "convolutional", "width": 2}, training={"path": "fields", "loss": "denoising"}
    )
    found = [cost for cost in study_costs(jobs_of(parse(nonlinear)), REFERENCE) if cost.stage == "hybrids"]
    assert all(not cost.known and cost.seconds > costs[0].seconds for cost in found)


PHASED: dict[str, Any] = {
    **{"dimension": 1, "sizes": [8], "target": "two_phase", "mass": 0.5, "magnetisation": 1.0},
    **{"architectures": ["global_tanh"], "training": {"path": "fields", "loss": "denoising"}},
}


def test_a_probability_of_one_half_is_the_default() -> None:
    """One target, of one label, whether it is given or not."""
    content = {"study": "s", "figures": [], "training": STUDY["training"]}
    content["sweeps"] = {
        "even": {**PHASED, "probability": [0.5, 0.8]},
        "bare": {**PHASED, "architectures": "one_layer"},
    }
    content["hybrids"] = {"mixed": {"windows": [{"sweep": "even", "t_max": 0.1}, {"sweep": "bare", "t_min": 0.1}]}}
    jobs = hybrids_of(parse(content))
    assert [job.identifier for job in jobs] == [f"mixed_d1_L8_m0.5M1_two_phase_s{seeds}" for seeds in ("1-2", "4")]
    for job in jobs:
        first, other = (run.problem()[0].target for run in job.runs)
        assert first == other
    twice = content | {"sweeps": {"even": content["sweeps"]["even"], "bare": PHASED}, "hybrids": {}}
    with pytest.raises(InputError, match=r"the run d1_L8_m0\.5M1_global_tanh_.* is there twice, also in sweeps\.even"):
        jobs_of(parse(twice))


def test_an_exact_start_of_two_phases_is_refused() -> None:
    """By a hybrid and by the generation of a sweep, before anything is trained."""
    said = r"start is 'exact', but the noised fields of target TwoPhase are not Gaussian; take start noise"
    content: dict[str, Any] = {"study": "s", "figures": [], "training": STUDY["training"], "sweeps": {"own": PHASED}}
    hybrid = content | {"hybrids": {"h": {"windows": [{"sweep": "own"}], "start": "exact", "samples": 8}}}
    with pytest.raises(InputError, match=rf"^hybrids\.h: {said}"):
        jobs_of(parse(hybrid))
    with pytest.raises(InputError, match=rf"^sweeps\.own\.generation: {said}"):
        jobs_of(parse(content | {"sweeps": {"own": PHASED | {"generation": {"start": "exact"}}}}))
