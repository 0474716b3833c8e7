"""Monte Carlo in a study: configuration and jobs, the summary of its files, dynamic exponents."""

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.stats import kstest

from csd.cli.commands import main
from csd.core.errors import InputError
from csd.core.files import ENSEMBLE_SUMMARY, write
from csd.core.random import stream
from csd.mcmc.simulation import monte_carlo_request
from csd.report.figures import drawn
from csd.study.config.reading import parse
from csd.study.config.study import jobs_of
from csd.study.cost.limits import Limits
from csd.study.rounding import parentheses
from csd.study.scaling import fit_weighted
from csd.study.stages.monte_carlo import MONTE_CARLO, MonteCarlo, MonteCarloJob, monte_carlo_jobs
from csd.study.status import job_states, verify_files
from csd.study.summaries.dynamics import aggregate_monte_carlo, dynamic_table, times
from csd.study.summaries.laws import read_scaling

SWEEP: dict[str, Any] = {
    "dimension": 2,
    "sizes": [4, 6, 8],
    "samplers": ["heat_bath", "langevin"],
    "sweeps": 240_000,
    "every": 8,
    "chains": 2,
}
GENERATED = {
    "dimension": 2,
    "sizes": [4, 6, 8],
    "architectures": ["two_layer"],
    "generation": {"steps": 6, "samples": 4},
}
STUDY: dict[str, Any] = {
    "study": "test",
    "figures": [],
    "training": {"noise_levels": [0.1], "seeds": [1], "loss": "population"},
    "sweeps": {"a": GENERATED},
    "monte_carlo": {"line": SWEEP},
}


def study(**keys: Any) -> dict[str, Any]:
    """The study with some keys of its Monte Carlo replaced."""
    content = copy.deepcopy(STUDY)
    content["monte_carlo"]["line"].update(keys)
    return content


def own_jobs(**keys: Any) -> list[MonteCarloJob]:
    return monte_carlo_jobs(parse(study(**keys)).monte_carlo)


def test_names_say_what_is_sampled() -> None:
    keys = {"mass_times_length": 1.0, "sizes": 4, "seeds": [1, 2]}
    assert [job.identifier for job in own_jobs(**keys)] == [
        "d2_L4_mL1_n1_heat_bath.langevin_s1",
        "d2_L4_mL1_n1_heat_bath.langevin_s2",
    ]
    spins = {"sizes": 4, "components": [2, 3], "beta": [0.5], "samplers": "wolff"}
    assert [job.identifier for job in own_jobs(**spins)] == ["d2_L4_b0.5_n2_wolff_s1", "d2_L4_b0.5_n3_wolff_s1"]
    field = {"sizes": 4, "couplings": {"r0": -1, "u": 2}, "samplers": ["hmc"], "fields": 20}
    assert [job.identifier for job in own_jobs(**field)] == ["d2_L4_r-1u2_n1_hmc_M20_s1"]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"mass": [0.1, 0.3]},
        {"couplings": [{"r0": -1.5, "u": 2}], "components": 3},
        {"beta": 0.44, "samplers": ["wolff", "metropolis"], "every": 5, "thermalisation": 7, "seeds": [3]},
        {"sizes": 6, "samplers": "hmc", "fields": 12},
    ],
)
def test_the_flags_of_a_job_ask_for_the_same(keys: dict[str, Any], tmp_path: Path) -> None:
    """What `csd mcmc` makes of them has the job's own hash, which `csd verify` compares."""

    class Reached(BaseException):
        """Where the command is stopped."""

    def stop(*asked: Any) -> None:
        raise Reached(*asked)

    for job in own_jobs(**keys):
        with pytest.MonkeyPatch.context() as patched, pytest.raises(Reached) as reached:
            patched.setattr("csd.mcmc.ensemble.ensemble", stop)
            main(["mcmc", *job.arguments(), "--output", str(tmp_path / "x.nc")])
        assert monte_carlo_request(*reached.value.args) == monte_carlo_request(job.target, job.settings)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"sweps": 5}, "monte_carlo.line.sweps: unknown key; did you mean 'sweeps'?"),
        (
            {"samplers": ["wolf"]},
            "monte_carlo.line: unknown sampler 'wolf'; did you mean 'wolff'?",
        ),
        ({"sweeps": 0}, "monte_carlo.line.sweeps is 0"),
        ({"sweeps": 10, "every": 5}, "monte_carlo.line: sweeps is 10 with a measurement every 5"),
        ({"components": 0}, "monte_carlo.line.components is 0"),
        ({"components": 1.5}, "monte_carlo.line.components is 1.5"),
        ({"couplings": {"r0": 1, "u": -1}}, "u is -1"),
        ({"couplings": {"r0": -1, "u": 0}}, "for r0 = -1.0, u = 0; at u = 0, r0 must be above 0"),
        ({"mass": 1, "beta": 1}, "monte_carlo.line: mass and beta"),
        ({"beta": 0.4}, "monte_carlo.line: 'langevin' moves fields"),
        ({"fields": 5}, "monte_carlo.line: fields is given for 2 samplers"),
        ({"seeds": [1, 1]}, "is there twice"),
        ({"sizes": [1]}, "monte_carlo.line.sizes.0 is 1"),
        ({"dimension": 4}, "monte_carlo.line.dimension is 4"),
    ],
)
def test_mistakes_are_one_sentence_with_their_key(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        own_jobs(**keys)
    assert "\n" not in str(caught.value)


def test_figures_of_monte_carlo_need_it() -> None:
    content = {**copy.deepcopy(STUDY), "figures": ["dynamic_exponents"], "monte_carlo": {}}
    with pytest.raises(InputError, match=r"\bmonte_carlo\b"):
        drawn(parse(content))
    content = {**study(), "figures": None}
    assert {"dynamic_exponents", "cost_to_fields"} <= set(drawn(parse(content)))
    spins = {**study(beta=0.4, samplers="wolff"), "figures": None}
    assert "cost_to_fields" not in drawn(parse(spins))


def test_bounds_grow_with_what_is_asked() -> None:
    small, large = own_jobs(sizes=4)[0], own_jobs(sizes=64, sweeps=400_000)[0]
    limits = Limits({"monte_carlo": {job.identifier: job for job in (small, large)}})
    of_small, of_large = (limits["monte_carlo", job.identifier] for job in (small, large))
    assert of_large.seconds > of_small.seconds > 1.0
    assert of_large.time_limit(2) == 2 * of_large.time_limit()
    assert of_large.memory_limit() > of_small.memory_limit() >= 400


def test_weighted_fits_find_the_exponent_and_its_error() -> None:
    """As SciPy's curve_fit; pulls of 400 synthetic sets are normal (Kolmogorov–Smirnov, p > 0.001)."""
    sizes, true = np.array([4, 8, 16, 32]), np.log([2.0, 2.0, 2.0, 2.0]) + 1.5 * np.log([4, 8, 16, 32])
    relative = np.array([0.02, 0.05, 0.05, 0.1])
    generator, pulls = stream("weighted"), []
    for _ in range(400):
        found = np.exp(true + relative * generator.standard_normal(4))
        law = fit_weighted(sizes.tolist(), found, relative * found)
        pulls.append((law.exponent - 1.5) / law.bootstrap_error)
    assert kstest(pulls, "norm").pvalue > 1e-3
    best, covariance = curve_fit(
        lambda x, a, z: a + z * x, np.log(sizes), np.log(found), sigma=relative, absolute_sigma=True
    )
    assert law.exponent == pytest.approx(best[1], rel=1e-8)
    assert law.intercept == pytest.approx(best[0], rel=1e-8)
    assert law.bootstrap_error == pytest.approx(np.sqrt(covariance[1, 1]), rel=1e-6)
    # Times that scatter more than their errors allow widen the error.
    wild = fit_weighted(sizes.tolist(), np.array([1.0, 9.0, 2.0, 30.0]), np.full(4, 0.01))
    assert wild.error > 10.0 * wild.bootstrap_error


@pytest.mark.parametrize(
    ("sizes", "values", "errors", "said"),
    [
        ([4, 8], [1.0, 2.0], [0.1, 0.1], "[4, 8]"),
        ([4, 8, 16], [1.0, 0.0, 2.0], [0.1, 0.1, 0.1], "missing or not positive"),
        ([4, 8, 16], [1.0, 1.0, 2.0], [0.1, np.nan, 0.1], "missing or not positive"),
    ],
)
def test_fits_that_cannot_be_made(sizes: list[int], values: list[float], errors: list[float], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        fit_weighted(sizes, np.array(values), np.array(errors))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the study, made by the commands that the workflow runs."""
    folder = tmp_path_factory.mktemp("results")
    for job in own_jobs():
        main(["mcmc", *job.arguments(), "--output", str(folder / "monte_carlo" / f"{job.identifier}.nc")])
    return folder


def test_exponents_of_a_study(results: Path) -> None:
    """Exponents within 3 errors of those of the exact times, and these near 2; MALA's in its own time."""
    summary = aggregate_monte_carlo(own_jobs(), results / "monte_carlo")
    assert dict(summary.sizes) == {"run": 6, "seed": 1, "observable": 8}
    assert set(summary["sampler"].values) == {"heat_bath", "langevin"}
    tau, error = times(summary, "autocorrelation_updates")
    assert (error < 0.5 * tau).all()
    table = dynamic_table(summary).set_index(["architecture", "quantity"])
    assert set(table["law"]) == {"power"}
    heat = table.loc[("heat_bath", "autocorrelation_updates")]
    assert heat["sizes"] == "4 6 8"
    assert heat["data"] == "gaussian-n1"
    moved = table.loc[("langevin", "autocorrelation_time")]
    for law, largest in ((heat, 0.5), (moved, 0.8)):
        # Three points have one degree of freedom to scatter with, so only the part that is that of τ is steady.
        assert law["bootstrap_error"] < largest
        assert abs(law["exponent"] - law["reference"]) < 3.0 * law["error"]
        assert 1.7 < law["reference"] < 2.1
    assert table.loc[("langevin", "autocorrelation_updates")]["exponent"] > moved["exponent"]


def test_weights_of_several_seeds() -> None:
    """τ of 10 ± 1 and 20 ± 2: (10 + 20/4)/(1 + 1/4) = 12 ± 1/sqrt(1.25)."""
    import xarray as xr

    summary = xr.Dataset(
        {
            "field_updates": (("run", "seed"), np.ones((1, 3))),
            "slowest_tau": (("run", "seed"), [[10.0, 20.0, 30.0]]),
            "slowest_tau_error": (("run", "seed"), [[1.0, 2.0, np.nan]]),
        }
    )
    tau, error = times(summary, "autocorrelation_updates")
    assert tau[0] == pytest.approx(12.0)
    assert error[0] == pytest.approx(1.0 / np.sqrt(1.25))


def test_a_size_too_short_has_no_fit(results: Path) -> None:
    summary = aggregate_monte_carlo(own_jobs(), results / "monte_carlo")
    summary["collective_tau_error"][1] = np.nan
    table = dynamic_table(summary)
    without = table[table["law"] == "none"]
    assert len(without) == 2
    assert without["note"].str.contains("too short for tau, or measured too seldom").all()


def test_files_that_do_not_belong_are_refused(results: Path) -> None:
    with pytest.raises(InputError, match=r"d2_L4_.*sweeps is 240000\b.*\b3000"):
        aggregate_monte_carlo(own_jobs(sweeps=3000), results / "monte_carlo")
    assert aggregate_monte_carlo(own_jobs(sweeps=3000), results / "monte_carlo", mixed=True).sizes["run"] == 6
    with pytest.raises(InputError, match="d2_L10_"):
        aggregate_monte_carlo(own_jobs(sizes=[4, 10]), results / "monte_carlo")
    with pytest.raises(InputError, match=r"no jobs of Monte Carlo.*monte_carlo"):
        MONTE_CARLO.summed_up([], results)


def test_verify_and_status_know_the_files(results: Path) -> None:
    good = {**study(), "sweeps": {"a": {**STUDY["sweeps"]["a"], "generation": None}}}
    assert verify_files(parse(good), results) == (3, [])
    states = {job.name: job.state for job in job_states(jobs_of(parse(good)), results)}
    assert states["monte_carlo/d2_L4_mL1_n1_heat_bath.langevin_s1"] == "done"
    good["monte_carlo"]["line"]["sweeps"] = 3000
    reasons = {fault.reason for fault in verify_files(parse(good), results)[1]}
    assert reasons == {"another configuration made it"}
    good["monte_carlo"]["line"]["seeds"] = [2]
    states = {fault.state for fault in verify_files(parse(good), results)[1]}
    assert states == {"foreign"}


def test_exponents_are_written_and_drawn(results: Path, tmp_path: Path) -> None:
    summary = aggregate_monte_carlo(own_jobs(), results / "monte_carlo")
    write(summary, tmp_path / "monte_carlo.nc", ENSEMBLE_SUMMARY)
    dynamic_table(summary).to_csv(tmp_path / "scaling.csv", index=False)
    assert len(read_scaling(tmp_path / "scaling.csv")) == 4
    words = ["--summary", str(tmp_path / "monte_carlo.nc"), "--scaling", str(tmp_path / "scaling.csv")]
    main(["figure", "dynamic_exponents", *words, "--output", str(tmp_path / "figure")])
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    laws = dynamic_table(summary)
    laws = laws[(laws["quantity"] == "autocorrelation_updates") & (laws["law"] == "power")]
    caption = (tmp_path / "figure.rst").read_text(encoding="utf-8")
    assert len(laws)
    for _, law in laws.iterrows():
        # An exponent that is not determined is neither drawn nor named.
        named = parentheses(law["exponent"], law["error"]).replace("-", "−") in caption
        assert named == (law["error"] <= 0.5)


def test_defaults_are_a_study_of_their_own() -> None:
    assert parse({**STUDY, "monte_carlo": {}}).monte_carlo == {}
    assert MonteCarlo.model_validate({"dimension": 1, "sizes": 4, "samplers": "hmc"}).chains == 4
