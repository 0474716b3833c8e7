"""An open, reproducible laboratory for critical slowing down in diffusion models.

    import csd
    run = csd.train("two_layer", dimension=2, size=32)
    samples = csd.generate(run)
    samples.power_spectrum.plot()

Packages, from the ground up: `core`, `lattice`, `targets`, `networks`, `training` and `mcmc` (side by side),
`diffusion` and `locality` (side by side), `study`, `report`, `api`, `cli`. Each imports only from those before it, and
says in its docstring what is in it and what may not be.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from csd.core.aliases import MOVED, install

if TYPE_CHECKING:
    from csd.api.generation import generate
    from csd.api.phases import phases
    from csd.api.scores import scores
    from csd.api.targets import target
    from csd.api.training import predict, train
    from csd.core.errors import GenerationFailed, InputError, TrainingDiverged
    from csd.core.files import read

install()

# Nothing is imported before it is used: a command of the shell starts in a fifth of a second.
_PLACES = {
    "train": "api.training",
    "predict": "api.training",
    "target": "api.targets",
    "generate": "api.generation",
    "scores": "api.scores",
    "phases": "api.phases",
    "read": "core.files",
    "InputError": "core.errors",
    "TrainingDiverged": "core.errors",
    "GenerationFailed": "core.errors",
}

__all__ = [
    "GenerationFailed",
    "InputError",
    "TrainingDiverged",
    "generate",
    "phases",
    "predict",
    "read",
    "scores",
    "target",
    "train",
]


def __getattr__(name: str) -> Any:
    """A function or an error of the package, from the module that it lives in."""
    if name in MOVED:
        return import_module(f"csd.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"csd.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
