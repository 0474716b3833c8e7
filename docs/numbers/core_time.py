"""Cost of the default study, which is run for some ten minutes in a temporary folder on a quiet machine.

Core time is user and system time of Snakemake and of all that it starts; work is `work_cpu_s` of the jobs' records
(docs/results.md). Times are those of one machine, so a rerun gives others.
"""

import json
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.overhead import run_study
from csd.study.config.reading import load, parse
from csd.study.config.study import STAGES
from csd.study.cost.estimate import expected_costs
from csd.study.cost.expected import ExpectedCost
from csd.study.cost.pace import REFERENCE
from csd.study.stages.training import training_jobs

ROOT = Path(__file__).resolve().parents[2]
TIMED = True


def numbers() -> dict[str, Any]:
    """Times in seconds, `wall_minutes` in minutes, files in megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        started = perf_counter()
        done, seconds = run_study(ROOT / "config" / "config.yaml", "all", Path(folder))
        done.check_returncode()
        return measured(Path(folder) / "results", seconds, perf_counter() - started)


def measured(results: Path, seconds: float, wall: float) -> dict[str, Any]:
    """The numbers of a finished study.

    Args:
        results: its folder.
        seconds: core time.
        wall: seconds from start to end.
    """
    folders = {"training": ".", "generation": "generation", "monte_carlo": "monte_carlo"}
    records = {
        name: [
            json.loads(file.read_text(encoding="utf-8"))
            for file in sorted((results / "benchmarks" / folder).glob("*.json"))
        ]
        for name, folder in folders.items()
    }
    jobs = _beside_expected(results)
    longest = sorted(jobs, key=lambda job: job[0]["cpu_s"], reverse=True)[:8]
    memory = [record["peak_memory_mb"] for record, _ in jobs]
    shares = [record["peak_memory_mb"] / expected.memory_mb for record, expected in jobs]
    work = {name: sum(record["work_cpu_s"] for record in own) for name, own in records.items()}
    return {
        "wall_minutes": round(wall / 60.0, 1),
        "core_seconds": round(seconds),
        "work": round(sum(work.values())),
        "work_share": round(sum(work.values()) / seconds, 2),
        **{f"{name}_work": round(value) for name, value in work.items()},
        **{f"{name}_jobs": len(own) for name, own in records.items()},
        "longest_jobs": [round(record["cpu_s"]) for record, _ in longest],
        "longest_expected": [round(expected.seconds) for _, expected in longest],
        "memory_mb": [round(min(memory)), round(max(memory))],
        "memory_over_expected": [round(min(shares), 1), round(max(shares), 1)],
        "figures": len(list((results / "figures").glob("*.png"))),
        "megabytes": round(sum(file.stat().st_size for file in results.rglob("*") if file.is_file()) / 1e6),
    }


def _beside_expected(results: Path) -> list[tuple[dict[str, float], ExpectedCost]]:
    """Records of training and generation jobs, each with its cost expected on the reference machine."""
    runs = training_jobs(parse(load(ROOT / "config" / "config.yaml")))
    return [
        (json.loads((results / STAGES[one.stage].records / f"{one.identifier}.json").read_text(encoding="utf-8")), one)
        for one in expected_costs(runs, REFERENCE)
    ]
