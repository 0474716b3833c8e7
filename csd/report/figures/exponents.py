"""Dynamic exponents of training time, of Gaussian fields (n → ∞) beside fields at finite n."""

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np

from csd.report.figures import looks, series
from csd.report.figures.looks import Axes, DataFrame, Dataset, Drawing, FigureStyle
from csd.report.figures.needs import Wanted
from csd.study.nested_law import NESTED_EXPONENTS
from csd.study.rounding import parentheses
from csd.study.seeds import total_error
from csd.study.summaries.columns import DATA, Run
from csd.targets.labels import HASH
from csd.training.reference import depth_exponent, growth_exponent

SUMMARY = "training"
NEEDS = "a network on the critical line, or on fields, at three sizes or more"
LINE = Wanted(kernel=False, grown=("sweep", "network"))
FIELDS = Wanted(critical=False, data_sets=None, kernel=False, grown=("sweep", "network"))
DEEP = "deep_linear"
"""The architecture that the figure `depth_law` shows."""
ORDER = ("one_layer", "one_layer_onsite", "two_layer", "two_layer_onsite", "local_one_layer", "local_two_layer")
"""The first architectures of each target; others follow in the order of `looks.FAMILIES`."""
LIKE_THE_SUSCEPTIBILITY = ("one_layer", "one_layer_onsite")
"""Architectures whose time grows as the largest C, which is α²χ + σ²."""
LOGARITHMIC = ("two_layer", "local_two_layer")
COLUMN, TARGET, DIMENSION = 1.0, 1.6, 2.6
"""Distances along the axis: of two networks, of two targets, of two dimensions."""
REACH = 0.42 * COLUMN
"""Half of the width of a tick."""


def critical_or_fields(runs: Iterable[Run]) -> list[Run]:
    """The runs of a summary or of a study on the critical line of the Gaussian field, and on fields."""
    found = [run for run in runs if run["architecture_name"] != DEEP]
    of_fields = [run for run in found if run["target"] == DATA]
    return [*LINE(run for run in found if run["target"] != DATA), *FIELDS(of_fields)]


WANTED = critical_or_fields


def draw(summary: Dataset, scaling: DataFrame, style: FigureStyle) -> Drawing:
    """Points: z of the nested law, open where only a power law is determined. Ticks: theory at the critical point."""
    level = series.at_level(summary, style.noise_level)
    table = series.require(series.runs(level, WANTED), "exponents", NEEDS)
    found = [
        run.to_dict() | _exponent(series.laws_of(scaling, run, "training_time", style.noise_level))
        for _, run in table.drop_duplicates(["sweep", "network", "dimension", "mass_label", "data"]).iterrows()
    ]
    laws = _placed(found)
    figure, axes = looks.subplots(1, 1, height=3.3)
    axes.axhline(0.0, color="0.75", lw=0.6, zorder=0)
    for network, own in laws.groupby("network", sort=False):
        look = {"color": looks.colour(network), "marker": looks.marker(network)}
        for nested, of_law in own.dropna(subset="z").groupby("nested"):
            opened: looks.Look = {} if nested else {"mfc": "white", "mew": 0.9}
            looks.points(axes, of_law, "place", "z", "error", **look, **opened)
        for _, law in own[np.isfinite(own["theory"])].iterrows():
            ends, theory = law["place"] + REACH * np.array([-1.0, 1.0]), law["theory"]
            axes.plot(ends, [theory] * 2, color=look["color"], lw=1.1, alpha=0.6, zorder=1)
            if law["architecture_name"] in LIKE_THE_SUSCEPTIBILITY:
                where: looks.Look = {"textcoords": "offset points", "va": "center", "fontsize": "small"}
                axes.annotate(f"{theory:.4g}", (ends[1], theory), (2, 0), color=look["color"], **where)
    _label(axes, laws)
    kinds = [
        looks.key("theory", lw=1.1, alpha=0.6),
        looks.key("nested law", lw=0, marker="o"),
        looks.key("power law, where z of the nested law is not determined", lw=0, marker="o", mfc="white", mew=0.9),
    ]
    looks.legend_below(figure, [*looks.network_keys(laws["network"].unique()), *kinds])
    exact = {"infinite": Fraction(growth_exponent(2, 0)), "ising": Fraction(growth_exponent(2, 1))}
    return figure, {"exponents": _told(laws), "missing": _missing(laws), "determined": f"{series.DETERMINED:g}"} | exact


def _exponent(laws: DataFrame) -> dict[str, Any]:
    """z of the nested law and its error, or of the power law where the former is not determined; NaN without both.

    Three sizes leave z of the nested law without an error; one of the seeds that is too large still counts. Where times
    do not grow, z may also come out at an end of the range in which it is searched for.
    """
    by_law = {str(row["law"]): row for _, row in laws.iterrows()}
    if (nested := by_law.get("boxcox")) is not None:
        error, z = total_error(nested), float(nested["exponent"])
        inside = NESTED_EXPONENTS[0] < z < NESTED_EXPONENTS[-1]
        if inside and not (nested["error"] > series.DETERMINED or error > series.DETERMINED):
            return {"z": z, "error": error, "nested": True}
    if (power := by_law.get("power")) is not None and power["error"] <= series.DETERMINED:
        return {"z": float(power["exponent"]), "error": float(power["error"]), "nested": False}
    return {"z": np.nan, "error": np.nan, "nested": False}


def _placed(laws: list[dict[str, Any]]) -> DataFrame:
    """The exponents by dimension, target and network, with the place of each along the axis, and theory's value."""
    import pandas as pd

    table = pd.DataFrame(laws)
    table["words"] = table.apply(_target, axis=1)
    finite = (table["model"] != "gaussian").astype(int)
    families = {name: rank for rank, name in enumerate((*ORDER, *looks.FAMILIES))}
    rank = table["architecture_name"].map(lambda name: families.get(name, len(families)))
    table = table.assign(finite=finite, rank=rank, options=table["network"].map(series.order))
    by = ["dimension", "finite", "components", "words", "rank", "options", "sweep"]
    table = table.sort_values(by, kind="stable", ignore_index=True)
    step = np.full(len(table), COLUMN)
    step[table["words"] != table["words"].shift()] = TARGET
    step[table["dimension"] != table["dimension"].shift()] = DIMENSION
    step[0] = 0.0
    return table.assign(place=np.cumsum(step), theory=table.apply(_theory, axis=1))


def _target(run: Any) -> str:
    """What a run learns in words; without its couplings, the name of the fields."""
    if run["model"] == "gaussian":
        return "n → ∞" if run["components"] == 0 else f"Gaussian, n = {run['components']}"
    if run["model"] == "spins":
        return series.SPINS.get(run["components"], f"O({run['components']}) spins")
    if run["model"] == "phi4":
        return "φ⁴" if run["components"] == 1 else f"φ⁴, n = {run['components']}"
    return re.sub(HASH, "", run["mass_label"]) if run["target"] == DATA else str(run["target"]).rpartition(":")[2]


def _theory(run: Any) -> float:
    """z at the critical point: 2 − η, or 0 of a logarithm; NaN where nothing is derived."""
    if run["model"] not in ("gaussian", "phi4", "spins"):
        return np.nan
    if run["architecture_name"] in LIKE_THE_SUSCEPTIBILITY:
        return growth_exponent(run["dimension"], 0 if run["model"] == "gaussian" else run["components"])
    if run["architecture_name"] == "local_one_layer" and run["model"] == "gaussian":
        return {1: 1.0, 2: 0.0}.get(run["dimension"], np.nan)
    return depth_exponent(2) if run["architecture_name"] in LOGARITHMIC else np.nan


def _label(axes: Axes, laws: DataFrame) -> None:
    """Targets below the axis, dimensions above it, and lines between them."""
    targets = laws.groupby(["dimension", "words"], sort=False)["place"].agg(["min", "max"])
    axes.set_xticks(targets.mean(axis=1), [words for _, words in targets.index])
    axes.tick_params(axis="x", length=0)
    for (_, before), (after, _) in zip(targets.to_numpy()[:-1], targets.to_numpy()[1:], strict=True):
        edge = after - before > 0.5 * (TARGET + DIMENSION)
        axes.axvline(0.5 * (before + after), color="0.5" if edge else "0.85", lw=0.7 if edge else 0.5, zorder=0)
    for dimension, own in laws.groupby("dimension", sort=False):
        middle = 0.5 * (own["place"].min() + own["place"].max())
        axes.annotate(f"d = {dimension}", (middle, 1.02), xycoords=("data", "axes fraction"), ha="center")
    axes.set_xlim(laws["place"].min() - COLUMN, laws["place"].max() + COLUMN)
    axes.set_ylabel("exponent z of training time")


def _told(laws: DataFrame) -> str:
    """The exponents in words: 'in d = 2, n → ∞: one layer 2.000(1), …; Ising: …'."""
    told = []
    for (dimension, words), own in laws[np.isfinite(laws["z"])].groupby(["dimension", "words"], sort=False):
        each = [
            f"{looks.name(law['network'])} {parentheses(law['z'], law['error'])}" + " (power law)" * (not law["nested"])
            for _, law in own.iterrows()
        ]
        told.append(f"d = {dimension}, {words}: {', '.join(each)}".replace("-", "−"))
    return looks.in_caption("; ".join(told)) or "none is determined"


def _missing(laws: DataFrame) -> str:
    """A sentence of a caption that names the series without an exponent; empty where all have one."""
    without = [
        f"{looks.name(law['network'])} in d = {law['dimension']} ({law['words']})"
        for _, law in laws[~np.isfinite(laws["z"])].iterrows()
    ]
    return f" Not determined: {looks.in_caption(', '.join(without))}." if without else ""
