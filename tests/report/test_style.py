"""What figures show of times and laws: no mean over survivors, and no law that the numbers do not bear."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from csd.lattice import Array
from csd.report.figures import looks, series
from csd.study.rounding import parentheses, plus_minus
from csd.study.seeds import mean_over_seeds
from csd.study.summaries.laws import fitted_laws
from csd.study.summaries.observables import of_samples

SIZES = np.array([8, 16, 32, 64, 128, 256])


def test_a_run_with_a_late_seed_has_no_mean() -> None:
    """Seeds 1 and 2 ran at both sizes, seed 3 was never run; seed 2 never reached the tolerance at the second."""
    times = np.array([[10.0, 14.0, np.nan], [20.0, np.nan, np.nan]])
    ran = np.array([[True, True, False]] * 2)
    mean, error = mean_over_seeds(times, ran=ran)
    assert (mean[0], error[0]) == (12.0, 2.0)
    assert np.isnan([mean[1], error[1]]).all()
    # What is not said is taken from the values: a seed that has none anywhere was not run.
    np.testing.assert_array_equal(mean_over_seeds(times), (mean, error))


def test_a_curve_is_shown_while_all_seeds_train() -> None:
    curves = np.array([[1.0, 0.5, 0.2], [1.0, 0.7, np.nan], [np.nan] * 3])
    mean, _ = mean_over_seeds(curves, axis=0)
    np.testing.assert_allclose(mean[:2], [1.0, 0.6])
    assert np.isnan(mean[2])
    assert np.isnan(mean_over_seeds(curves[2:], axis=0)[0]).all()


def test_the_last_step_is_shown() -> None:
    """Of the steps 60 and 62 the first alone would be, as they lie within one eighth of a decade."""
    steps = np.array([0, 1, 10, 60, 62, 80])
    shown = np.array([True, True, True, True, True, False])
    assert steps[series.thinned(steps, shown)].tolist() == [1, 10, 62]
    assert series.thinned(steps, np.zeros(6, dtype=bool)).tolist() == []


def rows(times: Array, scatter: float = 0.0, sizes: Array = SIZES) -> pd.DataFrame:
    """The fitted laws of eight seeds that scatter so much, as `csd fit` writes them."""
    noise = np.exp(scatter * np.random.default_rng(2).standard_normal((len(sizes), 8)))
    return pd.DataFrame(fitted_laws({}, sizes, times[:, None] * noise, np.ones((len(sizes), 8), dtype=bool)))


@pytest.mark.parametrize(
    ("times", "scatter", "label"),
    [
        (10.0 + 4.48 * np.log(SIZES), 1e-3, r"4\.4[78]\d*\(\d+\) ln L"),
        (3.0 * SIZES**2.0, 1e-3, r"z = (2\.0\d*|1\.99\d*)\(\d+\)"),
        # Growth as slow as this is no logarithm, and scatter as large as this does not tell.
        (12.0 * SIZES**0.15, 1e-3, r"z = 0\.1[45]\d*\(\d+\)"),
        (10.0 + 4.48 * np.log(SIZES), 0.1, r"z = .*"),
    ],
    ids=["log", "square", "slow power", "scatter"],
)
def test_a_logarithm_is_drawn_where_it_would_be_claimed(times: Array, scatter: float, label: str) -> None:
    drawn = series.law(rows(times, scatter), SIZES)
    assert drawn is not None
    assert pd.Series([drawn.label]).str.fullmatch(label).item(), drawn.label
    np.testing.assert_allclose(drawn.times[[0, -1]], times[[0, -1]], rtol=3.0 * scatter + 1e-3)


def test_no_logarithm_is_drawn_where_nothing_speaks_for_it() -> None:
    """Three sizes have neither evidence nor a systematic error: a power is drawn, and named as one."""
    three = SIZES[:3]
    drawn = series.law(rows(10.0 + 4.48 * np.log(three), 1e-3, three), three)
    assert drawn is not None
    assert drawn.label.startswith("∝ L$^z$, z = 0.2")
    assert looks.in_caption(drawn.label).startswith("∝ L\\ :sup:`z`, z = 0.2")
    assert series.law(pd.DataFrame({"law": ["none"]}), three) is None


@pytest.mark.parametrize(("law", "words"), [("boxcox", "z = 1.2(4)"), ("power", "∝ L$^z$, z = 1.2(4)")])
def test_a_law_whose_exponent_is_not_determined_is_not_drawn(law: str, words: str) -> None:
    row = {"law": law, "exponent": 1.2, "intercept": 1.0, "slope": 1.0, "error": 0.4, "systematic_error": 0.0}
    drawn = series.law(pd.DataFrame([row]), SIZES)
    assert drawn is not None and drawn.label == words
    assert series.law(pd.DataFrame([row | {"error": 0.6}]), SIZES) is None


def test_a_seed_whose_jackknife_has_no_error_leaves_that_of_the_scatter() -> None:
    values = np.array([[0.171, 0.239, 0.063, 0.192]] * 2)
    own = np.array([[0.01, np.nan, 0.01, 0.01], [0.2] * 4])
    run = xr.Dataset(
        {
            "sampled_susceptibility": (("run", "seed"), values),
            "sampled_correlation_length": (("run", "seed"), values),
            "sampled_correlation_length_error": (("run", "seed"), own),
        }
    )
    mean, error = of_samples(run, "correlation_length")
    assert [parentheses(*pair) for pair in zip(mean, error, strict=True)] == ["0.17(4)", "0.17(10)"]


def test_networks_of_fields_differ_in_colour() -> None:
    names = ("two_layer_onsite", "local_polynomial", "wiener", "fields_of_experts", "mean_field", "unet")
    assert len({looks.colour(name) for name in names}) == len(names)


def test_values_have_the_digits_of_their_errors() -> None:
    assert plus_minus(1.9995, 0.00023) == "1.9995 ± 0.0002"
    assert plus_minus(0.0234375, 0.0) == "0.02344"
    assert parentheses(1.9995, 0.00023) == "1.9995(2)"
    assert parentheses(-0.001, 3.0) == "0(3)"
