"""What the study of phases finds: `config/phases.yaml`, run for some minutes in a temporary folder."""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from csd.study.rounding import parentheses
from docs.numbers._run import whole_study

TIMED = True


def numbers() -> dict[str, Any]:
    """Tables of the finished study, its core time in seconds and its wall time in minutes."""
    with whole_study("phases") as (results, about):
        return about | found(results)


def found(results: Path) -> dict[str, Any]:
    """Tables of the finished study.

    Args:
        results: its folder.
    """
    claims = json.loads((results / "summary" / "claims.json").read_text(encoding="utf-8"))
    own = [claim for claim in claims if claim["id"].startswith("P-")]
    return {
        "verdicts": [["claim", "what is measured", "smallest", "largest", "accepted", "verdict"], *_tests(own)],
    }


def _tests(claims: list[dict[str, Any]]) -> Iterator[list[str]]:
    """The smallest and the largest value of each quantity that a claim tests, with errors, over sizes and levels."""
    for claim in claims:
        for (quantity, network, bounds), tests in groupby(
            claim["tests"], lambda t: (t["quantity"], t["architecture"], t["bounds"])
        ):
            ordered = sorted(tests, key=lambda test: test["measured"])
            values = [
                f"{t['measured']:.3g}" if not t["error"] else parentheses(t["measured"], t["error"]) for t in ordered
            ]
            of = "" if network == "best_local" else f", {network.replace('-', ' ').replace('_', ' ')}"
            yield [claim["id"], f"{quantity.replace('_', ' ')}{of}", values[0], values[-1], bounds, claim["verdict"]]
