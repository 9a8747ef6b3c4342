"""A Slurm cluster of a controller and two compute daemons on loopback: the scores of one piece, also after a kill -9.

    python benchmarks/cluster/slurm.py [engine=pocketsphinx ...]

Starts munged, slurmctld and two slurmd with a configuration of their own and ends them by process id. Needs
`pip install 'whisperlab[slurm]'`, psutil, and as root Debian's slurmctld, slurmd, munge and slurm-client.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from trial import part_under_way, programs, stop_by_terminating, trial, worker_of_part

START_SECONDS = 120
CONFIGURATION = """
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket,cred_expire=5
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool-%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd-%n.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd-%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=2
MpiDefault=none
NodeName=one NodeAddr=127.0.0.1 Port={first} CPUs=1 State=UNKNOWN
NodeName=two NodeAddr=127.0.0.1 Port={second} CPUs=1 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count: int) -> list[int]:
    """Returns free ports of loopback."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def cluster() -> Iterator[Mapping[str, str]]:
    """Yields the environment of a submitter; ends every daemon."""
    controller, first, second = free_ports(3)
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        place, daemons = Path(folder), []
        (place / "state").mkdir()
        key = place / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        configuration = place / "slurm.conf"
        configuration.write_text(
            CONFIGURATION.format(
                host=socket.gethostname(),
                place=place,
                controller=controller,
                first=first,
                second=second,
            ),
            encoding="utf-8",
        )
        environment = {**os.environ, "SLURM_CONF": str(configuration)}

        def start(*command: str) -> None:
            with (place / f"{len(daemons)}.log").open("wb") as log:
                daemons.append(
                    subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
                )

        try:
            start(
                "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={place}/munge.socket",
                f"--pid-file={place}/munge.pid", f"--log-file={place}/munge.log", f"--seed-file={place}/munge.seed",
            )  # fmt: skip
            wait_for(lambda: (place / "munge.socket").exists(), "munged")
            start("slurmctld", "-D", "-f", str(configuration))
            for name in ("one", "two"):
                start("slurmd", "-D", "-N", name, "-f", str(configuration))
            wait_for(lambda: idle_nodes(environment) == 2, "two idle nodes")
            yield environment
        finally:
            for one in reversed(daemons):
                one.terminate()
                try:
                    one.wait(20)
                except subprocess.TimeoutExpired:
                    one.kill()
                    one.wait()


def idle_nodes(environment: Mapping[str, str]) -> int:
    """Returns how many nodes are ready for work."""
    asked = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--format=%T"],
        env=dict(environment),
        capture_output=True,
        text=True,
    )
    return asked.stdout.split().count("idle")


def wait_for(there: object, what: str) -> None:
    """Returns when ``there()`` is true."""
    assert callable(there)
    deadline = time.monotonic() + START_SECONDS
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"expected {what} within {START_SECONDS} s")
        time.sleep(0.1)


def main() -> None:
    """Starts the cluster, runs the trial on it, stops it."""
    os.chdir(Path(__file__).parents[2])
    stop_by_terminating()
    programs("munged", "slurmctld", "slurmd", "srun")
    if find_spec("submitit") is None:
        sys.exit("skipped: submitit not installed; run: pip install 'whisperlab[slurm]'")
    started = time.perf_counter()
    with cluster() as environment:
        print(f"cluster up after {time.perf_counter() - started:.1f} s", file=sys.stderr)
        trial(
            "Slurm, 2 nodes",
            sys.argv[1:],
            ["executor=slurm", "executor.poll_seconds=1"],
            part_under_way,
            worker_of_part,
            environment,
        )


if __name__ == "__main__":
    main()
