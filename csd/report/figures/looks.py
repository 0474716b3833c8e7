"""One look for all figures, seaborn's: its theme, its colour-blind palette, and panels of a tidy table.

An architecture has one colour and marker everywhere. Nothing here imports seaborn, pandas or xarray before something
is drawn: the workflow asks every figure what it needs, at each start.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.diffusion.criteria import CRITERIA, WORDS
from csd.networks import Architecture
from csd.networks.local import range_factor
from csd.study.config.study import FigureStyle as FigureStyle
from csd.study.config.study import Study as Study

# What figures take and make, for their signatures.
if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Figure
    from matplotlib.lines import Line2D as Line2D
    from pandas import DataFrame as DataFrame
    from pandas import Series as Series
    from seaborn import FacetGrid as FacetGrid
    from xarray import Dataset as Dataset
else:
    Axes = Axis = DataFrame = Dataset = FacetGrid = Figure = Line2D = Series = Any

Facts = dict[str, Any]
"""What a caption says of the data: values of the names in NAME.rst."""
Drawing = tuple[Figure, Facts]
"""A figure and the facts of its caption."""

COLUMN = 3.375
"""Width of one journal column, inches."""
PAGE = 7.0
"""Width of two, inches."""

INK = "0.15"
"""Grey of axes and words."""
INVERSE_LENGTH = r"sqrt($\hat{k}$² + m²) (inverse lattice spacings)"
"""Label of an axis of modes, k̂ as the lattice has it."""
DASHED = (0, (3, 2))
Look = dict[str, Any]
"""Arguments of matplotlib."""
APART = 0.08
"""Smallest distance of two labels beside a panel, in heights of it."""

COLOURS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9")
"""seaborn's palette `colorblind`, written out for pages that are made without seaborn."""
BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, PINK, GREY, YELLOW, SKY = COLOURS
WINE = "#882255"
INDIGO = "#332288"
Family = str | tuple[str, int]
"""Colour and marker depend on this: the name of an architecture, with its depth if it has one, or of a sampler."""
FAMILIES: dict[Family, tuple[str, str, str]] = {
    "exact": ("#000000", "x", "exact score"),
    "direct": ("#000000", "x", "direct sampling"),
    "one_layer": (BLUE, "o", "one layer"),
    "two_layer": (RED, "s", "two layers"),
    "local_one_layer": (SKY, "v", "one local layer"),
    "local_two_layer": (GREEN, "^", "two local layers"),
    ("deep_linear", 3): (PURPLE, "D", "3 layers"),
    ("deep_linear", 4): (ORANGE, "P", "4 layers"),
    ("deep_linear", 6): (BROWN, "X", "6 layers"),
    "multiscale": (GREY, ">", "multiscale"),
    "multiscale_blocks": (ORANGE, "<", "multiscale blocks"),
    "one_layer_onsite": (SKY, "v", "one layer, on-site units"),
    "two_layer_onsite": (PINK, "s", "two layers, on-site units"),
    "mean_field": (BROWN, "<", "mean field"),
    "fields_of_experts": (PURPLE, "D", "fields of experts"),
    "convolutional": (GREEN, "^", "convolutional"),
    "unet": (ORANGE, "P", "U-Net"),
    "wiener": (WINE, "X", "Wiener sandwich"),
    "local_polynomial": (INDIGO, "p", "local polynomial"),
    "metropolis": (GREY, "v", "Metropolis"),
    "heat_bath": (BROWN, "o", "heat bath"),
    "overrelaxation": (PINK, "s", "overrelaxation"),
    "langevin": (SKY, "P", "Langevin (MALA)"),
    "hmc": (ORANGE, "D", "HMC"),
    "fourier_hmc": (PURPLE, "^", "HMC, Fourier accelerated"),
    "wolff": (GREEN, "X", "Wolff"),
    **{name: (shade, mark, WORDS[name]) for name, shade, mark in zip(CRITERIA, COLOURS, "oDsv^", strict=False)},
}
"""Colour, marker and words of architectures and samplers, in the order of tables, and of criteria."""
MARKERS = "oDsv^Pp<>h"
"""For series that are no architectures, in turn with `COLOURS`: criteria, dimensions, masses."""
OTHERS = ((BROWN, "<"), (GREY, ">"), (PINK, "p"), (YELLOW, "h"))
"""Colours and markers of architectures that are in no table, by their labels."""


def apply(style: FigureStyle) -> None:
    """Set seaborn's theme for the figures that follow, with the font size of the study."""
    import matplotlib
    import seaborn

    # No window is opened.
    matplotlib.use("agg")
    seaborn.set_theme(
        context={name: size * style.font_size / 9.6 for name, size in seaborn.plotting_context("paper").items()},
        style="ticks",
        palette="colorblind",
        rc={
            "font.family": ["DejaVu Sans"],
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "lines.markersize": 4.0,
            "lines.markeredgewidth": 0.0,
            "lines.linewidth": 1.1,
            "pdf.fonttype": 42,
            "mathtext.default": "regular",
        },
    )


def subplots(rows: int, columns: int, *, height: float, width: float = PAGE, **options: Any) -> tuple[Figure, Any]:
    """A figure of so many inches with panels that differ in kind; options are those of `Figure.subplots`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def panels(
    table: DataFrame,
    *,
    hue: str = "network",
    colours: Mapping[Any, Any] | None = None,
    markers: Mapping[Any, str] | None = None,
    height: float,
    width: float = PAGE,
    **facets: Any,
) -> FacetGrid:
    """Panels of a tidy table, a colour and a marker for each value of the column `hue`.

    Draw with `onto(grid, points, …)` and `onto(grid, curve, …)`.

    Args:
        table: a row for each point, with the columns that are drawn and those of `hue` and `facets`.
        hue: column whose values differ in colour and marker, in order of appearance; by default the architecture.
        colours: of each value of `hue`; by default those in `FAMILIES`, or `COLOURS` in turn.
        markers: of each value of `hue`; by default those in `FAMILIES`, or `MARKERS` in turn.
        height: of the figure, inches.
        width: of the figure, inches.
        facets: `col`, `row`, `sharey` and further arguments of `seaborn.FacetGrid`.
    """
    import seaborn

    levels = list(dict.fromkeys(table[hue]))
    networks = dict(zip(table[hue], table["network" if hue == "series" else hue], strict=True))
    if all(isinstance(one, Architecture) or one in FAMILIES for one in networks.values()):
        colours = colours or {level: colour(one) for level, one in networks.items()}
        markers = markers or {level: marker(one) for level, one in networks.items()}
    colours = colours or dict(zip(levels, COLOURS, strict=False))
    markers = markers or dict(zip(levels, MARKERS, strict=False))
    looks = {"marker": [markers[level] for level in levels]}
    grid = seaborn.FacetGrid(table, hue=hue, hue_order=levels, palette=dict(colours), hue_kws=looks, **facets)
    grid.figure.set_size_inches(width, height)
    grid.figure.set_layout_engine("constrained")
    filled = {grid.facet_axis(*place[:2], modify_state=False) for place, own in grid.facet_data() if len(own)}
    for empty in [which for which, axes in grid.axes_dict.items() if axes not in filled]:
        grid.axes_dict.pop(empty).remove()
    return grid


def onto(grid: FacetGrid, draw: Callable[..., None], *columns: str, **look: Any) -> None:
    """Draw columns of a grid's table, by `points` or `curve`, in each panel and in each colour and marker.

    seaborn's own `map_dataframe` lays the whole figure out again after each call.
    """
    for (row, column, hue), rows in grid.facet_data():
        if len(rows):
            own = {"color": grid._colors[hue], "marker": grid.hue_kws["marker"][hue]}
            draw(grid.facet_axis(row, column, modify_state=False), rows, *columns, **own | look)


def points(axes: Axes, table: DataFrame, x: str, y: str, error: str, **look: Any) -> None:
    """Measured values with their errors.

    On a logarithmic axis an error as large as its value goes down by the factor that it goes up, and stays on the axis.

    Args:
        axes: to draw on.
        table: the points; those without a value are left out.
        x: column of the places.
        y: column of the values.
        error: column of their errors.
        look: of matplotlib's `errorbar`.
    """
    shown = table[np.isfinite(table[y])]
    up = shown[error].fillna(0.0)
    down = up if axes.get_yscale() == "linear" else up.where(up < shown[y], shown[y] * up / (shown[y] + up))
    bars: Look = {"ls": "none", "elinewidth": 0.8, "zorder": 3}
    axes.errorbar(shown[x], shown[y], (down, up), **bars | look)


def curve(axes: Axes, table: DataFrame, x: str, y: str, **look: Any) -> None:
    """A line through the values that there are; arguments as those of `points`, looks are those of `plot`."""
    shown = table[np.isfinite(table[y])]
    axes.plot(shown[x], shown[y], **look | {"marker": "none"})


def network_keys(networks: Iterable[Architecture | str]) -> list[Line2D]:
    """Entries of a legend, one for each architecture, sampler or criterion, whatever its range and channels."""
    families = {family(one): one for one in networks}
    return [
        key(FAMILIES[of][2] if of in FAMILIES else name(one), color=colour(one), marker=marker(one), lw=0)
        for of, one in families.items()
    ]


def end_labels(axes: Axes, ends: Sequence[tuple[float, str, Any]]) -> None:
    """Words on the right of a panel, each at the height where its line ends, moved apart where they would overlap.

    Args:
        axes: of the panel, whose limits are final.
        ends: value on the y axis, words, colour.
    """
    low, high = axes.get_ylim()
    scale = np.log if axes.get_yscale() == "log" else np.asarray
    bottom, top = scale(low), scale(high)
    places = sorted((float((scale(value) - bottom) / (top - bottom)), words, shade) for value, words, shade in ends)
    heights = np.array([height for height, _, _ in places])
    # The two that overlap most give way, and so on until none do; a few labels take a few turns.
    for _ in range(100):
        gaps = np.diff(heights)
        if not len(gaps) or gaps.min() > 0.99 * APART:
            break
        place = int(gaps.argmin())
        heights[place : place + 2] += 0.5 * (APART - gaps[place]) * np.array([-1.0, 1.0])
    heights += max(0.0, -heights.min(initial=0.0))
    for height, (_, words, shade) in zip(heights, places, strict=True):
        axes.annotate(words, (1.02, height), xycoords="axes fraction", va="center", color=shade, fontsize="small")


def family(network: Architecture | str) -> Family:
    """An architecture without range and channels; of a sampler, or of an architecture that has no options, its name."""
    if isinstance(network, str):
        return network
    return (network.name, network.depth) if network.name == "deep_linear" else network.name


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
    weights = np.linspace(0.35, 1.0, count) if count > 1 else np.ones(count)
    return [(float(r), float(g), float(b)) for r, g, b in (1.0 - weights[:, None]) + weights[:, None] * full]


def name(network: Architecture | str) -> str:
    """An architecture, or a sampler, in words."""
    if isinstance(network, str):
        return FAMILIES[network][2] if network in FAMILIES else network
    if network.name == "deep_linear":
        return f"{network.depth} layers"
    if network.range is None:
        if network.name not in FAMILIES:
            return network.label
        options = [f"{option.replace('_', ' ')} {getattr(network, option)}" for option in network.labels()]
        return ", ".join([name(network.name), *options])
    reach = f"{range_factor(network.range):g} ξ$_t$" if isinstance(network.range, str) else network.range
    return f"{name(network.name)}, R = {reach}"


def in_caption(words: str) -> str:
    """Words of a figure with the sub- and superscripts of reStructuredText in place of those of matplotlib."""
    return words.replace("$^z$", "\\ :sup:`z`").replace("$_4$", "\\ :sub:`4`").replace("$_t$", "ₜ")


def title(run: Any) -> str:
    """A run of a table in words: network, dimension, size."""
    return f"{name(run['network'])}, d = {run['dimension']}, L = {run['size']}"


def size_axis(axes: Axes, sizes: Iterable[int], apart: float = 1.4) -> None:
    """A logarithmic axis of lattice sizes, with sizes as ticks; of those closer than a factor `apart` the smaller."""
    axes.set_xscale("log", base=2)
    ticks: list[int] = []
    for size in sorted(set(sizes)):
        if not ticks or size >= apart * ticks[-1] or len(set(sizes)) < 4:
            ticks.append(size)
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.minorticks_off()
    axes.set_xlabel("size L (lattice spacings)")


def spectrum_axes(axes: Axes, title: str) -> None:
    """Axes of spectra of what is generated over the exact ones, with a line where both are equal."""
    line_at_one(axes)
    axes.set(xscale="log", yscale="log", title=title, xlabel=INVERSE_LENGTH)
    ticks_within_a_decade(axes.xaxis)
    ticks_within_a_decade(axes.yaxis)


def line_at_one(axes: Axes) -> None:
    """A grey line where a ratio is 1."""
    axes.axhline(1.0, color="0.6", lw=0.6, zorder=0)


def key(label: str, **look: Any) -> Line2D:
    """An entry of a legend that belongs to no single line: a grey line, or what `look` makes of it."""
    from matplotlib.lines import Line2D as Line2D

    return Line2D([], [], label=label, **{"color": "0.3"} | look)


def kinds(line: str = "theory", points: str = "trained, mean of seeds", *, size: float = 4.0) -> list[Line2D]:
    """Legend entries that say what lines and points are."""
    return [key(line), key(points, lw=0, marker="o", ms=size)]


def kinds_with_fit() -> list[Line2D]:
    """The same where theory is dashed and fits are lines."""
    return [*kinds("fit"), key("theory, population loss", ls=DASHED)]


def legend_below(figure: Figure, entries: Sequence[Line2D], columns: int = 4) -> None:
    """One legend for all panels, below them."""
    figure.legend(handles=list(entries), loc="outside lower center", ncols=columns, columnspacing=1.4)


def size_axes(grid: FacetGrid, table: DataFrame, apart: float = 1.4) -> None:
    """An axis of lattice sizes for each panel of a grid, with its label below the lowest panels alone.

    Args:
        grid: of `panels`.
        table: the points that are drawn.
        apart: factor between two ticks, at least.
    """
    facets = [column for column in (grid._row_var, grid._col_var) if column]
    for which, own in table.groupby(facets, sort=False):
        size_axis(grid.axes_dict[which if len(facets) > 1 else which[0]], own["size"], apart)
    for axes in grid._not_bottom_axes:
        axes.set_xlabel("")


def ticks_within_a_decade(axis: Axis) -> None:
    """Ticks at 1, 2, 5, … on a logarithmic axis that spans so little that powers of ten would be one tick or none."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = axis.get_view_interval()
    if high < 30.0 * low:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high > 6.0 * low else (1.0, 1.5, 2.0, 3.0, 5.0)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())


def shaded(table: DataFrame, by: str, **facets: Any) -> FacetGrid:
    """Panels with shades of the architecture's colour for values of a column, the darker the larger.

    Args:
        table: as that of `panels`, with the column `network`.
        by: column of numbers.
        facets: further arguments of `panels`.
    """
    levels = sorted(set(table[by]))
    names = [f"{name(network)} {level}" for network, level in zip(table["network"], table[by], strict=True)]
    shown = dict(zip(names, zip(table["network"], table[by], strict=True), strict=True))
    colours = {words: shades(network, len(levels))[levels.index(level)] for words, (network, level) in shown.items()}
    markers = {words: marker(network) for words, (network, _) in shown.items()}
    return panels(table.assign(shade=names), hue="shade", colours=colours, markers=markers, **facets)


def shade_keys(values: Iterable[Any], words: str) -> list[Line2D]:
    """Entries of a legend for the shades of `shaded`, in grey; `words` has the value in braces: 'L = {}'."""
    levels = sorted(set(values))
    greys = zip(levels, shades("exact", len(levels)), strict=True)
    return [key(words.format(level), color=grey, lw=4) for level, grey in greys]


def scaled(axes: Axes, values: Any) -> None:
    """A logarithmic y axis for values that span more than a decade, else a linear one."""
    axes.set_yscale("log" if np.nanmax(values) > 10.0 * np.nanmin(values) else "linear")


def hue_keys(grid: FacetGrid) -> list[Line2D]:
    """Entries of a legend for the values of a grid's hue."""
    looks = zip(grid.hue_names, grid._colors, grid.hue_kws["marker"], strict=True)
    return [key(str(words), color=shade, marker=mark, lw=0) for words, shade, mark in looks]
