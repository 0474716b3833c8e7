"""One look for all figures: widths, fonts, a colour and marker for each architecture, and what several draw alike.

Colours are those of Okabe and Ito, which colour-blind readers tell apart; markers differ too. Nothing here imports
matplotlib, pandas or xarray before something is drawn: the workflow asks every figure what it needs, at each start.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.networks import Architecture
from csd.networks.local import range_factor
from csd.study.config.study import FigureStyle as FigureStyle
from csd.study.config.study import Study as Study
from csd.study.seeds import mean_over_seeds

# What figures take and make, for their signatures.
if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure
    from matplotlib.lines import Line2D
    from pandas import DataFrame as DataFrame
    from pandas import Series as Series
    from xarray import Dataset as Dataset
else:
    Axes = DataFrame = Dataset = Figure = Line2D = Series = Any

COLUMN = 3.375
"""Width of one journal column, inches."""
PAGE = 7.0
"""Width of two, inches."""

INK = "0.15"
"""Grey of axes and words."""
DASHED = (0, (3, 2))
Look = dict[str, Any]
"""Arguments of matplotlib."""
OVER_LINES: Look = {"frameon": True, "framealpha": 1.0, "facecolor": "white", "edgecolor": "none"}
"""For a legend that a reference line runs behind."""

Family = str | tuple[str, int]
"""What colour and marker depend on: the name of an architecture, with its depth if it has one, or of a sampler."""
FAMILIES: dict[Family, tuple[str, str, str]] = {
    "exact": ("#000000", "x", "exact score"),
    "direct": ("#000000", "x", "direct sampling"),
    "one_layer": ("#0072B2", "o", "one layer"),
    "two_layer": ("#D55E00", "s", "two layers"),
    "local_one_layer": ("#56B4E9", "v", "one local layer"),
    "local_two_layer": ("#009E73", "^", "two local layers"),
    ("deep_linear", 3): ("#CC79A7", "D", "3 layers"),
    ("deep_linear", 4): ("#E69F00", "P", "4 layers"),
    ("deep_linear", 6): ("#7B5EA7", "X", "6 layers"),
    "metropolis": ("#999999", "v", "Metropolis"),
    "heat_bath": ("#882255", "o", "heat bath"),
    "overrelaxation": ("#CC79A7", "s", "overrelaxation"),
    "langevin": ("#8C6D31", "P", "Langevin (MALA)"),
    "hmc": ("#E69F00", "D", "HMC"),
    "fourier_hmc": ("#7B5EA7", "^", "HMC, Fourier accelerated"),
    "wolff": ("#009E73", "X", "Wolff"),
}
"""Colour, marker and words, in the order of tables."""
NO_ARCHITECTURE = ("#332288", "#882255", "#117733", "#999933", "#AA4499")
"""Of what is no architecture: criteria, dimensions, masses. From Paul Tol's muted scheme, for the colour-blind too."""
OTHERS = (("#8C6D31", "<"), ("#555555", ">"), ("#B07AA1", "p"), ("#4E79A7", "h"))
"""Colours and markers of what is in no table, by its name."""


def apply(style: FigureStyle) -> None:
    """Set the look for the figures that follow."""
    import matplotlib

    # For who draws by pyplot: no window is opened.
    matplotlib.use("agg")
    small = 0.85 * style.font_size
    ticks = {"color": INK, "labelsize": small, "direction": "in"}
    ticks |= {"major.size": 4.8, "minor.size": 3.2, "major.width": 0.6, "minor.width": 0.4}
    settings: Any = {f"{axis}tick.{name}": value for axis in "xy" for name, value in ticks.items()}
    settings |= {
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
    }
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(settings)


def empty_figure(height: float, width: float = PAGE) -> Figure:
    """A figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def subplots(rows: int, columns: int, *, height: float, width: float = PAGE, **options: Any) -> tuple[Figure, Any]:
    """The same with a grid of panels; options are those of `matplotlib.figure.Figure.subplots`."""
    figure = empty_figure(height, width)
    return figure, figure.subplots(rows, columns, **options)


def family(network: Architecture | str) -> Family:
    """An architecture without range and channels; of a sampler, or of an architecture that has no options, its name."""
    if isinstance(network, str):
        return network
    return network.name if network.depth is None else (network.name, network.depth)


def colour(network: Architecture | str) -> str:
    """The architecture's colour, the same in every figure."""
    return _colour_and_marker(network)[0]


def marker(network: Architecture | str) -> str:
    """The architecture's marker, the same in every figure."""
    return _colour_and_marker(network)[1]


def _colour_and_marker(network: Architecture | str) -> tuple[str, ...]:
    label = network if isinstance(network, str) else network.label
    return FAMILIES.get(family(network)) or OTHERS[sum(map(ord, label)) % len(OTHERS)]


def shades(network: Architecture | str, count: int) -> list[tuple[float, float, float]]:
    """`count` shades of an architecture's colour, light to full."""
    from matplotlib.colors import to_rgb

    full = np.array(to_rgb(colour(network)))
    weights = np.linspace(0.4, 1.0, count) if count > 1 else np.ones(count)
    return [(float(r), float(g), float(b)) for r, g, b in (1.0 - weights[:, None]) + weights[:, None] * full]


def name(network: Architecture | str) -> str:
    """An architecture, or a sampler, in words."""
    if isinstance(network, str):
        return FAMILIES[network][2] if network in FAMILIES else network
    if network.depth is not None:
        return f"{network.depth} layers"
    if network.range is None:
        return name(network.name) if network.name in FAMILIES else network.label
    reach = f"{range_factor(network.range):g} ξ$_t$" if isinstance(network.range, str) else network.range
    return f"{name(network.name)}, R = {reach}"


def order(network: Architecture) -> tuple[Any, ...]:
    """What architectures are sorted by: name, depth, range, those that follow the score length last, channels."""
    follows = isinstance(network.range, str)
    reach = range_factor(network.range) if follows else network.range or 0
    return network.name, network.depth or 0, follows, reach, network.channels or 0


def title(run: Any) -> str:
    """A run of a table in words: network, dimension, size."""
    return f"{name(run['network'])}, d = {run['dimension']}, L = {run['size']}"


def size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    """A logarithmic axis of lattice sizes, with the sizes themselves as ticks."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(sizes)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.minorticks_off()
    axes.set_xlabel("size L (lattice spacings)")


def spectrum_axes(axes: Axes, title: str) -> None:
    """Axes of spectra of what is generated over the exact ones, with a line where both are equal."""
    axes.axhline(1.0, color="0.6", lw=0.6, zorder=0)
    axes.set(xscale="log", yscale="log", title=title, xlabel="sqrt(k² + m²) (inverse lattice spacings)")


def field_picture(axes: Axes, field: Any, scale: float) -> None:
    """A field in two dimensions, its values from −scale to scale as colours."""
    axes.imshow(field, cmap="cividis", vmin=-scale, vmax=scale, origin="lower", interpolation="nearest")


def plot_law(axes: Axes, law: Any, shade: str, label: str) -> str:
    """The fitted law as a line, where there is one; the label of its points, with the law in words."""
    if law is None:
        return label
    axes.plot(law.sizes, law.times, color=shade, zorder=2)
    return f"{label}: {law.label}"


def points(axes: Axes, x: Any, mean: Any, error: Any, shade: Any, mark: str, **look: Any) -> None:
    """Measured values as markers with errors; further looks are those of `errorbar`."""
    axes.errorbar(x, mean, error, color=shade, fmt=mark, **{"mew": 0} | look)


def thinned(steps: Any, shown: Any, per_decade: float = 8.0) -> Any:
    """Indices of at most `per_decade` points a decade of steps, out of those that are shown and after step 0."""
    points = np.flatnonzero(shown & (steps > 0))
    apart = np.round(per_decade * np.log10(steps[points]))
    return points[np.unique(apart, return_index=True)[1]]


def plot_curve(
    axes: Axes, steps: Any, measured: Any, shade: Any, mark: str, label: str, *, size: float = 2.8, dense: float = 8.0
) -> None:
    """A learning curve: mean over seeds as thinned points with standard errors; `measured` has shape (seeds, steps).

    Step 0 has no place on a logarithmic axis.
    """
    mean, error = mean_over_seeds(measured, axis=0)
    shown = thinned(steps, np.isfinite(mean), dense)
    points(axes, steps[shown], mean[shown], error[shown], shade, mark, ms=size, elinewidth=0.7, label=label)


def plot_theory(axes: Axes, steps: Any, predicted: Any, shade: Any, **look: Any) -> None:
    """What theory says of a learning curve as a line; `predicted` has shape (steps,)."""
    line = np.isfinite(predicted) & (steps > 0)
    axes.plot(steps[line], predicted[line], color=shade, **look)


def plot_data_sets(axes: Axes, runs: Dataset, own: DataFrame, quantity: str, marks: str, **look: Any) -> None:
    """Learning from fixed data sets: a curve for each number M of fields, and theory for infinitely many.

    Args:
        axes: of one network.
        runs: a summary, at one noise level if it is of training.
        own: the network's runs.
        quantity: that is learned.
        marks: a marker for each M, from the first again where there are more.
        look: of `plot_curve`.
    """
    own = own.sort_values("data_set")
    marks = marks * len(own)
    network = own["network"].iloc[0]
    for shade, mark, (run, row) in zip(shades(network, len(own)), marks, own.iterrows(), strict=False):
        at = runs.isel(run=run)
        plot_curve(axes, at["step"].values, at[quantity].values, shade, mark, f"M = {row['data_set']}", **look)
    predicted = at[f"predicted_{quantity}"]
    if "seed" in predicted.dims:
        predicted = mean_over_seeds(predicted.values, axis=0)[0]
    plot_theory(axes, at["step"].values, np.asarray(predicted), "0.2", zorder=1, label="theory, M = ∞")
    axes.set(xscale="log", yscale="log", xlabel="training step (steps)", title=title(own.iloc[0]))


def key(label: str, **look: Any) -> Line2D:
    """An entry of a legend that belongs to no single line: a grey line, or what `look` makes of it."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **{"color": "0.3"} | look)


def kinds(line: str = "theory", points: str = "trained, mean of seeds", *, size: float = 4.0) -> list[Line2D]:
    """Legend entries that say what lines and points are."""
    return [key(line), key(points, lw=0, marker="o", ms=size)]


def kinds_with_fit() -> list[Line2D]:
    """The same where theory is dashed and fits are lines."""
    fit, trained = kinds("fit")
    return [fit, key("theory, population loss", ls=DASHED), trained]


def legend_beside(axes: Axes, **look: Any) -> None:
    """A legend on the right of a panel."""
    look = {"handlelength": 1.2, "labelspacing": 0.3} | look
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), **look)
