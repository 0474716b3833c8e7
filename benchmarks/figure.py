"""One figure: ratios to the baselines, fractions of the limits, and growth with the lattice."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from benchmarks.clock import quartiles
from csd.core.paths import atomic_path
from csd.report.figures import looks
from csd.study.config.study import FigureStyle

BASELINES = {
    "conv": ("(a) PyTorch, nn.Conv", "#D55E00", "s"),
    "fft": ("(b) PyTorch, FFT", "#0072B2", "o"),
    "numpy": ("(c) NumPy, FFT", "#009E73", "^"),
}
RESOURCES = {"copy": "#0072B2", "random numbers": "#E69F00", "transforms": "#009E73"}
STEPS = {
    "population step": ("training, population", "#0072B2", "o"),
    "implicit step": ("training, implicit", "#D55E00", "s"),
    "generation step, modes": ("generation, modes: lines ∝ N", "#009E73", "^"),
    "generation step, transforms": ("generation, FFT: line ∝ N ln N", "#CC79A7", "D"),
}


def save(dataset: xr.Dataset, output: Path, suffixes: tuple[str, ...] = (".pdf", ".png")) -> None:
    """Draw the figure and write it.

    Args:
        dataset: of `benchmarks.measure`.
        output: path without suffix.
        suffixes: of the files.
    """
    style = FigureStyle.model_validate({})
    looks.apply(style)
    figure = draw(dataset)
    for suffix in suffixes:
        metadata: dict[str, Any] = {"CreationDate": None} if suffix == ".pdf" else {"Software": None}
        with atomic_path(output.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, format=suffix[1:], dpi=style.dots_per_inch, metadata=metadata)
    plt.close(figure)


def draw(dataset: xr.Dataset) -> Figure:
    """Points: medians with quartile bars. Lines: csd itself, targets, limits, laws."""
    figure, panels = plt.subplots(2, 2, figsize=(looks.PAGE, 5.4))
    _training(panels[0][0], dataset)
    _sampling(panels[0][1], dataset)
    _loops(panels[1][0], dataset)
    _growth(panels[1][1], dataset)
    return figure


def _points(axes: Axes, x: Any, values: Any, **look: Any) -> None:
    """Medians with quartile bars; values of shape (points, 3)."""
    shown = np.isfinite(values[:, 1])
    low, middle, high = values[shown].T
    axes.errorbar(np.asarray(x)[shown], middle, [middle - low, high - middle], mew=0, elinewidth=0.8, **look)


def _plain(axis: Any) -> None:
    """Powers of ten written out, every second one if there are many."""
    axis.set_major_locator(LogLocator(10.0, numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1.0 else f"{value:g}"))


def _training(axes: Axes, dataset: xr.Dataset) -> None:
    """Ratios of a training step against sites."""
    cases = dataset["training_levels"].values == dataset["training_levels"].values[0]
    cases &= dataset["training_batch"].values == dataset["training_batch"].values[0]
    sites = dataset["training_size"].values[cases].astype(float) ** dataset["training_dimension"].values[cases]
    for code, (name, colour, mark) in BASELINES.items():
        values = dataset["training_ratio"].sel(code=code).values[cases]
        _points(axes, sites, values, color=colour, marker=mark, ls="none", label=name)
    for target, code in ((1e5, "conv"), (300.0, "fft")):
        axes.axhline(target, color=BASELINES[code][1], ls=looks.DASHED, lw=0.8, zorder=0)
    axes.axhline(1.0, color="black", lw=0.8, zorder=0)
    axes.set(xscale="log", yscale="log", xlabel="sites N", ylabel="time of a training step / csd's")
    axes.set_ylim(0.5, 1e6)
    _plain(axes.yaxis)
    batch, levels = (int(dataset[f"training_{name}"][0]) for name in ("batch", "levels"))
    axes.set_title(f"(a) training, B = {batch}, {levels} levels", loc="left")
    axes.plot([], [], color="0.3", ls=looks.DASHED, lw=0.8, label="targets")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.05), handlelength=1.5, labelspacing=0.3)


def _sampling(axes: Axes, dataset: xr.Dataset) -> None:
    """Ratios of a generated field against sites."""
    sites = dataset["sampling_size"].values.astype(float) ** dataset["sampling_dimension"].values
    for code, (name, colour, mark) in BASELINES.items():
        values = dataset["sampling_ratio"].sel(trained_code=code).values
        _points(axes, sites, values, color=colour, marker=mark, ls="none", label=name)
    transforms = dataset["sampling_transforms"].sel(sampler="modes").values
    _points(axes, sites, transforms, color="0.3", marker="x", ls="none", label="csd: step / FFT pair")
    axes.lines[-1].set_markeredgewidth(1.0)
    axes.axhline(2.0, color="0.3", ls=looks.DASHED, lw=0.8, zorder=0, label="target for it")
    axes.axhline(1.0, color="black", lw=0.8, zorder=0)
    axes.set(xscale="log", yscale="log", xlabel="sites N", ylabel="time of a generated field / csd's")
    _plain(axes.yaxis)
    axes.set_ylim(0.2, 1e6)
    axes.set_title(f"(b) generation, {dataset.attrs['sampler_steps']} steps", loc="left")
    axes.legend(loc="upper left", handlelength=1.0)


def _loops(axes: Axes, dataset: xr.Dataset) -> None:
    """Shares of the limits, a row a loop."""
    loops = [str(name) for name in dataset["loop"].values]
    rows = np.arange(len(loops))[::-1]
    left = np.zeros(len(loops))
    for name, colour in RESOURCES.items():
        values = dataset["loop_share"].sel(resource=name).values
        middle = values[:, 1]
        bars = np.where(middle > 0.0, [middle - values[:, 0], values[:, 2] - middle], np.nan)
        axes.barh(rows, middle, left=left, color=colour, height=0.6, label=name)
        axes.errorbar(left + middle, rows, xerr=bars, fmt="none", ecolor="black", elinewidth=0.8)
        left += middle
    axes.axvline(1.0, color="black", lw=0.8, zorder=0, label="limit")
    axes.set_yticks(rows, loops)
    axes.set_xlim(0.0, max(1.05, 1.05 * left.max()))
    axes.set_ylim(-0.6, len(loops) - 0.4)
    axes.set_xlabel("time at the limit / time taken")
    axes.set_title("(c) hot loops", loc="left")
    axes.legend(loc="upper right", bbox_to_anchor=(0.94, 0.99), handlelength=1.0, labelspacing=0.3)


def _growth(axes: Axes, dataset: xr.Dataset) -> None:
    """Time of a step against N in two dimensions, with the law through the largest lattice."""
    chosen = dataset["growth_dimension"].values == 2
    sites = dataset["growth_sites"].values[chosen]
    for name, (words, colour, mark) in STEPS.items():
        values = quartiles(dataset["growth_seconds"].sel(step_of=name).values[chosen])
        transforms = "transforms" in name
        law = sites * np.log(sites) if transforms else sites
        axes.plot(sites, law * values[-1, 1] / law[-1], color=colour, lw=0.8, alpha=0.6, zorder=1)
        _points(axes, sites, values, color=colour, marker=mark, ls="none", label=words, zorder=2)
    axes.set(xscale="log", yscale="log", xlabel="sites N", ylabel="time of a step (s)")
    axes.set_ylim(top=20.0)
    axes.set_title("(d) growth, d = 2", loc="left")
    axes.legend(loc="upper left", handlelength=1.0, labelspacing=0.3)
