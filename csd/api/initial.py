"""Training that starts from the weights of a training file: which networks of the file, and what has to agree."""

from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from csd.core.errors import InputError
from csd.core.files import TRAINING, Content, content_of, read_content
from csd.core.paths import expanded
from csd.diffusion.trained import is_conditioned, trained_networks
from csd.networks import Architecture
from csd.targets.noising import NoisedTarget
from csd.training.content import attributes, whole
from csd.training.options import TrainingSettings

if TYPE_CHECKING:
    import xarray as xr

    from csd.networks.module import ScoreNetwork


class InitialNetworks:
    """The networks of a training file, at which another training starts.

    Args:
        given: the file, or a Dataset that `csd.train` returned.

    Raises:
        InputError: if it is no training file, or holds no weights.
    """

    def __init__(self, given: "xr.Dataset | str | Path") -> None:
        self.content, self.file = read_training(given, "initial"), ""
        if isinstance(given, str | Path):
            self.file = str(expanded(given))
        self._of_seed = cache(lambda seed: trained_networks(self.content, seed))

    @property
    def digest(self) -> str:
        """A hash of the weights and of the seeds and noise levels that they belong to."""
        held = [name for name in self.content.variables if name.startswith(("weights", "conditioned_weights"))]
        hashed = blake2b(digest_size=16)
        for name in ["seed", "noise_level", *sorted(held)]:
            hashed.update(self.content[name].values.tobytes())
        return hashed.hexdigest()

    def check(self, noised: NoisedTarget, architecture: Architecture, settings: TrainingSettings) -> None:
        """Refuse a training whose networks are others than those of the file, or that has seeds or levels it lacks.

        Raises:
            InputError: in these cases.
        """
        about, wanted = self.content.attrs, attributes(noised, architecture.complete(), settings)
        names = ["architecture", *architecture.complete().attributes(), "dimension", "schedule"]
        for name in names:
            if about.get(name) != wanted.get(name):
                raise InputError(
                    f"initial has {name} {about.get(name)}, but the training has {wanted.get(name)}; both must have the"
                    " same network, dimension and noise"
                )
        if is_conditioned(self.content) != settings.conditioned:
            held, asked = "one for all noise levels", "conditioned is not given"
            if settings.conditioned:
                held, asked = "one for each noise level", "conditioned is given"
            raise InputError(f"initial holds networks, {held}, but {asked}; both must be conditioned, or neither")
        seeds, levels = (self.content[name].values.tolist() for name in ("seed", "noise_level"))
        missing = [seed for seed in settings.seeds if seed not in seeds]
        if missing and len(seeds) > 1:
            raise InputError(
                f"initial has no seed {missing[0]}; take seeds of the file ({', '.join(map(str, seeds))}), or a file of"
                " one seed, at which all seeds start"
            )
        absent = [t for t in noised.levels if t not in levels]
        if absent and not settings.conditioned:
            raise InputError(
                f"initial has no network at noise level {absent[0]:g}; it has those at {', '.join(map(str, levels))}"
            )

    def __call__(self, seed: int, level: float) -> "ScoreNetwork":
        """The network at which that of a seed and noise level starts: of the same seed, or of the only one."""
        seeds = self.content["seed"].values.tolist()
        networks = self._of_seed(seed if seed in seeds else seeds[0])
        if is_conditioned(self.content):
            return networks[0]
        return networks[self.content["noise_level"].values.tolist().index(level)]


def read_training(training: "xr.Dataset | str | Path", name: str = "training") -> Content:
    """The content of a training run, given as a Dataset or a file by the argument of a name.

    Raises:
        InputError: if it is not a training run.
    """
    if isinstance(training, str | Path):
        return whole(read_content(expanded(training), TRAINING))
    kind = getattr(training, "attrs", {}).get("csd_file")
    if kind != TRAINING:
        given = type(training).__name__ if kind is None else f"a {kind} Dataset"
        raise InputError(f"{name} is {given}; give the Dataset that csd.train() returned, or the path of its file")
    return whole(content_of(training))
