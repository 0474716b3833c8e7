"""The depth law: training time against size for p layers, and z = 2 |1 − 2/p|."""

import numpy as np

from csd.networks import Architecture
from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import DataFrame, Dataset, Figure, FigureStyle, Study
from csd.study.seeds import total_error
from csd.training.reference import depth_exponent

SUMMARY = "training"
NEEDS = "deep_linear on the critical line"
SHALLOW = {"one_layer": 1, "two_layer": 2}


def shows(study: Study) -> bool:
    """Whether there are networks of a given depth."""
    return bool(sweeps_in(study, SUMMARY, "deep_linear"))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Left: points with predictions as lines. Right: z of nested laws over the depth law; 0 is a logarithm."""
    level, table = series.critical_runs(summary, style)
    deep = series.require(table[table["depth"] > 0], "depth_law", NEEDS)
    dimension = deep["dimension"].iloc[0]
    table = table[table["dimension"] == dimension]
    networks = [Architecture(name) for name in SHALLOW if name in set(table["architecture_name"])]
    networks += sorted(set(table.loc[table["depth"] > 0, "network"]), key=looks.order)
    figure, (left, right) = looks.subplots(1, 2, height=2.8)
    for network in networks:
        own = table[table["network"] == network]
        mean, error, predicted = series.mean_times(level, own)
        colour, mark = looks.colour(network), looks.marker(network)
        left.plot(own["size"], predicted, color=colour)
        looks.points(left, own["size"], mean, error, colour, mark, label=looks.name(network))
        depth = SHALLOW.get(network.name) or network.depth
        for _, run in own.drop_duplicates(["sweep", "data"]).iterrows():
            fits = series.laws_of(scaling, run, "training_time", style.noise_level)
            for _, fit in fits[fits["law"] == "boxcox"].iterrows():
                # Three sizes leave z without an error, and so without a bar.
                looks.points(right, depth, fit["exponent"], total_error(fit), colour, mark, capsize=2)
    looks.size_axis(left, list(table["size"]))
    left.set(yscale="log", ylabel="training time τ (steps)")
    left.set_title(f"d = {dimension}, t = {style.noise_level:g}; lines: theory")
    left.legend(loc="upper left", handlelength=1.0, labelspacing=0.3)
    depths = np.linspace(1.0, 6.5, 200)
    right.plot(depths, [depth_exponent(p) for p in depths], color="0.3", zorder=1, label="theory: z = 2 |1 − 2/p|")
    look: looks.Look = {"color": "0.3", "ha": "left", "va": "center", "fontsize": 0.85 * style.font_size}
    right.annotate("log L", (2.0, 0.0), (2.35, 0.05), **look)
    right.set(xlabel="depth p (layers)", ylabel="z of τ = a + b (Lᶻ − 1)/z", ylim=(-0.1, 2.2))
    right.legend(loc="upper right")
    return figure
