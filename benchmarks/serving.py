"""The server under load: equal texts, throughput, overload, draining, memory, first delta.

    python benchmarks/serving.py texts      --data ../shared/data/fsdd   # 200 recordings, 32 at a time, three rounds
    python benchmarks/serving.py throughput --data ../shared/data/fsdd   # concurrency 1, 8, 32; batching on and off
    python benchmarks/serving.py throughput --data ../shared/data/fsdd --override engine=openvino
    python benchmarks/serving.py mixed      --data ../shared/data/fsdd --override engine=openvino   # 64 clients, short and long
    python benchmarks/serving.py overload   --data ../shared/data/fsdd   # open loop at 2x capacity, 60 s
    python benchmarks/serving.py drain      --data ../shared/data/fsdd   # SIGTERM under load
    python benchmarks/serving.py memory     --data ../shared/data/fsdd   # 5,000 requests
    python benchmarks/serving.py stream     --data ../shared/data/fsdd   # first delta of five minutes

Each starts its own server on a free loopback port (embedded checkpoint, language given, one thread),
prints a Markdown table and ends the server. The load generator is this process.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import httpx
import numpy as np
import psutil
import soundfile
from served_clients import (
    FIELDS,
    ROUTE,
    SEED,
    Server,
    all_of,
    ask,
    batches,
    cpu_seconds,
    quantile,
    recordings,
    server,
)

from whisperlab import load
from whisperlab.audio import SAMPLE_RATE_HZ, decode

ROUNDS = 3


def texts(data: Path, rounds: int = ROUNDS, overrides: Sequence[str] = ()) -> None:
    """200 different recordings, 32 at a time, shuffled, three rounds, against one by one in process."""
    sounds = recordings(data, 200)
    lab = load("default", "decode.language=en", *overrides)
    offline = [lab.transcribe(sound).text for sound in sounds]
    print("| round | requests | concurrency | answered | of these equal to one by one in process |")
    print("|---|---|---|---|---|")
    patient = ("serve.limits.queue_size=256", "serve.limits.queue_seconds=600")
    with server(*patient, "serve.batch.max_size=8", *overrides) as running:
        for turn in range(rounds):
            order = random.Random(turn).sample(range(len(sounds)), len(sounds))
            answers = asyncio.run(all_of(running.base_url, [sounds[n] for n in order], 32))
            equal = sum(
                status == 200 and text == offline[n]
                for n, (status, text, _) in zip(order, answers, strict=True)
            )
            answered = sum(status == 200 for status, _, _ in answers)
            print(f"| {turn + 1} | {len(order)} | 32 | {answered} | {equal} |", flush=True)
            for n, (status, text, _) in zip(order, answers, strict=True):
                if status != 200 or text != offline[n]:
                    print(f"recording {n}: {status} {text!r} instead of {offline[n]!r}", file=sys.stderr)  # fmt: skip


def throughput(data: Path, rounds: int = ROUNDS, overrides: Sequence[str] = ()) -> None:
    """Requests a second at concurrency 1, 8 and 32, batching on and off, interleaved; equal texts."""
    sounds = recordings(data, 96)
    lab = load("default", "decode.language=en", *overrides)
    offline = [lab.transcribe(sound).text for sound in sounds]
    lab.unload()
    unequal: Counter[tuple[str, int]] = Counter()
    rows: dict[tuple[str, int], list[tuple[float, float, list[float], float]]] = {}
    with (
        server("serve.limits.queue_size=256", "serve.batch.max_size=8", *overrides) as batched,
        server("serve.limits.queue_size=256", "serve.batch.mode=off", *overrides) as single,
    ):
        for _ in range(rounds):
            for name, running in (("on (8)", batched), ("off", single)):
                for concurrency in (1, 8, 32):
                    some = sounds[: 32 if concurrency == 1 else 96]
                    before = batches(running)
                    cpu, started = cpu_seconds(running.process), perf_counter()
                    answers = asyncio.run(all_of(running.base_url, some, concurrency))
                    wall = perf_counter() - started
                    spent = (cpu_seconds(running.process) - cpu) / len(some)
                    took = [seconds for _, _, seconds in answers]
                    time.sleep(0.2)  # a batch is counted when its last answer has gone
                    runs, shared = np.subtract(batches(running), before)
                    unequal[name, concurrency] += sum(
                        text != expected
                        for (_, text, _), expected in zip(answers, offline, strict=False)
                    )
                    rows.setdefault((name, concurrency), []).append((len(some) / wall, spent, took, shared / runs))  # fmt: skip
    print("| batching | concurrency | requests/s | CPU s a request | p50 s | p95 s | sounds a run | other texts |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for (name, concurrency), found in rows.items():
        rate = statistics.median(rate for rate, *_ in found)
        spent = statistics.median(spent for _, spent, *_ in found)
        took = [seconds for _, _, some, _ in found for seconds in some]
        shared = statistics.median(shared for *_, shared in found)
        print(
            f"| {name} | {concurrency} | {rate:.2f} | {spent:.3f} | {quantile(took, 0.5):.2f} | "
            f"{quantile(took, 0.95):.2f} | {shared:.1f} | {unequal[name, concurrency]} of {len(took)} |"
        )


def mixture(data: Path) -> list[tuple[str, bytes]]:
    """Returns 64 sounds of three kinds, mixed: strings of digits, longer strings, joined ones of 40 s."""
    rows = [json.loads(line) for line in (data / "test_strings.jsonl").read_text().splitlines()]
    short = [data / row["audio_filepath"] for row in rows if row["kind"] == "short"]
    longer = [data / row["audio_filepath"] for row in rows if row["kind"] == "long"]
    found = [("3 to 7 digits", path.read_bytes()) for path in short[:44]]
    found += [("10 to 16 digits", path.read_bytes()) for path in longer[:16]]
    random.Random(SEED).shuffle(found)
    for number, first in enumerate(range(44, 72, 7)):
        written = io.BytesIO()
        samples = np.concatenate([decode(path).samples for path in short[first : first + 7]])
        soundfile.write(written, samples, SAMPLE_RATE_HZ, format="FLAC")
        found.insert(3 + 16 * number, ("joined, about 40 s", written.getvalue()))
    return found


def mixed(data: Path, overrides: Sequence[str] = ()) -> None:
    """Up to 64 clients at a time ask for sounds of mixed lengths: equal texts, and nobody starves."""
    sounds = mixture(data)
    lab = load("default", "decode.language=en", *overrides)
    offline = [lab.transcribe(sound).text for _, sound in sounds]
    lab.unload()
    patient = ("serve.limits.queue_size=256", "serve.limits.queue_seconds=600", "serve.limits.inference_seconds=600")  # fmt: skip
    print(
        "| clients | requests/s | CPU s a request | sounds | texts equal | p50 s | p95 s | longest s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with server(*patient, "serve.batch.max_size=8", *overrides) as running:
        for clients, turns in ((1, 0.25), (8, 0.5), (64, 1)):
            order = [n % len(sounds) for n in range(int(turns * len(sounds)))]
            cpu, started = cpu_seconds(running.process), perf_counter()
            answers = asyncio.run(all_of(running.base_url, [sounds[n][1] for n in order], clients))
            wall = perf_counter() - started
            spent = (cpu_seconds(running.process) - cpu) / len(order)
            for kind in dict.fromkeys(kind for kind, _ in sounds):
                own = [(n, *answer) for n, answer in zip(order, answers, strict=True) if sounds[n][0] == kind]  # fmt: skip
                equal = sum(status == 200 and text == offline[n] for n, status, text, _ in own)
                took = [seconds for *_, seconds in own]
                print(
                    f"| {clients} | {len(order) / wall:.2f} | {spent:.3f} | {kind} | {equal} of {len(own)} | "
                    f"{quantile(took, 0.5):.2f} | {quantile(took, 0.95):.2f} | {max(took):.2f} |",
                    flush=True,
                )


def overload(data: Path, seconds: float = 60.0, factor: float = 2.0) -> None:
    """Open loop at ``factor`` times the measured capacity; latency from the planned send time."""
    sounds = recordings(data, 96)
    with server("serve.limits.queue_size=16", "serve.batch.max_size=8") as running:
        started = perf_counter()
        asyncio.run(all_of(running.base_url, sounds, 16))
        capacity = len(sounds) / (perf_counter() - started)
        outcomes = asyncio.run(_open_loop(running.base_url, sounds, capacity * factor, seconds))
        health = httpx.get(f"{running.base_url}/health/ready").status_code
    statuses = Counter(status for status, _, _ in outcomes)
    accepted = [took for status, took, _ in outcomes if status == 200]
    refused = [took for status, took, _ in outcomes if status != 200]
    told = all(retry for status, _, retry in outcomes if status in (429, 503))
    print(f"capacity {capacity:.2f} requests/s at concurrency 16; sent {capacity * factor:.2f}/s for {seconds:g} s")  # fmt: skip
    print("| sent | 200 | 429 | 503 | other | goodput / capacity | p50 / p99 accepted s | p99 refused s | Retry-After on every refusal | ready afterwards |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    other = len(outcomes) - statuses[200] - statuses[429] - statuses[503]
    print(
        f"| {len(outcomes)} | {statuses[200]} | {statuses[429]} | {statuses[503]} | {other} | "
        f"{statuses[200] / seconds / capacity:.2f} | {quantile(accepted, 0.5):.2f} / "
        f"{quantile(accepted, 0.99):.2f} | {quantile(refused, 0.99):.3f} | {told} | {health == 200} |"
    )


async def _open_loop(
    base_url: str, sounds: Sequence[bytes], rate: float, seconds: float
) -> list[tuple[int, float, bool]]:
    began = perf_counter()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=base_url, timeout=300, limits=limits) as client:

        async def one(number: int) -> tuple[int, float, bool]:
            planned = began + number / rate
            await asyncio.sleep(max(0.0, planned - perf_counter()))
            sound = sounds[number % len(sounds)]
            answered = await client.post(ROUTE, data=FIELDS, files={"file": sound})
            return answered.status_code, perf_counter() - planned, "retry-after" in answered.headers

        return await asyncio.gather(*(one(n) for n in range(int(rate * seconds))))


def drain(data: Path) -> None:
    """SIGTERM while 20 requests are under way: how many of the accepted are answered, and when."""
    sounds = recordings(data, 20)

    async def under_way(running: Server) -> list[int | str]:
        async with httpx.AsyncClient(base_url=running.base_url, timeout=120) as client:

            async def one(sound: bytes) -> int | str:
                try:
                    return (await ask(client, sound))[0]
                except httpx.TransportError as error:
                    return type(error).__name__

            asked = [asyncio.create_task(one(sound)) for sound in sounds]
            await asyncio.sleep(1.0)
            running.process.send_signal(signal.SIGTERM)
            return await asyncio.gather(*asked)

    with server("serve.limits.queue_size=64", "serve.batch.max_size=8") as running:
        answers = asyncio.run(under_way(running))
        started = perf_counter()
        code = running.process.wait(60)
    print("| under way at SIGTERM | answered 200 | lost | exit code | seconds from the last answer to the exit |")  # fmt: skip
    print("|---|---|---|---|---|")
    good = answers.count(200)
    print(f"| {len(answers)} | {good} | {len(answers) - good} | {code} | {perf_counter() - started:.1f} |")  # fmt: skip


def memory(data: Path, requests: int = 5000) -> None:
    """Resident memory of the server's processes over many requests (replay engine: the front alone)."""
    sounds = recordings(data, 50)
    print("| requests | server MiB | with decoders and worker MiB | threads | open files |")
    print("|---|---|---|---|---|")
    seen: list[tuple[int, int]] = []
    with server("engine=replay", "engine.default_text=one two", "serve.limits.queue_size=64") as running:  # fmt: skip
        parent = psutil.Process(running.process.pid)
        done = 0
        while done <= requests:
            family = (parent, *parent.children(recursive=True))
            own = parent.memory_info().rss
            seen.append((done, own))
            together = sum(one.memory_info().rss for one in family)
            print(
                f"| {done} | {own / 2**20:.1f} | {together / 2**20:.1f} | {parent.num_threads()} | "
                f"{parent.num_fds()} |",
                flush=True,
            )
            batch = [sounds[n % len(sounds)] for n in range(500)]
            answers = asyncio.run(all_of(running.base_url, batch, 8))
            assert all(status == 200 for status, _, _ in answers)
            done += len(batch)
    late = [(n, own) for n, own in seen if n >= 1000]
    slope = np.polyfit([n for n, _ in late], [own for _, own in late], 1)[0]
    print(f"slope after the first 1,000: {slope:.0f} bytes a request")


def stream(data: Path) -> None:
    """Time to the first delta of five minutes of joined strings, and that the deltas are the text."""
    parts, total = [], 0
    for encoded in recordings(data, 280):
        samples = decode(encoded).samples
        parts += [samples, np.zeros(SAMPLE_RATE_HZ // 2, dtype=np.float32)]
        total += len(samples) + SAMPLE_RATE_HZ // 2
        if total > 300 * SAMPLE_RATE_HZ:
            break
    written = io.BytesIO()
    soundfile.write(written, np.concatenate(parts), SAMPLE_RATE_HZ, format="FLAC")
    print("| segmentation | audio s | first delta s | all s | share | deltas | deltas = done.text = plain text |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    with server() as running:
        for name, extra in (("whole", {}), ("server_vad", {"chunking_strategy": "auto"})):
            started = perf_counter()
            first, deltas, done = 0.0, [], ""
            with httpx.stream(
                "POST", running.base_url + ROUTE, timeout=600,
                data={**FIELDS, **extra, "stream": "true"}, files={"file": written.getvalue()},
            ) as response:  # fmt: skip
                for line in response.iter_lines():
                    if not line:
                        continue
                    event = json.loads(line.removeprefix("data: "))
                    if event["type"].endswith("delta"):
                        first = first or perf_counter() - started
                        deltas.append(event["delta"])
                    else:
                        done = event["text"]
            took = perf_counter() - started
            plain = httpx.post(
                running.base_url + ROUTE, timeout=600, data={**FIELDS, **extra},
                files={"file": written.getvalue()},
            ).json()["text"]  # fmt: skip
            equal = "".join(deltas) == done == plain
            print(f"| {name} | {total / SAMPLE_RATE_HZ:.0f} | {first:.1f} | {took:.1f} | {first / took:.2f} | {len(deltas)} | {equal} |")  # fmt: skip


CAMPAIGNS: dict[str, Callable[..., None]] = {
    "texts": texts,
    "throughput": throughput,
    "mixed": mixed,
    "overload": overload,
    "drain": drain,
    "memory": memory,
    "stream": stream,
}


def main() -> None:
    """Runs one campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("campaign", choices=CAMPAIGNS)
    parser.add_argument("--data", type=Path, required=True, help="the folder fsdd of the test recordings")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of texts and throughput")
    parser.add_argument("--override", action="append", default=[], help="of the server, such as engine=openvino")  # fmt: skip
    given = parser.parse_args()
    campaign = CAMPAIGNS[given.campaign]
    if given.campaign in ("texts", "throughput"):
        campaign(given.data, given.rounds, given.override)
    elif given.campaign == "mixed":
        campaign(given.data, given.override)
    else:
        campaign(given.data)


if __name__ == "__main__":
    main()
