"""Training time against size for each optimiser, a panel a network, with fitted laws and theory."""

from csd.networks import ARCHITECTURES, Architecture
from csd.report.figures import looks, series
from csd.report.figures.looks import DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted, beyond_theory
from csd.study.summaries.columns import Run

SUMMARY = "training"
NEEDS = "several optimisers, or a network without a kernel, on the critical line at three sizes or more"
WANTED = Wanted(
    kernel=False,
    options=("optimizer", "momentum", "rate_from"),
    grown=("dimension", "network", "optimizer"),
    having=lambda run: run["optimizer"] != "" or beyond_theory(run),
)
OPTIMIZERS = {
    "gd": (looks.BLUE, "o", "gradient descent"),
    "heavy_ball": (looks.ORANGE, "s", "heavy ball"),
    "nesterov": (looks.GREEN, "D", "Nesterov"),
    "adam": (looks.RED, "^", "Adam"),
    "adamw": (looks.PURPLE, "v", "AdamW"),
    "adam_fourier": (looks.SKY, "P", "Adam, each mode"),
    "sign_fourier": (looks.BROWN, "X", "sign of each mode"),
    "heavy_ball optimal": (looks.ORANGE, "p", "heavy ball, best pair"),
    "nesterov optimal": (looks.GREEN, "h", "Nesterov, best pair"),
}
"""Colour, marker and words of each optimiser, and of those at the best pair of learning rate and momentum."""


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: means over seeds, with errors, if all reached the tolerance. Solid: fitted law. Dashed: theory.

    Times are those from which the error stays within the tolerance, where all runs were trained until then.
    """
    level = series.at_level(summary, style.noise_level)
    table = series.require(series.runs(level, WANTED), "optimizer_times", NEEDS)
    settled = "settle" in table and bool((table["settle"] > 0).all())
    quantity = "settled_time" if settled else "training_time"
    if "rate_from" in table and (table["rate_from"] == "tuned").any():
        # One point a rule: that at its best rate.
        table = table[table["rate_from"] != "spectrum"]
    table = table.assign(optimizer=[_own(row) for row in table.to_dict("records")])
    places = [*OPTIMIZERS, *sorted(set(table["optimizer"]) - OPTIMIZERS.keys())]
    names = set(table["architecture_name"])
    table = series.in_order(
        table, [*(own for own in ARCHITECTURES if own in names), *sorted(names - ARCHITECTURES.keys())]
    )
    table = table.sort_values(
        ["dimension", "place", "optimizer", "size"],
        key=lambda column: column.map(places.index) if column.name == "optimizer" else column,
        kind="stable",
    )
    table = series.with_times(level, table, quantity)
    table = table.assign(panel=[f"{looks.name(row.network)}, d = {row.dimension}" for row in table.itertuples()])
    fits = series.fits(table.assign(rule=table["optimizer"]), scaling, quantity, style.noise_level, "rule", "panel")
    fits = fits.assign(optimizer=fits["rule"])
    drawn = series.joined(table, fits)
    shown = list(dict.fromkeys(drawn["optimizer"]))
    known = {name: OPTIMIZERS.get(name, (looks.GREY, "h", name)) for name in shown}
    grid = looks.panels(
        drawn,
        hue="optimizer",
        colours={name: one[0] for name, one in known.items()},
        markers={name: one[1] for name, one in known.items()},
        col="panel",
        col_wrap=3 if table["panel"].nunique() > 3 else None,
        height=3.1 if table["panel"].nunique() <= 3 else 5.2,
        sharex=False,
    )
    series.draw_times(grid)
    grid.set_titles("{col_name}")
    for panel, axes in grid.axes_dict.items():
        sizes = table["size"][table["panel"] == panel]
        # Panels are narrow where there are several, and have room for five ticks.
        looks.size_axis(axes, sizes, (sizes.max() / sizes.min()) ** 0.25 if len(grid.axes_dict) > 2 else 1.4)
        ends = fits[fits["panel"] == panel].groupby("optimizer", sort=False).tail(1)
        looks.end_labels(axes, [(row.fit, row.law, known[row.optimizer][0]) for row in ends.itertuples()])
        axes.set_ylabel("")
    grid.axes.flat[0].set_ylabel(f"{quantity.replace('_', ' ')} τ (steps)")
    keys = [looks.key(words, color=shade, marker=mark, lw=0) for shade, mark, words in known.values()]
    looks.legend_below(grid.figure, [*keys, *looks.kinds_with_fit()])
    return grid.figure, {"laws": _told(fits, known), "late": _late(table, known), "settled": settled}


def _own(run: Run) -> str:
    """The optimiser of a run, or that of its network; plain descent with momentum is the heavy ball."""
    network: Architecture = run["network"]
    own = {} if ":" in network.name else getattr(network.made_by, "training", {})
    name = str(run["optimizer"] or own.get("optimizer", "gd"))
    best = " optimal" if run.get("rate_from") == "optimal" and name != "gd" else ""
    return ("heavy_ball" if name == "gd" and run.get("momentum", 0.0) > 0.0 else name) + best


def _told(fits: DataFrame, known: dict[str, tuple[str, str, str]]) -> str:
    """The fitted laws as words of a caption."""
    ends = fits.groupby(["panel", "optimizer"], sort=False).tail(1)
    laws = "; ".join(
        f"{panel}: " + ", ".join(f"{known[row.optimizer][2]} {row.law}" for row in own.itertuples())
        for panel, own in ends.groupby("panel", sort=False)
    )
    return looks.in_caption(laws) or "no law is fitted"


def _late(table: DataFrame, known: dict[str, tuple[str, str, str]]) -> str:
    """A sentence that names where a seed did not reach the tolerance; empty where all have."""
    late = table[table["time"].isna()]
    words = ", ".join(f"{known[row.optimizer][2]} with {row.panel} at L = {row.size}" for row in late.itertuples())
    return f" Without a point, as some seed did not reach the tolerance: {words}." if words else ""
