"""A private SLURM cluster of two nodes on one machine, one of them with a GPU in name, for as long as a block runs.

It needs the distribution's packages (slurm-wlm, munge); no systemd, no cgroups, no data base, root or not. Memory that
a job asks for is counted, not enforced.
"""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")
PORTS = range(17800, 17803)
PLACES = ("/usr/local/sbin", "/usr/sbin", "/sbin")

CONFIG = """\
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/run/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1
EnforcePartLimits=ALL
JobRequeue=0
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=20
KillWait=5
MinJobAge=3600
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=12000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=12000 Gres=gpu:h100:1 State=UNKNOWN
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=60 State=UP
"""


def path_of(program: str) -> str | None:
    """Where a program is, also below the folders that only root has on its PATH."""
    folders = [*os.environ["PATH"].split(os.pathsep), *PLACES]
    return next((str(Path(folder, program)) for folder in folders if Path(folder, program).is_file()), None)


def lacking() -> str:
    """Why there can be no cluster here; nothing if there can. Absent packages are installed, if that is allowed."""
    if all(map(path_of, PROGRAMS)):
        return ""
    apt = path_of("apt-get")
    if apt is None or os.geteuid() != 0:
        return f"SLURM is not installed ({', '.join(PACKAGES)}), and only root with apt-get could do it"
    quiet = {"DEBIAN_FRONTEND": "noninteractive", **os.environ}
    for command in (["update", "-q"], ["install", "-qy", "--no-install-recommends", *PACKAGES]):
        found = subprocess.run([apt, *command], capture_output=True, text=True, env=quiet)
    return "" if found.returncode == 0 else f"SLURM could not be installed: {found.stderr.strip().splitlines()[-1:]}"


@dataclass
class Cluster:
    """A running cluster.

    Attributes:
        folder: of its state, logs and sockets.
    """

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which its commands find it."""
        # A job's step is started by a Snakemake that has put SLURM's variables away: the first srun on its PATH knows
        # the cluster nevertheless.
        places = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"], *PLACES])
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": places}

    def run(self, *command: str) -> str:
        """What a command of SLURM prints."""
        return subprocess.run(command, capture_output=True, text=True, env=self.environment, check=True).stdout

    def start_node(self, name: str) -> None:
        subprocess.run([str(path_of("slurmd")), "-N", name], env=self.environment, check=True)

    def kill_node(self, name: str) -> None:
        """The node dies with the jobs on it."""
        jobs = self.run("squeue", "--noheader", "--nodelist", name, "--format", "%i").split()
        of_jobs = re.compile(rf"slurmstepd: \[({'|'.join(jobs)})\.|job0*({'|'.join(jobs)})/slurm_script")
        found = [one for one in psutil.process_iter(["cmdline"]) if of_jobs.search(" ".join(one.info["cmdline"] or []))]
        os.kill(int((self.folder / "run" / f"slurmd-{name}.pid").read_text()), signal.SIGKILL)
        for process in [child for one in found for child in one.children(recursive=True)] + found:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def wait_for(self, states: dict[str, str], seconds: float = 60) -> None:
        """Until the nodes have these states.

        Raises:
            TimeoutError: they do not get them.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = dict(line.split() for line in self.run("sinfo", "-hN", "-o", "%N %T").splitlines())
            if all(found.get(node, "").startswith(state) for node, state in states.items()):
                return
            time.sleep(0.5)
        raise TimeoutError(f"the nodes are {found}, not {states}")

    def jobs(self) -> list[dict[str, str]]:
        """SLURM's own records of all jobs: JobId, JobState, NodeList, TRES, TresPerJob, WorkDir, …"""
        lines = self.run("scontrol", "show", "job", "--oneliner").splitlines()
        return [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster with both nodes idle; it is gone after the block.

    Raises:
        RuntimeError: another one has its ports, as what a killed trial left.
    """
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                raise RuntimeError(f"port {port} is taken, by a cluster that is left of a killed trial? (pkill slurm)")
    with tempfile.TemporaryDirectory(prefix="slurm-") as place:
        folder = Path(place)
        for name in ("run", "state", "spool/n1", "spool/n2", "log", "bin"):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o755)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        host = socket.gethostname().split(".")[0]
        (folder / "slurm.conf").write_text(CONFIG.format(host=host, user=user, folder=folder, ports=list(PORTS)))
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        (folder / "gres.conf").write_text("AutoDetect=off\nNodeName=n2 Name=gpu Type=h100 File=/dev/null\n")
        srun = folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {path_of("srun")} "$@"\n')
        srun.chmod(0o755)
        found = Cluster(folder)
        try:
            _start(found)
            yield found
        finally:
            _stop(folder)


def _start(found: Cluster) -> None:
    run = found.folder / "run"
    key = run / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    options = {
        **{"key-file": key, "socket": run / "munge.socket", "pid-file": run / "munged.pid"},
        **{"log-file": found.folder / "log" / "munged.log", "seed-file": run / "munged.seed"},
    }
    subprocess.run(
        [str(path_of("munged")), "--force", *(f"--{name}={path}" for name, path in options.items())], check=True
    )
    subprocess.run([str(path_of("slurmctld"))], env=found.environment, check=True)
    for node in ("n1", "n2"):
        found.start_node(node)
    found.wait_for({"n1": "idle", "n2": "idle"})


def _stop(folder: Path) -> None:
    for file in sorted((folder / "run").glob("*.pid"), reverse=True):  # the nodes first
        if pid := file.read_text().strip():
            subprocess.run(["kill", "-9", pid], check=False, capture_output=True)
