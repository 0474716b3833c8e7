"""A page to explore a study with: one HTML file that holds its data, its script and its chart library.

The page lets one choose an architecture, a lattice, a mass and a noise level. It draws learning curve, residual of each
mode, kernel and fields; for generation, KL divergence, power spectrum and fields after any number of training steps.
Of networks without a kernel it shows the loss on held-out fields, and of their samples the spectrum, the magnetisation
and the pulls of observables.

Its charts are drawn by uPlot 1.6.32 (MIT licence, LICENSE.uPlot.txt), whose released files lie here unchanged.
"""

import base64
import gzip
import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from csd.diffusion.criteria import CRITERIA, WORDS
from csd.report.figures import looks
from csd.report.figures.magnetisation import sampled_components
from csd.study.seeds import mean_over_seeds
from csd.study.summaries.columns import network_of

POINTS_PER_DECADE = 10.0
"""Points of a learning curve, along its steps."""
RESIDUALS_PER_DECADE = 4.0
BARS = 25
"""Bars of the histograms of the magnetisation: an odd number, so that one is at 0."""
SAMPLED = {
    **{"susceptibility": "χ", "correlation_length": "ξ", "energy": "energy per site", "variance": "⟨φ²⟩"},
    **{"absolute_magnetisation": "⟨|m|⟩", "binder": "U₄"},
}
"""Observables of sampled fields that are compared with a reference, in words."""


def page(summary: xr.Dataset, generation: xr.Dataset | None, title: str) -> str:
    """The page as HTML; the same study gives the same page.

    Args:
        summary: of `csd aggregate`.
        generation: of `csd aggregate-generation`, if the study generates.
        title: of the page.
    """
    import matplotlib

    content = {
        "colours": (255.0 * matplotlib.colormaps["cividis"](range(256))[:, :3]).round().astype(int).tolist(),
        "made": {name: str(summary.attrs.get(f"csd_{name}")) for name in ("version", "commit")},
        "configuration": str(summary.attrs.get("configuration_hash")),
        "training": _training(summary),
        "generation": None if generation is None else {"runs": [_generated(run) for run in _runs(generation)]},
    }
    squeezed = gzip.compress(json.dumps(content, separators=(",", ":"), allow_nan=False).encode(), mtime=0)
    parts = {"title": html.escape(title), "data": base64.b64encode(squeezed).decode()}
    here = Path(__file__).parent

    def part(mark: re.Match[str]) -> str:
        return parts.get(mark[1]) or (here / mark[1]).read_text(encoding="utf-8")

    return re.sub(r"\{([\w.]+)\}", part, (here / "page.html").read_text(encoding="utf-8"))


def _runs(summary: xr.Dataset) -> list[xr.Dataset]:
    """The runs of a summary in the order of the choices: dimension, the critical line first, size, mass."""
    off_line = summary["mass_times_length"] != 1.0
    order = np.lexsort([summary["mass"], summary["size"], off_line, summary["dimension"]])
    return [summary.isel(run=run) for run in order]


def _numbers(values: Any) -> list[float | None]:
    """Numbers of four digits, flattened, up to the last that is finite; None where one is not."""
    values = np.ravel(values)
    values = values[: np.flatnonzero(np.isfinite(values)).max(initial=-1) + 1]
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.tolist()]


def _number(value: Any) -> float | None:
    """A number, or None where it is not finite."""
    return float(value) if np.isfinite(value) else None


def _spread(steps: Any, per_decade: float) -> Any:
    """Places of at most so many steps a decade, and of step 0, if there are any."""
    places = np.flatnonzero(steps > 0)
    _, first = np.unique(np.round(per_decade * np.log10(steps[places])), return_index=True)
    return np.append(0, places[first])[: len(steps)]


def _mean(values: Any, shown: Any = slice(None)) -> dict[str, list[float | None]]:
    """Mean and standard error over seeds, the first axis, at the places that are shown and the last that has a mean."""
    mean, error = mean_over_seeds(values, axis=0)
    hidden = np.ones(mean.shape, bool)
    hidden[shown] = False
    hidden[np.flatnonzero(np.isfinite(mean))[-1:]] = False
    return {key: _numbers(np.where(hidden, np.nan, values)) for key, values in (("mean", mean), ("error", error))}


def _time(times: Any, predicted: Any) -> dict[str, float | None]:
    """A time of each seed: its mean and standard error, and the prediction of theory."""
    mean, error = mean_over_seeds(times, ran=True)
    return {"time": _number(mean), "timeError": _number(error), "predictedTime": _number(predicted)}


def _identity(run: xr.Dataset) -> dict[str, Any]:
    """The choices that lead to a run, and its name and colour."""
    network, size, mass, data = network_of(run), int(run["size"]), float(run["mass"]), str(run["data"].values)
    trained = int(run["trained_size"]) if "trained_size" in run else size
    label = str(run["mass_label"].values)
    line = f"{label[2:]}/L = " if label.startswith("mL") else ""
    return {
        "architecture": str(run["architecture"].values),
        "name": looks.name(network).replace("ξ$_t$", "ξₜ"),
        "colour": looks.colour(network),
        "dimension": int(run["dimension"]),
        "size": size,
        "mass": mass,
        "massLabel": label,
        "massInWords": f"{line}{mass:.3g}",
        "dataInWords": data if trained == size else f"{data}, trained at L = {trained}",
        # A user-defined target or schedule, named by a dotted path, may have another spectrum than 1/(k̂² + m²).
        "gaussian": str(run["target"].values) == "gaussian"
        and not any(re.search(r"\.[A-Za-z]", part) for part in data.split("-") if not part.startswith("lr")),
    }


def _training(summary: xr.Dataset) -> dict[str, Any]:
    """Runs of a summary of training: curves up to the last seed's end, residuals at a few steps a decade."""
    steps = summary["step"].values
    few = _spread(steps, RESIDUALS_PER_DECADE)
    runs = []
    for run in _runs(summary):
        levels = [run.sel(noise_level=level) for level in summary["noise_level"].values]
        bins = np.isfinite(run["inverse_length"].values)
        shown = {
            **_identity(run),
            "parameters": int(run["parameters"]),
            "tolerance": float(run["tolerance"]),
            "inverseLength": _numbers(run["inverse_length"].values[bins]),
            "levels": [_level(at, few, bins) for at in levels if np.isfinite(at["score_error"].values[:, 0]).any()],
        }
        runs += [shown] if shown["levels"] else []
    return {"steps": steps.tolist(), "runs": runs}


def _level(at: xr.Dataset, few: Any, bins: Any) -> dict[str, Any]:
    """A run at one noise level; residuals at the places `few` along the steps, for those `bins` of modes."""
    steps, score = at["step"].values, at["score_error"].values
    ran = np.isfinite(score[:, 0])
    predicted, _ = mean_over_seeds(at["predicted_score_error"].values[ran], axis=0)
    kernel = at["kernel_profile"].values if "kernel_profile" in at else np.full((len(ran), 1), np.nan)
    last = np.flatnonzero(np.isfinite(score).any(axis=0))[-1]
    places = np.append(few[few < last], last)
    return {
        "level": float(at["noise_level"]),
        "signal": float(at["signal"]),
        "noiseVariance": float(at["noise_variance"]),
        "scoreLength": _number(at["score_length"]),
        "floor": _number(at["floor"]),
        "rate": _number(at["learning_rate"]),
        **_time(at["training_time"].values[ran], at["predicted_training_time"].values[ran].mean()),
        "seeds": int(ran.sum()),
        # Measured errors that come out below 0 have no place on a logarithmic axis.
        "score": _mean(np.where(score < 0.0, np.nan, score)[ran], _spread(steps, POINTS_PER_DECADE)),
        **_held_out(at, ran),
        "predicted": _numbers(predicted),
        "exactKernel": _numbers(at["exact_kernel_profile"]),
        "kernel": _mean(kernel[ran]) if np.isfinite(kernel[ran]).any() else None,
        "residualSteps": steps[places].tolist(),
        "residual": _numbers(at["mode_residual"].values[places][:, bins]),
    }


def _held_out(at: xr.Dataset, ran: Any) -> dict[str, Any]:
    """The losses on held-out fields of a run at one noise level, and that of the best linear score; often none."""
    if "held_out_loss" not in at or not np.isfinite(at["held_out_loss"].values[ran]).any():
        return {}
    losses = _mean(at["held_out_loss"].values[ran], _spread(at["step"].values, POINTS_PER_DECADE))
    return {"heldOut": losses, "linearHeldOut": _number(at["linear_held_out_loss"])}


def _sampled(run: xr.Dataset) -> dict[str, Any]:
    """Observables of the sampled fields of all seeds with their references, and histograms of the magnetisation."""
    found: dict[str, Any] = {"observables": []}
    for name, words in SAMPLED.items():
        if f"reference_{name}" in run and np.isfinite(run[f"sampled_{name}_pull"]).any():
            value, error = mean_over_seeds(run[f"sampled_{name}"].values, axis=0)
            numbers = {"value": value, "error": error, "reference": run[f"reference_{name}"]}
            pulls = _numbers(run[f"sampled_{name}_pull"])
            found["observables"].append(
                {"name": words, **{key: _number(n) for key, n in numbers.items()}, "pulls": pulls}
            )
    if "sampled_magnetisation" in run and np.isfinite(run["sampled_magnetisation"]).any():
        kinds = {kind: run[f"{kind}_magnetisation"].values for kind in ("sampled", "reference")}
        most = max(float(np.nanmax(np.abs(values))) for values in kinds.values())
        components = sampled_components(run)
        edges = np.linspace(-most if components == 1 else 0.0, most, BARS + 1)
        heights = {
            kind: _numbers(np.histogram(values[np.isfinite(values)], edges, density=True)[0])
            for kind, values in kinds.items()
        }
        words = "magnetisation m per site" if components == 1 else f"|m| per site, n = {components}"
        found["magnetisation"] = {"words": words, "places": _numbers(0.5 * (edges[1:] + edges[:-1])), **heights}
    return found


def _generated(run: xr.Dataset) -> dict[str, Any]:
    """A run of a summary of generation, at the steps that it kept; networks without a kernel keep none."""
    divergence = run["kl_per_site"].values
    ran, kept = np.isfinite(run["sampled_susceptibility"].values), np.isfinite(divergence).any(axis=0)
    divergence, steps = divergence[ran][:, kept], run["step"].values[kept]
    bins = np.isfinite(run["wavenumber"].values)
    spectrum, _ = mean_over_seeds(run["generated_spectrum"].values[ran][:, kept][:, :, bins], axis=0)
    times = []
    for name in CRITERIA:
        at = run.sel(criterion=name)
        measured, predicted = at["generation_training_time"].values[ran], at["predicted_generation_training_time"]
        remark = str(at["criterion_remark"].values)
        times.append({"criterion": WORDS[name], "remark": remark, **_time(measured, predicted)})
    return {
        **_identity(run),
        "seeds": int(ran.sum()),
        "steps": steps.tolist(),
        "times": times,
        "exactScore": _number(run["exact_score_kl_per_site"]),
        "divergence": _mean(divergence)["mean"],
        "curve": _mean(divergence, _spread(steps, POINTS_PER_DECADE)),
        "predicted": _numbers(run["predicted_kl_per_site"].values[kept]),
        "inverseLength": _numbers(np.hypot(run["wavenumber"].values[bins], float(run["mass"]))),
        "exactSpectrum": _numbers(run["exact_spectrum"].values[bins]),
        "spectrum": _numbers(spectrum),
        "sampled": _mean(run["power_spectrum"].values[ran][:, bins]),
        **_sampled(run),
    }
