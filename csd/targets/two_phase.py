"""Fields of two phases: a Gaussian field about +M or −M, whose score has one nonlinear unit.

    x₀(r) = s M + φ(r),     s = ±1,  P(s = +1) = p,     ⟨φφ⟩(k) = G(k) = 1 / (k̂² + m²)

The mean is (2p − 1) M and the spectrum about it G(k) + 4p(1 − p) M² N δ_{k,0}. With the spectrum C = α² G + σ² of the
noised φ, the posterior of s given x = α x₀ + σ z is known by its log-odds 2θ, and so is the exact score,

    θ = α M Σ_r x(r) / C(0) + h,     h = ½ ln(p / (1 − p)),     s*(x) = −C⁻¹∗(x − α M tanh θ).

θ is normal given s, of mean sΛ + h and variance Λ = α² M² N / C(0), the *separation* of the phases. By integration by
parts the exact score has the spectrum

    E|ŝ*(k)|² / N = 1/C(k) − δ_{k,0} α² M² N q(Λ) / C(0)²,     q(Λ) = E[1 − tanh² θ],

and q(Λ) = 1 − E tanh θ given s = + if p = ½.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log, sqrt
from typing import Any, Self

import numpy as np

from csd.core.errors import InputError, check_positive
from csd.core.random import draw_normal
from csd.lattice import Array, Lattice
from csd.lattice.observables import normal_magnetisation
from csd.targets.base import Spec, lattice_of, spec_by_mass
from csd.targets.gaussian import GaussianField, SpectralValues
from csd.targets.noising import Schedule, noised_spectrum

SMALLEST, LARGEST = 1e-50, 1e50
"""Bounds of M."""
NODES, WIDTH, DECIDED = 3001, 9.0, 1500.0
"""Nodes of the trapezoidal rule, its half-width in standard deviations, and the Λ from which on q < e⁻⁷⁰⁰ is 0."""


def posterior_average(separation: Any, times_cosh: Callable[[Array], Array], odds: float = 0.0) -> Array:
    """E f(θ) of the log-odds 2θ of a sign, θ ~ N(sΛ + h, Λ), for a function f that falls as e^{−2|θ|}.

        E f(θ) = √(4p(1 − p)) e^{−Λ/2} ∫ N(u; 0, Λ) f(u + h) cosh(u + h) du,     h = ½ ln(p / (1 − p))

    The integrand is analytic and narrow, so the trapezoidal rule is exact to rounding.

    Args:
        separation: Λ ≥ 0, a number or an array.
        times_cosh: θ → f(θ) cosh θ, bounded.
        odds: h.

    Returns:
        The shape of the separation; 0 where Λ is so large that it underflows.
    """
    values = np.asarray(separation, dtype=float)
    flat = np.minimum(values.ravel(), DECIDED)
    nodes = np.linspace(-WIDTH, WIDTH, NODES)
    weight = np.exp(-0.5 * nodes**2) * (2.0 * WIDTH / (NODES - 1) / sqrt(2.0 * np.pi))
    prior = 1.0 / np.cosh(odds)
    found = np.array([weight @ _shifted(times_cosh, one, nodes, odds) for one in flat])
    return np.where(values < DECIDED, (prior * found).reshape(values.shape), 0.0)


def _shifted(times_cosh: Callable[[Array], Array], separation: float, nodes: Array, odds: float) -> Array:
    """e^{−Λ/2} f cosh at u + h, u = √Λ v at nodes v."""
    # The peak of the integrand, between the phases; from there on it falls at least as the normal density does.
    peak = float(np.clip(-odds, -separation, separation)) / sqrt(separation) if separation > 0.0 else 0.0
    shift = np.exp(-0.5 * (separation + peak**2) - nodes * peak)
    return np.asarray(shift * times_cosh(sqrt(separation) * (nodes + peak) + odds))


def prior_odds(probability: float) -> float:
    """h = ½ ln(p / (1 − p))."""
    return 0.5 * (log(probability) - log(1.0 - probability))


def undecided(separation: Any, probability: float = 0.5) -> Array:
    """q(Λ) = E[1 − tanh² θ], from 4p(1 − p) at Λ = 0 down to 0; the shape of the separation."""
    return posterior_average(
        separation, lambda theta: 1.0 / np.cosh(np.clip(theta, -700.0, 700.0)), prior_odds(probability)
    )


@dataclass(frozen=True)
class TwoPhase(SpectralValues):
    """Fields x₀ = sM + φ of two phases s = ±1, with a Gaussian field φ of mass m.

    Args:
        lattice: where the field lives.
        mass: m > 0 of φ, inverse lattice spacings.
        magnetisation: M > 0.
        probability: p of the phase s = +1, between 0 and 1.

    Raises:
        InputError: if mass, magnetisation or probability is outside its bounds.
    """

    lattice: Lattice
    mass: float
    magnetisation: float
    probability: float = 0.5

    def __post_init__(self) -> None:
        GaussianField(self.lattice, self.mass)
        if not SMALLEST <= check_positive("magnetisation", self.magnetisation) <= LARGEST:
            raise InputError(f"magnetisation is {self.magnetisation!r}; it must lie between 1e-50 and 1e50")
        if not 0.0 < self.probability < 1.0:
            raise InputError(f"probability is {self.probability!r}; it must lie between 0 and 1, both excluded")

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """The fields of a lattice, a mass, a magnetisation and a probability, which is ½ if it is absent."""
        own = float(spec["mass"]), float(spec["magnetisation"]), float(spec.get("probability", 0.5))
        return cls(lattice_of(spec), *own)

    def spec(self) -> Spec:
        """Class, lattice, mass, magnetisation and probability."""
        return spec_by_mass(self) | {"magnetisation": self.magnetisation, "probability": self.probability}

    @property
    def field(self) -> GaussianField:
        """φ."""
        return GaussianField(self.lattice, self.mass)

    @property
    def symmetric(self) -> bool:
        """Whether both phases are equally probable."""
        return self.probability == 0.5

    @property
    def mean(self) -> float:
        """μ = (2p − 1) M."""
        return (2.0 * self.probability - 1.0) * self.magnetisation

    @property
    def spread(self) -> float:
        """4p(1 − p), the variance of s."""
        return 4.0 * self.probability * (1.0 - self.probability)

    def propagator(self, laplacian: Array) -> Array:
        """G(k) + 4p(1 − p) M² N δ_{k,0}, the spectrum about the mean; same shape as `laplacian`."""
        of_sign = self.spread * self.magnetisation**2 * self.lattice.sites
        return self.field.propagator(laplacian) + np.where(laplacian == 0.0, of_sign, 0.0)

    def _signs(self, generator: np.random.Generator, count: int) -> Array:
        """Independent s, shape (count,)."""
        return np.where(generator.random(count) < self.probability, 1.0, -1.0)

    def sample(self, generator: np.random.Generator, count: int) -> Array:
        """Exact independent fields, shape (count, *lattice.shape)."""
        fields = self.field.sample(generator, count)
        return fields + self.magnetisation * self._signs(generator, count).reshape(-1, *(1,) * self.lattice.dimension)

    def zero_modes(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """The mode k = 0 of independent fields about their mean, (x̂₀(0) − Nμ)/√N; of the given shape."""
        normal = draw_normal(generator, shape) / self.mass
        offset = self._signs(generator, int(np.prod(shape))).reshape(shape) * self.magnetisation - self.mean
        return normal + offset * sqrt(self.lattice.sites)

    def separation(self, schedule: Schedule, level: float) -> float:
        """Λ = α² M² N / C(0)."""
        signal, zero = float(schedule.signal(level)), self._zero(schedule, level)
        return (signal * self.magnetisation) ** 2 * self.lattice.sites / zero

    def _zero(self, schedule: Schedule, level: float) -> float:
        """C(0) = α²/m² + σ²."""
        return float(noised_spectrum(schedule, level, np.asarray(1.0 / self.mass**2)))

    def half_odds(self, fields: Array, schedule: Schedule, level: float) -> Array:
        """θ = ½ ln[P(s = +1 | x) / P(s = −1 | x)] of fields x of shape (…, *lattice.shape); shape (…)."""
        total = fields.sum(axis=self.lattice.axes)
        pull = float(schedule.signal(level)) * self.magnetisation / self._zero(schedule, level)
        return np.asarray(pull * total + prior_odds(self.probability))

    def score(self, fields: Array, schedule: Schedule, level: float) -> Array:
        """s*(x) = −C⁻¹∗(x − α M tanh θ) of fields of shape (…, *lattice.shape); same shape."""
        lattice = self.lattice
        pull = float(schedule.signal(level)) * self.magnetisation / self._zero(schedule, level)
        constant = pull * np.tanh(self.half_odds(fields, schedule, level))
        linear = self.field.score(fields, schedule, level)
        return linear + constant.reshape(*constant.shape, *(1,) * lattice.dimension)

    def score_spectrum(self, laplacian: Array, schedule: Schedule, level: float) -> Array:
        """E|ŝ*(k)|² / N = 1/C(k) − δ_{k,0} α² M² N q(Λ) / C(0)², same shape as `laplacian`."""
        separation = self.separation(schedule, level)
        lost = separation * float(undecided(separation, self.probability)) / self._zero(schedule, level)
        return self.field.score_spectrum(laplacian, schedule, level) - np.where(laplacian == 0.0, lost, 0.0)

    def phase_values(self, signal: float, variance: float) -> dict[str, float]:
        """What the phases decide of x = α x₀ + σ z, exactly.

        The magnetisation m = M/N of a field is normal about ±αM, of variance C(0)/N.

        Args:
            signal: α.
            variance: σ².

        Returns:
            'mean', 'skewness' and 'excess_kurtosis' of the marginal distribution over sites, 'absolute_magnetisation'
            ⟨|m|⟩, 'binder' 1 − ⟨m⁴⟩/3⟨m²⟩², 'positive_fraction' P(m > 0), 'undecided_fraction' P(|m| < αM/2).
        """
        from scipy.special import ndtr

        shift, sign = signal * self.magnetisation, 2.0 * self.probability - 1.0
        scatter = (signal**2 / self.mass**2 + variance) / self.lattice.sites
        total = signal**2 * self.variance + variance
        distance, square = shift / sqrt(scatter), shift**2 + scatter
        fourth = shift**4 + 6.0 * shift**2 * scatter + 3.0 * scatter**2
        right = float(ndtr(distance))
        return {
            "mean": signal * self.mean,
            "skewness": -2.0 * sign * self.spread * (shift / sqrt(total)) ** 3,
            "excess_kurtosis": self.spread * (6.0 * sign**2 - 2.0) * (shift**2 / total) ** 2,
            "absolute_magnetisation": float(normal_magnetisation(shift, np.asarray(scatter))[0]),
            "binder": 1.0 - fourth / (3.0 * square**2),
            "positive_fraction": self.probability * right + (1.0 - self.probability) * (1.0 - right),
            "undecided_fraction": float(ndtr(-0.5 * distance) - ndtr(-1.5 * distance)),
        }
