"""Reading a configuration: YAML in, a checked study out, or one sentence that names the key."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from csd.core.errors import InputError, nearest
from csd.study.config.monte_carlo import MonteCarlo
from csd.study.config.schema import Couplings
from csd.study.config.study import (
    DEFAULT_CLAIMS,
    FigureStyle,
    Generation,
    IntegratorSteps,
    NetworkConfig,
    Study,
    Sweep,
    Training,
)

M = TypeVar("M", bound=BaseModel)


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
    package = Path(__file__).parents[2]
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


def json_schema() -> dict[str, Any]:
    """JSON Schema of a study's configuration, for editors and for Snakemake."""
    schema = Study.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
