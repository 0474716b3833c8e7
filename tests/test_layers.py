"""The package reads from the ground up: each module imports only from those before it."""

import ast
import re
from pathlib import Path

import csd

PACKAGE = Path(csd.__file__).parent
ORDER = re.findall(r"`(\w+)`", csd.__doc__ or "")


def _runtime_imports(tree: ast.AST) -> set[str]:
    """Modules of csd that are imported when the code runs, at the top or inside functions; not for types alone."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("csd"):
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        found |= _runtime_imports(node)
    return found


def test_every_module_has_its_place() -> None:
    modules = [path for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"]
    there = {path.stem if path.is_file() else path.name for path in modules if not path.name.startswith("_")}
    assert sorted(ORDER) == sorted(there)


def test_imports_go_downwards() -> None:
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own in ORDER:
            above = _runtime_imports(ast.parse(path.read_text())) - set(ORDER[: ORDER.index(own) + 1])
            assert not above, f"{path.name} imports {sorted(above)}, which stand above it"
