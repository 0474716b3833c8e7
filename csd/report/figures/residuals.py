"""|C K − 1| over wavenumber and step for one and two layers: diffusion from hard to soft modes against a front."""

import numpy as np

from csd.networks.linear import START_KERNEL
from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import Axes, DataFrame, Dataset, Figure, FigureStyle, Study

SUMMARY = "training"
NEEDS = "one_layer and two_layer on the critical line"
SHOWN = ("one_layer", "two_layer")
CONTOUR = 0.1


def shows(study: Study) -> bool:
    """Whether there are both networks."""
    return all(sweeps_in(study, SUMMARY, architecture) for architecture in SHOWN)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Colour: root mean square over modes and seeds. Line: where theory has |C K − 1| = 0.1."""
    from matplotlib.colors import LogNorm

    figure, panels = looks.subplots(1, 2, height=2.7, sharey=True)
    for axes, architecture in zip(panels, SHOWN, strict=True):
        level, table = series.critical_runs(summary, style, architecture_name=architecture)
        table = series.require(table, "residuals", NEEDS)
        table = table[table["dimension"] == table["dimension"].min()]
        own = level.isel(run=int(table.index[-1]))
        residual = own["mode_residual"].transpose("bin", "step").values
        length = own["inverse_length"].values
        rows = np.isfinite(length)
        columns = np.isfinite(residual[rows]).any(axis=0) & (own["step"].values > 0)
        steps, shown = own["step"].values[columns], np.clip(residual[np.ix_(rows, columns)], 1e-3, None)
        look: looks.Look = {"norm": LogNorm(1e-3, 1.0), "cmap": "cividis", "shading": "nearest", "rasterized": True}
        axes.pcolormesh(steps, length[rows], shown, **look)
        axes.set(xscale="log", yscale="log")
        _front(axes, architecture, own, length[rows])
        axes.set(xlim=(1, steps[-1]), xlabel="training step (steps)", title=looks.title(table.iloc[-1]))
        front = looks.key(f"theory: |CK − 1| = {CONTOUR:g}", color="black")
        axes.legend(handles=[front], loc="upper left", handlelength=1.2)
    panels[0].set_ylabel("sqrt(k² + m²)\n(inverse lattice spacings)")
    figure.colorbar(panels[0].collections[0], ax=panels, label="|CK − 1|", extend="min")
    return figure


def _front(axes: Axes, architecture: str, run: Dataset, length: np.ndarray) -> None:
    """The step at which theory has |C K − 1| = 0.1: closed forms (`csd.training.reference`) solved for the step."""
    from matplotlib import patheffects

    spectrum = float(run["signal"]) ** 2 / length**2 + float(run["noise_variance"])
    rate, largest = float(run["learning_rate"]), spectrum.max()
    if architecture == "one_layer":
        with np.errstate(divide="ignore"):
            front = np.log(CONTOUR) / np.log(np.abs(1.0 - rate * spectrum))
    else:
        start = START_KERNEL / largest
        # K / K* = 0.9 of the logistic flow.
        front = np.log((1.0 / spectrum / start - 1.0) * (1.0 - CONTOUR) / CONTOUR) / (2.0 * rate)
    outline = [patheffects.Stroke(linewidth=2.6, foreground="white"), patheffects.Normal()]
    axes.plot(np.maximum(front, 0.5), length, color="black", lw=1.2, path_effects=outline)
