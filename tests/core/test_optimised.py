"""`python -O` drops assertions: no check of what a user gives is one."""

import ast
from pathlib import Path

import pytest

from tests.helpers import ROOT, outside

SWEEP = "sweeps: {line: {dimension: 1, sizes: [8], architectures: [one_layer]%s}}"
STUDIES = {
    "level of a sweep twice": (SWEEP % ", training: {noise_levels: [0.1, 0.1]}", "noise level is given twice"),
    "level of scores twice": (
        f"{SWEEP % ''}\nscores: {{held: {{dimension: 1, sizes: [8], noise_levels: [0.1, 0.1]}}}}",
        "noise level is given twice",
    ),
    "mass of scores": (
        f"{SWEEP % ''}\nscores: {{held: {{dimension: 1, sizes: [8], mass: 1e200, noise_levels: [0.1]}}}}",
        "mass is 1e+200",
    ),
    "mass of a sweep": (SWEEP % ", mass: 1e200", "mass is 1e+200"),
}


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("optimised", ["", "1"])
def test_a_mistake_is_found_with_and_without_assertions(
    name: str, optimised: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, words = STUDIES[name]
    (tmp_path / "study.yaml").write_text(f"study: s\n{content}\n")
    monkeypatch.setenv("PYTHONOPTIMIZE", optimised)
    ran = outside("validate", "--no-cost", "study.yaml", folder=tmp_path)
    assert ran.status == 2, ran.err
    assert words in ran.err


def test_assertions_are_for_the_type_checker_alone() -> None:
    """Each says that a name is not None."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in [*(ROOT / "csd").rglob("*.py"), *(ROOT / "workflow").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert) and not ast.unparse(node.test).endswith(" is not None")
    ]
    assert not found
