"""Generated fields beside fields of the target, in two dimensions, with one colour scale."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.fields import picture_of
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.observables import NEEDS as _NEEDS
from csd.report.figures.observables import WANTED as _CHOSEN
from csd.report.figures.observables import sampled_runs
from csd.study.summaries.columns import Run

SUMMARY = "generation"
NEEDS = f"{_NEEDS} in two dimensions"
MOST = 3
"""Networks that are shown, the first of `FAMILIES` with a kernel and then those without."""


def WANTED(runs: list[Run]) -> list[Run]:
    """The runs in two dimensions."""
    return _CHOSEN(run for run in runs if run["dimension"] == 2)


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """A row for each network, of its first seed, and below it fields of the target."""
    table = sampled_runs(summary, "sampled_fields")
    table = series.require(table[table["dimension"] == 2], "sampled_fields", NEEDS)
    # The target that most networks learned; of several, the last one, on its largest lattice.
    networks = table.groupby("panel", sort=False).size()
    table = table[table["panel"] == networks.index[networks == networks.max()][-1]][-MOST:]
    size, last = int(table["size"].iloc[0]), summary.isel(run=table.index[-1])
    rows = [(row["series"], summary["sampled_field"].values[run][0]) for run, row in table.iterrows()]
    rows.append(("target", last["reference_field"].values))
    scale = 2.5 * float(np.nanstd(rows[-1][1]))
    figure, panels = looks.subplots(len(rows), len(rows[0][1]), height=1.5 * len(rows), squeeze=False)
    for line, (words, fields) in zip(panels, rows, strict=True):
        for axes, field in zip(line, fields, strict=True):
            picture_of(axes, field[: size * size].reshape(size, size), scale)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(words)
    # Panels of fixed aspect are shifted after room has been made for their labels.
    figure.set_layout_engine("constrained", rect=(0.02, 0.0, 0.98, 1.0))
    figure.colorbar(panels[0][0].images[0], ax=panels, label="field (lattice units)", extend="both", shrink=0.9)
    return figure, {
        "networks": looks.in_caption(", ".join(words for words, _ in rows[:-1])),
        "panel": table["panel"].iloc[0],
    }
