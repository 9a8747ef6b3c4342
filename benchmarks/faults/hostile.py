"""Requests that mean harm, among good ones: what they leave behind, and whether one gets a 5xx.

    python benchmarks/faults/hostile.py mixed   --requests 10000 --data ../shared/data   # memory, threads, files
    python benchmarks/faults/hostile.py mutated --requests 10000                         # statuses
    python benchmarks/faults/hostile.py files   --data ../shared/data                    # verdicts, seconds, memory

``mixed``: of ten requests five are good (each way of sending a sound, streams too); the others are a
hostile file, a broken form, broken JSON, one of the mutated and one that leaves in the middle.
``mutated``: well-formed requests with up to six random edits each, over bare sockets.
``files``: every file of ``badaudio/`` and ``weird/``, decoded in a process of its own, then sent as a form and as
JSON; memory is the most of any one process above what it had before its first file.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import socket
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import httpx
import numpy as np
from served import (
    CHECKOUT,
    FIELDS,
    ROUTE,
    SAID,
    Highest,
    Look,
    Server,
    header,
    look,
    row,
    server,
    tone,
)  # fmt: skip

sys.path.append(str(CHECKOUT / "tests"))
from hostile_files import Case, cases, decoded

SEED = 20261124
CONCURRENCY = 8
SETTLED = 1000
"""Requests after which memory is judged: pools, caches and code are warm by then."""
LOOKS = 10
PATIENCE_SECONDS = 10.0
QUICK = ("serve.limits.header_seconds=0.5", "serve.limits.first_byte_seconds=0.5", "serve.limits.idle_seconds=0.5")  # fmt: skip
"""Cut requests wait for the rest of themselves: not for as long as in earnest."""

MULTIPART = "multipart/form-data; boundary=b"
EDITS = (b"", b"\r\n", b"\0", b" ", b":", b"-", b"0", b"\xff", b"--b", b'"', b"{")


def post(body: bytes, content_type: str, headers: str = "") -> bytes:
    """Returns a well-formed request."""
    head = (
        f"POST {ROUTE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n{headers}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def seeds() -> list[bytes]:
    """Returns the well-formed requests that are mutated."""
    sound = tone(0.1)
    parts = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    parts += b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    form = parts + sound + b"\r\n--b--\r\n"
    written = json.dumps({"model": "whisper-1", "audio": base64.b64encode(sound).decode()}).encode()
    chunked = (
        f"POST {ROUTE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {MULTIPART}\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n{len(form):x}\r\n"
    ).encode() + form + b"\r\n0\r\n\r\n"  # fmt: skip
    pages = (
        "/v1/models",
        "/v1/models/default",
        "/health",
        "/metrics",
        "/v1/config",
        "/openapi.json",
    )
    gets = [
        f"GET {page} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode() for page in pages
    ]
    return [post(form, MULTIPART, "X-Request-Id: a\r\n"), post(written, "application/json"), chunked, *gets]  # fmt: skip


def mutated(chance: random.Random, known: Sequence[bytes]) -> bytes:
    """Returns one of ``known`` with up to six edits, most of them in its first 600 bytes."""
    edited = bytearray(chance.choice(known))
    for _ in range(chance.randint(1, 6)):
        reach = len(edited) if chance.random() < 0.3 else min(600, len(edited))
        at = chance.randrange(reach + 1)
        replacement = chance.choice((*EDITS, chance.randbytes(3)))
        edited[at : at + chance.choice((0, 1, 1, 4))] = replacement
    return bytes(edited)


def exchange(address: tuple[str, int], sent: bytes, *, half_close: bool) -> bytes:
    """Returns what came back, as it stands on the wire; empty for a closed door."""
    received = b""
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
        try:
            connection.sendall(sent)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while b"\r\n\r\n" not in received and (piece := connection.recv(1 << 16)):
                received += piece
        except (ConnectionError, TimeoutError):
            return received
    return received


def status_of(received: bytes) -> int:
    """Returns the status of an answer's head; 0 for a closed door, 1 for what is no HTTP."""
    if not received:
        return 0
    words = received.split(b"\r\n", 1)[0].split()
    is_answer = len(words) > 1 and words[0] == b"HTTP/1.1" and words[1].isdigit()
    return int(words[1]) if is_answer else 1


def mutate(requests: int) -> None:
    """Prints the statuses of mutated requests."""
    chance, known = random.Random(SEED), seeds()
    statuses: Counter[int] = Counter()
    with server(*QUICK) as running:
        for _ in range(requests):
            sent = mutated(chance, known)
            received = exchange(running.address, sent, half_close=chance.random() < 0.5)
            statuses[status_of(received)] += 1
        healthy = httpx.get(f"{running.base_url}/health").status_code
    header("mutated requests", "5xx", "no HTTP", "200", "4xx", "closed door", "healthy afterwards")
    by_hundred = Counter({k: sum(n for s, n in statuses.items() if s // 100 == k) for k in (4, 5)})
    row(sum(statuses.values()), by_hundred[5], statuses[1], statuses[200], by_hundred[4], statuses[0], healthy == 200)  # fmt: skip
    print("statuses:", dict(sorted(statuses.items())))


def hostile_files(data: Path | None) -> list[bytes]:
    """Returns the hostile files of the test recordings that are below the upload cap."""
    if data is None:
        return [b"", b"no sound", b"RIFF\0\0\0\0WAVE", bytes(1000), tone()[:50]]
    lines = (data / "badaudio" / "manifest.jsonl").read_text("utf-8").splitlines()
    paths = [data / "badaudio" / json.loads(line)["audio_filepath"] for line in lines]
    return [path.read_bytes() for path in paths if path.stat().st_size < 1 << 20]


class Mix:
    """The requests of ``mixed``, one after the other; ``statuses`` counts what became of them."""

    def __init__(self, running: Server, client: httpx.AsyncClient, files: Sequence[bytes]) -> None:
        self._running, self._client, self._files = running, client, files
        self._chance, self._known = random.Random(SEED), seeds()
        self.statuses: Counter[str] = Counter()
        self.wrong = 0

    async def send(self, number: int) -> None:
        """Sends the request with this number."""
        kind = number % 10
        sound = tone(hz=200 + number % 50, kind=("WAV", "FLAC", "OGG")[number % 3])
        if kind < 3:
            answered = await self._client.post(ROUTE, data=FIELDS, files={"file": sound})
            self._count(answered, SAID in answered.text)
        elif kind == 3:
            body = {**FIELDS, "audio": base64.b64encode(sound).decode()}
            answered = await self._client.post(ROUTE, json=body)
            self._count(answered, SAID in answered.text)
        elif kind == 4:
            fields = {**FIELDS, "stream": "true"}
            answered = await self._client.post(ROUTE, data=fields, files={"file": sound})
            self._count(answered, "transcript.text.done" in answered.text)
        elif kind == 5:
            file = self._chance.choice(self._files)
            self._count(await self._client.post(ROUTE, data=FIELDS, files={"file": file}))
        elif kind == 6:
            headers = {"content-type": MULTIPART}
            self._count(await self._client.post(ROUTE, content=b"--b\r\n" + sound, headers=headers))
        elif kind == 7:
            headers = {"content-type": "application/json"}
            content = b'{"audio": "' + base64.b64encode(sound)[:-5] + b"!" + b"[" * 1000
            self._count(await self._client.post(ROUTE, content=content, headers=headers))
        elif kind == 8:
            sent = mutated(self._chance, self._known)
            received = await asyncio.to_thread(
                exchange, self._running.address, sent, half_close=True
            )
            self.statuses[str(status_of(received))] += 1
        else:
            await asyncio.to_thread(self._leave)
            self.statuses["left"] += 1

    def _leave(self) -> None:
        whole = self._known[0]
        with socket.create_connection(self._running.address) as connection:
            connection.sendall(whole[: self._chance.randrange(1, len(whole))])

    def _count(self, answered: httpx.Response, right: bool = True) -> None:
        self.statuses[str(answered.status_code)] += 1
        self.wrong += not right


async def send_all(running: Server, requests: int, files: Sequence[bytes]) -> tuple[Mix, list[tuple[int, Look]]]:  # fmt: skip
    """Returns the mix and looks at the server on the way."""
    looks: list[tuple[int, Look]] = []
    step = max(CONCURRENCY, requests // LOOKS)
    async with httpx.AsyncClient(base_url=running.base_url, timeout=120) as client:
        mix = Mix(running, client, files)
        for first in range(0, requests, step):
            looks.append((first, look(running)))
            for start in range(first, min(first + step, requests), CONCURRENCY):
                end = min(start + CONCURRENCY, requests)
                await asyncio.gather(*(mix.send(number) for number in range(start, end)))
    await asyncio.sleep(2.0)  # until lingering connections are gone
    looks.append((requests, look(running)))
    return mix, looks


def mixed(requests: int, data: Path | None) -> None:
    """Prints what the server holds on the way, then the slope of its memory."""
    with server("serve.limits.queue_size=64") as running:
        mix, looks = asyncio.run(send_all(running, requests, hostile_files(data)))
        after = httpx.post(
            running.base_url + ROUTE, data=FIELDS, files={"file": tone()}, timeout=60
        )
    header("requests", "front MiB", "all processes MiB", "threads", "files", "temporary files")
    for number, seen in looks:
        row(number, f"{seen.front_bytes / 2**20:.1f}", f"{seen.family_bytes / 2**20:.1f}", seen.threads, seen.files, seen.temporary)  # fmt: skip
    late = [(number, seen.front_bytes) for number, seen in looks if number >= SETTLED]
    if len(late) > 2:
        slope = np.polyfit([n for n, _ in late], [size for _, size in late], 1)[0]
        print(f"slope after the first {SETTLED}: {slope:.0f} bytes a request")
    print(f"answers: {dict(sorted(mix.statuses.items()))}; good ones answered wrongly: {mix.wrong}; "
          f"the next good one: {after.status_code}")  # fmt: skip


def files(data: Path | None) -> None:
    """Prints a row a door and a folder: what became of its files, and what the worst of them cost."""
    if data is None:
        raise SystemExit("files needs --data: the folder of the test recordings")
    header("door", "folder", "files", "accepted", "refused", "against the manifest", "most s", "most MiB above base")  # fmt: skip
    folders: dict[str, list[Case]] = {}
    for case in cases(data):
        folders.setdefault(case.path.relative_to(data).parts[0], []).append(case)
    for folder, found in folders.items():
        grown: list[float] = []

        def apart(case: Case, grown: list[float] = grown) -> str | None:
            (result,) = decoded([case])
            grown.append(result["grown_mb"])
            return None if result["code"] is None else str(result["code"])

        _show_files("a process of its own", folder, _tried(found, apart), max(grown))
    for door, send in (("a form", _sent_as_form), ("JSON", _sent_as_json)):
        for folder, found in folders.items():
            # An empty text has no sound in it at all: that is said before anything is decoded.
            sent = [case for case in found if door == "a form" or case.path.stat().st_size]
            with server() as running, httpx.Client(base_url=running.base_url, timeout=60) as client:
                left = look(running).temporary
                with Highest(running) as highest:
                    seen = _tried(sent, partial(send, client))
                _show_files(door, folder, seen, highest.mib)
                if look(running).temporary != left:
                    raise SystemExit("temporary files were left")


def _tried(found: Sequence[Case], door: Callable[[Case], str | None]) -> list[tuple[Case, str | None, float]]:  # fmt: skip
    """Returns verdict and seconds of every file."""
    seen = []
    for case in found:
        began = perf_counter()
        seen.append((case, door(case), perf_counter() - began))
    return seen


def _show_files(door: str, folder: str, seen: Sequence[tuple[Case, str | None, float]], mib: float) -> None:  # fmt: skip
    accepted = sum(came is None for _, came, _ in seen)
    against = [f"{case.name}: {came}" for case, came, _ in seen if not case.allows(came)]
    row(door, folder, len(seen), accepted, len(seen) - accepted, ", ".join(against) or 0,
        f"{max(took for *_, took in seen):.1f}", f"{mib:.0f}")  # fmt: skip


def _sent_as_form(client: httpx.Client, case: Case) -> str | None:
    file = (case.upload_name, case.path.read_bytes(), "application/octet-stream")
    return _verdict(client.post(ROUTE, data=FIELDS, files={"file": file}))


def _sent_as_json(client: httpx.Client, case: Case) -> str | None:
    encoded = base64.b64encode(case.path.read_bytes()).decode()
    return _verdict(client.post(ROUTE, json={**FIELDS, "audio": encoded}))


def _verdict(answered: httpx.Response) -> str | None:
    """Returns ``None`` for an accepted file or the code; a 5xx is told by its status."""
    if answered.status_code == 200:
        return None
    return str(answered.json()["error"]["code"] if answered.status_code < 500 else answered.status_code)  # fmt: skip


def main() -> None:
    """Runs one campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("campaign", choices=["mixed", "mutated", "files"])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument(
        "--data", type=Path, help="the folder of the test recordings, for badaudio/"
    )
    given = parser.parse_args()
    if given.campaign == "mixed":
        mixed(given.requests, given.data)
    elif given.campaign == "files":
        files(given.data)
    else:
        mutate(given.requests)


if __name__ == "__main__":
    main()
