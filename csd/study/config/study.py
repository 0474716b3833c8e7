"""The study: its configuration, validated, and the run table it expands to.

A study is one YAML file. Its sweeps are expanded here and nowhere else, into one `Run` a row: an architecture on one
lattice at one mass, for a few seeds. A row is one job of the workflow and one `csd train` command.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, StrictInt, ValidationError, model_validator

from csd.campaign import MonteCarlo
from csd.errors import InputError, nearest, unknown
from csd.field import TARGETS, GaussianField, gaussian_field
from csd.generation import INTEGRATOR, INTEGRATORS, LOWEST_LEVEL, SIGNAL_LEFT, STEPS, geometric_grid, longest_level
from csd.lattice import Lattice
from csd.networks import Architecture
from csd.noise import SCHEDULES, NoisedTarget
from csd.objectives import OBJECTIVES
from csd.plugins import resolve
from csd.schema import (
    Count,
    Couplings,
    Dimension,
    Item,
    Number,
    Part,
    Positive,
    Seed,
    SeedCount,
    Several,
    Size,
    counted,
    listed,
)
from csd.training import Settings

TRAINING_FIGURES = (
    "fields",
    "learning_curves",
    "training_time",
    "collapse",
    "finite_size",
    "residuals",
    "depth_law",
    "kernels",
    "parameters",
    "overfitting",
)
GENERATION_FIGURES = (
    "generation_time",
    "generation_curves",
    "generated_spectra",
    "generated_fields",
    "on_the_way",
    "local_range",
    "size_transfer",
    "memorisation",
)
INTEGRATOR_FIGURES = ("integrator_steps",)
MONTE_CARLO_FIGURES = ("dynamic_exponents", "cost_to_fields")
FIGURES = TRAINING_FIGURES + GENERATION_FIGURES + INTEGRATOR_FIGURES + MONTE_CARLO_FIGURES
"""What can be drawn, from one of the summaries each."""


DEFAULT_CLAIMS = "config/claims.yaml"
"""Where claims are looked for; the package has a copy of this file, for those who have it from no checkout."""
FILE_NAME = r"[A-Za-z0-9_.+-]+"
"""What the name of a run may hold; Snakemake's wildcard takes the same."""

M = TypeVar("M", bound=BaseModel)


def summary_of(figure: str) -> str:
    """Which file of the summary a figure is drawn from: 'training', 'generation', 'monte_carlo', …"""
    if figure in MONTE_CARLO_FIGURES:
        return "timing" if figure == "cost_to_fields" else "monte_carlo"
    if figure in INTEGRATOR_FIGURES:
        return "integrators"
    return "generation" if figure in GENERATION_FIGURES else "training"


def _reach(value: Any) -> Any:
    """A range: an integer, or a factor of the score length."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("an integer is needed, or a factor of the score length such as 3xi")
    return value


Reach = Annotated[int | str, BeforeValidator(_reach, json_schema_input_type=int | str)]
Factor = Annotated[StrictInt, Field(ge=2)]


class NetworkConfig(Part):
    """An architecture and its options; a list stands for one network each."""

    name: Annotated[str, Field(description="a built-in architecture, or package.module:Class")]
    depth: Annotated[
        Several[Count] | None,
        BeforeValidator(listed, json_schema_input_type=Count | Several[Count] | None),
        Field(None, description="layers of deep_linear"),
    ]
    range: Annotated[
        Several[Reach] | None,
        BeforeValidator(listed, json_schema_input_type=Reach | Several[Reach] | None),
        Field(None, description="range of the composed kernel, or a factor of the score length: 3xi"),
    ]
    channels: Annotated[
        Several[Count] | None,
        BeforeValidator(listed, json_schema_input_type=Count | Several[Count] | None),
        Field(None, description="tied channels of local_two_layer; d + 1 by default"),
    ]


def _network(value: Any) -> Any:
    """A bare name as an architecture without options."""
    return {"name": value} if isinstance(value, str) else value


Network = Annotated[NetworkConfig, BeforeValidator(_network, json_schema_input_type=str | NetworkConfig)]


class Training(Part):
    """How networks are trained; a sweep may override any of these."""

    schedule: Annotated[str, Field("vp", description="noising schedule: vp, ve, or package.module:Class")]
    noise_levels: Annotated[
        list[Positive], Field([0.01, 0.1, 0.5, 1.0], min_length=1, description="noise levels t, each learned alone")
    ]
    loss: Annotated[str, Field("implicit", description="population, implicit, denoising, or package.module:Class")]
    batch: Annotated[Count, Field(64, description="fields in a minibatch")]
    data_sets: Annotated[
        Several[Count] | None,
        BeforeValidator(listed, json_schema_input_type=Count | Several[Count] | None),
        Field(None, description="fields of a fixed data set, one run each; fresh fields if absent"),
    ]
    tolerance: Annotated[
        Number,
        Field(0.01, ge=0.0, description="relative score error above the floor that ends training"),
    ]
    until: Annotated[
        Literal["score_error", "samples"],
        Field("score_error", description="what ends training: the tolerance, or samples that are right"),
    ]
    max_steps: Annotated[Count, Field(1_000_000, description="steps after which training ends in any case")]
    learning_rate: Annotated[Positive | None, Field(None, description="the architecture's default if absent")]
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Field("auto", description="cuda: a GPU, which jobs on a cluster ask for; auto: one where autograd finds it"),
    ]
    path: Annotated[Literal["spectral", "fields"], Field("spectral", description="power spectra, or raw fields")]
    seeds: Annotated[
        list[Seed],
        BeforeValidator(counted, json_schema_input_type=SeedCount | list[Seed]),
        Field([1, 2, 3, 4], min_length=1, description="random seeds; n stands for 1 … n"),
    ]
    seeds_per_job: Annotated[Count, Field(4, description="seeds that one job trains")]


class Generation(Part):
    """How fields are generated from what a sweep trains; its noise levels become the sampler's grid."""

    steps: Annotated[Count, Field(STEPS, description="steps of the sampler; one more noise level is trained")]
    t_min: Annotated[Positive, Field(LOWEST_LEVEL, description="lowest noise level")]
    t_max: Annotated[Positive | None, Field(None, description="highest noise level; ½ ln(1 + 10⁴ L²) if absent")]
    integrator: Annotated[str, Field(INTEGRATOR, description="how a step is made, or package.module:Class")]
    start: Annotated[
        Literal["noise", "exact"], Field("noise", description="distribution of the fields at the highest level")
    ]
    kernel_steps: Annotated[
        Literal["recorded", "sparse"],
        Field("recorded", description="kernels kept: every step to 48, then 12 a decade; sparse: 12 a decade"),
    ]
    samples: Annotated[StrictInt, Field(256, ge=2, description="fields drawn for each seed")]
    transfer: Annotated[
        Several[Factor] | None,
        BeforeValidator(listed, json_schema_input_type=Factor | Several[Factor] | None),
        Field(None, description="also generate on lattices so many times larger"),
    ]


class Sweep(Part):
    """Runs over sizes, masses, architectures and data sets in one dimension."""

    dimension: Annotated[Dimension, Field(description="lattice dimension")]
    sizes: Annotated[
        Several[Size],
        BeforeValidator(listed, json_schema_input_type=Size | Several[Size]),
        Field(description="lattice sizes L"),
    ]
    mass: Annotated[
        Several[Positive] | None,
        BeforeValidator(listed, json_schema_input_type=Positive | Several[Positive] | None),
        Field(None, description="masses m"),
    ]
    mass_times_length: Annotated[
        Several[Positive] | None,
        BeforeValidator(listed, json_schema_input_type=Positive | Several[Positive] | None),
        Field(None, description="c of the critical line m = c / L; 1 if no mass is given in any way"),
    ]
    couplings: Annotated[
        Several[Couplings] | None,
        BeforeValidator(listed, json_schema_input_type=Couplings | Several[Couplings] | None),
        Field(None, description="couplings (r0, u) of the O(n) model"),
    ]
    target: Annotated[str, Field("gaussian", description="gaussian, or package.module:Class")]
    architectures: Annotated[
        Several[Network],
        BeforeValidator(listed, json_schema_input_type=Network | Several[Network]),
        Field(description="what is trained"),
    ]
    generation: Annotated[Generation | None, Field(None, description="generate from this sweep; vp only")]
    training: Annotated[
        dict[str, Any], Field(default_factory=dict, description="settings of `training` that differ in this sweep")
    ]


class FigureStyle(Part):
    """Settings of all figures; changing one redraws and trains nothing."""

    noise_level: Annotated[Positive, Field(0.1, description="the noise level that figures show")]
    dots_per_inch: Annotated[Count, Field(200, description="resolution of the PNG files")]
    font_size: Annotated[Positive, Field(8.0, description="points")]


def _size_lists(value: Any) -> Any:
    """A list of sizes as one such list for all dimensions."""
    return [value] if isinstance(value, list) and not any(isinstance(one, list) for one in value) else value


class IntegratorSteps(Part):
    """How many steps integrators need with the exact score: no training, one job."""

    dimension: Annotated[
        Several[Dimension],
        BeforeValidator(listed, json_schema_input_type=Dimension | Several[Dimension]),
        Field([2], description="lattice dimension, or several"),
    ]
    sizes: Annotated[
        list[Annotated[list[Size], Field(min_length=1)]],
        BeforeValidator(_size_lists, json_schema_input_type=list[Size] | list[list[Size]]),
        Field(
            [[8, 16, 32, 64, 128]], min_length=1, description="lattice sizes L; or a list of them for each dimension"
        ),
    ]
    mass_times_length: Annotated[Positive, Field(1.0, description="c of the critical line m = c / L")]
    tolerance: Annotated[Positive, Field(0.01, description="KL divergence per site to reach")]
    t_min: Annotated[Positive, Field(1e-3, description="lowest noise level")]

    @model_validator(mode="after")
    def _matched(self) -> "IntegratorSteps":
        """One list of sizes for all dimensions, or one for each; nothing twice, and room between the noise levels."""
        if len(set(self.dimension)) < len(self.dimension):
            raise ValueError(f"a dimension is given twice in {self.dimension}; each must be given once")
        for sizes in self.sizes:
            if len(set(sizes)) < len(sizes):
                raise ValueError(f"a size is given twice in {sizes}; each must be given once")
        if len(self.sizes) not in (1, len(self.dimension)):
            raise ValueError(
                f"sizes has {len(self.sizes)} lists for {len(self.dimension)} dimensions; give one for all, or one each"
            )
        smallest = min(min(sizes) for sizes in self.sizes)
        if self.t_min >= (t_max := longest_level(smallest, SIGNAL_LEFT)):
            raise ValueError(
                f"t_min is {self.t_min!r}; it must be below the highest level of size {smallest}, {t_max:.3g}"
            )
        return self

    def arguments(self) -> list[str]:
        """The flags of `csd integrators`, without --output."""
        words = ["--dimension", *map(str, self.dimension)]
        for sizes in self.sizes:
            words += ["--size", *map(str, sizes)]
        words += ["--mass-times-length", repr(self.mass_times_length)]
        return [*words, "--tolerance", repr(self.tolerance), "--t-min", repr(self.t_min)]


class Study(Part):
    """A whole study."""

    study: Annotated[str, Field(min_length=1, description="its name")]
    output: Annotated[str, Field("results", min_length=1, description="folder that everything is written to")]
    claims: Annotated[
        str,
        Field(DEFAULT_CLAIMS, description="claims to test, a file in the working directory or in the checkout"),
    ]
    training: Annotated[Training, Field(default_factory=lambda: Training.model_validate({}))]
    sweeps: Annotated[dict[str, Sweep], Field(min_length=1, description="what is run, by name")]
    monte_carlo: Annotated[
        dict[str, MonteCarlo], Field(default_factory=dict, description="what is sampled by Monte Carlo, by name")
    ]
    integrator_steps: Annotated[IntegratorSteps, Field(default_factory=lambda: IntegratorSteps.model_validate({}))]
    figures: Annotated[
        list[Literal[FIGURES]] | None,  # type: ignore[valid-type]
        Field(None, description="figures to draw; by default those that a sweep has something for"),
    ]
    figure_style: Annotated[FigureStyle, Field(default_factory=lambda: FigureStyle.model_validate({}))]

    @property
    def drawn(self) -> list[str]:
        """The figures to draw."""
        if self.figures is not None:
            return list(self.figures)
        return [figure for figure in FIGURES if any(self._shows(figure, sweep) for sweep in self.sweeps.values())]

    @property
    def compares_cost(self) -> bool:
        """Whether Monte Carlo stands beside generation on the same target, in at least one dimension."""
        generating = {sweep.dimension for sweep in self.sweeps.values() if sweep.generation is not None}
        return any(
            one.dimension in generating and one.couplings is None and one.beta is None and one.mass is None
            for one in self.monte_carlo.values()
        )

    def _shows(self, figure: str, sweep: Sweep) -> bool:
        """Whether a sweep has what a figure is about."""
        names = {network.name for network in sweep.architectures}
        data_sets = sweep.training.get("data_sets", self.training.data_sets) is not None
        if figure in MONTE_CARLO_FIGURES:
            return self.compares_cost if figure == "cost_to_fields" else bool(self.monte_carlo)
        if (figure in GENERATION_FIGURES) != (sweep.generation is not None):
            return figure in INTEGRATOR_FIGURES
        special = {
            "collapse": sweep.mass is not None,
            "finite_size": sweep.couplings is not None and not names.isdisjoint(("one_layer", "two_layer")),
            "depth_law": "deep_linear" in names,
            "kernels": "local_one_layer" in names,
            "overfitting": data_sets,
            "memorisation": data_sets,
            "local_range": "local_one_layer" in names,
            "size_transfer": sweep.generation is not None and sweep.generation.transfer is not None,
        }
        return special.get(figure, True)


@dataclass(frozen=True)
class Run:
    """One row of the run table.

    Attributes:
        sweep: its sweep's name.
        dimension, size: of the lattice.
        mass: m itself, or None.
        mass_times_length: c of m = c / L, or None.
        couplings: (r₀, u), or None.
        target: its name.
        architecture: name, and options as they appear on the command line.
        training: settings, with one data set or none.
        data_set: M, or None.
        seeds: that this row trains.
    """

    sweep: str
    dimension: int
    size: int
    mass: float | None
    mass_times_length: float | None
    couplings: tuple[float, float] | None
    target: str
    name: str
    depth: int | None
    range: int | str | None
    channels: int | None
    training: Training
    data_set: int | None
    seeds: tuple[int, ...]
    generation: Generation | None = None

    @property
    def noise_levels(self) -> list[float]:
        """The levels trained: the study's, or the sampler's grid of this size."""
        if self.generation is None:
            return self.training.noise_levels
        asked = self.generation
        t_max = longest_level(self.size) if asked.t_max is None else asked.t_max
        return [float(level) for level in geometric_grid(asked.t_min, t_max, asked.steps)]

    @property
    def label(self) -> str:
        """Architecture and options: 'local_two_layer-R2'."""
        return self._architecture().label

    def _architecture(self) -> Architecture:
        return Architecture(self.name, self.depth, self.range, self.channels)

    @property
    def mass_label(self) -> str:
        """The mass as one canonical string."""
        if self.couplings is not None:
            return f"r{self.couplings[0]:.12g}u{self.couplings[1]:.12g}"
        if self.mass is not None:
            return f"m{self.mass:.12g}"
        return f"mL{self.mass_times_length:.12g}"

    @property
    def data_label(self) -> str:
        """Loss and data: 'implicit-B64', 'population', 'population-M100'."""
        parts = [self.training.loss.replace(":", ".")]
        if self.training.loss != "population":
            parts.append(f"B{self.training.batch}")
        if self.data_set is not None:
            parts.append(f"M{self.data_set}")
        if self.training.path != "spectral":
            parts.append(self.training.path)
        if self.training.schedule != "vp":
            parts.append(self.training.schedule.replace(":", "."))
        if self.training.learning_rate is not None:
            parts.append(f"lr{self.training.learning_rate:.12g}")
        if self.generation is not None:
            parts.append(f"grid{self.generation.steps}")
            if self.generation.t_max is not None:
                parts.append(f"t{self.generation.t_max:.12g}")
        if self.target != "gaussian":
            parts.append(self.target.replace(":", "."))
        return "-".join(parts)

    @property
    def plugins(self) -> list[str]:
        """Dotted paths that the row uses."""
        names = [self.name, self.target, self.training.schedule, self.training.loss]
        if self.generation is not None:
            names.append(self.generation.integrator)
        return [name for name in names if ":" in name]

    @property
    def identifier(self) -> str:
        """Unique name of the row, and of its file."""
        first, last = self.seeds[0], self.seeds[-1]
        consecutive = len(self.seeds) > 1 and all(after - before == 1 for before, after in pairwise(self.seeds))
        seeds = f"{first}-{last}" if consecutive else ".".join(map(str, self.seeds))
        name = f"d{self.dimension}_L{self.size}_{self.mass_label}_{self.label}_{self.data_label}_s{seeds}"
        if not re.fullmatch(FILE_NAME, name):
            raise InputError(
                f"the run {name!r} cannot name a file; names and ranges may hold letters, digits, '_', '.', '+', '-'"
            )
        return name

    def problem(self) -> tuple[NoisedTarget, Architecture, Settings]:
        """What is trained on what, and how: as `csd train` has it from the row's flags."""
        lattice = Lattice(self.dimension, self.size)
        r0, u = self.couplings or (None, None)
        gaussian = gaussian_field(lattice, mass=self.mass, mass_times_length=self.mass_times_length, r0=r0, u=u)
        target = resolve("target", self.target, TARGETS)(lattice, gaussian.mass)
        schedule = resolve("schedule", self.training.schedule, SCHEDULES)()
        return NoisedTarget(target, schedule, self.noise_levels), self._architecture(), self.settings

    @property
    def settings(self) -> Settings:
        """How it is trained; InputError for what training would refuse."""
        population = self.training.loss == "population"
        return Settings(
            loss=self.training.loss,
            batch=Settings.batch if population else self.training.batch,
            data_set=self.data_set,
            seeds=self.seeds,
            tolerance=self.training.tolerance,
            max_steps=self.training.max_steps,
            learning_rate=self.training.learning_rate,
            path=self.training.path,
            device=self.training.device,
            **self._of_generation,
        )

    @property
    def _of_generation(self) -> dict[str, Any]:
        """Settings of training that follow from the sweep's `generation`."""
        asked = self.generation
        if asked is None:
            return {}
        kept = {"kernel_steps": asked.kernel_steps}
        if self.training.until == "score_error":
            return kept
        return kept | {"until": self.training.until, "integrator": asked.integrator, "start": asked.start}

    def arguments(self) -> list[str]:
        """The flags of `csd train` that make this row, without --output."""
        training = self.training
        flags: list[tuple[str, Any]] = [
            ("--architecture", self.name),
            ("--depth", self.depth),
            ("--range", self.range),
            ("--channels", self.channels),
            ("--dimension", self.dimension),
            ("--size", self.size),
            ("--mass", self.mass),
            ("--mass-times-length", self.mass_times_length),
            ("--r0", self.couplings[0] if self.couplings else None),
            ("--u", self.couplings[1] if self.couplings else None),
            ("--target", None if self.target == "gaussian" else self.target),
            ("--schedule", training.schedule),
            ("--noise-level", self.noise_levels),
            ("--loss", training.loss),
            ("--batch", None if training.loss == "population" else training.batch),
            ("--data-set", self.data_set),
            ("--tolerance", training.tolerance),
            ("--max-steps", training.max_steps),
            ("--learning-rate", training.learning_rate),
            ("--path", training.path),
            ("--device", None if training.device == "auto" else training.device),
            *((f"--{name.replace('_', '-')}", value) for name, value in self._of_generation.items()),
            ("--seed", self.seeds),
        ]
        words: list[str] = []
        for flag, value in flags:
            if value is not None:
                values = value if isinstance(value, list | tuple) else [value]
                words += [flag, *(repr(v) if isinstance(v, float) else str(v) for v in values)]
        return words


@dataclass(frozen=True)
class Sampling:
    """One generation file: a run that is generated from, on its own lattice or a larger one.

    Attributes:
        run: whose training file it starts from.
        size: of the lattice.
    """

    run: Run
    size: int

    @property
    def identifier(self) -> str:
        """Unique name of the file."""
        return self.run.identifier if self.size == self.run.size else f"{self.run.identifier}_to{self.size}"

    @property
    def integrator(self) -> str:
        """How a step of the sampler is made."""
        assert self.run.generation is not None
        return self.run.generation.integrator

    def arguments(self) -> list[str]:
        """The flags of `csd generate` that make it, without its files."""
        asked = self.run.generation
        assert asked is not None
        words = ["--integrator", asked.integrator, "--start", asked.start, "--samples", str(asked.samples)]
        return words if self.size == self.run.size else [*words, "--size", str(self.size)]


def samplings(runs: Sequence[Run]) -> list[Sampling]:
    """All generation files of a run table."""
    return [
        Sampling(run, factor * run.size)
        for run in runs
        if run.generation is not None
        for factor in (1, *(run.generation.transfer or ()))
    ]


def load(path: Path, what: str = "a study is a mapping of keys to values") -> dict[str, Any]:
    """The YAML file of a study, or of claims, as it stands.

    Args:
        path: of the file.
        what: it must be, for the error.

    Raises:
        InputError: if it cannot be read, or is no mapping.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is not a text file in UTF-8") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: this is not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: {what}")
    return content


def claims_file(study: Study, checkout: Path) -> Path:
    """The file of a study's claims: in the working directory, in the checkout, or the one of the package.

    Args:
        study: whose claims they are.
        checkout: folder that the workflow lies in.

    Raises:
        InputError: if there is none; claims that are not the default are in no package.
    """
    package = Path(__file__).parent
    own = (package / "studies" / "claims.yaml", package.parent / DEFAULT_CLAIMS)
    shipped = own if study.claims == DEFAULT_CLAIMS else ()
    for place in (Path.cwd() / study.claims, checkout / study.claims, *shipped):
        if place.is_file():
            return place
    raise InputError(f"claims: there is no file {study.claims!r} in {Path.cwd()} nor in {checkout}")


def parse(content: Mapping[str, Any]) -> Study:
    """The validated study.

    Raises:
        InputError: one sentence for the first thing that is wrong, with its key.
    """
    study = validated(Study, content, "")
    for name, sweep in study.sweeps.items():
        given = [key for key in ("mass", "mass_times_length", "couplings") if getattr(sweep, key) is not None]
        if len(given) > 1:
            raise InputError(f"sweeps.{name}: {' and '.join(given)} are both given; give the mass in one way")
        validated(Training, sweep.training, f"sweeps.{name}.training.")
    needing = [figure for figure in study.drawn if figure in GENERATION_FIGURES]
    if needing and all(sweep.generation is None for sweep in study.sweeps.values()):
        raise InputError(f"figures: {needing[0]!r} needs a sweep with generation; add one, or take it out of the list")
    if not study.monte_carlo and any(figure in MONTE_CARLO_FIGURES for figure in study.drawn):
        raise InputError("figures: those of Monte Carlo need the key monte_carlo; add it, or take them out of the list")
    return study


def parse_style(content: Mapping[str, Any]) -> FigureStyle:
    """The validated settings of figures.

    Raises:
        InputError: one sentence for the first thing that is wrong, with its key.
    """
    return validated(FigureStyle, content, "figure_style.")


def validated(model: type[M], content: Any, prefix: str) -> M:
    """`content` as a model.

    Args:
        model: what it must be.
        content: as YAML has it.
        prefix: what comes before its keys in an error.

    Raises:
        InputError: one sentence for the first thing that is wrong, with its key.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # A misspelt key makes two errors, one for the key that is missing; the misspelt one says more.
        first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        raise InputError(_sentence(model, first, prefix)) from error


def _sentence(model: type[BaseModel], error: Any, prefix: str) -> str:
    """One sentence for one of pydantic's errors."""
    location = [
        part for part in error["loc"] if not (isinstance(part, str) and part.startswith(("function-", "list[")))
    ]
    key = prefix + ".".join(map(str, location))
    if error["type"] == "extra_forbidden":
        allowed = _fields_at(model, location[:-1])
        return f"{key}: unknown key{nearest(str(location[-1]), allowed)} (allowed: {', '.join(allowed)})"
    if error["type"] == "missing":
        return f"{key}: this key is missing"
    if error["type"] == "value_error" and isinstance(error["input"], dict):
        # Of several keys together: the sentence says which.
        return f"{key.rstrip('.: ')}: {error['ctx']['error']}"
    message = error["msg"][0].lower() + error["msg"][1:]
    if error["type"] == "value_error":
        message = str(error["ctx"]["error"])
    if error["type"] == "literal_error":
        allowed = [str(name) for name in _words(error["ctx"]["expected"])]
        message += nearest(str(error["input"]), allowed)
    return f"{key} is {error['input']!r}: {message}"


def _words(expected: str) -> list[str]:
    """The names in pydantic's list: 'a', 'b' or 'c'."""
    return [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]


def _fields_at(model: type[BaseModel], location: Sequence[Any]) -> list[str]:
    """The keys allowed where an unknown one was found; names of sweeps may be those of keys."""
    path = list(location)
    if model is Study and path and path[0] in ("sweeps", "monte_carlo"):
        model, path = Sweep if path[0] == "sweeps" else MonteCarlo, path[2:]
    parts: dict[str, type[BaseModel]] = {
        "training": Training,
        "architectures": NetworkConfig,
        "couplings": Couplings,
        "generation": Generation,
        "figure_style": FigureStyle,
        "integrator_steps": IntegratorSteps,
    }
    return list((parts[str(path[0])] if path else model).model_fields)


def expand(study: Study) -> list[Run]:
    """The run table, every row checked as far as it can be without training.

    Raises:
        InputError: for a row that cannot be trained, or two rows that are the same run.
    """
    runs = list(_rows(study))
    seen: dict[str, Run] = {}
    for run in runs:
        other = seen.setdefault(run.identifier, run)
        if other is not run:
            raise InputError(
                f"sweeps.{run.sweep}: the run {run.identifier} is there twice, also in sweeps.{other.sweep};"
                " every run must stand in one sweep, once"
            )
    return runs


def _rows(study: Study) -> Iterator[Run]:
    """Rows in the order of the configuration."""
    for name, sweep in study.sweeps.items():
        overridden = study.training.model_dump() | sweep.training
        training = validated(Training, overridden, f"sweeps.{name}.training.")
        seeds = training.seeds
        if len(set(seeds)) < len(seeds):
            raise InputError(f"sweeps.{name}: a seed is given twice in {seeds}; each must be given once")
        if len(set(training.noise_levels)) < len(training.noise_levels):
            raise InputError(f"sweeps.{name}: a noise level is given twice in {training.noise_levels}")
        chunks = [tuple(seeds[i : i + training.seeds_per_job]) for i in range(0, len(seeds), training.seeds_per_job)]
        for size, mass, network, data_set, chunk in product(
            sweep.sizes, _masses(sweep), _networks(sweep), _choices(training.data_sets), chunks
        ):
            m, c, couplings = mass
            architecture, depth, reach, channels = network
            run = Run(
                sweep=name,
                dimension=sweep.dimension,
                size=size,
                mass=m,
                mass_times_length=c,
                couplings=couplings,
                target=sweep.target,
                name=architecture,
                depth=depth,
                range=reach,
                channels=channels,
                training=training,
                data_set=data_set,
                seeds=chunk,
                generation=sweep.generation,
            )
            _check(run)
            yield run


def _choices(values: Sequence[Item] | None) -> list[Item | None]:
    """The values of an option, or that it is not given."""
    return [None] if values is None else list(values)


def _masses(sweep: Sweep) -> list[tuple[float | None, float | None, tuple[float, float] | None]]:
    """(mass, mass_times_length, couplings) of each mass of a sweep."""
    if sweep.mass is not None:
        return [(mass, None, None) for mass in sweep.mass]
    if sweep.couplings is not None:
        return [(None, None, (pair.r0, pair.u)) for pair in sweep.couplings]
    return [(None, c, None) for c in sweep.mass_times_length or [1.0]]


def _networks(sweep: Sweep) -> list[tuple[str, int | None, int | str | None, int | None]]:
    """(name, depth, range, channels) of each network of a sweep."""
    return [
        (network.name, depth, reach, channels)
        for network in sweep.architectures
        for depth in _choices(network.depth)
        for reach in _choices(network.range)
        for channels in _choices(network.channels)
    ]


def _check(run: Run) -> None:
    """Refuse a row that cannot be trained, with the sweep that holds it."""
    try:
        lattice = Lattice(run.dimension, run.size)
        run._architecture()
        if isinstance(run.range, int):
            lattice.check_range(run.range)
        assert run.settings
        if run.generation is None and run.training.until != "score_error":
            raise InputError("until is samples, but nothing is generated; add generation, or take until score_error")
        if run.generation is not None:
            if run.training.schedule != "vp":
                raise InputError(f"generation needs schedule vp; it is {run.training.schedule!r}")
            if ":" not in run.generation.integrator and run.generation.integrator not in INTEGRATORS:
                raise unknown("integrator", run.generation.integrator, INTEGRATORS)
            assert run.noise_levels
        if run.couplings is not None:
            GaussianField.from_couplings(lattice, *run.couplings)
        assert run.identifier
        for what, name, registry in (
            ("schedule", run.training.schedule, SCHEDULES),
            ("loss", run.training.loss, OBJECTIVES),
            ("target", run.target, TARGETS),
        ):
            if ":" not in name and name not in registry:
                raise unknown(what, name, registry)
    except InputError as error:
        raise InputError(f"sweeps.{run.sweep}: {error}") from error


def json_schema() -> dict[str, Any]:
    """JSON Schema of a study's configuration, for editors and for Snakemake."""
    schema = Study.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
