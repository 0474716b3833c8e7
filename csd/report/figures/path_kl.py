"""Path KL of reverse diffusion with the best local scores, and the KL of its samples, a box, against the range."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import in_closed_form
from csd.report.figures.score_gap import panel_title
from csd.report.figures.wrapped import tints, wrapped

SUMMARY = "phases"
NEEDS = "the key phases, with a Gaussian target or one of two phases"
WANTED = in_closed_form
QUANTITIES = {
    "path_kl": ("path KL", "o", looks.INK),
    "sde_kl": ("KL(true‖samples), SDE", "v", looks.BLUE),
    "ode_kl": ("KL(true‖samples), ODE", "^", looks.RED),
    "path_kl_bit": ("path KL, the bit alone", "s", looks.ORANGE),
}
"""Words, marker and colour of what is drawn."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points, joined: each quantity over N/V − 1, the boxes but one; a panel a target, the darker the larger."""
    table = series.require(per_box(summary), "path_kl", NEEDS)
    panels = list(table.groupby(["target", "target_label", "dimension"], sort=False))
    figure, grid, left = wrapped(len(panels), 2.4, 0.6)
    sizes = sorted(set(table["size"]))
    shades = {name: tints(colour, sizes) for name, (_, _, colour) in QUANTITIES.items()}
    for axes, (_, own) in zip(grid, panels, strict=True):
        bits = "path_kl_bit" in set(own["quantity"])
        for (quantity, size), one in own.groupby(["quantity", "size"], sort=False):
            shade, (_, marker, _) = shades[str(quantity)][size], QUANTITIES[str(quantity)]
            look: looks.Look = {"color": shade, "marker": marker, "lw": 0.8, "ms": 3.5}
            axes.plot(one["range"], one["value"], **look)
        if bits:
            axes.axhline(np.log(2.0), color=looks.INK, lw=0.8, ls=looks.DASHED, zorder=0)
        title = panel_title(own.iloc[-1]).rpartition(", L")[0]
        axes.set(title=title, xlabel="range R (lattice spacings)", ylim=(0.0, 1.1 * own["value"].max()))
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(reach for reach in set(own["range"]) if reach & (reach - 1) == 0))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.minorticks_off()
    for axes in left:
        axes.set_ylabel("nats over N/V − 1")
    known = set(table["quantity"])
    drawn = [look for name, look in QUANTITIES.items() if name in known]
    keys = [looks.key(words, marker=marker, color=shade, lw=0.8) for words, marker, shade in drawn]
    if "path_kl_bit" in known:
        keys.append(looks.key("ln 2", color=looks.INK, lw=0.8, ls=looks.DASHED))
    looks.legend_below(figure, [*keys, *looks.shade_keys(sizes, "L = {}")], columns=5)
    paths = table[table["quantity"] == "path_kl"].groupby(["target", "target_label", "dimension"], sort=False)
    told = [f"{series.span(own['value'])} for {_words(own)}" for _, own in paths]
    return figure, {"constants": "; ".join(told), "bits": "path_kl_bit" in known}


def per_box(summary: Dataset) -> DataFrame:
    """A row for each run, range and quantity that is known: its value over N/V − 1, N/V the boxes of a lattice."""
    columns = [name for name in summary.data_vars if summary[name].dims == ("run",)]
    found = [name for name in QUANTITIES if name in summary]
    if not found:
        raise series.lacking("path_kl", NEEDS)
    values = summary[found].to_dataframe().reset_index()
    table = values.melt(["run", "range"], found, "quantity").dropna(subset="value")
    table = table.join(summary[columns].to_dataframe(), on="run")
    boxes = (table["size"] / (2.0 * table["range"] + 1.0)) ** table["dimension"]
    table = table[boxes > 1.0].assign(value=table["value"] / (boxes - 1.0), range=table["range"].astype(int))
    return table.sort_values(["target", "dimension", "size", "range"], kind="stable")


def _words(own: DataFrame) -> str:
    """A panel in words."""
    return panel_title(own.iloc[-1], ", ").rpartition(", L")[0]
