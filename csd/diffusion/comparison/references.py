"""What sampled fields should have: exact values, Monte Carlo values or those of held-out fields, with their errors.

All are values at the lowest noise level, x = α x₀ + σ z. Noise leaves connected correlations of higher order as they
are, so that from Monte Carlo values of x₀

    S → α² S + σ²,     U4 → U4 (α² χ / (α² χ + σ²))²,     ⟨|m|⟩ → α ⟨|m|⟩ up to n σ² / (2 N ⟨|m|⟩),

and the last is added to the error. The **pull** of an observable is the difference of its sampled value from the
reference over the error of this difference, √(error² + error of the reference²).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import gamma, pi, sqrt
from typing import cast

import numpy as np

from csd.diffusion.comparison.observables import SampledObservable, phase_of, sampled_observables
from csd.diffusion.reverse import ReverseDiffusion
from csd.diffusion.samples import (
    COMPARED,
    compared_fields,
    compared_with,
    exact_fields,
    held_out_samples,
    measured,
    over_held_out,
)
from csd.lattice import Array, Modes, observables
from csd.lattice.bins import LengthBins
from csd.targets.base import HasFields, HasHeldOut, HasPhases, HasSpectrum
from csd.targets.dataset import BLOCKS, FEWEST
from csd.targets.noising import NoisedTarget
from csd.targets.scores import with_nonlinear_score

SHOWN = 4
"""Fields that a file holds of each kind."""


@dataclass(frozen=True)
class Reference:
    """Values that sampled fields are compared with.

    Attributes:
        kind: 'exact', 'Monte Carlo' or 'held-out'.
        values: (value, standard error) of each observable, by its name.
        magnetisations: M/N of fields of the target at the lowest level, shape (fields,).
        fields: some of these, shape (shown, sites).
    """

    kind: str
    values: dict[str, tuple[Array, Array]]
    magnetisations: Array
    fields: Array

    def pulls(self, name: str, value: Array, error: Array) -> Array:
        """(sampled − reference) / √(errors²); NaN where neither has an error."""
        right, uncertain = self.values[name]
        with np.errstate(divide="ignore", invalid="ignore"):
            pull = np.asarray((value - right) / np.hypot(error, uncertain))
        return np.where(np.isfinite(pull), pull, np.nan)


def reference_kind(target: HasSpectrum) -> str:
    """What fields of a target are compared with: 'exact' values, 'Monte Carlo' values or 'held-out' fields."""
    if not isinstance(target, HasFields):
        return "exact"
    long_run = not isinstance(target, HasHeldOut) and getattr(target, "spectrum_error", None) is not None
    return "Monte Carlo" if long_run else "held-out"


def score_kind(target: HasSpectrum) -> str:
    """What −K∗(x − α μ) with K = 1/C_t is: the "exact" score or, where that is not linear, the "best linear" one."""
    return "exact" if with_nonlinear_score(target) is None else "best linear"


def all_observables(reverse: ReverseDiffusion) -> dict[str, SampledObservable]:
    """The observables of sampled fields by name, S(k) in bins included."""
    own, noised = {"power_spectrum": SampledObservable(np.asarray, ("spectrum",))}, reverse.noised
    fields = noised.lattice, float(noised.means[-1]), reverse.components or 1
    return own | sampled_observables(*fields, phases=phase_of(noised) is not None)


def reference_of(reverse: ReverseDiffusion, bins: LengthBins, run: str, *, whole: bool = True) -> Reference:
    """The reference of the fields that reverse diffusion generates.

    Args:
        reverse: that generates them.
        bins: of wavenumbers, at the lattice's *pairs*.
        run: name of the random streams.
        whole: whether exact fields are drawn.
    """
    noised, mean = reverse.noised, float(reverse.noised.means[-1])
    target, lattice, kind = noised.target, noised.lattice, reference_kind(noised.target)
    if not isinstance(target, HasFields):
        count = compared_fields(noised.lattice, COMPARED) if whole else 0
        fields = mean + (exact_fields(reverse, count, run, "reference") if count else np.empty((0, lattice.sites)))
        return Reference(kind, _exact_values(noised, bins), fields.mean(axis=1), fields[:SHOWN])
    values: dict[str, tuple[Array, Array]] = {}
    count = compared_with(reverse)
    magnetisations, shown = np.empty(0), np.empty((0, lattice.sites * (reverse.components or 1)))
    if count >= FEWEST:
        states = (
            lattice.gather(lattice.transform(own), lattice.pairs) / np.sqrt(lattice.sites)
            for own in held_out_samples(reverse, run, range(count))
        )
        found = measured(lattice, states, bins, count, mean, min(BLOCKS, count))
        values = {name: one.of(found) for name, one in all_observables(reverse).items()}
        magnetisations, shown = found.magnetisations, found.fields[:SHOWN] + mean
    if kind == "Monte Carlo":
        values |= _monte_carlo_values(reverse, bins)
    return Reference(kind, values, magnetisations, shown)


def _exact_values(noised: NoisedTarget, bins: LengthBins) -> dict[str, tuple[Array, Array]]:
    """Those of Gaussian fields of the target's spectrum and mean, or of its phases, without errors."""
    lattice, pairs, mean = noised.lattice, noised.lattice.pairs, float(noised.means[-1])
    values = _of_spectrum(noised, bins, noised.spectra_at(pairs)[-1], pairs)
    modulus, cumulant = observables.normal_magnetisation(mean, values["susceptibility"] / lattice.sites)
    found: dict[str, Array | float] = {
        **values,
        "mean": mean,
        "skewness": 0.0,
        "excess_kurtosis": 0.0,
        "absolute_magnetisation": modulus,
        "binder": cumulant,
    }
    if isinstance(noised.target, HasPhases):
        found |= noised.target.phase_values(float(noised.signals[-1]), float(noised.variances[-1]))
    return {name: (np.asarray(value), np.zeros_like(value)) for name, value in found.items()}


def _of_spectrum(noised: NoisedTarget, bins: LengthBins, spectrum: Array, modes: Modes) -> dict[str, Array]:
    """S(k) in bins, χ, ξ, energy and ⟨φ²⟩ of a spectrum of shape (…, modes)."""
    lattice = noised.lattice
    at_pairs = lattice.gather(lattice.spread(spectrum, modes), lattice.pairs) if modes.isotropic else spectrum
    return {
        "power_spectrum": bins.mean(at_pairs),
        **observables.spectral_observables(lattice, modes, spectrum),
    }


def _monte_carlo_values(reverse: ReverseDiffusion, bins: LengthBins) -> dict[str, tuple[Array, Array]]:
    """Those of the long run of a Monte Carlo file, with errors that include the autocorrelation of its chains."""
    noised = reverse.noised
    target, modes = noised.target, noised.modes
    signal, variance, sites = float(noised.signals[-1]), float(noised.variances[-1]), noised.lattice.sites
    spectrum = noised.spectra_at(modes)[-1]
    found: dict[str, tuple[Array, Array]] = {}
    for name, value in _of_spectrum(noised, bins, spectrum, modes).items():
        error, _ = over_reference(noised, modes, lambda own: _of_spectrum(noised, bins, own, modes)[name])  # noqa: B023
        found[name] = value, error
    estimates: Mapping[str, tuple[float, float]] = getattr(target, "estimates", {})
    known = {name: own for name, own in estimates.items() if np.isfinite(own).all()}
    count = int(getattr(target, "components", 1))
    learned = reverse.components or 1
    # ⟨φ²⟩ of a file is that of all components together.
    for name in known.keys() & {"susceptibility", *["variance"] * (count == 1)}:
        found[name] = np.asarray(signal**2 * known[name][0] + variance), np.asarray(signal**2 * known[name][1])
    # A component m_a of m that is learned by itself: its U4 is that of m, as ⟨m_a⁴⟩/⟨m_a²⟩² is 3n/(n + 2) of
    # ⟨|m|⁴⟩/⟨|m|²⟩² where all directions are equally probable, and ⟨|m_a|⟩ is the mean of |cos θ| of ⟨|m|⟩.
    cosine = 1.0 if learned == count else gamma(0.5 * count) / (sqrt(pi) * gamma(0.5 * (count + 1)))
    if "binder" in known and "susceptibility" in known:
        left = (signal**2 * known["susceptibility"][0] / float(found["susceptibility"][0])) ** 2
        # Files have 1 − ⟨m⁴⟩ / (3 ⟨m²⟩²) for any number of components n, samples n / (n + 2) in place of ⅓.
        share = 3.0 * count / (count + 2.0)
        cumulant, scatter = 1.0 - share * (1.0 - known["binder"][0]), share * known["binder"][1]
        found["binder"] = np.asarray(left * cumulant), np.asarray(left * scatter)
    if "magnetisation" in known:
        modulus, scatter = (signal * cosine * own for own in known["magnetisation"])
        added = 0.5 * learned * variance / (sites * modulus)
        found["absolute_magnetisation"] = np.asarray(modulus), np.hypot(scatter, added)
    return found


def over_reference(noised: NoisedTarget, modes: Modes, statistic: Callable[[Array], Array]) -> tuple[Array, Array]:
    """(standard error, bias) of a function of the target's C(k) at the lowest level, by the errors of this spectrum.

    For held-out fields they are those of the jackknife, for a Monte Carlo file with errors e(k) of independent modes

        error² = Σ_k [(f(C + e_k) − f(C − e_k)) / 2]²,     bias = Σ_k [f(C + e_k) + f(C − e_k) − 2 f(C)] / 2,

    and 0 for an exact spectrum.

    Args:
        noised: the target.
        modes: of C.
        statistic: function of C, shape (…, modes) → (…, *value).
    """
    error = getattr(noised.target, "spectrum_error", None)
    if isinstance(noised.target, HasHeldOut):
        return over_held_out(noised, modes, statistic)[1:]
    exact = noised.spectra_at(modes)[-1]
    value = statistic(exact)
    if error is None:
        return np.zeros_like(value), np.zeros_like(value)
    shift = np.diag(noised.signals[-1] ** 2 * cast("Array", error))
    above, below = statistic(exact + shift), statistic(np.maximum(exact - shift, 0.5 * exact))
    return np.sqrt((0.25 * (above - below) ** 2).sum(axis=0)), 0.5 * (above + below - 2.0 * value).sum(axis=0)
