"""Figures draw what their captions say, on data whose answer is known."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from csd.core.errors import InputError
from csd.networks import Architecture
from csd.networks.local import range_factor
from csd.report.figures import FIGURES, drawn, figure_module, local_range, size_transfer
from csd.study.claims import Claim
from csd.study.config.reading import parse
from csd.study.config.study import FigureStyle
from csd.study.stages.training import TrainingJob, training_jobs
from csd.study.summaries.files import training_file
from csd.study.summaries.laws import training_table
from csd.study.summaries.observables import of_samples
from csd.study.summaries.training import aggregate_training
from csd.study.verdicts import judge
from csd.targets.labels import target_label
from tests.helpers import on_path, train_files

STYLE = FigureStyle.model_validate({})


ONE: dict[str, Any] = {"dimension": 1, "sizes": [4, 6, 8], "architectures": ["one_layer"]}


def figures_of(asked: list[str] | None = None, **keys: Any) -> list[str]:
    """What is drawn of a study of one sweep with further keys, and of the figures asked for."""
    return drawn(parse({"study": "one", "figures": asked, "sweeps": {"a": ONE | keys}}))


def test_figures_that_are_asked_for_have_something_to_show() -> None:
    assert figures_of(["fields", "training_time"]) == ["fields", "training_time"]
    assert "generation_time" in figures_of(generation={})
    assert "generation_time" not in figures_of()
    for name in set(FIGURES) - set(figures_of()):
        with pytest.raises(InputError, match=rf"^figures: '{name}' needs {figure_module(name).NEEDS}; "):
            figures_of(["fields", name])
    with pytest.raises(InputError, match=r"^figures\.1 is 'colapse': .*did you mean 'collapse'\?"):
        figures_of(["fields", "colapse"])


def test_the_noise_level_of_figures_is_one_that_is_trained() -> None:
    """A figure that shows all levels, or none, needs no certain one; a sweep's own levels count."""
    with pytest.raises(
        InputError, match=r"^figure_style\.noise_level is 0\.1, .*'training_time'.*\(allowed: 0\.2, 0\.5\)$"
    ):
        figures_of(["fields", "training_time"], training={"noise_levels": [0.5, 0.2]})
    assert figures_of(["fields"], training={"noise_levels": [0.5]}) == ["fields"]
    assert "training_time" in figures_of(training={"noise_levels": [0.1]})


@pytest.mark.parametrize(
    ("figure", "keys"),
    [
        ("collapse", {"mass": [0.1]}),
        ("finite_size", {"couplings": {"r0": -0.25, "u": 1.0}}),
        ("residuals", {"architectures": ["one_layer", "two_layer"]}),
        ("depth_law", {"architectures": {"name": "deep_linear", "depth": 3}}),
        ("kernels", {"architectures": {"name": "local_one_layer", "range": 1}}),
        ("overfitting", {"training": {"loss": "population", "data_sets": [4]}}),
        ("memorisation", {"training": {"loss": "population", "data_sets": [4]}, "generation": {}}),
        ("generated_spectra", {"architectures": ["one_layer", "two_layer"], "generation": {}}),
        ("on_the_way", {"architectures": ["one_layer", "two_layer"], "generation": {}}),
        ("local_range", {"architectures": {"name": "local_one_layer", "range": 1}, "generation": {}}),
        ("size_transfer", {"generation": {"transfer": 2}}),
    ],
)
def test_figures_are_drawn_by_default_where_a_sweep_has_something_for_them(figure: str, keys: dict[str, Any]) -> None:
    assert figure not in figures_of()
    assert figure in figures_of(**keys)


def test_fields_of_a_file_are_no_data_sets_that_seeds_draw(tmp_path: Path) -> None:
    """All seeds share them, and the true score is not known: captions of data sets would not hold."""
    np.save(tmp_path / "mine.npy", np.random.default_rng(1).standard_normal((40, 8)))
    keys: dict[str, Any] = {"dimension": 1, "sizes": 8, "data": {"file": str(tmp_path / "mine.npy")}, "generation": {}}
    keys |= {"architectures": ["one_layer"], "training": {"loss": "population"}}
    found = drawn(parse({"study": "one", "sweeps": {"a": keys}}))
    assert "integrator_steps" in found
    assert not {"overfitting", "memorisation"} & set(found)


def test_declarations_of_figures_import_nothing_heavy() -> None:
    """The workflow reads all of them at each start."""
    code = "import sys; from csd.report.figures import *; [summary_of(name) for name in FIGURES]"
    study = {"study": "one", "sweeps": {"a": ONE}}
    code += f"; from csd.study.config.reading import parse; drawn(parse({study}))"
    heavy = ("matplotlib", "seaborn", "pandas", "xarray", "scipy", "torch")
    code += f"; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=on_path())
    assert done.stdout.strip() == "[]"


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
        range_factor(network.range) if to_length else np.nan
        for to_length, network in zip(follows, networks, strict=True)
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
    mean, error = of_samples(summary, "susceptibility")
    # Scatter of 90 and 110 is 10; jackknife errors of 30 and 40 make 25.
    assert mean == pytest.approx([100.0, 100.0])
    assert error == pytest.approx([25.0, 25.0])
    mean, error = of_samples(summary, "correlation_length")
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
    figure, _ = local_range.draw(summary, pd.DataFrame(), STYLE)
    for axes, places in zip(figure.axes, ([0, 1, 2], [1, 2]), strict=False):
        (line,) = [line for line in axes.get_lines() if line.get_linestyle() == "None"]
        assert list(line.get_xdata()) == places
        assert line.get_ydata() == pytest.approx(np.full(len(places), 0.5))


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
        power_spectrum_error=(("run", "seed", "bin"), 0.1 * seeds),
        generated_spectrum=(("run", "seed", "step", "bin"), spectrum),
    )
    figure, _ = size_transfer.draw(summary, pd.DataFrame(), STYLE)
    for axes, sampled, power in zip(figure.axes[2:], (1.0, 0.5), (2, 1), strict=True):
        assert all(points == pytest.approx(np.full(3, sampled)) for points in _points(axes))
        assert len(_points(axes)) == 2
        recursion = [line for line in axes.get_lines() if line.get_linestyle() == "-" and len(line.get_ydata()) == 3]  # type: ignore[arg-type]
        assert [line.get_ydata() for line in recursion] == [pytest.approx(np.full(3, 0.5))] * 2
        (critical,) = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
        ends = np.asarray(critical.get_ydata(), dtype=float)[[0, -1]]
        assert ends == pytest.approx([1.0, 4.0**power])
        assert axes.get_title() == {2: "χ, same mass", 1: "ξ, same mass"}[power]


LABELLED: dict[str, Any] = {
    "study": "labels",
    "training": {"noise_levels": [0.1], "loss": "population", "seeds": [1, 2]},
    "sweeps": {
        "line": {
            "dimension": 1,
            "sizes": [8, 12, 16],
            "architectures": [
                *("one_layer", "two_layer"),
                {"name": "local_one_layer", "range": [1, 2]},
                {"name": "deep_linear", "depth": 3},
            ],
        },
        # One of them is the mass of the critical line, given otherwise.
        "masses": {"dimension": 1, "sizes": [8], "mass": [0.125, 0.25, 0.5], "architectures": ["one_layer"]},
        "data": {
            "dimension": 1,
            "sizes": [8],
            "architectures": ["two_layer"],
            "training": {"data_sets": [16, 32], "max_steps": 200},
        },
        "critical": {
            "dimension": 3,
            "sizes": [3, 4, 5],
            "couplings": {"r0": -0.252731009859, "u": 1.0},
            "architectures": ["one_layer", "two_layer"],
        },
        "fixed": {"dimension": 3, "sizes": [3, 4, 5], "mass": 0.5, "architectures": ["one_layer", "two_layer"]},
    },
}
"""A study with runs for most figures of training."""
DRAWN = ("training_time", "learning_curves", "parameters", "depth_law", "residuals", "kernels", "overfitting")
DRAWN += ("collapse", "finite_size")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training files of that study."""
    folder = tmp_path_factory.mktemp("training")
    train_files(training_jobs(parse(LABELLED)), folder)
    return folder


def _shown(figure: Figure) -> list[Any]:
    """All that a figure draws and says."""
    lines = [line for axes in figure.axes for line in axes.get_lines()]
    words = [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]
    return [[(line.get_label(), line.get_color(), np.asarray(line.get_xydata()).tolist()) for line in lines], words]


def _results(folder: Path, claims: list[Claim]) -> tuple[list[Any], pd.DataFrame, list[tuple[str, list[Any]]]]:
    """What figures draw, the laws, and the verdicts with their values."""
    summary = aggregate_training(training_jobs(parse(LABELLED)), folder)
    scaling = training_table(summary)
    figures = [figure_module(name).draw(summary, scaling, STYLE) for name in DRAWN]
    drawn = [[*_shown(figure), facts] for figure, facts in figures]
    plt.close("all")
    judged = [
        (verdict.verdict, [(one.dimension, one.measured, one.error) for row in verdict.outcomes for one in row])
        for verdict in judge(claims, scaling, summary)
    ]
    return drawn, scaling.drop(columns=["architecture", "mass", "data"]), judged


def test_labels_are_only_shown(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With others, laws, verdicts and all that figures draw are the same."""

    def claims(label: Callable[[str], str]) -> list[Claim]:
        """Of which one leaves out the population loss."""
        one, two, local = map(label, ("one_layer", "two_layer", "local_one_layer-R2"))
        about = {"dimensions": [1], "accepted": [None, 9.0]}
        tests = [
            about | {"measure": "power", "architecture": one},
            about | {"measure": "exponent", "architecture": local},
            about | {"measure": "time_ratio", "architecture": two, "reference": one},
        ]
        of = {"statement": "Any.", "tests": tests}
        return [Claim.model_validate(of | {"id": name, "about": name}) for name in ("theory", "training")]

    jobs = training_jobs(parse(LABELLED))
    before = _results(trained, claims(str))
    assert [verdict for verdict, _ in before[2]] == ["undecided", "not tested"]
    assert all(lines for lines, _, _ in before[0])
    names = [job.identifier for job in jobs]

    def turned(text: str) -> str:
        return f"x{text[::-1]}"

    labels = {name: getattr(TrainingJob, name).fget for name in ("label", "target_label", "data_label")}
    for name, label in labels.items():
        monkeypatch.setattr(TrainingJob, name, property(lambda job, label=label: turned(label(job))))
    monkeypatch.setattr("csd.study.claims.target_label", lambda **given: turned(target_label(**given)))
    for name, job in zip(names, jobs, strict=True):
        assert not training_file(job, trained).exists()
        copyfile(trained / f"{name}.nc", training_file(job, tmp_path))
    after = _results(tmp_path, claims(turned))
    assert str(after[0]) == str(before[0])
    pd.testing.assert_frame_equal(after[1], before[1])
    assert str(after[2]) == str(before[2])
