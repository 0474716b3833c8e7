"""What is made from the code: tables of keys, variables, figures and reruns; pages of commands and modules."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

from markdown.extensions.toc import slugify
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from steps import edited_modules
from variables import COLUMNS, HEAD, column_rows, hybrid_rows, variable_rows

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "index.md": "README.md",
    "results-folder.md": "results/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
"""Pages of the site whose text lies elsewhere in the repository."""
_LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
_TABLE = re.compile(r"^\*Table in the built site: ([^;\n]+)(?:; .+)?\*$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the reference into the navigation, modules in the order in which the package reads."""
    modules = [{name.removeprefix("csd."): _page(name)} for name in _modules()]
    config.nav.append(
        {
            "Reference": [
                "reference/index.md",
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
        "reference/commands.md": _commands(),
        **{_page(name): f"# {name}\n\n::: {name}\n" for name in _modules()},
        **{page: (ROOT / source).read_text(encoding="utf-8") for page, source in ELSEWHERE.items()},
    }
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_content(content: str, page: Page, **_: Any) -> str:
    """Docstrings name the section of a page that they come from: make that a link."""
    if not page.file.src_uri.startswith("reference/csd"):
        return content

    def link(found: re.Match[str]) -> str:
        anchor = _sections(found["page"]).get(found["section"] or "", "")
        return f'<a href="../{found["page"]}.html{anchor}">{found[0]}</a>'

    return re.sub(r"docs/(?P<page>[a-z]+)\.md(?:,\s+sections? (?P<section>\d))?", link, content)


def _sections(page: str) -> dict[str, str]:
    """Anchors of a page's numbered headings, by number."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (\d)\. (.+)$", text, re.MULTILINE)
    return {number: "#" + slugify(f"{number}. {words}", "-") for number, words in headings}


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Put tables where a line names them, and let links lead to where their pages are in the site."""
    here = page.file.src_uri
    if here.startswith("reference/"):
        return markdown
    there = {source: made for made, source in ELSEWHERE.items()}
    folder = posixpath.dirname(ELSEWHERE.get(here, f"docs/{here}"))

    def link(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, found[0]))
        path = there.get(path, path.removeprefix("docs/"))
        return posixpath.relpath(path, posixpath.dirname(here) or ".")

    return _TABLE.sub(lambda found: tables()[found[1]], _LINK.sub(link, markdown))


def _modules() -> Iterator[str]:
    """All public modules, packages from the ground up, as the docstring of csd lists them."""
    import csd

    for name in re.findall(r"`(\w+)`", csd.__doc__ or ""):
        yield from _within(ROOT / "csd" / name)


def _within(package: Path) -> Iterator[str]:
    """A package, its modules, and the packages in it."""
    yield ".".join(package.relative_to(ROOT).parts)
    for path in sorted(package.iterdir()):
        if (path / "__init__.py").is_file():
            yield from _within(path)
        elif path.suffix == ".py" and not path.name.startswith("_"):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


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
        sentence = (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").split("\n")[0]
        rows.append(f"| [`{name}`]({name}.md) | {sentence} |")
    return "\n".join(
        [
            "# Reference",
            "",
            "Every [key of a study](../configuration.md), every [command](commands.md), and the package by modules,"
            " from the ground up: each imports only from those above it. Docstrings start with the formula and name the"
            " section of [the physics](../physics.md) that it comes from.",
            "",
            "From Python, `import csd` is enough for [`csd.train`][csd.api.training.train],"
            " [`csd.generate`][csd.api.generation.generate], [`csd.predict`][csd.api.training.predict],"
            " [`csd.scores`][csd.api.scores.scores], [`csd.phases`][csd.api.phases.phases],"
            " [`csd.target`][csd.api.targets.target] and"
            " [`csd.read`][csd.core.files.read].",
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

    os.environ["COLUMNS"] = "84"
    from csd.cli.commands import COMMANDS, command_parser

    parser = command_parser()
    (choices,) = [action.choices for action in parser._actions if isinstance(action.choices, dict)]
    parts = ["# Commands", "", "What `csd COMMAND --help` prints. A mistake ends with one sentence and exit status 2,"]
    parts += ["training that diverges with status 3.", ""]
    for name in COMMANDS:
        parts += [f"## csd {name}", "", "```text", choices[name].filled().format_help().rstrip(), "```", ""]
    return "\n".join(parts)


@cache
def tables() -> dict[str, str]:
    """All tables that a page may name: keys of a study, variables, figures, measurements, what an edit reruns."""
    from csd.report.figures import FIGURES, figure_module
    from csd.study.config.study import Study

    made = {f"keys of {_heading(model)}": _keys(model) for model in _models(Study, [])}
    rows = [(f"`{name}`", f"`{figure_module(name).SUMMARY}`", figure_module(name).NEEDS) for name in FIGURES]
    made["figures"] = _table(("figure", "summary", "needs"), rows)
    edited = [(", ".join(f"`{step}`" for step in steps), modules) for steps, modules in edited_modules()]
    made["edits"] = _table(("these steps and those after them run", "after an edit of"), edited)
    made["columns of runs"] = _table(COLUMNS, column_rows())
    made["columns of hybrids"] = _table(COLUMNS, hybrid_rows())
    made["measurements"] = (ROOT / "benchmarks" / "measured.md").read_text(encoding="utf-8")
    return made | {f"variables, {kind}": _table(HEAD, rows) for kind, rows in variable_rows().items()}


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table with blank lines around it."""
    lines = [" | ".join(row) for row in (head, ("---",) * len(head), *rows)]
    return "\n" + "\n".join(f"| {line} |" for line in lines) + "\n"


def _keys(model: type[BaseModel]) -> str:
    """The keys of a part of a study, from the model that checks it."""
    rows = []
    for name, found in model.model_fields.items():
        meaning = found.description or " ".join(held.__doc__ or "" for held in _held(found.annotation))
        rows.append((f"`{name}`", _values(model, name), _default(found), meaning))
    return f'\n<a id="{_anchor(model)}"></a>\n{_table(("key", "values", "default", "meaning"), rows)}'


def _anchor(model: type[BaseModel]) -> str:
    """What leads to the keys of a part of a study."""
    return f"keys-of-{_heading(model).lower().replace(' ', '-')}"


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


def _values(model: type[BaseModel], name: str) -> str:
    """What a key may hold, in words: from its JSON Schema, and from bounds that the schema has lost.

    A schema tells what is read; numbers are looked at before they are checked, so it does not tell their bounds.
    """
    found = model.model_fields[name]
    text = ", or ".join(dict.fromkeys(_words(model.model_json_schema()["properties"][name]))).removesuffix(
        ", or nothing"
    )
    limits = ", ".join(dict.fromkeys([*_limits(found.metadata), *_inner_limits(found.annotation)]))
    if limits:
        text = re.sub(r"(?<!whole )\b(numbers?)\b(?! [≥>≤<])", rf"\1 {limits}", text)
    for held in _held(found.annotation):
        text = text.replace("a mapping", f"[a mapping](#{_anchor(held)})", 1)
    return text


def _limits(metadata: Iterable[Any]) -> Iterator[str]:
    """'> 0' and the like, from the constraints of a field."""
    for constraint in metadata:
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
            if hasattr(constraint, name):
                yield f"{sign} {getattr(constraint, name):g}"


def _inner_limits(annotation: Any) -> Iterator[str]:
    """The same of what an annotation holds within."""
    for argument in get_args(annotation):
        if isinstance(argument, FieldInfo):
            yield from _limits(argument.metadata)
        elif get_args(argument):
            yield from _inner_limits(argument)


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
        yield "a list of " + " or ".join(dict.fromkeys(map(_several, _words(schema.get("items", {})))))
    elif schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        yield "names, each with a mapping"
    else:
        kind = {"integer": "a whole number", "number": "a number", "string": "text", "object": "a mapping"}
        bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
        limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
        yield f"{kind.get(schema.get('type', ''), 'nothing')} {', '.join(limits)}".rstrip()


def _several(word: str) -> str:
    """'a number > 0' → 'numbers > 0'."""
    return re.sub(r"^an? (whole number|number|mapping)", r"\1s", word)


def _default(found: Any) -> str:
    """A default, as one writes it in YAML."""
    if found.is_required():
        return "required"
    if found.default_factory is not None:
        return "all defaults"
    value = found.default
    if value is None:
        return "none"
    if isinstance(value, list):
        return "`[" + ", ".join(map(str, value)) + "]`"
    return f"`{value}`"
