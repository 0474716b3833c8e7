"""Verdicts as files: JSON for programs, a table for readers."""

import json
from typing import Any

import numpy as np

from csd.core.rounding import plus_minus
from csd.study.verdicts import NOT_TESTED, Verdict, _bounds, _finite


def as_json(verdicts: list[Verdict]) -> str:
    """Verdicts as JSON: for each claim id, statement, verdict, and for each test measured, error, accepted range."""
    content = []
    for verdict in verdicts:
        tests = []
        for test, outcomes in zip(verdict.claim.tests, verdict.rows, strict=True):
            about: dict[str, Any] = {
                "measure": test.measure,
                "quantity": test.quantity,
                "criterion": test.criterion,
                "architecture": test.architecture,
                "reference": test.reference,
                "because": test.because,
                "accepted": [None if bound is None else _finite(bound) for bound in test.accepted],
                "bounds": _bounds(test),
            }
            tests += [
                about
                | {
                    "dimension": outcome.dimension,
                    "noise_level": _finite(outcome.noise_level),
                    "data": outcome.data,
                    "measured": _finite(outcome.measured),
                    "error": _finite(outcome.error),
                    "verdict": outcome.verdict,
                    "note": outcome.note,
                }
                for outcome in outcomes
            ] or [about | {"measured": None, "error": None, "verdict": NOT_TESTED, "note": "no data"}]
        shown = next((test for test in tests if test["verdict"] == verdict.verdict), tests[0])
        content.append(
            {
                "id": verdict.claim.id,
                "statement": verdict.claim.statement,
                "requires": verdict.claim.requires,
                "measured": shown["measured"],
                "error": shown["error"],
                "accepted": shown["accepted"],
                "bounds": shown["bounds"],
                "verdict": verdict.verdict,
                "tests": tests,
            }
        )
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def as_markdown(verdicts: list[Verdict]) -> str:
    """Verdicts as a Markdown table, a row a test and dimension."""
    lines = [
        "| claim | test | d | t | data | measured | accepted | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for verdict in verdicts:
        statement = verdict.claim.statement.replace("|", "\\|")
        if verdict.claim.requires:
            statement += f" Requires {', '.join(verdict.claim.requires)}."
        lines.append(f"| **{verdict.claim.id}** | {statement} | | | | | | **{verdict.verdict}** |")
        for test, outcomes in zip(verdict.claim.tests, verdict.rows, strict=True):
            of = "" if test.quantity == "training_time" else f" of {test.quantity.replace('_', ' ')}"
            of += f" ({test.criterion.replace('_', ' ')})" if test.criterion else ""
            name = f"{test.measure.replace('_', ' ')}{of} of {test.architecture}"
            name += f" over {test.reference}" if test.reference else ""
            if not outcomes:
                lines.append(f"| | {name} | | | | | {_bounds(test)} | {NOT_TESTED} |")
            for o in outcomes:
                value = plus_minus(o.measured, o.error) if np.isfinite(o.measured) else ""
                level = f"{o.noise_level:g}" if np.isfinite(o.noise_level) else ""
                where = f"{o.dimension} | {level} | {o.data}"
                why = f": {o.note}" if o.note else ""
                lines.append(f"| | {name} | {where} | {value} | {_bounds(test)} | {o.verdict}{why} |")
    return "\n".join(lines) + "\n"
