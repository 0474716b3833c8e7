"""Objectives: the losses that training descends (docs/physics.md, section 4).

For a linear, translation-invariant score s(x) = −K∗x every objective is, per noise level and site,

    ℒ(K) = (1/N) Σ_k [ ½ S |K|² − Re(K T*) ],     ∂ℒ/∂K* ∝ S K − T,

with the spectrum S and the target T of one step:

    population   S = C,   T = 1                        (no randomness)
    implicit     S = Ŝ,   T = 1                        (Hyvärinen; the divergence term is exact)
    denoising    S = Ŝ,   T = Σ_b x̂_b* ẑ_b / (B N σ)    (Vincent; ½ E |s(x_t) + z/σ|²)

where Ŝ is the minibatch's power spectrum. For B fresh fields the joint distribution of (Ŝ, T) is known: with a unit
Gaussian amplitude of x and an independent one of the part of z that is not correlated with x, in each mode,

    Ŝ = C g,   T = g − sqrt(g (C − σ²) / (σ² B)) ζ,

g ~ Gamma(B)/B and ζ a unit complex normal for k ≠ −k, g ~ Gamma(B/2)/(B/2) and ζ a unit real normal for k = −k (the
Bartlett decomposition of the 2×2 Wishart matrix of x and z). So a step costs O(N) for any batch size.

On raw fields a loss takes x_t and a regression target in the place of z. The minimum of the denoising loss depends on
E[z|x_t] alone, so a loss with targets of its own is the denoising loss on a source (`csd.training.batches.Source`) that
gives an unbiased estimate of this mean. The loss `posterior` has (x_t − α m)/σ, with the mean m of a short Markov chain
for x₀ given x_t that starts at x₀ itself, and little noise. Its chains come with the source, as a `NoiseEstimate`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.random import Generator

from csd.core.errors import InputError
from csd.core.plugins import built, is_user_defined, require_methods, resolve
from csd.core.random import draw_complex_normal, draw_gamma, draw_normal
from csd.lattice import Array, ComplexArray, Modes
from csd.targets.base import HasPhases

if TYPE_CHECKING:
    from torch import Tensor

    from csd.networks.module import ScoreNetwork
    from csd.targets.noising import NoisedTarget

PIECE = 2**12
"""Numbers drawn at a time."""


class Objective(Protocol):
    """A loss, by the distribution of power spectra or on raw fields."""

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
        """Fill arrays with (S, T) of fresh minibatches, one for each step: by default of the distribution above.

        Args:
            generator: of the random numbers.
            modes: the lattice's *pairs*.
            spectrum: C, shape (modes,).
            variance: σ².
            batch: B.
            spectra: filled with S, shape (steps, modes).
            targets: filled with T, same shape; None for an objective without a complex target, where T is 1.
        """
        draw_power_ratios(generator, modes, batch, spectra)
        if targets is not None:
            count = len(modes) - modes.self_conjugate
            width = (spectrum - variance) / (variance * batch)
            for rows, columns in pieces(len(spectra), count):
                ratio = spectra[rows, columns]
                draw_complex_normal(generator, ratio, -np.sqrt(ratio * width[columns]), targets[rows, columns])
            ratio = spectra[:, count:]
            targets[:, count:] = ratio - draw_normal(generator, ratio.shape) * np.sqrt(ratio * width[count:])
        spectra *= spectrum

    def loss(
        self, network: "ScoreNetwork", noised: "Tensor", noise: "Tensor", probe: "Tensor", variance: float
    ) -> "Tensor":
        """ℒ of a network on raw fields, averaged over batch and sites.

        Args:
            network: the score network.
            noised: x_t, shape (batch, *lattice).
            noise: z of x_t = α x₀ + σ z, or an estimate of E[z|x_t], same shape.
            probe: independent random signs, same shape, to estimate divergences.
            variance: σ².

        Raises:
            InputError: if the loss has no value on a minibatch.
        """
        raise InputError(f"loss {type(self).__name__} has no value on raw fields; take implicit or denoising")


class Population(Objective):
    """ℒ = (1/N) Σ_k [½ C |K|² − Re K]: the expectation of the other two, up to constants."""

    stochastic = False
    complex_target = False


class Implicit(Objective):
    """ℒ = (1/N) [½ |s(x_t)|² + ∇·s(x_t)] (Hyvärinen)."""

    stochastic = True
    complex_target = False

    def loss(
        self, network: "ScoreNetwork", noised: "Tensor", noise: "Tensor", probe: "Tensor", variance: float
    ) -> "Tensor":
        """½ |s|² + ∇·s per site; of a nonlinear network the divergence is estimated with the probe (Hutchinson)."""
        score, divergence = network(noised), network.divergence(noised, probe)
        if getattr(divergence, "ndim", None) != 0:
            what = f"network {type(network).__name__}: divergence(fields, probe)"
            raise InputError(f"{what} gives {type(divergence).__name__}; it must give a tensor of one number")
        return (0.5 * score.square().sum() + divergence) / noised.numel()


class Denoising(Objective):
    """ℒ = (1/N) ½ |s(x_t) + z/σ|² (Vincent), the loss used in practice."""

    stochastic = True
    complex_target = True

    def loss(
        self, network: "ScoreNetwork", noised: "Tensor", noise: "Tensor", probe: "Tensor", variance: float
    ) -> "Tensor":
        """½ |s + z/σ|² per site."""
        return 0.5 * (network(noised) + noise / variance**0.5).square().mean()


class PosteriorRegression(Denoising):
    """ℒ = (1/N) ½ |s(x_t) − ŝ|², ŝ = (α m − x_t)/σ²: the denoising loss on a source that estimates z by chains."""

    def draw(self, *given: Any) -> None:
        """Refuse power spectra.

        Raises:
            InputError: always.
        """
        raise InputError(f"loss {POSTERIOR!r} has no value on power spectra; take path fields")


class OfPhases(Objective):
    """An objective on power spectra of a target with phases, whose mode k = 0 is drawn as that of fields.

    Args:
        objective: the objective for Gaussian fields.
        target: with phases.
    """

    stochastic = True

    def __init__(self, objective: Objective, target: HasPhases) -> None:
        self.objective, self.target = objective, target
        self.complex_target = objective.complex_target

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
        """(S, T) of Gaussian fields at k ≠ 0, and at k = 0 those of B fields x = α x₀ + σ z of each minibatch."""
        self.objective.draw(generator, modes, spectrum, variance, batch, spectra, targets)
        zero = np.flatnonzero(modes.laplacian == 0.0)
        signal = np.sqrt((spectrum[zero] - variance) / self.target.propagator(modes.laplacian[zero]))
        noise = draw_normal(generator, (len(spectra), batch))
        field = signal * self.target.zero_modes(generator, noise.shape) + np.sqrt(variance) * noise
        spectra[:, zero] = (field * field).mean(axis=1, keepdims=True)
        if targets is not None:
            targets[:, zero] = (field * noise).mean(axis=1, keepdims=True) / np.sqrt(variance)


class NoiseEstimate(Protocol):
    """Estimates of the noise of fields whose mean, given the noised fields, is that of the noise."""

    def __call__(self, generator: Generator, clean: Array, noised: Array, signal: float, variance: float) -> Array:
        """Estimates of z in x = α x₀ + σ z.

        Args:
            generator: of all random numbers.
            clean: x₀, shape (fields, *lattice.shape), of n components that are drawn together (fields, n,
                *lattice.shape).
            noised: x, same shape.
            signal: α.
            variance: σ².

        Returns:
            The same shape.
        """


POSTERIOR = "posterior"
"""The loss whose source needs a `NoiseEstimate`."""
OBJECTIVES: dict[str, str] = {
    "population": "csd.training.losses:Population",
    "implicit": "csd.training.losses:Implicit",
    "denoising": "csd.training.losses:Denoising",
    POSTERIOR: "csd.training.losses:PosteriorRegression",
}


def objective_of(name: str, path: str, noised: "NoisedTarget | None" = None) -> Objective:
    """The loss of a name in `OBJECTIVES` or of a dotted path, if it can be used on a path of training.

    Args:
        name: of the loss.
        path: 'spectral' or 'fields'.
        noised: what is learned; a loss with a method `check_noised` refuses what it does not take.

    Raises:
        InputError: if its class cannot be built, or lacks what the path needs, or does not take target or noise.
    """
    found: Objective = built("loss", resolve("loss", name, OBJECTIVES), "Class()")
    for attribute in ("stochastic", "complex_target"):
        if not isinstance(getattr(found, attribute, None), bool):
            raise InputError(f"loss {type(found).__name__} has no attribute {attribute}, which must be True or False")
    if path == "fields":
        require_methods("loss", found, "loss(network, noised, noise, probe, variance)")
    elif found.stochastic:
        require_methods("loss", found, "draw(generator, modes, spectrum, variance, batch, spectra, targets)")
    used, idle, other = ("loss", "draw", "spectral") if path == "fields" else ("draw", "loss", "fields")
    if is_user_defined(getattr(type(found), idle, used)) and not is_user_defined(getattr(type(found), used, idle)):
        raise InputError(
            f"loss {type(found).__name__} defines {idle}, but training on path {path} takes {used}, which is still that"
            f" of a built-in loss; define {used} too, or take path {other}"
        )
    if noised is not None and hasattr(found, "check_noised"):
        found.check_noised(noised)
    if path == "fields" or not found.stochastic or noised is None or not isinstance(noised.target, HasPhases):
        return found
    if is_user_defined(found):
        raise InputError(
            f"loss {type(found).__name__} draws power spectra of Gaussian fields, but target is"
            f" {type(noised.target).__name__}; take path fields"
        )
    return OfPhases(found, noised.target)


def draw_power_ratios(generator: Generator, modes: Modes, batch: int, ratios: Array, target: Any = None) -> None:
    """Fill Ŝ/⟨S⟩ of B independent fields: Gamma(B)/B for k ≠ −k, Gamma(B/2)/(B/2) for k = −k.

    Of a target with phases, the ratio at k = 0 is that of B fields.

    Args:
        generator: of the random numbers.
        modes: the lattice's *pairs*.
        batch: B ≥ 1.
        ratios: filled, shape (independent minibatches, modes).
        target: of the fields; Gaussian fields if None.
    """
    count = len(modes) - modes.self_conjugate
    for rows, columns in pieces(len(ratios), count):
        own = ratios[rows, columns]
        np.divide(draw_gamma(generator, batch, own.shape), batch, out=own)
    own = ratios[:, count:]
    np.divide(draw_gamma(generator, 0.5 * batch, own.shape), 0.5 * batch, out=own)
    if isinstance(target, HasPhases):
        zero = np.flatnonzero(modes.laplacian == 0.0)
        fields = target.zero_modes(generator, (len(ratios), batch))
        ratios[:, zero] = (fields * fields).mean(axis=1, keepdims=True) / target.propagator(modes.laplacian[zero])


def pieces(steps: int, count: int) -> Iterator[tuple[slice, slice]]:
    """Divide an array of shape (steps, count) into pieces of about `PIECE` numbers, in the order of memory.

    Drawn piece by piece, the random numbers are the same, and temporary arrays stay in the cache, too small for the
    allocator to return and fault in their pages again.
    """
    rows = max(1, PIECE // max(count, 1))
    for row in range(0, steps, rows):
        for column in range(0, count, PIECE):
            yield slice(row, row + rows), slice(column, min(column + PIECE, count))
