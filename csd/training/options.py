"""Options of training."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from csd.core.errors import InputError
from csd.core.options import Option, Options, declared
from csd.targets.options import FieldOptions, NoiseOptions

INTEGRATOR = "heun"
"""The default integrator."""
Count = Annotated[int, Ge(1)]
DATA = "number of fields in the data set; 0 means fresh fields at every step"
named = partial(Option, label="{value}", always=True)
"""An option in the names of files too, whatever its value."""
unnamed = partial(Option, label=None, always=True)
"""An option of when training ends: attributes of files contain it, names of files do not."""
given_rate = partial(
    Option, attribute="learning_rate_given", absent=0.0, always=True, note="0 means the architecture's own"
)
unsaid = partial(Option, label=None, attribute=None)
"""An option that does not change the result of training: files do not contain it."""
OTHERS = {"architecture", "benchmark", "checkpoint", "checkpoint_every", "data", "label", "mean", "output", "progress"}
"""Further arguments of a training and attributes of its file, whose names no option of a network may have."""


@dataclass(frozen=True)
class TrainingSettings(Options):
    """Options of training; each is a keyword, a flag, a key of a study and an attribute of files."""

    loss: Annotated[str, named("population, implicit or denoising", names="csd.training.losses:OBJECTIVES")] = (
        "implicit"
    )
    batch: Annotated[
        Count, named("fields in a minibatch", "B", label="B{value}", absent=0, note="0 means full-batch steps")
    ] = 64
    data_set: Annotated[
        Count | None,
        named("learn from a fixed data set of M fields", "M", label="M{value}", absent=0, note=DATA),
    ] = None
    seeds: Annotated[tuple[Annotated[int, Ge(0)], ...], unsaid("random seeds", "S", flag="seed", always=True)] = (0,)
    tolerance: Annotated[
        float, Ge(0.0), unnamed("relative score error above the floor that ends training; 0 trains to max_steps", "E")
    ] = 0.01
    max_steps: Annotated[Count, Le(10**18), unnamed("steps after which training ends in any case", "N")] = 1_000_000
    learning_rate: Annotated[
        Annotated[float, Gt(0.0)] | None, given_rate("instead of the architecture's own", "ETA", label="lr{value}")
    ] = None
    momentum: Annotated[float, Ge(0.0), Lt(1.0), Option("momentum of the heavy ball; 0 is plain descent", "B")] = 0.0
    path: Annotated[Literal["spectral", "fields"], named("spectral (fast) or fields (any network)")] = "spectral"
    device: Annotated[
        Literal["auto", "cpu", "cuda"], unsaid("cpu; cuda; auto: cuda, where there is one, for autograd alone")
    ] = "auto"
    kernel_steps: Annotated[
        Literal["last", "recorded", "sparse", "none"] | tuple[Annotated[int, Ge(0)], ...],
        unsaid(
            "keep kernels: last; recorded, all steps to 48, then 12 a decade; sparse, 12 a decade; these steps; none",
            "N",
        ),
    ] = "last"
    until: Annotated[
        Literal["score_error", "samples"],
        unnamed("what ends training: score_error, at the tolerance, or samples, once they meet all criteria"),
    ] = "score_error"
    integrator: Annotated[
        str, unnamed("integrator of the samples, with until samples", names="csd.diffusion.integrators:INTEGRATORS")
    ] = INTEGRATOR
    start: Annotated[Literal["noise", "exact"], unnamed("start of the samples, with until samples: noise or exact")] = (
        "noise"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"a seed is given twice in {list(self.seeds)}; each must be given once")
        if self.path == "spectral" and self.data_set is not None and self.loss != "population":
            raise InputError(
                f"loss is {self.loss!r} with a data set; full-batch steps on its spectrum have loss population, and"
                " minibatches of its fields need path fields"
            )
        if self.momentum > 0.0 and self.device == "cuda" and self.path == "spectral":
            raise InputError(
                f"momentum is {self.momentum:g}, but device is cuda; take device cpu with it, or path fields"
            )
        if self.path == "fields" and self.loss == "population":
            raise InputError("loss is 'population' with path fields; on raw fields it must be implicit or denoising")

    def applied(self) -> dict[str, Any]:
        """The values of the options; None for those that do not apply, such as the batch of full-batch steps."""
        idle = {"batch"} if self.loss == "population" else set()
        idle |= {"integrator", "start"} if self.until == "score_error" else set()
        return {name: None if name in idle else value for name, value in super().applied().items()}

    def labels(self) -> dict[str, str]:
        """Loss and batch always, other options where they differ from their defaults."""
        batch = {} if self.loss == "population" else {"batch": f"B{self.batch}"}
        return {"loss": self.loss.replace(":", ".")} | batch | super().labels()


def with_population(settings: TrainingSettings) -> TrainingSettings:
    """The same training, on power spectra, on the population loss and to the tolerance."""
    return replace(settings, loss="population", data_set=None, path="spectral", until="score_error")


def check_option_names(architecture: str, own: Iterable[str]) -> None:
    """Refuse options of a user-defined network that have the names of options of training or the target.

    Args:
        architecture: its dotted path.
        own: names of the options.
    """
    taken = OTHERS.union(*map(declared, (FieldOptions, NoiseOptions, TrainingSettings)))
    if clash := taken.intersection(own):
        raise InputError(
            f"architecture {architecture!r} declares the option {min(clash)}, which is a name of an option of"
            " training or the target; rename it"
        )
