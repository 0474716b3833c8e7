"""What a finite range costs the samples: χ and ξ against range, and the noise levels where soft modes are lost."""

import numpy as np

from csd.report.figures import looks, series, sweeps_in
from csd.report.figures.looks import Axes, DataFrame, Dataset, Figure, FigureStyle, Series, Study

SUMMARY = "generation"
NEEDS = "generation with local_one_layer on the critical line"
SHOWN = "local_one_layer"
QUANTITIES = {"susceptibility": "χ", "correlation_length": "ξ"}


def shows(study: Study) -> bool:
    """Whether fields are generated with one local layer."""
    return bool(sweeps_in(study, SUMMARY, SHOWN))


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Figure:
    """Lines: best network of each range. Points: trained and sampled, where the samples of every seed have a value."""
    table = series.generation_runs(summary, architecture_name=SHOWN)
    table = series.require(table, "local_range", NEEDS)
    # One sweep, so that all have the same grid and integrator.
    counts = table.groupby(["sweep", "size"])["network"].transform("nunique")
    table = table[counts == counts.max()]
    table = table[(table["size"] == table["size"].max()) & (table["sweep"] == table["sweep"].iloc[-1])]
    # Ranges that follow the score length come after the fixed ones.
    table = table.assign(follows=table["fixed_range"] == 0).sort_values(["follows", "fixed_range", "range_factor"])
    figure, panels = looks.subplots(1, 3, height=2.9, width_ratios=(1, 1, 1.1))
    for axes, name in zip(panels, QUANTITIES, strict=False):
        _bias(axes, summary, table, name)
    _on_the_way(panels[2], summary, table)
    panels[0].set_title(f"d = {table['dimension'].iloc[0]}, L = {table['size'].iloc[0]}")
    kinds = looks.kinds("best network of the range", "trained and sampled, mean of seeds")
    figure.legend(handles=kinds, loc="outside upper center", ncols=2)
    return figure


def _bias(axes: Axes, summary: Dataset, table: DataFrame, name: str) -> None:
    """An observable over that of the exact score on the same grid, a place a range."""
    chosen = summary.isel(run=table.index.to_numpy())
    exact = chosen[f"exact_score_{name}"].values
    places, follows = np.arange(len(table)), table["follows"].to_numpy()
    shade, mark = looks.colour(SHOWN), looks.marker(SHOWN)
    best = chosen[f"best_{name}"].values / exact
    for group in (~follows, follows):
        axes.plot(places[group], best[group], color=shade)
    mean, error = series.of_samples(chosen, name)
    looks.points(axes, places, mean / exact, error / exact, shade, mark, elinewidth=0.8)
    axes.axhline(1.0, color="0.6", lw=0.6, zorder=0)
    axes.set_xticks(places, [_words(row) for _, row in table.iterrows()])
    axes.set(xlabel="range R (lattice spacings)", ylabel=f"{QUANTITIES[name]} over that of the exact score")
    axes.set_ylim(bottom=0.0)


def _words(row: Series) -> str:
    """A range as a tick."""
    if row["fixed_range"]:
        return str(row["fixed_range"])
    return "ξₜ" if row["range_factor"] == 1.0 else f"{row['range_factor']:g}ξₜ"


def _on_the_way(axes: Axes, summary: Dataset, table: DataFrame) -> None:
    """Variance of the zero mode over the exact one, at every level along the reverse trajectory; best networks."""
    fixed = table[~table["follows"]]
    for shade, (run, row) in zip(looks.shades(SHOWN, len(fixed)), fixed.iterrows(), strict=True):
        at = summary.isel(run=run)
        axes.plot(at["noise_level"], at["best_soft_ratio"], color=shade, label=f"R = {_words(row)}")
        axes.axvline(0.5 * np.log1p(row["fixed_range"] ** 2), color=shade, lw=0.7, ls=":")
    for run, row in table[table["follows"]].tail(1).iterrows():
        at = summary.isel(run=run)
        look: looks.Look = {"color": looks.colour(SHOWN), "ls": "-.", "label": f"R = {_words(row)}"}
        axes.plot(at["noise_level"], at["best_soft_ratio"], **look)
    at = summary.isel(run=int(table.index[0]))
    axes.plot(at["noise_level"], at["exact_score_soft_ratio"], color="black", ls=looks.DASHED, label="exact score")
    axes.set(yscale="log", xlim=(float(at["noise_level"].max()), 0.0), xlabel="noise level t (dotted: ξₜ = R)")
    axes.set_ylabel("zero mode, generated / exact variance")
    looks.legend_beside(axes)
