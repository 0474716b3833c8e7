"""Runs that a figure shows: chosen from a summary, with their times, and the law fitted to a series of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.networks import Architecture
from csd.networks.local import range_factor
from csd.report.figures import looks
from csd.report.figures.looks import DataFrame, Dataset, FacetGrid
from csd.report.figures.needs import SCORED, Choice
from csd.study.rounding import parentheses
from csd.study.seeds import mean_over_seeds, mean_with_errors, total_error

LOGARITHM = 0.1
"""|z| of the nested law up to which a fit is drawn as a logarithm."""
SPINS = {1: "Ising", 2: "XY", 3: "Heisenberg"}
DETERMINED = 0.5
"""Largest error of an exponent with which its law is drawn: a larger one tells no law from another."""


def runs(summary: Dataset, wanted: Choice) -> DataFrame:
    """The runs of a summary that a figure shows, as its choice among them (`csd.report.figures.needs`) orders them."""
    from csd.study.summaries.columns import run_table

    table = run_table(summary)
    if getattr(wanted, "kernel", False) and "kl_per_site" in summary:
        # Of user-defined networks it is not known before.
        recursion = np.isfinite(summary["kl_per_site"].transpose("run", ...).values).reshape(len(table), -1).any(axis=1)
        summary, table = summary.isel(run=recursion), table[recursion]
    further: dict[str, Any] = {"row": range(len(table))}
    if "trained_size" in summary:
        further["trained_size"] = summary["trained_size"].values
    if "score_error" in summary and "noise_level" in summary.dims:
        levels = summary["noise_level"].values
        further["noise_levels"] = [levels[one].tolist() for one in _trained(summary)]
    if "exact_score_error" in summary:
        scored = np.isfinite(summary["exact_score_error"].transpose("run", ...).values)
        further[SCORED] = scored.reshape(len(table), -1).any(axis=1)
    return table.iloc[[run["row"] for run in wanted(table.assign(**further).to_dict("records"))]]


def _trained(summary: Dataset) -> Any:
    """Which runs of a summary of training were trained, at which of its noise levels."""
    error = summary["score_error"].sel(step=0)
    return np.isfinite(error.transpose("run", ..., "seed").values).any(axis=-1)


def in_plane(table: DataFrame) -> DataFrame:
    """The runs in two dimensions, or in the lowest there is."""
    return table[table["dimension"] == (2 if (table["dimension"] == 2).any() else table["dimension"].min())]


def laws_of(scaling: DataFrame, run: Any, quantity: str, noise_level: float | None = None) -> DataFrame:
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


def require(table: DataFrame, figure: str, what: str) -> DataFrame:
    """The table, if it holds anything.

    Raises:
        InputError: naming the figure and the runs that it needs.
    """
    if table.empty:
        raise lacking(figure, what)
    return table


def lacking(figure: str, what: str) -> InputError:
    """The error for a figure that has nothing to show in a study."""
    return InputError(f"figures: {figure!r} needs {what}; add that, or take it out of the list of figures")


def at_level(summary: Dataset, level: float) -> Dataset:
    """The runs of a summary that were trained at the noise level that figures show.

    Raises:
        InputError: if the study has no such level.
    """
    levels = summary["noise_level"].values
    if level not in levels:
        shown = ", ".join(f"{value:g}" for value in levels)
        raise InputError(f"figure_style.noise_level is {level:g}; the study has {shown}")
    at = summary.sel(noise_level=level)
    return at.isel(run=_trained(at))


def with_times(level: Dataset, table: DataFrame, quantity: str = "training_time") -> DataFrame:
    """The runs with means over seeds of a time, in the columns `time`, `error` and `theory`.

    Args:
        level: a summary of training at one noise level.
        table: the runs, of `runs`.
        quantity: the time.
    """
    chosen = level.isel(run=table.index.to_numpy())
    ran = np.isfinite(chosen["score_error"].sel(step=0).transpose("run", "seed").values)
    mean, error = mean_over_seeds(chosen[quantity].values, ran=ran)
    theory, _ = mean_over_seeds(chosen[f"predicted_{quantity}"].values, ran=ran)
    return table.assign(time=mean, error=error, theory=theory)


def learning_curves(runs: Dataset, table: DataFrame, quantity: str, per_decade: float = 8.0) -> DataFrame:
    """A row for each run and step: mean over seeds in the column of the quantity, `error`, and `theory`, if any.

    Step 0, which has no place on a logarithmic axis, is left out, and means are at most `per_decade` a decade.

    Args:
        runs: a summary, at one noise level if it is of training.
        table: the runs, of `runs`; their columns are repeated at every step.
        quantity: shown against training step.
        per_decade: means a decade of steps.
    """
    import pandas as pd

    rows = []
    for run, row in table.iterrows():
        at = runs.isel(run=run)
        steps = at["step"].values
        predicted = at.get(f"predicted_{quantity}", at["step"] * np.nan)
        theory = mean_over_seeds(predicted.values, axis=0)[0] if "seed" in predicted.dims else predicted.values
        mean, error = mean_over_seeds(at[quantity].values, axis=0)
        shown = np.isin(np.arange(len(steps)), thinned(steps, np.isfinite(mean), per_decade))
        one = pd.DataFrame({"step": steps, quantity: np.where(shown, mean, np.nan), "error": error, "theory": theory})
        rows.append(one[steps > 0].assign(run=run, **row))
    return pd.concat(rows, ignore_index=True)


def inverse_length(run: Dataset) -> tuple[Any, Any]:
    """Which bins of a run of generation hold modes, and sqrt(k² + m²) of each: the zero mode has its place at m."""
    bins = np.isfinite(run["wavenumber"].values)
    return bins, np.sqrt(run["wavenumber"].values[bins] ** 2 + float(run["mass"]) ** 2)


def steps_of_all_seeds(run: Dataset) -> Any:
    """Places of the steps at which every seed of a run of generation has a spectrum."""
    return np.flatnonzero(np.isfinite(mean_over_seeds(run["generated_spectrum"].values[:, :, 0], axis=0)[0]))


def spectrum(run: Dataset, place: int) -> DataFrame:
    """Spectra of a run of generation over the exact one, means over seeds: a row for each wavenumber, at its `length`.

    Args:
        run: of a summary of generation.
        place: of the step of the column `generated`, the exact recursion of the trained kernels; `sampled`, of sampled
            fields, with its `error`, is of the last step.
    """
    import pandas as pd

    bins, length = inverse_length(run)
    exact = run["exact_spectrum"].values[bins]
    generated, _ = mean_over_seeds(run["generated_spectrum"].values[:, place, bins], axis=0)
    values, own = (run[name].values[:, bins].T for name in ("power_spectrum", "power_spectrum_error"))
    sampled, error = mean_with_errors(values, own, np.isfinite(values))
    columns = {"generated": generated / exact, "sampled": sampled / exact, "error": error / exact}
    return pd.DataFrame(columns).assign(length=length)


def in_order(table: DataFrame, names: Sequence[str]) -> DataFrame:
    """The runs sorted by architecture, as in `names` and by their options, then by size."""
    ordered = sorted(set(table["network"]), key=lambda network: (names.index(network.name), order(network)))
    return table.assign(place=table["network"].map(ordered.index)).sort_values(["dimension", "place", "size"])


def joined(*tables: DataFrame) -> DataFrame:
    """The rows of all tables in one, with the columns of those without rows too."""
    import pandas as pd

    filled = [table for table in tables if not table.empty] or list(tables[:1])
    columns = dict.fromkeys(column for table in tables for column in table)
    return pd.concat(filled, ignore_index=True).reindex(columns=list(columns))


@dataclass(frozen=True)
class DrawnLaw:
    """A fitted law as a line and as words: its points and its label in a legend."""

    sizes: Any
    times: Any
    label: str


def law(rows: DataFrame, sizes: Any) -> DrawnLaw | None:
    """The law to draw over `sizes`, of the rows of a scaling table that belong to one series; None without a fit.

    The log law is drawn where the nested law's z is 0 within 0.1 at two errors, as a claim of a logarithm would hold;
    the nested law with its z where that has an error; and the power law where there is nothing else. An exponent whose
    error exceeds 0.5 is not determined, and None is returned.
    """
    from csd.study.nested_law import box_cox

    by_law = {str(row["law"]): row for _, row in rows.iterrows()}
    fine = np.geomspace(min(sizes), max(sizes), 100)
    nested = by_law.get("boxcox")
    if nested is not None:
        error = total_error(nested)
        if "log" in by_law and abs(nested["exponent"]) + 2.0 * error <= LOGARITHM:
            log = by_law["log"]
            times = log["intercept"] + log["exponent"] * np.log(fine)
            return DrawnLaw(fine, times, f"{parentheses(log['exponent'], log['error'])} ln L")
        if error > DETERMINED:
            return None
        if np.isfinite(error):
            times = nested["intercept"] + nested["slope"] * box_cox(np.log(fine), np.array(nested["exponent"]))
            return DrawnLaw(fine, times, f"z = {parentheses(nested['exponent'], error)}".replace("-", "−"))
    power = by_law.get("power")
    if power is None or power["error"] > DETERMINED:
        return None
    return DrawnLaw(fine, np.exp(power["intercept"]) * fine ** power["exponent"], power_in_words(power))


def power_in_words(law: Any, factor: str = "") -> str:
    """A power law as words of a figure, 'L^z, z = 1.93(4)': an exponent with its error is too small to read.

    Args:
        law: row of a scaling table.
        factor: what the power is multiplied by.
    """
    return f"∝ L$^z$ {factor}".rstrip() + f", z = {parentheses(law['exponent'], law['error'])}".replace("-", "−")


def fits(
    table: DataFrame,
    scaling: DataFrame,
    quantity: str,
    noise_level: float | None = None,
    *apart: str,
    law: Callable[[DataFrame, Any], DrawnLaw | None] = law,
) -> DataFrame:
    """The law to draw for each architecture and dimension, where there is one: rows with `size`, `fit` and `law`.

    Args:
        table: the runs, with the columns of `runs`.
        scaling: of `csd fit`.
        quantity: the time that was fitted.
        noise_level: at which; None for what has none.
        apart: further columns whose values have a law of their own, such as `criterion`.
        law: chooses the law of a series out of its rows.
    """
    import pandas as pd

    by = ["dimension", "network", *apart]
    found = [pd.DataFrame(columns=[*by, "size", "fit", "law"])]
    for _, own in table.groupby(by, sort=False):
        first = own.iloc[0]
        rows = laws_of(scaling, first, quantity, noise_level)
        for column in set(apart) & set(rows):
            rows = rows[rows[column] == first[column]]
        if (drawn := law(rows, own["size"])) is not None:
            line = {"size": drawn.sizes, "fit": drawn.times, "law": drawn.label}
            found.append(pd.DataFrame(line).assign(**first[by]))
    return joined(*found)


def draw_times(grid: FacetGrid) -> None:
    """Draw training times against size: points with errors, solid fits, dashed theory; columns of `with_times`."""
    grid.set(yscale="log")
    looks.onto(grid, looks.curve, "size", "fit")
    looks.onto(grid, looks.curve, "size", "theory", ls=looks.DASHED, alpha=0.7, zorder=1)
    looks.onto(grid, looks.points, "size", "time", "error")


def law_ends(fits: DataFrame, hue: str = "network") -> list[tuple[float, str, str]]:
    """What stands at the end of each fitted line of a panel: its height, the law in words, its colour."""
    ends = fits.groupby(hue, sort=False).tail(1)
    return [(row["fit"], row["law"], looks.colour(row[hue])) for _, row in ends.iterrows()]


def told(fits: DataFrame) -> str:
    """The fitted laws as words of a caption: 'in d = 1 one layer z = 2.00(1), two layers 4.5(1) ln L; in d = 2 …'."""
    ends = fits.groupby(["dimension", "network"], sort=False).tail(1)
    laws = "; ".join(
        f"in d = {dimension} " + ", ".join(f"{looks.name(row['network'])} {row['law']}" for _, row in own.iterrows())
        for dimension, own in ends.groupby("dimension")
    )
    return looks.in_caption(laws) or "no law is fitted"


def unfitted(table: DataFrame, fits: DataFrame) -> str:
    """A sentence of a caption that names the series for which no law is drawn; empty where all have one."""
    fitted = set(zip(fits["dimension"], fits["network"], strict=True))
    without = [
        pair for pair in dict.fromkeys(zip(table["dimension"], table["network"], strict=True)) if pair not in fitted
    ]
    words = looks.in_caption(", ".join(f"{looks.name(network)} in d = {dimension}" for dimension, network in without))
    return f" Not fitted, or z not determined within ±{DETERMINED:g}: {words}." if words else ""


def short(value: float) -> str:
    """A number without an error in words: '0.97', '1.0', '3,970'."""
    return f"{value:#.2g}" if value < 10.0 else f"{value:,.0f}"


def target_title(run: Any) -> str:
    """The target of a run of Monte Carlo, or of scores, in words."""
    dimension, components = run["dimension"], run["components"]
    if run["target"] == "spins":
        return f"{SPINS.get(components, f'O({components}) spins')}, d = {dimension}\nβ = {run['beta']:.6g}"
    known = {"gaussian": "Gaussian", "two_phase": "two phases", "phi4": "φ⁴"}
    words = known.get(run["target"], run["target"].rpartition(":")[2])
    of = "" if components in (0, 1) else f", n = {components}"
    mass = "m = 1/L" if run["mass_times_length"] == 1.0 else run["target_label"]
    if run["target"] == "two_phase":
        mass = f"m = {run['mass']:g}, M = {run['magnetisation']:g}"
    if np.isfinite(run["r0"]):
        mass = f"r₀ = {run['r0']:.6g}, u = {run['u']:.6g}".replace("-", "−")
    return f"{words}, d = {dimension}{of}\n{mass}"


def span(values: Any) -> str:
    """The range of some numbers in words: '1.0 to 1.3', or '1.0' where the ends look alike."""
    return " to ".join(dict.fromkeys((short(min(values)), short(max(values)))))


def told_apart(table: DataFrame) -> DataFrame:
    """The runs with a column `series`: the network in words, and the sweep and data where runs of one size differ."""
    words = table["network"].map(looks.name)
    for column in ("sweep", "data"):
        place = [words, table["dimension"], table["size"], table["data_set"]]
        apart = words.isin(words[table.groupby(place)[column].transform("nunique") > 1])
        words = words.where(~apart, words + ", " + table[column])
    return table.assign(series=words)


def from_to(table: DataFrame, at: str = "size", symbol: str = "L", unit: str = "") -> str:
    """Times of each series at both ends of a column in words: 'one layer 272(1) at L = 8 and 1084(3) at L = 16'."""
    told = []
    for words, own in table.dropna(subset="time").sort_values(at).groupby("series", sort=False):
        ends = own.drop_duplicates(at).iloc[[0, -1]]
        times = [
            f"{parentheses(row['time'], row['error'])}{unit} at {symbol} = {row[at]}" for _, row in ends.iterrows()
        ]
        told.append(f"{words} {' and '.join(dict.fromkeys(times))}")
    return looks.in_caption(", ".join(told)) or "none"


def with_most_data_sets(table: DataFrame) -> DataFrame:
    """The runs at the dimension and size that have the most data sets, told apart."""
    dimension, size = table.groupby(["dimension", "size"])["data_set"].nunique().idxmax()
    table = table[(table["dimension"] == dimension) & (table["size"] == size)].sort_values("data_set")
    return in_order(told_apart(table), sorted(set(table["architecture_name"])))


def order(network: Architecture) -> tuple[Any, ...]:
    """What architectures are sorted by: name, depth, range, those that follow the score length last, channels."""
    follows = isinstance(network.range, str)
    reach = range_factor(network.range) if follows else network.range or 0
    return network.name, network.depth or 0, follows, reach, network.channels or 0


def thinned(steps: Any, shown: Any, per_decade: float = 8.0) -> Any:
    """Indices of at most `per_decade` points a decade of steps, out of those that are shown and after step 0.

    Each is the first of its part of the decade, but for the last one, which is the last that is shown.
    """
    points = np.flatnonzero(shown & (steps > 0))
    apart = np.round(per_decade * np.log10(steps[points]))
    kept = points[np.unique(apart, return_index=True)[1]]
    kept[-1:] = points[-1:]
    return kept
