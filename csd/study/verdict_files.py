"""Verdicts as files: JSON for programs, a table for readers."""

import json
from typing import Any

import numpy as np

from csd.study.rounding import plus_minus
from csd.study.verdicts import NOT_TESTED, Verdict, _bounds


def as_json(verdicts: list[Verdict]) -> str:
    """Verdicts as JSON: for each claim id, statement, verdict, and for each test measured, error, accepted range."""
    content = []
    for verdict in verdicts:
        claim, tests = verdict.claim, []
        for test, outcomes in zip(claim.tests, verdict.rows, strict=True):
            names = ("measure", "quantity", "criterion", "architecture", "reference", "because")
            about = {name: getattr(test, name) for name in names}
            about |= test.options | {"accepted": [_plain(bound) for bound in test.accepted], "bounds": _bounds(test)}
            found = ("dimension", "noise_level", "data", "measured", "error", "verdict", "note")
            tests += [about | {name: _plain(getattr(outcome, name)) for name in found} for outcome in outcomes] or [
                about | {"measured": None, "error": None, "verdict": NOT_TESTED, "note": "no data"}
            ]
        shown = next((test for test in tests if test["verdict"] == verdict.verdict), tests[0])
        own = {"id": claim.id, "statement": claim.statement, "requires": claim.requires}
        own |= {name: shown[name] for name in ("measured", "error", "accepted", "bounds")}
        content.append(own | {"verdict": verdict.verdict, "tests": tests})
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """A value that JSON can hold: None where a number is not finite."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


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
            name += "".join(f", {option} {' or '.join(map(str, values))}" for option, values in test.options.items())
            if not outcomes:
                lines.append(f"| | {name} | | | | | {_bounds(test)} | {NOT_TESTED} |")
            for o in outcomes:
                value = plus_minus(o.measured, o.error) if np.isfinite(o.measured) else ""
                level = f"{o.noise_level:g}" if np.isfinite(o.noise_level) else ""
                where = f"{o.dimension} | {level} | {o.data}"
                why = f": {o.note}" if o.note else ""
                lines.append(f"| | {name} | {where} | {value} | {_bounds(test)} | {o.verdict}{why} |")
    return "\n".join(lines) + "\n"
