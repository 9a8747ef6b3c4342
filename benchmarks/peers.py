"""Every Whisper that installs, side by side on the same exact work.

    python benchmarks/peers.py --sizes tiny base --output OUT                  # the main tables
    python benchmarks/peers.py --sizes tiny --seconds 30 --tokens 120 --output OUT
    python benchmarks/peers.py --sizes tiny --threads 2 --output OUT
    python benchmarks/peers.py --checkpoint openai/whisper-tiny --audio FOLDER --output OUT

Needs: pip install 'whisperlab[openvino,ctranslate2]' openvino-genai pywhispercpp; a peer that is not
there has its reason in the table. OpenVINO GenAI's checkpoint is exported by optimum-intel, in a venv
that the script makes in OUT (some minutes, once).

Without a checkpoint the weights are random, of the real size, and every text has exactly ``--tokens``
words (peer_checkpoints.py), which is asserted. Every row has a process of its own, pinned to
``--threads`` cores, loaded once. Rounds are interleaved, A B C ... C B A; the table has medians.
Writes OUT/NAME.md, OUT/NAME.svg and OUT/NAME.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peer_checkpoints import ctranslate2_folder, genai_folder, ggml_file, random_checkpoint
from peer_engines import PROMPT_TOKENS, RATE_HZ, Checkpoints, Row, rows

UNBATCHED_CLIPS = 2
"""What a row without batches hears in a round: the time a clip is what counts."""
ROUND_SECONDS = 600.0
"""A row that takes longer for one round is given up."""
OURS = "whisperlab"
PACKAGES = (
    "transformers", "torch", "faster-whisper", "ctranslate2", "openvino", "openvino-genai",
    "pywhispercpp", "numpy",
)  # fmt: skip
KIBIBYTES = 1024


@dataclass
class Measured:
    """What one row took; seconds a round, megabytes, or why there is nothing."""

    row: Row
    clips: int
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    first_text_seconds: float | None = None
    peak_megabytes: float | None = None
    reason: str = ""

    def milliseconds(self, seconds: Sequence[float]) -> float:
        """Returns the median time a clip."""
        return 1e3 * statistics.median(seconds) / self.clips


def serve_row(number: int, checkpoints: Checkpoints, cores: list[int], talk: Connection) -> None:
    """The child: loads a row, then measures a round for each array of clips that comes."""
    os.sched_setaffinity(0, cores)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 # peers chat
    engine = rows()[number].engine
    try:
        engine.load(checkpoints, len(cores))
        while (clips := talk.recv()) is not None:
            wall, cpu = perf_counter(), process_time()
            texts = engine.transcribe(clips)
            wall, cpu = perf_counter() - wall, process_time() - cpu
            counts = [len(text.split()) for text in texts]
            talk.send((wall, cpu, counts, peak_megabytes(), time.monotonic()))
    except Exception as error:  # noqa: BLE001 # whatever a peer raises is its row's reason
        talk.send(f"{type(error).__name__}: {' '.join(str(error).split())[:160]}")


def peak_megabytes() -> float:
    """Returns this process's largest resident memory; getrusage's would be its parent's at the start."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / KIBIBYTES


class Child:
    """A row's process, from this side."""

    def __init__(
        self, measured: Measured, number: int, checkpoints: Checkpoints, cores: list[int]
    ) -> None:
        self.measured = measured
        spawn = multiprocessing.get_context("spawn")
        self.talk, theirs = spawn.Pipe()
        self.started = time.monotonic()
        self.process = spawn.Process(target=serve_row, args=(number, checkpoints, cores, theirs))
        self.process.start()
        theirs.close()

    def round(self, clips: list[NDArray[np.float32]], *, counts: bool) -> None:
        """Measures a round; the first, which loads, does not count."""
        measured = self.measured
        if measured.reason:
            return
        answer: Any
        try:
            with contextlib.suppress(BrokenPipeError):  # it has said why it ended
                self.talk.send(clips)
            answer = self.talk.recv() if self.talk.poll(ROUND_SECONDS) else "too slow"
        except (EOFError, OSError) as error:
            answer = f"its process ended: {type(error).__name__}"
        if isinstance(answer, str):
            measured.reason = answer
            self.end()
            return
        wall, cpu, words, peak, finished = answer
        measured.peak_megabytes = peak
        if measured.first_text_seconds is None:
            measured.first_text_seconds = finished - self.started
        if counts:
            measured.wall.append(wall)
            measured.cpu.append(cpu)
            measured.words += words

    def end(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.join()


def checkpoints_of(source: Path, name: str, cache: Path, wanted: set[str]) -> Checkpoints:
    """Returns the checkpoint in every form that ``wanted`` names and that can be made here."""
    made: dict[str, Path] = {}
    makers: dict[str, Callable[[], Path]] = {
        "ctranslate2": lambda: ctranslate2_folder(source, cache / f"{name}-ctranslate2"),
        "ggml_f16": lambda: ggml_file(source, cache / f"{name}-f16.bin", "f16"),
        "ggml_q8_0": lambda: ggml_file(source, cache / f"{name}-q8_0.bin", "q8_0"),
        "genai_f32": lambda: genai_folder(
            source, cache / f"{name}-genai-f32", "fp32", cache / "venv"
        ),
        "genai_int8": lambda: genai_folder(
            source, cache / f"{name}-genai-int8", "int8", cache / "venv"
        ),
    }
    for form in sorted(wanted & makers.keys()):
        try:
            made[form] = makers[form]()
        except (ImportError, OSError, ValueError, subprocess.CalledProcessError) as error:
            print(f"{form}: {type(error).__name__}: {error}", file=sys.stderr)
    return Checkpoints(transformers=source, **made)


def clips_of(audio: Path | None, seconds: float, count: int) -> list[NDArray[np.float32]]:
    """Returns ``count`` clips of ``seconds``: of recordings end to end, or of noise in bursts."""
    length = int(seconds * RATE_HZ)
    if audio is None:
        noise = np.random.default_rng(0)
        bursts = np.abs(np.sin(np.arange(length) * (2 * np.pi * 2 / RATE_HZ)))
        return [
            (0.1 * bursts * noise.standard_normal(length)).astype(np.float32) for _ in range(count)
        ]
    from whisperlab.audio import decode

    joined = np.zeros(0, np.float32)
    for path in sorted(path for path in audio.rglob("*") if path.suffix in {".flac", ".wav"}):
        joined = np.concatenate([joined, decode(path).samples])
        if len(joined) >= length * count:
            return list(joined[: length * count].reshape(count, length))
    raise SystemExit(
        f"{audio}: expected at least {seconds * count:.0f} s of flac or wav recordings"
    )


def measure(
    chosen: list[int], checkpoints: Checkpoints, cores: list[int], rounds: int, clips: Any
) -> list[Measured]:
    """Returns every row's rounds."""
    everything = rows()
    found, children = [], []
    for number in chosen:
        row = everything[number]
        found.append(Measured(row, row.batch if row.batch > 1 else UNBATCHED_CLIPS))
        if getattr(checkpoints, row.needs) is None:
            found[-1].reason = f"no checkpoint in its form ({row.needs})"
            continue
        child = Child(found[-1], number, checkpoints, cores)
        child.round(clips[:1], counts=False)
        child.round(clips[: found[-1].clips], counts=False)
        children.append(child)
    for _ in range(rounds):
        for child in (*children, *reversed(children)):
            child.round(clips[: child.measured.clips], counts=True)
    for child in children:
        child.end()
    return found


def table(found: list[Measured]) -> str:
    """Returns the Markdown table."""
    lines = [
        "| engine | precision | batch | beams | work | wall ms a clip | least to most | CPU ms a clip "
        "| words a clip | peak RSS MB | start to first text s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        row = one.row
        head = f"| {row.name} | {row.precision} | {row.batch} | {row.beams} | {row.work} |"
        if one.reason or not one.wall:
            lines.append(f"{head} – | – | – | – | – | {one.reason.replace('|', '/')} |")
            continue
        spread = f"{1e3 * min(one.wall) / one.clips:.0f} to {1e3 * max(one.wall) / one.clips:.0f}"
        words = "/".join(str(count) for count in sorted(set(one.words)))
        lines.append(
            f"{head} {one.milliseconds(one.wall):.0f} | {spread} | {one.milliseconds(one.cpu):.0f} "
            f"| {words} | {one.peak_megabytes:.0f} | {one.first_text_seconds:.2f} |"
        )
    return "\n".join(lines)


def ratios(found: list[Measured]) -> str:
    """Returns how many times as long each peer takes as ours of its precision, batch 8 and 1."""
    lines = []
    for ours in found:
        if ours.row.name != f"{OURS} openvino" or not ours.wall:
            continue
        mine = ours.milliseconds(ours.wall)
        others = [
            f"{one.row.name} {one.row.precision} {one.milliseconds(one.wall) / mine:.2f}x"
            for one in found
            if one.wall and not one.row.name.startswith(OURS) and one.row.work == "same"
            and one.row.precision in (ours.row.precision, {"int8": "q8_0"}.get(ours.row.precision))
        ]  # fmt: skip
        if others:
            lines.append(f"- {ours.row.precision}, batch {ours.row.batch}: {', '.join(others)}")
    return "\n".join(lines)


def draw(found: list[Measured], path: Path, title: str) -> None:
    """Draws one bar a row from zero, with a whisker from its fastest to its slowest pass."""
    from matplotlib.figure import Figure

    bars = [one for one in found if one.wall]
    labels = [f"{one.row.name} {one.row.precision}, batch {one.row.batch}" for one in bars]
    colours = ["#c44e52" if one.row.name.startswith(OURS) else "#8c8c8c" for one in bars]
    medians = [one.milliseconds(one.wall) for one in bars]
    passes = [[1e3 * seconds / one.clips for seconds in one.wall] for one in bars]
    whiskers = [
        [median - min(wall) for median, wall in zip(medians, passes, strict=True)],
        [max(wall) - median for median, wall in zip(medians, passes, strict=True)],
    ]
    figure = Figure(figsize=(8, 0.3 * len(bars) + 1), layout="constrained")
    axes = figure.subplots()
    drawn = axes.barh(labels, medians, xerr=whiskers, color=colours, ecolor="#333333", capsize=2)
    axes.bar_label(drawn, fmt="%.0f", padding=4)
    axes.margins(x=0.1)
    axes.invert_yaxis()
    axes.set_xlabel("ms a clip: median, fastest and slowest pass; shorter is better")
    axes.set_title(title)
    figure.savefig(path, metadata={"Date": None})


def machine() -> str:
    """Returns what the figures depend on, in one line."""
    from whisperlab.device import hardware

    known = []
    for package in PACKAGES:
        try:
            known.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            known.append(f"no {package}")
    seen = hardware()
    return (
        f"{date.today()}, {seen['processor']}, {seen['usable_cores']} cores, load "
        f"{os.getloadavg()[0]:.1f}, Python {platform.python_version()}, {', '.join(known)}"
    )


def report(name: str, found: list[Measured], output: Path, command: str) -> None:
    """Writes table, plot and figures of one size."""
    content = "\n\n".join(
        part for part in (f"`{command}`\n\n{machine()}.", table(found), ratios(found)) if part
    )
    (output / f"{name}.md").write_text(f"## {name}\n\n{content}\n")
    draw(found, output / f"{name}.svg", name)
    stored = [
        {**asdict(one), "row": {key: str(value) for key, value in vars(one.row).items()}}
        for one in found
    ]
    (output / f"{name}.json").write_text(json.dumps(stored, indent=1))
    print(content)


def main() -> None:
    """Measures as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", nargs="+", default=["tiny"], choices=["tiny", "base", "small"])
    parser.add_argument("--checkpoint", help="a folder or a Hub id with real weights")
    parser.add_argument("--audio", type=Path, help="a folder of recordings, for real weights")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2, help="each is two passes, there and back")
    parser.add_argument(
        "--only", default="", help="a pattern that 'engine precision batch' matches"
    )
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    cache = asked.output / "checkpoints"
    cache.mkdir(parents=True, exist_ok=True)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(asked.threads)
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    cores = sorted(os.sched_getaffinity(0))[-asked.threads :]
    chosen = [
        number
        for number, row in enumerate(rows())
        if re.search(asked.only, f"{row.name} {row.precision} {row.batch}")
    ]
    wanted = {rows()[number].needs for number in chosen}
    for size in asked.sizes if asked.checkpoint is None else [Path(asked.checkpoint).name]:
        if asked.checkpoint is None:
            checkpoint = f"{size}-{asked.tokens}"
            source = random_checkpoint(cache / checkpoint, size, asked.tokens)
        else:
            from huggingface_hub import snapshot_download

            checkpoint, folder = size, Path(asked.checkpoint)
            source = folder if folder.is_dir() else Path(snapshot_download(asked.checkpoint))
        clips = clips_of(asked.audio, asked.seconds, max(row.batch for row in rows()))
        checkpoints = checkpoints_of(source.resolve(), checkpoint, cache.resolve(), wanted)
        found = measure(chosen, checkpoints, cores, asked.rounds, clips)
        if asked.checkpoint is None:
            for one in found:
                expected = asked.tokens + PROMPT_TOKENS - one.row.prompt_tokens
                if set(one.words) - {expected}:
                    one.reason, one.wall = f"expected {expected} words, got {one.words[:9]}", []
        name = f"{size}-{asked.seconds:.0f}s-{asked.threads}t"
        report(name, found, asked.output, f"python {' '.join(sys.argv)}")


if __name__ == "__main__":
    main()
