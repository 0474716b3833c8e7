"""Ensembles: the results of samplers on one target, as the content of a file (docs/results.md).

Several samplers share a target and a process. Each has random streams of its own, so its results do not depend on the
other samplers. Autocorrelation times are in sweeps. The cost of a sweep is given in *field updates* (visits of all
sites), and its duration in *dynamic time*, in which dynamic exponents are defined: sweeps of a local update, or the
time of Hamilton's or Langevin's equations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, nan, sqrt
from typing import Any

import numpy as np

from csd.core.errors import InputError
from csd.core.files import Content, Variable, labelled
from csd.lattice import Array, Lattice
from csd.lattice.memory import require_memory
from csd.mcmc.autocorrelation import LARGEST_R_HAT, LENGTH, WINDOW, Estimate, constant
from csd.mcmc.chains import Chains, run_chains
from csd.mcmc.exact_sweeps import exact_times
from csd.mcmc.samplers import sweep_of
from csd.mcmc.simulation import COMPONENT, SERIES, MonteCarloSettings, exact_values
from csd.mcmc.updates.hamiltonian import HybridMonteCarlo
from csd.targets.base import HasEnergy, spec_of

CONVENTION = "tau = 1/2 + sum of rho(t) over t >= 1, in sweeps"
"""The convention for τ in files."""
OBSERVABLES = (*SERIES, COMPONENT, "susceptibility", "variance", "binder")
"""Observables with a mean, an error and a τ: the series, a component of m, χ = N⟨m²⟩/n, ⟨φ²⟩ per site, and
U = 1 − ⟨m⁴⟩/(3⟨m²⟩²)."""
SLOW = tuple(SERIES)
"""Observables whose τ must be known, and which must be independent between stored fields."""
CONSTANT = "constant"
"""First word of the remark on an observable that is constant on some chain."""
RESOLVED = 1.0
"""Smallest τ in measurements of several sweeps; below it, the measured τ is an upper bound."""
FINE = 256
"""Precision of time series in files; rounding adds white noise of at most 1/(12 · 256²) = 1.3e-6 of their variance."""
BLOCKS = 8
"""Number of blocks of a chain, whose scatter gives the error of its power spectrum."""
VARIABLES: dict[str, tuple[str, ...]] = {
    **{name: ("sampler chain measurement", about) for name, (_, about) in SERIES.items()},
    COMPONENT: ("sampler chain component measurement", "m = (1/N) sum of phi, each component with its sign"),
    "mean": ("sampler observable", "mean over all chains after the cut"),
    "error": ("sampler observable", "its standard error, NaN where the chains are too short"),
    "error_of_error": ("sampler observable", "standard error of the error"),
    "exact": ("observable", "exact value, where known"),
    "tau": ("sampler observable", "integrated autocorrelation time", "sweeps"),
    "tau_error": ("sampler observable", "its standard error", "sweeps"),
    "exact_tau": ("sampler observable", "tau by the matrix of a sweep at the measured acceptance, if known", "sweeps"),
    "r_hat": ("sampler observable", "split R-hat over chains"),
    "remark": ("sampler observable", "reason why there is no error, if there is none"),
    "acceptance": ("sampler chain update", "acceptance of each update; of clusters: sites reflected over all sites"),
    "step_size": ("sampler chain update", "tuned step, or number of clusters, of each update; NaN if it has neither"),
    "field_updates": ("sampler chain", "visits of all sites, leapfrog steps, or sites in clusters over N", "per sweep"),
    "dynamic_time": ("sampler", "field updates, or the time of Hamilton's or Langevin's equations", "per sweep"),
    "thermalisation_cut": ("sampler", "number of first sweeps that are discarded", "sweeps"),
    "update_name": ("sampler update", "updates in a sweep"),
    "update_times": ("sampler update", "number of times that a sweep applies each update"),
    "sampler": ("sampler", "sampler"),
    "observable": ("observable", "observable"),
    "chain": ("chain", "Markov chain"),
    "sweep": ("measurement", "sweeps after thermalisation", "sweeps"),
    "power_spectrum": ("mode", "S(k) a component, of all measurements but each chain's first eighth"),
    "power_spectrum_error": ("mode", "its standard error, from the scatter of blocks"),
    "wave_number": ("mode axis", "n of k = 2 pi n / L"),
    "multiplicity": ("mode", "momenta that the mode stands for"),
}
"""Variables of a file: dimensions, long name, and units if there are any."""


def _variable(name: str, values: Any) -> Variable:
    """One of `VARIABLES`; a time series is stored in integer multiples of a step."""
    dims, *about = VARIABLES[name]
    step = _step_of(values) if dims.startswith("sampler") and dims.endswith("measurement") else None
    return labelled(dims.split(), values, *about, step=step)


def _step_of(series: Sequence[Array]) -> float | None:
    """The largest power of two below σ / `FINE` of the series of all samplers; None if all are constant, or float32
    does not hold it.
    """
    spread = min((deviation for deviation in map(np.std, series) if deviation > 0.0), default=0.0)
    return 2.0 ** np.floor(np.log2(spread / FINE)) if 1e-30 < spread < 1e30 else None


class SpectrumBlocks:
    """Mean power spectrum of each block of each chain, at the lattice's *shells*.

    Args:
        lattice: where the fields live.
        chains: number of chains.
        measurements: number of measurements of each chain.
    """

    def __init__(self, lattice: Lattice, chains: int, measurements: int) -> None:
        self.lattice, self.length = lattice, max(1, measurements // BLOCKS)
        self.sums = np.zeros((chains, max(1, measurements // self.length), len(lattice.shells)))

    def __call__(self, chain: int, measurement: int, field: Array) -> None:
        """Add a field of shape (n, *lattice.shape), unless it comes after the last whole block."""
        block = measurement // self.length
        if block < self.sums.shape[1]:
            self.sums[chain, block] += shell_spectrum(self.lattice, field)

    def estimate(self) -> tuple[Array, Array]:
        """(S, standard error from the scatter of blocks), without each chain's first block; shape (shells,) each."""
        first = 1 if self.sums.shape[1] > 2 else 0
        blocks = self.sums[:, first:].reshape(-1, self.sums.shape[-1]) / self.length
        return blocks.mean(axis=0), blocks.std(axis=0, ddof=1) / sqrt(len(blocks))


def shell_spectrum(lattice: Lattice, fields: Array) -> Array:
    """S(k) averaged over fields and over the momenta of each shell; shape (…, *lattice.shape) → (shells,)."""
    power = lattice.power_spectrum(fields.reshape(-1, *lattice.shape)).mean(axis=0).ravel()
    weighted = np.bincount(lattice.shell_of_half, weights=lattice.half_multiplicity.ravel() * power)
    return weighted / lattice.shells.multiplicity


def _observed(found: Chains, name: str) -> Estimate:
    """The estimate of one observable; a remark says why it has no error."""
    names, function = found.functions.get(name) or ((SERIES[name][0] if name in SERIES else "phi2",), None)
    rows = [found.one_component] if name == COMPONENT else [found.series[each][:, found.cut :] for each in names]
    if constant(rows[0]).any():
        # NaN if m = 0 in all measurements.
        with np.errstate(invalid="ignore"):
            means = [each.mean() for each in rows]
            value = float(means[0] if function is None else function(*means))
        return Estimate(value, nan, nan, nan, nan, nan, rows[0].size, f"{CONSTANT}: never changes on some chain")
    return found.component() if name == COMPONENT else found.estimate(*names, of=function)


@dataclass(frozen=True)
class Found:
    """The results of one sampler, and exact autocorrelation times where they are known."""

    chains: Chains
    estimates: dict[str, Estimate]
    time_per_sweep: float
    steps: Array
    exact: dict[str, float]

    @property
    def known(self) -> list[Estimate]:
        """The estimates of the series and of a component of m whose τ is known."""
        return [one for one in (self.estimates[name] for name in (*SLOW, COMPONENT)) if not one.remark]

    @property
    def spacing(self) -> int:
        """Sweeps between independent fields: twice the largest τ plus its error, of all series and of m.

        Without a source, stored fields are rotated, so τ of m is taken into account only if it is known. It is not if
        the chains are in different ordered phases or shorter than the time in which m turns, but then even observables
        do not depend on it.

        Raises:
            InputError: if the chains still depend on their start, are too short, or do not move.
        """
        found = self.chains
        no_fields = "fields cannot be kept:"
        if all(self.estimates[name].remark.startswith(CONSTANT) for name in (*SLOW, COMPONENT)):
            advice = "take another sampler or step, or more sweeps"
            raise InputError(f"{no_fields} some chain did not move; {advice}")
        if 2 * found.cut >= found.series["energy"].shape[1] - 10:
            late = "the chains depend on their start for more than half of their sweeps"
            raise InputError(f"{no_fields} {late}; take more sweeps or thermalisation")
        for name in SLOW:
            remark = self.estimates[name].remark
            # A series that is constant and equal on all chains is in equilibrium, as for spins in their ground state.
            if remark.startswith(CONSTANT) and constant(found.series[SERIES[name][0]][:, found.cut :].reshape(1, -1)):
                continue
            if remark:
                raise InputError(f"{no_fields} {name} is {remark}")
        if not self.known:
            raise InputError(f"{no_fields} {COMPONENT} is {self.estimates[COMPONENT].remark}")
        return ceil(2.0 * max(one.tau + one.tau_error for one in self.known) * found.every)


def sample(
    target: HasEnergy, name: str, settings: MonteCarloSettings, look: Any = None, purpose: str = "ensemble"
) -> Found:
    """Run one sampler.

    Args:
        target: the target.
        name: of the sampler.
        settings: of the simulation.
        look: called with (chain, measurement, field) at each measurement.
        purpose: first part of the names of the random streams.
    """
    about = sorted(spec_of(target).items()), name, sorted(settings.options.items()), settings.seed
    found = run_chains(
        target,
        sweep_of(name, target, **settings.options),
        purpose,
        *about,
        chains=settings.chains,
        measurements=settings.sweeps // settings.every,
        thermalisation=settings.warming,
        every=settings.every,
        look=look,
    )
    estimates = {observable: _observed(found, observable) for observable in OBSERVABLES}
    steps = np.array([[_step(update) for update in chain.updates] for chain in found.chains])
    first = [chain.updates[0] for chain in found.chains]
    times = [update.time for update in first if isinstance(update, HybridMonteCarlo)]
    tuned, accepted = steps[:, 0].tolist(), found.accepted[:, 0].tolist()
    exact = exact_times(target, name, every=settings.every, steps=tuned, accepted=accepted, **settings.options)
    return Found(found, estimates, float(np.mean(times or found.updates)), steps, exact)


def _step(update: Any) -> float:
    """The tuned step of an update, or its number of clusters; NaN if it has neither."""
    if hasattr(update, "clusters"):
        return float(update.clusters)
    return float(update.step.value) if hasattr(update, "step") else float("nan")


def ensemble(target: HasEnergy, settings: MonteCarloSettings, purpose: str = "ensemble") -> Content:
    """Run all samplers of the settings; returns the content of a file.

    Args:
        target: the target.
        settings: of the simulation.
        purpose: first part of the names of the random streams: simulations of other purposes have other chains.

    Returns:
        Variables of the dimensions sampler, chain, measurement, observable, update (of a sweep); with fields also
        field, component, x, y, z, mode.

    Raises:
        InputError: if a sampler cannot act on the target, or fields are requested but the chains are not in
            equilibrium.
    """
    sweeps = [sweep_of(name, target, **settings.options) for name in settings.samplers]
    measurements = settings.sweeps // settings.every
    numbers = len(sweeps) * settings.chains * measurements * (len(SERIES) + 2 + target.components)
    fields = (settings.chains + settings.fields + 4) * target.components
    # Besides the fields of chains, tables of neighbours and waves.
    numbers += (fields + 8 * target.lattice.dimension) * target.lattice.sites
    require_memory(numbers, "storing chains, measurements and fields")
    spectrum = SpectrumBlocks(target.lattice, settings.chains, measurements) if settings.fields else None
    found = {name: sample(target, name, settings, spectrum, purpose) for name in settings.samplers}
    parts = max(map(len, sweeps))

    def all_of(attribute: str) -> Array:
        return np.array([[getattr(one.estimates[name], attribute) for name in OBSERVABLES] for one in found.values()])

    def padded(tables: list[Any], dtype: Any = float, fill: Any = np.nan) -> Any:
        """Values of each update in the sweeps of the samplers, padded to the longest sweep."""
        wide = np.full((len(tables), *np.shape(tables[0])[:-1], parts), fill, dtype)
        for row, table in zip(wide, tables, strict=True):
            row[..., : np.shape(table)[-1]] = table
        return wide

    exact = exact_values(target)
    unknown = np.isnan(all_of("error")) | (all_of("tau") < RESOLVED * (settings.every > 1))
    samplers = [one.chains for one in found.values()]
    values: dict[str, Any] = {
        **{name: [one.series[key] for one in samplers] for name, (key, _) in SERIES.items()},
        COMPONENT: [one.components for one in samplers],
        "mean": all_of("value"),
        "error": all_of("error"),
        "error_of_error": all_of("error_of_error"),
        "exact": [exact.get(name, np.nan) for name in OBSERVABLES],
        "tau": settings.every * all_of("tau"),
        "tau_error": settings.every * np.where(unknown, np.nan, all_of("tau_error")),
        "exact_tau": [[one.exact.get(name, np.nan) for name in OBSERVABLES] for one in found.values()],
        "r_hat": all_of("r_hat"),
        "remark": all_of("remark").astype(object),
        "acceptance": padded([one.accepted for one in samplers]),
        "step_size": padded([one.steps for one in found.values()]),
        "field_updates": [one.updates for one in samplers],
        "dynamic_time": [one.time_per_sweep for one in found.values()],
        "thermalisation_cut": [settings.every * one.cut for one in samplers],
        "update_name": padded([[step.update for step in sweep] for sweep in sweeps], object, ""),
        "update_times": padded([[step.times for step in sweep] for sweep in sweeps], np.int64, 0),
    }
    variables = {name: _variable(name, value) for name, value in values.items()}
    attrs = spec_of(target) | {
        "seed": settings.seed,
        "sweeps": settings.sweeps,
        "sweeps_between_measurements": settings.every,
        "thermalisation_sweeps": settings.warming,
        "autocorrelation_convention": CONVENTION,
        "autocorrelation_window": f"automatic, S = {WINDOW:g} (Wolff, Comput. Phys. Commun. 156, 143, 2004), pyerrors",
        "note_tail": "that of the slowest series attached (Schaefer, Sommer, Virotta, Nucl. Phys. B 845, 93, 2011)",
        "note_error": f"NaN for fewer than {LENGTH:g} tau measurements a chain, or R-hat above {LARGEST_R_HAT:g}",
        "note_tau_error": "the larger of the Gamma method's and a jackknife's over blocks; NaN as well where tau is"
        " less than the sweeps between measurements, and an upper bound",
    }
    coordinates = {
        "sampler": _variable("sampler", np.array(settings.samplers, dtype=object)),
        "observable": _variable("observable", np.array(OBSERVABLES, dtype=object)),
        "chain": _variable("chain", np.arange(settings.chains)),
        "sweep": _variable("sweep", settings.every * np.arange(1, measurements + 1)),
    }
    if spectrum is not None:
        (one,) = found.values()
        kept, about = _fields(one, target, settings, spectrum)
        variables |= kept
        attrs |= about
        coordinates |= {
            "wave_number": _variable("wave_number", target.lattice.shells.numbers.astype(np.int32)),
            "multiplicity": _variable("multiplicity", target.lattice.shells.multiplicity),
        }
    return Content(variables, coordinates, attrs)


def _fields(
    one: Found, target: HasEnergy, settings: MonteCarloSettings, spectrum: SpectrumBlocks
) -> tuple[dict[str, Variable], dict[str, Any]]:
    """Variables and attributes of decorrelated fields, with the power spectrum of the long run."""
    spacing = one.spacing
    fields = one.chains.decorrelated(spacing, settings.fields)
    mean, error = spectrum.estimate()
    dims = ["field", "component", *("x", "y", "z")[: target.lattice.dimension]]
    return {
        "fields": labelled(dims, fields.astype(np.float32), "decorrelated fields, fields_spacing sweeps apart"),
        "power_spectrum": _variable("power_spectrum", mean),
        "power_spectrum_error": _variable("power_spectrum_error", error),
    }, {
        "fields_spacing": spacing,
        "fields_r_hat": max(estimate.r_hat for estimate in one.known),
        "note_fields_spacing": "sweeps, twice the largest tau and its error, of all series and of m where it is known",
        "note_fields_rotation": "each field by a random element of O(n)" if target.source == 0.0 else "none",
    }


def summary_lines(content: Content) -> list[str]:
    """The content of a file as text, with one line for each observable of each sampler."""
    lines = []
    exact = dict(zip(content["observable"].values, content["exact"].values, strict=True))
    for row, sampler in enumerate(content["sampler"].values):
        updates = float(np.mean(content["field_updates"].values[row]))
        accepted = float(np.mean(content["acceptance"].values[row, :, 0]))
        cut = int(content["thermalisation_cut"].values[row])
        lines.append(
            f"{sampler}: {updates:.4g} field updates a sweep, acceptance {accepted:.2f}, first {cut} sweeps cut"
        )
        for place, name in enumerate(content["observable"].values):
            columns = ("mean", "error", "tau", "tau_error")
            mean, error, tau, tau_error = (float(content[column].values[row, place]) for column in columns)
            known = f", exact {exact[name]:.6g}" if exact[name] == exact[name] else ""
            remark = str(content["remark"].values[row, place])
            shown = f"{mean:.6g}" if remark else f"{mean:.6g} ± {error:.2g}"
            seldom = f"tau at most {tau:.3g} sweeps, which is less than the time between measurements"
            time = remark or (f"tau {tau:.4g} ± {tau_error:.2g} sweeps" if tau_error == tau_error else seldom)
            lines.append(f"  {name:<25}{shown}{known}; {time}")
    return lines
