"""Names of modules, classes and functions in version 0.1, which scripts and result files still contain.

`import csd.field`, `from csd.training import Settings` and the dotted path `csd.field:GaussianField` of a result file
find the present modules and classes. The package itself uses none of the old names.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.machinery import ModuleSpec
from operator import attrgetter
from types import ModuleType
from typing import Any, cast

MOVED: dict[str, str] = {
    **{
        name: f"{package}.{name}"
        for package, names in {
            "core": "errors plugins source",
            "lattice": "observables sites",
            "mcmc": "autocorrelation chains ensemble exact_sweeps samplers updates",
            "diffusion": "criteria samples trained",
            "study": "claims cluster rounding",
            "study.config": "schema",
            "study.summaries": "accuracy",
            "report": "explore figures paper",
            "cli": "completion",
        }.items()
        for name in names.split()
    },
    "campaign": "study.stages.monte_carlo",
    "cli": "cli.commands",
    "config": "study.config.study study.stages.training study.stages.generation study.stages.sweeps"
    " study.stages.integrators study.config.reading study.config.schema",
    "cost": "study.cost.estimate study.cost.monte_carlo study.cost.calibration study.cost.pace"
    " study.cost.limits study.cost.expected",
    "discretisation": "diffusion.discretisation study.summaries.laws",
    "dynamics": "study.summaries.dynamics study.summaries.files",
    "experiment": "api.training api.keywords api.targets",
    "field": "targets.gaussian targets.base",
    "figures.style": "report.figures.looks",
    "generation": "diffusion.integrators diffusion.grids diffusion.sampling targets.noising training.options",
    "goal": "diffusion.reverse",
    "inventory": "study.status",
    "lattice": "lattice.lattice lattice.memory",
    "measured": "targets.dataset mcmc.fields",
    "minibatch": "training.batches",
    "model": "targets.phi4 targets.spins targets.base",
    "networks.autograd": "training.descent.modules",
    "networks.device": "training.descent.device",
    "noise": "targets.noising",
    "objectives": "training.losses",
    "quality": "diffusion.quality diffusion.measures",
    "record": "training.content",
    "report": "report.pages",
    "sampling": "api.generation",
    "scaling": "study.scaling study.nested_law study.seeds",
    "simulation": "mcmc.simulation targets.phi4",
    "store": "core.files core.paths",
    "stream": "core.random core.compiled_random",
    "summary": "study.summaries.training study.summaries.generation study.summaries.laws study.summaries.files",
    "theory": "training.reference",
    "timing": "study.summaries.cost_of_fields",
    "training": "training.options training.loop training.record training.recorder training.preparation lattice.bins",
    "verdicts": "study.verdicts",
    "watch": "training.checkpoint",
    "ziggurat": "core._ziggurat",
}
"""Old modules, and the present modules in which their names are looked up, in this order."""

RENAMED: dict[tuple[str, str], str] = {
    (module, old): new
    for module, names in {
        "campaign": "Simulation=MonteCarloJob simulations=monte_carlo_jobs",
        "config": "Run=TrainingJob STEPS=GRID_STEPS Sampling=GenerationJob"
        " expand=training_jobs samplings=generation_jobs",
        "cost": "Estimate=ExpectedCost Job=JobPace"
        " estimate=expected_costs estimate_simulations=expected_monte_carlo_costs",
        "discretisation": "scaling_table=integrator_table",
        "dynamics": "aggregate=aggregate_monte_carlo exponents_table=dynamic_table simulation_file=training_file",
        "experiment": "sampler_levels=generation_levels",
        "field": "Target=HasSpectrum",
        "generation": "STEPS=GRID_STEPS generate=sample_fields",
        "goal": "Sampler=ReverseDiffusion best_kernels=best_score",
        "inventory": "Job=JobStatus",
        "model": "Model=HasEnergy",
        "quality": "OBSERVABLES=SPECTRAL_OBSERVABLES Settings=GenerationSettings",
        "record": "request=training_request",
        "samplers": "correlation_length=hartree_length",
        "samples": "compared=compared_fields",
        "simulation": "Settings=MonteCarloSettings gaussian_model=PhiFour.of_gaussian request=monte_carlo_request",
        "source": "STEPS=SOURCES",
        "summary": "aggregate=aggregate_training generation_scaling_table=generation_table"
        " scaling_table=training_table",
        "theory": "predict=reference_curve",
        "trained": "kept_kernels=kept_scores",
        "training": "Run=Prepared Settings=TrainingSettings train=train_network",
    }.items()
    for old, new in (pair.split("=") for pair in names.split())
}
"""Names in old modules that have changed, as old=new."""

PACKAGES = ("figures", "paper", "updates")
"""Old packages that have moved; the modules in them keep their names."""


def old_names(package: str) -> Callable[[str], Any]:
    """A `__getattr__` for an old module, such as 'csd.training', that finds its names in the present modules."""
    old = package.removeprefix("csd.")
    places = [f"csd.{place}" for place in _places(old) if f"csd.{place}" != package]

    def find(name: str) -> Any:
        if name == "__all__":
            held = {found for place in places for found in vars(import_module(place)) if not found.startswith("_")}
            return sorted(held | {known for module, known in RENAMED if module == old})
        if not name.startswith("__"):
            for place in places:
                with suppress(AttributeError):
                    return attrgetter(RENAMED.get((old, name), name))(import_module(place))
        raise AttributeError(f"module {package!r} has no attribute {name!r}; it is now {' and '.join(places)}")

    return find


def _places(old: str) -> list[str]:
    """The present modules of an old module, or of a module in an old package."""
    head, _, rest = old.partition(".")
    return MOVED[old].split() if old in MOVED else [f"{MOVED[head].split()[0]}.{rest}"] if head in PACKAGES else []


class _Old:
    """Creates old modules when they are imported.

    It has the methods of a finder and of a loader, but is not derived from these classes: `importlib.abc` imports much
    of Python's library, and `csd.__main__` must first make sure that no file of the working directory hides any of it.
    """

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The specification of an old module in the table; None for other modules."""
        old = name.removeprefix("csd.")
        return (
            ModuleSpec(name, cast("Any", self), is_package=old in PACKAGES)
            if name.startswith("csd.") and _places(old)
            else None
        )

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to create the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Add the lookup to the new module."""
        module.__getattr__ = old_names(module.__name__)  # type: ignore[method-assign]


def install() -> None:
    """Make old modules importable; present modules take precedence."""
    if not any(isinstance(finder, _Old) for finder in sys.meta_path):
        sys.meta_path.append(_Old())
