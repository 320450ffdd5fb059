"""Slurm of two nodes on loopback: munged, slurmctld and two slurmd in a temporary folder, without accounting."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
PACKAGES = "slurm-wlm and munge"

CONFIG = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=2
SlurmdTimeout=15
SchedulerParameters=sched_interval=1,bf_interval=1
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=1000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=n1,n2 MaxTime=00:02:00 State=UP
"""


def missing() -> str | None:
    """Why the daemons cannot be started here, None if they can."""
    search = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])
    absent = [program for program in PROGRAMS if shutil.which(program, path=search) is None]
    if absent:
        return f"needs the packages {PACKAGES} ({', '.join(absent)} not there)"
    return None if os.geteuid() == 0 else "needs root, to start Slurm's daemons"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass
class Slurm:
    """The running daemons. environment: of a process that uses them."""

    folder: Path
    environment: dict[str, str]

    def call(self, *words: str) -> str:
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout

    def jobs(self, *states: str) -> list[str]:
        """Ids of jobs, of elements of arrays one by one, in these states, or in any."""
        chosen = ",".join(states) or "all"
        return self.call("squeue", "--noheader", "--array", f"--states={chosen}", "--format=%i").split()

    def start_node(self, name: str) -> None:
        self.call("slurmd", "-N", name)

    def end_node(self, name: str) -> None:
        """End a node as a power cut does: its daemon and all that it runs."""
        daemon = int((self.folder / f"slurmd-{name}.pid").read_text())
        for process in [daemon, *with_variable(f"SLURMD_NODENAME={name}")]:
            kill(process)

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.log"))


def with_variable(text: str) -> Iterator[int]:
    """Processes that have a variable in their environment."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if text.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)


def kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


@contextlib.contextmanager
def slurm_on_loopback(folder: Path) -> Iterator[Slurm]:
    """Start the daemons, wait until both nodes are idle, and kill them at the end with all that they run."""
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # munged wants its socket reachable
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=socket.gethostname(), ports=free_ports(3), folder=folder))
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])
    slurm = Slurm(folder, {**os.environ, "PATH": path, "SLURM_CONF": str(config)})
    names = {name: f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")}
    try:
        slurm.call("munged", f"--socket={folder}/munge.socket", *names.values())
        slurm.call("slurmctld", "-c")
        for name in ("n1", "n2"):
            slurm.start_node(name)
        until = time.monotonic() + 30
        while slurm.call("sinfo", "--noheader", "--Node", "--partition=main", "--format=%t").split() != ["idle"] * 2:
            assert time.monotonic() < until, slurm.log()
            time.sleep(0.2)
        yield slurm
    finally:
        pids = [int(path.read_text()) for path in folder.glob("*.pid") if path.read_text().strip()]
        steps = list(with_variable(f"SLURM_CONF={config}"))
        for process in {*pids, *steps} - {os.getpid()}:
            kill(process)
