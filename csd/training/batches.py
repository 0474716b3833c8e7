"""Data of a training step (docs/physics.md, section 4).

    population     the target's own spectrum, no randomness
    fresh          B new fields a step, by the exact distribution of their power spectra or as raw fields
    data set       M fields drawn once per seed: full-batch steps on their spectrum, or minibatches with fresh noise
    chains         the states of Markov chains in the place of a data set, which change between minibatches

A source serves several seeds and levels at once. Each has a random stream of its own, whatever other seeds there are.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from csd.core.errors import InputError
from csd.core.plugins import is_user_defined
from csd.core.random import draw_normal, move_to, position, stream
from csd.lattice import Array, Modes
from csd.lattice.arrays import configurations, fields_between
from csd.targets.base import HasFields, HasHeldOut, HasSamples, drawn_fields, spectrum_of, with_samples
from csd.targets.dataset import trained_count
from csd.targets.images import random_images
from csd.targets.noising import NoisedTarget
from csd.training.losses import NoiseEstimate, Objective, draw_power_ratios

MOST_DRAWN = 256
"""Most steps drawn at a time."""
BLOCK = 2**15
"""Numbers drawn at a time for each seed and level: enough to hide the call, few enough for the cache."""
MEASURED, PIECE = 1024, 32
"""Fields whose spectrum gives a learning rate, and how many of them are drawn at a time."""


class OfSeeds(Protocol):
    """A state of several seeds, which can be kept and restored."""

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""

    def snapshot(self) -> dict[str, Any]:
        """The state as arrays, for `resume`."""

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the state of a snapshot of the same seeds."""


class Source(OfSeeds, Protocol):
    """Gives the arguments of `Descent.advance`, step by step."""

    steps: int
    """Steps drawn at a time."""

    def draw(self) -> tuple[Any, ...]:
        """The data of the next step."""


class Expectation:
    """The same (S, T) at every step: the target's spectra, or the empirical ones of a data set.

    Args:
        spectra: S, shape (levels, modes), or (seeds, levels, modes) where seeds differ.
    """

    steps = MOST_DRAWN

    def __init__(self, spectra: Array) -> None:
        self.spectra: Any = spectra

    def draw(self) -> tuple[Any, float]:
        """(S, 1)."""
        return self.spectra, 1.0

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        if self.spectra.ndim == 3:
            self.spectra = self.spectra[seeds]

    def snapshot(self) -> dict[str, Any]:
        """An empty state: all steps are alike."""
        return {}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Nothing to do."""

    def serve(self, place: Callable[[Any], Any]) -> None:
        """Convert the arrays by `place` from now on, for example to tensors on a device."""
        self.spectra = place(self.spectra)


class _Drawn:
    """Random streams of a run, one for each seed and noise level.

    Args:
        purpose: first word of the streams' names.
        identity: of the run.
        seeds: of the run.
        levels: of the target.
    """

    def __init__(self, purpose: str, identity: str, seeds: Sequence[int], levels: Sequence[float]) -> None:
        self.streams = [[stream(purpose, identity, seed, level) for level in levels] for seed in seeds]

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        self.streams = _chosen(self.streams, seeds)

    def snapshot(self) -> dict[str, Any]:
        """The positions of the streams, shape (seeds, levels, 6)."""
        return {"streams": np.array([[position(generator) for generator in of_seed] for of_seed in self.streams])}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the state of a snapshot of a source with the same seeds."""
        for of_seed, of_places in zip(self.streams, snapshot["streams"], strict=True):
            for generator, place in zip(of_seed, of_places, strict=True):
                move_to(generator, place)


def _chosen(of_seeds: Sequence[Any], seeds: NDArray[np.bool_]) -> list[Any]:
    """The entries of the chosen seeds."""
    return [own for own, kept in zip(of_seeds, seeds, strict=True) if kept]


class FreshSpectra(_Drawn):
    """(S, T) of a new minibatch at every step, by their exact distribution.

    Args:
        objective: the loss.
        noised: the target at its noise levels.
        modes: the lattice's *pairs*.
        batch: B.
        identity: of the run.
        seeds: of the run.
    """

    def __init__(
        self, objective: Objective, noised: NoisedTarget, modes: Modes, batch: int, identity: str, seeds: Sequence[int]
    ) -> None:
        super().__init__("minibatch", identity, seeds, noised.levels)
        self.objective, self.modes, self.batch = objective, modes, batch
        self.spectra, self.variances = noised.spectra_at(modes), noised.variances
        self.steps = int(np.clip(BLOCK // len(modes), 1, MOST_DRAWN))
        shape = (len(seeds), len(noised.levels), self.steps, len(modes))
        # S and, where it is random, T of a block of steps.
        self._block: list[Any] = [np.empty(shape)]
        self._block += [np.empty(shape, dtype=complex)] if objective.complex_target else []
        self._place: Callable[[Any], Any] = lambda array: array
        # The positions of the streams before the current block; none before the first.
        self._before: dict[str, Any] = {}
        self._next = self.steps

    def draw(self) -> tuple[Any, Any]:
        """(S, T), shape (seeds, levels, modes); T is 1 where the objective has no random target."""
        if self._next == self.steps:
            self._fill()
        spectrum, *target = (array[:, :, self._next] for array in self._served)
        self._next += 1
        return spectrum, target[0] if target else 1.0

    def _fill(self) -> None:
        """Draw the next block of steps from every stream."""
        self._before = super().snapshot()
        for seed, of_seed in enumerate(self.streams):
            for level, generator in enumerate(of_seed):
                spectra, *targets = (array[seed, level] for array in self._block)
                if is_user_defined(self.objective):
                    for array in (spectra, *targets):
                        array.fill(np.nan)
                law = (self.modes, self.spectra[level], float(self.variances[level]), self.batch)
                self.objective.draw(generator, *law, spectra, targets[0] if targets else None)
                if is_user_defined(self.objective):
                    what = f"loss {type(self.objective).__name__}: draw(…, spectra, targets)"
                    for filled in (spectra.view(float), *(own.view(float) for own in targets)):
                        if not np.isfinite(filled).all():
                            raise InputError(f"{what} has not filled its arrays, in place, with finite numbers")
        self._next = 0
        self.serve(self._place)

    def serve(self, place: Callable[[Any], Any]) -> None:
        """Convert the arrays by `place` from now on, for example to tensors on a device, a block at a time."""
        self._place, self._served = place, [place(array) for array in self._block]

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        super().keep(seeds)
        self._block = [array[seeds] for array in self._block]
        self._before = {name: places[seeds] for name, places in self._before.items()}
        self.serve(self._place)

    def snapshot(self) -> dict[str, Any]:
        """The positions of the streams before the current block, and the next step within it, −1 before the first."""
        return {**(self._before or super().snapshot()), "drawn": np.array(self._next if self._before else -1)}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Draw the block of a snapshot again, and go to the same step of it."""
        super().resume(snapshot)
        if snapshot["drawn"] >= 0:
            self._fill()
            self._next = int(snapshot["drawn"])


def empirical_spectra(noised: NoisedTarget, modes: Modes, fields: int, identity: str, seeds: Sequence[int]) -> Array:
    """α² Ŝ₀(k) + σ² of one data set a seed, where Ŝ₀ is the power spectrum of M exact fields, by its distribution.

    Args:
        noised: the target at its noise levels, all of which see the same data set.
        modes: the lattice's *pairs*.
        fields: M; not used for a target known by its fields alone (`csd.targets.dataset`), whose spectrum is theirs.
        identity: of the data, whatever learns them.
        seeds: one data set each.

    Returns:
        Shape (seeds, levels, modes).
    """
    if isinstance(noised.target, HasFields):
        return np.stack([noised.spectra(noised.target.empirical_spectrum(modes))] * len(seeds))
    ratios = np.empty((len(seeds), 1, len(modes)))
    for seed, own in zip(seeds, ratios, strict=True):
        draw_power_ratios(stream("data set", identity, fields, seed), modes, fields, own, noised.target)
    propagator = spectrum_of(noised.target, modes)
    return np.stack([noised.spectra(own[0] * propagator) for own in ratios])


def estimated_spectra(noised: NoisedTarget, identity: str, seed: int) -> Array:
    """α² Ŝ₀(k) + σ² at `noised.modes`, with the power spectrum Ŝ₀ of `MEASURED` fields; shape (levels, modes).

    By invariance under translations, plane waves are the eigenvectors of the covariance: the largest entry is what
    power iteration on the fields converges to.

    Args:
        noised: the target at its noise levels, which all see the same fields.
        identity: of the fields, besides their seed.
        seed: which has fields of its own.
    """
    lattice, modes, target = noised.lattice, noised.modes, noised.target
    if is_user_defined(target) and isinstance(target, HasSamples):
        generator = stream(identity, seed)
        pieces = [drawn_fields(target, generator, PIECE) - noised.mean for _ in range(MEASURED // PIECE)]
        half = np.mean([lattice.power_spectrum(own).mean(axis=0) for own in pieces], axis=0)
        return noised.spectra(lattice.gather(half, modes))
    (found,) = empirical_spectra(noised, lattice.pairs, MEASURED, identity, [seed])
    return lattice.gather(lattice.spread(found, lattice.pairs), modes)


class ChangingFields(OfSeeds, Protocol):
    """Fields of a data set that change between minibatches, such as the states of Markov chains."""

    def advance(self) -> list[Array]:
        """Change the fields; return those of each seed, shape (M, *lattice.shape)."""


class RawFields(_Drawn):
    """Noised fields about their mean, x_t − α μ, their noise and random signs, for networks that act on fields.

    Args:
        noised: the target at its noise levels.
        batch: B.
        data_set: M fields drawn once per seed, from which minibatches are taken with replacement; None for fresh ones.
        identity: of the run.
        seeds: of the run.
        augment: whether each field of the data set is replaced by a random image under the symmetries of the target.
        trained: how many of the first fields of a Monte Carlo file are trained on; None for all of them.
        components: n of a data set whose configurations are drawn as a whole; None for scalar fields.

    Attributes:
        changing: gives the fields of the data set, where these change; a minibatch then repeats none before all of them
            are in it.
        estimate: of z, in its place, for losses that learn it.
    """

    steps = 1
    changing: ChangingFields | None = None
    estimate: NoiseEstimate | None = None

    def __init__(
        self,
        noised: NoisedTarget,
        batch: int,
        data_set: int | None,
        identity: str,
        seeds: Sequence[int],
        *,
        augment: bool = False,
        trained: int | None = None,
        components: int | None = None,
    ) -> None:
        super().__init__("fields", identity, seeds, noised.levels)
        self.noised, self.batch, self.augment, self.components = noised, batch, augment, components
        self.target = with_samples(noised.target)
        self.data: list[Any] | None = None
        if isinstance(noised.target, HasFields) and (data_set is not None or components is not None):
            data = fields_between(noised.target.data, 0, trained) if trained else noised.target.data
            self.data = [data for _ in seeds]
        elif data_set is not None:
            own = [stream("data set fields", identity, seed) for seed in seeds]
            self.data = [drawn_fields(self.target, generator, data_set) for generator in own]

    def _clean(self, seed: int, generator: np.random.Generator) -> Array:
        """B fields without noise about their mean, as networks learn s(x) of x − α μ."""
        if self.data is None:
            clean = drawn_fields(self.target, generator, self.batch)
        else:
            data, components = self.data[seed], self.components
            fields = len(data) // (components or 1)
            if self.changing is None:
                chosen = generator.integers(fields, size=self.batch)
            else:
                chosen = np.resize(generator.permutation(fields), self.batch)
            clean = configurations(data, chosen, components)
            clean = random_images(clean, self.noised, generator, components) if self.augment else clean
        return clean - self.noised.mean if self.noised.mean else clean

    def draw(self) -> tuple[Array, ...]:
        """(x_t − α μ, z, random signs), each of shape (seeds, levels, batch, *lattice.shape).

        Of n components that are drawn together, (seeds, levels, batch, n, *lattice.shape).
        """
        self.data = self.data if self.changing is None else self.changing.advance()
        noised, noise, probe = [], [], []
        for seed, of_seed in enumerate(self.streams):
            for level, generator in enumerate(of_seed):
                clean = self._clean(seed, generator)
                z = draw_normal(generator, clean.shape)
                signal, variance = self.noised.signals[level], self.noised.variances[level]
                noised.append(signal * clean + np.sqrt(variance) * z)
                fields = clean, noised[-1], signal, variance
                noise.append(z if self.estimate is None else self.estimate(generator, *fields))
                probe.append(generator.choice([-1.0, 1.0], size=clean.shape))
        shape = (len(self.streams), len(self.noised.levels), *noised[0].shape)
        return np.reshape(noised, shape), np.reshape(noise, shape), np.reshape(probe, shape)

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop all seeds but the chosen ones."""
        super().keep(seeds)
        self.data = None if self.data is None else _chosen(self.data, seeds)
        if self.changing is not None:
            self.changing.keep(seeds)

    def snapshot(self) -> dict[str, Any]:
        """The positions of the streams and, where the fields change, their state."""
        return super().snapshot() | ({} if self.changing is None else self.changing.snapshot())

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Return to the state of a snapshot of a source with the same seeds."""
        super().resume(snapshot)
        if self.changing is not None:
            self.changing.resume(snapshot)


class ConditionedFields(RawFields):
    """Noised fields at noise levels of their own, for networks that serve all levels; one random stream for each seed.

    ln t is uniform between the smallest and the largest noise level, for every field of a minibatch by itself.
    """

    def __init__(
        self,
        noised: NoisedTarget,
        batch: int,
        data_set: int | None,
        identity: str,
        seeds: Sequence[int],
        **how: Any,
    ) -> None:
        super().__init__(noised, batch, data_set, identity, seeds, **how)
        self.ends = min(noised.levels), max(noised.levels)
        self.streams = [[stream("conditioned fields", identity, seed, *self.ends)] for seed in seeds]

    def draw(self) -> tuple[Array, ...]:
        """(y, z, random signs, α, σ², t) with y = (x_t − α μ)/σ.

        The first three have the shape (seeds, batch, *lattice.shape), with n components (seeds, batch, n,
        *lattice.shape), the others (seeds, batch).
        """
        self.data = self.data if self.changing is None else self.changing.advance()
        found: list[tuple[Array, ...]] = []
        schedule, (low, high) = self.noised.schedule, self.ends
        for seed, (generator,) in enumerate(self.streams):
            clean = self._clean(seed, generator)
            levels = low * (high / low) ** generator.random(len(clean))
            # One by one, as a user-defined schedule may take numbers alone.
            signal, variance = (np.array([of(t) for t in levels]) for of in (schedule.signal, schedule.variance))
            noise = draw_normal(generator, clean.shape)
            probe = generator.choice([-1.0, 1.0], size=clean.shape)
            ratio = (signal / np.sqrt(variance)).reshape(-1, *(1,) * (clean.ndim - 1))
            found.append((ratio * clean + noise, noise, probe, signal, variance, levels))
        return tuple(np.stack(own) for own in zip(*found, strict=True))


def fields_trained(target: Any) -> int | None:
    """How many of the first scalar fields of a Monte Carlo file are trained on, while the others are held out.

    None for other targets: those that are drawn, and data sets, which have held-out fields of their own.
    """
    if not isinstance(target, HasFields) or isinstance(target, HasHeldOut):
        return None
    return trained_count(len(target.data), getattr(target, "components", 1), str(getattr(target, "file", "")))
