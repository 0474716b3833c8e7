"""A page to look at a study with: one HTML file that holds its data and its script, and asks no server for anything.

The page lets one pick an architecture, a lattice, a mass and a noise level, and draws learning curve, residual of each
mode, kernel and fields; for what was generated, KL divergence, spectrum and fields after any number of training steps.
"""

import base64
import gzip
import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from csd.diffusion.criteria import CRITERIA, WORDS
from csd.report.figures import looks
from csd.study.seeds import mean_over_seeds
from csd.study.summaries.columns import network_of

HERE = Path(__file__).parent
DIGITS = 12
"""Bits of the mantissa that are kept: a relative error of 1e-4, less than a picture shows; a third of the size."""
RESIDUALS_PER_DECADE = 4.0


def page(summary: xr.Dataset, generation: xr.Dataset | None, title: str) -> str:
    """The page.

    Args:
        summary: of `csd aggregate`.
        generation: of `csd aggregate-generation`, if the study generates.
        title: of the page.
    """
    content: dict[str, Any] = {
        "made": {name: str(summary.attrs.get(f"csd_{name}")) for name in ("version", "commit")},
        "configuration": str(summary.attrs.get("configuration_hash")),
        "training": _training(summary),
        "generation": None if generation is None else _generation(generation),
    }
    # Without a time stamp, so that the same study gives the same page.
    squeezed = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0)
    text = (HERE / "page.html").read_text(encoding="utf-8")
    for mark, part in (
        ("{title}", html.escape(title)),
        ("/*style*/", (HERE / "page.css").read_text(encoding="utf-8")),
        ("/*script*/", (HERE / "page.js").read_text(encoding="utf-8")),
        ("{data}", base64.b64encode(squeezed).decode()),
    ):
        text = text.replace(mark, part)
    return text


def packed(values: Any) -> str:
    """Numbers as base64 of little-endian float32, of `DIGITS` bits; their shape is the reader's business."""
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    kept = np.uint32(0xFFFFFFFF << (23 - DIGITS) & 0xFFFFFFFF)
    return base64.b64encode((bits & kept).tobytes()).decode()


def _identity(run: xr.Dataset) -> dict[str, Any]:
    """What a run is, and how it is shown."""
    network = network_of(run)
    return {
        "architecture": str(run["architecture"].values),
        "name": looks.name(network).replace("ξ$_t$", "ξₜ"),
        "colour": looks.colour(network),
        "dimension": int(run["dimension"]),
        "size": int(run["size"]),
        "mass": float(run["mass"]),
        "massLabel": str(run["mass_label"].values),
        "critical": bool(run["mass_times_length"] == 1.0),
        "data": str(run["data"].values),
        "sweep": str(run["sweep"].values),
    }


def _number(value: Any) -> float | None:
    """A number that JSON can hold."""
    return float(value) if np.isfinite(value) else None


def _length(values: Any) -> int:
    """Places along the last axis up to the last that holds a number anywhere."""
    there = np.flatnonzero(np.isfinite(values).any(axis=tuple(range(values.ndim - 1))))
    return int(there[-1]) + 1 if there.size else 0


def _mean(values: Any) -> dict[str, str]:
    """Mean and standard error over seeds, the first axis, without warnings where no seed has a value."""
    mean, error = mean_over_seeds(values, axis=0)
    return {"mean": packed(mean), "error": packed(error)}


def _training(summary: xr.Dataset) -> dict[str, Any]:
    """Runs of a summary of training: curves cut where all seeds have ended, residuals at fewer steps."""
    steps = summary["step"].values
    some = np.unique(np.concatenate([[0], looks.thinned(steps, np.ones(steps.shape, bool), RESIDUALS_PER_DECADE)]))
    runs = []
    for place in range(summary.sizes["run"]):
        run = summary.isel(run=place)
        bins = np.isfinite(run["inverse_length"].values)
        distances = _length(run["exact_kernel_profile"].values)
        levels = []
        for level in summary["noise_level"].values:
            at = run.sel(noise_level=level)
            score = at["score_error"].values
            ran = np.isfinite(score[:, 0])
            if not ran.any():
                continue
            predicted, _ = mean_over_seeds(at["predicted_score_error"].values[ran], axis=0)
            count = max(_length(score), _length(predicted[None]))
            residual_steps = np.unique([*some[some < _length(score)], _length(score) - 1])
            predicted_time = at["predicted_training_time"].values[ran].mean()
            levels.append(
                {
                    "level": float(level),
                    "signal": float(at["signal"]),
                    "noiseVariance": float(at["noise_variance"]),
                    "scoreLength": _number(at["score_length"]),
                    "floor": _number(at["floor"]),
                    "rate": _number(at["learning_rate"]),
                    **_time(at["training_time"].values[ran], predicted_time),
                    "seeds": int(ran.sum()),
                    "score": _mean(score[ran, :count]),
                    "predicted": packed(predicted[:count]),
                    "kernel": _mean(at["kernel_profile"].values[ran, :distances]) if "kernel_profile" in at else None,
                    "exactKernel": packed(at["exact_kernel_profile"].values[:distances]),
                    "residualSteps": steps[residual_steps].tolist(),
                    "residual": packed(at["mode_residual"].values[residual_steps][:, bins]),
                }
            )
        runs.append(
            {
                **_identity(run),
                "parameters": int(run["parameters"]),
                "tolerance": float(run["tolerance"]),
                "inverseLength": packed(run["inverse_length"].values[bins]),
                "levels": levels,
            }
        )
    return {"steps": steps.tolist(), "runs": [run for run in runs if run["levels"]]}


def _generation(summary: xr.Dataset) -> dict[str, Any]:
    """Runs of a summary of generation."""
    runs = []
    for place in range(summary.sizes["run"]):
        run = summary.isel(run=place)
        divergence = run["kl_per_site"].values
        ran = np.isfinite(divergence[:, 0])
        # Of the steps of all runs those that this one kept.
        kept = np.isfinite(divergence).any(axis=0)
        bins = np.isfinite(run["wavenumber"].values)
        spectrum, _ = mean_over_seeds(run["generated_spectrum"].values[ran][:, kept][:, :, bins], axis=0)
        runs.append(
            {
                **_identity(run),
                "trainedSize": int(run["trained_size"]),
                "seeds": int(ran.sum()),
                "steps": summary["step"].values[kept].tolist(),
                "times": [_criterion(run.sel(criterion=name), ran) for name in CRITERIA],
                "exactScore": _number(run["exact_score_kl_per_site"]),
                "divergence": _mean(divergence[ran][:, kept]),
                "predicted": packed(run["predicted_kl_per_site"].values[kept]),
                "wavenumber": packed(run["wavenumber"].values[bins]),
                "exactSpectrum": packed(run["exact_spectrum"].values[bins]),
                "spectrum": packed(spectrum),
                "sampled": _mean(run["power_spectrum"].values[ran][:, bins]),
            }
        )
    return {"runs": runs}


def _criterion(at: xr.Dataset, ran: Any) -> dict[str, Any]:
    """When samples are right by a criterion, and why that is not known."""
    times = _time(at["generation_training_time"].values[ran], at["predicted_generation_training_time"])
    return {"criterion": WORDS[str(at["criterion"].values)], **times, "remark": str(at["criterion_remark"].values)}


def _time(times: Any, predicted: Any) -> dict[str, float | None]:
    """A time: mean over seeds, standard error, and what theory says."""
    mean, error = (times.mean(), mean_over_seeds(times)[1]) if times.size else (np.nan, np.nan)
    return {"time": _number(mean), "timeError": _number(error), "predictedTime": _number(predicted)}
