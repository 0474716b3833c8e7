"""Local networks trained at L that generate at 2L and 4L: spectra, χ and ξ beside those of the same mass."""

from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle, Series
from csd.report.figures.needs import Wanted
from csd.study.rounding import parentheses
from csd.study.seeds import mean_over_seeds
from csd.study.summaries.observables import of_samples

SUMMARY = "generation"
NEEDS = "generation with transfer"
SHOWN = 2
QUANTITIES = {"susceptibility": 2, "correlation_length": 1}
"""Observables, and the power of L that they grow with on the critical line."""
WANTED = Wanted(critical=False, data_sets=None, transfer=True, having=lambda run: run["size"] > run["trained_size"])


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Top: spectra over those of the same mass. Bottom: χ and ξ over those of the same mass, against size."""
    table = series.require(series.runs(summary, WANTED), "size_transfer", NEEDS)
    table = table.assign(trained=summary["trained_size"].values[table.index.to_numpy()])
    together = table.groupby(["sweep", "network", "trained"], sort=False)["size"]
    table = table[together.transform("max") > table["trained"]]
    for column in ("dimension", "trained"):
        table = table[table[column] == table[column].max()]
    networks = sorted(set(table["network"]), key=series.order)[:SHOWN]
    table = table[table["network"].isin(networks)].sort_values(
        "network", key=lambda own: own.map(series.order), kind="stable"
    )
    ratios = series.joined(*(_ratios(summary, table, name) for name in QUANTITIES))
    figure, (top, bottom) = looks.subplots(2, SHOWN, height=4.6, sharex="row", sharey="row")
    for axes, (network, own) in zip(top, table.groupby("network", sort=False), strict=False):
        for shade, run in zip(looks.shades(network, len(own)), own.index, strict=True):
            spectrum = series.spectrum(summary.isel(run=run), series.steps_of_all_seeds(summary.isel(run=run))[-1])
            look: looks.Look = {"color": shade, "marker": looks.marker(network)}
            looks.curve(axes, spectrum, "length", "generated", **look)
            looks.points(axes, spectrum, "length", "sampled", "error", ms=3, **look)
        looks.spectrum_axes(axes, looks.name(network))
    for axes in top[len(networks) :]:
        axes.remove()
    for axes, (name, own) in zip(bottom, ratios.groupby("quantity", sort=False), strict=True):
        axes.set(yscale="log", title=f"{looks.name(name)}, same mass")
        looks.line_at_one(axes)
        for network, line in own.groupby("network", sort=False):
            look = {"color": looks.colour(network), "marker": looks.marker(network)}
            looks.curve(axes, line, "size", "recursion", **look)
            looks.points(axes, line, "size", "sampled", "error", **look)
        looks.curve(axes, own.sort_values("size"), "size", "critical", color="0.2", ls=looks.DASHED)
        looks.size_axis(axes, own["size"])
    top[0].set_ylabel("generated / exact S(k)")
    bottom[0].set_ylabel("generated / exact")
    last, first = ratios.groupby(["quantity", "network"], sort=False).tail(1), table.iloc[0]
    # Now that both panels have the same limits.
    for axes, (_, own) in zip(bottom, last.groupby("quantity", sort=False), strict=True):
        ends = zip(own["recursion"], own["reach"], own["network"].map(looks.colour), strict=True)
        looks.end_labels(axes, [*ends, (own["critical"].max(), f"m = {first['mass'] * first['trained']:g}/L", "0.2")])
    sizes = sorted(set(table["size"]))
    shades = zip(sizes, looks.shades(networks[0], len(sizes)), strict=True)
    keys = [looks.key(f"at L = {size}", color=shade, lw=3) for size, shade in shades]
    looks.legend_below(figure, [*keys, *looks.kinds("trained kernels, exact recursion", "sampled fields")], 5)
    facts = {"observables": last.dropna(subset=["sampled"]).apply(_told, axis=1), "largest": f"L = {sizes[-1]}"}
    trained = f"L = {first['trained']}, m = {first['mass']:.4g}"
    return figure, facts | {"trained": trained, "lattice": f"d = {first['dimension']}"}


def _ratios(summary: Dataset, table: DataFrame, name: str) -> DataFrame:
    """An observable of generated fields over the exact one of the same mass: by recursion, sampled, and for m ∝ 1/L."""
    chosen = summary.isel(run=table.index.to_numpy())
    each = [chosen.isel(run=place) for place in range(len(table))]
    recursion = [mean_over_seeds(run[name].values[:, series.steps_of_all_seeds(run)[-1]])[0] for run in each]
    exact, (mean, error) = chosen[f"exact_{name}"].values, of_samples(chosen, name)
    table = table.assign(recursion=recursion / exact, sampled=mean / exact, error=error / exact, quantity=name)
    reach = table["network"].map(lambda network: looks.name(network).rpartition(", ")[2])
    return table.assign(critical=(table["size"] / table["trained"]) ** QUANTITIES[name], reach=reach)


def _told(end: Series) -> str:
    """What samples have at the largest size, in words."""
    ratio = parentheses(end["sampled"], end["error"])
    return f"{looks.name(end['quantity'])} {ratio} with {looks.in_caption(end['reach'])}"
