"""The networks of one or several trainings, each in its window of the noise level, as the score of a generation.

The trainings have one target, lattice and noise, and the same seeds; one with a single seed serves all seeds. The score
of a seed is s(x, t) of the network in whose window t lies. Where all networks have kernels, so has this score.

What it takes to train them is counted as the sum over networks of trainable parameters times training steps. A
training has a network at each level that it serves here, or, if it is conditioned, one for all windows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from csd.core.errors import InputError
from csd.core.files import Content, Variable, digest, labelled
from csd.core.options import declared
from csd.diffusion.hybrid.windows import SLACK, WHOLE, Served, Window, from_the_top, served_levels
from csd.diffusion.reverse import best_score
from csd.diffusion.trained import (
    Kept,
    Trained,
    is_conditioned,
    is_linear,
    kept_scores,
    load_trained,
    noised_on,
    trained_score,
    transfer,
)
from csd.lattice import Array, Lattice
from csd.networks import Architecture
from csd.networks.score import KernelScore, Score
from csd.targets.base import HasFields, lattice_of, spec_of
from csd.targets.noising import NoisedTarget
from csd.training.options import TrainingSettings

SAME = ("dimension", "size", "target", "mass", "mean", "data_digest", "schedule")
"""Attributes in which the trainings of a hybrid agree, besides those of the target's spec."""
CARRIED = (
    *("architecture", "label", "dimension", "mass", "mean", "data_digest", "schedule", "target", "until"),
    *(one.attribute or "" for one in declared(TrainingSettings).values() if one.option.label is not None),
)
"""Attributes of training files that a generation file repeats."""
IDENTITY: dict[str, type] = {
    **dict.fromkeys(("target", "schedule", "label", "loss", "path"), str),
    **dict.fromkeys(("dimension", "size", "batch", "data_set"), int),
    **dict.fromkeys(("mass", "learning_rate_given"), float),
}
"""Attributes of a training file that determine a network, besides its seed, and their types."""
HYBRID = "hybrid"
"""Name of the architecture of several networks."""


@dataclass(frozen=True)
class WindowedTraining(Served):
    """A training, and the window of noise levels in which its networks are used.

    Attributes:
        training: of `csd train`.
    """

    training: Content = field(kw_only=True)

    @classmethod
    def of(cls, training: Content, window: Window = WHOLE, name: str = "") -> Self:
        """The part of a training; without a name it is used alone."""
        levels = tuple(training["noise_level"].values.tolist())
        return cls(name, window, levels, is_conditioned(training), training=training)

    @property
    def seeds(self) -> list[int]:
        """The seeds of the training."""
        seeds: list[int] = self.training["seed"].values.tolist()
        return seeds

    @property
    def networks(self) -> str:
        """A name of what determines its networks, besides their seeds; the same in any batch of seeds."""
        about: dict[str, Any] = {name: kind(self.training.attrs[name]) for name, kind in IDENTITY.items()}
        about |= {"conditioned": 1} if self.conditioned else {}
        return digest(about | {"noise_levels": list(self.levels)})

    @property
    def file(self) -> tuple[Any, ...]:
        """The same for two parts of one training, read from whatever copy of its file."""
        about = self.training.attrs
        # A training that was never a file has no hashes.
        made = about.get("configuration_hash", id(self.training)), about.get("source_hash", "")
        return *made, tuple(self.seeds), self.levels

    def own(self, seed: int) -> int:
        """The seed of the training whose networks serve a seed."""
        return seed if len(self.seeds) > 1 else self.seeds[0]

    def last_step(self, seed: int) -> int:
        """The training step at which the networks that serve a seed were done."""
        return int(self.training["last_step"].values[self.seeds.index(self.own(seed))])


class Networks:
    """The networks of trainings, each with a window.

    Args:
        parts: the trainings, in any order.
        steps: of the geometric grid of conditioned networks.

    Raises:
        InputError: if the trainings have other targets, lattices, noises or seeds, or their windows make no grid.
    """

    def __init__(self, parts: Sequence[WindowedTraining], steps: int | None = None) -> None:
        self.parts = from_the_top(parts)
        self._check()
        self.levels = served_levels(self.parts, steps)
        self.grid: Array = np.concatenate(self.levels)
        self.seeds = max((part.seeds for part in self.parts), key=len)
        self.lattice = lattice_of(self.about)

    @property
    def about(self) -> Mapping[str, Any]:
        """Attributes of a training, which tell the target of all."""
        return self.parts[0].training.attrs

    @property
    def trainings(self) -> list[Content]:
        """Those of the parts."""
        return [part.training for part in self.parts]

    @property
    def alone(self) -> bool:
        """Whether there is one training, in one or several windows."""
        return len({part.file for part in self.parts}) == 1

    @property
    def linear(self) -> bool:
        """Whether all networks have kernels."""
        return all(is_linear(part.training) for part in self.parts)

    @property
    def names(self) -> list[str]:
        """The names of the architectures."""
        return [part.training.attrs["architecture"] for part in self.parts]

    @property
    def components(self) -> int | None:
        """n of the fields that networks without a kernel take; None for scalar fields.

        Raises:
            InputError: if some take n components and others one.
        """
        nonlinear = [part.training.attrs for part in self.parts if not is_linear(part.training)]
        found = {about["label"]: Architecture.of_attributes(about).components_of(about) for about in nonlinear}
        if len(set(found.values())) > 1:
            shown = ", ".join(f"{label} {count or 1}" for label, count in found.items())
            raise InputError(f"the networks of a hybrid take fields of as many components; they take {shown}")
        return next(iter(found.values()), None)

    @property
    def identity(self) -> str:
        """The name of the random streams of samples, besides the seed; independent of the other seeds of the files."""
        if self.alone:
            return self.parts[0].networks
        return digest({"parts": [[part.networks, part.window.low, str(part.window.high)] for part in self.parts]})

    @property
    def last_step(self) -> int:
        """The training step after which all networks are as they are used."""
        return int(max(part.training["last_step"].values.max() for part in self.parts))

    def _check(self) -> None:
        """Refuse trainings that do not belong together.

        Raises:
            InputError: with the names of two of them, and in what they differ.
        """
        first, *others = self.parts
        for other in others:
            for name in SAME:
                _require_equal(name, first, other)
        several = [part for part in self.parts if len(part.seeds) > 1]
        for other in several[1:]:
            if sorted(other.seeds) != sorted(several[0].seeds):
                own, found = (", ".join(map(str, part.seeds)) for part in (several[0], other))
                raise InputError(
                    f"{several[0].name} has seeds {own}, but {other.name} has {found}; the files of a hybrid must have"
                    " the same seeds, or one each"
                )

    def noised_on(self, lattice: Lattice, data: HasFields | None) -> NoisedTarget:
        """The target on another lattice, at the levels of the grid; see `csd.diffusion.trained.noised_on`."""
        return noised_on(self.parts[0].training, lattice, self.grid.tolist(), data)

    def loaded(self, data: HasFields | None = None) -> list[Trained]:
        """The target, network and options of each part, at its levels.

        Args:
            data: the fields that the networks were trained on; see `load_trained`.

        Raises:
            InputError: if the parts have other targets, or their fields are not found.
        """
        first = load_trained(self.parts[0].training, self.levels[0].tolist(), data)
        target = first.noised.target
        if not isinstance(target, HasFields):
            for other in self.parts[1:]:
                for name in spec_of(target):
                    _require_equal(name, self.parts[0], other)
            shared = None
        else:
            shared = target
        rest = zip(self.parts[1:], self.levels[1:], strict=True)
        return [first, *(load_trained(part.training, levels.tolist(), shared) for part, levels in rest)]

    def noised(self, loaded: Sequence[Trained]) -> NoisedTarget:
        """The target at the levels of the grid."""
        first = loaded[0].noised
        return NoisedTarget(first.target, first.schedule, self.grid.tolist())

    def kept(self, loaded: Sequence[Trained], step: int | None) -> Kept:
        """The scores of networks with kernels: of one training those recorded during it, of several the last ones.

        Args:
            loaded: of `loaded`.
            step: of the sampled fields, which must be None for several trainings.

        Raises:
            InputError: if the step was not kept, or a kernel is not finite.
        """
        if self.alone:
            found = [kept_scores(part.training, own, step) for part, own in zip(self.parts, loaded, strict=True)]
            return replace(found[0], score=together([own.score for own in found]))
        if step is not None:
            raise InputError(f"step is {step}, but of several files the networks at the end are taken; leave step out")
        scores = []
        for part, own in zip(self.parts, loaded, strict=True):
            levels, own_levels = own.noised.levels, part.levels
            of_seeds = [trained_score(part.training, part.own(seed)) for seed in self.seeds]
            kernels = np.stack([own.kernels for own in of_seeds if isinstance(own, KernelScore)], axis=1)
            chosen = kernels[[own_levels.index(level) for level in levels], :, None]
            scores.append(KernelScore(own.noised.lattice, own.modes, levels, chosen, own.noised.means))
        ended = np.zeros((len(self.seeds), 1), dtype=bool)
        return Kept(np.array([self.last_step]), together(scores), ended, 0)

    def best(self, loaded: Sequence[Trained]) -> KernelScore | None:
        """The best score of the architectures, each in its window; None if one is not a built-in linear network."""
        architectures = [own.architecture for own in loaded]
        pairs = zip(architectures, loaded, strict=True)
        if None in architectures:
            return None
        return together([best_score(network, own.noised) for network, own in pairs if network is not None])

    def score(self, seed: int, noised: NoisedTarget, device: str) -> Score:
        """The score of a seed on fields.

        Args:
            seed: one of `seeds`.
            noised: the target on the lattice of the fields.
            device: of networks without a kernel.
        """
        scores = [self._part_score(part, seed, noised, device) for part in self.parts]
        if len(scores) == 1:
            return scores[0]
        # A level at a join is that of the lower window.
        lows = [part.window.low * (1.0 + SLACK) for part in self.parts[:-1]]

        def score(fields: Array, t: float, /) -> Array:
            """s(x, t) of the networks in whose window t lies."""
            return scores[next((place for place, low in enumerate(lows) if t > low), -1)](fields, t)

        return score

    @staticmethod
    def _part_score(part: WindowedTraining, seed: int, noised: NoisedTarget, device: str) -> Score:
        """The score of a part, on the lattice of the fields."""
        score = trained_score(part.training, part.own(seed), noised, device)
        return transfer(score, noised.lattice) if isinstance(score, KernelScore) else score

    def attributes(self) -> dict[str, Any]:
        """Attributes of the trainings that a generation file repeats: those in which all agree."""
        found = [part.training.attrs for part in self.parts]
        same = {name: found[0][name] for name in CARRIED if name in found[0]}
        if self.alone:
            return same
        same = {name: value for name, value in same.items() if all(own.get(name) == value for own in found)}
        labels = dict.fromkeys(str(own["label"]) for own in found)
        return same | {"architecture": HYBRID, "label": "+".join(labels)}

    def counted(self) -> dict[str, Variable]:
        """The trainable parameters of all networks that are used, and what it takes to train them."""
        # A network of all levels is trained once for all of its windows.
        first = {part.file: place for place, part in reversed([*enumerate(self.parts)])}
        places = [place for place, part in enumerate(self.parts) if not part.conditioned or first[part.file] == place]
        numbers, times = self._parameters[places], self._training_steps[places]
        words = "summed over the networks that are used"
        cost = (numbers[:, None] * times).sum(axis=0)
        return {
            "total_parameters": labelled([], numbers.sum(), f"trainable parameters, {words}"),
            "training_cost": labelled(["seed"], cost, f"trainable parameters times training steps, {words}"),
        }

    def windows(self) -> dict[str, Variable]:
        """The windows of a hybrid, from the highest noise level down, and the networks that serve them."""
        labels = np.array([training.attrs["label"] for training in self.trainings], dtype=object)
        lows, highs = ([getattr(part.window, end) for part in self.parts] for end in ("low", "high"))
        found = {
            "low": (lows, "T1: networks are used above this noise level; 0 where it is their lowest"),
            "high": (highs, "T2: networks are used up to this noise level; infinite where it is their highest"),
            "network": (labels, "network that is used in a window of noise levels"),
            "levels": ([len(levels) for levels in self.levels], "noise levels of the grid in a window"),
            "parameters": (self._parameters, "trainable parameters of the networks that are used in a window"),
        }
        words = "training steps of the networks that are used in a window"
        return {
            **{f"window_{name}": labelled(["window"], *about) for name, about in found.items()},
            "window_training_steps": labelled(["window", "seed"], self._training_steps, words, "steps"),
        }

    @property
    def _parameters(self) -> Array:
        """The trainable parameters of the networks of each part, one a level or one for all; shape (parts,)."""
        found = []
        for part, levels in zip(self.parts, self.levels, strict=True):
            # A Dataset from a notebook may lack them.
            known = "level_parameters" in part.training
            numbers = part.training["level_parameters"].values if known else np.full(len(part.levels), np.nan)
            places = [0] if part.conditioned else [part.levels.index(level) for level in levels.tolist()]
            found.append(numbers[places].sum())
        return np.array(found)

    @property
    def _training_steps(self) -> Array:
        """The training steps of each part and seed, shape (parts, seeds)."""
        return np.array([[part.last_step(seed) for seed in self.seeds] for part in self.parts])


def _require_equal(name: str, first: WindowedTraining, other: WindowedTraining) -> None:
    """Refuse two trainings that differ in an attribute."""
    own, found = (part.training.attrs.get(name) for part in (first, other))
    if own != found:
        raise InputError(
            f"{first.name} has {name} {own}, but {other.name} has {found}; the files of a hybrid must have the same"
            " target, lattice and noise"
        )


def together(scores: Sequence[KernelScore]) -> KernelScore:
    """One score of the kernels of several, at their levels one after the other; at *pairs* unless all are at *shells*.

    Args:
        scores: with kernels of shape (levels, …, modes) that differ in levels and modes alone.
    """
    if len(scores) == 1:
        return scores[0]
    lattice, alike = scores[0].lattice, all(score.modes.isotropic for score in scores)
    modes = scores[0].modes if alike else lattice.pairs
    kernels = [
        lattice.gather(lattice.spread(score.kernels, score.modes), modes)
        if score.modes.isotropic and not alike
        else score.kernels
        for score in scores
    ]
    levels = [level for score in scores for level in score.levels]
    means = np.array([score.centre(level) for score in scores for level in score.levels])
    return KernelScore(lattice, modes, levels, np.concatenate(kernels), means)
