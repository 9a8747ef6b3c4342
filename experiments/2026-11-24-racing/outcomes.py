"""Exhaustive outcomes of 40 configurations over 100 utterances, kept as error counts alone.

    python experiments/2026-11-24-racing/outcomes.py pocketsphinx MANIFEST OUTPUT.csv
    python experiments/2026-11-24-racing/outcomes.py digits MANIFEST OUTPUT.csv

Appends one configuration at a time and goes on where it stopped. No text and no sound is kept.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from whisperlab.audio import Waveform, decode
from whisperlab.config.build import build_profile, build_transcriber
from whisperlab.config.compose import compose
from whisperlab.metric.alignment import count
from whisperlab.metric.score import align_pair

UTTERANCES = 100
SNR_DB = 10.0
COLUMNS = (
    "configuration",
    "overrides",
    "utterance",
    "audio_seconds",
    "words",
    "errors",
    "seconds",
    "cpu_seconds",
)
SPACES: dict[str, dict[str, list[str]]] = {
    "pocketsphinx": {
        "engine": ["pocketsphinx"],
        "engine.beam,engine.word_beam": [
            "1e-30,1e-18", "1e-24,1e-15", "1e-18,1e-11", "1e-13,1e-8", "1e-9,1e-6",
        ],
        "engine.language_weight": ["5.0", "6.5", "9.0", "12.0"],
        "preprocess": ["[]", "[denoise]"],
    },
    "digits": {
        "model": ["whisperlab-digits"],
        "quantization": ["none", "bfloat16", "dynamic_int8", "bnb_int8", "bnb_nf4"],
        "preprocess": ["[]", "[trim]", "[denoise]", "[telephone]"],
        "decode.beam_size": ["1", "3"],
    },
}  # fmt: skip
BASE = {
    "pocketsphinx": ["profile=whisper-english"],
    "digits": ["profile=basic", "decode.language=en"],
}


def configurations(name: str) -> list[list[str]]:
    """Returns the overrides of every configuration; a key with a comma sets several at once."""
    found = []
    for values in itertools.product(*SPACES[name].values()):
        overrides: list[str] = []
        for keys, value in zip(SPACES[name], values, strict=True):
            parts = value.split(",") if "," in keys else [value]
            overrides += [f"{key}={part}" for key, part in zip(keys.split(","), parts, strict=True)]
        found.append(overrides)
    return found


def sounds(name: str, manifest: Path) -> Iterator[tuple[str, str, Waveform]]:
    """Yields id, text and sound of the 100 shortest utterances with speech, noisy for pocketsphinx.

    VCTK's are left out: three words each, and nine in ten of them wrong at 10 dB.
    """
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    spoken = sorted(
        (row for row in rows if row["text"] and "VCTK" not in row.get("domain", "").upper()),
        key=lambda row: (row["duration"], row["id"]),
    )
    for row in spoken[:UTTERANCES]:
        sound = decode(manifest.parent / row["audio_filepath"])
        yield row["id"], row["text"], noisy(sound, row["id"]) if name == "pocketsphinx" else sound


def noisy(sound: Waveform, name: str) -> Waveform:
    """Returns the sound with pink noise at 10 dB, seeded by the utterance's id."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    spectrum = np.fft.rfft(random.standard_normal(sound.samples.size))
    spectrum /= np.sqrt(np.maximum(np.arange(spectrum.size), 1.0))
    noise = np.fft.irfft(spectrum, sound.samples.size)
    power = np.mean(sound.samples.astype(np.float64) ** 2) / 10 ** (SNR_DB / 10)
    mixed = sound.samples + noise * np.sqrt(power / np.mean(noise**2))
    peak = float(np.abs(mixed).max())
    return Waveform((mixed / max(peak, 1.0)).astype(np.float32), sound.sample_rate)


def main() -> None:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("space", choices=sorted(SPACES))
    parser.add_argument("manifest", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--utterances", type=int, default=UTTERANCES)
    given = parser.parse_args()
    done = set()
    if given.output.exists():
        with given.output.open(encoding="utf-8") as file:
            done = {int(row["configuration"]) for row in csv.DictReader(file)}
    material = list(sounds(given.space, given.manifest))[: given.utterances]
    for number, overrides in enumerate(configurations(given.space)):
        if number in done:
            continue
        config = compose("eval", [*BASE[given.space], *overrides])
        profile, transcriber = build_profile(config), build_transcriber(config)
        transcriber.load()
        rows = []
        started = perf_counter()
        for name, text, sound in material:
            began, cpu = perf_counter(), process_time()
            heard = transcriber.transcribe(sound).text
            wall, used = perf_counter() - began, process_time() - cpu
            counts = count(align_pair(profile, text, heard).edits)
            rows.append((
                number, " ".join(overrides), name, f"{sound.duration_seconds:.3f}",
                counts.reference_length, counts.errors, f"{wall:.3f}", f"{used:.3f}",
            ))  # fmt: skip
        with given.output.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(COLUMNS)
            writer.writerows(rows)
        words, errors = sum(int(row[4]) for row in rows), sum(int(row[5]) for row in rows)
        cpu_total = sum(float(row[7]) for row in rows)
        print(
            number,
            overrides,
            f"WER {100 * errors / words:.2f} %",
            f"{perf_counter() - started:.0f} s, CPU {cpu_total:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
