"""Integrator steps with the exact score: the numbers, the search for them, the law, and where paths begin."""

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.integrate import quad

from csd.core.errors import InputError
from csd.diffusion.criteria import CRITERIA, LIMITS
from csd.diffusion.discretisation import (
    COMPARED,
    ORDERS,
    compare,
    exact_score_deviations,
    exact_score_variance,
    grid,
    highest_level,
    soft_share,
)
from csd.diffusion.grids import MOST_STEPS, steps_needed
from csd.diffusion.integrators import EulerMaruyama, Heun, Integrator, PredictorCorrector
from csd.diffusion.sampling import linear_steps
from csd.lattice import Array, Lattice
from csd.study.summaries.laws import integrator_table
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, Schedule, VarianceExploding, VariancePreserving
from tests.helpers import ROOT

VP, VE = VariancePreserving(), VarianceExploding()
LIMIT = np.array(list(LIMITS.values()))


class Cosine:
    """α = cos t, σ = sin t for 0 < t < π/2: variance preserving, and neither of the built-in schedules."""

    def signal(self, level: Array) -> Array:
        """α(t)."""
        return np.cos(np.minimum(level, np.pi / 2.0))

    def variance(self, level: Array) -> Array:
        """σ²(t)."""
        return np.sin(np.minimum(level, np.pi / 2.0)) ** 2

    def damping(self, level: Array) -> Array:
        """a = tan t."""
        return np.tan(level)

    def diffusion(self, level: Array) -> Array:
        """D = 2 tan t."""
        return 2.0 * np.tan(level)


def needed(integrator: Integrator, dimension: int, size: int) -> dict[str, int]:
    """Steps by criterion on the geometric grid of VP."""
    target = GaussianField.on_critical_line(Lattice(dimension, size))
    t_max = 0.5 * np.log1p(100.0 * size**2)
    found, _ = steps_needed(
        lambda n: exact_score_deviations(target, VP, integrator, np.geomspace(t_max, 1e-3, n + 1)), LIMIT
    )
    return dict(zip(CRITERIA, found.astype(int).tolist(), strict=True))


TABLE = {
    # Computed by an independent program: d = 2, L = 8, 16, 32, 64, 128; None where it was not asked.
    "kl_per_site": ([20, 20, 20, 20, 20], [10, 10, 10, 11, 11]),
    "total_kl": ([50, 99, 196, 390, 782], [15, None, None, None, 62]),
    "susceptibility": ([339, 622, 994, 1456, 2012], [8, None, None, None, 98]),
    "effective_sample_size": ([28, 57, 110, 213, 423], [12, 17, 23, 33, 46]),
}


@pytest.mark.parametrize("place", range(5), ids=["8", "16", "32", "64", "128"])
@pytest.mark.parametrize("number", [0, 1], ids=["euler_maruyama", "heun"])
def test_the_published_table_in_two_dimensions(number: int, place: int) -> None:
    found = needed([EulerMaruyama(), Heun()][number], 2, 8 * 2**place)
    for criterion, both in TABLE.items():
        assert both[number][place] in (found[criterion], None), criterion


@pytest.mark.parametrize(
    ("integrator", "dimension", "sizes", "expected"),
    [
        (Heun(), 1, [8, 16, 32, 64, 128, 256, 512], [7, 9, 11, 15, 20, 29, 38]),
        (Heun(), 3, [4, 8, 16, 32], [13, 21, 35, 58]),
        (EulerMaruyama(), 3, [4, 8, 16, 32], [24, 71, 204, 583]),
    ],
    ids=["heun-1d", "heun-3d", "euler_maruyama-3d"],
)
def test_published_steps_for_half_the_sample_size(
    integrator: Integrator, dimension: int, sizes: list[int], expected: list[int]
) -> None:
    assert [needed(integrator, dimension, size)["effective_sample_size"] for size in sizes] == expected


def test_a_criterion_that_holds_for_a_while_does_not_count() -> None:
    """ESS in d = 1, L = 8 with Euler–Maruyama is right at 7 to 12 steps, as χ's error changes sign, and then not."""
    target = GaussianField.on_critical_line(Lattice(1, 8))
    t_max = highest_level(VP, 8)
    place = CRITERIA.index("effective_sample_size")
    found = [
        exact_score_deviations(target, VP, EulerMaruyama(), np.geomspace(t_max, 1e-3, n + 1))[place] <= np.log(2.0)
        for n in range(1, 200)
    ]
    assert [n for n in range(1, 21) if found[n - 1]] == list(range(7, 13))
    last = max(n for n in range(1, 200) if not found[n - 1])
    assert needed(EulerMaruyama(), 1, 8)["effective_sample_size"] == last + 1 == 21


def test_the_search_is_the_plain_one() -> None:
    """Against trying every number: powers, a sign change, a constant, an infinite start."""
    limits = np.array([0.1, 1.0, 0.02, 0.5, 0.01])

    def deviation(n: int) -> Array:
        wave = abs(2.0 / n - 30.0 / n**2)
        return np.array([1.0 / n, 1.0 / n**2, wave, 1.0, np.inf if n < 57 else 0.5 / n])

    table = np.array([deviation(n) for n in range(1, MOST_STEPS + 1)])
    whole, real = steps_needed(deviation, limits)
    for place, found in enumerate(whole):
        bad = np.flatnonzero(table[:, place] > limits[place])
        first = 1 if not len(bad) else int(bad[-1]) + 2
        assert found == (first if first <= MOST_STEPS else np.inf)
    # Powers of n are straight lines in the logarithms, so they cross where they are equal.
    assert real == pytest.approx([10.0, 1.0, real[2], np.inf, 57.0])
    # The root of 2/n − 30/n² = 0.02 is 80.5 or so.
    assert real[2] == pytest.approx((2.0 + np.sqrt(4.0 - 4 * 0.02 * 30.0)) / 0.04, rel=1e-4)
    assert whole[2] == np.ceil(real[2])


def test_blocks_of_steps_are_steps() -> None:
    """The recursion by blocks is the plain one, step by step, for every integrator compared and both schedules."""
    from csd.core.plugins import resolve
    from csd.diffusion.integrators import INTEGRATORS
    from csd.diffusion.sampling import generated_variance

    target = GaussianField.on_critical_line(Lattice(2, 32))
    modes = target.lattice.shells
    for schedule in (VP, VE, Cosine()):
        for name in COMPARED:
            integrator = resolve("integrator", name, INTEGRATORS)()
            levels = np.geomspace(1.2, 1e-2, 301)
            spectra = NoisedTarget(target, schedule, levels.tolist()).spectra_at(modes)
            plain = generated_variance(spectra[0], linear_steps(integrator, schedule, levels, 1.0 / spectra))
            np.testing.assert_allclose(exact_score_variance(target, schedule, integrator, levels), plain, rtol=1e-10)


@pytest.mark.parametrize("size", [4, 100, 4096])
def test_highest_level_of_the_built_in_schedules(size: int) -> None:
    assert highest_level(VP, size) == pytest.approx(0.5 * np.log1p(100.0 * size**2), rel=1e-13)
    assert highest_level(VE, size) == pytest.approx(100.0 * size**2, rel=1e-12)


def test_highest_level_of_any_schedule() -> None:
    """cos² t L² / sin² t = 1/100 at tan t = 10 L, where VE's formula would lie beyond the schedule's end."""
    for size in (8, 64):
        assert highest_level(Cosine(), size) == pytest.approx(np.arctan(10.0 * size), rel=1e-12)

    class Faint(VarianceExploding):
        def variance(self, level: Array) -> Array:
            """Noise that never drowns the signal."""
            return level / (1.0 + level)

    with pytest.raises(InputError, match="schedule Faint"):
        highest_level(Faint(), 8)


def test_any_schedule_samples_right_from_its_highest_level() -> None:
    """Heun with the cosine schedule: all criteria hold, so t_max, damping and diffusion belong together."""
    target = GaussianField.on_critical_line(Lattice(2, 8))
    levels = grid("geometric", Cosine(), 1e-3, highest_level(Cosine(), 8), 1000)
    assert (exact_score_deviations(target, Cosine(), Heun(), levels) <= LIMIT).all()


@pytest.mark.parametrize("schedule", [VP, VE], ids=["VP", "VE"])
def test_the_bias_of_predictor_and_corrector_falls_with_the_steps(schedule: Schedule) -> None:
    """At t_min = 0.1 as 1/n in every mode, to below 10⁻³, where a fixed share of σ² would leave 2.4 %."""
    target = GaussianField.on_critical_line(Lattice(2, 16))
    t_max = highest_level(schedule, 16)
    exact = NoisedTarget(target, schedule, [0.1]).spectra_at(target.lattice.shells)[0]
    errors = []
    for steps in (6400, 12800, 25600):
        levels = np.geomspace(t_max, 0.1, steps + 1)
        errors.append(exact_score_variance(target, schedule, PredictorCorrector(), levels) / exact - 1.0)
    assert np.abs(errors[-1]).max() < 1e-3
    # Where a mode's error of first order is next to nothing, its second order shows.
    large = np.abs(errors[-1]) > 0.1 * np.abs(errors[-1]).max()
    assert large.sum() > 5
    for coarse, fine in pairwise(errors):
        np.testing.assert_allclose((coarse / fine)[large], 2.0, rtol=0.02)


@pytest.fixture(scope="module")
def compared() -> xr.Dataset:
    """On VP's geometric grid."""
    return compare({2: [4, 8, 16, 32], 3: [4, 8, 16]}, schedules=["vp"], grids=["geometric"])


def test_the_law_of_a_fixed_sample_size(compared: xr.Dataset) -> None:
    """N^{1/(2p)}: between neighbouring sizes from L = 8 on, for every integrator compared, in d = 3 to 0.1."""
    table = integrator_table(compared).set_index(["dimension", "architecture", "criterion"])
    for name, order in ORDERS.items():
        for criterion in ("total_kl", "effective_sample_size"):
            row = table.loc[(3, name, criterion)]
            assert row["reference"] == 3.0 / (2.0 * order)
            assert float(row["local_exponents"].split()[-1]) == pytest.approx(row["reference"], abs=0.1)
    # KL per site is an average over the modes, not a sum: no growth. χ has no law of this kind.
    for dimension in (2, 3):
        assert table.loc[(dimension, "heun", "kl_per_site"), "exponent"] == pytest.approx(0.0, abs=0.05)
        assert np.isnan(table.loc[(dimension, "heun", "susceptibility"), "reference"])


def test_errors_of_the_law_say_what_they_are(compared: xr.Dataset) -> None:
    """Systematic: change without the smallest size; NaN for three. Interpolated steps lie at most one below."""
    table = integrator_table(compared).set_index(["dimension", "architecture", "criterion"])
    row = table.loc[(2, "euler_maruyama", "effective_sample_size")]
    steps = compared["crossing_steps"].sel(
        dimension=2, integrator="euler_maruyama", schedule="vp", grid="geometric", criterion="effective_sample_size"
    )
    slopes = [np.polyfit(np.log(steps["size"].values[i:]), np.log(steps.values[i:]), 1)[0] for i in (0, 1)]
    assert row["exponent"] == pytest.approx(slopes[0])
    assert row["systematic_error"] == pytest.approx(abs(slopes[1] - slopes[0]))
    assert row["error"] == pytest.approx(np.hypot(row["residual_error"], row["systematic_error"]))
    assert np.isnan(table.loc[(3, "heun", "total_kl"), "error"])
    finite = np.isfinite(compared["steps_needed"])
    gap = (compared["steps_needed"] - compared["crossing_steps"]).where(finite)
    assert float(gap.min()) >= 0.0
    assert float(gap.max()) <= 1.0


def test_a_paper_tells_criteria_apart_and_has_the_law_beside_the_fit(compared: xr.Dataset) -> None:
    """One macro a law and no two of one name; the table's prediction is d/(2p), where there is one."""
    from csd.report.paper.numbers import numbers
    from csd.report.paper.tables import TIMES, table_of_exponents

    scaling = integrator_table(compared)
    laws = table_of_exponents(scaling, {})
    found = {number.name: number.value for number in numbers([], laws, pd.DataFrame(columns=TIMES), 0.1)}
    assert sum("Predicted" not in name for name in found) == len(scaling) == 2 * len(COMPARED) * len(CRITERIA)
    row = scaling.set_index(["dimension", "architecture", "criterion"]).loc[(2, "heun", "effective_sample_size")]
    assert found["csdIntegratorStepsExponentHeunTwoDEffectiveSampleSize"] == pytest.approx(row["exponent"])
    assert set(laws.loc[laws["architecture"] == "heun", "predicted_exponent"].dropna()) == {0.5, 0.75}


def test_softest_modes_decide_in_one_dimension_only() -> None:
    """Their share in −ln(ESS/M) at its steps needed, against the sum over all N momenta done by itself."""
    for dimension, size, low, high in ((1, 128, 0.5, 1.0), (2, 64, 0.0, 0.1), (3, 16, 0.0, 0.01)):
        target = GaussianField.on_critical_line(Lattice(dimension, size))
        steps = needed(Heun(), dimension, size)["effective_sample_size"]
        levels = np.geomspace(highest_level(VP, size), 1e-3, steps + 1)
        share = soft_share(target, VP, Heun(), levels)
        line = 4.0 * np.sin(np.pi * np.arange(size) / size) ** 2
        laplacian = sum(np.meshgrid(*[line] * dimension, indexing="ij")).ravel()  # type: ignore[arg-type]
        spectra = np.exp(-2.0 * levels)[:, None] / (laplacian + 1.0 / size**2) - np.expm1(-2.0 * levels)[:, None]
        variance = spectra[0]
        for t, lower, c, below in zip(levels, levels[1:], spectra, spectra[1:], strict=False):
            slope, h = 1.0 - 1.0 / c, t - lower
            variance = variance * (1.0 + 0.5 * h * (slope + (1.0 - 1.0 / below) * (1.0 + h * slope))) ** 2
        ratio = variance / spectra[-1]
        terms = 2.0 * np.log(ratio) - np.log(2.0 * ratio - 1.0)
        assert share == pytest.approx(np.sort(terms * (laplacian < 1.01 * line[1])).sum() / terms.sum(), rel=1e-6)
        assert low <= share <= high


def test_a_mean_over_modes_needs_no_more_steps_on_a_larger_lattice(compared: xr.Dataset) -> None:
    """KL per site on VP's geometric grid; more with size on a uniform one."""
    names = ["euler_maruyama", "predictor_corrector", "heun"]
    uniform = compare({2: [8, 32]}, integrators=names, schedules=["vp"], grids=["uniform"])
    for name in names:
        where = {"criterion": "kl_per_site", "dimension": 2, "schedule": "vp", "integrator": name, "size": [8, 32]}
        small, large = compared["steps_needed"].sel(where).values[0]
        assert abs(large - small) <= 1
        small, large = uniform["steps_needed"].sel(where).values[0]
        assert large > 1.2 * small


def test_sizes_that_were_not_asked_for_are_empty_and_too_many_steps_infinite(compared: xr.Dataset) -> None:
    assert np.isnan(compared["steps_needed"].sel(dimension=3, size=32)).all()
    assert not np.isnan(compared["steps_needed"].sel(dimension=2)).any()
    uniform = compare({2: [8]}, integrators=["euler_maruyama"], schedules=["ve"], grids=["uniform"])
    assert np.isinf(uniform["steps_needed"].sel(criterion="total_kl")).all()
    for wrong, message in (({}, "dimension"), ({2: [8, 8]}, "once"), ({2: []}, "at least one")):
        with pytest.raises(InputError, match=message):
            compare(wrong)
    with pytest.raises(InputError, match="tolerance is 0"):
        compare({1: [8]}, tolerance=0.0)


def test_no_law_where_steps_are_missing_says_why() -> None:
    table = integrator_table(compare({1: [4, 8]}, schedules=["vp"], grids=["geometric"]))
    assert set(table["law"]) == {"none"}
    assert "at least three sizes" in table["note"][0]


def test_error_of_the_softest_mode_is_that_of_its_steps() -> None:
    """Euler–Maruyama's leading error from the local error of a step, integrated along the path by quadrature."""
    size = 16
    target = GaussianField.on_critical_line(Lattice(1, size))
    t_max, steps = highest_level(VP, size), 4000
    levels = np.geomspace(t_max, 1e-3, steps + 1)
    found = exact_score_variance(target, VP, EulerMaruyama(), levels)[0]
    propagator = float(size**2)

    def spectrum(t: float) -> float:
        return float(1.0 + np.exp(-2.0 * t) * (propagator - 1.0))

    # Euler–Maruyama in reverse time: V′ = 2 b V + 2, b = 1 − 2/C, and with V = C one step h leaves
    # h² (b² C − C″/2); C″ is the second derivative. The error obeys δ′ = 2 b δ + h (b² C − C″/2), h = t ln(q).
    ratio = np.log(t_max / 1e-3) / steps

    def integrand(t: float) -> float:
        b, c = 1.0 - 2.0 / spectrum(t), spectrum(t)
        return ratio * t * (b**2 * c - 2.0 * (c - 1.0)) * growth(t)

    def growth(t: float) -> float:
        return float(np.exp(quad(lambda s: 2.0 * (1.0 - 2.0 / spectrum(s)), 1e-3, t, epsabs=1e-12)[0]))

    expected = quad(integrand, 1e-3, t_max, epsabs=1e-12, limit=200)[0]
    assert found - spectrum(1e-3) == pytest.approx(expected, rel=0.02)


def test_command_takes_several_dimensions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from csd.cli.commands import main

    file = tmp_path / "steps.nc"
    words = ["integrators", "--dimension", "1", "3", "--size", "4", "6", "--size", "4", "--output", str(file)]
    main(words)
    assert "d = 3, VP" in capsys.readouterr().out
    dataset = xr.open_dataset(file)
    assert dataset["dimension"].values.tolist() == [1, 3]
    assert np.isnan(dataset["steps_needed"].sel(dimension=3, size=6)).all()
    with pytest.raises(SystemExit) as ended:
        main([*words[:3], "2", "3", *words[4:]])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "--dimension is [1, 2, 3]" in said
    assert "--size" in said
    with pytest.raises(SystemExit):
        main(["integrators", "--dimension", "1", "1", "--size", "8", "--output", str(file)])
    assert "--dimension is [1, 1]" in capsys.readouterr().err


def test_steps_of_other_grids_are_the_first_that_do() -> None:
    """The table of docs/physics.md: KL per site is met with its numbers of steps, and not with one step less."""
    with (ROOT / "docs" / "numbers" / "tables" / "integrator_grids.csv").open(encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    schedules = {"VP": VP, "VE": VE}
    kinds = {"geometric in t": "geometric", "uniform in t": "uniform", "uniform in ln(α²/σ²)": "log_snr"}
    for where, *cells in rows:
        schedule, kind = schedules[where.split(", ")[0]], kinds[where.split(", ")[1]]
        for size, cell in zip([8, 16, 32], cells, strict=False):
            target, t_max = GaussianField.on_critical_line(Lattice(2, size)), highest_level(schedule, size)
            for integrator, count in zip((EulerMaruyama(), Heun()), cell.split("/"), strict=True):
                for number, right in ((int(count) - 1, False), (int(count), True)):
                    levels = grid(kind, schedule, 1e-3, t_max, number)
                    assert (exact_score_deviations(target, schedule, integrator, levels)[0] <= 0.01) == right
