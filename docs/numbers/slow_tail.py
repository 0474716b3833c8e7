"""Error bars of the energy with and without its slow tail: 200 runs of a heat bath made of independent modes."""

from typing import Any

import numpy as np

from csd.core.random import stream
from csd.lattice import Array, Lattice
from csd.mcmc.autocorrelation import estimate, gamma_method, time_of
from csd.mcmc.exact_sweeps import exact_times
from csd.targets.gaussian import GaussianField
from csd.targets.phi4 import PhiFour

LATTICE = Lattice(2, 8)
RUNS, CHAINS, LENGTH = 200, 2, 4000
WAYS = {
    "window": "window alone",
    "even": "τ_exp of m², from where ρ is noise",
    "odd": "τ_exp of m, likewise",
    "here": "through m² (here)",
}
"""Ways to attach a tail, as the table names them."""


def chains() -> tuple[Array, Array]:
    """Energy per site and m on the line m = 1/L, shape (runs, chains, sweeps) each.

    Waves of amplitude k on even and odd sites follow e ← c o + noise, o ← c e + noise, c = 2 Σ cos k_μ / (2d + m²).
    """
    sites, size = LATTICE.sites, LATTICE.size
    precision = 4.0 + 1.0 / size**2
    wave = 2.0 * np.cos(2.0 * np.pi * np.arange(size) / size)
    # The waves k and k + π are one pair, with c and −c.
    c = np.sort((wave[:, None] + wave).ravel() / precision)[::-1][: sites // 2]
    generator = stream("slow_tail")
    odd = generator.standard_normal((RUNS * CHAINS, len(c))) / np.sqrt(precision * (1.0 - c**2))
    energy, mean = np.empty((2, LENGTH, RUNS * CHAINS))
    for sweep in range(LENGTH):
        noise = generator.standard_normal((2, *odd.shape)) / np.sqrt(precision)
        even = c * odd + noise[0]
        odd = c * even + noise[1]
        energy[sweep] = 0.5 * precision * (even**2 + odd**2 - 2.0 * c * even * odd).sum(axis=1) / sites
        mean[sweep] = (even[:, 0] + odd[:, 0]) / np.sqrt(2.0 * sites)
    return energy.T.reshape(RUNS, CHAINS, LENGTH), mean.T.reshape(RUNS, CHAINS, LENGTH)


def attached(table: Array, time: float) -> tuple[float, float, float]:
    """(mean, error, τ) with the tail τ_exp ρ(W) of Schaefer, Sommer and Virotta, from where ρ is within its error."""
    observable = gamma_method().Obs(list(table), [f"chains|{chain}" for chain in range(CHAINS)])
    observable.gamma_method(tau_exp=time, N_sigma=1)
    return observable.value, observable.dvalue, observable.e_tauint["chains"]


def numbers() -> dict[str, Any]:
    """For each way, the root mean square of the energy's pulls, mean τ and its scatter; and the exact τ."""
    ways: dict[str, list[tuple[float, float, float]]] = {name: [] for name in WAYS}
    for energy, mean in zip(*chains(), strict=True):
        alone, here = estimate(energy), estimate(energy, slowest=mean**2)
        ways["window"].append((alone.value, alone.error, alone.tau))
        ways["here"].append((here.value, here.error, here.tau))
        ways["even"].append(attached(energy, time_of(mean**2)))
        ways["odd"].append(attached(energy, time_of(mean)))
    table: list[list[Any]] = [["tail", "rms of pulls", "mean τ", "its scatter"]]
    for way, rows in ways.items():
        value, error, tau = np.array(rows).T
        pulls = (value - 0.5) / error
        table.append([WAYS[way], float(np.sqrt(np.mean(pulls**2))), float(tau.mean()), float(tau.std())])
    target = PhiFour.of_gaussian(GaussianField.on_critical_line(LATTICE), 1)
    return {"table": table, "exact": exact_times(target, "heat_bath")["energy"]}
