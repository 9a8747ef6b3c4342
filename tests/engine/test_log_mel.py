"""Our log-mel features are transformers', frame by frame, on recordings and on made-up sound."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from whisperlab.audio import Samples, decode
from whisperlab.engine.log_mel import HOP_SAMPLES, WINDOW_SAMPLES, LogMel, mel_filters

BIT_CLOSE = 1e-6
"""About eight steps of float32 at 1.0."""


def reference(samples: Samples, n_mels: int, length: int) -> NDArray[np.float64]:
    """transformers' numpy path, in float64, over the sound and the silence behind it."""
    padded = np.zeros(length, np.float32)
    padded[: len(samples)] = samples
    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    features: NDArray[np.float64] = extractor._np_extract_fbank_features(padded[None], "cpu")[0]
    return features


def noise(n_samples: int, seed: int = 0, amplitude: float = 0.1) -> Samples:
    generator = np.random.default_rng(seed)
    return (amplitude * generator.standard_normal(n_samples)).astype(np.float32)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_filters_are_those_of_librosa(n_mels: int) -> None:
    librosa = pytest.importorskip("librosa")
    expected = librosa.filters.mel(sr=16_000, n_fft=400, n_mels=n_mels, dtype=np.float64)
    # librosa keeps the triangles in float32 before it scales them
    assert np.abs(mel_filters(n_mels) - expected).max() < 1e-8


@pytest.mark.parametrize("n_mels", [80, 128])
def test_features_of_recordings_are_bit_close_to_the_reference(
    test_data: Path, n_mels: int
) -> None:
    log_mel = LogMel(n_mels)
    manifest = test_data / "english_dev" / "manifest.jsonl"
    entries = [json.loads(line) for line in manifest.read_text().splitlines()]
    for entry in entries[:: len(entries) // 8]:
        samples = decode(manifest.parent / entry["audio_filepath"]).samples[:WINDOW_SAMPLES]
        expected = reference(samples, n_mels, WINDOW_SAMPLES)
        assert np.abs(log_mel(samples) - expected).max() <= BIT_CLOSE, entry["id"]


@settings(max_examples=25, deadline=None)
@given(
    n_samples=st.one_of(
        st.integers(1, 2_000), st.integers(WINDOW_SAMPLES - 700, WINDOW_SAMPLES + 700)
    ),
    silence=st.integers(0, 700),
    amplitude=st.sampled_from([0.0, 1e-7, 1e-3, 1.0]),
)
def test_features_are_bit_close_wherever_the_sound_ends(
    n_samples: int, silence: int, amplitude: float
) -> None:
    samples = noise(n_samples, seed=n_samples, amplitude=amplitude)
    length = max(n_samples + silence, 201)
    features = LogMel(80)(samples, at_least=length)
    assert features.shape == (80, length // HOP_SAMPLES)
    assert features.dtype == np.float32
    assert np.abs(features - reference(samples, 80, length)).max() <= BIT_CLOSE


def test_quiet_bins_beside_loud_ones_are_bit_close() -> None:
    seconds = np.arange(16_000) / 16_000
    loud = 0.9 * np.sin(2 * np.pi * 440 * seconds) + 1e-4 * np.sin(2 * np.pi * 6_000 * seconds)
    samples = loud.astype(np.float32)
    assert np.abs(LogMel(80)(samples) - reference(samples, 80, WINDOW_SAMPLES)).max() <= BIT_CLOSE


@settings(max_examples=20, deadline=None)
@given(n_samples=st.integers(1, 40_000))
def test_silence_behind_a_sound_changes_none_of_its_frames(n_samples: int) -> None:
    samples = noise(n_samples)
    short, long = LogMel(80)(samples, at_least=48_000), LogMel(80)(samples)
    assert np.array_equal(short, long[:, : short.shape[1]])


@settings(max_examples=20, deadline=None)
@given(steps=st.integers(1, 50))
def test_a_sound_later_by_whole_hops_has_its_features_later(steps: int) -> None:
    quiet = np.zeros(400, np.float32)  # so that the mirror at the beginning shows nothing
    samples = np.concatenate([quiet, noise(8_000)])
    later = np.concatenate([np.zeros(steps * HOP_SAMPLES, np.float32), samples])
    at_once, shifted = LogMel(80)(samples), LogMel(80)(later)
    assert np.array_equal(at_once[:, :2_900], shifted[:, steps : 2_900 + steps])


def test_silence_has_one_value_everywhere() -> None:
    features = LogMel(80)(np.zeros(16_000, np.float32))
    assert set(np.unique(features)) == {np.float32((-10 + 4) / 4)}


def test_a_sound_longer_than_a_window_is_taken_whole() -> None:
    samples = noise(WINDOW_SAMPLES + 16_037)
    features = LogMel(80)(samples)
    assert features.shape == (80, len(samples) // HOP_SAMPLES)
    assert np.abs(features - reference(samples, 80, len(samples))).max() <= BIT_CLOSE


def test_a_long_sound_is_not_copied() -> None:
    samples = np.zeros(120 * 16_000, np.float32)
    log_mel = LogMel(80)
    tracemalloc.start()
    try:
        features = log_mel(samples)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most - features.nbytes < samples.nbytes / 2


def test_features_need_no_torch() -> None:
    code = (
        "import sys, numpy\nfrom whisperlab.engine.log_mel import LogMel\n"
        "LogMel(80)(numpy.zeros(16000, numpy.float32))\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
