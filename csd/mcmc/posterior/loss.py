"""Regression on posterior means: scores by short chains, which start at x₀, in the place of the noise.

    ŝ = (α m − x_t)/σ²,   ẑ = −σ ŝ = (x_t − α m)/σ

with m the mean over some sweeps of a chain of the posterior that starts at x₀. As x₀ is an exact draw of the posterior,
E[ŝ | x_t] = s*(x_t) after any number of sweeps, so the gradient is that of denoising, nearly without its noise, and the
smallest loss is nearly 0.
"""

from collections.abc import Callable
from hashlib import blake2b
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Array
from csd.lattice.arrays import configurations
from csd.mcmc.fields import hamiltonian_of
from csd.mcmc.posterior.base import Posterior, Walk, components_of, with_energy
from csd.mcmc.posterior.identity import check_data
from csd.mcmc.posterior.score import walk_of
from csd.targets.base import drawn_fields, with_samples
from csd.targets.dataset import FieldSet, MeasuredField
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget
from csd.targets.phi4 import PhiFour

if TYPE_CHECKING:
    from torch import Tensor

TUNING = 100
"""Sweeps that tune the chains of a noise level, and those of the target from which `PosteriorLoss` has fields."""
FIELDS = 32
"""Fields in these sweeps."""
SWEEPS = 4
"""Sweeps of each chain."""


class PosteriorMeans:
    """Estimates (x_t − α m)/σ of the noise in fields, a `csd.training.losses.NoiseEstimate`.

    The chains of a noise level are tuned once, on the same fields whatever is estimated, so that estimates depend on
    their arguments alone.

    Args:
        target: of the fields φ, with energy and force.
        tuning: (number) → so many of its fields, shape (fields, n, *lattice.shape).
        unit: factor of φ in the fields that are given.
        mean: μ, which has been subtracted from the fields that are given.
        sweeps: of each chain.

    Raises:
        InputError: if the target has no energy and force.
    """

    def __init__(
        self,
        target: Any,
        tuning: Callable[[int], Array],
        *,
        unit: float = 1.0,
        mean: float = 0.0,
        sweeps: int = SWEEPS,
    ) -> None:
        self.target, self.unit, self.mean, self.sweeps = with_energy(target), unit, mean, sweeps
        self._tuning, self._tuned = tuning, dict[tuple[float, float], Walk]()

    def __call__(
        self, generator: np.random.Generator, clean: Array, noised: Array, signal: float, variance: float
    ) -> Array:
        """ẑ, shape (fields, *lattice.shape) or (fields, n, *lattice.shape) as that of x₀ and x."""
        shape, amplitudes = (len(clean), components_of(self.target), *self.target.lattice.shape), (signal, variance)
        # x/c = α φ + (σ/c) z in the unit c of the fields.
        start, field = ((clean + self.mean) / self.unit, (noised + signal * self.mean) / self.unit)
        posterior = Posterior(self.target, field.reshape(shape), float(signal), float(variance) / self.unit**2)
        walk = walk_of(posterior, start.reshape(shape), generator, self._walk(*amplitudes))
        mean = self.unit * walk.advance(self.sweeps)[0].reshape(clean.shape) - self.mean
        return np.asarray((noised - signal * mean) / sqrt(variance))

    def _walk(self, signal: float, variance: float) -> Walk:
        """Tuned chains at a noise level."""
        if (signal, variance) not in self._tuned:
            own, fields = stream("posterior loss", "tuning", signal, variance), self._tuning(FIELDS)
            noise = own.standard_normal(fields.shape) * sqrt(variance) / self.unit
            posterior = Posterior(self.target, signal * fields + noise, float(signal), float(variance) / self.unit**2)
            self._tuned[signal, variance] = walk_of(posterior, fields, own)
            self._tuned[signal, variance].tune(TUNING)
        return self._tuned[signal, variance]


def posterior_means(noised: NoisedTarget, components: int | None) -> PosteriorMeans:
    """The chains of the loss `posterior` on the target of a training.

    Args:
        noised: the target at its noise levels: fields of known couplings, or a target with energy, force and samples.
        components: n that the networks take together; None for scalar fields.

    Raises:
        InputError: if the energy of the fields is not known, or the networks take one of their components each.
    """
    target: Any = noised.target
    made, unit = target, 1.0
    if type(target) is GaussianField:
        made = PhiFour(target.lattice, 1, target.mass**2, 0.0)
    if isinstance(target, MeasuredField | FieldSet):
        if isinstance(target, FieldSet) and not target.known:
            raise InputError(
                "loss is 'posterior', but no couplings of the fields are known, which its chains need; give the"
                " couplings of the data, or take denoising"
            )
        made, unit = hamiltonian_of(target)
    if components_of(made) != (components or 1):
        raise InputError(
            f"loss is 'posterior', but the fields have {components_of(made)} components and the network takes each by"
            " itself; take a network of all components, or loss denoising"
        )

    def tuning(count: int) -> Array:
        """The first fields of the data, in units of the target, or fields that are drawn."""
        if isinstance(target, MeasuredField | FieldSet):
            several = min(count, len(target.data) // target.components)
            first = configurations(target.data, np.arange(several), target.components) / unit
        else:
            first = drawn_fields(with_samples(target), stream("posterior loss", "fields"), count)
        return np.asarray(first.reshape(len(first), components_of(made), *target.lattice.shape))

    return PosteriorMeans(made, tuning, unit=unit, mean=noised.mean)


class PosteriorLoss:
    """½ |s − ŝ|² per site with VP noise, n = 1 and one network for each noise level.

    A user's subclass names the target of its fields, so that a training can take it as its loss; for φ⁴ and spins of
    known couplings the loss `posterior` does the same:

        class Loss(PosteriorLoss):
            target = PhiFour.from_hopping(Lattice(2, 16), 1, 0.27088, 0.022)

    Random numbers depend on the batch alone, so that a training can be continued.

    Attributes:
        target: the distribution of the fields that are learned.
        sweeps: of each chain.
    """

    stochastic = True
    complex_target = True
    target: Any = None
    sweeps = SWEEPS

    def __init__(self) -> None:
        self._means = PosteriorMeans(self.target, self._fields, sweeps=self.sweeps)
        if components_of(self.target) != 1:
            raise InputError(f"loss {type(self).__name__} takes targets of one component; its target has more")

    def draw(self, *given: Any) -> None:
        """Refuse power spectra, of which nothing but a linear score can be learned."""
        raise InputError(f"loss {type(self).__name__} has no value on power spectra; take path fields")

    def check_noised(self, noised: NoisedTarget) -> None:
        """Refuse other noise than VP, and fields that are not those of the target.

        Raises:
            InputError: if one is not what the loss takes.
        """
        name, own, given = f"loss {type(self).__name__}", self.target.lattice, noised.lattice
        if not np.allclose(noised.signals**2 + noised.variances, 1.0, rtol=0.0, atol=1e-9):
            schedule = type(noised.schedule).__name__
            raise InputError(f"{name} takes VP noise, not schedule {schedule}; take schedule vp, or loss 'posterior'")
        if (own.dimension, own.size) != (given.dimension, given.size):
            raise InputError(
                f"{name}: its target has dimension {own.dimension} and size {own.size}, but the fields that are learned"
                f" have dimension {given.dimension} and size {given.size}; they must be the same"
            )
        if isinstance(noised.target, MeasuredField | FieldSet) and noised.target.components == 1:
            check_data(self.target, noised.target)

    def loss(self, network: Any, noised: "Tensor", noise: "Tensor", probe: "Tensor", variance: float) -> "Tensor":
        """ℒ of a network on a minibatch, as `csd.training.losses.Objective` describes it."""
        import torch

        fields, white = (np.asarray(values.detach().cpu().numpy(), dtype=float) for values in (noised, noise))
        found = self.scores(fields, white, float(variance))
        wanted = torch.as_tensor(found, dtype=noised.dtype, device=noised.device)
        result: Tensor = 0.5 * (network(noised) - wanted).square().mean()
        return result

    def scores(self, noised: Array, noise: Array, variance: float) -> Array:
        """ŝ of fields x_t = α x₀ + σ z, same shape (fields, *lattice.shape).

        Args:
            noised: x_t.
            noise: z, same shape.
            variance: σ².
        """
        if not 0.0 < variance < 1.0:
            raise InputError(f"loss {type(self).__name__} takes VP noise, a variance between 0 and 1, not {variance:g}")
        own = stream("posterior loss", blake2b(noised.tobytes(), digest_size=16).hexdigest(), variance)
        signal = sqrt(1.0 - variance)
        clean = (noised - sqrt(variance) * noise) / signal
        return np.asarray(self._means(own, clean, noised, signal, variance) / -sqrt(variance))

    def _fields(self, count: int) -> Array:
        """The states of chains of the target itself after some sweeps, shape (count, 1, *lattice.shape)."""
        own = stream("posterior loss", "fields")
        free = Posterior(self.target, own.standard_normal((count, 1, *self.target.lattice.shape)), 0.0, 1.0)
        chains = walk_of(free, free.start(), own)
        chains.tune(TUNING)
        return chains.present()
