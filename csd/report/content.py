"""JSON files of a finished study that a page or a paper presents, read and checked."""

import json
from pathlib import Path
from typing import Any

from csd.core.errors import InputError

OF_CLAIMS = {"id", "statement", "requires", "bounds", "measured", "error", "verdict", "tests"}
"""Keys of a claim in claims.json that are presented."""
OF_TESTS = {"measure", "quantity", "criterion", "architecture", "accepted", "measured", "error", "verdict"}
"""Keys of each of its tests, likewise."""


def json_of(flag: str, path: Path) -> Any:
    """The content of the JSON file that a flag of a command names.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{flag} is {str(path)!r}, which cannot be read ({error})") from error


def judged_claims(path: Path) -> list[dict[str, Any]]:
    """The claims of claims.json, with their tests and verdicts.

    Raises:
        InputError: if it cannot be read, or is not a file that `csd claims` wrote.
    """
    claims = json_of("--claims", path)
    tests = [claim["tests"] for claim in claims] if _have(claims, OF_CLAIMS) else None
    if tests is None or not all(_have(own, OF_TESTS) for own in tests):
        raise InputError(
            f"--claims is {str(path)!r}, which is not a list of judged claims; it must be the claims.json of csd claims"
        )
    return list(claims)


def study_as_run(path: Path) -> dict[str, Any]:
    """The configuration of study.json.

    Raises:
        InputError: if it cannot be read, or is no configuration of a study.
    """
    asked = json_of("--study", path)
    missing = [key for key in ("study", "sweeps") if not isinstance(asked, dict) or key not in asked]
    if missing:
        raise InputError(
            f"--study is {str(path)!r}, which has no key {missing[0]!r}; it must be the study.json of csd study"
        )
    return dict(asked)


def _have(items: Any, keys: set[str]) -> bool:
    """Whether the items are a list of mappings with these keys."""
    return isinstance(items, list) and all(isinstance(item, dict) and keys <= item.keys() for item in items)
