"""Recordings for a page: linked by a path that leads there, or embedded as sound that decodes."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile

from whisperlab.audio import decode
from whisperlab.report.clips import EMBED_UP_TO_SECONDS, Placement, clips


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "audio" / "häng up #1.wav"
    path.parent.mkdir()
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    soundfile.write(path, tone.astype(np.float32), 16_000)
    return path


def test_a_link_leads_from_the_page_to_the_file(recording: Path, tmp_path: Path) -> None:
    found = clips({"a": recording}, 1.0, tmp_path / "out" / "here", "link")
    address = found.addresses["a"]
    assert address == "../../audio/h%C3%A4ng%20up%20%231.wav"
    assert (tmp_path / "out" / "here" / unquote(address)).resolve() == recording.resolve()
    assert "linked" in found.note


@pytest.mark.parametrize("as_bytes", [False, True], ids=["file", "bytes"])
def test_embedded_sound_is_the_recording(recording: Path, tmp_path: Path, as_bytes: bool) -> None:
    source = recording.read_bytes() if as_bytes else recording
    (address,) = clips({"a": source}, 1.0, tmp_path, "embed").addresses.values()
    kind, _, encoded = address.partition(";base64,")
    assert kind == "data:audio/ogg"
    waveform = decode(base64.b64decode(encoded))
    assert len(waveform.samples) / waveform.sample_rate == pytest.approx(1.0, abs=0.05)
    spectrum = np.abs(np.fft.rfft(waveform.samples[:16_000]))
    assert int(spectrum.argmax()) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    ("placement", "seconds", "expected"),
    [
        ("auto", EMBED_UP_TO_SECONDS, "data:"),
        ("auto", EMBED_UP_TO_SECONDS + 1, "audio/"),
        ("link", 1.0, "audio/"),
        ("embed", EMBED_UP_TO_SECONDS + 1, "data:"),
    ],
)
def test_small_sets_are_embedded_unless_told(
    recording: Path, tmp_path: Path, placement: Placement, seconds: float, expected: str
) -> None:
    found = clips({"a": recording}, seconds, tmp_path, placement)
    assert found.addresses["a"].startswith(expected)


def test_sound_that_cannot_be_decoded_is_left_out(recording: Path, tmp_path: Path) -> None:
    found = clips({"a": recording, "b": b"no sound at all"}, 1.0, tmp_path, "embed")
    assert list(found.addresses) == ["a"]


def test_bytes_cannot_be_linked_and_the_note_says_what_to_do(tmp_path: Path) -> None:
    found = clips({"a": b"RIFF"}, 1.0, tmp_path, "link")
    assert (found.addresses, "--audio embed" in found.note) == ({}, True)


def test_no_audio_is_no_audio(recording: Path, tmp_path: Path) -> None:
    assert clips({"a": recording}, 1.0, tmp_path, "none").addresses == {}
