"""Are the engine's tokens those of a plain ``generate`` call? Every file, every way of decoding.

    python benchmarks/token_equality.py --data ../shared/data --output OUT [--sets digits,strings]

The one side is the whole Transcriber as the configuration builds it; the other is transformers'
``WhisperProcessor`` and ``WhisperForConditionalGeneration.generate``, written below from their
documentation without anything of ``whisperlab.engine``. Both hear the same samples, float32, on the
processor. A set is compared in parts; a part that stands in OUT/parts.jsonl is not done again, so
the command can be stopped and repeated. Writes OUT/table.md and OUT/table.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from whisperlab.audio import Waveform, decode
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.transcriber import Transcriber

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ROOT / "whisperlab" / "engine" / "embedded" / "whisperlab-digits"
DEMO = ROOT / "whisperlab" / "dataset" / "demo" / "manifest.jsonl"

BATCHES = (1, 8)
BEAMS = (1, 5)
TIMESTAMPS = ("none", "segment")
PART = 240
"""Files that are compared, and noted, together; a multiple of every batch size."""
RATE_HZ = 16_000
WINDOW_SAMPLES = 30 * RATE_HZ
ENGLISH_FILES = 50
LOOP_CAP = 100
"""New tokens a window for speech that whisperlab-digits does not know: it loops long before."""
RANDOM_FILES = 8
RANDOM_CAP = 32
"""New tokens a window for random weights, which seldom end by themselves."""
LONG_GAP = 0.6
"""Seconds of silence between joined strings."""

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """A checkpoint, and the cap on its tokens (``None``: what fits the decoder)."""

    name: str
    folder: Path
    max_new_tokens: int | None


@dataclass(frozen=True)
class Way:
    """One way of decoding."""

    batch: int
    beams: int
    timestamps: str


@dataclass(frozen=True)
class Part:
    """What one comparison of up to ``PART`` files found; ``unequal`` names the files that differ."""

    model: str
    set: str
    batch: int
    beams: int
    timestamps: str
    first: int
    files: int
    equal: int
    unequal: tuple[str, ...]
    tokens: int
    wall_seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Sound:
    """A file, or several joined, decoded."""

    name: str
    samples: Samples


@cache
def plain(folder: Path) -> tuple[Any, Any]:
    """Returns the independent side's model and processor."""
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), WhisperProcessor.from_pretrained(folder)


def generated(model: Model, batch: Sequence[Samples], way: Way) -> list[list[int]]:
    """Returns what ``generate`` gives for ``batch``, without what pads the rows.

    Sounds of one window and longer ones are two calls: in one, ``generate`` would decode all as long.
    """
    found: dict[int, list[int]] = {}
    for long_form in (False, True):
        chosen = [n for n, one in enumerate(batch) if (len(one) > WINDOW_SAMPLES) == long_form]
        if chosen:
            rows = rows_of(model, [batch[n] for n in chosen], way, long_form=long_form)
            found.update(zip(chosen, rows, strict=True))
    return [found[n] for n in range(len(batch))]


def rows_of(
    model: Model, batch: Sequence[Samples], way: Way, *, long_form: bool
) -> list[list[int]]:
    """Returns the rows of one call of ``generate``."""
    network, processor = plain(model.folder)
    options: dict[str, Any] = {
        "language": "en",
        "task": "transcribe",
        "num_beams": way.beams,
        "return_timestamps": way.timestamps == "segment" or long_form,
    }
    if model.max_new_tokens is not None:
        options["max_new_tokens"] = model.max_new_tokens
    extra: dict[str, Any] = {}
    if long_form:
        extra = {"truncation": False, "padding": "longest", "return_attention_mask": True}
    inputs = processor(list(batch), sampling_rate=RATE_HZ, return_tensors="pt", **extra)
    with torch.no_grad():
        rows = network.generate(**inputs, **options)
    end = network.generation_config.eos_token_id
    found = rows.tolist()
    for row in found:
        while row and row[-1] == end:
            row.pop()
    return [list(row) for row in found]


@cache
def transcriber(model: Model, beams: int, timestamps: str) -> Transcriber:
    """Returns our side."""
    overrides = [
        f"model.source={model.folder}", "model.revision=null", "device=cpu", "decode.language=en",
        f"decode.beam_size={beams}", f"decode.timestamps={timestamps}",
    ]  # fmt: skip
    if model.max_new_tokens is not None:
        overrides.append(f"decode.max_new_tokens={model.max_new_tokens}")
    return build_transcriber(compose("transcriber", overrides))


def recognised(model: Model, batch: Sequence[Samples], way: Way) -> list[list[int]]:
    """Returns the tokens that the Transcriber gives for ``batch``."""
    built = transcriber(model, way.beams, way.timestamps)
    found = []
    for recognition in built.recognise([Waveform(samples) for samples in batch]):
        if recognition.transcript is None:
            raise SystemExit(f"the engine failed: {recognition.error}")
        segments = recognition.transcript.segments
        found.append([token for segment in segments for token in segment.tokens])
    return found


def read(manifest: Path) -> list[dict[str, Any]]:
    """Returns the rows of a manifest, each with its ``path``."""
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    return [{**row, "path": manifest.parent / row["audio_filepath"]} for row in rows]


def heard(rows: Sequence[dict[str, Any]]) -> Iterator[Sound]:
    """Yields the rows' sounds, decoded when they are needed."""
    for row in rows:
        yield Sound(row["id"], decode(row["path"]).samples)


def joined(rows: Sequence[dict[str, Any]], count: int) -> Iterator[Sound]:
    """Yields the sounds of ``count`` rows at a time in one, with ``LONG_GAP`` between them."""
    gap = np.zeros(round(LONG_GAP * RATE_HZ), dtype=np.float32)
    for first in range(0, len(rows) // count * count, count):
        chosen = rows[first : first + count]
        parts = [part for sound in heard(chosen) for part in (sound.samples, gap)]
        yield Sound(f"{chosen[0]['id']}+{count - 1}", np.concatenate(parts[:-1]))


def sounds(data: Path, name: str) -> Iterator[Sound]:
    """Yields the sounds of the set ``name``."""
    fsdd = data / "fsdd"
    if name in ("digits", "train"):
        yield from heard(read(fsdd / ("test.jsonl" if name == "digits" else "train.jsonl")))
    elif name == "strings":
        yield from heard(read(fsdd / "test_strings.jsonl"))
    elif name == "demo":
        yield from heard(read(DEMO))
    elif name == "long":
        rows = [row for row in read(fsdd / "test_strings.jsonl") if row["kind"] != "nospeech"]
        yield from joined(rows, 30)  # four of 3 to 6 minutes
        yield from joined(rows[:60], 15)  # four of half that length, for a batch of eight
    else:
        rows = [row for row in read(data / "english_dev" / "manifest.jsonl")
                if row["duration"] <= WINDOW_SAMPLES / RATE_HZ]  # fmt: skip
        if name == "english":
            yield from heard(rows[:: len(rows) // ENGLISH_FILES][:ENGLISH_FILES])
        elif name == "english-random":
            yield from heard(rows[:: len(rows) // RANDOM_FILES][:RANDOM_FILES])
        else:
            yield from joined(rows[:12], 6)  # "english-long": two of about a minute


DIGIT_SETS = ("digits", "strings", "demo", "long", "english", "train")
LOOPING_SETS = ("demo", "english")
RANDOM_SETS = ("english-random", "english-long")


def compare(model: Model, name: str, way: Way, first: int, part: Sequence[Sound]) -> Part:
    """Returns what comparing ``part`` found."""
    started, worked = perf_counter(), process_time()
    unequal: list[str] = []
    tokens = 0
    for begin in range(0, len(part), way.batch):
        batch = part[begin : begin + way.batch]
        samples = [sound.samples for sound in batch]
        pairs = zip(
            batch, generated(model, samples, way), recognised(model, samples, way), strict=True
        )
        for sound, wanted, got in pairs:
            tokens += len(wanted)
            if wanted != got:
                unequal.append(sound.name)
    return Part(
        model=model.name, set=name, batch=way.batch, beams=way.beams, timestamps=way.timestamps,
        first=first, files=len(part), equal=len(part) - len(unequal), unequal=tuple(unequal),
        tokens=tokens, wall_seconds=round(perf_counter() - started, 1),
        cpu_seconds=round(process_time() - worked, 1),
    )  # fmt: skip


def random_model(size: str, folder: Path) -> Model:
    """Returns a random-weight checkpoint of a real size, written unless it is there."""
    sys.path.append(str(ROOT / "tests"))  # its writer is the tests'
    from random_whisper import save_random_whisper

    if not (folder / "model.safetensors").is_file():
        save_random_whisper(folder, size)
    return Model(f"random {size}", folder, RANDOM_CAP)


def plan(output: Path, chosen: Sequence[str]) -> Iterator[tuple[Model, str]]:
    """Yields which model hears which set."""
    for name in DIGIT_SETS:
        if name in chosen:
            cap = LOOP_CAP if name in LOOPING_SETS else None
            yield Model("whisperlab-digits", DIGITS, cap), name
    for size in ("tiny", "base"):
        for name in RANDOM_SETS:
            if name in chosen:
                yield random_model(size, output / f"random-{size}"), name


def load_parts(path: Path) -> list[Part]:
    """Returns the parts that were compared before."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Part(**{**fields, "unequal": tuple(fields["unequal"])})
            for fields in map(json.loads, lines)]  # fmt: skip


def write_tables(output: Path, parts: Sequence[Part]) -> str:
    """Writes both tables; returns the one in markdown: equal/all files for each way."""
    ways = [Way(*way) for way in itertools.product(BATCHES, BEAMS, TIMESTAMPS)]
    heads = [
        f"batch {way.batch}, {'greedy' if way.beams == 1 else f'beam {way.beams}'}, "
        f"{'times' if way.timestamps == 'segment' else 'no times'}"
        for way in ways
    ]
    lines = [f"| model | files | {' | '.join(heads)} | tokens |",
             f"|{'---|' * (len(heads) + 3)}"]  # fmt: skip
    rows = []
    for model, name in dict.fromkeys((part.model, part.set) for part in parts):
        cells, tokens = [], 0
        for way in ways:
            of_way = [part for part in parts if (part.model, part.set) == (model, name)
                      and Way(part.batch, part.beams, part.timestamps) == way]  # fmt: skip
            files, equal = sum(p.files for p in of_way), sum(p.equal for p in of_way)
            tokens += sum(p.tokens for p in of_way)
            cells.append(f"{equal}/{files}" if of_way else "–")
            if of_way:
                rows.append({"model": model, "set": name, **asdict(way), "equal": equal,
                             "files": files,
                             "unequal": [u for p in of_way for u in p.unequal]})  # fmt: skip
        lines.append(f"| {model} | {name} | {' | '.join(cells)} | {tokens:,} |")
    notes = {
        "transformers": transformers.__version__, "torch": torch.__version__,
        "python": platform.python_version(), "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "cpu_seconds": round(sum(part.cpu_seconds for part in parts)),
    }  # fmt: skip
    table = "\n".join(lines) + "\n"
    (output / "table.md").write_text(table, encoding="utf-8")
    (output / "table.json").write_text(
        json.dumps({"notes": notes, "rows": rows}, indent=1) + "\n", encoding="utf-8"
    )
    return table


def main() -> None:
    """Compares what is missing and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with fsdd/")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sets", default=",".join((*DIGIT_SETS, *RANDOM_SETS)))
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    given.output.mkdir(parents=True, exist_ok=True)
    transformers.utils.logging.set_verbosity_error()  # generate logs two lines a call
    notes = given.output / "parts.jsonl"
    parts = load_parts(notes)
    done = {(p.model, p.set, p.batch, p.beams, p.timestamps, p.first) for p in parts}
    for model, name in plan(given.output, given.sets.split(",")):
        all_sounds = sounds(given.data, name)
        for number in itertools.count():
            part = list(itertools.islice(all_sounds, PART))
            if not part:
                break
            for way in (Way(*way) for way in itertools.product(BATCHES, BEAMS, TIMESTAMPS)):
                key = (model.name, name, way.batch, way.beams, way.timestamps, number * PART)
                if key in done:
                    continue
                found = compare(model, name, way, number * PART, part)
                with notes.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(found)) + "\n")
                parts.append(found)
                print(found, flush=True)
    print(write_tables(given.output, parts))


if __name__ == "__main__":
    main()
