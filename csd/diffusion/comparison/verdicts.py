"""Verdicts from samples: a criterion is met, missed or undecided by two standard errors.

The criteria of `csd.diffusion.criteria` are functions of the generated variances V(k). For a score without a kernel
these are estimated from fields, so each deviation d has an error e by the jackknife, and a bias, which is subtracted.
With the limit l a criterion is

    met          if |d| + 2 e ≤ l,
    missed       if |d| − 2 e > l,
    undecided    otherwise.

Fields are drawn until all criteria are decided, or until more of them would decide none: their number starts at
`FEWEST` and doubles up to `most_fields`. It depends on counts and on the fields alone, never on time.

Two deviations are continued to where they are not defined, so that their errors stay known: with r = S(0)/S(k₁) − 1
that of ξ is sign(r) √|r / r_exact| − 1, and that of the effective sample size is linear in ρ below `LOWEST_RATIO`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from csd.diffusion import criteria
from csd.diffusion.comparison.references import over_reference
from csd.diffusion.criteria import CRITERIA, LIMITS
from csd.diffusion.reverse import ReverseDiffusion
from csd.diffusion.samples import BLOCKS, jackknife
from csd.lattice import Array, ComplexArray, Lattice, Modes, observables
from csd.targets.noising import NoisedTarget

MET, MISSED, UNDECIDED = "met", "missed", "undecided"
SIGMAS = 2.0
"""Standard errors that decide."""
FEWEST = 256
"""Fields that are drawn first."""
MOST, MOST_NUMBERS = 2**14, 2**22
"""Most fields that are drawn, and most numbers in them."""
LOWEST_RATIO = 0.55
"""ρ = V/C below which ln(ESS/M) is continued linearly; it is infinite at ½."""


def most_fields(lattice: Lattice) -> int:
    """The most fields that are drawn to decide criteria; a multiple of `FEWEST`."""
    return max(FEWEST, min(MOST, MOST_NUMBERS // lattice.sites) // FEWEST * FEWEST)


@dataclass(frozen=True)
class Judgement:
    """The criteria by samples, in the order of `CRITERIA`.

    Attributes:
        deviations: d, with the sign of χ and ξ, shape (criteria,).
        errors: e, same shape.
        of_reference: the part of e that is the reference's, same shape.
    """

    deviations: Array
    errors: Array
    of_reference: Array

    @property
    def verdicts(self) -> NDArray[np.object_]:
        """'met', 'missed' or 'undecided', shape (criteria,)."""
        size, limits = np.abs(self.deviations), np.array([*LIMITS.values()])
        # KL and ln(ESS/M) have no lower limit; by noise they may be below 0.
        size = np.where([name in ("susceptibility", "correlation_length") for name in CRITERIA], size, self.deviations)
        met, missed = size + SIGMAS * self.errors <= limits, size - SIGMAS * self.errors > limits
        return np.where(met, MET, np.where(missed, MISSED, UNDECIDED)).astype(object)

    @property
    def open(self) -> bool:
        """Whether more fields can decide a criterion that is undecided: not where the reference is not known enough."""
        distance = np.abs(np.abs(self.deviations) - np.array([*LIMITS.values()]))
        return bool(((self.verdicts == UNDECIDED) & (distance > SIGMAS * self.of_reference)).any())


class BlockSpectra:
    """Power spectra of blocks of sampled fields about the target's mean.

    Args:
        noised: the target.
        count: number of fields.
    """

    def __init__(self, noised: NoisedTarget, count: int) -> None:
        lattice, pairs = noised.lattice, noised.lattice.pairs
        self.noised, self.count = noised, count
        self.counts = np.zeros(min(count, BLOCKS))
        self.sums = np.zeros((len(self.counts), len(pairs)))
        self._constant = np.where(pairs.laplacian == 0.0, noised.means[-1] * np.sqrt(lattice.sites), 0.0)

    def passing(self, drawn: Iterable[ComplexArray]) -> Iterator[ComplexArray]:
        """The same fields, x̂/√N at the *pairs*, each of which is added to its block; a mean over components."""
        for sample, state in enumerate(drawn):
            block, about = sample * len(self.counts) // self.count, state - self._constant
            self.counts[block] += 1
            self.sums[block] += np.atleast_2d(about.real**2 + about.imag**2).mean(axis=0)
            yield state

    def at(self, modes: Modes) -> Array:
        """The sums at the modes of the target's spectrum, averaged over *shells* if these are the modes."""
        if not modes.isotropic:
            return self.sums
        lattice, pairs = self.noised.lattice, self.noised.lattice.pairs
        shell = lattice.shell_of_half[pairs.half_index]
        rows = [np.bincount(shell, weights=pairs.multiplicity * row) for row in self.sums]
        return np.array(rows) / modes.multiplicity


def judgement_of(reverse: ReverseDiffusion, spectra: BlockSpectra) -> Judgement:
    """The criteria by the spectra of sampled fields."""
    noised, modes = reverse.noised, reverse.noised.modes
    exact, sums = noised.spectra_at(modes)[-1], spectra.at(modes)

    def deviations(generated: Array, right: Array) -> Array:
        return signed_deviations(noised.lattice, modes, generated, right, reverse.exact_divergence)

    value, error, bias = jackknife(lambda own: deviations(own, exact), spectra.counts, sums)
    mean = sums.sum(axis=0) / spectra.counts.sum()
    uncertain, further = over_reference(noised, modes, lambda own: deviations(mean, own))
    return Judgement(value - bias - further, np.hypot(error, uncertain), uncertain)


def signed_deviations(lattice: Lattice, modes: Modes, generated: Array, exact: Array, reference_kl: float) -> Array:
    """Deviations of generated variances in the order of `CRITERIA`, those of χ and ξ with their sign.

    Args:
        lattice: of the fields.
        modes: the momenta.
        generated: V(k) > 0, shape (modes,).
        exact: C(k), shape (…, modes).
        reference_kl: KL per site of the exact score on the same grid.

    Returns:
        Shape (…, criteria).
    """
    ratio = generated / exact
    divergence = observables.kl_per_site(modes, generated, exact)

    def excess(spectrum: Array) -> Array:
        """S(0)/S(k₁) − 1, which is proportional to ξ²."""
        zero = observables.susceptibility(modes, spectrum)
        return np.asarray(zero / (spectrum @ observables.first_shell(lattice, modes)) - 1.0)

    own, right = excess(generated), excess(exact)
    with np.errstate(divide="ignore", invalid="ignore"):
        length = np.sign(own) * np.sqrt(np.abs(own) / np.where(right > 0.0, right, np.nan)) - 1.0
    safe = np.maximum(ratio, LOWEST_RATIO)
    slope = 1.0 / LOWEST_RATIO - 1.0 / (2.0 * LOWEST_RATIO - 1.0)
    lost = -criteria.log_effective_sample_size(modes, safe, np.ones_like(safe))
    lost = lost + (modes.multiplicity * slope * (ratio - safe)).sum(axis=-1)
    found = {
        "kl_per_site": divergence - reference_kl,
        "total_kl": lattice.sites * divergence,
        "susceptibility": observables.susceptibility(modes, ratio) - 1.0,
        # Without a correlation length of the target the criterion is not decided.
        "correlation_length": length,
        "effective_sample_size": lost,
    }
    return np.stack([found[name] for name in CRITERIA], axis=-1)


def drawn_until_decided(
    reverse: ReverseDiffusion, drawn: Iterator[ComplexArray]
) -> tuple[list[ComplexArray], Judgement]:
    """Fields from an iterator, as many as it takes to decide all criteria, and the criteria.

    Args:
        reverse: that generates the fields.
        drawn: at least `most_fields` fields, x̂/√N at the *pairs*.
    """
    noised = reverse.noised
    states, wanted = list[ComplexArray](), FEWEST
    while True:
        states += islice(drawn, wanted - len(states))
        spectra = BlockSpectra(noised, len(states))
        for _ in spectra.passing(states):
            pass
        found = judgement_of(reverse, spectra)
        if not found.open or wanted >= most_fields(noised.lattice):
            return states, found
        wanted = min(2 * wanted, most_fields(noised.lattice))
