"""Scores at finite n as a stage of a study: its jobs, its summary, laws and claims of the best linear score's error."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import csd as package
from csd.core.errors import InputError
from csd.core.files import SCORES_SUMMARY, digest, provenance, read, write
from csd.core.random import stream
from csd.core.source import fingerprint, fingerprint_with_plugins
from csd.lattice import Array, Lattice
from csd.report.figures import draw, linear_floor
from csd.study.claims import parse_claims
from csd.study.config.reading import parse
from csd.study.config.study import STAGES, FigureStyle, jobs_of
from csd.study.cost.limits import study_costs
from csd.study.cost.pace import REFERENCE
from csd.study.scaling import law_row
from csd.study.stages.scores import ScoresJob, check_scores
from csd.study.status import job_states
from csd.study.summaries.scores import aggregate_scores, floor_table
from csd.study.verdicts import judge
from csd.targets.gaussian import GaussianField
from tests.helpers import Runner

LINE = {"dimension": 1, "sizes": [8], "architectures": ["one_layer"]}
SPINS = {"dimension": 1, "sizes": [4, 8, 16], "beta": 0.5, "noise_levels": [0.5, 0.1], "fields": 30}


def jobs(**parts: dict[str, Any]) -> list[ScoresJob]:
    """The jobs of scores of a study with some parts."""
    study = parse({"study": "s", "figures": [], "sweeps": {"line": LINE}, "scores": parts})
    return [job for job in jobs_of(study)["scores"].values() if isinstance(job, ScoresJob)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[ScoresJob], Path]:
    """Files of scores of Ising chains with two seeds, of two-component φ⁴, and of one in closed form."""
    folder = tmp_path_factory.mktemp("scores")
    pair = {"dimension": 1, "sizes": [4], "components": 2, "couplings": {"r0": -1, "u": 2}, "noise_levels": [0.5]}
    infinite = {"dimension": 1, "sizes": [4], "couplings": {"r0": -0.5, "u": 1}, "noise_levels": [0.5]}
    own = jobs(ising=SPINS | {"seeds": [1, 2]}, phi4=pair | {"fields": 25}, infinite=infinite | {"fields": 3})
    for job in own:
        about = {name: value for name, value in vars(job.field).items() if value is not None}
        if not job.components:
            about.pop("target")
        how = {"noise_levels": list(job.noise_levels), "fields": job.settings.fields, "seed": job.settings.seed}
        package.scores(**about, **how, output=folder / f"{job.identifier}.nc")
    return own, folder


def test_a_job_is_its_command(csd: Runner, tmp_path: Path) -> None:
    """Its flags give a file with the configuration and the code that the study asks for, and the last line of a log."""
    (job,) = jobs(ising=SPINS | {"sizes": [4], "components": 3, "accuracy": 0.02})
    assert job.identifier == "d1_L4_b0.5_n3_vp-t0.5-0.1_M30-accuracy0.02_s1"
    path = tmp_path / f"{job.identifier}.nc"
    ran = csd(f"scores {shlex.join(job.arguments())} --output {path}")
    assert ran.status == 0, ran.err
    assert ran.out.splitlines()[-1].startswith(STAGES["scores"].ends)
    found = package.read(path)
    assert found.attrs["configuration_hash"] == digest(job.request)
    assert found.attrs["source_hash"] == fingerprint(STAGES["scores"].step(job))


def test_couplings_without_components_are_those_of_infinite_n() -> None:
    asked = {"dimension": 2, "sizes": [6], "couplings": {"r0": -0.5, "u": 1.0}, "noise_levels": [0.5]}
    closed, one, two = jobs(a=asked, b=asked | {"components": [1, 2]})
    assert [job.components for job in (closed, one, two)] == [0, 1, 2]
    assert closed.request["target"] == "gaussian"
    assert (one.request["target"], two.request["components"]) == ("phi4", 2)
    (masses,) = jobs(c={"dimension": 1, "sizes": [4], "components": 2, "mass": 0.5})
    assert masses.request["r0"] == 0.25


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"beta": 0.5, "couplings": {"r0": 1, "u": 1}}, "couplings and beta are both given"),
        ({"beta": 0.5, "components": 0}, "components"),
        ({"beta": 0.5, "noise_levels": [0.1, 0.1]}, "a noise level is given twice"),
        ({"beta": 0.5, "noise_levels": []}, "noise_levels"),
        ({"beta": 0.5, "accuracy": 2}, "accuracy"),
        ({"couplings": {"r0": -1, "u": 0}, "components": 1}, "u = 0"),
        ({"kappa": 0.2}, "unknown key"),
        ({"target": "mine:Target", "beta": 0.5}, "leave couplings out"),
        ({"target": "gaussain"}, "gaussian"),
    ],
)
def test_bad_input_is_named_with_its_part(part: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=rf"scores\.held.*{said}"):
        jobs(held={"dimension": 1, "sizes": [8], **part})


class Free(GaussianField):
    """A Gaussian field of a user, with an energy and a force."""

    def force(self, fields: Array) -> Array:
        """−(k̂² + m²) φ."""
        return -self.lattice.inverse((self.lattice.laplacian + self.mass**2) * self.lattice.transform(fields))

    def energy(self, fields: Array) -> Array:
        """½ φ (k̂² + m²) φ, shape (…, 1, *lattice.shape) → (…)."""
        axes = (-1 - self.lattice.dimension, *self.lattice.axes)
        return np.asarray(-0.5 * (fields * self.force(fields)).sum(axis=axes))


class WithoutEnergy(GaussianField):
    """A Gaussian field of a user that says nothing of its energy."""


class WithoutSamples:
    """A target from which no fields can be drawn."""

    def __init__(self, lattice: Lattice, mass: float) -> None:
        self.lattice, self.mass, self.free = lattice, mass, Free(lattice, mass)

    def force(self, fields: Array) -> Array:
        """That of a free field."""
        return self.free.force(fields)

    def energy(self, fields: Array) -> Array:
        """That of a free field."""
        return self.free.energy(fields)


def test_a_target_of_ones_own_needs_an_energy_and_samples(csd: Runner, tmp_path: Path) -> None:
    part = {"dimension": 1, "sizes": [4, 8], "mass": 0.5, "noise_levels": [0.5], "fields": 4}
    check_scores(jobs(held=part | {"target": f"{__name__}:Free"}))
    for name, said in (
        ("WithoutEnergy", r"scores\.held: .*has no energy and force"),
        ("WithoutSamples", "no .*sample"),
    ):
        with pytest.raises(InputError, match=said):
            check_scores(jobs(held=part | {"target": f"{__name__}:{name}"}))
    job = jobs(held=part | {"target": f"{__name__}:Free"})[0]
    path = tmp_path / f"{job.identifier}.nc"
    ran = csd(f"scores {shlex.join(job.arguments())} --output {path}")
    assert ran.status == 0, ran.err
    attrs = package.read(path).attrs
    assert attrs["configuration_hash"] == digest(job.request)
    assert attrs["source_hash"] == fingerprint_with_plugins(STAGES["scores"].step(job), *STAGES["scores"].plugins(job))
    (row,) = aggregate_scores([job], tmp_path)["components"].values
    assert row == 1


def test_validate_finds_a_target_without_energy(csd: Runner, tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    part = {"dimension": 1, "sizes": [4], "target": f"{__name__}:WithoutEnergy"}
    file.write_text(json.dumps({"study": "s", "sweeps": {"line": LINE}, "scores": {"held": part}}))
    ran = csd(f"validate {file} --no-cost")
    assert ran.status != 0
    assert "scores.held: target WithoutEnergy has no energy and force" in ran.err


def test_status_names_the_part_of_a_job_that_failed(tmp_path: Path) -> None:
    """Such as one whose noise level is so high that the chains of the posterior do not mix."""
    study = parse({"study": "s", "figures": [], "sweeps": {"line": LINE}, "scores": {"held": SPINS | {"sizes": [4]}}})
    own = jobs_of(study)
    (name,) = own["scores"]
    (tmp_path / "logs" / "scores").mkdir(parents=True)
    said = "csd scores: noise level 9: chains of the posterior do not mix; take a smaller noise level"
    (tmp_path / "logs" / "scores" / f"{name}.log").write_text(f"csd scores …\n{said}\n")
    states = {state.name: state for state in job_states(own, tmp_path)}
    assert states[f"scores/{name}"].about == f"{said} (scores.held)"


def test_the_summary_has_the_numbers_of_the_files(made: tuple[list[ScoresJob], Path]) -> None:
    own, folder = made
    summary = aggregate_scores(own, folder)
    assert list(summary["sweep"].values) == ["ising", "ising", "ising", "phi4", "infinite"]
    assert list(summary["components"].values) == [1, 1, 1, 2, 0]
    assert list(summary["target"].values) == ["spins", "spins", "spins", "phi4", "gaussian"]
    for job in own:
        file = package.read(folder / f"{job.identifier}.nc")
        run = [
            place for place in range(5) if summary["sweep"][place] == job.sweep and summary["size"][place] == job.size
        ]
        at = summary.isel(run=run[0]).sel(seed=job.settings.seed, noise_level=list(job.noise_levels))
        names = ["squared_score", "minimum_loss"]
        names += ["linear_score_error", "linear_zero_mode_error", "tau"] if job.components else []
        for name in names:
            np.testing.assert_allclose(at[name].values, file[name].values)
        if job.components:
            shells = at["linear_shell_error"].values[:, : file.sizes["inverse_length"]]
            np.testing.assert_allclose(shells, file["linear_shell_error"].values, rtol=1e-6)
    assert np.isnan(summary["linear_score_error"].values[4]).all()
    assert "clean" not in summary
    assert set(jobs_of(parse({"study": "s", "sweeps": {"line": LINE}}))) == set(STAGES)


def test_a_summary_of_closed_forms_alone(made: tuple[list[ScoresJob], Path]) -> None:
    own, folder = made
    summary = aggregate_scores([job for job in own if not job.components], folder)
    assert np.isnan(summary["linear_zero_mode_error"].values).all()
    assert floor_table(summary).empty


def test_values_of_several_seeds_have_the_error_of_both(made: tuple[list[ScoresJob], Path]) -> None:
    """The mean of two seeds, with the larger of the error by their scatter and of that by their own errors."""
    own, folder = made
    table = floor_table(aggregate_scores(own, folder))
    chosen = table[
        (table["law"] == "value") & (table["quantity"] == "linear_score_error") & (table["study"] == "ising")
    ]
    assert list(chosen["sizes"]) == ["4", "8", "16"] * 2
    pair = [package.read(folder / f"{job.identifier}.nc") for job in own if job.sweep == "ising" and job.size == 8]
    values, errors = (
        np.array([float(file[f"linear_score_error{end}"].sel(noise_level=0.1)) for file in pair])
        for end in ("", "_error")
    )
    (row,) = chosen[(chosen["sizes"] == "8") & (chosen["noise_level"] == 0.1)].to_dict("records")
    assert row["value"] == pytest.approx(values.mean())
    scatter = abs(values[0] - values[1]) / 2.0
    assert row["error"] == pytest.approx(max(scatter, float(np.hypot(*errors)) / 2.0))
    assert (row["architecture"], row["data"], row["mass"]) == ("best_linear", "spins-n1", "b0.5")


def power_of(sizes: list[int], exponent: float, error: float) -> xr.Dataset:
    """A summary whose values follow a power of the size, with normal errors of a given relative size."""
    values = 0.5 * np.array(sizes) ** exponent
    drawn = values * (1.0 + error * stream("test", "power", exponent, error).standard_normal(len(sizes)))
    names = {"sweep": "a", "target": "phi4", "target_label": "r1u1", "dimension": 2, "components": 1, "schedule": "vp"}
    columns = {name: ("run", np.array([value] * len(sizes), dtype=object)) for name, value in names.items()}
    dims = ("run", "seed", "noise_level")
    own = {
        f"{name}{end}": (dims, numbers[:, None, None])
        for name in ("linear_score_error", "linear_zero_mode_error")
        for end, numbers in (("", drawn), ("_error", error * values))
    }
    return xr.Dataset(columns | own | {"size": ("run", sizes)}, {"seed": [1], "noise_level": [0.1]})


def test_the_power_law_of_values_is_known_by_their_errors() -> None:
    """The exponent of 100 sets of values, by errors that the files give: pulls have a mean square of 1 within 4 σ."""
    pulls = []
    for place in range(100):
        table = floor_table(power_of([8, 16, 32, 64], 0.01 * place, 0.02))
        law = table[(table["law"] == "power") & (table["quantity"] == "linear_score_error")].iloc[0]
        pulls.append((law["exponent"] - 0.01 * place) / law["bootstrap_error"])
    assert abs(np.mean(np.square(pulls)) - 1.0) < 4.0 * np.sqrt(2.0 / 100)


CLAIM = {"quantity": "linear_score_error", "architecture": "best_linear", "dimensions": 2, "mass": "r1u1"}


def verdict_of(scaling: pd.DataFrame, **test: Any) -> tuple[str, list[tuple[int, str]]]:
    """The verdict of a claim with one test, and the size and verdict of each of its values."""
    content = {"claims": [{"id": "A", "statement": "a", "tests": [CLAIM | test]}]}
    (verdict,) = judge(parse_claims(content, "c"), scaling, xr.Dataset())
    return verdict.verdict, [(outcome.size, outcome.verdict) for own in verdict.rows for outcome in own]


def test_values_are_judged_at_each_size() -> None:
    """In the range with two errors: holds; outside with two: fails; else undecided. No span of sizes is needed."""
    rows = [(8, 1.0, 0.1), (16, 2.0, 0.1), (32, 1.0, np.nan), (64, np.nan, np.nan)]
    about = {"study": "s", "architecture": "best_linear", "dimension": 2, "mass": "r1u1", "data": "phi4-n1"}
    about |= {"noise_level": 0.1, "quantity": "linear_score_error", "criterion": "", "loss": ""}
    table = pd.DataFrame([about | law_row([L], law="value", value=value, error=error) for L, value, error in rows])
    table = pd.concat([table, pd.DataFrame([about | law_row([8, 16], "too few sizes")])])
    assert verdict_of(table, measure="value", accepted=[0.75, 1.25], sizes=8) == ("holds", [(8, "holds")])
    assert verdict_of(table, measure="value", accepted=[0.85, 1.25], sizes=8) == ("undecided", [(8, "undecided")])
    assert verdict_of(table, measure="value", accepted=[0.75, 1.25], sizes=[8, 16])[1] == [(8, "holds"), (16, "fails")]
    every = verdict_of(table, measure="value", accepted=[0.75, 2.5])
    assert every == ("incomplete", [(8, "holds"), (16, "holds"), (32, "undecided"), (64, "incomplete")])
    assert verdict_of(table, measure="value", accepted=[0.75, 2.5], sizes=[8, 128])[0] == "incomplete"
    level = {"noise_levels": [0.1, 0.5], "because": "small"}
    assert verdict_of(table, measure="value", accepted=[0.75, 1.25], sizes=8, **level)[0] == "incomplete"


def test_constants_and_exponents_of_values() -> None:
    table = floor_table(power_of([8, 16, 32, 64], 0.0, 0.01))
    assert verdict_of(table, measure="constant")[0] == "holds"
    assert verdict_of(table, measure="exponent", accepted=[0.5, 1.5])[0] == "fails"
    short = floor_table(power_of([8, 16, 32], 0.0, 0.01))
    assert verdict_of(short, measure="constant")[0] == "undecided"
    assert verdict_of(short, measure="value", accepted=[0.4, 0.6])[0] == "holds"


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"measure": "log"}, "quantity linear_score_error has the measures value, constant, exponent"),
        ({"measure": "value", "accepted": [0, 1], "quantity": "training_time"}, "measure is value"),
        ({"measure": "constant", "sizes": 8}, "sizes are given"),
        ({"measure": "value"}, "at least one bound"),
        ({"measure": "value", "accepted": [0, 1], "sizes": [8, 8]}, "a size is given twice"),
    ],
)
def test_claims_on_values_that_mean_nothing_are_refused(test: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_claims({"claims": [{"id": "A", "statement": "a", "tests": [CLAIM | test]}]}, "c")


def test_the_commands_lead_from_files_to_a_figure(
    made: tuple[list[ScoresJob], Path], csd: Runner, tmp_path: Path
) -> None:
    """`csd aggregate scores`, its summary as a file, and the figure with numbers of the data in its caption."""
    own, folder = made
    study = {"study": "s", "sweeps": {"line": LINE}, "scores": {"ising": SPINS | {"seeds": [1, 2]}}}
    (tmp_path / "study.json").write_text(json.dumps(study))
    summary, laws = tmp_path / "scores.nc", tmp_path / "scaling.csv"
    asked = f"--study {tmp_path / 'study.json'} --files {folder} --output {summary}"
    ran = csd(f"aggregate scores {asked}")
    assert ran.status == 0, ran.err
    assert read(summary, SCORES_SUMMARY).sizes["run"] == 3
    whole = aggregate_scores(own, folder)
    floor_table(whole).to_csv(laws, index=False)
    write(whole.assign_attrs(provenance("csd aggregate", {})), summary, SCORES_SUMMARY)
    assert not draw("linear_floor", summary, laws, FigureStyle.model_validate({}), tmp_path / "figure.png")
    caption = (tmp_path / "figure.rst").read_text()
    assert "Ising, d = 1, β = 0.5, L = 16: all modes" in caption
    assert "φ⁴, d = 1, n = 2" in caption
    write(whole.isel(run=[4]).assign_attrs(provenance("csd aggregate", {})), summary, SCORES_SUMMARY)
    with pytest.raises(InputError, match="linear_floor"):
        draw("linear_floor", summary, laws, FigureStyle.model_validate({}), tmp_path / "no.png")


def test_the_axis_of_one_noise_level_is_wider_than_sizes_are_apart(made: tuple[list[ScoresJob], Path]) -> None:
    figure, _ = linear_floor.draw(aggregate_scores(*made), pd.DataFrame(), FigureStyle.model_validate({}))
    alone = next(axes for axes in figure.axes if "n = 2" in axes.get_title())
    assert alone.get_xlim() == pytest.approx((0.25, 1.0))


def test_costs_grow_with_what_is_asked() -> None:
    """Fields, levels and accuracy take time; the cost of a user's target is not known, and its class not imported."""
    study = {"study": "s", "figures": [], "sweeps": {"line": LINE}}
    few, many, fine = jobs(
        a=SPINS | {"sizes": [16]},
        b=SPINS | {"sizes": [16], "fields": 3000},
        c=SPINS | {"sizes": [16], "fields": 3000, "accuracy": 1e-5},
    )
    costs = {cost.identifier: cost for cost in STAGES["scores"].expected([few, many, fine], REFERENCE)}
    seconds = [costs[job.identifier].seconds for job in (few, many, fine)]
    assert seconds == sorted(seconds)
    assert costs[many.identifier].disk_mb == pytest.approx(100 * costs[few.identifier].disk_mb)
    part = {"dimension": 1, "sizes": [8], "target": "nowhere:Target"}
    own = jobs_of(parse(study | {"scores": {"held": part}}))
    (cost,) = [cost for cost in study_costs(own, REFERENCE) if cost.stage == "scores"]
    assert not cost.known
