"""The demo set inside the package."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from whisperlab.dataset.demo import FOLDER, DemoDataset, Part
from whisperlab.dataset.protocol import Dataset
from whisperlab.utterance import Utterance

DIGITS = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
CHECKOUT = Path(__file__).parents[2]


def seconds(utterance: Utterance) -> float:
    assert isinstance(utterance.audio, Path)
    return float(soundfile.info(utterance.audio).duration)


def test_the_whole_set_is_what_it_says() -> None:
    dataset = DemoDataset(part="all")
    assert isinstance(dataset, Dataset)
    utterances = list(dataset)
    assert len(dataset) == len(utterances) >= 40
    kinds = Counter(one.slices["kind"] for one in utterances)
    assert kinds == {"sentence": 22, "digits": 24, "long": 2, "silence": 1, "noise": 1}
    for one in utterances:
        assert one.declared_seconds == pytest.approx(seconds(one), abs=1e-4)
        assert (one.reference == "") == (one.slices["kind"] in ("silence", "noise"))
        assert (seconds(one) > 30) == (one.slices["kind"] == "long")


@pytest.mark.parametrize(
    ("part", "count"),
    [("all", 50), ("speech", 48), ("sentences", 22), ("digits", 24), ("long", 2), ("nospeech", 2)],
)
def test_a_part_is_counted_as_it_is_yielded(part: Part, count: int) -> None:
    dataset = DemoDataset(part=part)
    assert len(list(dataset)) == len(dataset) == count
    assert dataset.identity()["utterances"] == count


def test_parts_have_different_identities_and_subsets_stay_inside() -> None:
    parts: tuple[Part, ...] = ("all", "speech", "digits")
    assert len({DemoDataset(part=one).identity()["utterances_sha256"] for one in parts}) == 3
    five = list(DemoDataset(part="digits", subset=5, seed=0))
    assert len(five) == 5
    assert {one.slices["kind"] for one in five} == {"digits"}


def test_digit_strings_are_one_to_ten_digit_words_by_held_out_voices() -> None:
    utterances = list(DemoDataset(part="digits"))
    words = [one.reference.split() for one in utterances]
    assert {word for one in words for word in one} == DIGITS
    assert {len(one) for one in words} == set(range(1, 11))
    held_out = CHECKOUT / "experiments/2026-11-23-whisperlab-digits/held_out_voices.json"
    voices = set(json.loads(held_out.read_text())["voices"])
    assert {one.slices["voice"] for one in utterances} <= voices


def test_silence_is_digital_silence_and_nothing_clips() -> None:
    for one in DemoDataset(part="all"):
        assert isinstance(one.audio, Path)
        samples, rate = soundfile.read(one.audio, dtype="float32")
        assert rate == 16_000
        assert samples.ndim == 1
        peak = float(np.abs(samples).max())
        if one.slices["kind"] == "silence":
            assert peak == 0.0
        elif one.slices["kind"] == "noise":
            # Deviation 0.01 of full scale; of 80,000 normal samples none lies beyond 5.5 of it.
            assert 0.03 < peak < 0.055
        else:
            assert 0.2 < peak < 0.99


def test_the_folder_holds_the_manifest_and_its_recordings_in_under_3_mb() -> None:
    named = {one.audio for one in DemoDataset(part="all")}
    assert named == set(FOLDER.glob("*.flac"))
    assert {one.name for one in FOLDER.iterdir() if one.suffix != ".flac"} == {"manifest.jsonl"}
    assert sum(one.stat().st_size for one in FOLDER.iterdir()) < 3_000_000
