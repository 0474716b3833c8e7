"""Susceptibility and correlation length of samples against the range of a network, and where soft modes are lost."""

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import Axes, DataFrame, Dataset, Drawing, FigureStyle, Series
from csd.report.figures.needs import Wanted
from csd.study.rounding import parentheses
from csd.study.summaries.observables import of_samples

SUMMARY = "generation"
NEEDS = "generation with local_one_layer on the critical line"
SHOWN = "local_one_layer"
WANTED = Wanted((SHOWN,))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Lines: best network of each range. Points: trained and sampled, where the samples of every seed have a value."""
    table = series.require(series.runs(summary, WANTED), "local_range", NEEDS)
    # One sweep, so that all have the same grid and integrator.
    counts = table.groupby(["sweep", "size"])["network"].transform("nunique")
    table = table[counts == counts.max()]
    table = table[(table["size"] == table["size"].max()) & (table["sweep"] == table["sweep"].iloc[-1])]
    # Ranges that follow the score length come after the fixed ones.
    table = table.assign(follows=table["fixed_range"] == 0).sort_values(["follows", "fixed_range", "range_factor"])
    words = [_words(row) for _, row in table.iterrows()]
    table = table.assign(place=np.arange(len(table)), words=words)
    chosen, told = summary.isel(run=table.index.to_numpy()), []
    figure, (left, middle, right) = looks.subplots(1, 3, height=2.7, width_ratios=(1, 1, 1.2))
    look: looks.Look = {"color": looks.colour(SHOWN), "marker": looks.marker(SHOWN)}
    for axes, name in ((left, "susceptibility"), (middle, "correlation_length")):
        exact, (mean, error) = chosen[f"exact_score_{name}"].values, of_samples(chosen, name)
        ratios = table.assign(best=chosen[f"best_{name}"].values / exact, sampled=mean / exact, error=error / exact)
        for _, group in ratios.groupby("follows"):
            looks.curve(axes, group, "place", "best", **look)
        looks.points(axes, ratios, "place", "sampled", "error", **look)
        looks.line_at_one(axes)
        axes.set_xticks(ratios["place"], words)
        axes.set(title=looks.name(name), xlabel="range R (lattice spacings)", ylim=(0.0, None))
        for _, end in ratios.dropna(subset=["sampled"]).groupby("follows").tail(1).iterrows():
            ratio = parentheses(end["sampled"], end["error"])
            told.append(f"{looks.name(name)} {ratio} with R = {end['words']}")
    left.set_ylabel("sampled / exact score")
    _along_trajectory(right, summary, table)
    looks.legend_below(figure, looks.kinds("best network of the range", "trained and sampled, mean of seeds"))
    first = table.iloc[0]
    return figure, {"ratios": told, "lattice": f"d = {first['dimension']}, L = {first['size']}"}


def _words(row: Series) -> str:
    """A range as a tick."""
    if row["fixed_range"]:
        return str(row["fixed_range"])
    return "ξₜ" if row["range_factor"] == 1.0 else f"{row['range_factor']:g}ξₜ"


def _along_trajectory(axes: Axes, summary: Dataset, table: DataFrame) -> None:
    """Variance of the zero mode over the exact one, at every level along the reverse trajectory; best networks."""
    fixed = table[~table["follows"]]
    shown = {run: (f"R = {row['words']}", "-") for run, row in fixed.iterrows()}
    shown |= {run: (f"R = {row['words']}", "-.") for run, row in table[table["follows"]].tail(1).iterrows()}
    ends = []
    for (run, (words, dashes)), shade in zip(shown.items(), looks.shades(SHOWN, len(shown)), strict=True):
        at = summary.isel(run=run)
        axes.plot(at["noise_level"], at["best_soft_ratio"], color=shade, ls=dashes)
        ends.append((float(at["best_soft_ratio"].dropna("level")[-1]), words, looks.colour(SHOWN)))
        if run in fixed.index:
            axes.axvline(0.5 * np.log1p(table["fixed_range"][run] ** 2), color=shade, lw=0.7, ls=":")
    exact = at["exact_score_soft_ratio"]
    axes.plot(at["noise_level"], exact, color="black", ls=looks.DASHED)
    axes.set(yscale="log", xlim=(float(at["noise_level"].max()), 0.0), xlabel="noise level t (dotted: ξₜ = R)")
    axes.set(title="zero mode", ylabel="generated / exact variance")
    looks.end_labels(axes, [*ends, (float(exact.dropna("level")[-1]), looks.name("exact"), "black")])
