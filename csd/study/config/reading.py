"""Read a configuration: from YAML to a checked study, or to one sentence that names the key that is wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from csd.core.errors import InputError
from csd.core.paths import expanded
from csd.study.config.schema import validated
from csd.study.config.study import DEFAULT_CLAIMS, FigureStyle, Study
from csd.study.stages.sweeps import Training


def load(path: Path, what: str = "a study is a mapping of keys to values") -> dict[str, Any]:
    """The content of the YAML file of a study, or of claims, unchecked.

    Args:
        path: of the file.
        what: what the file must be, for the error.

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
        study: the study.
        checkout: folder of the workflow.

    Raises:
        InputError: if there is none; the package holds the default claims alone.
    """
    package = Path(__file__).parents[2]
    own = (package / "studies" / "claims.yaml", package.parent / DEFAULT_CLAIMS)
    shipped = own if study.claims == DEFAULT_CLAIMS else ()
    asked = expanded(study.claims)
    for place in (Path.cwd() / asked, checkout / asked, *shipped):
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
        validated(Training, sweep.training, f"sweeps.{name}.training.")
    return study


def parse_style(content: Mapping[str, Any]) -> FigureStyle:
    """The validated settings of figures.

    Raises:
        InputError: one sentence for the first thing that is wrong, with its key.
    """
    return validated(FigureStyle, content, "figure_style.")


def json_schema() -> dict[str, Any]:
    """JSON Schema of a study's configuration, for editors and for Snakemake."""
    schema = Study.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
