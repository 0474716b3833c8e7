"""Training time at fixed masses: τ / L² is a function of L / ξ, as τ = s*(α²ξ² + σ²) whatever L."""

import numpy as np

from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import DataFrame, Dataset, Figure, FigureStyle, Study

SUMMARY = "training"
NEEDS = "one_layer at fixed masses"
ARCHITECTURE = "one_layer"
MARKS = ("o", "s", "D", "^", "v", "P", "X")


def shows(study: Study) -> bool:
    """Whether a mass is given itself."""
    return any(sweep.mass is not None for sweep in sweeps_in(study, SUMMARY))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Points: one layer at fixed masses and on the critical line. Lines: the closed form, and (ξ/L)²."""
    level = series.at_level(summary, style.noise_level)
    table = series.runs(level, architecture_name=ARCHITECTURE, data_set=0)
    given = table["mass_times_length"].isna() & table["r0"].isna()
    fixed = series.require(table[given], "collapse", NEEDS)
    # Where there are several dimensions, that with the most masses.
    dimension = fixed.groupby("dimension")["mass"].nunique().idxmax()
    table = table[(table["dimension"] == dimension) & (given | (table["mass_times_length"] == 1.0))]
    figure, axes = looks.subplots(1, 1, height=2.9, width=looks.COLUMN)
    sizes = sorted(table["size"].unique())
    ratio = table["size"].to_numpy() * table["mass"].to_numpy()
    mean, error, predicted = np.array(series.mean_times(level, table)) / table["size"].to_numpy() ** 2
    order = np.argsort(ratio)
    axes.plot(ratio[order], predicted[order], color="0.2", zorder=1, label="theory")
    middle = order[len(order) // 2]
    square = predicted[middle] * (ratio[middle] / ratio[order]) ** 2
    axes.plot(ratio[order], square, color="0.5", lw=0.9, ls=looks.DASHED, zorder=1, label="∝ (ξ / L)²")
    for shade, mark, size in zip(looks.shades(ARCHITECTURE, len(sizes)), MARKS * len(sizes), sizes, strict=False):
        own = (table["size"] == size).to_numpy()
        look: looks.Look = {"mec": "white", "mew": 0.3, "label": f"L = {size}"}
        looks.points(axes, ratio[own], mean[own], error[own], shade, mark, **look)
    axes.set(xscale="log", yscale="log", xlabel="L / ξ", ylabel="τ / L² (steps per lattice spacing²)")
    axes.set_title(f"one layer, d = {dimension}, t = {style.noise_level:g}: nothing saturates at L = ξ")
    axes.legend(loc="lower left", handlelength=1.4)
    return figure
