"""One look for all figures: widths, fonts, and a colour and marker for each architecture.

Colours are those of Okabe and Ito, which colour-blind readers tell apart; markers differ too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from csd.core.errors import InputError
from csd.core.rounding import parentheses
from csd.networks import Architecture
from csd.networks.local import range_factor
from csd.study.config.study import FigureStyle
from csd.study.nested_law import box_cox
from csd.study.seeds import mean_over_seeds, total_error
from csd.study.summaries.columns import run_table

matplotlib.use("agg")

COLUMN = 3.375
"""Width of one journal column, inches."""
PAGE = 7.0
"""Width of two, inches."""

INK = "0.15"
"""Grey of axes and words."""
DASHED = (0, (3, 2))
LOGARITHM = 0.1
"""|z| of the nested law up to which a fit is drawn as a logarithm."""
OVER_LINES: dict[str, Any] = {"frameon": True, "framealpha": 1.0, "facecolor": "white", "edgecolor": "none"}
"""For a legend that a reference line runs behind."""

Family = str | tuple[str, int]
"""What colour and marker depend on: the name of an architecture, with its depth if it has one, or of a sampler."""
COLOURS: dict[Family, str] = {
    "exact": "#000000",
    "one_layer": "#0072B2",
    "two_layer": "#D55E00",
    "local_one_layer": "#56B4E9",
    "local_two_layer": "#009E73",
    ("deep_linear", 3): "#CC79A7",
    ("deep_linear", 4): "#E69F00",
    ("deep_linear", 6): "#7B5EA7",
    "metropolis": "#999999",
    "heat_bath": "#882255",
    "overrelaxation": "#CC79A7",
    "langevin": "#8C6D31",
    "hmc": "#E69F00",
    "fourier_hmc": "#7B5EA7",
    "wolff": "#009E73",
}
MARKERS: dict[Family, str] = {
    "exact": "x",
    "one_layer": "o",
    "two_layer": "s",
    "local_one_layer": "v",
    "local_two_layer": "^",
    ("deep_linear", 3): "D",
    ("deep_linear", 4): "P",
    ("deep_linear", 6): "X",
    "metropolis": "v",
    "heat_bath": "o",
    "overrelaxation": "s",
    "langevin": "P",
    "hmc": "D",
    "fourier_hmc": "^",
    "wolff": "X",
}
NO_ARCHITECTURE = ("#332288", "#882255", "#117733", "#999933", "#AA4499")
"""Of what is no architecture: criteria, dimensions, masses. From Paul Tol's muted scheme, for the colour-blind too."""
OTHER_COLOURS = ("#8C6D31", "#555555", "#B07AA1", "#4E79A7")
OTHER_MARKERS = ("<", ">", "p", "h")


def apply(style: FigureStyle) -> None:
    """Set the look for the figures that follow."""
    small = 0.85 * style.font_size
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(
        {
            "font.size": style.font_size,
            "axes.labelsize": style.font_size,
            "axes.titlesize": style.font_size,
            "legend.fontsize": small,
            "legend.title_fontsize": small,
            "legend.frameon": False,
            "lines.linewidth": 1.1,
            "lines.markersize": 4.0,
            "lines.solid_capstyle": "round",
            "patch.edgecolor": "white",
            "patch.force_edgecolor": True,
            "patch.linewidth": 0.8,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": INK,
            "axes.axisbelow": True,
            "axes.linewidth": 0.6,
            "pdf.fonttype": 42,
            "figure.constrained_layout.use": True,
            "mathtext.default": "regular",
            "xtick.color": INK,
            "xtick.labelsize": small,
            "xtick.direction": "in",
            "xtick.major.size": 4.8,
            "xtick.minor.size": 3.2,
            "xtick.major.width": 0.6,
            "xtick.minor.width": 0.4,
            "ytick.color": INK,
            "ytick.labelsize": small,
            "ytick.direction": "in",
            "ytick.major.size": 4.8,
            "ytick.minor.size": 3.2,
            "ytick.major.width": 0.6,
            "ytick.minor.width": 0.4,
        }
    )


def family(network: Architecture | str) -> Family:
    """An architecture without range and channels; of a sampler, or of an architecture that has no options, its name."""
    if isinstance(network, str):
        return network
    return network.name if network.depth is None else (network.name, network.depth)


def _one_of(others: Sequence[str], network: Architecture | str) -> str:
    """A colour or marker for what has none of its own."""
    return others[sum(map(ord, network if isinstance(network, str) else network.label)) % len(others)]


def colour(network: Architecture | str) -> str:
    """The architecture's colour, the same in every figure."""
    return COLOURS.get(family(network)) or _one_of(OTHER_COLOURS, network)


def marker(network: Architecture | str) -> str:
    """The architecture's marker, the same in every figure."""
    return MARKERS.get(family(network)) or _one_of(OTHER_MARKERS, network)


def shades(network: Architecture | str, count: int) -> list[tuple[float, float, float]]:
    """`count` shades of an architecture's colour, light to full."""
    full = np.array(to_rgb(colour(network)))
    weights = np.linspace(0.4, 1.0, count) if count > 1 else np.ones(count)
    return [(float(r), float(g), float(b)) for r, g, b in (1.0 - weights[:, None]) + weights[:, None] * full]


def name(network: Architecture | str) -> str:
    """An architecture, or a sampler, in words."""
    words = {"one_layer": "one layer", "two_layer": "two layers", "exact": "exact score"}
    words |= {"local_one_layer": "one local layer", "local_two_layer": "two local layers"}
    words |= {"metropolis": "Metropolis", "heat_bath": "heat bath", "langevin": "Langevin (MALA)", "hmc": "HMC"}
    words |= {"fourier_hmc": "HMC, Fourier accelerated", "wolff": "Wolff"}
    if isinstance(network, str):
        return words.get(network, network)
    if network.depth is not None:
        return f"{network.depth} layers"
    if network.range is None:
        return words.get(network.name, network.label)
    reach = f"{range_factor(network.range):g} ξ$_t$" if isinstance(network.range, str) else network.range
    return f"{words.get(network.name, network.name)}, R = {reach}"


def order(network: Architecture) -> tuple[Any, ...]:
    """What architectures are sorted by: name, depth, range, those that follow the score length last, channels."""
    follows = isinstance(network.range, str)
    reach = range_factor(network.range) if follows else network.range or 0
    return network.name, network.depth or 0, follows, reach, network.channels or 0


def runs(summary: xr.Dataset, **wanted: Any) -> pd.DataFrame:
    """The runs of a summary whose columns are as wanted; a list stands for any of its values. Sorted by size."""
    table = run_table(summary)
    for key, value in wanted.items():
        table = table[table[key].isin(value if isinstance(value, list | tuple) else [value])]
    return table.sort_values("size")


def generation_runs(summary: xr.Dataset, **wanted: Any) -> pd.DataFrame:
    """Runs of a summary of generation on the critical line, on the lattice they were trained on, with fresh fields."""
    table = runs(summary, mass_times_length=1.0, data_set=0, **wanted)
    return table[table["size"] == summary["trained_size"].values[table.index.to_numpy()]]


def laws_of(scaling: pd.DataFrame, run: Any, quantity: str, noise_level: float | None = None) -> pd.DataFrame:
    """The rows of a table of laws that are of a run of a summary, and of the others in its series.

    Args:
        scaling: of `csd fit`.
        run: a row of `runs`.
        quantity: that the laws are of.
        noise_level: at which; None for what has none.
    """
    of_run = {"study": "sweep", "architecture": "architecture", "mass": "mass_label", "data": "data"}
    found = scaling[(scaling["quantity"] == quantity) & (scaling["dimension"] == run["dimension"])]
    for column, own in of_run.items():
        found = found[found[column] == run[own]]
    return found if noise_level is None else found[found["noise_level"] == noise_level]


def grown(table: pd.DataFrame) -> pd.DataFrame:
    """Those runs of a table whose sweep has the same network at three sizes or more."""
    if table.empty:
        return table
    return table[table.groupby(["sweep", "network", "data_set"], sort=False)["size"].transform("nunique") >= 3]


def require(table: pd.DataFrame, figure: str, what: str) -> pd.DataFrame:
    """The table, if it holds anything.

    Raises:
        InputError: naming the figure and the runs that it needs.
    """
    if table.empty:
        raise InputError(f"figures: {figure!r} needs {what}; add such a sweep, or take it out of the list of figures")
    return table


def at_level(summary: xr.Dataset, level: float) -> xr.Dataset:
    """The summary at the noise level that figures show.

    Raises:
        InputError: if the study has no such level.
    """
    levels = summary["noise_level"].values
    if level not in levels:
        shown = ", ".join(f"{value:g}" for value in levels)
        raise InputError(f"figure_style.noise_level is {level:g}; the study has {shown}")
    return summary.sel(noise_level=level)


def seeds_run(summary: xr.Dataset) -> Any:
    """Whether each seed of each run was run, for a summary of training at one noise level; shape (runs, seeds)."""
    return np.isfinite(summary["score_error"].sel(step=0).transpose("run", "seed").values)


def thinned(steps: Any, shown: Any, per_decade: float = 8.0) -> Any:
    """Indices of at most `per_decade` points a decade of steps, out of those that are shown and after step 0."""
    points = np.flatnonzero(shown & (steps > 0))
    apart = np.round(per_decade * np.log10(steps[points]))
    return points[np.unique(apart, return_index=True)[1]]


def of_samples(runs: xr.Dataset, name: str) -> tuple[Any, Any]:
    """Mean over seeds of an observable of sampled fields and its error, the larger of scatter and jackknife.

    Args:
        runs: of a summary of generation.
        name: of the observable.

    Returns:
        Both of shape (runs,); NaN where the samples of a seed do not have it, such as ξ where S(0) < S(k₁).
    """
    values, own = runs[f"sampled_{name}"].values, runs[f"sampled_{name}_error"].values
    # χ has a value for each seed that was sampled.
    sampled = np.isfinite(runs["sampled_susceptibility"].values)
    mean, scatter = mean_over_seeds(values, ran=sampled)
    with np.errstate(invalid="ignore", divide="ignore"):
        return mean, np.maximum(scatter, np.sqrt((own**2).sum(axis=-1, where=sampled)) / sampled.sum(axis=-1))


def size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    """A logarithmic axis of lattice sizes, with the sizes themselves as ticks."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(sizes)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("size L (lattice spacings)")


@dataclass(frozen=True)
class DrawnLaw:
    """A fitted law as a line and as words: its points and its label in a legend."""

    sizes: Any
    times: Any
    label: str


def law(rows: pd.DataFrame, sizes: Any) -> DrawnLaw | None:
    """The law to draw over `sizes`, of the rows of a scaling table that belong to one series; None without a fit.

    The log law is drawn where the nested law's z is 0 within 0.1 at two errors, as a claim of a logarithm would hold;
    the nested law with its z where that has an error; and the power law where there is nothing else.
    """
    by_law = {str(row["law"]): row for _, row in rows.iterrows()}
    fine = np.geomspace(min(sizes), max(sizes), 100)
    nested = by_law.get("boxcox")
    if nested is not None:
        error = total_error(nested)
        if "log" in by_law and abs(nested["exponent"]) + 2.0 * error <= LOGARITHM:
            log = by_law["log"]
            times = log["intercept"] + log["exponent"] * np.log(fine)
            return DrawnLaw(fine, times, f"{parentheses(log['exponent'], log['error'])} ln L")
        if np.isfinite(error):
            times = nested["intercept"] + nested["slope"] * box_cox(np.log(fine), np.array(nested["exponent"]))
            return DrawnLaw(fine, times, f"z = {parentheses(nested['exponent'], error)}")
    power = by_law.get("power")
    if power is None:
        return None
    exponent = parentheses(power["exponent"], power["error"])
    return DrawnLaw(fine, np.exp(power["intercept"]) * fine ** power["exponent"], f"$L^{{{exponent}}}$")


def plot_times(
    axes: Axes, network: Architecture, sizes: Any, mean: Any, error: Any, predicted: Any, laws: pd.DataFrame
) -> None:
    """One architecture's times against size: points, dashed prediction, solid fit with its exponent in the legend."""
    shade, label = colour(network), name(network)
    drawn = law(laws, sizes)
    if drawn is not None:
        axes.plot(drawn.sizes, drawn.times, color=shade, zorder=2)
        label += f": {drawn.label}"
    axes.plot(sizes, predicted, color=shade, ls=DASHED, alpha=0.7, zorder=1)
    axes.errorbar(sizes, mean, error, fmt=marker(network), color=shade, mew=0, label=label, zorder=3)


def plot_curve(axes: Axes, steps: Any, measured: Any, predicted: Any, shade: Any, mark: str, label: str) -> None:
    """A learning curve: prediction as a line, mean over seeds as thinned points with standard errors.

    Step 0 has no place on a logarithmic axis. `measured` has shape (seeds, steps), `predicted` (steps,).
    """
    line = np.isfinite(predicted) & (steps > 0)
    axes.plot(steps[line], predicted[line], color=shade, zorder=2)
    mean, error = mean_over_seeds(measured, axis=0)
    points = thinned(steps, np.isfinite(mean))
    axes.errorbar(
        steps[points], mean[points], error[points], fmt=mark, ms=2.8, color=shade, mew=0, elinewidth=0.7, label=label
    )


def kinds(*, fit: bool = False) -> list[Line2D]:
    """Legend entries that say what is theory and what was trained."""
    trained = Line2D([], [], color="0.3", lw=0, marker="o", ms=4, label="trained, mean of seeds")
    if not fit:
        return [Line2D([], [], color="0.3", lw=1.1, label="theory"), trained]
    solid = Line2D([], [], color="0.3", lw=1.1, label="fit")
    return [solid, Line2D([], [], color="0.3", lw=1.1, ls=DASHED, label="theory, population loss"), trained]
