"""Pages of a study's report: its claims, its configuration and software, and where its time went.

Snakemake's report shows them beside the figures; each is an HTML file that can also be opened alone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import xarray as xr

from csd.core.errors import InputError
from csd.core.files import write_text
from csd.study.rounding import parentheses

HERE = Path(__file__).parent
PAGES = ("claims", "study", "run_times")
"""Names of the pages; each has a template beside this file."""


def write_pages(
    study: Path, claims: Path, summary: xr.Dataset, benchmarks: Path, output: Path, made_by: Mapping[str, str]
) -> None:
    """Write claims.html, study.html and run_times.html.

    Args:
        study: study.json of the study as it was run.
        claims: claims.json.
        summary: of training.
        benchmarks: folder of the records of single jobs.
        output: folder to write to.
        made_by: of `csd.core.files.provenance`.

    Raises:
        InputError: if a file cannot be read.
    """
    import yaml

    asked = _read(study)
    about: dict[str, dict[str, Any]] = {
        "claims": {"claims": [_shown(claim) for claim in _read(claims)]},
        "study": {
            "configuration": yaml.safe_dump(_without_defaults(asked), sort_keys=False, allow_unicode=True),
            "versions": _versions(summary, made_by),
        },
        "run_times": {"stages": list(_stages(benchmarks))},
    }
    for name in PAGES:
        write_text(_rendered(name, study=asked["study"], made_by=made_by, **about[name]), output / f"{name}.html")


def _rendered(name: str, **content: Any) -> str:
    """A page from its template; what goes in is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"number": _number}
    return environment.get_template(f"{name}.html").render(**content) + "\n"


def _read(path: Path) -> Any:
    """A JSON file of the study."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the study again") from error


def _shown(claim: Mapping[str, Any]) -> dict[str, Any]:
    """A claim whose tests have their names in words."""
    tests = []
    for test in claim["tests"]:
        name = test["measure"].replace("_", " ")
        if test["quantity"] != "training_time":
            name += f" of {test['quantity'].replace('_', ' ')}"
        if test["criterion"]:
            name += f" by {test['criterion'].replace('_', ' ')}"
        over = f" over {test['reference']}" if test["reference"] else ""
        # One without data says nothing of where.
        nowhere = {"dimension": None, "noise_level": None, "data": None}
        tests.append({**nowhere, **test, "name": f"{name}, {test['architecture']}{over}"})
    # Why not every noise level is tested, once for all tests that say the same.
    reasons = dict.fromkeys(test["because"] for test in claim["tests"] if test["because"])
    return {**claim, "tests": tests, "reasons": [f"Some noise levels only: {reason}." for reason in reasons]}


def _number(value: float | None, error: float | None) -> str:
    """A value with its error in parentheses, or nothing."""
    return "" if value is None else parentheses(value, error or 0.0)


def _without_defaults(content: Any) -> Any:
    """A configuration without keys that were left open."""
    if isinstance(content, dict):
        kept = {key: _without_defaults(value) for key, value in content.items() if value is not None}
        return {key: value for key, value in kept.items() if value != {}}
    return [_without_defaults(value) for value in content] if isinstance(content, list) else content


def _versions(summary: xr.Dataset, made_by: Mapping[str, str]) -> dict[str, str]:
    """Software that the summary was made with, and that this page was."""
    import platform

    packages = json.loads(summary.attrs.get("package_versions", "{}"))
    return {
        "csd": f"{summary.attrs.get('csd_version')}, commit {summary.attrs.get('csd_commit')}",
        "csd, of this report": f"{made_by['csd_version']}, commit {made_by['csd_commit']}",
        "Python": platform.python_version(),
        **packages,
        "configuration hash": str(summary.attrs.get("configuration_hash")),
    }


def _stages(folder: Path) -> Iterator[dict[str, Any]]:
    """Where the time of a stage's jobs went: training, then generation."""
    for name, place in (("training", folder), ("generation", folder / "generation")):
        records = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(place.glob("*.json"))}
        if records:
            yield _stage(name, records)


def _stage(name: str, records: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Sums over the jobs of a stage, and the ten longest of them."""
    work = [record[f"{name}_s"] for record in records.values()]
    wall = [record["wall_s"] for record in records.values()]
    longest: Sequence[str] = sorted(records, key=lambda job: -records[job]["wall_s"])[:10]
    return {
        "name": name,
        "jobs": len(records),
        "core_s": sum(wall),
        "share": sum(work) / sum(wall),
        "median_s": median(wall),
        "memory_mb": max(record["peak_memory_mb"] for record in records.values()),
        "longest": [{"job": job, **records[job]} for job in longest],
    }
