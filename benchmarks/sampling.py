"""Speed of Monte Carlo updates: site updates a second of every update on every kind of target."""

import numpy as np
import xarray as xr

from benchmarks.clock import quartiles, strings
from benchmarks.plan import Plan
from csd.core.files import labelled
from csd.core.random import stream
from csd.lattice import Lattice
from csd.mcmc.chains import Chain
from csd.mcmc.samplers import Step
from csd.targets.base import HasEnergy, is_ising
from csd.targets.gaussian import GaussianField
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel

LOCAL = ("metropolis", "heat_bath", "overrelaxation")
WARMING = 30
"""Sweeps in which updates are tuned, and loops compiled."""


def targets(plan: Plan) -> dict[str, HasEnergy]:
    """A Gaussian field, φ⁴, Ising, XY and Heisenberg spins near their critical points."""
    flat, deep = Lattice(2, plan.sampled[0]), Lattice(3, plan.sampled[1])
    return {
        f"Gaussian, d = 2, L = {flat.size}": PhiFour.of_gaussian(GaussianField.on_critical_line(flat), 1),
        f"φ⁴, d = 2, L = {flat.size}": PhiFour.from_mass(flat, 1, -0.7, 0.5),
        f"Ising, d = 2, L = {flat.size}": SpinModel(flat, 1, 0.4406868),
        f"XY, d = 3, L = {deep.size}": SpinModel(deep, 2, 0.4541647),
        f"Heisenberg, d = 3, L = {deep.size}": SpinModel(deep, 3, 0.693003),
    }


def updates_for(target: HasEnergy) -> tuple[str, ...]:
    """The updates that act on a target."""
    if target.unit_length:
        return (*LOCAL[: 3 - is_ising(target)], "wolff")
    return (*LOCAL, "langevin", "hmc", "fourier_hmc", "wolff")


def measure_updates(plan: Plan) -> xr.Dataset:
    """Site updates a second: sites visited, times leapfrog steps for trajectories, or sites in clusters."""
    names, kinds, rates = [], [], []
    for label, target in targets(plan).items():
        timed = {}
        for update in updates_for(target):
            partner = () if update not in ("overrelaxation", "wolff") else (Step("heat_bath"),)
            warm = Chain(target, (*partner, Step(update)), stream("benchmark", update))
            warm.thermalise(WARMING)
            # The same field and tuned update, without its partner.
            warm.sweep, warm.updates = warm.sweep[-1:], warm.updates[-1:]
            before = warm.done
            warm.advance(WARMING)
            each = (warm.done - before) / WARMING * target.lattice.sites

            def work(chain: Chain = warm) -> None:
                chain.advance(5)

            timed[update] = plan.effort.repeated(work, 5.0 * each)
        for update, seconds in plan.effort.race(timed).items():
            names.append(label)
            kinds.append(update)
            rates.append(1.0 / seconds)
    variables = {
        "update_rate": labelled(["update_case", "repeat"], np.stack(rates), "site updates a second", "1/s"),
        "update_quartiles": labelled(["update_case", "quartile"], quartiles(np.stack(rates)), "the same", "1/s"),
        "update_target": labelled(["update_case"], strings(names), "what is sampled"),
        "update_kind": labelled(["update_case"], strings(kinds), "update"),
    }
    return xr.Dataset(variables)
