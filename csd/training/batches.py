"""Where the data of a training step come from (docs/physics.md, section 4).

    population     the target's own spectrum, no randomness
    fresh          B new fields a step, by the exact law of their power spectra or as raw fields
    data set       M fields drawn once per seed: full-batch steps on their empirical spectrum, the noise averaged
                   exactly; or minibatches of B of them with fresh noise, as raw fields

A source serves several seeds and noise levels at once. Each seed and level has a stream of its own, so what a seed sees
depends on nothing else.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from csd.core.random import draw_normal, move_to, position, stream
from csd.lattice import Array, Modes
from csd.targets.base import HasFields, with_samples
from csd.targets.noising import NoisedTarget
from csd.training.losses import Objective, draw_power_ratios

MOST_DRAWN = 256
"""Most steps drawn at a time."""
BLOCK = 2**15
"""Numbers drawn at a time for each seed and level: enough to hide the call, few enough for the cache."""


class Source(Protocol):
    """Gives the arguments of `Descent.advance`, step by step."""

    steps: int
    """Steps drawn at a time."""

    def draw(self) -> tuple[Any, ...]:
        """The data of the next step."""

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Go on with the chosen seeds only."""

    def snapshot(self) -> dict[str, Any]:
        """Arrays that `resume` goes on from."""

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot of a source of the same seeds."""


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
        """Drop the other seeds."""
        if self.spectra.ndim == 3:
            self.spectra = self.spectra[seeds]

    def snapshot(self) -> dict[str, Any]:
        """Nothing: every step is alike."""
        return {}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Nothing to do."""

    def serve(self, place: Callable[[Any], Any]) -> None:
        """Give arrays as `place` makes them, such as tensors on a device."""
        self.spectra = place(self.spectra)


class FreshSpectra:
    """(S, T) of a new minibatch at every step, by their exact law.

    Args:
        objective: what is descended.
        noised: the target at its noise levels.
        modes: the lattice's *pairs*.
        batch: B.
        identity: of the run.
        seeds: of the run.
    """

    def __init__(
        self, objective: Objective, noised: NoisedTarget, modes: Modes, batch: int, identity: str, seeds: Sequence[int]
    ) -> None:
        self.objective, self.modes, self.batch = objective, modes, batch
        self.spectra = noised.spectra_at(modes)
        self.variances = noised.variances
        self.streams = [[stream("minibatch", identity, seed, level) for level in noised.levels] for seed in seeds]
        self.steps = int(np.clip(BLOCK // len(modes), 1, MOST_DRAWN))
        self._next = self.steps
        # Where the streams stood before the block at hand; None before the first.
        self._before: Any = None
        self._spectrum: Array = np.empty((len(seeds), len(noised.levels), self.steps, len(modes)))
        self._target: Any = np.empty_like(self._spectrum, dtype=complex) if objective.complex_target else None
        self._place: Callable[[Any], Any] = lambda array: array
        self._serve()

    def draw(self) -> tuple[Any, Any]:
        """(S, T), shape (seeds, levels, modes); T is 1 where the objective has no random target."""
        if self._next == self.steps:
            self._fill()
        here = self._next
        self._next += 1
        spectrum, target = self._served
        return spectrum[:, :, here], 1.0 if target is None else target[:, :, here]

    def _fill(self) -> None:
        """The next block of steps of every stream."""
        self._before = _positions(self.streams)
        for seed, of_seed in enumerate(self.streams):
            for level, generator in enumerate(of_seed):
                room = self._spectrum[seed, level], None if self._target is None else self._target[seed, level]
                variance = float(self.variances[level])
                self.objective.draw(generator, self.modes, self.spectra[level], variance, self.batch, *room)
        self._next = 0
        self._serve()

    def _serve(self) -> None:
        """What `draw` gives of the block: itself, or what is made of it."""
        self._served = self._place(self._spectrum), None if self._target is None else self._place(self._target)

    def serve(self, place: Callable[[Any], Any]) -> None:
        """Give arrays as `place` makes them, such as tensors on a device; a whole block at a time."""
        self._place = place
        self._serve()

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop the other seeds."""
        self.streams = [of_seed for of_seed, kept in zip(self.streams, seeds, strict=True) if kept]
        self._spectrum = self._spectrum[seeds]
        self._target = None if self._target is None else self._target[seeds]
        self._before = None if self._before is None else self._before[seeds]
        self._serve()

    def snapshot(self) -> dict[str, Any]:
        """Where the streams stood before the block at hand, and the place in it."""
        drawn = self._before is not None
        streams = self._before if drawn else _positions(self.streams)
        return {"streams": streams, "drawn": np.array(self._next if drawn else -1)}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Draw the block again, and go on within it."""
        _move(self.streams, snapshot["streams"])
        if snapshot["drawn"] >= 0:
            self._fill()
            self._next = int(snapshot["drawn"])


def empirical_spectra(noised: NoisedTarget, modes: Modes, fields: int, identity: str, seeds: Sequence[int]) -> Array:
    """α² Ŝ₀(k) + σ² of one data set a seed, Ŝ₀ the power spectrum of M exact fields, by its law.

    Args:
        noised: the target at its noise levels, all of which see the same data set.
        modes: the lattice's *pairs*.
        fields: M; a target that is known by its fields alone (`csd.targets.dataset`) gives their own spectrum.
        identity: of the data, not of what learns them.
        seeds: one data set each.

    Returns:
        Shape (seeds, levels, modes).
    """
    if isinstance(noised.target, HasFields):
        return np.stack([noised.spectra(noised.target.empirical_spectrum(modes))] * len(seeds))
    propagator = noised.target.propagator(modes.laplacian)
    spectra = []
    for seed in seeds:
        ratios = np.empty((1, len(modes)))
        draw_power_ratios(stream("data set", identity, fields, seed), modes, fields, ratios)
        spectra.append(noised.spectra(ratios[0] * propagator))
    return np.stack(spectra)


class RawFields:
    """Noised fields, their noise and random signs, at every step; for networks that are called on fields.

    Args:
        noised: the target at its noise levels.
        batch: B.
        data_set: M, fields drawn once per seed that minibatches are taken from, with replacement; None for fresh ones.
        identity: of the run.
        seeds: of the run.
    """

    def __init__(
        self, noised: NoisedTarget, batch: int, data_set: int | None, identity: str, seeds: Sequence[int]
    ) -> None:
        self.noised = noised
        self.batch = batch
        self.steps = 1
        self.streams = [[stream("fields", identity, seed, level) for level in noised.levels] for seed in seeds]
        self.target = with_samples(noised.target)
        self.data: list[Array] | None = None
        if isinstance(noised.target, HasFields) and data_set is not None:
            self.data = [noised.target.data for _ in seeds]
        elif data_set is not None:
            self.data = [self.target.sample(stream("data set fields", identity, seed), data_set) for seed in seeds]

    def draw(self) -> tuple[Array, Array, Array]:
        """(x_t, z, random signs), each of shape (seeds, levels, batch, *lattice.shape)."""
        noised, noise, probe = [], [], []
        for seed, of_seed in enumerate(self.streams):
            for level, generator in enumerate(of_seed):
                if self.data is None:
                    clean = self.target.sample(generator, self.batch)
                else:
                    clean = self.data[seed][generator.integers(len(self.data[seed]), size=self.batch)]
                z = draw_normal(generator, clean.shape)
                noised.append(self.noised.signals[level] * clean + np.sqrt(self.noised.variances[level]) * z)
                noise.append(z)
                probe.append(generator.choice([-1.0, 1.0], size=clean.shape))
        shape = (len(self.streams), len(self.noised.levels), *noised[0].shape)
        return np.reshape(noised, shape), np.reshape(noise, shape), np.reshape(probe, shape)

    def keep(self, seeds: NDArray[np.bool_]) -> None:
        """Drop the other seeds."""
        self.streams = [of_seed for of_seed, kept in zip(self.streams, seeds, strict=True) if kept]
        if self.data is not None:
            self.data = [fields for fields, kept in zip(self.data, seeds, strict=True) if kept]

    def snapshot(self) -> dict[str, Any]:
        """Where the streams stand."""
        return {"streams": _positions(self.streams)}

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Go on from there."""
        _move(self.streams, snapshot["streams"])


def _positions(streams: Sequence[Sequence[np.random.Generator]]) -> NDArray[np.uint64]:
    """Where the streams of all seeds and levels stand, shape (seeds, levels, 6)."""
    return np.array([[position(generator) for generator in of_seed] for of_seed in streams])


def _move(streams: Sequence[Sequence[np.random.Generator]], places: NDArray[np.uint64]) -> None:
    """Put the streams there."""
    for of_seed, of_places in zip(streams, places, strict=True):
        for generator, place in zip(of_seed, of_places, strict=True):
            move_to(generator, place)
