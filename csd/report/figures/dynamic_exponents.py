"""Autocorrelation time of each Monte Carlo sampler against size."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle, Series

SUMMARY = "monte_carlo"
NEEDS = "the key monte_carlo, with chains that are long enough"
QUANTITY = "autocorrelation_updates"
COLUMNS = 3


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: τ of the soft modes, in field updates, with errors. Solid: fitted power laws. Dashed: exact."""
    from csd.study.summaries.columns import SAMPLED, kind_of_model
    from csd.study.summaries.dynamics import known_times, times

    keys = ["dimension", "target", "target_label", "components", "sampler", "sweep", "size", *SAMPLED]
    tau, error = times(summary, QUANTITY, "collective_tau")
    table = summary[keys].to_dataframe().assign(tau=tau, error=error, exact=known_times(summary, QUANTITY))
    table = series.require(table[np.isfinite(error)], "dynamic_exponents", NEEDS)
    table = table.sort_values(["target", "dimension", "components", "size"]).rename(columns={"sampler": "network"})
    # The columns by which a series is found in the table of laws.
    data = [kind_of_model(*model) for model in zip(table["target"], table["components"], strict=True)]
    table = table.assign(architecture=table["network"], mass_label=table["target_label"], data=data)
    table["panel"] = table.apply(series.target_title, axis=1)
    fits = series.fits(table, scaling[scaling["law"] == "power"], QUANTITY, None, "panel", "sweep")
    rows, left = divmod(table["panel"].nunique(), COLUMNS)
    height = 1.9 * (rows + bool(left)) + (0.2 if rows and left else 0.8)
    grid = looks.panels(series.joined(table, fits), col="panel", col_wrap=COLUMNS, height=height, sharex=False)
    grid.set(yscale="log")
    looks.onto(grid, looks.curve, "size", "fit")
    looks.onto(grid, looks.curve, "size", "exact", ls=looks.DASHED, zorder=1)
    looks.onto(grid, looks.points, "size", "tau", "error")
    looks.size_axes(grid, table)
    grid.set_ylabels("τ (field updates)")
    for panel, axes in grid.axes_dict.items():
        looks.end_labels(axes, series.law_ends(fits[fits["panel"] == panel]))
        looks.ticks_within_a_decade(axes.yaxis)
        axes.set_title(panel)
    kinds = [*looks.kinds("fit", "simulated"), looks.key("exact", ls=looks.DASHED)]
    # Where the last row has no panel, if it is not the only one.
    place = {"loc": "lower right"} if rows and left else {"loc": "outside lower center", "ncols": 4}
    grid.figure.legend(handles=[*looks.network_keys(table["network"].unique()), *kinds], **place)
    ends = fits.drop_duplicates(["panel", "sweep", "network"]).groupby("network", sort=False)["law"]
    return grid.figure, {
        "exponents": [_exponents(*of_sampler) for of_sampler in ends] or ["none is determined"],
        "determined": f"{series.DETERMINED:g}",
    }


def _exponents(sampler: str, laws: Series) -> str:
    """The exponent of a sampler, or the smallest and the largest where it samples several targets."""
    exponents = laws.str.rpartition("z = ")[2]
    found = sorted(exponents, key=lambda words: float(words.partition("(")[0].replace("−", "-")))
    return f"{looks.name(sampler)} {' to '.join(dict.fromkeys((found[0], found[-1])))}"
