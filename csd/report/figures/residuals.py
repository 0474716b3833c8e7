"""|C K − 1| over wavenumber and step for one and two layers: diffusion from hard to soft modes against a front."""

import numpy as np

from csd.networks.linear import START_KERNEL
from csd.report.figures import looks, series
from csd.report.figures.looks import Axes, DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted

SUMMARY = "training"
NEEDS = "one_layer and two_layer on the critical line of one dimension"
SHOWN = ("one_layer", "two_layer")
CONTOUR = 0.1
WANTED = Wanted(SHOWN, together=True)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Colour: root mean square over modes and seeds. Line: where theory has |C K − 1| = 0.1."""
    from matplotlib.colors import LogNorm

    level = series.at_level(summary, style.noise_level)
    table = series.require(series.runs(level, WANTED), "residuals", NEEDS)
    table = series.in_order(table[table["dimension"] == table["dimension"].min()], SHOWN)
    largest = table.drop_duplicates("network", keep="last")
    figure, ((*panels,),) = looks.subplots(1, len(largest), height=2.9, sharey=True, squeeze=False)
    learned = []
    for axes, (place, row) in zip(panels, largest.iterrows(), strict=True):
        run = level.isel(run=place)
        bins, steps = np.isfinite(run["inverse_length"].values), run["step"].values
        length, residual = (
            run["inverse_length"].values[bins],
            run["mode_residual"].transpose("bin", "step").values[bins],
        )
        there = np.isfinite(residual).any(axis=0) & (steps > 0)
        steps, residual = steps[there], residual[:, there]
        look: looks.Look = {"norm": LogNorm(1e-3, 1.0), "cmap": "cividis", "shading": "nearest", "rasterized": True}
        picture = axes.pcolormesh(steps, length, np.clip(residual, 1e-3, None), **look)
        _front(axes, row["architecture_name"], run, length)
        axes.set(
            xscale="log", yscale="log", xlim=(1, steps[-1]), xlabel="training step (steps)", title=looks.title(row)
        )
        softest, hardest = (
            next(
                (f"step {step}" for step, value in zip(steps, mode, strict=True) if value <= CONTOUR),
                "no recorded step",
            )
            for mode in (residual[length.argmin()], residual[length.argmax()])
        )
        learned.append(f"with {looks.name(row['network'])} the softest at {softest} and the hardest at {hardest}")
    panels[0].set_ylabel(looks.INVERSE_LENGTH)
    figure.colorbar(picture, ax=panels, label="|C K − 1|", extend="min")
    looks.legend_below(figure, [looks.key(f"theory: |C K − 1| = {CONTOUR:g}", color="black")])
    return figure, {"contour": f"{CONTOUR:g}", "learned": "; ".join(learned)}


def _front(axes: Axes, architecture: str, run: Dataset, length: np.ndarray) -> None:
    """The step at which theory has |C K − 1| = 0.1: closed forms (`csd.training.reference`) solved for the step."""
    from matplotlib import patheffects

    spectrum = float(run["signal"]) ** 2 / length**2 + float(run["noise_variance"])
    rate = float(run["learning_rate"])
    if architecture == "one_layer":
        with np.errstate(divide="ignore"):
            front = np.log(CONTOUR) / np.log(np.abs(1.0 - rate * spectrum))
    else:
        # K / K* = 0.9 of the logistic flow.
        start = START_KERNEL / spectrum.max()
        front = np.log((1.0 / spectrum / start - 1.0) * (1.0 - CONTOUR) / CONTOUR) / (2.0 * rate)
    outline = [patheffects.Stroke(linewidth=2.6, foreground="white"), patheffects.Normal()]
    axes.plot(np.maximum(front, 0.5), length, color="black", lw=1.2, path_effects=outline)
