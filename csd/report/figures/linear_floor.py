"""Error of the best linear score against noise level, of all modes and of the zero mode, for each target and size."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import at_finite_n
from csd.report.figures.wrapped import COLUMNS, tints, wrapped
from csd.study.rounding import parentheses

SUMMARY = "scores"
NEEDS = "the key scores, with a target at finite n: with components, or beta"
WANTED = at_finite_n
KINDS = {
    "linear_score_error": ("all modes", looks.BLUE, "o"),
    "linear_zero_mode_error": ("zero mode", looks.RED, "s"),
}
"""Words, colour and marker of what is drawn."""
TICKS = 1.3
"""Least ratio of two noise levels that both have a tick."""
APART = 1.04
"""Ratio of the places of two sizes at one noise level, so that their errors are seen."""

ALONE = 2.0
"""Ratio of the ends of the axis to a noise level that is the only one."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: means over seeds with errors, joined by lines; the darker, the larger the lattice. A panel a target."""
    table = _points(summary)
    panels = table.groupby("panel", sort=False)
    figure, grid, left = wrapped(len(panels), 2.3, 0.6, columns=2 if len(panels) == 4 else COLUMNS, sharey=True)
    sizes = sorted(set(table["size"]))
    shades = {kind: tints(colour, sizes) for kind, (_, colour, _) in KINDS.items()}
    told = []
    for axes, (panel, of_panel) in zip(grid, panels, strict=True):
        axes.set(xscale="log", yscale="log", title=panel, xlabel="noise level t")
        levels = sorted(set(of_panel["noise_level"]))
        shown = [low for low, high in zip(levels, [*levels[1:], np.inf], strict=True) if high > TICKS * low]
        axes.set_xticks(shown, [f"{level:g}" for level in shown])
        axes.minorticks_off()
        if len(levels) == 1:
            # Sizes beside each other would otherwise fill the axis, as if they were noise levels.
            axes.set_xlim(levels[0] / ALONE, levels[0] * ALONE)
        # Parts of a study may share a target, and differ in noise levels.
        for (kind, size), own in of_panel.groupby(["kind", "size"], sort=False):
            look = {"color": shades[kind][size]}
            shifted = own.assign(place=own["noise_level"] * APART ** (sizes.index(size) - 0.5 * (len(sizes) - 1)))
            looks.curve(axes, shifted, "place", "value", **look, lw=0.8)
            looks.points(axes, shifted, "place", "value", "error", **look, marker=KINDS[kind][2])
        largest = of_panel[of_panel["size"] == of_panel["size"].max()]
        told.append(f"{panel.replace(chr(10), ', ')}, L = {largest['size'].iloc[0]}: {_ends(largest)}")
    for axes in left:
        axes.set_ylabel("error ε of the best linear score")
    kinds = [looks.key(words, color=colour, marker=marker, lw=0.8) for words, colour, marker in KINDS.values()]
    looks.legend_below(figure, [*kinds, *looks.shade_keys(sizes, "L = {}")], columns=6)
    return figure, {"values": looks.in_caption("; ".join(told))}


def _points(summary: Dataset) -> DataFrame:
    """A row for each run at finite n, noise level and kind: its value and error, where they are known.

    Raises:
        InputError: if there is none.
    """
    import pandas as pd

    from csd.study.summaries.scores import IDENTITY_OF_SCORES, floors

    about = summary[[*IDENTITY_OF_SCORES]].to_dataframe()
    rows = []
    for kind in KINDS:
        values, errors = floors(summary, kind)
        for run, level in np.argwhere(np.isfinite(values) & (values > 0.0)):
            numbers = {"value": values[run, level], "error": errors[run, level], "kind": kind}
            rows.append(about.iloc[run].to_dict() | numbers | {"noise_level": float(summary["noise_level"][level])})
    table = series.require(pd.DataFrame(rows), "linear_floor", NEEDS)
    table["panel"] = table.apply(series.target_title, axis=1)
    return table.sort_values(["dimension", "target", "components", "size", "noise_level"], kind="stable")


def _ends(rows: DataFrame) -> str:
    """The values at the lowest and the highest noise level in words."""
    told = []
    for kind, own in rows.groupby("kind", sort=False):
        ends = own.iloc[[0, -1]].drop_duplicates("noise_level")
        values = [
            f"{parentheses(row['value'], row['error'])} at t = {row['noise_level']:g}" for _, row in ends.iterrows()
        ]
        told.append(f"{KINDS[str(kind)][0]} {' and '.join(values)}")
    return ", ".join(told)
