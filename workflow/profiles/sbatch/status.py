#!/usr/bin/env python3
"""Tell Snakemake whether a SLURM job is running, success or failed; the reason of a failure goes to the terminal."""

import re
import subprocess
import sys

RUNNING = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "RESIZING", "SIGNALING"}
RUNNING |= {"STAGE_OUT", "STOPPED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}


def state(number: str) -> tuple[str, str]:
    """The state of a job in SLURM's words, and its log; from the queue, or from accounting if the queue forgot it."""
    asked = subprocess.run(
        ["scontrol", "--oneliner", "show", "job", number], check=False, text=True, capture_output=True
    )
    found = re.search(r"\bJobState=(\w+)", asked.stdout)
    if found is not None:
        log = re.search(r"\bStdOut=(\S+)", asked.stdout)
        return found[1], log[1] if log else "unknown"
    if "Invalid job id" not in asked.stderr:
        # The controller is busy or does not answer; the next call will tell.
        return "PENDING", "unknown"
    command = ["sacct", "--allocations", "--noheader", "--parsable2", "--format=State", f"--jobs={number}"]
    known = subprocess.run(command, check=False, text=True, capture_output=True)
    words = known.stdout.split()
    return (words[0] if words else "forgotten by SLURM (MinJobAge should be 120 s or more)"), "unknown"


def main() -> None:
    """Print one word."""
    number = sys.argv[1]
    what, log = state(number)
    if what in RUNNING:
        print("running")
    elif what == "COMPLETED":
        print("success")
    else:
        print(f"SLURM job {number}: {what}; its log: {log}", file=sys.stderr)
        print("failed")


if __name__ == "__main__":
    main()
