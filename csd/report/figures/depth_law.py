"""The depth law: training time against size for p layers, and z = 2 |1 − 2/p|."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csd.networks import Architecture
from csd.report.figures import style as looks
from csd.study.config.study import FigureStyle
from csd.study.seeds import mean_over_seeds, total_error
from csd.training.reference import depth_exponent

SHALLOW = {"one_layer": 1, "two_layer": 2}


def draw(summary: xr.Dataset, scaling: pd.DataFrame, style: FigureStyle) -> Figure:
    """Left: points with predictions as lines. Right: z of nested laws over the depth law; 0 is a logarithm."""
    level = looks.at_level(summary, style.noise_level)
    table = looks.runs(level, mass_times_length=1.0, data_set=0)
    deep = looks.require(table[table["depth"] > 0], "depth_law", "deep_linear on the critical line")
    dimension = deep["dimension"].iloc[0]
    table = table[table["dimension"] == dimension]
    networks = [Architecture(name) for name in SHALLOW if name in set(table["architecture_name"])]
    networks += sorted(set(table.loc[table["depth"] > 0, "network"]), key=looks.order)
    figure, (left, right) = plt.subplots(1, 2, figsize=(looks.PAGE, 2.8))
    for network in networks:
        own = table[table["network"] == network]
        chosen = level.isel(run=own.index.to_numpy())
        mean, error = mean_over_seeds(chosen["training_time"].values, ran=looks.seeds_run(chosen))
        predicted, _ = mean_over_seeds(chosen["predicted_training_time"].values, ran=looks.seeds_run(chosen))
        colour, mark = looks.colour(network), looks.marker(network)
        left.plot(own["size"], predicted, color=colour)
        left.errorbar(own["size"], mean, error, fmt=mark, color=colour, mew=0, label=looks.name(network))
        depth = SHALLOW.get(network.name) or network.depth
        fits = [
            looks.laws_of(scaling, run, "training_time", style.noise_level)
            for _, run in own.drop_duplicates(["sweep", "data"]).iterrows()
        ]
        for _, fit in pd.concat(fits).query("law == 'boxcox'").iterrows():
            # Three sizes leave z without an error, and so without a bar.
            right.errorbar(depth, fit["exponent"], total_error(fit), fmt=mark, color=colour, mew=0, capsize=2)
    left.set_yscale("log")
    looks.size_axis(left, list(table["size"]))
    left.set_ylabel("training time τ (steps)")
    left.set_title(f"d = {dimension}, t = {style.noise_level:g}; lines: theory")
    left.legend(loc="upper left", handlelength=1.0, labelspacing=0.3)
    depths = np.linspace(1.0, 6.5, 200)
    right.plot(depths, [depth_exponent(p) for p in depths], color="0.3", zorder=1, label="theory: z = 2 |1 − 2/p|")
    right.annotate(
        "log L", (2.0, 0.0), (2.35, 0.05), color="0.3", ha="left", va="center", fontsize=0.85 * style.font_size
    )
    right.set_xlabel("depth p (layers)")
    right.set_ylabel("z of τ = a + b (Lᶻ − 1)/z")
    right.set_ylim(-0.1, 2.2)
    right.legend(loc="upper right")
    return figure
