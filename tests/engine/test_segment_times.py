"""Times of segments and words, whatever is heard: in order, never overlapping, inside the sound."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_whisper import save_random_whisper

from whisperlab.audio import Samples, Waveform, decode
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.engine.model import EMBEDDED_FOLDER
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import Transcript

RATE_HZ = 16_000
DIGITS = EMBEDDED_FOLDER / "whisperlab-digits"
CAP = 24
"""Tokens a window: random weights and unknown speech loop until there is no more room."""

PIECES = st.lists(
    st.tuples(st.integers(0, 999), st.floats(0.05, 1.0), st.floats(0.0, 6.0)),
    min_size=1,
    max_size=8,
)
"""Which recording, at what gain, with how many seconds of silence behind it."""


@pytest.fixture(scope="session")
def random_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_whisper(tmp_path_factory.mktemp("whisper") / "tiny", "tiny")


@pytest.fixture(scope="session")
def recordings(test_data: Path) -> list[Samples]:
    """Digits, strings, no speech, and real English, which loops."""
    manifest = test_data / "fsdd" / "test_strings.jsonl"
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    paths = [manifest.parent / row["audio_filepath"] for row in rows[::7]]
    paths += sorted((test_data / "english_dev" / "audio").glob("*.flac"))[::26]
    return [decode(path).samples for path in paths]


@cache
def transcriber(folder: Path, timestamps: str) -> Transcriber:
    return build_transcriber(
        compose(
            "transcriber",
            [
                f"model.source={folder}", "model.revision=null", "device=cpu",
                "decode.language=en", f"decode.timestamps={timestamps}",
                f"decode.max_new_tokens={CAP}",
            ],
        )
    )  # fmt: skip


def scene(recordings: list[Samples], pieces: list[tuple[int, float, float]]) -> Waveform:
    parts: list[Samples] = []
    for number, gain, silence in pieces:
        parts.append(gain * recordings[number % len(recordings)])
        parts.append(np.zeros(round(silence * RATE_HZ), dtype=np.float32))
    return Waveform(np.concatenate(parts).astype(np.float32))


def check(transcript: Transcript | None, duration_seconds: float) -> None:
    assert transcript is not None
    cursor = 0.0
    for segment in transcript.segments:
        assert cursor <= segment.start <= segment.end <= duration_seconds
        cursor = segment.start
        for word in segment.words:
            assert cursor <= word.start <= word.end <= segment.end
            cursor = word.end
        cursor = segment.end


def check_scene(
    recordings: list[Samples], folder: Path, timestamps: str, pieces: list[tuple[int, float, float]]
) -> None:
    sound = scene(recordings, pieces)
    for recognition in transcriber(folder, timestamps).recognise([sound]):
        check(recognition.transcript, sound.duration_seconds)


QUIET = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)


@settings(max_examples=6, deadline=None, suppress_health_check=QUIET)
@given(pieces=PIECES)
def test_segments_and_words_stay_in_order_and_inside(
    recordings: list[Samples], pieces: list[tuple[int, float, float]]
) -> None:
    check_scene(recordings, DIGITS, "word", pieces)


@pytest.mark.slow
@pytest.mark.parametrize("timestamps", ["segment", "word"])
@settings(max_examples=30, deadline=None, suppress_health_check=QUIET)
@given(pieces=PIECES)
def test_segments_and_words_stay_in_order_and_inside_for_many_scenes(
    recordings: list[Samples], timestamps: str, pieces: list[tuple[int, float, float]]
) -> None:
    check_scene(recordings, DIGITS, timestamps, pieces)


@pytest.mark.slow
@pytest.mark.parametrize("timestamps", ["segment", "word"])
@settings(max_examples=10, deadline=None, suppress_health_check=QUIET)
@given(pieces=PIECES)
def test_random_weights_keep_segments_and_words_in_order_too(
    recordings: list[Samples],
    random_tiny: Path,
    timestamps: str,
    pieces: list[tuple[int, float, float]],
) -> None:
    check_scene(recordings, random_tiny, timestamps, pieces)


def test_words_of_a_window_that_begins_behind_the_sound_are_put_at_its_end(
    recordings: list[Samples], random_tiny: Path
) -> None:
    """Timestamps of random weights lead ``generate`` on into the padding of a short sound."""
    sound = Waveform(recordings[0][: 4 * RATE_HZ])
    transcript = transcriber(random_tiny, "word").transcribe(sound)
    check(transcript, sound.duration_seconds)
    assert transcript.segments[-1].start == sound.duration_seconds
