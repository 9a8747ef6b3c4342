"""Two servers against one, behind nginx and as replicas of Ray Serve: what more do they answer, what does a lost one lose?

    python benchmarks/cluster/servers.py nginx   # needs nginx; no root
    python benchmarks/cluster/servers.py ray     # needs pip install 'whisperlab[ray-serve]'

The set-ups of docs/scale.md on free loopback ports, started and ended by the command. The replay engine takes a
second for each request, one at a time, so that servers, proxy and queues are measured and no model. A server
behind nginx leaves by SIGTERM, a replica of Ray Serve by kill -9. Prints a table.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, sleep

import httpx
import psutil
from trial import programs, stop_by_terminating

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT / "tests")  # not this folder: there is a ray.py here
from nginx_proxy import free_port, nginx, served_by  # noqa: E402 - set up as the tests do
from serve_calls import ROUTE, wav  # noqa: E402
from serve_process import running_server  # noqa: E402

SECONDS = 1.0
CALLERS = 8
REQUESTS = 48
LEAVES_AFTER = 0.3
"""Share of the ideal time after which one of two leaves."""
START_SECONDS = 180.0
OVERRIDES = (
    "engine=replay", "engine.default_text=one", f"engine.seconds_per_utterance={SECONDS}",
    "serve.batch.mode=off", "serve.limits.decoders=1",
)  # fmt: skip

RAY = """
import signal, sys
import ray
from ray import serve
ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
from ray_serve import app
serve.run(app)
print("ready", flush=True)
signal.pause()
"""


def ask(url: str, _: int) -> int:
    """Returns the status of one transcription; 0 where the connection broke."""
    try:
        return httpx.post(
            url + ROUTE, data={"model": "whisper-1"}, files={"file": wav(1)}, timeout=300
        ).status_code
    except httpx.TransportError:
        return 0


def balanced(text: str, ports: list[int]) -> str:
    """Returns nginx's configuration as docs/scale.md has it for several servers."""
    text = served_by(text, *ports).replace("keepalive 32;", "least_conn; keepalive 32;")
    return text.replace("proxy_next_upstream off;", "proxy_next_upstream error;")


@contextmanager
def behind_nginx(count: int, place: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yields the URL of ``count`` servers, and what lets one leave."""
    with ExitStack() as stack:
        servers = []
        for number in range(count):
            folder = place / str(number)
            folder.mkdir()
            options = (*OVERRIDES, "serve.trusted_proxies=[127.0.0.1]")
            servers.append(stack.enter_context(running_server(folder, *options)))
        ports = [server.port for server in servers]
        url = stack.enter_context(nginx(place, partial(balanced, ports=ports)))
        yield url, partial(servers[0].process.send_signal, signal.SIGTERM)


@contextmanager
def by_ray(count: int, place: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yields the URL of ``count`` replicas, and what kills one."""
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "docs" / "deploy")]),
        "RAY_USAGE_STATS_ENABLED": "0",
        "WHISPERLAB_SERVE": " ".join(OVERRIDES),
        "WHISPERLAB_REPLICAS": str(count),
    }
    with (
        (place / "ray.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-c", RAY, str(port)],
            stdout=subprocess.PIPE, stderr=log, env=environment, start_new_session=True,
        ) as head,
    ):  # fmt: skip
        started = psutil.Process(head.pid)
        try:
            assert head.stdout is not None
            assert head.stdout.readline() == b"ready\n", (place / "ray.log").read_text()
            url = f"http://127.0.0.1:{port}"
            until_ready(url)

            def kill_one() -> None:
                replicas = [
                    one
                    for one in started.children(recursive=True)
                    if one.name().startswith("ray::ServeRepl")
                ]
                assert len(replicas) == count, replicas
                replicas[0].kill()

            yield url, kill_one
        finally:
            family = [started, *started.children(recursive=True)]
            head.terminate()
            psutil.wait_procs(family, 30)
            for one in family:
                if one.is_running():
                    one.kill()


def until_ready(url: str) -> None:
    """Waits until a clip has been transcribed there."""
    deadline = perf_counter() + START_SECONDS
    while True:
        try:
            if httpx.get(f"{url}/health/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        assert perf_counter() < deadline, "the servers do not become ready"
        sleep(0.5)


def measure(way: str, count: int, *, leaves: bool) -> str:
    """Returns the row of ``count`` servers, of which one may leave in the middle."""
    setup = behind_nginx if way == "nginx" else by_ray
    with tempfile.TemporaryDirectory() as place, setup(count, Path(place)) as (url, leave):
        with ThreadPoolExecutor(CALLERS) as callers:
            started = perf_counter()
            answers = [callers.submit(ask, url, number) for number in range(REQUESTS)]
            if leaves:
                sleep(LEAVES_AFTER * REQUESTS * SECONDS / count)
                leave()
            statuses = Counter(answer.result() for answer in answers)
            seconds = perf_counter() - started
        if leaves:
            until_ready(url)
            assert ask(url, 0) == httpx.codes.OK, "no answer after one has left"
    good = statuses.pop(httpx.codes.OK, 0)
    lost = ", ".join(f"{number} x {status or 'broken'}" for status, number in statuses.items())
    ideal = "–" if leaves else f"{100 * REQUESTS * SECONDS / count / seconds:.0f} %"
    name = f"{count}, one leaves" if leaves else str(count)
    return f"| {way} | {name} | {good} | {lost or '0'} | {seconds:.1f} | {good / seconds:.2f} | {ideal} |"


def main() -> None:
    """Prints the table."""
    if len(sys.argv) != 2 or sys.argv[1] not in ("nginx", "ray"):
        sys.exit(f"usage: python {sys.argv[0]} nginx|ray")
    way = sys.argv[1]
    stop_by_terminating()
    if way == "nginx":
        os.environ["PATH"] += os.pathsep + "/usr/sbin"
        programs("nginx")
    elif find_spec("ray") is None:
        sys.exit("skipped: needs pip install 'whisperlab[ray-serve]'")
    print(
        "| front | servers | 200 | other | s | requests/s | of ideal |\n|---|---|---|---|---|---|---|"
    )
    for count, leaves in ((1, False), (2, False), (2, True)):
        print(measure(way, count, leaves=leaves), flush=True)


if __name__ == "__main__":
    main()
