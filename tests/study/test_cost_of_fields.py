"""What independent fields cost: prices, chains, networks at the same accuracy, and the figure."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import csd.study.summaries.cost_of_fields
from csd import train
from csd.cli.commands import main
from csd.core.errors import InputError
from csd.core.files import ENSEMBLE_SUMMARY, GENERATION_SUMMARY, TIMING, Content, content_of, read, write
from csd.core.plugins import resolve
from csd.core.random import stream
from csd.diffusion.criteria import CRITERIA, log_effective_sample_size
from csd.diffusion.grids import geometric_grid, longest_level
from csd.diffusion.integrators import Heun
from csd.diffusion.reverse import ReverseDiffusion
from csd.lattice import Lattice
from csd.lattice.observables import susceptibility
from csd.networks import Architecture
from csd.networks.score import KernelScore
from csd.report.figures import cost_to_fields, looks
from csd.study.config.reading import parse
from csd.study.config.study import FigureStyle
from csd.study.stages.generation import generation_jobs
from csd.study.stages.monte_carlo import MonteCarloJob, monte_carlo_jobs
from csd.study.stages.training import TrainingJob, training_jobs
from csd.study.summaries.accuracy import Matched, evaluations, matched
from csd.study.summaries.cost_of_fields import (
    FIELDS,
    UNKNOWN,
    Method,
    Price,
    billed,
    cost_of_fields,
    of_direct,
    of_networks,
    of_samplers,
    seconds_of,
    undominated,
)
from csd.study.summaries.dynamics import aggregate_monte_carlo
from csd.study.summaries.generation import aggregate_generation
from csd.study.summaries.laws import EVERY_ROW
from csd.targets.gaussian import GaussianField
from csd.targets.noising import SCHEDULES, NoisedTarget
from csd.training.options import TrainingSettings
from csd.training.preparation import prepare

STUDY: dict[str, Any] = {
    "study": "test",
    "figures": [],
    "training": {"noise_levels": [0.1], "seeds": [1, 2]},
    "sweeps": {
        "a": {
            "dimension": 2,
            "sizes": [4, 6, 8],
            "architectures": ["two_layer"],
            "generation": {"steps": 48, "samples": 4},
            "training": {"until": "samples", "batch": 262144},
        }
    },
    "monte_carlo": {
        "line": {
            "dimension": 2,
            "sizes": [4, 6, 8],
            "samplers": ["heat_bath", "fourier_hmc"],
            "sweeps": 20_000,
            "every": 1,
            "chains": 2,
        }
    },
}
VP = resolve("schedule", "vp", SCHEDULES)()


def study(**training: Any) -> dict[str, Any]:
    """The study with other training in its sweep."""
    content = copy.deepcopy(STUDY)
    content["sweeps"]["a"]["training"].update(training)
    return content


def jobs() -> list[MonteCarloJob]:
    return monte_carlo_jobs(parse(STUDY).monte_carlo)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the study and their summaries, made by the commands and calls that the workflow makes."""
    folder = tmp_path_factory.mktemp("results")
    own = parse(STUDY)
    for job in jobs():
        main(["mcmc", *job.arguments(), "--output", str(folder / "monte_carlo" / f"{job.identifier}.nc")])
    for run in training_jobs(own):
        file = folder / "training" / f"{run.identifier}.nc"
        main(["train", *run.arguments(), "--output", str(file)])
        main(["generate", str(file), "--samples", "4", "--output", str(folder / "generation" / file.name)])
    (folder / "summary").mkdir()
    write(
        aggregate_monte_carlo(jobs(), folder / "monte_carlo"), folder / "summary" / "monte_carlo.nc", ENSEMBLE_SUMMARY
    )
    generation = aggregate_generation(generation_jobs(training_jobs(own)), folder / "generation")
    write(generation, folder / "summary" / "generation.nc", GENERATION_SUMMARY)
    (folder / "summary" / "study.json").write_text(own.model_dump_json())
    summary = folder / "summary"
    words = ["--study", str(summary / "study.json"), "--monte-carlo", str(summary / "monte_carlo.nc")]
    words += ["--generation", str(summary / "generation.nc"), "--output", str(summary / "timing.nc")]
    main(["timing", *words])
    return folder


def summary_of(results: Path, name: str, kind: str) -> xr.Dataset:
    return read(results / "summary" / f"{name}.nc", kind)


def test_prices() -> None:
    """Against sums term by term; in seconds the error of an update is independent of that of the time it takes."""
    one, other = Price(10.0, 2.0, 1.0, 0.5), Price(5.0, 1.0, 2.0, 0.0)
    assert (one + other).of(100.0) == (15.0 + 300.0, 3.0 + 50.0)
    seconds = one.measured(0.5, 0.3)
    assert (seconds.start, seconds.each) == (5.0, 1.0)
    assert seconds.start_error == pytest.approx(0.5 * np.sqrt(1.0 + 9.0))
    assert seconds.each_error == pytest.approx(0.5 * np.sqrt(0.25 + 0.36))


def test_seconds_are_a_median_with_an_error_that_is_a_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats of 1, 2, …, 9 seconds: median 5, quartiles 3 and 7; a single slow one changes neither."""
    taken = [*np.arange(1.0, 9.0), 1e6]
    ticks = iter([0.0, 1.0, *(tick for time in taken for tick in (0.0, time))])
    monkeypatch.setattr(csd.study.summaries.cost_of_fields, "process_time", lambda: next(ticks))
    median, spread = seconds_of(lambda: 1.0)
    assert median == 5.0
    assert spread == pytest.approx(0.5 * np.log(7.0 / 3.0))


@pytest.mark.parametrize(
    ("name", "each"),
    [("frozen_kernel", 1), ("euler_maruyama", 1), ("exponential", 1), ("euler", 1), ("heun", 2)],
)
def test_evaluations_are_those_of_the_formulas(name: str, each: int) -> None:
    from csd.diffusion.integrators import INTEGRATORS

    grid = geometric_grid(1e-3, 3.0, 7)
    assert evaluations(resolve("integrator", name, INTEGRATORS)(), VP, grid) == 7 * each


def test_every_correction_counts() -> None:
    from csd.diffusion.integrators import PredictorCorrector

    assert evaluations(PredictorCorrector(corrections=3), VP, geometric_grid(1e-3, 3.0, 5)) == 5 * 4


def test_fields_of_chains_cost_twice_the_slowest_time(results: Path) -> None:
    """20 τ + 2 τ n updates. τ of the heat bath is that of m: 1/λ-like, longer than of m² by two (exactly solvable)."""
    summary = summary_of(results, "monte_carlo", ENSEMBLE_SUMMARY)
    methods = {(one.name, one.size): one for one in of_samplers(jobs(), summary)}
    assert len(methods) == 6
    for place in range(summary.sizes["run"]):
        one = summary.isel(run=place)
        tau = (one["tau"] * one["field_updates"]).sel(seed=1)
        price = methods[str(one["sampler"].values), int(one["size"])].updates
        for n in FIELDS:
            assert price.of(n)[0] == pytest.approx((20.0 + 2.0 * n) * float(tau.max()))
        if one["sampler"] == "heat_bath":
            assert tau.max() == tau.sel(observable="magnetisation_component")
            assert 1.6 < float(tau.max() / tau.sel(observable="magnetisation_squared")) < 2.4


def test_a_chain_too_short_for_the_time_of_m_has_no_cost(results: Path) -> None:
    summary = summary_of(results, "monte_carlo", ENSEMBLE_SUMMARY).copy(deep=True)
    place = int(np.flatnonzero((summary["sampler"] == "heat_bath") & (summary["size"] == 6))[0])
    # As `csd.study.summaries.dynamics.aggregate_monte_carlo` has it where the slowest series has no error bar.
    summary["slowest_tau_error"][place] = np.nan
    without = [one for one in of_samplers(jobs(), summary) if one.remark]
    assert [(one.name, one.size) for one in without] == [("heat_bath", 6)]
    assert np.isnan(without[0].updates.each)
    summary["mass_times_length"][:] = np.nan
    assert of_samplers(jobs(), summary) == []


def trained(architecture: str, size: int, **options: Any) -> Content:
    levels = geometric_grid(1e-3, longest_level(size), 160)
    asked = {"loss": "population", "kernel_steps": "recorded", "tolerance": 0.0, "seeds": [1], **options}
    return content_of(
        train(architecture, dimension=1, size=size, noise_levels=[float(level) for level in levels], **asked)
    )


@pytest.mark.parametrize(
    ("architecture", "size", "steps"), [("two_layer", 8, 16), ("two_layer", 32, 24), ("one_layer", 8, 83)]
)
def test_steps_until_samples_are_as_accurate(architecture: str, size: int, steps: int) -> None:
    """With 160 steps of Heun an ESS of a half is met first at 16, 24 and 79 steps; the next on the grid to 79 is 83."""
    grids = matched([trained(architecture, size, max_steps=100)], Heun(), "noise")
    assert (grids[0].steps, grids[0].evaluations, len(grids[0].grid)) == (steps, 320, 161)
    assert (grids[0].per_field >= 1.0).all() and (grids[0].per_field <= 2.0).all()
    # With fewer levels the integrator errs more, so training cannot be shorter.
    assert np.all(np.diff([one.steps for one in grids]) >= 0.0)
    assert np.all(np.diff([one.evaluations for one in grids]) < 0)
    assert len(grids) > 3


def test_one_seed_that_is_never_right_leaves_no_cost() -> None:
    """Two files of one network, the second with kernels a tenth too large: χ is off, and so is the root mean square."""
    good = trained("two_layer", 8, max_steps=40)
    spoilt = copy.deepcopy(good)
    residual = spoilt["recorded_residual"].values
    residual += 0.1 * (1.0 + residual)
    assert matched([good], Heun(), "noise")
    assert matched([good, spoilt], Heun(), "noise") == []


def networks(results: Path, generation: xr.Dataset, **training: Any) -> list[Method]:
    runs: list[TrainingJob] = training_jobs(parse(study(**training)))
    if training:
        # The files are those of the study as it stands; only what is asked differs.
        generation = generation.assign(data=("run", [run.data_label for run in runs]))
    makers = of_direct([(2, 4), (2, 6), (2, 8)])
    return of_networks(runs, generation, results / "training", makers)


def test_no_mean_over_survivors(results: Path) -> None:
    """A seed without a generation training time takes the cost from its network, and is named."""
    generation = summary_of(results, "generation", GENERATION_SUMMARY).copy(deep=True)
    place = int(np.flatnonzero(generation["size"] == 6)[0])
    generation["generation_training_time"][place, 1, CRITERIA.index("effective_sample_size")] = np.nan
    lost = [one for one in networks(results, generation) if one.remark and one.size == 6]
    assert [one.remark for one in lost] == ["seed 2 of 2 never had effective_sample_size of a half for good"]
    assert all(np.isnan(one.updates.start) for one in lost)
    generation["criterion_remark"][place, CRITERIA.index("effective_sample_size")] = (
        "with 3 steps the exact score fails"
    )
    assert [one.remark for one in networks(results, generation) if one.size == 6] == [
        "with 3 steps the exact score fails"
    ]


def test_the_population_loss_has_no_cost(results: Path) -> None:
    generation = summary_of(results, "generation", GENERATION_SUMMARY)
    found = networks(results, generation, loss="population")
    assert {one.remark for one in found} == {"the population loss has seen infinitely many fields"}


def test_training_data_are_charged() -> None:
    """S × levels + 20 τ + 2 τ S B before the first field, term by term; errors too."""
    grid = Matched(np.ones(9), 16, 25.0, np.array([1.5, 2.0]), steps_error=0.5, batch=1000)
    free = Method("two_layer", "diffusion", 2, 8, Price(225.0, 28.0, 4.5, 4.0), Price(1.0, 0.1), "free", "free", 25e3)
    chain = Price(20.0 * 7.0, 14.0, 20.0 * 0.2, 2.0 * 0.2)
    makers = [
        Method("direct", "direct", 2, 8, Price(0.0, 1.0), Price(0.0, 0.01)),
        Method("slow", "local", 2, 8, Price(1e3, 100.0), Price(1.0, 1.0)),
        Method("heat_bath", "local", 2, 8, chain, chain.measured(1e-3, 0.1)),
        Method("elsewhere", "local", 2, 16, Price(0.0, 0.1), Price(0.0, 0.1)),
        Method("unknown", "local", 2, 8, UNKNOWN, UNKNOWN),
    ]
    bills = {one.data_kind: one for one in billed(free, grid, makers)}
    assert bills["free"] == free
    assert bills["direct"].updates.start == 225.0 + 25e3
    assert bills["local"].data == "heat_bath"
    assert bills["local"].updates.start == pytest.approx(225.0 + 140.0 + 14.0 * 25e3)
    assert bills["local"].updates.start_error == pytest.approx(4.5 + 4.0 + 0.4 * 25e3 + 14.0 * 500.0)
    assert bills["local"].seconds.start == pytest.approx(1.0 + 1e-3 * (140.0 + 14.0 * 25e3))
    assert {one.updates.each for one in bills.values() if not one.remark} == {28.0}
    assert np.isnan(bills["accelerated"].updates.start)
    assert "no such sampler" in bills["accelerated"].remark


def test_dominated_grids_are_dropped() -> None:
    pairs = [(10.0, 5.0), (11.0, 5.0), (12.0, 3.0), (20.0, 4.0), (30.0, 1.0)]
    methods = [Method("a", "diffusion", 1, 8, Price(*pair), Price(*pair)) for pair in pairs]
    kept = [(one.updates.start, one.updates.each) for one in undominated(methods)]
    assert kept == [(10.0, 5.0), (12.0, 3.0), (30.0, 1.0)]
    lost = replace(methods[0], updates=UNKNOWN)
    assert undominated([lost, lost]) == [lost]


def scatter(shared: bool, seeds: Sequence[int], batch: int = 4096) -> Any:
    """χ over the exact one less 1 of two layers at steps 40, 50, … 100, with one set of fields for all levels or not.

    |αx + σz|² of B fields, by mode: the power of x, and given it that of the sum.
    """
    field = GaussianField.on_critical_line(Lattice(1, 16))
    noised = NoisedTarget(field, VP, geometric_grid(1e-3, longest_level(16), 64).tolist())
    found = []
    for seed in seeds:
        run = prepare(noised, Architecture("two_layer"), TrainingSettings(batch=batch, seeds=(seed,)))
        reverse, modes = ReverseDiffusion(noised, Heun(), "noise"), run.modes
        exact = noised.spectra_at(modes)[-1]
        generator = stream("shared", shared, seed)
        degrees = batch * np.where(np.arange(len(modes)) < len(modes) - modes.self_conjugate, 2, 1)
        shape = len(noised.levels), len(modes)
        signal, noise = np.sqrt(np.array(noised.signals) ** 2)[:, None], np.sqrt(noised.variances)[:, None]
        for step in range(1, 101):
            clean = generator.chisquare(degrees, size=shape[1] if shared else shape) / degrees
            clean = clean * field.propagator(modes.laplacian)
            along = generator.standard_normal(shape)
            across = generator.chisquare(degrees - 1, size=shape)
            both = signal**2 * clean + 2.0 * signal * noise * np.sqrt(clean / degrees) * along
            run.descent.advance((both + noise**2 * (along**2 + across) / degrees)[None], 1.0)
            if step >= 40 and step % 10 == 0:
                kernels = np.moveaxis(np.asarray(run.descent.kernel()), 1, 0)
                made = reverse.variance(KernelScore(noised.lattice, modes, noised.levels, kernels))
                found.append(float((susceptibility(modes, made) / susceptibility(modes, exact) - 1.0)[0]))
                assert np.exp(log_effective_sample_size(modes, made, exact))[0] > 0.9
    return np.array(found)


def test_one_set_of_fields_serves_all_noise_levels() -> None:
    """χ scatters alike, by 2.6/√B = 4 %; 20 seeds of 7 steps each, so variances are within a factor 2 (4 sigma)."""
    one, each = scatter(True, range(20)), scatter(False, range(20))
    assert 0.5 < one.var() / each.var() < 2.0
    for found in (one, each):
        assert 0.028 < found.std() < 0.056


def test_costs_of_a_study(results: Path) -> None:
    """The caption's sentence, and the units: levels and evaluations of the grid that was taken."""
    costs = summary_of(results, "timing", TIMING)
    assert set(costs["method"].values) == {"direct", "heat_bath", "fourier_hmc", "two_layer"}
    assert set(costs["data_kind"].values) == {"", "free", "direct", "accelerated", "local"}
    assert not costs["remark"].any()
    assert (costs["seconds"] > 0.0).all() and (costs["seconds_error"] >= 0.0).all()
    n = costs["fields"]
    for unit in ("updates", "seconds"):
        total = costs[f"start_{unit}"] + n * costs[f"each_{unit}"]
        np.testing.assert_allclose(costs[unit], total)
    taught = costs.isel(run=(costs["kind"] == "diffusion").values)
    np.testing.assert_allclose(taught["each_updates"], taught["evaluations"] * taught["per_field"])
    np.testing.assert_allclose(taught["seen"], taught["steps"] * 262144)
    free = taught.isel(run=(taught["data_kind"] == "free").values)
    np.testing.assert_allclose(free["start_updates"], free["steps"] * (free["evaluations"] / 2 + 1))
    # Direct sampling beats all, and no network its teacher before it has made what it has seen.
    for size in (4, 6, 8):
        here = costs.isel(run=(costs["size"] == size).values)
        direct = here.isel(run=(here["method"] == "direct").values)["updates"].squeeze("run")
        np.testing.assert_allclose(direct, n)
        assert (here.isel(run=(here["method"] != "direct").values)["updates"] > direct).all()
        for place in np.flatnonzero(here["data_kind"].isin(["direct", "accelerated", "local"])):
            network = here.isel(run=int(place))
            teacher = here.isel(run=int(np.flatnonzero(here["method"] == network["data"])[0]))
            before = np.geomspace(1.0, float(network["seen"]), 20)
            own, its = (float(one["start_updates"]) + float(one["each_updates"]) * before for one in (network, teacher))
            assert (own > its).all()


def test_the_figure_is_drawn_from_the_file(results: Path, tmp_path: Path) -> None:
    (tmp_path / "scaling.csv").write_text(",".join(EVERY_ROW) + "\n")
    words = ["--summary", str(results / "summary" / "timing.nc"), "--scaling", str(tmp_path / "scaling.csv")]
    main(["figure", "cost_to_fields", *words, "--output", str(tmp_path / "figure")])
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def costs(**changed: Any) -> xr.Dataset:
    """Made-up methods on two lattices."""
    methods = []
    for size in (8, 16):
        z = size**2
        chain, network = Price(20.0 * z, 2.0 * z, 20.0, 2.0), Price(3e3, 80.0)
        taught = Price(3e3 + 2.0 * z * 4e5, 80.0)
        methods += [
            Method("direct", "direct", 2, size, Price(0.0, 1.0), Price(0.0, 1.0)),
            Method("heat_bath", "local", 2, size, chain, chain),
            Method("fourier_hmc", "accelerated", 2, size, Price(100.0, 10.0), Price(100.0, 10.0)),
            Method("two_layer", "diffusion", 2, size, network, network, "free", "free", 4e5, 25.0),
            Method("two_layer", "diffusion", 2, size, taught, taught, "heat_bath", "local", 4e5, 25.0),
            Method("one_layer", "diffusion", 2, size, UNKNOWN, UNKNOWN, "free", "free", remark="never"),
        ]
    return cost_of_fields(methods).assign(**changed)


def table(summary: xr.Dataset, size: int) -> pd.DataFrame:
    found = summary.drop_dims("fields").to_dataframe()
    found["start"], found["each"] = found["start_updates"], found["each_updates"]
    return found[found["size"] == size]


def test_who_wins_is_what_the_numbers_say() -> None:
    """The number of fields from which on a network pays, against trying: costs at that number less and plus 1 %."""
    said = cost_to_fields.who_wins(table(costs(), 16))
    assert "d = 2 at L = 16 direct sampling < HMC, Fourier accelerated < heat bath (" in said
    assert "one layer is never as accurate" in said
    here = table(costs(), 16).set_index(["method", "data_kind"])
    network, sampler = here.loc[("two_layer", "local")], here.loc[("heat_bath", "")]
    first = cost_to_fields.pays_from(network.to_frame().T.infer_objects(), sampler)

    def saved(count: float) -> float:
        return float(sampler["start"] + sampler["each"] * count - network["start"] - network["each"] * count)

    assert saved(0.99 * first) < 0.0 < saved(1.01 * first)
    exponent = int(np.floor(np.log10(first)))
    assert f"two layers from {round(first / 10**exponent)} × 10\\ :sup:`{exponent}` fields" in said
    # 2 z = 128 updates a field at L = 8, so 80 pay later; a sampler of fewer updates than that is never beaten.
    cheap = table(costs(), 8)
    cheap.loc[cheap["method"] == "heat_bath", "each"] = 79.0
    assert "two layers never" in cost_to_fields.who_wins(cheap)


def test_no_error_bar_leaves_the_axes() -> None:
    """Errors of five times the value end above zero, at a factor 6 both ways."""
    summary = costs()
    wide = summary.assign(updates_error=5.0 * summary["updates"])
    figure, _ = cost_to_fields.draw(wide, pd.DataFrame(), FigureStyle.model_validate({}))
    bars = [segment for axes in figure.axes for bar in axes.collections for segment in bar.get_segments()]
    ends = np.array([segment[:, 1] for segment in bars])
    assert len(ends) > 5
    np.testing.assert_allclose(ends[:, 1] / ends[:, 0], 36.0)
    for axes in figure.axes:
        for bar in axes.collections:
            for segment in bar.get_segments():
                low, high = axes.get_ylim()
                assert low < segment[0, 1] and segment[1, 1] < high


def test_labels_do_not_overlap() -> None:
    figure, _ = cost_to_fields.draw(costs(), pd.DataFrame(), FigureStyle.model_validate({}))
    for axes in figure.axes:
        heights = sorted(label.xy[1] for label in axes.texts)  # type: ignore[attr-defined]
        assert len(heights) == 3
        assert np.diff(heights).min() > 0.9 * looks.APART


def test_a_study_with_samplers_alone_is_not_drawn() -> None:
    summary = costs()
    without = summary.isel(run=(summary["kind"] != "diffusion").values)
    with pytest.raises(InputError, match="'cost_to_fields'"):
        cost_to_fields.draw(without, pd.DataFrame(), FigureStyle.model_validate({}))


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(InputError, match="sampler"):
        cost_of_fields([])
