"""Errors after 1500 steps on denoising targets and on posterior means: case A (d = 2, φ⁴ near criticality), L = 8."""

from typing import Any

import numpy as np

import csd
from csd.lattice import Lattice
from csd.mcmc.ensemble import ensemble
from csd.mcmc.simulation import MonteCarloSettings
from csd.targets.dataset import MeasuredField
from csd.targets.phi4 import PhiFour

SLOW = True
COUPLINGS: dict[str, Any] = {"kappa": 0.27088, "lambda_": 0.022}
LEVELS, SEEDS = (0.1, 0.5), (1, 2, 3)


def numbers() -> dict[str, Any]:
    """ε, ρ and ε at k = 0 of the Wiener sandwich by loss and noise level: means over seeds, with standard errors."""
    target = PhiFour.from_hopping(Lattice(2, 8), 1, COUPLINGS["kappa"], COUPLINGS["lambda_"])
    made = ensemble(target, MonteCarloSettings(("wolff",), sweeps=12_000, fields=4000, seed=11))
    fields = MeasuredField.from_content(made, "")
    scores = csd.scores(dimension=2, size=8, components=1, noise_levels=LEVELS, fields=500, **COUPLINGS)
    rows: list[list[Any]] = [["loss", "t", "ε", "ρ", "ε at k = 0"]]
    means: dict[str, list[float]] = {}
    how: dict[str, Any] = {
        "noise_levels": LEVELS,
        "path": "fields",
        "max_steps": 1500,
        "tolerance": 0.0,
        "progress": False,
    }
    for loss in ("denoising", "posterior"):
        run = csd.train("wiener", target=fields, scores=scores, loss=loss, seeds=SEEDS, **how).isel(step=-1)
        means[loss] = run["exact_score_error"].mean("seed").values.tolist()
        for place, level in enumerate(LEVELS):
            shown = []
            for name, scale in (("exact_score_error", 1e4), ("error_over_linear", 1.0), ("zero_mode_error", 1.0)):
                own = scale * run[name].values[:, place]
                shown.append(f"{own.mean():.2g} ± {own.std(ddof=1) / len(SEEDS) ** 0.5:.1g}")
            shown[0] = f"({shown[0]}) × 10⁻⁴"
            rows.append([loss, f"{level:g}", *shown])
    gains = np.array(means["denoising"]) / np.array(means["posterior"])
    return {"errors": rows, "gains": gains.tolist()}
