"""Fingerprints of the code that a step uses, so that an edit reruns what depends on it and nothing else."""

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
    "train": ("training/reference", "training/content", "diffusion/reverse", *NETWORKS),
    "generate": ("diffusion/quality", *NETWORKS),
    "mcmc": ("mcmc/ensemble", "mcmc/updates", "targets/phi4", "targets/spins"),
    "integrators": ("diffusion/discretisation", "targets/gaussian"),
    "aggregate": ("study/summaries/training",),
    "aggregate_generation": ("study/summaries/generation",),
    "aggregate_mcmc": ("study/summaries/dynamics",),
    "timing": ("study/summaries/cost_of_fields", "mcmc/updates", *NETWORKS),
    "fit": ("study/summaries/laws", "study/summaries/dynamics", "study/summaries/integrators"),
    "claims": ("study/verdict_files",),
    "figure": ("report/figures/__init__", "report/figures/looks"),
    "paper": ("report/paper", "report/figures"),
    "pages": ("report/pages",),
    "explore": ("report/explore",),
}
"""What each step of the workflow calls: modules, and packages that stand for all modules and templates in them."""
NO_SOURCE = ("core/aliases", "core/source", "study/config", "study/stages")
"""What leaves results as they are: what a study asks for is in the parameters of its jobs."""


@cache
def fingerprint(step: str, *more: str) -> str:
    """Hash of the source that a step uses, blind to comments, docstrings and layout.

    Args:
        step: a key of `SOURCES`, or such modules themselves: 'targets/scores targets/gaussian'.
        more: further modules, such as 'report/figures/collapse'.
    """
    digest = blake2b(digest_size=8)
    for file in files_used(step, *more):
        # Templates and style files count to the byte.
        digest.update(_look(file)[0].encode() if file.suffix == ".py" else file.read_bytes())
    return digest.hexdigest()


def files_used(step: str, *more: str) -> list[Path]:
    """The files that a step uses: what `SOURCES` names and all that it imports, but for imports of types alone.

    Args:
        step: as of `fingerprint`.
        more: likewise.
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
    """The file of a module, 'lattice/bins', or those of a package: templates too, no captions, no hidden ones."""
    place = PACKAGE / module
    if not place.is_dir():
        return [place.with_suffix(".py")]
    return [path for path in place.iterdir() if path.name[0] != "." and path.suffix != ".rst"]


def plugin_fingerprint(*paths: str) -> str:
    """Hash of the source of user-defined modules, named 'package.module:Class'; empty without any.

    A module is looked for in the working directory and on the path, without importing it; one not found adds nothing.
    """
    digest = blake2b(digest_size=8)
    for path in paths:
        module = path.partition(":")[0]
        beside = Path(*module.split(".")).with_suffix(".py")
        # A notebook is a module without a file.
        spec = None if beside.is_file() or "." in module or module == "__main__" else find_spec(module)
        file = beside if beside.is_file() else Path(spec.origin) if spec is not None and spec.origin else None
        if file is not None:
            digest.update(_look(file.resolve())[0].encode())
    return digest.hexdigest() if paths else ""


def fingerprint_with_plugins(step: str, *names: str) -> str:
    """Hash of the source that a step uses, followed by that of user-defined modules among `names`."""
    outside = [name for name in names if ":" in name and not name.startswith("csd.")]
    return f"{fingerprint(step)}{plugin_fingerprint(*outside)}"


@cache
def _look(file: Path) -> tuple[str, list[str]]:
    """(hash of the syntax tree without docstrings, files of csd that it may import), such as 'lattice/bins.py'.

    Every job asks for it, and making the tree takes longer than many a training: it is kept beside Python's own
    bytecode until the file changes.
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
    """What may be imported of csd when the code runs, at the top or inside functions; a name can be a module's too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("csd."):
            place = (node.module or "").removeprefix("csd.").replace(".", "/")
            yield from (f"{place}/__init__.py", f"{place}.py", *(f"{place}/{name.name}.py" for name in node.names))
        yield from _imported(node)


class _Meaning(ast.NodeTransformer):
    """Leaves out bare strings (docstrings of modules, classes, functions and attributes), and the help of options."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """The statement, unless it is a string."""
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """Of an option, without what its help says, before its keywords."""
        if ast.unparse(node.value) == "Annotated":
            for call in (call for call in ast.walk(node.slice) if isinstance(call, ast.Call)):
                call.args = [one for one in call.args if not isinstance(one, ast.Constant | ast.JoinedStr)]
        return self.generic_visit(node)
