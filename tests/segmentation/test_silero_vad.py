"""Silero VAD: real speech is found, silence is not, pieces keep their limits."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from word_timeline import Oracle, assert_orderly

from whisperlab.audio import SAMPLE_RATE_HZ, Waveform, decode
from whisperlab.errors import AudioError, MissingExtraError
from whisperlab.segmentation.silero_vad import (
    FRAME_SAMPLES,
    LEAD_FRAMES,
    SileroVad,
    divided,
    merged,
    padded,
    speech_stretches,
)
from whisperlab.transcript import Transcript, Word

VAD = SileroVad(
    threshold=0.5,
    min_speech_seconds=0.1,
    min_silence_seconds=0.3,
    padding_seconds=0.2,
    max_seconds=30.0,
)


def rows(manifest: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]


def covered(words: list[Word], pieces: list[Waveform]) -> float:
    """Seconds of the words that lie in a piece."""
    return sum(
        max(0.0, min(word.end, piece.end) - max(word.start, piece.start))
        for word in words
        for piece in pieces
    )


def words_of(row: dict[str, Any]) -> list[Word]:
    listed = row.get("words") or [w for segment in row["segments"] or [] for w in segment["words"]]
    return [Word(word["start"], word["end"], word["word"]) for word in listed]


@pytest.mark.parametrize("samples", [1, 511, 512, 513, 40 * SAMPLE_RATE_HZ])
def test_pure_silence_has_no_piece_and_an_empty_transcript(samples: int) -> None:
    assert VAD.cut(Waveform(np.zeros(samples, dtype=np.float32))) == []
    assert VAD.join([], []) == Transcript("")


def test_white_noise_has_no_piece() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 10 * SAMPLE_RATE_HZ).astype(np.float32)
    assert VAD.cut(Waveform(noise)) == []


def test_the_words_of_long_recordings_are_covered_and_come_back(test_data: Path) -> None:
    folder = test_data / "english_dev"
    timed = [row for row in rows(folder / "longform.jsonl") if row["segments"]]
    assert timed
    for row in timed:
        sound, words = decode(folder / row["audio_filepath"]), words_of(row)
        pieces = VAD.cut(sound)
        assert covered(words, pieces) >= 0.95 * sum(word.end - word.start for word in words)
        assert all(piece.duration_seconds <= VAD.max_seconds for piece in pieces)
        assert all(a.end <= b.start + 1e-9 for a, b in itertools.pairwise(pieces))
        heard = [Oracle(words).hear(piece).shifted(piece.start) for piece in pieces]
        said = VAD.join(pieces, heard)
        assert_orderly(said, sound.duration_seconds)
        assert len(said.text.split()) >= 0.95 * len(words)


def test_the_words_of_digit_strings_are_covered(test_data: Path) -> None:
    strings = [row for row in rows(test_data / "fsdd/test_strings.jsonl") if row["words"]]
    spoken = heard = 0.0
    for row in strings[::6]:
        words = words_of(row)
        spoken += sum(word.end - word.start for word in words)
        heard += covered(words, VAD.cut(decode(test_data / "fsdd" / row["audio_filepath"])))
    assert heard >= 0.95 * spoken


def test_words_that_fill_their_recording_are_found(test_data: Path) -> None:
    """Without silence in front of it for the detector, 19 of these 180 have no piece, with it 1."""
    singles = rows(test_data / "fsdd/test.jsonl")
    lost = [
        row for row in singles if not VAD.cut(decode(test_data / "fsdd" / row["audio_filepath"]))
    ]
    assert len(lost) <= 0.02 * len(singles)


def test_silence_noise_hum_tones_and_clicks_have_no_piece(test_data: Path) -> None:
    """Two sweeps that begin at full level pass for speech."""
    silent = [
        row for row in rows(test_data / "fsdd/test_strings.jsonl") if row["kind"] == "nospeech"
    ]
    heard = [row for row in silent if VAD.cut(decode(test_data / "fsdd" / row["audio_filepath"]))]
    assert len(silent) == 20
    assert all("sweep" in row["audio_filepath"] for row in heard)


def test_quiet_speech_is_speech(test_data: Path) -> None:
    """FLEURS clips peak at 0.003."""
    folder = test_data / "english_dev"
    fleurs = [row for row in rows(folder / "manifest.jsonl") if row["domain"] == "fleurs"]
    assert fleurs
    for row in fleurs:
        sound = decode(folder / row["audio_filepath"])
        quiet = Waveform(sound.samples * np.float32(0.003 / np.abs(sound.samples).max()))
        assert sum(p.duration_seconds for p in VAD.cut(quiet)) >= 0.5 * sound.duration_seconds


def test_the_probabilities_are_those_of_the_package_s_own_loop(test_data: Path) -> None:
    """In a child process: importing silero_vad sets torch to one thread for good."""
    sound = (
        test_data
        / "english_dev"
        / rows(test_data / "english_dev/manifest.jsonl")[0]["audio_filepath"]
    )
    code = f"""
import numpy as np, torch
from silero_vad import load_silero_vad
from whisperlab.audio import decode
from whisperlab.segmentation import silero_vad as ours
samples = decode(__import__("pathlib").Path({str(sound)!r})).samples
lead = np.zeros({LEAD_FRAMES * FRAME_SAMPLES}, dtype=np.float32)
padded = torch.from_numpy(np.concatenate([lead, samples, lead, lead]))
theirs = load_silero_vad(onnx=True)
frames = [theirs(frame, 16000).item() for frame in padded.split({FRAME_SAMPLES})[:-1]]
probabilities = ours.speech_probabilities(ours.load_detector(), samples)
print(np.abs(np.array(frames)[{LEAD_FRAMES}:{LEAD_FRAMES} + len(probabilities)] - probabilities).max())
"""
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert float(finished.stdout) < 1e-4  # float32, another order of additions


def test_its_runtime_reports_to_nobody_and_leaves_no_file(tmp_path: Path) -> None:
    code = "from whisperlab.segmentation.silero_vad import load_detector; load_detector()"
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", code], env={**kept, "TMPDIR": str(tmp_path)}, check=True, timeout=300
    )
    assert list(tmp_path.iterdir()) == []


def test_using_it_leaves_torch_s_threads_alone() -> None:
    code = (
        "import numpy as np, torch; before = torch.get_num_threads(); torch.set_num_threads(2)\n"
        "from whisperlab.audio import Waveform\n"
        "from whisperlab.segmentation.silero_vad import SileroVad\n"
        "vad = SileroVad(threshold=0.5, min_speech_seconds=0.1, min_silence_seconds=0.3,\n"
        "                padding_seconds=0.2, max_seconds=30.0)\n"
        "vad.cut(Waveform(np.zeros(16000, dtype=np.float32)))\n"
        "print(torch.get_num_threads())"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "2"


def test_another_sample_rate_is_refused() -> None:
    with pytest.raises(AudioError, match="expected 16000 Hz") as caught:
        VAD.cut(Waveform(np.zeros(8_000, dtype=np.float32), sample_rate=8_000))
    assert caught.value.code == "invalid_sample_rate"


@pytest.mark.parametrize("package", ["silero_vad", "onnxruntime"])
def test_without_its_packages_it_says_how_to_install_them(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        sys.modules, package, None
    )  # what Python does for a package that is not there
    fresh = dataclasses.replace(VAD)  # has not read its model yet
    with pytest.raises(MissingExtraError, match=r"pip install 'whisperlab\[vad\]'"):
        fresh.cut(Waveform(np.zeros(1_600, dtype=np.float32)))


def test_building_it_needs_neither_package() -> None:
    code = "import sys, whisperlab.segmentation.silero_vad; print('onnxruntime' in sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("heard", "stretches"),
    [
        ([], []),
        ([0.1, 0.2], []),
        ([0.9, 0.9], [(0, 2)]),
        ([0.1, 0.9, 0.4, 0.4, 0.9, 0.1, 0.1], [(1, 5)]),  # 0.4 is above 0.5 - 0.15: still speech
        ([0.9, 0.9, 0.1, 0.9, 0.9, 0.1, 0.1], [(0, 5)]),  # one silent frame is a pause in a word
        ([0.9, 0.9, 0.1, 0.1, 0.9, 0.9], [(0, 2), (4, 6)]),
        ([0.9, 0.1, 0.1], []),  # shorter than two frames
        ([0.9, 0.9, 0.9, 0.1], [(0, 3)]),
    ],
)
def test_stretches_by_hand(heard: list[float], stretches: list[tuple[int, int]]) -> None:
    probabilities = np.array(heard, dtype=np.float32)
    assert speech_stretches(probabilities, 0.5, min_speech=2, min_silence=2) == stretches


def test_a_long_stretch_is_cut_where_speech_is_least_likely() -> None:
    probabilities = np.full(100, 0.9, dtype=np.float32)
    probabilities[5], probabilities[35], probabilities[75] = 0.1, 0.2, 0.3
    parts = divided((0, 100 * FRAME_SAMPLES), probabilities, longest=50 * FRAME_SAMPLES)
    middle = FRAME_SAMPLES // 2
    # frame 5 would leave a sliver: the first cut lies between frames 25 and 50
    assert parts[0] == (0, 35 * FRAME_SAMPLES + middle)
    assert parts[1] == (35 * FRAME_SAMPLES + middle, 75 * FRAME_SAMPLES + middle)
    assert parts[2] == (75 * FRAME_SAMPLES + middle, 100 * FRAME_SAMPLES)


@given(
    heard=st.lists(st.floats(0, 1, width=32), max_size=300),
    extra=st.integers(0, FRAME_SAMPLES - 1),
    padding=st.integers(0, 5_000),
    longest=st.integers(SAMPLE_RATE_HZ, 2 * SAMPLE_RATE_HZ),
)
def test_pieces_are_in_order_inside_the_sound_and_no_longer_than_allowed(
    heard: list[float], extra: int, padding: int, longest: int
) -> None:
    probabilities = np.array(heard, dtype=np.float32)
    length = max(0, len(heard) * FRAME_SAMPLES - extra)
    stretches = speech_stretches(probabilities, 0.5, min_speech=2, min_silence=3)
    spans = padded([(a * FRAME_SAMPLES, b * FRAME_SAMPLES) for a, b in stretches], padding, length)
    pieces = merged([p for span in spans for p in divided(span, probabilities, longest)], longest)
    time = 0
    for first, last in pieces:
        assert time <= first < last <= length
        assert last - first <= longest
        time = last
    for first, last in stretches:
        begin, end = first * FRAME_SAMPLES, min(last * FRAME_SAMPLES, length)
        assert sum(max(0, min(end, b) - max(begin, a)) for a, b in pieces) == end - begin


@pytest.mark.slow
def test_every_recording_of_real_english_has_a_piece(test_data: Path) -> None:
    folder = test_data / "english_dev"
    listed = rows(folder / "manifest.jsonl")
    assert [
        row["id"] for row in listed if not VAD.cut(decode(folder / row["audio_filepath"]))
    ] == []
