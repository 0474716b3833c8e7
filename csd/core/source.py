"""Fingerprints of the code that each step uses, so that an edit reruns only the jobs that depend on it.

User-defined code counts with all modules of the user that it imports. They are found as Python finds them and are read,
never imported, since Snakemake asks for the fingerprint of every job before it runs one. A class that no file defines,
as in a notebook, counts by its compiled code.
"""

import ast
import dis
import json
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from pathlib import Path
from types import CellType, CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any

from csd.core.plugins import found_in_module, given_class, is_user_path

PACKAGE = Path(__file__).resolve().parents[1]
FORM = 2
"""The form of the hashes that are cached; those of another form are computed again."""

NETWORKS = ("networks", "targets/gaussian", "targets/two_phase")
SOURCES: dict[str, tuple[str, ...]] = {
    "train": ("training/reference", "training/content", "diffusion/reverse", "targets/dataset", *NETWORKS),
    "generate": ("diffusion/quality", *NETWORKS),
    "mcmc": ("mcmc/ensemble", "mcmc/updates", "targets/phi4", "targets/spins"),
    "scores": ("mcmc/posterior/held_out", "mcmc/ensemble", "targets/phi4", "targets/spins"),
    "exact_scores": ("targets/scores", "targets/two_phase"),
    "phases": ("locality/kinds", "locality/content"),
    "phases_by_chains": ("locality/interacting", "mcmc/ensemble", "targets/phi4", "targets/spins"),
    "integrators": ("diffusion/discretisation", "targets/gaussian"),
    "aggregate": ("study/summaries/training",),
    **dict.fromkeys(("aggregate_generation", "aggregate_hybrids"), ("study/summaries/generation",)),
    "aggregate_mcmc": ("study/summaries/dynamics",),
    "aggregate_scores": ("study/summaries/scores",),
    "aggregate_phases": ("study/summaries/phases/aggregate",),
    "timing": ("study/summaries/cost_of_fields", "mcmc/updates", *NETWORKS),
    "fit": tuple(f"study/summaries/{one}" for one in ("laws", "dynamics", "scores", "phases/laws", "phases/hybrids")),
    "claims": ("study/verdicts",),
    "figures": ("report/figures/__init__", "report/figures/looks"),
    "paper": ("report/paper", "report/figures"),
    **{page: (f"report/{page}",) for page in ("pages", "explore")},
}
"""The modules that each step of the workflow calls; a package stands for all modules and templates in it."""
NO_SOURCE = ("core/aliases", "core/source", "study/config", "study/stages")
"""Code that does not change results; the settings of a study are part of the parameters of its jobs."""


@cache
def fingerprint(step: str, *more: str) -> str:
    """Hash of the source that a step uses; comments, docstrings and layout do not count.

    Args:
        step: keys of `SOURCES`, or modules: 'train', 'train mcmc mcmc/fields', 'targets/scores targets/gaussian'.
        more: further modules, such as 'report/figures/collapse'.
    """
    return blake2b("".join(_look(file)[0] for file in files_used(step, *more)).encode(), digest_size=8).hexdigest()


def files_used(step: str, *more: str) -> list[Path]:
    """The modules of a step in `SOURCES`, and all that they import directly or indirectly, except for types alone.

    Args:
        step: as for `fingerprint`.
        more: as for `fingerprint`.
    """
    found, met = set[Path](), set[str]()
    left = [file for root in (*step.split(), *more) for module in SOURCES.get(root, (root,)) for file in _files(module)]
    while left:
        file = left.pop()
        if file not in found and file.is_file():
            found.add(file)
            imported = {name for name in _look(file)[1] if name.startswith("csd.")} - met
            met |= imported
            places = [name[4:].replace(".", "/") for name in imported]
            own = [place for place in places if not place.startswith(NO_SOURCE)]
            left += [PACKAGE / f"{place}{end}" for place in own for end in (".py", "/__init__.py")]
    return sorted(found)


def _files(module: str) -> list[Path]:
    """The file of a module such as 'lattice/bins', or all files of a package except captions and hidden files."""
    place = PACKAGE / module
    if not place.is_dir():
        return [place.with_suffix(".py")]
    return [path for path in place.iterdir() if path.name[0] != "." and path.suffix != ".rst"]


def fingerprint_with_plugins(step: str, *names: str) -> str:
    """Hash of the source that a step uses, followed by that of the user-defined classes among `names`."""
    return f"{fingerprint(step)}{plugin_fingerprint(*names)}"


def plugin_fingerprint(*names: str) -> str:
    """Hash of the source of user-defined classes and of all modules of the user that it imports; empty without any.

    It is the same in a process that has imported the classes and in one that only looks for their files, unless a file
    has changed since it was imported, as may happen in a notebook.

    Args:
        names: of classes; only those given as 'package.module:Class', and not of csd, count.
    """
    paths = sorted({name for name in names if is_user_path(name)})
    if not paths:
        return ""
    modules, parts, classes = UserModules(), list[str](), tuple(map(given_class, paths))
    for path, made in zip(paths, classes, strict=True):
        module = path.partition(":")[0]
        found = module != "__main__" and modules.add(module, named=True)
        if made is not None and not (found and found_in_module(path, made)):
            parts.append(f"{path} {CompiledCode(modules).of(made)}")
        elif not found:
            # A process that plans or checks may not find the module; the hash must then differ from that of any code.
            parts.append(f"{path} is not found")
    parts += [f"{name} {_look(file)[0]}" for name, file in sorted(modules.files.items())]
    if any(classes) and _IMPORTED.setdefault(classes, parts) != parts:
        parts.append("the files have changed since then")
    return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


_IMPORTED: dict[tuple[type | None, ...], list[str]] = {}
"""The parts of the hash of classes when this process first computed it."""


class UserModules:
    """Modules of the user and those that they import, found without importing any.

    An installed module counts only if the user names it or another module of its top-level package.

    Attributes:
        files: by the names of modules.
    """

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self._named: set[str] = set()
        self._specs: dict[str, ModuleSpec | None] = {}

    def add(self, module: str, *, named: bool = False) -> bool:
        """Add a module, its packages, and the modules of the user that they import.

        Args:
            module: its full name.
            named: whether the user names it; it then counts even if it is installed.

        Returns:
            Whether it is a file of the user.
        """
        if named:
            self._named.add(module.partition(".")[0])
        left: list[tuple[str, Path | None]] = [(module, None)]
        while left:
            name, folder = left.pop()
            file = self._file(name, folder) if name not in self.files else None
            if file is not None:
                self.files[name] = file
                package = name if file.stem == "__init__" else name.rpartition(".")[0]
                for imported in (name, *_look(file)[1]):
                    with suppress(ImportError):
                        full = resolve_name(imported, package)
                        left += [(full[: dot.start()], file.parent) for dot in re.finditer(r"\.|$", full)]
        return module in self.files

    def is_installed(self, module: str) -> bool:
        """Whether a module is part of Python, csd or an installed distribution that the user does not name."""
        top = module.partition(".")[0]
        return top not in self._named and (top == "csd" or top in _INSTALLED)

    def _file(self, module: str, folder: Path | None) -> Path | None:
        """The file of a module of the user; None for any other module, and for a folder without a file of its own."""
        if self.is_installed(module) or (spec := self._spec(module, folder)) is None:
            return None
        places = [spec.origin] if spec.has_location and spec.origin else _folders(spec)
        top = module.partition(".")[0]
        if top not in self._named and (not places or any(map(_is_installed, places))):
            _INSTALLED.add(top)
            return None
        # The file, or the archive that holds it.
        first = Path(places[0]) if places else Path()
        return next((path for path in (first, *first.parents) if path.is_file()), None)

    def _spec(self, module: str, folder: Path | None) -> ModuleSpec | None:
        """Where Python finds a module: in its package, on the path, or last in the working directory, as in `resolve`.

        Args:
            module: its full name.
            folder: of the file that imports it, which some users add to `sys.path` there.
        """
        if module not in self._specs:
            parent, _, last = module.rpartition(".")
            above = self._spec(parent, folder) if parent else None
            inside = PathFinder.find_spec(last, _folders(above)) if above else None
            self._specs[module] = inside if parent else _on_path(module, folder)
        return self._specs[module]


_INSTALLED: set[str] = set()
"""Names of packages and modules that were found to be installed, or built into Python."""


def _folders(spec: ModuleSpec) -> list[str]:
    """The folders of a package; a namespace package may have several, and a module has none."""
    return list(spec.submodule_search_locations or ())


def _on_path(name: str, folder: Path | None) -> ModuleSpec | None:
    """Where Python finds a module that is in no package."""
    here, asked = str(Path.cwd()), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    path = [place for place in sys.path if place not in ("", here) or place in asked]
    finders = [finder for finder in sys.meta_path if finder is not PathFinder and hasattr(finder, "find_spec")]
    return (
        PathFinder.find_spec(name, [*path, here])
        # Editable installs have finders of their own.
        or next(filter(None, (finder.find_spec(name, None) for finder in finders)), None)
        or PathFinder.find_spec(name, [str(folder)] if folder else [])
    )


@cache
def _is_installed(place: str) -> bool:
    """Whether a file or folder belongs to Python or to an installed distribution."""
    path = Path(place)
    if path.is_relative_to(Path(os.__file__).parent) or {"site-packages", "dist-packages"} & {*path.parts}:
        return True
    above = path.parent
    while (above / "__init__.py").is_file():
        above = above.parent
    # As after `pip install --target`.
    return next(above.glob("*.dist-info"), None) is not None


CODE = ("code", "consts", "names", "varnames", "freevars", "flags", "argcount")
"""Attributes of compiled code that say what it does, and not where it stands."""


class CompiledCode:
    """Compiled code of classes and functions that no file defines, with the global and enclosing values that it uses.

    Args:
        modules: to which the modules of the user are added that the code uses.
    """

    def __init__(self, modules: UserModules) -> None:
        self.modules = modules
        self._met: dict[int, tuple[int, Any]] = {}

    def of(self, thing: Any) -> str:
        """A text that differs if code or values do; that of a value which cannot be copied is never the same."""
        if thing is None or isinstance(thing, bool | int | float | complex | str | bytes):
            return f"{type(thing).__name__} {thing!r}"
        # Whether equal constants are one object depends on how Python has loaded them.
        if not isinstance(thing, tuple | frozenset | CodeType):
            if id(thing) in self._met:
                return f"again {self._met[id(thing)][0]}"
            self._met[id(thing)] = (len(self._met), thing)
        if isinstance(thing, set | frozenset):
            return f"set {sorted(map(self.of, thing))}"
        if isinstance(thing, ModuleType):
            self.modules.add(thing.__name__)
            return f"module {thing.__name__}"
        if isinstance(thing, type | FunctionType) and self._is_in_a_file(thing):
            return f"{thing.__module__}:{thing.__qualname__}"
        try:
            return f"{type(thing).__name__} {[*map(self.of, self._parts(thing))]}"
        except Exception:
            return secrets.token_hex()

    def _is_in_a_file(self, thing: Any) -> bool:
        """Whether a class or function is defined at the top of a module with a file, which then counts."""
        module = str(thing.__module__)
        inside = "<" in thing.__qualname__ or module == "__main__"
        return not inside and (self.modules.add(module) or self.modules.is_installed(module))

    def _parts(self, thing: Any) -> list[Any]:
        """What a class, a function, code or a value consists of; a value as Python would copy it."""
        if isinstance(thing, tuple | list | dict):
            return list(thing.items() if isinstance(thing, dict) else thing)
        if isinstance(thing, staticmethod | classmethod | property):
            return [getattr(thing, name, None) for name in ("__func__", "fget", "fset", "fdel")]
        if isinstance(thing, CodeType):
            return [getattr(thing, f"co_{name}") for name in CODE]
        if isinstance(thing, FunctionType):
            cells = [cell.cell_contents for cell in thing.__closure__ or () if cell != CellType()]
            used = {name: thing.__globals__[name] for name in _names(thing.__code__) if name in thing.__globals__}
            return [thing.__code__, thing.__defaults__, thing.__kwdefaults__, cells, used, _submodules(thing, used)]
        if isinstance(thing, type):
            own = {name: value for name, value in sorted(vars(thing).items()) if _counts(name, value)}
            return [thing.__qualname__, thing.__bases__, own]
        if hasattr(thing, "detach"):
            # A copy of a tensor names its address.
            return [thing.detach().cpu().numpy()]
        copied = thing.__reduce_ex__(4)
        if isinstance(copied, str):
            return [getattr(thing, "__module__", None), copied]
        return [list(part) if isinstance(part, Iterator) else part for part in copied]


def _names(code: CodeType, *, attributes: bool = False) -> list[str]:
    """The global names that code and the functions in it use, or all names with those of attributes."""
    inner = [_names(const, attributes=attributes) for const in code.co_consts if isinstance(const, CodeType)]
    loaded = [str(step.argval) for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")]
    return sorted({*(code.co_names if attributes else loaded), *(name for names in inner for name in names)})


def _submodules(function: FunctionType, used: dict[str, Any]) -> list[ModuleType]:
    """The modules that a function reaches as attributes of modules, such as `package.module` after its import."""
    names, found = _names(function.__code__, attributes=True), list[ModuleType]()
    left = [value for value in used.values() if isinstance(value, ModuleType)]
    while left:
        module = left.pop()
        inner = [sys.modules.get(f"{module.__name__}.{name}") for name in names]
        left += [one for one in inner if one is not None]
        found += [one for one in inner if one is not None]
    return found


def _counts(name: str, value: Any) -> bool:
    """Whether an attribute of a class is the user's: methods of any name, and values except Python's own."""
    if name.startswith("__"):
        return isinstance(value, FunctionType | staticmethod | classmethod | property)
    return name != "_abc_impl" and not isinstance(value, MemberDescriptorType)


def _look(file: Path) -> tuple[str, list[str]]:
    """(hash of the code of a module, modules that it may import, as written: 'csd.lattice.bins', '..nets').

    Every job needs it, and parsing takes longer than many trainings, so it is cached beside Python's bytecode until the
    file changes. Files that are not Python are hashed byte by byte, and so are modules that Python cannot parse.
    """
    state = file.stat()
    return _read(file, state.st_mtime_ns, state.st_size)


@cache
def _read(file: Path, *state: int) -> tuple[str, list[str]]:
    """What `_look` returns for a file of a time of change (ns) and a size (bytes)."""
    kept = file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.source.json"
    known = [FORM, *state]
    with suppress(OSError, ValueError):
        *of, meaning, imported = json.loads(kept.read_text())
        if of == known:
            return str(meaning), list(imported)
    content, tree = file.read_bytes(), None
    with suppress(SyntaxError, ValueError, RecursionError):
        tree = _Meaning().visit(ast.parse(content)) if file.suffix == ".py" else None
    if tree is None:
        return blake2b(content, digest_size=16).hexdigest(), []
    meaning, imported = blake2b(ast.dump(tree).encode(), digest_size=16).hexdigest(), sorted({*_imported(tree)})
    temporary = kept.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        kept.parent.mkdir(exist_ok=True)
        temporary.write_text(json.dumps([*known, meaning, imported]))
        temporary.replace(kept)
    return meaning, imported


def _imported(tree: ast.AST) -> Iterator[str]:
    """The modules that code may import, at the top or inside functions; an imported name may be a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from _imported(ast.Module(node.orelse, []))
            continue
        if isinstance(node, ast.ImportFrom):
            place = "." * node.level + (node.module or "")
            yield place
            yield from (f"{place}{'.' * (node.module is not None)}{name.name}" for name in node.names)
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (str(one.value) for one in node.args[:1] if isinstance(one, ast.Constant))
        yield from _imported(node)


def _is_text(node: ast.expr) -> bool:
    """Whether an expression is a string as it stands."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


class _Meaning(ast.NodeTransformer):
    """Removes docstrings of modules, classes, functions and attributes, and the help of options."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """The statement; None for a string."""
        return None if _is_text(node.value) else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """An annotation, without the help text of its option, which stands before the keywords."""
        if ast.unparse(node.value) == "Annotated":
            for call in (call for call in ast.walk(node.slice) if isinstance(call, ast.Call)):
                call.args = [one for one in call.args if not isinstance(one, ast.JoinedStr) and not _is_text(one)]
        return self.generic_visit(node)
