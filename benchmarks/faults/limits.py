"""What the server does at the end of its means: no files left, an hour of sound, slow clients, SIGTERM.

python benchmarks/faults/limits.py files     # more connections than open files are allowed
python benchmarks/faults/limits.py bytes     # more bytes of uploads at a time than may be held
python benchmarks/faults/limits.py hour      # memory of every process over recordings of one hour
python benchmarks/faults/limits.py slow      # 200 slow clients; what a good one notices
python benchmarks/faults/limits.py drain     # SIGTERM: 20 in the engine, 20 queued, a stalled upload
python benchmarks/faults/limits.py leave     # a client leaves at six points: seconds to a free place
python benchmarks/faults/limits.py late      # a sound takes longer than it may: seconds to its 504 and to a free engine
"""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import socket
import statistics
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import httpx
from hostile import MULTIPART, post, status_of
from load import REAL
from served import FIELDS, ROUTE, Server, header, look, quantile, row, server, tone

FILES = 128
CROWD = 300
SLOW_CLIENTS = 200
HOURS = 3
TOGETHER = 20
TRIALS = 5
LIMIT_SECONDS = 1.0
CLIENT_SECONDS = 120.0


def ask(running: Server, sound: bytes, **fields: str) -> httpx.Response:
    """Returns the answer to one good request."""
    return httpx.post(
        running.base_url + ROUTE, data={**FIELDS, **fields}, files={"file": sound}, timeout=CLIENT_SECONDS
    )  # fmt: skip


def form(sound: bytes, *fields: tuple[str, str]) -> bytes:
    """Returns a whole request as it goes over the wire."""
    body = b"".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in (("model", "whisper-1"), *fields)
    )
    body += b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return post(body + sound + b"\r\n--b--\r\n", MULTIPART)


def files() -> None:
    """Opens more connections than the server may have files; counts who is heard and what comes after."""
    shell = ["sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh"]
    with server(before=shell) as running:
        before = look(running).files
        outcomes: Counter[str] = Counter()
        with contextlib.ExitStack() as stack:
            crowd = []
            for _ in range(CROWD):
                try:
                    crowd.append(stack.enter_context(socket.create_connection(running.address, 5)))
                except OSError:
                    outcomes["not connected"] += 1
            alive = running.process.poll() is None
            for one in crowd:
                one.settimeout(0.2)
                with contextlib.suppress(OSError):
                    one.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    received = one.recv(1 << 12)
                    outcomes[str(status_of(received))] += 1
                    continue
                outcomes["waits"] += 1
        started = perf_counter()
        answered = ask(running, tone())
        took = perf_counter() - started
        time.sleep(2)
        after = look(running).files
    header("open files allowed", "connections", "answers", "alive", "next good request", "after s", "files before / after")  # fmt: skip
    row(FILES, CROWD, dict(outcomes), alive, answered.status_code, f"{took:.1f}", f"{before} / {after}")  # fmt: skip


def bytes_in_flight() -> None:
    """Holds uploads open until the budget of bytes is full."""
    with server(
        "serve.limits.bytes_in_flight=8388608", "serve.limits.max_file_bytes=4194304"
    ) as running:
        whole = form(bytes(3 << 20))
        outcomes: Counter[str] = Counter()
        with contextlib.ExitStack() as stack:
            for _ in range(8):
                one = stack.enter_context(socket.create_connection(running.address, 5))
                one.settimeout(1.0)
                try:
                    one.sendall(whole[:-100])
                    outcomes[str(status_of(one.recv(1 << 12)))] += 1
                except TimeoutError:
                    outcomes["held"] += 1
                except OSError:
                    outcomes["refused while sending"] += 1
            small = ask(running, tone(0.2))
        time.sleep(0.5)
        after = ask(running, tone())
    header(
        "budget MiB",
        "uploads of 3 MiB",
        "outcomes",
        "a small one meanwhile",
        "a good one afterwards",
    )
    row(8, 8, dict(outcomes), small.status_code, after.status_code)


def hour(count: int) -> None:
    """Sends recordings of one hour; prints the memory of the front, a decoder and the worker."""
    sound = tone(3600, kind="FLAC")
    header("hours sent", "front MiB", "all processes MiB", "status", "seconds")
    with server(
        "serve.limits.decoders=1", f"serve.limits.max_file_bytes={len(sound) + 1}"
    ) as running:
        for number in range(count + 1):
            seen = look(running)
            mebibytes = f"{seen.front_bytes / 2**20:.0f}", f"{seen.family_bytes / 2**20:.0f}"
            if number == count:
                row(number, *mebibytes, "", "")
                break
            started = perf_counter()
            answered = ask(running, sound)
            row(number, *mebibytes, answered.status_code, f"{perf_counter() - started:.1f}")


def slow(clients: int) -> None:
    """Keeps slow clients at the door, one byte a second each; measures good requests beside them."""
    took: list[float] = []
    with server("serve.limits.header_seconds=5", "serve.limits.idle_seconds=5") as running:
        header("slow clients", "good requests", "200", "p50 / p99 s", "slow ones closed after 8 s")
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(socket.create_connection(running.address)) for _ in range(clients)]  # fmt: skip
            beginnings = (b"GET /health HTTP/1.1\r\nX-A: ", form(tone())[:300], b"")
            for number, one in enumerate(crowd):
                one.sendall(beginnings[number % len(beginnings)])
            good = 0
            until = perf_counter() + 8
            while perf_counter() < until:
                for one in crowd:
                    with contextlib.suppress(OSError):
                        one.send(b"a")
                for _ in range(5):
                    started = perf_counter()
                    good += ask(running, tone()).status_code == 200
                    took.append(perf_counter() - started)
                time.sleep(0.5)
            closed = sum(_is_closed(one) for one in crowd)
        row(
            clients,
            len(took),
            good,
            f"{quantile(took, 0.5):.3f} / {quantile(took, 0.99):.3f}",
            closed,
        )


def _is_closed(one: socket.socket) -> bool:
    one.settimeout(0.05)
    try:
        while one.recv(1 << 12):
            continue
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def drain() -> None:
    """Stops a server that is full: who was accepted is answered."""
    with server(
        "engine.seconds_per_utterance=0.1", f"serve.batch.max_size={TOGETHER}", "serve.batch.mode=on",
        "serve.batch.window_ms=2000", "serve.limits.queue_size=64",
    ) as running, ThreadPoolExecutor(2 * TOGETHER) as callers:  # fmt: skip
        asked = [callers.submit(ask, running, tone(hz=200 + n)) for n in range(TOGETHER)]
        _await(running, f'in_engine{{configuration="default"}} {TOGETHER}.0')
        asked += [callers.submit(ask, running, tone(hz=400 + n)) for n in range(TOGETHER)]
        _await(running, f'queue_depth{{configuration="default"}} {TOGETHER}.0')
        with socket.create_connection(running.address) as stalled:
            stalled.sendall(form(tone())[:-2000])
            _await(running, f"requests_in_flight {2 * TOGETHER + 1}.0")
            running.process.send_signal(signal.SIGTERM)
            started = perf_counter()
            stalled.settimeout(CLIENT_SECONDS)
            given_up = status_of(stalled.recv(1 << 12))
        answers = Counter(str(one.result().status_code) for one in asked)
        code = running.process.wait(60)
        took = perf_counter() - started
    header(
        "in the engine", "queued", "answers", "the stalled upload", "exit code", "seconds to exit"
    )
    row(TOGETHER, TOGETHER, dict(answers), given_up, code, f"{took:.1f}")


def _await(running: Server, shown: str) -> None:
    until = perf_counter() + CLIENT_SECONDS
    while f"whisperlab_{shown}" not in (text := httpx.get(f"{running.base_url}/metrics").text):
        if perf_counter() > until:
            raise SystemExit(f"waited in vain for {shown} in\n{text}")
        time.sleep(0.01)


def leave(trials: int) -> None:
    """Leaves at six points of a request; prints how soon its place is free again."""
    with server(
        "engine.seconds_per_utterance=3", "serve.batch.mode=off", "serve.limits.decoders=1"
    ) as running:
        whole, long = form(tone()), form(tone(1800, kind="FLAC"))
        points: dict[str, tuple[bytes, str]] = {
            "before the body": (whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", "requests_in_flight 1.0"),
            "in the body": (whole[:-4000], "requests_in_flight 1.0"),
            "while its sound is decoded": (long, 'decoders{state="busy"} 1.0'),
            "in the queue": (whole, 'queue_depth{configuration="default"} 1.0'),
            "in the engine": (whole, 'in_engine{configuration="default"} 1.0'),
            "in the stream": (form(tone(), ("stream", "true")), 'in_engine{configuration="default"} 1.0'),
        }  # fmt: skip
        header("the client leaves", "trials", "median s until its place is free", "most")
        for point, (sent, arrived) in points.items():
            took = [_leave_once(running, point, sent, arrived) for _ in range(trials)]
            row(point, trials, f"{statistics.median(took):.3f}", f"{max(took):.3f}")


def _leave_once(running: Server, point: str, sent: bytes, arrived: str) -> float:
    _await(running, "requests_in_flight 0.0")
    _await(running, 'decoders{state="busy"} 0.0')
    with contextlib.ExitStack() as stack:
        in_front = point == "in the queue"
        if in_front:
            callers = stack.enter_context(ThreadPoolExecutor(1))
            callers.submit(ask, running, tone(hz=300))
            _await(running, 'in_engine{configuration="default"} 1.0')
        with socket.create_connection(running.address) as leaving:
            leaving.sendall(sent)
            _await(running, arrived)
        started = perf_counter()
        _await(running, "requests_in_flight 1.0" if in_front else "requests_in_flight 0.0")
        _await(running, 'queue_depth{configuration="default"} 0.0')
        if not in_front:
            _await(running, 'in_engine{configuration="default"} 0.0')
        return perf_counter() - started


def late(trials: int) -> None:
    """Lets sounds take longer than a second; prints how soon behind it they are refused and the engine is free."""
    header("engine", "sound", "trials", "answers", "median / most s behind the limit", "until the engine is free", "the next good one")  # fmt: skip
    for name, long, overrides in (
        ("replay", tone(20), ("engine.seconds_per_audio_second=1",)),
        ("whisperlab-digits", tone(1800, kind="FLAC"), REAL),
    ):
        with server(*overrides, f"serve.limits.inference_seconds={LIMIT_SECONDS}") as running:
            ask(running, tone())  # the first one may wait for memory
            answers: Counter[str] = Counter()
            behind, free = [], []
            for _ in range(trials):
                started = perf_counter()
                answered = ask(running, long)
                took = perf_counter() - started
                answers[f"{answered.status_code} {answered.json()['error']['code']}"] += 1
                before = sum(
                    map(
                        float,
                        re.findall(
                            r"\b(?:decode|preprocess|queue);dur=([\d.]+)",
                            answered.headers["server-timing"],
                        ),
                    )
                )
                behind.append(took - before / 1000 - LIMIT_SECONDS)  # before: decoding, waiting
                started = perf_counter()
                _await(running, 'in_engine{configuration="default"} 0.0')
                free.append(perf_counter() - started)
            again = ask(running, tone()).status_code
        shown = (f"{statistics.median(one):.2f} / {max(one):.2f}" for one in (behind, free))
        row(name, "20 s" if name == "replay" else "30 min", trials, dict(answers), *shown, again)


def main() -> None:
    """Runs one campaign."""
    campaigns: dict[str, Callable[[], None]] = {
        "files": files,
        "bytes": bytes_in_flight,
        "hour": lambda: hour(given.count or HOURS),
        "slow": lambda: slow(given.count or SLOW_CLIENTS),
        "drain": drain,
        "leave": lambda: leave(given.count or TRIALS),
        "late": lambda: late(given.count or TRIALS),
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("campaign", choices=campaigns)
    parser.add_argument("--count", type=int, help="of hours, slow clients or trials")
    given = parser.parse_args()
    campaigns[given.campaign]()


if __name__ == "__main__":
    main()
