"""Fingerprints of the code that each step uses, so that an edit reruns only the jobs that depend on it."""

import ast
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]

NETWORKS = ("networks", "targets/gaussian")
SOURCES: dict[str, tuple[str, ...]] = {
    "train": ("training/reference", "training/content", "diffusion/reverse", "targets/dataset", *NETWORKS),
    "generate": ("diffusion/quality", *NETWORKS),
    "mcmc": ("mcmc/ensemble", "mcmc/updates", "targets/phi4", "targets/spins"),
    "integrators": ("diffusion/discretisation", "targets/gaussian"),
    "aggregate": ("study/summaries/training",),
    "aggregate_generation": ("study/summaries/generation",),
    "aggregate_mcmc": ("study/summaries/dynamics",),
    "timing": ("study/summaries/cost_of_fields", "mcmc/updates", *NETWORKS),
    "fit": ("study/summaries/laws", "study/summaries/dynamics"),
    "claims": ("study/verdicts",),
    "figures": ("report/figures/__init__", "report/figures/looks"),
    "paper": ("report/paper", "report/figures"),
    "pages": ("report/pages",),
    "explore": ("report/explore",),
}
"""The modules that each step of the workflow calls; a package stands for all modules and templates in it."""
NO_SOURCE = ("core/aliases", "core/source", "study/config", "study/stages")
"""Code that does not change results; the settings of a study are part of the parameters of its jobs."""


@cache
def fingerprint(step: str, *more: str) -> str:
    """Hash of the source that a step uses; comments, docstrings and layout do not count.

    Args:
        step: a key of `SOURCES`, or the modules themselves, such as 'targets/scores targets/gaussian'.
        more: further modules, such as 'report/figures/collapse'.
    """
    digest = blake2b(digest_size=8)
    for file in files_used(step, *more):
        # Templates and style files are hashed byte by byte.
        digest.update(_look(file)[0].encode() if file.suffix == ".py" else file.read_bytes())
    return digest.hexdigest()


def files_used(step: str, *more: str) -> list[Path]:
    """The modules of a step in `SOURCES`, and all that they import directly or indirectly, except for types alone.

    Args:
        step: as for `fingerprint`.
        more: as for `fingerprint`.
    """
    found: set[Path] = set()
    left = [file for module in (*SOURCES.get(step, step.split()), *more) for file in _files(module)]
    while left:
        file = left.pop()
        if file not in found and file.is_file():
            found.add(file)
            imported = _look(file)[1] if file.suffix == ".py" else []
            left += [PACKAGE / name for name in imported if not name.startswith(NO_SOURCE)]
    return sorted(found)


def _files(module: str) -> list[Path]:
    """The file of a module such as 'lattice/bins', or all files of a package except captions and hidden files."""
    place = PACKAGE / module
    if not place.is_dir():
        return [place.with_suffix(".py")]
    return [path for path in place.iterdir() if path.name[0] != "." and path.suffix != ".rst"]


def plugin_fingerprint(*paths: str) -> str:
    """Hash of the source of user-defined modules, given as 'package.module:Class'; empty if none is given.

    A module is looked for in the working directory and on the path, without importing it, and is left out if not found.
    """
    digest = blake2b(digest_size=8)
    for path in paths:
        module = path.partition(":")[0]
        beside = Path(*module.split(".")).with_suffix(".py")
        # A notebook is a module without a source file.
        spec = None if beside.is_file() or "." in module or module == "__main__" else find_spec(module)
        file = beside if beside.is_file() else Path(spec.origin) if spec is not None and spec.origin else None
        if file is not None:
            digest.update(_look(file.resolve())[0].encode())
    return digest.hexdigest() if paths else ""


def fingerprint_with_plugins(step: str, *names: str) -> str:
    """Hash of the source that a step uses, followed by that of the user-defined modules among `names`."""
    outside = [name for name in names if ":" in name and not name.startswith("csd.")]
    return f"{fingerprint(step)}{plugin_fingerprint(*outside)}"


@cache
def _look(file: Path) -> tuple[str, list[str]]:
    """(hash of the syntax tree without docstrings, files of csd that may be imported, such as 'lattice/bins.py').

    Every job needs it, and parsing takes longer than many trainings, so it is cached beside Python's bytecode until the
    file changes.
    """
    state = file.stat()
    kept = file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.source.json"
    known = [state.st_mtime_ns, state.st_size]
    with suppress(OSError, ValueError):
        *of, meaning, imported = json.loads(kept.read_text())
        if of == known:
            return str(meaning), list(imported)
    tree = _Meaning().visit(ast.parse(file.read_text(encoding="utf-8")))
    meaning, imported = blake2b(ast.dump(tree).encode(), digest_size=16).hexdigest(), sorted(_imported(tree))
    temporary = kept.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        kept.parent.mkdir(exist_ok=True)
        temporary.write_text(json.dumps([*known, meaning, imported]))
        temporary.replace(kept)
    return meaning, imported


def _imported(tree: ast.AST) -> Iterator[str]:
    """Files of csd that the code may import, at the top or inside functions; an imported name may be a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("csd."):
            place = (node.module or "").removeprefix("csd.").replace(".", "/")
            yield from (f"{place}/__init__.py", f"{place}.py", *(f"{place}/{name.name}.py" for name in node.names))
        yield from _imported(node)


class _Meaning(ast.NodeTransformer):
    """Removes docstrings of modules, classes, functions and attributes, and the help of options."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """The statement; None for a string."""
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """An annotation, without the help text of its option, which stands before the keywords."""
        if ast.unparse(node.value) == "Annotated":
            for call in (call for call in ast.walk(node.slice) if isinstance(call, ast.Call)):
                call.args = [one for one in call.args if not isinstance(one, ast.Constant | ast.JoinedStr)]
        return self.generic_visit(node)
