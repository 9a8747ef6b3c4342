"""Writes the sets that ``figures.py`` measures besides FSDD's and the demo set, each with a manifest.

    python further_sets.py --fsdd ../../../shared/data/fsdd --output $WORK/further

``voices``: strings of the held-out espeak-ng voices. ``silence``: the short test strings behind 0 to
10 s of silence. ``joined-GAP``: twelve short test strings in one, GAP seconds between them.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Iterator

import numpy as np
import soundfile
from evaluate import RATE, Item, held_out_items, read_items

VOICES = 108
MOST_SILENCE_SECONDS = 10.0
GAPS_SECONDS = (0.6, 1.5, 3.0)
JOINED = 12


def behind_silence(short: list[Item]) -> Iterator[Item]:
    random = np.random.default_rng(5)
    for item in short:
        silence = np.zeros(int(random.uniform(0, MOST_SILENCE_SECONDS) * RATE), np.float32)
        seconds = len(silence) / RATE
        words = [
            {**word, "start": word["start"] + seconds, "end": word["end"] + seconds}
            for word in item["words"]
        ]
        yield {**item, "samples": np.concatenate([silence, item["samples"]]), "words": words}


def joined(short: list[Item], gap_seconds: float) -> Iterator[Item]:
    gap = np.zeros(int(gap_seconds * RATE), np.float32)
    for first in range(0, len(short) // JOINED * JOINED, JOINED):
        part = short[first : first + JOINED]
        pieces = [piece for item in part for piece in (item["samples"], gap)]
        yield {
            "id": f"joined-{first // JOINED}",
            "text": " ".join(item["text"] for item in part),
            "samples": np.concatenate(pieces[:-1]),
        }


def write(folder: pathlib.Path, name: str, items: Iterator[Item]) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    lines = []
    for item in items:
        path = f"{name}/{item['id']}.flac"
        soundfile.write(folder / path, item["samples"], RATE, subtype="PCM_16")
        row = {"id": item["id"], "audio_filepath": path, "text": item["text"]}
        lines.append(json.dumps(row | ({"words": item["words"]} if "words" in item else {})))
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{name}: {len(lines)}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fsdd", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    given = parser.parse_args()
    strings = read_items(given.fsdd / "test_strings.jsonl")
    short = [item for item in strings if item["kind"] == "short"]
    write(given.output, "voices", iter(held_out_items(VOICES)))
    write(given.output, "silence", behind_silence(short))
    for gap in GAPS_SECONDS:
        write(given.output, f"joined-{gap}", joined(short, gap))


if __name__ == "__main__":
    main()
