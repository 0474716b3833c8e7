#!/usr/bin/env python3
"""Submit a job script of Snakemake with sbatch and the limits that it states; prints the job's number."""

import json
import re
import subprocess
import sys
from pathlib import Path

LOGS = Path(".snakemake/slurm_logs")


def main() -> int:
    """The exit status of sbatch."""
    script = Path(sys.argv[1])
    text = script.read_text(encoding="utf-8")
    found = re.search(r"^# properties = (.*)$", text, re.MULTILINE)
    if found is None:
        sys.exit(f"{script}: this job script has no properties; submit.py takes those that Snakemake writes")
    # Snakemake does not pass this flag on: in a group, a member that fails would stop those after it.
    script.write_text(text.replace(" -m snakemake ", " -m snakemake --keep-going ", 1), encoding="utf-8")
    job = json.loads(found[1])
    resources = job["resources"]
    name = job.get("rule") or job["groupid"]
    LOGS.mkdir(parents=True, exist_ok=True)
    command = ["sbatch", "--parsable", f"--job-name=csd-{name}", f"--output={LOGS.resolve()}/{name}-%j.log"]
    command += [f"--cpus-per-task={job.get('threads') or 1}"]
    for flag, key in (
        ("account", "slurm_account"),
        ("partition", "slurm_partition"),
        ("mem", "mem_mb"),
        ("time", "runtime"),
        ("gpus", "gpu"),
    ):
        if resources.get(key):
            command.append(f"--{flag}={resources[key]}")
    done = subprocess.run([*command, str(script)], check=False, text=True, stdout=subprocess.PIPE)
    print(done.stdout.split(";")[0].strip())
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
