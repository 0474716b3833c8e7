"""Kernels of the score and what a finite range costs: profiles, and the floor of the error against range."""

import numpy as np

from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import DataFrame, Dataset, Figure, FigureStyle, Study
from csd.study.seeds import mean_over_seeds

SUMMARY = "training"
NEEDS = "local_one_layer at several ranges on the critical line"
ANY_LEVEL = True


def shows(study: Study) -> bool:
    """Whether there are networks of one local layer."""
    return bool(sweeps_in(study, SUMMARY, "local_one_layer"))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Left: exact kernels as lines, trained ones as points. Right: floors against range, with the score length."""
    from matplotlib import colormaps

    table = series.runs(summary, mass_times_length=1.0, data_set=0)
    local = table[(table["architecture_name"] == "local_one_layer") & (table["fixed_range"] > 0)]
    series.require(local, "kernels", NEEDS)
    dimension, size = local.groupby(["dimension", "size"])["fixed_range"].nunique().idxmax()
    local = local[(local["dimension"] == dimension) & (local["size"] == size)]
    full = table[(table["architecture_name"] == "one_layer") & (table["dimension"] == dimension)]
    figure, (left, right) = looks.subplots(1, 2, height=2.9)
    levels = summary["noise_level"].values
    for index, level in enumerate(levels):
        tone, mark, label = colormaps["cividis"](index / max(1, len(levels))), "os^Dv"[index % 5], f"t = {level:g}"
        at = summary.sel(noise_level=level)
        if len(full):
            run = at.isel(run=int(full.index[-1]))
            distance, exact = run["distance"].values, np.abs(run["exact_kernel_profile"].values)
            trained, error = mean_over_seeds(run["kernel_profile"].values, axis=0)
            left.plot(distance, exact / exact[0], color=tone, label=label)
            looks.points(left, distance, np.abs(trained) / trained[0], error / trained[0], tone, mark, ms=3)
        floors = at.isel(run=local.index.to_numpy()).sortby("range")
        right.plot(floors["range"], floors["floor"], color=tone, marker=mark, ms=3.5, mew=0, label=label)
        right.axvline(float(floors["score_length"][0]), ymin=0.96, color=tone, lw=2.0)
    left.set(yscale="log", ylim=(1e-6, 3.0), xlim=(-0.3, 12.3), ylabel="|K(r)| / K(0)")
    left.set_xlabel("displacement r along an axis (lattice spacings)")
    shown = f", L = {full['size'].iloc[-1]}" if len(full) else ""
    left.set_title(f"kernels, d = {dimension}{shown}\nlines: exact, points: one layer at ε = 1 %")
    left.legend(loc="upper right", handlelength=1.2)
    right.set(yscale="log", ylim=(1e-10, 3.0), xlabel="range R (lattice spacings)", ylabel="relative score error")
    right.set_title(f"local kernels, d = {dimension}, L = {size}\nlines: exact floor, ticks on top: ξ$_t$")
    right.legend(loc="lower left", handlelength=1.2)
    return figure
