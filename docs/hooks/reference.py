"""Pages that are made from the code: the configuration from its models, the commands, the modules."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"results-folder.md": "results/README.md"}
"""Pages that lie elsewhere in the repository, and what links to them there."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the reference into the navigation, modules in the order in which the package reads."""
    modules = [{name.removeprefix("csd."): _page(name)} for name in _modules()]
    config.nav.append(
        {
            "Reference": [
                "reference/index.md",
                {"Configuration": "reference/configuration.md"},
                {"Commands": "reference/commands.md"},
                {"Modules": modules},
            ]
        }
    )
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    made = {
        "reference/index.md": _index(),
        "reference/configuration.md": _configuration(),
        "reference/commands.md": _commands(),
        **{_page(name): f"# {name}\n\n::: {name}\n" for name in _modules()},
        **{page: (ROOT / source).read_text() for page, source in ELSEWHERE.items()},
    }
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to pages from elsewhere in the repository lead to where they are in the site."""
    for page, source in ELSEWHERE.items():
        markdown = markdown.replace(f"](../{source})", f"]({page})")
    return markdown


def _modules() -> Iterator[str]:
    """All public modules from the ground up, as the docstring of the package lists them."""
    import csd

    for name in re.findall(r"`(\w+)`", csd.__doc__ or ""):
        yield f"csd.{name}"
        for path in sorted((ROOT / "csd" / name).glob("[!_]*.py")):
            yield f"csd.{name}.{path.stem}"


def _page(module: str) -> str:
    """Where a module's page lies."""
    return f"reference/{module}.md"


def _index() -> str:
    """The modules, with the first sentence of each."""
    import ast

    rows = []
    for name in _modules():
        path = ROOT.joinpath(*name.split("."))
        source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
        sentence = (ast.get_docstring(ast.parse(source.read_text())) or "").split("\n")[0]
        rows.append(f"| [`{name}`]({name}.md) | {sentence} |")
    return "\n".join(
        [
            "# Reference",
            "",
            "Every [key of a study](configuration.md), every [command](commands.md), and the package module by module,"
            " from the ground up: each imports only from those above it. Docstrings start with the formula and name the"
            " section of [the physics](../physics.md) that it comes from.",
            "",
            "| module | |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def _commands() -> str:
    """Every command with its flags, as `--help` prints them."""
    import os

    os.environ["COLUMNS"] = "100"
    from csd.cli import COMMANDS, _parser

    parser = _parser()
    (choices,) = [action.choices for action in parser._actions if isinstance(action.choices, dict)]
    parts = ["# Commands", "", "What `csd COMMAND --help` prints. A mistake ends with one sentence and exit status 2,"]
    parts += ["training that diverges with status 3.", ""]
    for name in COMMANDS:
        parts += [f"## csd {name}", "", "```text", choices[name].format_help().rstrip(), "```", ""]
    return "\n".join(parts)


def _configuration() -> str:
    """Every key of a study, from the models that check it."""
    from csd.config import Study

    parts = [
        "# Keys of a study",
        "",
        "Made from the models that check a study. What the keys mean together, and what figures need, is told in"
        " [Configuration](../configuration.md).",
        "",
    ]
    for model in _models(Study, []):
        parts += [f"## {_heading(model)}", "", (model.__doc__ or "").strip(), ""]
        parts += ["| key | values | default | meaning |", "|---|---|---|---|"]
        for name, found in model.model_fields.items():
            schema = model.model_json_schema()["properties"][name]
            parts.append(f"| `{name}` | {_values(schema, found)} | {_default(found)} | {found.description or ''} |")
        parts.append("")
    return "\n".join(parts)


def _heading(model: type[BaseModel]) -> str:
    """FigureStyle → Figure style."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", model.__name__).capitalize()


def _models(model: type[BaseModel], seen: list[type[BaseModel]]) -> list[type[BaseModel]]:
    """A model and all that its fields hold, each once, outermost first."""
    if model not in seen:
        seen.append(model)
        for found in model.model_fields.values():
            for held in _held(found.annotation):
                _models(held, seen)
    return seen


def _held(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models within an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _held(argument)


def _values(schema: dict[str, Any], found: Any) -> str:
    """What a key may hold, in words, from its JSON Schema."""
    linked = [f"[{_heading(model)}](#{_heading(model).lower().replace(' ', '-')})" for model in _held(found.annotation)]
    words = dict.fromkeys(_words(schema))
    text = ", or ".join(word for word in words if word != "nothing")
    for link in linked:
        text = text.replace("a mapping", link, 1)
    return text


def _words(schema: dict[str, Any]) -> Iterator[str]:
    """The alternatives of a JSON Schema."""
    if "$ref" in schema:
        yield "a mapping"
    elif "anyOf" in schema:
        for part in schema["anyOf"]:
            yield from _words(part | {key: schema[key] for key in ("minimum", "exclusiveMinimum") if key in schema})
    elif "enum" in schema:
        yield " or ".join(f"`{value}`" for value in schema["enum"])
    elif schema.get("type") == "array":
        yield "a list of " + " or ".join(_several(word) for word in _words(schema.get("items", {})))
    elif schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        yield "names, each with a mapping"
    else:
        kind = {"integer": "a whole number", "number": "a number", "string": "text", "object": "a mapping"}
        bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
        limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
        yield " ".join([kind.get(schema.get("type", ""), "nothing"), *limits])


def _several(word: str) -> str:
    """'a number > 0' → 'numbers > 0'."""
    return re.sub(r"^an? (whole number|number|mapping)", r"\1s", word)


def _default(found: Any) -> str:
    """A default, as one writes it in YAML."""
    if found.is_required():
        return "required"
    value = found.default if found.default is not PydanticUndefined else None
    if value is None:
        return "–"
    if isinstance(value, list):
        return "`[" + ", ".join(map(str, value)) + "]`"
    return f"`{value}`"
