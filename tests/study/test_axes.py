"""Optimisers as an axis of a study, and sweeps that generate from networks without a kernel."""

from pathlib import Path
from typing import Any

import pytest

from csd.core.errors import InputError
from csd.report.figures import drawn
from csd.report.figures.needs import Wanted, runs_of
from csd.study.config.reading import parse
from csd.study.config.study import jobs_of
from csd.study.stages.training import check_training
from csd.study.summaries.columns import with_default_options
from tests.helpers import runs_of as training_runs


def content(**keys: Any) -> dict[str, Any]:
    """A study of one sweep."""
    sweep = {"dimension": 1, "sizes": 8, "architectures": "one_layer", **keys}
    return {"study": "s", "training": {"noise_levels": [0.1], "seeds": 1}, "sweeps": {"line": sweep}}


def test_a_list_of_optimisers_stands_for_one_run_each() -> None:
    runs = training_runs(content(training={"optimizer": ["gd", "nesterov"]}))
    assert [run.settings.optimizer for run in runs] == ["gd", "nesterov"]
    assert ["-nesterov" in run.identifier for run in runs] == [False, True]
    assert "--optimizer nesterov" in " ".join(runs[1].arguments())
    assert runs[0].alike != runs[1].alike
    (alone,) = training_runs(content(training={"optimizer": "nesterov"}))
    assert alone == runs[1]
    (absent,) = training_runs(content())
    assert absent.settings.optimizer is None
    written = parse(content(training={"optimizer": ["gd", "nesterov"]})).model_dump(mode="json")
    assert [run.identifier for run in training_runs(written)] == [run.identifier for run in runs]
    with pytest.raises(InputError, match=r"'adm'.*adam"):
        training_runs(content(training={"optimizer": ["gd", "adm"]}))


def test_a_list_of_numbers_of_steps_stands_for_one_training_each() -> None:
    runs = training_runs(content(training={"max_steps": [10, 1000], "optimizer": ["gd", "nesterov"]}))
    assert [run.settings.max_steps for run in runs] == [10, 1000, 10, 1000]
    assert [run.data_label.partition("-steps")[2] for run in runs] == ["10", "1000", "10", "1000"]
    assert len({run.identifier for run in runs}) == len({run.key for run in runs}) == 4
    # One number names nothing, as ever.
    (alone,) = training_runs(content(training={"max_steps": 10}))
    assert "steps" not in alone.identifier
    assert alone == training_runs(content(training={"max_steps": [10]}))[0]
    with pytest.raises(InputError, match="is there twice"):
        training_runs(content(training={"max_steps": [10, 10]}))


def test_the_longest_training_of_each_sweep_is_the_default() -> None:
    """Figures and claims are about it, unless they ask for others; trainings of one length are as ever."""
    study = content(training={"max_steps": [10, 1000]})
    study["sweeps"] |= {
        "shorter": study["sweeps"]["line"] | {"sizes": 16, "training": {"max_steps": [5, 50]}},
        "plain": study["sweeps"]["line"] | {"sizes": 32, "training": {"max_steps": 7}},
    }
    runs = runs_of(jobs_of(parse(study)))["training"]
    assert [run["max_steps"] for run in with_default_options(runs)][:2] == [1000, 50]
    assert [run["size"] for run in with_default_options(runs)] == [8, 16, 32]
    assert [run["size"] for run in Wanted(options=("max_steps",))(runs)] == [8, 8, 16, 16, 32]
    assert [run["max_steps"] for run in with_default_options(runs, {"max_steps": [5]})][:1] == [5]


def test_plain_descent_is_the_default_where_every_run_names_its_optimiser() -> None:
    def chosen(optimizers: list[Any]) -> list[Any]:
        runs = runs_of(jobs_of(parse(content(training={"optimizer": optimizers}))))["training"]
        assert Wanted(options=("optimizer",))(runs) == runs
        assert len(with_default_options(runs)) <= 1
        return [run["optimizer"] for run in Wanted()(runs)]

    assert chosen(["gd", "nesterov", "adam"]) == ["gd"]
    assert chosen(["nesterov"]) == ["nesterov"]


NONLINEAR: dict[str, Any] = {
    "sizes": 8,
    "architectures": {"name": "convolutional", "width": 2},
    "training": {"path": "fields", "loss": "denoising"},
    "generation": {"steps": 20, "samples": 8},
}


def test_networks_without_a_kernel_are_generated_from() -> None:
    study = parse(content(**NONLINEAR))
    (trained,), (made,) = (list(jobs_of(study)[stage].values()) for stage in ("training", "generation"))
    assert len(trained.noise_levels) == 21  # type: ignore[attr-defined]
    assert "--steps" not in made.arguments()


def test_a_conditioned_network_is_measured_at_few_levels_and_generates_on_the_whole_grid() -> None:
    conditioned = {"training": NONLINEAR["training"] | {"conditioned": True}}
    jobs = jobs_of(parse(content(**NONLINEAR | conditioned)))
    (trained,), (made,) = (list(jobs[stage].values()) for stage in ("training", "generation"))
    (each,) = jobs_of(parse(content(**NONLINEAR)))["training"].values()
    levels = trained.noise_levels  # type: ignore[attr-defined]
    assert len(levels) == 9
    assert [min(levels), max(levels)] == [min(each.noise_levels), max(each.noise_levels)]  # type: ignore[attr-defined]
    assert "--steps 20" in " ".join(made.arguments())


def test_figures_of_linear_theory_leave_out_networks_without_a_kernel() -> None:
    runs = runs_of(jobs_of(parse(content(**NONLINEAR))))["generation"]
    assert Wanted()(runs) == []
    assert Wanted(kernel=False)(runs) == runs


def test_user_defined_networks_on_raw_fields_may_have_no_kernel() -> None:
    """Their classes need not be found when figures are chosen."""

    for path, shown in (("fields", {"network_curves", "observables"}), ("spectral", set())):
        keys = NONLINEAR | {"architectures": "own:Bent", "training": {"path": path, "loss": "denoising"}}
        study = content(**keys)
        study["sweeps"]["plain"] = {
            name: value for name, value in study["sweeps"]["line"].items() if name != "generation"
        }
        assert set(drawn(parse(study))) & {"network_curves", "observables"} == shown


def test_what_training_would_refuse_is_refused_in_a_study() -> None:
    """A rule on modes with filters, and one noise level for a network of all of them."""
    fields: dict[str, Any] = {"path": "fields", "loss": "denoising"}
    with pytest.raises(InputError, match=r"^sweeps\.line: optimizer is 'adam_fourier', .* 'convolutional' .*one_layer"):
        training_runs(content(architectures="convolutional", training={**fields, "optimizer": ["gd", "adam_fourier"]}))
    with pytest.raises(InputError, match=r"^sweeps\.line: conditioned is given, but there is one noise level"):
        training_runs(content(architectures="convolutional", training={**fields, "conditioned": True}))


def test_a_conditioned_network_of_the_user_is_built_at_all_levels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_levels.py").write_text(
        "import torch\n"
        "from csd.networks.module import ScoreNetwork\n\n\n"
        "class OfLevels(ScoreNetwork):\n"
        "    def __init__(self, lattice, spectrum, generator):\n"
        "        super().__init__(lattice)\n"
        "        self.rate = torch.nn.Parameter(torch.tensor(0.5))\n\n"
        "    def forward(self, fields, t):\n"
        "        return -self.rate * fields\n"
    )
    monkeypatch.chdir(tmp_path)
    training = {"path": "fields", "loss": "denoising", "conditioned": True, "noise_levels": [0.1, 1.0]}
    check_training(training_runs(content(architectures="of_levels:OfLevels", training=training)))
