"""A Slurm cluster of one node: munged, slurmctld and slurmd on loopback, in one folder."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "setpriv")

#: The node declares 8 CPUs and 32 GB, so that jobs run in parallel on any machine.
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=32000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

#: Jobs do not inherit SLURM_CONF, but srun in them needs it.
SRUN = '#!/bin/sh\nSLURM_CONF="{conf}" exec {srun} "$@"\n'


class Cluster:
    """A running cluster; commands need its environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def output_of(self, *command: str) -> str:
        """Run a Slurm command, and return what it prints, even if it fails."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout

    @property
    def is_idle(self) -> bool:
        return self.output_of("sinfo", "--noheader", "--format=%T").strip() == "idle"

    @contextmanager
    def watched(self) -> Iterator[Mapping[str, float]]:
        """Record the peak memory of each job, the sum of its processes, in 10^6 bytes."""
        peaks: Counter[str] = Counter()
        done = Event()
        watch = Thread(target=self._watch, args=(peaks, done))
        watch.start()
        try:
            yield peaks
        finally:
            done.set()
            watch.join()

    def _watch(self, peaks: Counter[str], done: Event) -> None:
        while not done.wait(0.2):
            now: Counter[str] = Counter()
            for process in self.processes():
                with suppress(psutil.Error):
                    if job := process.environ().get("SLURM_JOB_ID"):
                        now[job] += process.memory_full_info().pss / 1e6
            peaks |= now

    def processes(self) -> Iterator[psutil.Process]:
        """Return the processes of this cluster: daemons, jobs, and the steps of Slurm."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if self._is_of(process):
                    yield process

    def _is_of(self, process: psutil.Process) -> bool:
        # slurmstepd overwrites its environment with its title; its socket is in the folder.
        if process.name() == "slurmstepd":
            sockets = process.net_connections("unix")
            return any(str(socket.laddr).startswith(str(self.folder)) for socket in sockets)
        return str(self.folder) in process.environ().get("PATH", "")


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Start a cluster; end all its daemons and jobs in any case."""
    cluster = Cluster(folder)
    configure(folder)
    with ExitStack() as daemons:
        try:
            for command, is_ready in daemons_of(cluster):
                daemons.enter_context(start(cluster, *command))
                wait_for(is_ready, cluster)
            yield cluster
        finally:
            end(cluster)


def daemons_of(cluster: Cluster) -> Iterator[tuple[list[str], Callable[[], bool]]]:
    """Return the command of each daemon, and a function that returns whether it is ready."""
    folder = cluster.folder
    files = {"socket": "munge.socket", "key-file": "munge.key", "log-file": "munged.log"}
    files |= {"pid-file": "munged.pid", "seed-file": "munged.seed"}
    munge = [f"--{option}={folder / name}" for option, name in files.items()]
    # --force: munged may not trust the folder, which only this user can access.
    yield ["munged", "--foreground", "--force", *munge], (folder / "munge.socket").exists
    yield ["slurmctld", "-D"], lambda: "UP" in cluster.output_of("scontrol", "ping")
    yield ["slurmd", "-D", "-N", host()], lambda: cluster.is_idle


def configure(folder: Path) -> None:
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    text = CONFIGURATION.format(
        host=host(), ports=free_ports(2), folder=folder, user=psutil.Process().username()
    )
    (folder / "slurm.conf").write_text(text)
    srun = folder / "bin" / "srun"
    srun.write_text(SRUN.format(conf=folder / "slurm.conf", srun=shutil.which("srun")))
    srun.chmod(0o755)


def host() -> str:
    return socket.gethostname().split(".")[0]


def free_ports(count: int) -> list[int]:
    with ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def start(cluster: Cluster, *command: str) -> subprocess.Popen[bytes]:
    """Start a daemon that ends with this process at the latest."""
    with (cluster.folder / f"{command[0]}.out").open("wb") as out:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            env=cluster.environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def wait_for(condition: Callable[[], bool], cluster: Cluster, limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            outputs = (path.read_text(errors="replace") for path in cluster.folder.glob("*.out"))
            raise TimeoutError(
                "the cluster is not ready; output of its daemons:\n" + "\n".join(outputs)
            )
        time.sleep(0.2)


def end(cluster: Cluster) -> None:
    """End the jobs, then the daemons: first by SIGTERM, then by SIGKILL."""
    if jobs := re.findall(r"\d+", cluster.output_of("squeue", "--noheader", "--format=%i")):
        cluster.output_of("scancel", *jobs)
        with suppress(TimeoutError):
            wait_for(lambda: not cluster.output_of("squeue", "--noheader"), cluster, limit_s=10)
    for end_one in (psutil.Process.terminate, psutil.Process.kill):
        left = [*cluster.processes()]
        for process in left:
            with suppress(psutil.Error):
                end_one(process)
        psutil.wait_procs(left, timeout=10)
