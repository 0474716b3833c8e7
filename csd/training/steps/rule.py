"""The rule of the steps: the optimiser of some options of training, and which networks take it."""

from dataclasses import replace

from csd.core.errors import InputError
from csd.core.plugins import is_user_defined
from csd.networks import Architecture
from csd.networks.full import DeepLinear
from csd.training.descent.optimizers import FOURIER, Optimizer, optimizer_of, rate_factor
from csd.training.options import LINEAR, TrainingSettings

SIZED = ("two_layer", "deep_linear", "local_two_layer", "multiscale", "multiscale_blocks")
"""Networks that start at K₀ = 0.1 / C_max."""


def optimizer_for(settings: TrainingSettings) -> Optimizer:
    """The optimiser of settings that `with_own_steps` made; gd with momentum is the heavy ball.

    Raises:
        InputError: for an option that the optimiser does not have.
    """
    name = settings.optimizer or "gd"
    name = "heavy_ball" if name == "gd" and settings.momentum > 0.0 else name
    given = {"momentum": settings.momentum or None, "beta2": settings.beta2, "weight_decay": settings.weight_decay}
    found = optimizer_of(name, **{option: value for option, value in given.items() if value is not None})
    if settings.clip and found.space == FOURIER:
        raise InputError(f"clip is given, but optimizer {name!r} has no such option; rules in real space have it")
    if settings.rate_from == "data" and found.rate is not None:
        raise InputError(
            f"rate_from is data, but the learning rate of optimizer {name!r} is {found.rate:g} whatever the data; leave"
            " it out, or take gd, heavy_ball or nesterov"
        )
    if settings.rate_from == "optimal" and settings.optimizer not in (None, *LINEAR):
        raise InputError(
            f"rate_from is optimal, but optimizer is {name!r}, whose best learning rate is not known; it needs"
            " gd, heavy_ball or nesterov"
        )
    if settings.rate_from == "optimal" and settings.momentum:
        raise InputError(
            f"rate_from is optimal, but momentum is {settings.momentum:g}; leave momentum out, as the best one is taken"
        )
    if settings.rate_from == "optimal" and settings.linear_rule is None:
        option, value = next((own, value) for own, value in settings.stepping.items() if own != "optimizer")
        raise InputError(
            f"rate_from is optimal, but {option} is {value}, with which the best learning rate is not known; leave"
            f" {option} out"
        )
    return replace(
        found,
        schedule=rate_factor(settings.rate_schedule or "constant", settings.most_steps),
        clip=settings.clip or 0.0,
        average=settings.average or 0.0,
    )


def check_steps(architecture: Architecture, settings: TrainingSettings) -> Optimizer:
    """The optimiser of settings that `with_own_steps` made.

    Raises:
        InputError: for an option that the optimiser does not have, or one of steps that the network does not take.
    """
    optimizer = optimizer_for(settings)
    made_by = architecture.made_by
    full = issubclass(made_by, DeepLinear) and not is_user_defined(made_by.kernel)
    if optimizer.space == FOURIER and not full:
        raise InputError(
            f"optimizer is {settings.optimizer!r}, which acts on each mode of layers as wide as the lattice, but"
            f" architecture {architecture.name!r} has other parameters; it needs one_layer, two_layer or deep_linear"
        )
    one_layer = architecture.name == "one_layer" or (architecture.name == "deep_linear" and architecture.depth == 1)
    if settings.rate_from == "optimal" and not (one_layer and settings.path == "spectral"):
        raise InputError(
            f"rate_from is optimal, but the loss of architecture {architecture.name!r} on path {settings.path} is not"
            " known to be quadratic; it needs one_layer and path spectral"
        )
    if settings.rate_from == "tuned" and settings.loss != "population":
        raise InputError(
            f"rate_from is tuned, but loss is {settings.loss!r}, whose minibatches make times random; it needs loss"
            " population and path spectral"
        )
    if settings.rate_from == "safe" and (architecture.name != "local_two_layer" or settings.heavy_ball is None):
        raise InputError(
            f"rate_from is safe, but architecture is {architecture.name!r} and optimizer"
            f" {settings.optimizer or 'gd'!r}; it needs local_two_layer and gd, with momentum or without"
        )
    if settings.start_kernel is not None and (architecture.name not in SIZED or architecture.depth == 1):
        raise InputError(
            f"start_kernel is {settings.start_kernel:g}, but architecture {architecture.name!r} has no start of a size;"
            f" it must be one of {', '.join(SIZED)} with two layers or more"
        )
    if architecture.is_family:
        check_without_kernel(architecture, settings)
    return optimizer


def check_without_kernel(architecture: Architecture, settings: TrainingSettings) -> None:
    """Refuse options of networks without a kernel, for one that has a kernel.

    Raises:
        InputError: for an average, or parts of a minibatch.
    """
    for name, idle in (("average", None), ("accumulate", 1)):
        if getattr(settings, name) != idle:
            raise InputError(
                f"{name} is {getattr(settings, name):g}, but architecture {architecture.name!r} does not take it; only"
                " networks without a kernel do, on path fields"
            )
