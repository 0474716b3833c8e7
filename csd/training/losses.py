"""Objectives: what a training step descends (docs/physics.md, section 4).

For a linear, translation-invariant score s(x) = −K∗x every objective is, per noise level and site,

    ℒ(K) = (1/N) Σ_k [ ½ S |K|² − Re(K T*) ],     ∂ℒ/∂K* ∝ S K − T,

with the spectrum S and the target T of one step:

    population   S = C,   T = 1                        (no randomness)
    implicit     S = Ŝ,   T = 1                        (Hyvärinen; the divergence term is exact)
    denoising    S = Ŝ,   T = Σ_b x̂_b* ẑ_b / (B N σ)    (Vincent; ½ E |s(x_t) + z/σ|²)

where Ŝ is the minibatch's power spectrum. For B fresh fields the joint law of (Ŝ, T) is known: with a unit Gaussian
amplitude a_b of x and an independent one of the rest of z, in each mode,

    Ŝ = C g,   T = g − sqrt(g (C − σ²) / (σ² B)) ζ,

g ~ Gamma(B)/B and ζ a unit complex normal for k ≠ −k, g ~ Gamma(B/2)/(B/2) and ζ a unit real normal for k = −k (the
Bartlett decomposition of the 2×2 Wishart matrix of x and z). So a step costs O(N) whatever the batch.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.random import Generator

from csd.core.errors import InputError
from csd.core.random import draw_complex_normal, draw_gamma, draw_normal
from csd.lattice import Array, ComplexArray, Modes

if TYPE_CHECKING:
    from torch import Tensor

    from csd.networks.module import ScoreNetwork

PIECE = 2**12
"""Numbers drawn at a time."""


class Objective(Protocol):
    """What a step descends, drawn by the law of power spectra or computed from raw fields."""

    stochastic: bool
    """Whether a step needs a minibatch."""

    complex_target: bool
    """Whether T, and with it the kernel, is complex."""

    def draw(
        self,
        generator: Generator,
        modes: Modes,
        spectrum: Array,
        variance: float,
        batch: int,
        spectra: Array,
        targets: ComplexArray | None,
    ) -> None:
        """Fill (S, T) of fresh minibatches, one a step.

        Args:
            generator: where the random numbers come from.
            modes: the lattice's *pairs*.
            spectrum: C, shape (modes,).
            variance: σ².
            batch: B.
            spectra: where S goes, shape (steps, modes).
            targets: where T goes, same shape; None where it is 1, for an objective without a complex target.
        """

    def loss(
        self, network: "ScoreNetwork", noised: "Tensor", noise: "Tensor", probe: "Tensor", variance: float
    ) -> "Tensor":
        """ℒ of a network on raw fields, a mean over batch and sites.

        Args:
            network: the score network.
            noised: x_t, shape (batch, *lattice).
            noise: z of x_t = α x₀ + σ z, same shape.
            probe: independent random signs, same shape, for divergences that are estimated.
            variance: σ².

        Raises:
            InputError: if the loss has no value on a minibatch.
        """
        raise InputError(f"loss {type(self).__name__} has no value on raw fields; take implicit or denoising")


class Population(Objective):
    """ℒ = (1/N) Σ_k [½ C |K|² − Re K]: the expectation of the other two, up to constants."""

    stochastic = False
    complex_target = False

    def draw(
        self,
        generator: Generator,
        modes: Modes,
        spectrum: Array,
        variance: float,
        batch: int,
        spectra: Array,
        targets: ComplexArray | None,
    ) -> None:
        """S = C, without randomness."""
        spectra[...] = spectrum


class Implicit(Objective):
    """ℒ = (1/N) [½ |s(x_t)|² + ∇·s(x_t)] (Hyvärinen)."""

    stochastic = True
    complex_target = False

    def draw(
        self,
        generator: Generator,
        modes: Modes,
        spectrum: Array,
        variance: float,
        batch: int,
        spectra: Array,
        targets: ComplexArray | None,
    ) -> None:
        """S = C Gamma(B)/B (k ≠ −k) or C Gamma(B/2)/(B/2) (k = −k)."""
        draw_power_ratios(generator, modes, batch, spectra)
        spectra *= spectrum

    def loss(
        self, network: "ScoreNetwork", noised: "Tensor", noise: "Tensor", probe: "Tensor", variance: float
    ) -> "Tensor":
        """½ |s|² + ∇·s, per site; a nonlinear network estimates the divergence with the probe (Hutchinson)."""
        score = network(noised)
        return (0.5 * score.square().sum() + network.divergence(noised, probe)) / noised.numel()


class Denoising(Objective):
    """ℒ = (1/N) ½ |s(x_t) + z/σ|² (Vincent), what practitioners use."""

    stochastic = True
    complex_target = True

    def draw(
        self,
        generator: Generator,
        modes: Modes,
        spectrum: Array,
        variance: float,
        batch: int,
        spectra: Array,
        targets: ComplexArray | None,
    ) -> None:
        """S = C g, T = g − sqrt(g (C − σ²) / (σ² B)) ζ."""
        assert targets is not None
        draw_power_ratios(generator, modes, batch, spectra)
        count = len(modes) - modes.self_conjugate
        width = (spectrum - variance) / (variance * batch)
        for rows, columns in pieces(len(spectra), count):
            ratio = spectra[rows, columns]
            spread = -np.sqrt(ratio * width[columns])
            draw_complex_normal(generator, ratio, spread, targets[rows, columns])
        ratio = spectra[:, count:]
        real = draw_normal(generator, ratio.shape)
        targets[:, count:] = ratio - real * np.sqrt(ratio * width[count:])
        spectra *= spectrum

    def loss(
        self, network: "ScoreNetwork", noised: "Tensor", noise: "Tensor", probe: "Tensor", variance: float
    ) -> "Tensor":
        """½ |s + z/σ|², per site."""
        return 0.5 * (network(noised) + noise / variance**0.5).square().mean()


OBJECTIVES: dict[str, str] = {
    "population": "csd.training.losses:Population",
    "implicit": "csd.training.losses:Implicit",
    "denoising": "csd.training.losses:Denoising",
}


def draw_power_ratios(generator: Generator, modes: Modes, batch: int, ratios: Array) -> None:
    """Fill Ŝ/⟨S⟩ of B independent fields: Gamma(B)/B for k ≠ −k, Gamma(B/2)/(B/2) for k = −k.

    Args:
        generator: where the numbers come from.
        modes: the lattice's *pairs*.
        batch: B ≥ 1.
        ratios: where they go, shape (independent minibatches, modes).
    """
    count = len(modes) - modes.self_conjugate
    for rows, columns in pieces(len(ratios), count):
        own = ratios[rows, columns]
        np.divide(draw_gamma(generator, batch, own.shape), batch, out=own)
    own = ratios[:, count:]
    np.divide(draw_gamma(generator, 0.5 * batch, own.shape), 0.5 * batch, out=own)


def pieces(steps: int, count: int) -> Iterator[tuple[slice, slice]]:
    """An array of shape (steps, count) in pieces of about `PIECE` numbers, in the order in which it lies in memory.

    Numbers drawn piece by piece are those drawn at once; what is made on the way stays in the cache, and is too small
    for the allocator to give its pages back and fault them in again.
    """
    rows, columns = max(1, PIECE // max(count, 1)), min(count, PIECE)
    for row in range(0, steps, rows):
        for column in range(0, count, max(columns, 1)):
            yield slice(row, row + rows), slice(column, min(column + columns, count))
