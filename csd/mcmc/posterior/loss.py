"""The loss of networks that learn posterior means: regression on scores by short chains, which start at x₀.

    ℒ = (1/N) ½ |s(x_t) − ŝ|²,   ŝ = (α m − x_t)/σ²

with m the mean over some sweeps of a chain of the posterior that starts at x₀. As x₀ is an exact draw of the posterior,
E[ŝ | x_t] = s*(x_t) after any number of sweeps, so the gradient is that of denoising, nearly without its noise, and the
smallest loss is nearly 0.
"""

from hashlib import blake2b
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from csd.core.errors import InputError
from csd.core.random import stream
from csd.lattice import Array
from csd.mcmc.posterior.base import Posterior, Walk, components_of, with_energy
from csd.mcmc.posterior.score import walk_of

if TYPE_CHECKING:
    from torch import Tensor

TUNING = 100
"""Sweeps of the target, and then of its posterior, that tune the chains of a noise level."""
FIELDS = 32
"""Fields in these sweeps."""


class PosteriorLoss:
    """½ |s − ŝ|² per site with VP noise, n = 1 and one network for each noise level.

    A user's subclass names the target of its fields, so that a training can take it as its loss:

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
    sweeps = 4

    def __init__(self) -> None:
        with_energy(self.target)
        if components_of(self.target) != 1:
            raise InputError(f"loss {type(self).__name__} takes targets of one component; its target has more")
        self._tuned: dict[float, Walk] = {}

    def draw(self, *given: Any) -> None:
        """Refuse power spectra, of which nothing but a linear score can be learned."""
        raise InputError(f"loss {type(self).__name__} has no value on power spectra; take path fields")

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
        name = blake2b(noised.tobytes(), digest_size=16).hexdigest()
        clean = (noised - sqrt(variance) * noise) / sqrt(1.0 - variance)
        posterior = self._posterior(noised[:, None], variance)
        own = stream("posterior loss", name, variance)
        return posterior.score(walk_of(posterior, clean[:, None], own, self._walk(variance)).advance(self.sweeps)[0])[
            :, 0
        ]

    def _posterior(self, noised: Array, variance: float) -> Posterior:
        """That of fields x_t, shape (fields, 1, *lattice.shape)."""
        return Posterior(self.target, noised, sqrt(1.0 - variance), variance)

    def _walk(self, variance: float) -> Walk:
        """Tuned chains of the posterior; the fields are those of chains of the target itself."""
        if variance not in self._tuned:
            own, shape = stream("posterior loss", "tuning", variance), (FIELDS, 1, *self.target.lattice.shape)
            noise = own.standard_normal(shape)
            free = Posterior(self.target, noise, 0.0, 1.0)
            chains = walk_of(free, free.start(), own)
            chains.tune(TUNING)
            noised = sqrt(1.0 - variance) * chains.present() + sqrt(variance) * own.standard_normal(shape)
            self._tuned[variance] = walk_of(self._posterior(noised, variance), chains.present(), own)
            self._tuned[variance].tune(TUNING)
        return self._tuned[variance]
