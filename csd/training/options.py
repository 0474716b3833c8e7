"""Options of training."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from csd.core.errors import InputError
from csd.core.options import Option, Options, declared
from csd.networks import Architecture
from csd.targets.base import Target
from csd.targets.options import FieldOptions, NoiseOptions
from csd.training.descent.optimizers import MOMENTUM
from csd.training.losses import POSTERIOR

DEFAULT_STEPS, COSINE_STEPS = 1_000_000, 2_000
"""The default of max_steps, and that where the learning rate falls to 0 at the last step."""
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
own_option = partial(Option, default="the optimizer's own")
"""An option that not every optimiser has."""
unsaid = partial(Option, label=None, attribute=None)
"""An option that does not change the result of training: files do not contain it."""
OTHERS = {
    *("architecture", "benchmark", "checkpoint", "checkpoint_every", "data", "initial", "label", "mean", "output"),
    *("progress", "scores"),
}
"""Further arguments of a training and attributes of its file, whose names no option of a network may have."""


LINEAR = ("gd", "heavy_ball", "nesterov")
"""Optimisers that are linear in the gradient."""
STEPPING = ("momentum", "optimizer", "beta2", "weight_decay", "rate_schedule", "clip", "average")
"""Options of the steps."""


@dataclass(frozen=True)
class TrainingSettings(Options):
    """Options of training; each is a keyword, a flag, a key of a study and an attribute of files."""

    loss: Annotated[
        str, named("population, implicit, denoising or posterior", names="csd.training.losses:OBJECTIVES")
    ] = "implicit"
    batch: Annotated[
        Count, named("fields in a minibatch", "B", label="B{value}", absent=0, note="0 means full-batch steps")
    ] = 64
    data_set: Annotated[
        Count | None,
        named("learn from a fixed data set of M fields", "M", label="M{value}", absent=0, note=DATA),
    ] = None
    augment: Annotated[
        bool,
        Option(
            "replace fields of a data set by images under translations and, of known targets, rotations, reflections,"
            " sign",
            label="augmented",
        ),
    ] = False
    chains: Annotated[
        Count | None,
        Option("learn from the states of so many Markov chains, which start from the fields of the data set", "C"),
    ] = None
    chain_sweeps: Annotated[Count, Option("sweeps of these chains between two minibatches", "N")] = 1
    seeds: Annotated[tuple[Annotated[int, Ge(0)], ...], unsaid("random seeds", "S", flag="seed", always=True)] = (0,)
    tolerance: Annotated[
        float, Ge(0.0), unnamed("relative score error above the floor that ends training; 0 trains to max_steps", "E")
    ] = 0.01
    settle: Annotated[
        int,
        Ge(0),
        Option("further steps for which the score error must stay within the tolerance before training ends", "STEPS"),
    ] = 0
    max_steps: Annotated[
        Annotated[int, Ge(1), Le(10**18)] | None,
        unnamed(
            "steps after which training ends in any case", "N", default=f"{DEFAULT_STEPS}; with cosine {COSINE_STEPS}"
        ),
    ] = None
    learning_rate: Annotated[
        Annotated[float, Gt(0.0)] | None, given_rate("instead of the architecture's own", "ETA", label="lr{value}")
    ] = None
    rate_from: Annotated[
        Literal["spectrum", "data", "optimal", "tuned", "safe"],
        Option(
            "origin of a learning rate that is not given: spectrum, the architecture's own of the exact power spectrum;"
            " data, that of fields, of each seed its own; optimal, with gd, heavy_ball or nesterov and one_layer, the"
            " best one, and its momentum; tuned, of the population loss, the best of a grid, tried on other seeds, or"
            " half of it where starts are random; safe, with local_two_layer, one at which no start diverges",
            label="lr{value}",
        ),
    ] = "spectrum"
    start_kernel: Annotated[
        # Below, 0.1 / K₀ is not finite; beyond, a step from it is not.
        Annotated[float, Ge(1e-300), Le(1e6)] | None,
        Option(
            "K₀ of the start of two_layer, deep_linear, local_two_layer, multiscale or multiscale_blocks",
            "K0",
            default="0.1 / C_max",
            label="start{value}",
        ),
    ] = None
    momentum: Annotated[
        float,
        Ge(0.0),
        Lt(1.0),
        Option("momentum: gd with it is the heavy ball; of every other optimizer 0 stands for its own, 0.9", "B"),
    ] = 0.0
    optimizer: Annotated[
        Literal["gd", "heavy_ball", "nesterov", "adam", "adamw", "adam_fourier", "sign_fourier"] | None,
        Option(
            "rule of the steps: gd, heavy_ball, nesterov, adam or adamw; or, of layers as wide as the lattice, on each"
            " mode by itself, adam_fourier or sign_fourier",
            default="gd; of nonlinear networks adam with cosine",
            label="{value}",
        ),
    ] = None
    beta2: Annotated[
        Annotated[float, Ge(0.0), Lt(1.0)] | None, own_option("memory of the squared gradient of adam", "B")
    ] = None
    weight_decay: Annotated[Annotated[float, Ge(0.0)] | None, own_option("decay of the parameters of adamw", "K")] = (
        None
    )
    rate_schedule: Annotated[
        Literal["constant", "cosine", "inverse_sqrt"] | None,
        Option(
            "learning rate against the step j: constant; cosine, down to 0 at max_steps; inverse_sqrt, as 1/√j",
            default="constant",
            label="{value}",
        ),
    ] = None
    clip: Annotated[Annotated[float, Gt(0.0)] | None, own_option("longest gradient of a network", "G")] = None
    average: Annotated[
        Annotated[float, Gt(0.0), Lt(1.0)] | None,
        own_option("decay of the moving average of the parameters that is kept, of nonlinear networks", "D"),
    ] = None
    accumulate: Annotated[
        Count,
        Option(
            "parts of a minibatch whose gradients are averaged one after the other, which takes less memory",
            "A",
            label="parts{value}",
        ),
    ] = 1
    path: Annotated[Literal["spectral", "fields"], named("spectral (fast) or fields (any network)")] = "spectral"
    conditioned: Annotated[
        bool, Option("one network for all noise levels, trained at levels between the extremes", label="conditioned")
    ] = False
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
        Literal["score_error", "samples", "held_out_loss", "max_steps"],
        unnamed(
            "what ends training: score_error, at the tolerance; samples, once they meet all criteria; held_out_loss,"
            " once it has not fallen for the patience; max_steps, nothing before that step, whose weights are kept;"
            " nonlinear networks of a data set without scores take held_out_loss unless max_steps is given"
        ),
    ] = "score_error"
    patience: Annotated[
        float,
        Gt(1.0),
        Option(
            "the held-out loss ends training once there were so many times the steps to its lowest value",
            "F",
            label=None,
        ),
    ] = 4.0
    integrator: Annotated[
        str, unnamed("integrator of the samples, with until samples", names="csd.diffusion.integrators:INTEGRATORS")
    ] = INTEGRATOR
    start: Annotated[Literal["noise", "exact"], unnamed("start of the samples, with until samples: noise or exact")] = (
        "noise"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.settle:
            self._check_settling()
        if self.rate_from == "tuned" and (self.tolerance == 0.0 or self.until != "score_error"):
            raise InputError(
                f"rate_from is tuned, but tolerance is {self.tolerance:g} and until is {self.until}; it needs a"
                " tolerance above 0, and until score_error"
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"a seed is given twice in {list(self.seeds)}; each must be given once")
        if self.loss == POSTERIOR and (self.path == "spectral" or self.conditioned):
            how = "path spectral" if self.path == "spectral" else "conditioned"
            raise InputError(f"loss is {POSTERIOR!r} with {how}; it needs path fields, and networks of one noise level")
        if self.path == "spectral" and self.data_set is not None and self.loss != "population":
            raise InputError(
                f"loss is {self.loss!r} with a data set; full-batch steps on its spectrum have loss population, and"
                " minibatches of its fields need path fields"
            )
        if self.batch % self.accumulate:
            raise InputError(
                f"accumulate is {self.accumulate}, but batch is {self.batch}; the batch must be a multiple of it"
            )
        for name, given in (("augment", self.augment), ("chains", self.chains is not None)):
            if given and (self.path == "spectral" or self.data_set is None):
                other = "path is spectral" if self.path == "spectral" else "fields are fresh at every step"
                value = str(getattr(self, name)).lower()
                raise InputError(f"{name} is {value}, but {other}; it needs path fields and a data set")
        if self.chain_sweeps != 1 and self.chains is None:
            raise InputError(f"chain_sweeps is {self.chain_sweeps}, but there are no chains; give chains too")
        if self.stepping and self.device == "cuda" and self.path == "spectral":
            name, value = next(iter(self.stepping.items()))
            raise InputError(f"{name} is {value}, but device is cuda; take device cpu with it, or path fields")
        if self.rate_from != "spectrum" and self.learning_rate is not None:
            raise InputError(
                f"rate_from is {self.rate_from}, but learning_rate is {self.learning_rate:g}; one of them must be left"
                " out"
            )
        if self.path == "fields" and self.loss == "population":
            raise InputError(
                "loss is 'population' with path fields; on raw fields it must be implicit, denoising or posterior"
            )
        if self.conditioned and self.path == "spectral":
            raise InputError("conditioned is given with path spectral; a conditioned network needs path fields")

    def _check_settling(self) -> None:
        """Refuse steps for which the error must stay within the tolerance where nothing can come of them."""
        if self.tolerance == 0.0:
            raise InputError(f"settle is {self.settle}, but tolerance is 0; it needs a tolerance to stay within")
        if self.until in ("samples", "held_out_loss"):
            raise InputError(
                f"settle is {self.settle}, but until is {self.until}; it needs until score_error or max_steps"
            )
        if self.max_steps is not None and self.settle >= self.max_steps:
            raise InputError(
                f"settle is {self.settle}, but training ends after {self.max_steps} steps in any case; it must be less"
            )

    @property
    def step(self) -> str:
        """The steps of `csd.core.source` whose code a training uses."""
        chains = "" if self.chains is None else " mcmc mcmc/fields"
        return f"train{chains}{' mcmc/posterior/loss' if self.loss == POSTERIOR else ''}"

    @property
    def stepping(self) -> dict[str, Any]:
        """The options by which steps differ from those of plain gradient descent, with their values."""
        found = {name: getattr(self, name) for name in STEPPING}
        plain = {"momentum": 0.0, "optimizer": "gd", "rate_schedule": "constant"}
        return {name: value for name, value in found.items() if value not in (None, plain.get(name))}

    @property
    def most_steps(self) -> int:
        """The steps after which training ends in any case."""
        return self.max_steps or (COSINE_STEPS if self.rate_schedule == "cosine" else DEFAULT_STEPS)

    @property
    def linear_rule(self) -> tuple[str, float] | None:
        """(gd, heavy_ball or nesterov, β), where all steps are of one that is linear in the gradient; else None.

        With the optimal rate, β is that of each noise level, and 0 here.
        """
        if self.stepping.keys() - {"momentum", "optimizer"} or self.optimizer not in (None, *LINEAR):
            return None
        if self.optimizer in (None, "gd"):
            return ("heavy_ball", self.momentum) if self.momentum else ("gd", 0.0)
        return self.optimizer, 0.0 if self.rate_from == "optimal" else self.momentum or MOMENTUM

    @property
    def heavy_ball(self) -> float | None:
        """β of plain descent, where it is 0, and of the heavy ball, if it is given; None for any other steps."""
        rule = self.linear_rule
        best = rule is not None and rule[0] != "gd" and self.rate_from == "optimal"
        return None if rule is None or rule[0] == "nesterov" or best else rule[1]

    def applied(self) -> dict[str, Any]:
        """The values of the options; None for those that do not apply, such as the batch of full-batch steps."""
        idle = {"batch"} if self.loss == "population" else set()
        idle |= {"integrator", "start"} if self.until != "samples" else set()
        return {name: None if name in idle else value for name, value in super().applied().items()}

    def labels(self) -> dict[str, str]:
        """Loss and batch always, other options where they differ from their defaults."""
        batch = {} if self.loss == "population" else {"batch": f"B{self.batch}"}
        return {"loss": self.loss.replace(":", ".")} | batch | super().labels()


def with_own_steps(architecture: Architecture, settings: TrainingSettings) -> TrainingSettings:
    """The settings with their last step, and with the steps of a network's class unless an optimiser is given."""
    own = {} if ":" in architecture.name else getattr(architecture.made_by, "training", {})
    if settings.optimizer is None and own:
        settings = replace(settings, **{name: value for name, value in own.items() if getattr(settings, name) is None})
    return settings if settings.max_steps else replace(settings, max_steps=settings.most_steps)


def check_conditioned(architecture: Architecture, settings: TrainingSettings, levels: int) -> None:
    """Refuse one network for all noise levels where the network serves one, or where there is one.

    Args:
        architecture: the network.
        settings: options of training.
        levels: number of noise levels.

    Raises:
        InputError: if `conditioned` is given and does not fit.
    """
    if not settings.conditioned:
        return
    architecture.check_conditioned()
    if levels < 2:
        raise InputError("conditioned is given, but there is one noise level; it needs a smallest and a largest one")


def check_until_error(architecture: Architecture, settings: TrainingSettings) -> None:
    """Refuse another end of training than the score error, where exact scores tell it for a network without a kernel.

    Raises:
        InputError: if another end is asked for.
    """
    if settings.until not in ("score_error", "max_steps"):
        raise InputError(
            f"until is {settings.until}, but scores are given, against which the error of architecture"
            f" {architecture.name!r} is measured; leave until out, or the scores"
        )


def with_population(settings: TrainingSettings) -> TrainingSettings:
    """The same training, on power spectra, on the population loss and to the tolerance."""
    of_fields: dict[str, Any] = {"data_set": None, "augment": False, "chains": None, "chain_sweeps": 1}
    return replace(settings, loss="population", path="spectral", until="score_error", **of_fields)


def check_chains(settings: TrainingSettings, target: Target) -> None:
    """Refuse Markov chains beside the training on a target whose Hamiltonian is not known.

    Raises:
        InputError: if chains are given, and no couplings of the fields are known.
    """
    if settings.chains is not None and not (getattr(target, "hamiltonian", None) or getattr(target, "known", None)):
        raise InputError(
            f"chains is {settings.chains}, but no couplings of the fields are known, by which chains could update them;"
            " take a file of csd mcmc --fields, or give the couplings"
        )


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
