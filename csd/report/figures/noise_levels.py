"""Training time against noise level: at which of them does training slow down?"""

import numpy as np

from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import DataFrame, Dataset, Figure, FigureStyle, Study
from csd.study.seeds import mean_over_seeds

SUMMARY = "training"
NEEDS = "one_layer and two_layer on the critical line, at several noise levels"
ANY_LEVEL = True
SHOWN = ("one_layer", "two_layer")


def shows(study: Study) -> bool:
    """Whether there are both networks, and several noise levels."""
    several = len(study.training.noise_levels) > 1
    return several and all(sweeps_in(study, SUMMARY, architecture) for architecture in SHOWN)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Points: means over seeds, with errors, a shade a size. Lines: theory."""
    table = series.runs(summary, mass_times_length=1.0, data_set=0, architecture_name=SHOWN)
    known = np.isfinite(summary["predicted_training_time"].max(["seed", "noise_level"]).values)
    table = table[known[table.index.to_numpy()]]
    table = series.in_plane(series.require(table, "noise_levels", NEEDS))
    figure, panels = looks.subplots(1, 2, height=2.8, sharey=True)
    for axes, architecture in zip(panels, SHOWN, strict=True):
        own = table[table["architecture_name"] == architecture].drop_duplicates("size")
        shades, mark = looks.shades(architecture, len(own)), looks.marker(architecture)
        for shade, (run, row) in zip(shades, own.iterrows(), strict=True):
            at = summary.isel(run=run)
            levels, ran = at["noise_level"].values, np.isfinite(at["score_error"].sel(step=0).values).T
            mean, error = mean_over_seeds(at["training_time"].transpose("noise_level", "seed").values, ran=ran)
            predicted = at["predicted_training_time"].transpose("noise_level", "seed").values
            axes.plot(levels, mean_over_seeds(predicted, ran=ran)[0], color=shade, zorder=1)
            looks.points(axes, levels, mean, error, shade, mark, label=f"L = {row['size']}")
        title = f"{looks.name(architecture)}, d = {table['dimension'].iloc[0]}"
        axes.set(xscale="log", yscale="log", xlabel="noise level t", title=title)
        axes.legend(handlelength=1.0, labelspacing=0.3)
    panels[0].set_ylabel("training time τ (steps)")
    figure.legend(handles=looks.kinds(), loc="outside upper center", ncols=2)
    return figure
