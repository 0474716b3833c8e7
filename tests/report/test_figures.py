"""Figures draw what their captions say, on data whose answer is known."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.axes import Axes

from csd.networks import Architecture
from csd.report.figures import local_range, size_transfer
from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle

STYLE = FigureStyle.model_validate({})


def generation(ranges: list[int | str], sizes: list[int], trained: int, **variables: Any) -> xr.Dataset:
    """A summary of generation, one run a range and size: sampled χ and ξ of three seeds, the third in no run."""
    networks = [Architecture("local_one_layer", range=reach) for reach in ranges for _ in sizes]
    follows = [isinstance(network.range, str) for network in networks]
    count = len(networks)
    text = {"sweep": "only", "mass_label": "its mass", "data": "its data", "loss": "implicit"}
    text |= {"architecture_name": "local_one_layer"}
    numbers = {"dimension": 1, "mass": 1.0 / trained, "depth": 0, "data_set": 0, "trained_size": trained}
    numbers |= {"channels": 0, "mass_times_length": 1.0, "r0": np.nan, "u": np.nan}
    content: dict[str, Any] = {name: ("run", np.array([value] * count, dtype=object)) for name, value in text.items()}
    content |= {name: ("run", np.array([value] * count)) for name, value in numbers.items()}
    content["architecture"] = ("run", np.array([f"network {place}" for place in range(count)], dtype=object))
    fixed = [0 if to_length else network.range for to_length, network in zip(follows, networks, strict=True)]
    factors = [
        network.range_factor() if to_length else np.nan for to_length, network in zip(follows, networks, strict=True)
    ]
    content |= {"fixed_range": ("run", fixed), "range_factor": ("run", factors)}
    content["size"] = ("run", np.array(sizes * len(ranges)))
    content |= {
        "sampled_susceptibility": (("run", "seed"), np.tile([90.0, 110.0, np.nan], (count, 1))),
        "sampled_susceptibility_error": (("run", "seed"), np.tile([30.0, 40.0, np.nan], (count, 1))),
        "sampled_correlation_length": (("run", "seed"), np.tile([4.0, 6.0, np.nan], (count, 1))),
        "sampled_correlation_length_error": (("run", "seed"), np.tile([0.1, 0.1, np.nan], (count, 1))),
    }
    return xr.Dataset(content | variables, {"seed": [1, 2, 3], "step": [0, 10]})


def test_observables_of_samples_have_the_larger_error_and_no_mean_of_survivors() -> None:
    summary = generation([1, 2], [8], 8)
    summary["sampled_correlation_length"][1, 0] = np.nan
    mean, error = looks.of_samples(summary, "susceptibility")
    # Scatter of 90 and 110 is 10; jackknife errors of 30 and 40 make 25.
    assert mean == pytest.approx([100.0, 100.0])
    assert error == pytest.approx([25.0, 25.0])
    mean, error = looks.of_samples(summary, "correlation_length")
    assert mean[0] == pytest.approx(5.0)
    assert error[0] == pytest.approx(1.0)
    assert np.isnan(mean[1])


def _points(axes: Axes) -> list[np.ndarray[Any, Any]]:
    """y of what is drawn with markers and no line."""
    return [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines() if line.get_linestyle() == "None"]


def test_local_range_leaves_out_ranges_whose_samples_have_no_correlation_length() -> None:
    ones = ("run", np.full(3, 1.0))
    summary = generation(
        [1, 2, "3xi"],
        [8],
        8,
        exact_score_susceptibility=("run", np.full(3, 200.0)),
        exact_score_correlation_length=("run", np.full(3, 10.0)),
        best_susceptibility=ones,
        best_correlation_length=ones,
        noise_level=(("run", "level"), np.tile([2.0, 0.1], (3, 1))),
        best_soft_ratio=(("run", "level"), np.full((3, 2), 0.5)),
        exact_score_soft_ratio=(("run", "level"), np.full((3, 2), 0.9)),
    )
    summary["sampled_correlation_length"][0, 1] = np.nan
    figure = local_range.draw(summary, pd.DataFrame(), STYLE)
    (susceptibility,), (length,) = _points(figure.axes[0]), _points(figure.axes[1])
    assert susceptibility == pytest.approx([0.5, 0.5, 0.5])
    assert np.isnan(length[0])
    assert length[1:] == pytest.approx([0.5, 0.5])


def test_size_transfer_draws_both_observables_over_those_of_the_same_mass() -> None:
    ranges: list[int | str] = [2, "4xi"]
    sizes = [8, 16, 32]
    count = len(ranges) * len(sizes)
    steps = np.stack([np.full((count, 3), np.nan), np.full((count, 3), 50.0)], axis=-1)
    steps[:, 2] = np.nan
    spectrum = np.full((count, 3, 2, 2), 2.0)
    spectrum[:, 2] = np.nan
    seeds = np.full((count, 3, 2), 2.0)
    seeds[:, 2] = np.nan
    summary = generation(
        ranges,
        sizes,
        8,
        exact_susceptibility=("run", np.full(count, 100.0)),
        exact_correlation_length=("run", np.full(count, 10.0)),
        susceptibility=(("run", "seed", "step"), steps),
        correlation_length=(("run", "seed", "step"), steps / 10.0),
        wavenumber=(("run", "bin"), np.tile([0.0, 1.0], (count, 1))),
        exact_spectrum=(("run", "bin"), np.full((count, 2), 1.0)),
        power_spectrum=(("run", "seed", "bin"), seeds),
        generated_spectrum=(("run", "seed", "step", "bin"), spectrum),
    )
    figure = size_transfer.draw(summary, pd.DataFrame(), STYLE)
    for axes, sampled, power in zip(figure.axes[2:], (1.0, 0.5), (2, 1), strict=True):
        assert all(points == pytest.approx(np.full(3, sampled)) for points in _points(axes))
        assert len(_points(axes)) == 2
        recursion = [line for line in axes.get_lines() if line.get_linestyle() == "-" and len(line.get_ydata()) == 3]  # type: ignore[arg-type]
        assert [line.get_ydata() for line in recursion] == [pytest.approx(np.full(3, 0.5))] * 2
        (critical,) = [line for line in axes.get_lines() if line.get_label() == "exact, m = 1 / L"]
        ends = np.asarray(critical.get_ydata(), dtype=float)[[0, -1]]
        assert ends == pytest.approx([1.0, 4.0**power])
        assert axes.get_ylabel() in ("χ / exact χ of the same mass", "ξ / exact ξ of the same mass")
