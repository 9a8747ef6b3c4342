"""Is the engine kept busy, memory flat and every text as if alone: many short files, one long one.

    OMP_NUM_THREADS=1 python benchmarks/feeding.py files --data ../shared/data/fsdd --count 2000 --output OUT
    OMP_NUM_THREADS=1 python benchmarks/feeding.py long  --data ../shared/data/fsdd --minutes 120 --output OUT
    OMP_NUM_THREADS=1 python benchmarks/feeding.py prepare --data ../shared/data/fsdd --output OUT
    OMP_NUM_THREADS=1 python benchmarks/feeding.py memory --data ../shared/data/fsdd --count 768 --output OUT

`files` runs an evaluation over ``--count`` files, ``--distinct`` recordings of FSDD (strings and single
digits) again and again, in batches of ``--batch`` of which ``--rows`` are decoded at a time, then
each recording alone by an engine without rows. `long` joins strings to one file, cuts it into
30 s windows and transcribes it with ``--rows``, then every ``--every``-th window alone. Embedded
checkpoint, ``--override`` as on any command line. Idle is the wall time in which the engine was not
called, as a share of the main pass (of the whole call for `long`: decoding the file is inside).
Memory is the process's resident set; how it grows is a straight line over the sound done, from the
tenth minute of sound on. `prepare` makes sounds of 30 s ready, here and in two processes beside this
one: CPU seconds of all, of which a GPU's process keeps its own. `memory` says after every batch what
is resident, what of it glibc counts as used and as free, and what stays when it is asked to give the
free part back; to be quick it encodes 16 windows, which all others hear again. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import psutil
import soundfile
import soxr

from whisperlab.audio import SAMPLE_RATE_HZ, decode
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.config.experiment import build_experiment, run_settings
from whisperlab.device import give_back_memory
from whisperlab.engine.decoding.sequential import Row
from whisperlab.engine.log_mel import HOP_SAMPLES
from whisperlab.engine.network_engine import NetworkEngine
from whisperlab.experiment.ledger import read_ledger
from whisperlab.experiment.preparing import Preparers
from whisperlab.experiment.runner import run_experiment
from whisperlab.transcript import Transcript
from whisperlab.utterance import Outcome

ENGLISH = ("decode.language=en", "device=cpu")
PAUSE_SECONDS = 0.5


WARM_SECONDS = 600.0
"""Of sound, after which memory is no longer to grow."""


class Seen:
    """What a pass was seen to do: seconds in the engine, CPU seconds, texts, memory every 0.2 s."""

    def __init__(self) -> None:
        self.busy = 0.0
        self.heard = 0.0
        """Seconds of sound that are done."""
        self.texts: dict[int, str] = {}
        """By the number of the sound or window in its call of the engine."""
        self.memories: list[tuple[float, float]] = []
        """Seconds heard and MiB resident."""
        self.begin()

    def begin(self) -> None:
        """The time that counts begins."""
        self.busy, self.started, self.cpu = 0.0, perf_counter(), process_time()
        self.heard = 0.0
        self.memories.clear()

    def end(self) -> None:
        """The time that counts has ended, for now."""
        self.wall, self.spent = perf_counter() - self.started, process_time() - self.cpu

    def memory(self) -> str:
        """Returns the MiB when warm, at most and at the end, and the MiB grown an hour of sound since."""
        # When all is heard, its samples are given up.
        counted = [one for one in self.memories if WARM_SECONDS <= one[0] < self.heard]
        heard, resident = np.array(counted).T
        slope = 3600 * np.polyfit(heard, resident, 1)[0]
        return f"{resident[0]:.0f}, {resident.max():.0f}, {resident[-1]:.0f} | {slope:+.1f}"


class Progress:
    """Watches a run for `Seen`."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def started(self, total: int, already_done: int) -> None:
        """The main pass begins."""
        self._seen.begin()

    def advanced(self, outcomes: Sequence[Outcome]) -> None:
        """A batch is in the ledger."""
        self._seen.end()

    def stage(self, name: str) -> None:
        """Something else begins: the main pass has ended."""


@contextmanager
def watched(seen: Seen) -> Iterator[None]:
    """Adds wall time and texts of every call of an engine of ours to ``seen``, and notes memory."""
    plain, ended, over = NetworkEngine.transcribe, NetworkEngine._transcript, threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            seen.memories.append((seen.heard, psutil.Process().memory_info().rss / 2**20))

    def transcribe(self: NetworkEngine, *given: Any) -> Any:
        started = perf_counter()
        try:
            return plain(self, *given)
        finally:
            seen.busy += perf_counter() - started

    def end(self: NetworkEngine, row: Row, *given: Any) -> Transcript:
        transcript = ended(self, row, *given)
        seen.heard += row.sound_frames * HOP_SAMPLES / SAMPLE_RATE_HZ
        seen.texts[row.number] = transcript.text
        return transcript

    NetworkEngine.transcribe = transcribe  # type: ignore[method-assign]  # for this measurement
    NetworkEngine._transcript = end  # type: ignore[method-assign]  # as above
    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        NetworkEngine.transcribe = plain  # type: ignore[method-assign]
        NetworkEngine._transcript = ended  # type: ignore[method-assign]


def manifest(data: Path, count: int, distinct: int, path: Path) -> list[str]:
    """Writes ``count`` rows of ``distinct`` recordings, long and short mixed; returns their files."""
    rows = []
    for name in ("test_strings.jsonl", "test.jsonl"):
        for line in (data / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows.append(
                (str((data / row["audio_filepath"]).resolve()), row["text"], row["duration"])
            )
    np.random.default_rng(0).shuffle(rows)
    chosen = list(islice(cycle(rows[:distinct]), count))
    path.write_text(
        "".join(
            json.dumps({"id": f"{n:06}", "audio_filepath": file, "text": text, "duration": seconds})
            + "\n"
            for n, (file, text, seconds) in enumerate(chosen)
        ),
        encoding="utf-8",
    )
    return [file for file, _, _ in chosen]


def files(given: argparse.Namespace) -> None:
    """Many short files through an evaluation, against each alone."""
    given.output.mkdir(parents=True, exist_ok=True)
    paths = manifest(given.data, given.count, given.distinct, given.output / "files.jsonl")
    run_dir = given.output / f"run-{given.count}-{given.batch}-{given.rows}"
    overrides = [
        *ENGLISH, *given.override, f"engine.rows={given.rows}", f"batch_size={given.batch}",
        "dataset=manifest", f"dataset.path={given.output / 'files.jsonl'}",
        f"dataset.root={given.data.resolve()}", "latency_utterances=0", "resamples=100", f"run_dir={run_dir}",
    ]  # fmt: skip
    config = compose("eval", overrides)
    experiment = build_experiment(config, run_settings(config), overrides)
    seen = Seen()
    with watched(seen):
        run_experiment(experiment, run_dir, Progress(seen))
    experiment.transcriber.unload()
    plain = build_transcriber(compose("transcriber", [*ENGLISH, *given.override]))
    alone = {path: plain.recognise([Path(path)])[0] for path in dict.fromkeys(paths)}
    texts = {path: one.transcript.text if one.transcript else "" for path, one in alone.items()}
    ledger = {outcome.id: outcome for outcome in read_ledger(run_dir / "ledger.jsonl")}
    equal = sum(ledger[f"{n:06}"].text == texts[path] for n, path in enumerate(paths))
    audio = sum(outcome.audio_seconds or 0.0 for outcome in ledger.values())
    show(f"{given.count} files", f"{equal} of {len(paths)}", audio, seen)


def joined(data: Path, minutes: float, path: Path) -> float:
    """Writes strings of digits joined to one file, repeated as needed; returns its seconds."""
    rows = [json.loads(line) for line in (data / "test_strings.jsonl").read_text().splitlines()]
    pause = np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE_HZ), np.float32)
    parts = [
        np.concatenate([decode(data / row["audio_filepath"]).samples, pause])
        for row in rows
        if row["kind"] == "short"
    ]
    total, wanted = 0, round(60 * minutes * SAMPLE_RATE_HZ)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1, subtype="PCM_16") as file:
        for part in cycle(parts):
            if total >= wanted:
                break
            file.write(part[: wanted - total])
            total += len(part[: wanted - total])
    return total / SAMPLE_RATE_HZ


def long(given: argparse.Namespace) -> None:
    """One long file in windows, several at a time, against windows of it alone."""
    given.output.mkdir(parents=True, exist_ok=True)
    path = given.output / f"joined-{given.minutes:g}.wav"
    seconds = joined(given.data, given.minutes, path)
    cut = ("segmentation=fixed", "segmentation.overlap_seconds=0", f"audio.max_seconds={seconds}")
    chosen = [*ENGLISH, *cut, *given.override]
    built = build_transcriber(compose("transcriber", [*chosen, f"engine.rows={given.rows}"]))
    built.load()
    seen = Seen()
    with watched(seen):
        seen.begin()
        [found] = built.recognise([path])
        seen.end()
    built.unload()
    if found.error is not None:
        raise found.error
    plain = build_transcriber(compose("transcriber", chosen))
    [job] = plain.prepare([path])
    numbers = range(0, len(job.pieces), given.every)
    equal = sum(
        plain.transcribe(job.pieces[number]).text == seen.texts[number] for number in numbers
    )
    show(f"one file, {given.rows} rows", f"{equal} of {len(numbers)} windows", seconds, seen)


PREPARED = 24
FORMATS = {"wav, 16 kHz": (SAMPLE_RATE_HZ, "WAV"), "flac, 44.1 kHz": (44_100, "FLAC"), "mp3, 44.1 kHz": (44_100, "MP3")}  # fmt: skip


def cpu_of_children() -> float:
    """Returns the CPU seconds of the processes that this one has started."""
    times = [child.cpu_times() for child in psutil.Process().children()]
    return sum(one.user + one.system for one in times)


def prepare(given: argparse.Namespace) -> None:
    """What reading and decoding costs, by a thread of this process and by processes beside it."""
    given.output.mkdir(parents=True, exist_ok=True)
    source = given.output / "half.wav"
    joined(given.data, 0.5, source)
    samples, _ = soundfile.read(source, dtype="float32")
    built = build_transcriber(compose("transcriber", [*ENGLISH, *given.override]))
    preparers = Preparers(built.preparation, 2)
    preparers([source] * 2)  # they have started
    print("| 30 s of | by | CPU ms a sound, all processes | CPU ms a sound, this process | same samples |")  # fmt: skip
    print("|---|---|---|---|---|")
    for name, (rate, kind) in FORMATS.items():
        path = given.output / f"half.{kind.lower()}"
        soundfile.write(path, soxr.resample(samples, SAMPLE_RATE_HZ, rate), rate, format=kind)
        jobs = []
        for way, call in (("this process", built.prepare), ("two processes", preparers)):
            own, all_ = process_time(), cpu_of_children() + process_time()
            jobs.append(call([path] * PREPARED))
            own, all_ = process_time() - own, cpu_of_children() + process_time() - all_
            same = all(
                np.array_equal(one.pieces[0].samples, other.pieces[0].samples)
                for one, other in zip(jobs[0], jobs[-1], strict=True)
            )
            print(f"| {name} | {way} | {1000 * all_ / PREPARED:.1f} | {1000 * own / PREPARED:.1f} | {same} |")  # fmt: skip
    preparers.close()


class Allocated(ctypes.Structure):
    """glibc's ``struct mallinfo2``."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    )


class FewWindows:
    """An encoder of `engine=openvino` that encodes no more than 16 windows."""

    def __init__(self, request: Any) -> None:
        self._request, self._left = request, 16

    def set_tensor(self, *given: Any) -> None:
        """Passes it on while there is something to encode."""
        if self._left:
            self._request.set_tensor(*given)

    def infer(self) -> None:
        """Encodes, or leaves what was encoded there."""
        if self._left:
            self._request.infer()
            self._left -= 1


def memory(given: argparse.Namespace) -> None:
    """What is resident after each batch, and what of it nobody uses."""
    given.output.mkdir(parents=True, exist_ok=True)
    paths = manifest(given.data, given.count, given.distinct, given.output / "files.jsonl")
    chosen = [*ENGLISH, *given.override, f"engine.rows={given.rows}"]
    built = build_transcriber(compose("transcriber", chosen))
    network: Any = built.load()._network  # type: ignore[attr-defined]  # for this measurement
    network._encoder = FewWindows(network._encoder)
    allocated = ctypes.CDLL(None).mallinfo2
    allocated.restype = Allocated
    print("| sounds | MiB resident | MiB used | MiB free | MiB resident after giving back | ms to give back |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for first in range(0, given.count, given.batch):
        built.recognise([Path(path) for path in paths[first : first + given.batch]])
        before, found = psutil.Process().memory_info().rss, allocated()
        started = process_time()
        give_back_memory()
        spent, after = process_time() - started, psutil.Process().memory_info().rss
        sizes = [size / 2**20 for size in (before, found.uordblks + found.hblkhd, found.fordblks, after)]  # fmt: skip
        print("|".join(["", f" {first + given.batch} ", *(f" {size:.1f} " for size in sizes), f" {1000 * spent:.0f} ", ""]), flush=True)  # fmt: skip


def show(name: str, equal: str, audio: float, seen: Seen) -> None:
    """Prints a row."""
    print(
        f"| {name} | {audio / 60:.0f} | {equal} | {1 - seen.busy / seen.wall:.1%} | "
        f"{audio / seen.wall:.0f} | {audio / seen.spent:.0f} | {seen.memory()} |",
        flush=True,
    )


CAMPAIGNS: dict[str, Callable[[argparse.Namespace], None]] = {"files": files, "long": long}
OTHERS: dict[str, Callable[[argparse.Namespace], None]] = {"prepare": prepare, "memory": memory}
"""With a table of their own."""


def main() -> None:
    """Runs one campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("campaign", choices=[*CAMPAIGNS, *OTHERS])
    parser.add_argument("--data", type=Path, required=True, help="the folder fsdd of the test recordings")  # fmt: skip
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=2000, help="files")
    parser.add_argument("--distinct", type=int, default=300, help="recordings among the files")
    parser.add_argument("--minutes", type=float, default=120.0, help="of the long file")
    parser.add_argument("--every", type=int, default=1, help="n: each n-th window is decoded alone")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--override", nargs="+", default=["engine=openvino", "engine.threads=1"])
    given = parser.parse_args()
    if given.campaign in OTHERS:
        OTHERS[given.campaign](given)
        return
    print("| what | minutes of sound | texts equal | engine idle | RTFx, wall | RTFx, CPU | MiB after 10 minutes of it, at most, at the end | MiB grown an hour of it since |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    CAMPAIGNS[given.campaign](given)


if __name__ == "__main__":
    main()
