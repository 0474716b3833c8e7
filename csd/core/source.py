"""Fingerprints of the code that a step uses, so that an edit reruns what depends on it and nothing else."""

import ast
import json
import os
import sys
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]

LATTICE = ("core/errors", "core/memory", "core/files", "lattice/lattice", "targets/base", "targets/gaussian")
TRAINING = (
    *LATTICE,
    "core/plugins",
    "core/random",
    "core/_ziggurat",
    "lattice/bins",
    "targets/noising",
    "networks",
    "training/options",
    "training/losses",
    "training/batches",
    "training/preparation",
    "training/record",
    "training/recorder",
    "training/loop",
    "training/descent",
)
REVERSE = (
    "diffusion/grids",
    "diffusion/integrators",
    "diffusion/sampling",
    "lattice/observables",
    "diffusion/criteria",
)
MONTE_CARLO = (
    *LATTICE,
    "core/random",
    "lattice/sites",
    "targets/phi4",
    "targets/spins",
    "mcmc/samplers",
    "mcmc/simulation",
    "mcmc/updates",
    "mcmc/autocorrelation",
    "mcmc/chains",
)
SOURCES: dict[str, tuple[str, ...]] = {
    "train": (*TRAINING, "training/reference", "training/content", *REVERSE, "diffusion/reverse"),
    "generate": (
        *TRAINING,
        *REVERSE,
        "diffusion/reverse",
        "diffusion/samples",
        "diffusion/trained",
        "diffusion/measures",
        "diffusion/quality",
    ),
    "mcmc": (*MONTE_CARLO, "mcmc/exact_sweeps", "mcmc/ensemble"),
    "integrators": (
        *LATTICE,
        "targets/noising",
        "core/plugins",
        "networks/score",
        *REVERSE,
        "diffusion/discretisation",
    ),
    "aggregate": ("study/summaries/files", "study/summaries/training", "study/summaries/generation", "core/files"),
    "aggregate_mcmc": ("study/summaries/dynamics", "core/files"),
    "timing": (
        *TRAINING,
        *REVERSE,
        "diffusion/reverse",
        "diffusion/trained",
        *MONTE_CARLO,
        "study/summaries/files",
        "study/summaries/dynamics",
        "study/scaling",
        "study/seeds",
        "study/summaries/accuracy",
        "study/summaries/cost_of_fields",
        "study/summaries/prices",
    ),
    "fit": (
        "study/summaries/laws",
        "study/summaries/dynamics",
        "study/summaries/integrators",
        "study/scaling",
        "study/seeds",
        "core/files",
    ),
    "claims": (
        "study/claims",
        "study/verdicts",
        "study/verdict_files",
        "core/rounding",
        "study/scaling",
        "study/seeds",
        "core/files",
    ),
    "figure": (
        "report/figures/__init__",
        "report/figures/style",
        "core/rounding",
        "study/scaling",
        "study/seeds",
        "core/files",
    ),
    "paper": (
        "report/paper",
        "report/figures",
        "core/rounding",
        "study/scaling",
        "study/seeds",
        "study/summaries/laws",
        "core/files",
    ),
    "pages": ("report/pages", "report/paper/numbers", "core/rounding", "study/scaling", "study/seeds", "core/files"),
    "explore": ("report/explore", "report/figures/style", "study/scaling", "study/seeds", "core/files"),
}
"""Modules and packages that each step of the workflow uses, besides the command line and the configuration."""


@cache
def fingerprint(step: str, *more: str) -> str:
    """Hash of the source of a step's modules, blind to comments, docstrings and layout.

    Args:
        step: a key of `SOURCES`.
        more: further modules, such as 'report/figures/collapse'.
    """
    digest = blake2b(digest_size=8)
    for module in (*SOURCES[step], *more):
        place = PACKAGE / module
        files = _members(place) if place.is_dir() else [place.with_suffix(".py")]
        for file in files:
            # Templates and style files count to the byte.
            digest.update(_meaning(file).encode() if file.suffix == ".py" else file.read_bytes())
    return digest.hexdigest()


def _members(package: Path) -> list[Path]:
    """The files of a package, templates among them, hidden ones not."""
    return sorted(path for path in package.iterdir() if path.is_file() and not path.name.startswith("."))


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
            digest.update(_meaning(file.resolve()).encode())
    return digest.hexdigest() if paths else ""


def fingerprint_with_plugins(step: str, *names: str) -> str:
    """Hash of the source that a step uses, followed by that of user-defined modules among `names`."""
    outside = [name for name in names if ":" in name and not name.startswith("csd.")]
    return f"{fingerprint(step)}{plugin_fingerprint(*outside)}"


@cache
def _meaning(file: Path) -> str:
    """Hash of the syntax tree of a file without docstrings, kept beside Python's own bytecode until the file changes.

    Every job asks for it, and making the tree takes longer than many a training.
    """
    state = file.stat()
    kept = file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.meaning.json"
    known = [state.st_mtime_ns, state.st_size]
    try:
        *of, meaning = json.loads(kept.read_text())
        if of == known:
            return str(meaning)
    except (OSError, ValueError):
        pass
    meaning = blake2b(_tree(file).encode(), digest_size=16).hexdigest()
    temporary = kept.with_suffix(f".{os.getpid()}")
    try:
        kept.parent.mkdir(exist_ok=True)
        temporary.write_text(json.dumps([*known, meaning]))
        temporary.replace(kept)
    except OSError:
        pass
    return meaning


def _tree(file: Path) -> str:
    """The syntax tree of a file, without docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        # Bare strings are docstrings of modules, classes, functions and attributes.
        node.body = [  # type: ignore[attr-defined]
            item
            for item in body
            if not (
                isinstance(item, ast.Expr)
                and isinstance(item.value, ast.Constant)
                and isinstance(item.value.value, str)
            )
        ]
    return ast.dump(tree)
