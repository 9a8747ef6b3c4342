"""More requests than the server can answer: what becomes of them, and of who sends few.

    python benchmarks/faults/load.py overload                 # open loop, 0.5 to 5 times the capacity, 20 s each
    python benchmarks/faults/load.py overload --engine hf --data ../shared/data/fsdd   # the real model
    python benchmarks/faults/load.py fairness                 # one key floods, another sends one at a time

Open loop: requests are sent when they are planned, whatever became of those before, and latency
counts from the planned moment. The server runs on the first core and the load generator on the
last, where there are two. With the replay engine a sound takes 0.1 s and they go one by one, so the
capacity is 10 a second; with ``hf`` it is measured first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import httpx
from served import FIELDS, ROUTE, Server, header, quantile, row, server, tone

SERVICE_SECONDS = 0.1
QUEUE = 16
FACTORS = (0.5, 1.0, 2.0, 3.0, 5.0)
REAL = ("engine=hf", "model=whisperlab-digits", "decode.language=en", "serve.batch.max_size=8")
FLOOD = 40


@dataclass(frozen=True)
class Outcome:
    """One request: its status (0: no answer), seconds from its planned moment, and Retry-After."""

    status: int
    seconds: float
    told: bool


async def open_loop(base_url: str, sounds: Sequence[bytes], rate: float, seconds: float) -> list[Outcome]:  # fmt: skip
    """Returns what became of ``rate`` requests a second over ``seconds``."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=base_url, timeout=300, limits=limits) as client:
        began = perf_counter()

        async def one(number: int) -> Outcome:
            planned = began + number / rate
            await asyncio.sleep(max(0.0, planned - perf_counter()))
            sound = sounds[number % len(sounds)]
            try:
                answered = await client.post(ROUTE, data=FIELDS, files={"file": sound})
            except httpx.TransportError:
                return Outcome(0, perf_counter() - planned, told=False)
            told = "retry-after" in answered.headers
            return Outcome(answered.status_code, perf_counter() - planned, told)

        return await asyncio.gather(*(one(n) for n in range(int(rate * seconds))))


def pinned_apart() -> list[str]:
    """Puts this process on the last core; returns the words that put the server on the first."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        return []
    os.sched_setaffinity(0, {cores[-1]})
    return ["taskset", "-c", str(cores[0])]


def overload(engine: str, data: Path | None, seconds: float, factors: Sequence[float]) -> None:
    """Prints a row a factor, then the recovery: one good request right after the storm."""
    sounds = [tone(hz=200 + 10 * n) for n in range(32)]
    overrides = [f"engine.seconds_per_utterance={SERVICE_SECONDS}", "serve.batch.mode=off"]
    if engine == "hf":
        if data is None:
            raise SystemExit("--engine hf needs --data: the folder fsdd of the test recordings")
        sounds = [path.read_bytes() for path in sorted((data / "test_strings").glob("*"))[:64]]
        overrides = list(REAL)
    with server(*overrides, f"serve.limits.queue_size={QUEUE}", before=pinned_apart()) as running:
        capacity = 1 / SERVICE_SECONDS
        if engine == "hf":
            capacity = measured_capacity(running, sounds)
        header("offered / capacity", "sent", "200", "429", "503", "other or none", "goodput / capacity",
               "p50 / p99 of accepted s", "p99 of refused s", "Retry-After on each refusal", "next good request s")  # fmt: skip
        for factor in factors:
            outcomes = asyncio.run(open_loop(running.base_url, sounds, capacity * factor, seconds))
            statuses = Counter(outcome.status for outcome in outcomes)
            accepted = [o.seconds for o in outcomes if o.status == 200]
            refused = [o.seconds for o in outcomes if o.status in (429, 503)]
            told = all(o.told for o in outcomes if o.status in (429, 503))
            other = len(outcomes) - statuses[200] - statuses[429] - statuses[503]
            last = max(
                seconds, *(n / capacity / factor + o.seconds for n, o in enumerate(outcomes))
            )
            started = perf_counter()
            again = httpx.post(running.base_url + ROUTE, data=FIELDS, files={"file": sounds[0]}, timeout=60)  # fmt: skip
            recovery = perf_counter() - started if again.status_code == 200 else again.status_code
            row(f"{factor:g}", len(outcomes), statuses[200], statuses[429], statuses[503], other,
                f"{statuses[200] / last / capacity:.2f}",
                f"{quantile(accepted, 0.5):.2f} / {quantile(accepted, 0.99):.2f}",
                f"{quantile(refused, 0.99):.3f}", told, f"{recovery:.2f}")  # fmt: skip


def measured_capacity(running: Server, sounds: Sequence[bytes]) -> float:
    """Returns answers a second with as many requests as the queue takes under way, once warm."""

    async def closed_loop() -> None:
        places = asyncio.Semaphore(QUEUE)
        async with httpx.AsyncClient(base_url=running.base_url, timeout=300) as client:

            async def one(sound: bytes) -> None:
                async with places:
                    await client.post(ROUTE, data=FIELDS, files={"file": sound})

            await asyncio.gather(*(one(sound) for sound in sounds))

    asyncio.run(closed_loop())  # the first ones wait for the model and its memory
    started = perf_counter()
    asyncio.run(closed_loop())
    return len(sounds) / (perf_counter() - started)


def fairness(seconds: float) -> None:
    """Prints how one key's requests fare, sent one at a time, alone and beside another key's flood."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "keys.json"
        keys = {who: new_key(file, who) for who in ("quiet", "loud")}
        with server(
            f"engine.seconds_per_utterance={SERVICE_SECONDS}", "serve.batch.mode=off",
            f"serve.limits.queue_size={QUEUE}", f"serve.keys_file={file}",
        ) as running:  # fmt: skip
            header(
                "beside", "quiet key: answered / sent", "p50 / p99 s", "loud key: 200 / 429 / 503"
            )
            for beside in (0, FLOOD):
                quiet, loud = asyncio.run(_two_keys(running.base_url, keys, beside, seconds))
                took = [s for status, s in quiet if status == 200]
                shares = Counter(loud)
                row(f"{beside} of the loud key at a time", f"{len(took)} / {len(quiet)}",
                    f"{quantile(took, 0.5):.2f} / {quantile(took, 0.99):.2f}",
                    f"{shares[200]} / {shares[429]} / {shares[503]}")  # fmt: skip


async def _two_keys(
    base_url: str, keys: dict[str, str], flood: int, seconds: float
) -> tuple[list[tuple[int, float]], list[int]]:
    quiet: list[tuple[int, float]] = []
    loud: list[int] = []
    until = perf_counter() + seconds
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=base_url, timeout=300, limits=limits) as client:

        async def send(who: str) -> int:
            answered = await client.post(
                ROUTE, data=FIELDS, files={"file": tone()}, headers={"Authorization": f"Bearer {keys[who]}"},
            )  # fmt: skip
            return answered.status_code

        async def be_loud() -> None:
            while perf_counter() < until:
                loud.append(await send("loud"))
                if loud[-1] != 200:
                    await asyncio.sleep(0.05)

        async def be_quiet() -> None:
            while perf_counter() < until:
                started = perf_counter()
                quiet.append((await send("quiet"), perf_counter() - started))
                await asyncio.sleep(0.2)

        await asyncio.gather(be_quiet(), *(be_loud() for _ in range(flood)))
    return quiet, loud


def new_key(file: Path, name: str) -> str:
    """Returns a new key."""
    command = [sys.executable, "-m", "whisperlab.serve.keys", "create", name, "--file", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Runs one campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("campaign", choices=["overload", "fairness"])
    parser.add_argument("--engine", choices=["replay", "hf"], default="replay")
    parser.add_argument("--data", type=Path, help="the folder fsdd of the test recordings")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each row")
    parser.add_argument("--factors", type=json.loads, default=FACTORS, help="such as [0.5,2]")
    given = parser.parse_args()
    if given.campaign == "overload":
        overload(given.engine, given.data, given.seconds, given.factors)
    else:
        fairness(given.seconds)


if __name__ == "__main__":
    main()
