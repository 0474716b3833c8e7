"""Histograms of the magnetisation of generated fields beside the reference, with Binder cumulants."""

import numpy as np

from csd.report.figures import looks
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.observables import NEEDS as NEEDS
from csd.report.figures.observables import WANTED as WANTED
from csd.report.figures.observables import sampled_runs
from csd.report.figures.wrapped import wrapped
from csd.study.rounding import parentheses
from csd.study.summaries.observables import of_samples

SUMMARY = "generation"
BINS = 41
"""Most bins of a histogram; odd numbers, so that one is centred at m = 0."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Lines: generated fields of all seeds. Grey: the reference. A panel a network."""
    table = sampled_runs(summary, "magnetisation")
    figure, panels, left = wrapped(len(table), 2.3, 0.3, sharey="row")
    binder, error = of_samples(summary.isel(run=table.index.to_numpy()), "binder")
    told, counts = [], []
    for axes, (run, row), own, uncertain in zip(panels, table.iterrows(), binder, error, strict=True):
        at = summary.isel(run=run)
        generated, reference = (
            at[name].values[np.isfinite(at[name].values)]
            for name in ("sampled_magnetisation", "reference_magnetisation")
        )
        right, found = (
            parentheses(float(value), float(scatter)).replace("-", "−")
            for value, scatter in ((at["reference_binder"], at["reference_binder_error"]), (own, uncertain))
        )
        counts.append(components := sampled_components(at))
        # The same for all networks of a target.
        members = summary.isel(run=table.index[table["panel"] == row["panel"]].to_numpy())
        most = 1.05 * max(float(np.abs(members[f"{kind}_magnetisation"]).max()) for kind in ("sampled", "reference"))
        bins = min(BINS, 1 + 2 * int(len(reference) ** 0.5))
        edges = np.linspace(-most, most, bins + 1) if components == 1 else np.linspace(0.0, most, bins // 2 + 2)
        axes.hist(reference, edges.tolist(), density=True, color="0.8", label=f"reference, U$_4$ = {right}")
        shade = looks.colour(row["network"])
        axes.hist(
            generated,
            edges.tolist(),
            density=True,
            histtype="step",
            color=shade,
            lw=1.2,
            label=f"generated, U$_4$ = {found}",
        )
        what = "magnetisation m per site" if components == 1 else f"|m| per site, n = {components}"
        axes.set(title=f"{row['series']}\n{row['panel']}", xlabel=what)
        axes.legend(loc="upper center", fontsize="small")
        told.append(f"{found} for {row['series']} on {row['panel']}, where the reference has {right}")
    for axes in left:
        # Room for the legends; panels of a row share this axis.
        axes.set(ylabel="probability density", ylim=(0.0, 1.45 * axes.get_ylim()[1]))
    about = {"scalars": 1 in counts, "vectors": max(counts) > 1}
    return figure, {"cumulants": looks.in_caption("; ".join(told)), **about}


def sampled_components(run: Dataset) -> int:
    """n of the fields of a run that were generated together, of which |m| is kept; 1 for scalar fields."""
    count = float(run["sampled_components"]) if "sampled_components" in run else 1.0
    return int(count) if np.isfinite(count) else 1
