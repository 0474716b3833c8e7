"""When the zero mode is learned, beside the training time per site: mean field on critical spins (docs/finite_n.md).

Fields, exact scores and training are those of the sweep `zero-mode` of `config/finite_n.yaml`.
"""

import contextlib
import io
import sys
import tempfile
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np

import csd
from csd.cli.commands import main
from csd.study.rounding import parentheses
from csd.study.seeds import mean_over_seeds
from csd.training.record import HALF

SLOW = True
SIZES = (8, 16, 32, 64)
BETA = 0.5 * log(1.0 + sqrt(2.0))
LEVEL, SEEDS, TOLERANCE = 0.1, list(range(1, 9)), 0.05
TRAINING: dict[str, Any] = {"loss": "denoising", "batch": 16, "learning_rate": 0.003, "rate_schedule": "constant"}


def trained(size: int, folder: Path) -> Any:
    """The training on spins of this size, measured against exact scores."""
    file = folder / f"{size}.nc"
    words = f"mcmc --dimension 2 --size {size} --components 1 --beta {BETA} --sampler wolff --sweeps 2000"
    with contextlib.redirect_stdout(io.StringIO()):
        main([*f"{words} --fields 1000 --seed 9".split(), "--output", str(file)])
    scores = csd.scores(dimension=2, size=size, beta=BETA, noise_levels=[LEVEL], fields=200, seed=1)
    how = {"path": "fields", "until": "max_steps", "tolerance": TOLERANCE, "max_steps": 60, "seeds": SEEDS, **TRAINING}
    return csd.train("mean_field", coupling=0, data=file, scores=scores, noise_levels=[LEVEL], **how)


def numbers() -> dict[str, Any]:
    """By L: ε at k = 0 at the start and where ε passes its tolerance, and the steps to both thresholds."""
    table = [["L", "zero mode, start", f"steps to ε = {TOLERANCE:g}", "zero mode then", f"steps to {HALF:g} at k = 0"]]
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            run = trained(size, Path(folder))
            print(size, run["zero_mode_training_time"].values, file=sys.stderr, flush=True)
            time, error = mean_over_seeds(run["crossing_time"].values[:, 0])
            zero, scatter = mean_over_seeds(run["zero_mode_training_time"].values[:, 0])
            fields = float(run["zero_mode_training_time_error"].mean())
            recorded = run["step"].values
            then = np.array(
                [
                    np.interp(step, recorded, own)
                    for step, own in zip(
                        run["crossing_time"].values[:, 0], run["zero_mode_error"].values[:, 0], strict=True
                    )
                ]
            )
            row = [f"{size}", f"{float(run['zero_mode_error'][:, 0, 0].mean()):.1f}", parentheses(time, error)]
            table.append([*row, f"{then.mean():.1f}", parentheses(zero, float(np.hypot(scatter, fields)))])
    return {"table": table}
