"""Numbers of phases of data that claims are about, from a summary whose numbers are known."""

import numpy as np
import pytest
import xarray as xr

import csd
from csd.study.summaries.phases.laws import phase_table, slope_of


def test_a_slope_is_that_of_a_weighted_straight_line() -> None:
    places, values, errors = np.array([1.0, 2.0, 4.0]), np.array([0.5, 1.6, 3.4]), np.array([0.1, 0.2, 0.1])
    (slope, _), covariance = np.polyfit(places, values, 1, w=1.0 / errors, cov="unscaled")
    later = np.polyfit(places[1:], values[1:], 1, w=1.0 / errors[1:])[0]
    found, error = slope_of(places, values, errors)
    assert found == pytest.approx(slope)
    assert error == pytest.approx(np.hypot(np.sqrt(covariance[0, 0]), later - slope))


def test_numbers_of_a_gaussian_field() -> None:
    """Against another program: dense boxes for the path KL in nats, finite steps for samples of SDE and ODE."""
    run = csd.phases(dimension=2, size=32, noise_levels=[0.1, 1.0], ranges=[1, 2])
    about = {"sweep": "a", "target": "gaussian", "target_label": "mL1", "schedule": "vp"}
    about |= {"dimension": 2, "size": 32, "block": 1, "components": 0}
    names = {name: xr.Variable((), value) for name, value in about.items()}
    table = phase_table(run.assign(names).expand_dims("run")).set_index(["quantity", "data"])["value"].sort_index()
    assert table["information_residual"].item() < 1e-12
    assert table["path_kl_per_box", "R2"] == pytest.approx(29.22 / (1024 / 25 - 1.0), rel=1e-3)
    assert table["ode_share"].item() == pytest.approx(min(129.7 / 85.49, 45.98 / 29.22), rel=0.01)
    assert table["sde_share"].item() == pytest.approx(max(64.28 / 85.49, 20.00 / 29.22), rel=0.01)
