"""Read a configuration: from YAML to a checked study, or to one sentence that names the key that is wrong."""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from csd.core.errors import InputError
from csd.core.paths import expanded
from csd.study.config.schema import validated
from csd.study.config.study import DEFAULT_CLAIMS, FigureStyle, Study
from csd.study.stages.sweeps import Training

LARGEST = 2**24
"""Most characters of a file of YAML; a device may have no end."""


def read_yaml(text: str) -> Any:
    """The content of a YAML text, in which every key of a mapping is given once.

    Raises:
        InputError: if it is not valid YAML, or a key is given twice, with both lines.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """A loader that refuses equal keys in a mapping; PyYAML takes the last one."""

        def compose_mapping_node(self, anchor: Any) -> Any:
            """The node of a mapping, checked before merge keys (<<) add to it."""
            node = super().compose_mapping_node(anchor)
            lines: dict[Any, int] = {}
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
                    name, line = self.construct_object(key), key.start_mark.line + 1
                    if name in lines:
                        where = f"lines {lines[name]} and {line}" if lines[name] != line else f"line {line}"
                        raise InputError(f"the key {name!r} is given twice, in {where}; give it once")
                    lines[name] = line
            return node

        def compose_scalar_node(self, anchor: Any) -> Any:
            """The node of a value; 010 and 1:40 are other numbers in YAML than their readers take them for."""
            node = super().compose_scalar_node(anchor)
            number = node.tag.endswith((":int", ":float"))
            if number and (":" in node.value or re.fullmatch(r"[-+]?0[0-7_]+", node.value)):
                where, base = f"line {node.start_mark.line + 1}", 60 if ":" in node.value else 8
                raise InputError(
                    f"{node.value} in {where} is a number to the base {base} in YAML; write it without colons and"
                    " leading zeros, or text in quotes"
                )
            return node

    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        # JSON is YAML, unless it is indented with tabs.
        if "\t" in text and _is_json(text):
            return read_yaml(text.expandtabs())
        raise InputError(f"this is not valid YAML ({' '.join(str(error).split())})") from error


def _is_json(text: str) -> bool:
    """Whether a text is valid JSON."""
    with suppress(ValueError):
        json.loads(text)
        return True
    return False


def load(path: Path, what: str = "a study is a mapping of keys to values") -> dict[str, Any]:
    """The content of the YAML file of a study, or of claims, unchecked.

    Args:
        path: of the file.
        what: what the file must be, for the error.

    Raises:
        InputError: if it cannot be read, is no mapping, or a key is given twice.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise InputError(f"this is longer than {LARGEST:,} characters")
        content = read_yaml(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is not a text file in UTF-8") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: {what}")
    return content


def given_to_snakemake(config: Mapping[str, Any], files: Iterable[str | Path], entries: Iterable[str]) -> Any:
    """The configuration that Snakemake was given, read as YAML.

    Snakemake itself takes the last of two equal keys, and reads everything nested in an entry of --config as text.

    Args:
        config: as Snakemake has read it.
        files: that it comes from.
        entries: of --config, each 'key=YAML'.

    Raises:
        InputError: if a key is given twice, or an entry is not valid YAML.
    """
    for file in files:
        load(Path(file))
    for key, _, text in (entry.partition("=") for entry in entries):
        try:
            config = _updated(config, {key: read_yaml(text)})
        except InputError as error:
            raise InputError(f"--config {key}: {error}") from error
    return config


def _updated(old: Any, new: Any) -> Any:
    """A value of a configuration in place of another one; mappings are merged."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {**old, **{key: _updated(old.get(key), value) for key, value in new.items()}}
    return new


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
