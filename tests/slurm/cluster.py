"""A real SLURM of one node on this machine, on loopback, from Debian's packages, for as long as it is needed.

python -m tests.slurm.cluster install              slurm-wlm, munge, and what accounting needs, by apt-get
python -m tests.slurm.cluster run COMMAND …        start, run the command, stop
python -m tests.slurm.cluster clean                stop and undo what a killed run left

Before `run`: --accounting for one with slurmdbd, --no-cgroups for one that polls the memory of jobs.
"""

import argparse
import fcntl
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

# Commands inside of jobs look nowhere else: the plug-in strips SLURM_CONF from their environment.
CONFIGURATION = Path("/etc/slurm")
# Held by whoever has a cluster: there is one configuration a machine.
LOCK = Path("/run/csd-slurm.lock")
MARK = "# A test cluster of csd in "
CGROUPS = Path("/sys/fs/cgroup")
MUNGE_SOCKET = Path("/run/munge/munge.socket.2")
PACKAGES = ("slurm-wlm", "munge")
# The database's programs alone: its Debian service is neither installed nor started.
ACCOUNTING_PACKAGES = ("slurmdbd", "mariadb-server-core", "mariadb-client-core")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun")
ACCOUNTING_PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "my_print_defaults")
PATIENCE = 30.0
"""Seconds that a daemon may take to start or stop."""


class ClusterError(Exception):
    """The cluster does not start; the message says why, or shows the end of a log."""


def missing(accounting: bool = False) -> str | None:
    """Why no cluster can be started here, in a sentence; None if one can."""
    if os.geteuid() != 0:
        return "a SLURM cluster of the tests' own needs root"
    absent = [name for name in PROGRAMS + ACCOUNTING_PROGRAMS * accounting if _program(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (`python -m tests.slurm.cluster install` as root, on Debian)"
    if not _ours() and (CONFIGURATION / "slurm.conf").exists():
        return f"{CONFIGURATION}/slurm.conf belongs to a cluster that is not the tests'"
    return None


def install() -> None:
    """Install the Debian packages, with no service of theirs started.

    Raises:
        ClusterError: if apt-get fails.
    """
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        for arguments in (
            ("update",),
            ("install", "--yes", "--no-install-recommends", *PACKAGES, *ACCOUNTING_PACKAGES),
        ):
            _call("apt-get", "--quiet", "--option", "DPkg::Lock::Timeout=60", *arguments)
    finally:
        if ours:
            policy.unlink()


@contextmanager
def cluster(accounting: bool = False, cgroups: bool | None = None) -> Iterator[None]:
    """A cluster of one node and two partitions, 'main' and, for the account csd alone, 'paid'; one at a time, in turn.

    Args:
        accounting: with slurmdbd and a private MariaDB; the user then has the account csd.
        cgroups: hold jobs to their memory by cgroups of version 1; by default where they can be made. Otherwise SLURM
            looks at the memory of jobs every second.

    Raises:
        ClusterError: if it does not come up; what was started has been stopped then.
    """
    reason = missing(accounting)
    if reason is not None:
        raise ClusterError(reason)
    with _turn(), _cluster(accounting, cgroups):
        yield


@contextmanager
def _cluster(accounting: bool, cgroups: bool | None) -> Iterator[None]:
    """The cluster of whoever's turn it is."""
    _undo_leftovers()
    # Not below a user's own temporary folder, which SLURM's daemons could not read.
    folder = Path(tempfile.mkdtemp(prefix="csd-slurm-", dir="/tmp"))
    folder.chmod(0o755)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        ports = _free_ports(4)
        with_cgroups = _cgroups() if cgroups is None else cgroups
        _munge(folder, undo)
        if accounting:
            _database(folder, ports[2], ports[3], undo)
        _configure(folder, ports[0], ports[1], ports[2] if accounting else None, with_cgroups, undo)
        if accounting:
            _start(folder, undo, "slurmdbd", "-D")
            _wait(folder, "slurmdbd", lambda: _answers("sacctmgr", "-n", "list", "cluster"))
            # Before slurmctld asks, or it finds no cluster of its name.
            _call("sacctmgr", "-i", "add", "cluster", "csd")
            _call("sacctmgr", "-i", "add", "account", "csd", "description=tests", "organization=csd")
            _call("sacctmgr", "-i", "add", "user", _user(), "account=csd")
        _start(folder, undo, "slurmctld", "-D", "-i")
        _start(folder, undo, "slurmd", "-D")
        _wait(folder, "slurmctld", lambda: "idle" in _output("sinfo", "--noheader", "--format=%T"))
        # Last in, first out: jobs end before the daemons that end them.
        undo.callback(_cancel_all)
        yield


@contextmanager
def _turn(wait: bool = True) -> Iterator[None]:
    """Hold the lock, which a killed process lets go of; daemons do not inherit it.

    Raises:
        ClusterError: if somebody holds it and we do not wait.
    """
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise ClusterError("a cluster of the tests is in use; it is left alone") from error
        yield


def clean() -> None:
    """Stop the daemons and undo the configuration of a run that was killed.

    Raises:
        ClusterError: if the run is alive.
    """
    with _turn(wait=False):
        _undo_leftovers()


def _undo_leftovers() -> None:
    """What `clean` does, for whoever holds the lock."""
    if not _ours():
        return
    folder = Path((CONFIGURATION / "slurm.conf").read_text().splitlines()[0].removeprefix(MARK))
    for file in sorted(folder.glob("*.pid")):
        pid = int(file.read_text())
        name = Path(f"/proc/{pid}/comm")
        # The number may be another process's by now.
        if name.exists() and name.read_text().strip() == file.stem:
            _stop(pid)
    for name in ("slurm.conf", "gres.conf", "cgroup.conf", "slurmdbd.conf"):
        (CONFIGURATION / name).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _ours() -> bool:
    """Whether the machine's SLURM configuration is one of the tests."""
    file = CONFIGURATION / "slurm.conf"
    return file.exists() and file.read_text().startswith(MARK)


def _munge(folder: Path, undo: ExitStack) -> None:
    """The daemon that vouches for users, unless the machine has one."""
    if _answers("sh", "-c", "munge -n | unmunge"):
        return
    socket_folder = MUNGE_SOCKET.parent
    if not socket_folder.exists():
        socket_folder.mkdir(mode=0o755)
        shutil.chown(socket_folder, "munge", "munge")
        undo.callback(shutil.rmtree, socket_folder, ignore_errors=True)
    private = folder / "munge"
    private.mkdir(mode=0o700)
    (private / "key").write_bytes(secrets.token_bytes(128))
    (private / "key").chmod(0o400)
    for path in (private, private / "key"):
        shutil.chown(path, "munge", "munge")
    files = [f"--key-file={private}/key", f"--log-file={private}/log", f"--seed-file={private}/seed"]
    _start(folder, undo, "munged", "--foreground", *files, f"--pid-file={private}/pid", user="munge")
    _wait(folder, "munged", lambda: _answers("sh", "-c", "munge -n | unmunge"))


def _database(folder: Path, port: int, database_port: int, undo: ExitStack) -> None:
    """A MariaDB of the tests' own on loopback, and slurmdbd's configuration."""
    data, password = folder / "database", secrets.token_hex(16)
    data.mkdir(mode=0o700)
    options = ["--no-defaults", f"--datadir={data}", "--user=root"]
    _call("mariadb-install-db", *options, "--skip-test-db", "--auth-root-authentication-method=normal")
    grant = folder / "grant.sql"
    grant.touch(mode=0o600)
    grant.write_text(
        f"CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY '{password}';\nGRANT ALL ON slurm.* TO 'slurm'@'127.0.0.1';\n"
    )
    options += [f"--socket={folder}/database.socket", "--bind-address=127.0.0.1", f"--port={database_port}"]
    options += ["--skip-name-resolve", f"--init-file={grant}", f"--pid-file={folder}/database.process"]
    # slurmdbd refuses less.
    options += ["--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900", "--innodb-log-file-size=16M"]
    _start(folder, undo, "mariadbd", *options)
    _wait(folder, "mariadbd", lambda: _listens(database_port))
    file = CONFIGURATION / "slurmdbd.conf"
    file.touch(mode=0o600)
    undo.callback(file.unlink, missing_ok=True)
    file.write_text(
        f"""AuthType=auth/munge
DbdHost={_host()}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.process
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
"""
    )


def _configure(folder: Path, controller: int, node: int, database: int | None, cgroups: bool, undo: ExitStack) -> None:
    """slurm.conf, gres.conf and cgroup.conf, removed again at the end."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host, cpus = _host(), os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 * 3 // 4
    if cgroups:
        containment = "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup\nJobAcctGatherType=jobacct_gather/cgroup"
    else:
        containment = (
            "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/affinity\nJobAcctGatherType=jobacct_gather/linux\n"
            "JobAcctGatherParams=OverMemoryKill"
        )
    accounting = "AccountingStorageType=accounting_storage/none"
    if database is not None:
        accounting = (
            f"AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\n"
            f"AccountingStoragePort={database}\nAccountingStorageEnforce=associations,limits"
        )
    CONFIGURATION.mkdir(exist_ok=True)
    configuration = f"""{MARK}{folder}
ClusterName=csd
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.process
SlurmdPidFile={folder}/slurmd.process
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
EnforcePartLimits=ALL
# Less, and squeue forgets jobs before Snakemake has asked for them.
MinJobAge=300
KillWait=5
InactiveLimit=0
GresTypes=gpu
JobAcctGatherFrequency=1
{containment}
{accounting}
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES DefMemPerCPU=500 MaxTime=1-0 State=UP
PartitionName=paid Nodes={host} AllowAccounts=csd MaxTime=1-0 State=UP
"""
    # A GPU in name only: jobs can ask for it, and find none.
    files = {"slurm.conf": configuration, "gres.conf": f"NodeName={host} Name=gpu File=/dev/null\n"}
    if cgroups:
        undo.callback(_remove_cgroups)
        files["cgroup.conf"] = (
            f"CgroupPlugin=cgroup/v1\nCgroupMountpoint={CGROUPS}\nConstrainCores=yes\nConstrainRAMSpace=yes\n"
            "AllowedRAMSpace=100\n"
        )
    for name, text in files.items():
        undo.callback((CONFIGURATION / name).unlink, missing_ok=True)
        (CONFIGURATION / name).write_text(text)


def _start(folder: Path, undo: ExitStack, name: str, *arguments: str, user: str | None = None) -> None:
    """Start a daemon in the foreground of its own session; it is stopped when the cluster is."""
    program = _program(name)
    assert program is not None
    with (folder / f"{name}.out").open("wb") as log:
        process = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=user,
            group=user,
        )
    (folder / f"{name}.pid").write_text(str(process.pid))

    def stop() -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    undo.callback(stop)


def _stop(pid: int) -> None:
    """End a process that is no child of this one."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + PATIENCE
        try:
            os.kill(pid, number)
            while time.monotonic() < end:
                os.kill(pid, 0)
                time.sleep(0.1)
        except ProcessLookupError:
            return


def _wait(folder: Path, name: str, ready: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > end:
            logs = [folder / f"{name}.out", folder / f"{name}.log", folder / "slurmd.out", folder / "slurmd.log"]
            tails = [f"{log.name}: {log.read_text(errors='replace')[-1500:]}" for log in logs if log.exists()]
            raise ClusterError("\n".join([f"{name} does not come up within {PATIENCE:g} s", *tails]))
        time.sleep(0.1)


def _cancel_all() -> None:
    """Cancel the jobs that are left, and wait for their processes."""
    _answers("scancel", "--state=PENDING", f"--user={_user()}")
    _answers("scancel", f"--user={_user()}")
    end = time.monotonic() + PATIENCE
    while _output("squeue", "--noheader").strip() and time.monotonic() < end:
        time.sleep(0.2)


def _cgroups() -> bool:
    """Whether cgroups of version 1 can be made."""
    try:
        for controller in ("memory", "freezer", "cpuset"):
            probe = CGROUPS / controller / "csd-probe"
            probe.mkdir()
            probe.rmdir()
    except OSError:
        return False
    return True


def _remove_cgroups() -> None:
    """Remove the groups that SLURM made, which are empty by now."""
    for controller in ("memory", "freezer", "cpuset", "cpuacct", "devices"):
        top = CGROUPS / controller / f"slurm_{_host()}"
        if top.is_dir():
            for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                _remove_folder(folder)
            _remove_folder(top)


def _remove_folder(folder: Path) -> None:
    """Remove a folder if it is empty."""
    try:
        folder.rmdir()
    except OSError as error:
        print(f"{folder} is left: {error.strerror}", file=sys.stderr)


def _program(name: str) -> str | None:
    """Where a program is, daemons' folders included."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")


def _call(*command: str) -> None:
    """Run a command quietly.

    Raises:
        ClusterError: if it fails, with what it said.
    """
    done = subprocess.run(
        command,
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode:
        raise ClusterError(f"{' '.join(command)} failed: {done.stdout[-2000:]}")


def _output(*command: str) -> str:
    """What a command prints, whether it fails or not."""
    return subprocess.run(command, check=False, text=True, capture_output=True, timeout=PATIENCE).stdout


def _answers(*command: str) -> bool:
    """Whether a command succeeds."""
    return subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE).returncode == 0


def _listens(port: int) -> bool:
    """Whether something on loopback takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _host() -> str:
    """The name that SLURM knows this machine by."""
    return re.split(r"\.", socket.gethostname())[0]


def _user() -> str:
    """The user's name."""
    import getpass

    return getpass.getuser()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the three commands above; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.slurm.cluster", description=__doc__)
    parser.add_argument("action", choices=("install", "run", "clean"))
    parser.add_argument("--accounting", action="store_true")
    parser.add_argument("--no-cgroups", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    try:
        if given.action == "install":
            install()
        elif given.action == "clean":
            clean()
        else:
            with cluster(given.accounting, False if given.no_cgroups else None):
                return subprocess.run(given.command, check=False).returncode
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
