"""t → 0 limits of the linear floors of case A (docs/finite_n.md), beside the floors that `csd scores` measures."""

from typing import Any

import numpy as np

import csd
from csd.lattice import Lattice
from csd.mcmc.chains import run_chains
from csd.mcmc.posterior.held_out import linear_floor
from csd.mcmc.samplers import sweep_of
from csd.targets.phi4 import PhiFour

SLOW = True
SIZES = (8, 16, 32)
LEVELS = [0.001, 0.05, 0.5]
KAPPA, LAMBDA = 0.27088, 0.022


def limit(size: int) -> tuple[float, float]:
    """χ, and 1 − 1/(χΛ) with Λ = r₀ + 3u⟨φ²⟩, from a long run."""
    target = PhiFour.from_hopping(Lattice(2, size), 1, KAPPA, LAMBDA)
    sweep = sweep_of("hmc", target)
    found = run_chains(target, sweep, "low noise", size, chains=4, measurements=8000, thermalisation=500, every=2)
    local = target.r0 + 3.0 * target.u * float(found.estimate("phi2").value)
    susceptibility = float(found.susceptibility().value)
    return susceptibility, 1.0 - 1.0 / (susceptibility * local)


def rounded(value: float, error: float) -> str:
    """A number with its error in parentheses."""
    return f"{value:.4f}({1e4 * error:.0f})"


def numbers() -> dict[str, Any]:
    """The table by size: χ, and ε of the best linear score at k = 0 and of all modes, for t → 0 and at noise levels.

    The limit of all modes is the part of the force −∂H/∂φ of fields without noise that is not linear in them.
    """
    table = [["L", "χ", "k = 0: t → 0", *(f"t = {level:g}" for level in LEVELS)]]
    table[0] += ["all modes: t → 0", *(f"t = {level:g} " for level in LEVELS[:-1])]
    for size in SIZES:
        susceptibility, soft = limit(size)
        asked: dict[str, Any] = {"dimension": 2, "size": size, "components": 1, "kappa": KAPPA, "lambda_": LAMBDA}
        found = csd.scores(**asked, noise_levels=LEVELS, fields=1000, seed=1)
        target, clean = PhiFour.from_hopping(Lattice(2, size), 1, KAPPA, LAMBDA), found["clean"].values.astype(float)
        zero_mode, at_levels = (
            list(zip(found[name].values, found[f"{name}_error"].values, strict=True))
            for name in ("linear_zero_mode_error", "linear_score_error")
        )
        without_noise = linear_floor(target, clean, np.stack(2 * [target.force(clean)]))
        every = [(float(without_noise[0][0]), float(without_noise[1][0])), *at_levels[:-1]]
        cells = [f"{soft:.4f}", *(rounded(*one) for one in (*zero_mode, *every))]
        table.append([str(size), f"{susceptibility:.1f}", *cells])
    return {"table": table}
