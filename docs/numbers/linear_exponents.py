"""Training times of linear layers on measured critical spectra in three dimensions, and their laws (docs/finite_n.md).

Each seed has fields of its own from `csd mcmc`, and is trained on their spectrum as a study does it.
"""

import contextlib
import io
import sys
import tempfile
from math import log
from pathlib import Path
from typing import Any

import numpy as np

import csd
from csd.cli.commands import main
from csd.lattice import Array
from csd.study.scaling import fit
from csd.targets.phi4 import PhiFour
from csd.training.reference import growth_exponent
from docs.numbers.critical_couplings import POINTS, Point

SLOW = True
SIZES = (4, 6, 8, 12, 16)
SEEDS = (1, 2, 3, 4)
SWEEPS, FIELDS = 1000, 400
NETWORKS = ("one_layer", "two_layer")
GROWTH = {n: growth_exponent(3, n) for n in (1, 2, 3)}
"""γ/ν = 2 − η of the literature in d = 3, by n."""
ISING = growth_exponent(2, 1)
"""γ/ν of the Ising class in d = 2."""


def times(point: Point, size: int, folder: Path) -> dict[str, Array]:
    """Interpolated steps to an error of 1 % at t = 0.1, by network, shape (seeds,)."""
    target = point.target(size)
    couplings = f"--r0 {target.r0} --u {target.u}" if isinstance(target, PhiFour) else f"--beta {point.beta}"
    found: dict[str, list[float]] = {name: [] for name in NETWORKS}
    for seed in SEEDS:
        file = folder / f"{point.name}_{size}_{seed}.nc"
        words = f"mcmc --dimension 3 --size {size} --components {point.components} {couplings} --sampler wolff"
        with contextlib.redirect_stdout(io.StringIO()):
            main([*f"{words} --sweeps {SWEEPS} --fields {FIELDS} --seed {seed}".split(), "--output", str(file)])
        for name in NETWORKS:
            run = csd.train(name, data=file, noise_levels=[0.1], loss="population", seeds=[seed], max_steps=10**6)
            found[name].append(float(run.crossing_time.values[0, 0]))
        file.unlink()
    print(point.name, size, found, file=sys.stderr, flush=True)
    return {name: np.array(values) for name, values in found.items()}


def numbers() -> dict[str, Any]:
    """A table by target of z, and of the steps per e-fold of L of two layers; slopes of theory at η = ¼."""
    table = [
        ["target", "2 − η", "one layer: z", "systematic", "two layers: z", "systematic ", "steps per e-fold", "theory"]
    ]
    with tempfile.TemporaryDirectory() as folder:
        for point in POINTS:
            if point.dimension == 2:
                continue
            found = [times(point, size, Path(folder)) for size in SIZES]
            one, two = (fit(SIZES, [each[name] for each in found]) for name in NETWORKS)
            row = [point.name, f"{GROWTH[point.components]:.4f}"]
            for law in (one["boxcox"], two["boxcox"]):
                row += [f"{law.exponent:.3f}({1e3 * law.error:.0f})", f"{law.systematic_error:.3f}"]
            slope = GROWTH[point.components] / (2.0 * log(1.25))
            table.append([*row, f"{two['log'].exponent:.2f}({1e2 * two['log'].error:.0f})", f"{slope:.2f}"])
    step = 2.0 * log(1.25)
    return {
        "table": table,
        "growth": list(GROWTH.values()),
        "slope_gaussian": 2.0 / step,
        "slope_ising": ISING / step,
        "doubling_ising": ISING * log(2.0) / step,
    }
