"""Markov chains of a model, and what is measured on them.

    energy H/N    magnetisation |m|, m = (1/N) Σ_r φ    m² , m⁴    φ² = (1/N) Σ_r φ(r)²    first_mode (1/n) S(k₁)

Each chain has a stream of its own and tunes itself alone, so its numbers do not depend on how many chains run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from csd.autocorrelation import CONVENTION, WINDOW, Estimate, constant, estimate, thermalisation_cut
from csd.errors import InputError
from csd.lattice import Array
from csd.model import Model
from csd.sites import neighbours, site_sums
from csd.stream import stream
from csd.updates import Update, make_update

Measure = Callable[[Array], float]


@dataclass(frozen=True)
class Step:
    """Part of a sweep: an update, some times over.

    Attributes:
        update: a name of `csd.updates.UPDATES`.
        times: how often a sweep applies it.
        options: of the update.
    """

    update: str
    times: int = 1
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Chains:
    """What chains have left behind.

    Attributes:
        model: the target.
        sweep: the steps of a sweep.
        every: sweeps from one measurement to the next.
        thermalisation: sweeps before the first measurement.
        series: of each observable, shape (chains, measurements), from the first measurement after tuning.
        cut: how many of them to leave out, as the chains still remember their start.
        fields: where the chains stand, shape (chains, n, *lattice.shape).
        accepted: mean acceptance of each step of the sweep, shape (chains, steps).
    """

    model: Model
    sweep: tuple[Step, ...]
    every: int
    thermalisation: int
    series: dict[str, Array]
    cut: int
    fields: Array
    accepted: Array

    def estimate(self, *names: str, of: Callable[..., object] | None = None) -> Estimate:
        """The mean of an observable, or a function of the means of several; see `csd.autocorrelation.estimate`."""
        return estimate(*(self.series[name][:, self.cut :] for name in names), of=of)

    def binder(self) -> Estimate:
        """U = 1 − ⟨m⁴⟩ / (3 ⟨m²⟩²)."""
        return self.estimate("m2", "m4", of=lambda second, fourth: 1.0 - fourth / (3.0 * second * second))

    def susceptibility(self) -> Estimate:
        """χ = N ⟨m²⟩ / n."""
        scale = self.model.lattice.sites / self.model.components
        return self.estimate("m2", of=lambda second: scale * second)

    def connected_susceptibility(self) -> Estimate:
        """N (⟨m²⟩ − ⟨|m|⟩²)."""
        sites = self.model.lattice.sites
        return self.estimate("m2", "magnetisation", of=lambda second, first: sites * (second - first * first))

    def dataset(self) -> xr.Dataset:
        """The series, where chains stand, and how they came about; τ's convention and the cut in the attributes.

        Variables: each series (chain, measurement), `accepted` (chain, step), and for every series that is no constant
        `mean`, `error`, `tau`, `tau_error`, `r_hat` and `remark` (observable).
        """
        moving = [name for name, rows in self.series.items() if not constant(rows[:, self.cut :]).any()]
        estimates = [self.estimate(name) for name in moving]
        columns = {
            "mean": [found.value for found in estimates],
            "error": [found.error for found in estimates],
            "tau": [found.tau for found in estimates],
            "tau_error": [found.tau_error for found in estimates],
            "r_hat": [found.r_hat for found in estimates],
            "remark": [found.remark for found in estimates],
        }
        return xr.Dataset(
            {name: (("chain", "measurement"), rows) for name, rows in self.series.items()}
            | {"accepted": (("chain", "step"), self.accepted)}
            | {name: ("observable", values) for name, values in columns.items()},
            coords={"observable": moving, "step": [step.update for step in self.sweep]},
            attrs={
                "model": repr(self.model),
                "sweep": ", ".join(f"{step.update} x {step.times}" for step in self.sweep),
                "sweeps_between_measurements": self.every,
                "thermalisation_sweeps": self.thermalisation,
                "thermalisation_cut": self.cut,
                "autocorrelation_convention": CONVENTION,
                "autocorrelation_window": f"automatic, S = {WINDOW} (Wolff 2004)",
            },
        )


def run_chains(
    model: Model,
    sweep: Sequence[Step],
    *purpose: object,
    chains: int,
    measurements: int,
    thermalisation: int,
    every: int = 1,
    measures: Mapping[str, Measure] | None = None,
) -> Chains:
    """Run Markov chains from disordered fields.

    Args:
        model: the target.
        sweep: the steps of one sweep, in order.
        purpose: what the chains' streams hang on.
        chains: how many.
        measurements: of each chain.
        thermalisation: sweeps before them, in which steps are tuned.
        every: sweeps from one measurement to the next.
        measures: further observables, each a function of a field of shape (n, *lattice.shape).

    Raises:
        InputError: if a count is too low, or the sweep cannot act on the model or does not reach every field.
    """
    for name, value, least in (
        ("chains", chains, 1),
        ("measurements", measurements, 1),
        ("thermalisation", thermalisation, 0),
        ("every", every, 1),
        *((f"times of {step.update!r}", step.times, 1) for step in sweep),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{name} is {value!r}; it must be an integer of at least {least}")
    if not any(update.ergodic for update in _updates(model, sweep)):
        raise InputError(
            f"a sweep of {', '.join(repr(step.update) for step in sweep) or 'nothing'} does not reach every field; add"
            " 'heat_bath', 'metropolis' or 'hmc'"
        )
    extra = dict(measures or {})
    names = ["energy", "magnetisation", "m2", "m4", "phi2", "first_mode", *extra]
    series = {name: np.empty((chains, measurements)) for name in names}
    fields = np.empty((chains, model.components, *model.lattice.shape))
    accepted = np.zeros((chains, len(sweep)))
    for chain in range(chains):
        generator = stream("chain", *purpose, chain)
        updates = _updates(model, sweep)
        fields[chain] = model.start(generator)
        flat = fields[chain].reshape(model.components, -1)
        for _ in range(thermalisation):
            for step, update in zip(sweep, updates, strict=True):
                for _ in range(step.times):
                    update.adapt(update.apply(flat, generator))
        for measurement in range(measurements):
            for _ in range(every):
                for place, (step, update) in enumerate(zip(sweep, updates, strict=True)):
                    for _ in range(step.times):
                        accepted[chain, place] += update.apply(flat, generator) / step.times
            measured = _measure(model, fields[chain])
            measured |= {name: function(fields[chain]) for name, function in extra.items()}
            for name, number in measured.items():
                series[name][chain, measurement] = number
    cut = thermalisation_cut(series["energy"], series["m2"])
    return Chains(model, tuple(sweep), every, thermalisation, series, cut, fields, accepted / (measurements * every))


def _updates(model: Model, sweep: Sequence[Step]) -> list[Update]:
    return [make_update(step.update, model, **step.options) for step in sweep]


def _measure(model: Model, values: Array) -> dict[str, float]:
    lattice, components = model.lattice, model.components
    sums = np.empty(3 + components)
    site_sums(values.reshape(components, -1), neighbours(lattice), sums)
    mean = sums[3:] / lattice.sites
    second = float(mean @ mean)
    return {
        "energy": float(model.energy_of_sums(sums)) / lattice.sites,
        "magnetisation": second**0.5,
        "m2": second,
        "m4": second**2,
        "phi2": float(sums[1]) / lattice.sites,
        "first_mode": _first_mode(values, lattice.dimension, lattice.size),
    }


def _first_mode(values: Array, dimension: int, size: int) -> float:
    """(1/n) Σ_a S_a(k₁), averaged over the axes."""
    total = 0.0
    for axis in range(dimension):
        others = tuple(1 + other for other in range(dimension) if other != axis)
        transformed = np.fft.rfft(values.sum(axis=others))[:, 1]
        total += float((transformed.real**2 + transformed.imag**2).sum())
    return total / (dimension * len(values) * size**dimension)
