"""An open, reproducible laboratory for critical slowing down in diffusion models.

    import csd
    run = csd.train("two_layer", dimension=2, size=32)
    samples = csd.generate(run)
    samples.power_spectrum.plot()

From the ground up: `errors`, `rounding`, `plugins`, `ziggurat`, `stream`, `lattice`, `field`, `sites`, `model`,
`samplers`, `autocorrelation`, `simulation`, `updates`, `exact_sweeps`, `chains`, `noise`, `generation`, `observables`,
`criteria`, `objectives`, `networks`, `minibatch`, `training`, `goal`, `theory`, `samples`, `scaling`, `store`, `watch`,
`record`, `ensemble`, `measured`, `discretisation`, `trained`, `quality`, `schema`, `campaign`, `config`, `cost`,
`cluster`, `summary`, `dynamics`, `accuracy`, `timing`, `claims`, `verdicts`, `figures`, `paper`, `report`, `explore`,
`source`, `inventory`, `experiment`, `sampling`, `completion`, `cli`. Each imports only from those before it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csd.errors import GenerationFailed, InputError, TrainingDiverged
    from csd.experiment import predict, target, train
    from csd.sampling import generate
    from csd.store import read

# Nothing is imported before it is used: a command of the shell starts in a fifth of a second.
_PLACES = {
    "train": "experiment",
    "predict": "experiment",
    "target": "experiment",
    "generate": "sampling",
    "read": "store",
    "InputError": "errors",
    "TrainingDiverged": "errors",
    "GenerationFailed": "errors",
}

__all__ = ["GenerationFailed", "InputError", "TrainingDiverged", "generate", "predict", "read", "target", "train"]


def __getattr__(name: str) -> Any:
    """A function or an error of the package, from the module that it lives in."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"csd.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
