"""A Ray cluster of a head and two worker nodes on loopback: the scores of one piece, also after a kill -9.

    python benchmarks/cluster/ray.py [engine=pocketsphinx ...]

Starts the nodes on 127.0.0.10, .11 and .12 with a token of their own and ends them by process group. The
head has no core to give, the two others one each. Needs `pip install 'whisperlab[ray]'` and psutil.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil
from trial import lines, stop_by_terminating, trial

HEAD, NODES = "127.0.0.10", ("127.0.0.11", "127.0.0.12")
PORT = 6399
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_health_check_initial_delay_ms": "5000",
}
TRIES = 5
START_SECONDS = 90
COUNT = (
    f"import ray; ray.init({f'{HEAD}:{PORT}'!r}, logging_level='ERROR', log_to_driver=False); "
    "print(sum(one['Alive'] for one in ray.nodes()))"
)


def join(
    nodes: list[subprocess.Popen[bytes]],
    place: Path,
    environment: Mapping[str, str],
    *options: str,
) -> None:
    """Starts a node in a process group of its own and returns when the cluster has it.

    Ray gives a node 30 s to start; a busy machine may need a second try.
    """
    wanted, said = len(nodes) + 1, ""
    for attempt in range(TRIES):
        with (place / f"node-{wanted}-{attempt}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *options],
                env=dict(environment),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=place,
            )
        nodes.append(process)
        while process.poll() is None:
            try:
                asked = subprocess.run(
                    [sys.executable, "-c", COUNT],
                    env=dict(environment),
                    capture_output=True,
                    text=True,
                    cwd="/",
                    timeout=START_SECONDS,
                )
            except subprocess.TimeoutExpired:
                break
            said = asked.stdout + asked.stderr
            if asked.returncode == 0 and int(asked.stdout.split()[-1]) >= wanted:
                return
            time.sleep(1)
        end(nodes.pop())
        print(f"node {wanted} did not start, once more", file=sys.stderr)
    raise TimeoutError(f"node {wanted} did not start in {TRIES} tries: {said}")


def end(node: subprocess.Popen[bytes]) -> None:
    """Ends a node with everything that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGTERM)
    try:
        node.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()


@contextmanager
def cluster() -> Iterator[Mapping[str, str]]:
    """Yields the environment of a driver; ends every node."""
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        place = Path(folder)
        nodes: list[subprocess.Popen[bytes]] = []
        token = place / "token"
        token.write_text(secrets.token_hex(32), encoding="utf-8")
        environment = {
            **os.environ, **QUIET, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        try:
            head = ("--head", f"--node-ip-address={HEAD}", f"--port={PORT}", "--num-cpus=0")
            quiet = ("--disable-usage-stats", "--include-dashboard=false", f"--temp-dir={place}/s")
            join(nodes, place, environment, *head, *quiet)
            for address in NODES:  # one after another: two at once can time out
                own = (f"--node-ip-address={address}", f"--address={HEAD}:{PORT}", "--num-cpus=1")
                join(nodes, place, environment, *own)
            yield environment
        finally:
            for one in reversed(nodes):
                end(one)


def actor(_: Path) -> psutil.Process:
    """Returns the process of one of the two actors."""
    return next(
        one
        for one in psutil.process_iter(["cmdline"])
        if "ray::Hand" in " ".join(one.info["cmdline"] or ())
    )


def main() -> None:
    """Starts the cluster, runs the trial on it, stops it."""
    os.chdir(Path(__file__).parents[2])
    stop_by_terminating()
    sys.path.pop(0)  # this file is called ray.py
    if find_spec("ray") is None:
        sys.exit("skipped: ray not installed; run: pip install 'whisperlab[ray]'")
    started = time.perf_counter()
    with cluster() as environment:
        print(f"cluster up after {time.perf_counter() - started:.0f} s", file=sys.stderr)
        trial(
            "Ray, 2 nodes",
            sys.argv[1:],
            ["executor=ray", f"executor.address={HEAD}:{PORT}"],
            ready=lambda folder: lines([folder / "ledger.jsonl"]) >= 4,
            victim=actor,
            environment=environment,
        )


if __name__ == "__main__":
    main()
