"""`python -m benchmarks.overhead CONFIG`: how much of a study's core time its jobs spend in the work itself.

The whole study is run, in a folder of its own. Its core time is user and system time of Snakemake and of all that it
starts; the work is what the records of its jobs count as such (`work_cpu_s`, docs/results.md).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a study and print where its core time went; Snakemake's exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__, allow_abbrev=False)
    parser.add_argument("config", type=Path, metavar="CONFIG.yaml")
    parser.add_argument("--cores", default="all", help="for Snakemake (all)")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        done, seconds = run_study(given.config.resolve(), given.cores, Path(folder))
        if done.returncode == 0:
            output = Path(folder) / yaml.safe_load(given.config.read_text()).get("output", "results")
            _print(seconds, [json.loads(file.read_text()) for file in sorted(output.glob("benchmarks/**/*.json"))])
        else:
            print(done.stdout[-5000:], file=sys.stderr)
    return done.returncode


def run_study(config: Path, cores: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a study, without its report and paper.

    Args:
        config: its file.
        cores: for Snakemake.
        folder: to run it in.

    Returns:
        What Snakemake said; core seconds of it and of its jobs.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--workflow-profile", str(ROOT / "workflow" / "profiles" / "default"), "--cores", cores]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, "--configfile", str(config)],
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Modules are compiled once, not in each job.
        env={**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": ""},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _print(seconds: float, records: Sequence[dict[str, float]]) -> None:
    """Core time in all, in jobs that work, and in their work."""
    work, jobs = (sum(record[name] for record in records) for name in ("work_cpu_s", "cpu_s"))
    print(f"core time                          {seconds:8.1f} s")
    print(f"  work of {len(records):5d} jobs               {work:8.1f} s  {work / seconds:.2f}")
    print(f"  the rest of these jobs           {jobs - work:8.1f} s  {(jobs - work) / seconds:.2f}")
    print(f"  all else: summaries, figures, …  {seconds - jobs:8.1f} s  {1.0 - jobs / seconds:.2f}")


if __name__ == "__main__":
    sys.exit(main())
