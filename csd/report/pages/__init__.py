"""Pages of a study's report: its claims, its configuration and software, and the run times of its jobs.

Snakemake's report shows them beside the figures; each is an HTML file that can also be opened alone.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import xarray as xr

from csd.core.errors import InputError
from csd.core.paths import write_text
from csd.report.content import json_of, judged_claims, study_as_run
from csd.study.rounding import parentheses

HERE = Path(__file__).parent
"""Folder of the templates."""


def write_pages(
    study: Path, claims: Path, summary: xr.Dataset, benchmarks: Path, output: Path, made_by: Mapping[str, str]
) -> None:
    """Write claims.html, study.html and run_times.html, each from the template of its name beside this file.

    Args:
        study: study.json of the study as it was run.
        claims: claims.json.
        summary: of training.
        benchmarks: folder of the records of single jobs.
        output: folder to write to.
        made_by: of `csd.core.files.provenance`.

    Raises:
        InputError: if a file cannot be read, is not what it must be, or there are no records.
    """
    import yaml
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    asked = study_as_run(study)
    judged = judged_claims(claims)
    # Records may have been removed, and cannot be made again without the jobs.
    if benchmarks.exists() and not benchmarks.is_dir():
        raise InputError(f"--benchmarks is {str(benchmarks)!r}, which is no folder; it must hold records of jobs")
    configuration = yaml.safe_dump(_without_defaults(asked), sort_keys=False, allow_unicode=True)
    contents: dict[str, dict[str, Any]] = {
        "claims": {"claims": judged, "number": _number},
        "study": {"configuration": configuration, "versions": _versions(summary, made_by)},
        "run_times": {"stages": list(_stages(benchmarks))},
    }
    loader = FileSystemLoader(HERE)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for name, content in contents.items():
        page = environment.get_template(f"{name}.html").render(study=asked["study"], made_by=made_by, **content)
        write_text(f"{page}\n", output / f"{name}.html")


def _number(value: float | None, error: float | None) -> str:
    """A value with its error in parentheses, or nothing."""
    return "" if value is None else parentheses(value, error or 0.0)


def _without_defaults(content: Any) -> Any:
    """A configuration without the keys that were left open."""
    if isinstance(content, dict):
        kept = {key: _without_defaults(value) for key, value in content.items() if value is not None}
        return {key: value for key, value in kept.items() if value != {}}
    return [_without_defaults(value) for value in content] if isinstance(content, list) else content


def _versions(summary: xr.Dataset, made_by: Mapping[str, str]) -> dict[str, str]:
    """Versions of the software that made the summary, and of csd as it made this page."""
    import platform

    return {
        "csd": f"{summary.attrs.get('csd_version')}, commit {summary.attrs.get('csd_commit')}",
        "csd, for this report": f"{made_by['csd_version']}, commit {made_by['csd_commit']}",
        "Python": platform.python_version(),
        **json.loads(summary.attrs.get("package_versions", "{}")),
        "configuration hash": str(summary.attrs.get("configuration_hash")),
    }


def _stages(folder: Path) -> Iterator[dict[str, Any]]:
    """Run times of training, then of generation: sums over jobs, and the ten longest jobs."""
    for name, place in (("training", folder), ("generation", folder / "generation")):
        jobs = [{"job": path.stem, **json_of("--benchmarks", path)} for path in sorted(place.glob("*.json"))]
        wall = [job["wall_s"] for job in jobs]
        if jobs:
            yield {
                "name": name,
                "jobs": len(jobs),
                "core_s": sum(wall),
                "share": sum(job[f"{name}_s"] for job in jobs) / sum(wall),
                "median_s": median(wall),
                "memory_mb": max(job["peak_memory_mb"] for job in jobs),
                "longest": sorted(jobs, key=lambda job: -job["wall_s"])[:10],
            }
