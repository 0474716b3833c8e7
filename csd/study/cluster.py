"""A test, before any job is sent to a SLURM cluster, whether SLURM would accept one."""

import shutil
import subprocess

from csd.core.errors import InputError

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")
PATIENCE = 60.0
"""Seconds that SLURM may take to answer."""


def require_slurm(account: str | None, partition: str | None, profile: str) -> None:
    """Ask SLURM whether it would accept a job, without sending one.

    Args:
        account: that is charged; None for the user's default account.
        partition: that the job runs in; None for the cluster's default.
        profile: file in which the user sets both.

    Raises:
        InputError: if commands are missing, SLURM does not answer, or it would refuse the job.
    """
    absent = [name for name in COMMANDS if shutil.which(name) is None]
    if absent:
        raise InputError(
            f"SLURM's {', '.join(absent)} cannot be found: start this on a login node of the cluster, with SLURM on"
            " PATH, or use workflow/profiles/default to run on this machine"
        )
    command = ["sbatch", "--test-only", "--time=1", "--mem=100", "--wrap=true"]
    command += [f"--account={account}"] if account else []
    command += [f"--partition={partition}"] if partition else []
    try:
        done = subprocess.run(
            command, check=False, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"SLURM does not answer within {PATIENCE:g} s: see whether `sinfo` does, or ask for help"
        ) from error
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"status {done.returncode}"
        asked = f"account {account or 'not given'}, partition {partition or 'not given'}"
        raise InputError(
            f"SLURM refuses jobs with {asked} ({reason.split(': ', 1)[-1]}): set slurm_account and slurm_partition at"
            f" the top of {profile}; `sacctmgr show associations user=$USER` and `sinfo` list what there is"
        )
