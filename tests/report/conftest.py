"""A finished run, made by hand, that the report's tests show."""

from __future__ import annotations

from pathlib import Path

import pytest

from whisperlab.experiment.result import Latency, Rate, RunCard, RunResult, Scores, Speed, Tally
from whisperlab.metric.alignment import Edit, align
from whisperlab.utterance import Failure, Outcome, State

CONFIG = {
    "model": {"name": "tiny.en", "source": "openai/whisper-tiny.en", "revision": "87c7102"},
    "engine": {"_target_": "whisperlab.engine.hf.HfSettings", "length_sort": False},
    "device": {"kind": "cpu"},
    "quantization": {"name": "none"},
    "preprocess": {
        "trim": {"_target_": "whisperlab.preprocess.trim.TrimSilence", "threshold_db": 40.0},
        "loudness": {
            "_target_": "whisperlab.preprocess.loudness.NormalizeLoudness",
            "method": "lufs",
            "target_db": -23.0,
        },
    },
    "segmentation": {"_target_": "whisperlab.segmentation.whole.Whole"},
    "decode": {"language": "en", "task": "transcribe", "timestamps": "segment", "beam_size": 1},
    "run_dir": "runs/0",
}

OUTCOMES = (
    Outcome(
        "a-10",
        State.OK,
        "The cat sat.",
        "a cat sat down",
        language="en",
        audio_seconds=2.0,
        timings={"total": 0.5, "encode": 0.3, "decode_tokens": 0.2},
        slices={"speaker": "p1", "source": "x/a-10"},
    ),
    Outcome(
        "a-9",
        State.OK,
        "Good morning.",
        "good morning",
        audio_seconds=1.0,
        timings={"total": 0.25, "encode": 0.2, "decode_tokens": 0.05},
        slices={"speaker": "p2", "source": "x/a-9"},
    ),
    Outcome(
        "b-1",
        State.FAILED,
        "never heard",
        "",
        slices={"speaker": "p1", "source": "x/b-1"},
        error=Failure("invalid_audio", "expected a RIFF header, got 4 zero bytes"),
    ),
    Outcome(
        "c-1",
        State.EMPTY,
        "",
        "",
        audio_seconds=3.0,
        timings={"total": 0.125, "encode": 0.125},
        slices={"speaker": "p2", "source": "x/c-1"},
    ),
)


@pytest.fixture
def result(tmp_path: Path) -> RunResult:
    """Four utterances: 2 errors of 5 words, one failure, one silence."""
    return RunResult(
        folder=tmp_path,
        card=RunCard(
            fingerprint="feedfacefeedface",
            configuration_hash="0123456789abcdef",
            config=CONFIG,
            dataset={"name": "demo", "sha256": "d1ce", "limit": None, "seed": 3},
            seed=17,
            command="python -m whisperlab.eval model=tiny.en 'preprocess=[trim,loudness]'",
            git={"commit": "c0ffee", "dirty": True},
            versions={"python": "3.11.2", "torch": "2.13.0"},
            model={
                "name": "tiny.en",
                "source": "openai/whisper-tiny.en",
                "revision": "87c7102",
                "licence": "Apache-2.0",
            },
            hardware={
                "processor": "Xeon",
                "memory_bytes": 2**31,
                "gpus": [],
                "torch_threads": None,
            },
            attempts=(
                {
                    "started": "2026-11-23T10:00:00+00:00",
                    "ended": "2026-11-23T10:05:00+00:00",
                    "end_reason": "finished",
                },
            ),
        ),
        scores=Scores(
            utterances=Tally(total=4, ok=2, empty=1, failed=1, truncated=0, timed_out=0),
            scores={
                "cer": Rate(0.25, 0.1, 0.4, 3, 2, 1, 24, 25, 0.5),
                "wer": Rate(0.4, 0.0, 0.66667, 1, 1, 0, 5, 6, 0.571429),
            },
            profile={"name": "basic", "hash": "ba51c"},
            speed=Speed(
                rtfx=6.857,
                batch_size=4,
                latency_seconds=Latency(0.25, 0.475, 0.495, 3),
                load_seconds=1.5,
                stages={"encode": 0.625, "decode_tokens": 0.25, "total": 0.875},
                resumed=False,
            ),
            memory={"process_peak_rss": 512 * 2**20, "device_allocated_peak": None},
            fingerprint="feedfacefeedface",
        ),
        outcomes=OUTCOMES,
    )


@pytest.fixture
def alignments() -> dict[str, tuple[Edit, ...]]:
    """Word alignments of the scored utterances, normalised."""
    return {
        "a-10": align(["the", "cat", "sat"], ["a", "cat", "sat", "down"]),
        "a-9": align(["good", "morning"], ["good", "morning"]),
        "c-1": (),
    }
