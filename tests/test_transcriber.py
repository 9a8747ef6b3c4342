"""The Transcriber: source time, pieces in batches, failures that stay with their sound, timeouts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile

from whisperlab.audio import SAMPLE_RATE_HZ, Samples, Waveform
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import SilentWatch, Watch
from whisperlab.engine.replay import ReplaySettings
from whisperlab.errors import (
    AudioError,
    ConfigError,
    InferenceError,
    ModelError,
    OutOfMemoryError,
    UnsupportedOptionError,
)
from whisperlab.preprocess.protocol import Preprocessor
from whisperlab.preprocess.trim import TrimSilence
from whisperlab.segmentation.fixed import FixedWindows
from whisperlab.segmentation.protocol import Segmentation
from whisperlab.segmentation.silero_vad import SileroVad
from whisperlab.segmentation.whole import WholeUtterance
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import Finish, Segment, Transcript, Word

BLOCK_SECONDS = 0.1
POISON = 0.9
"""A level at which the beep engine fails, as a real one fails on one sound of a batch."""


@dataclass
class BeepEngine:
    """Hears beeps: every run of loud 0.1 s blocks is one word, ``beep`` and its length in blocks.

    It fails on a batch that holds a sound at level POISON, asks the watch before every block, and
    takes ``seconds_a_block`` for each. ``batches`` are the sizes it was called with.
    """

    seconds_a_block: float = 0.0
    failure: Exception = field(default_factory=lambda: RuntimeError("a kernel\n failed"))
    most_at_once: int = 1_000
    batches: list[int] = field(default_factory=list)
    blocks_heard: int = 0
    sample_rate: int = SAMPLE_RATE_HZ

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        self.batches.append(len(batch))
        if len(batch) > self.most_at_once:
            raise OutOfMemoryError(f"{len(batch)} sounds do not fit")
        if any(np.abs(waveform.samples).max(initial=0.0) >= POISON for waveform in batch):
            raise self.failure
        return [self._hear(index, waveform, watch) for index, waveform in enumerate(batch)]

    def _hear(self, index: int, waveform: Waveform, watch: Watch) -> Transcript:
        block = round(BLOCK_SECONDS * waveform.sample_rate)
        loud: list[bool] = []
        finish = Finish.COMPLETE
        for first in range(0, len(waveform.samples), block):
            if watch.cancelled(index):
                finish = Finish.CANCELLED
                break
            time.sleep(self.seconds_a_block)
            self.blocks_heard += 1
            loud.append(bool(np.abs(waveform.samples[first : first + block]).max() > 0.1))
        words: list[Word] = []
        for place, is_loud in enumerate(loud):
            start, end = place * BLOCK_SECONDS, (place + 1) * BLOCK_SECONDS
            if is_loud and place and loud[place - 1]:
                words[-1] = Word(words[-1].start, end, words[-1].text)
            elif is_loud:
                words.append(Word(start, end, ""))
        words = [
            Word(word.start, word.end, f" beep{round((word.end - word.start) / BLOCK_SECONDS)}")
            for word in words
        ]
        segments = tuple(Segment(word.start, word.end, word.text, words=(word,)) for word in words)
        for segment in segments:
            watch.segment(index, segment, final=True)
        text = "".join(word.text for word in words).strip()
        return Transcript(text, "en", segments, finish, {"decode_tokens": 0.25})


@dataclass(frozen=True)
class BeepSettings:
    """Settings whose ``load`` returns the one engine they hold."""

    engine: BeepEngine

    def load(self) -> BeepEngine:
        return self.engine

    def check(self, options: DecodeOptions) -> None:
        """Honours everything."""


@dataclass(frozen=True)
class FailsOnShortSound:
    """A user's preprocessor with a bug: it divides by the seconds beyond the first."""

    error: type[Exception]

    def __call__(self, waveform: Waveform) -> Waveform:
        if waveform.duration_seconds < 1:
            raise self.error("too short for this step")
        return waveform


@dataclass
class Listener:
    """Notes what reaches a caller's watch; cancels the sounds named."""

    cancel: frozenset[int] = frozenset()
    heard: list[tuple[int, float, float]] = field(default_factory=list)

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        self.heard.append((index, round(segment.start, 6), round(segment.end, 6)))

    def cancelled(self, index: int) -> bool:
        return index in self.cancel


def beeps(*spans: tuple[float, float], seconds: float, level: float = 0.5) -> Waveform:
    """Silence with beeps from ``start`` to ``end`` seconds."""
    samples: Samples = np.zeros(round(seconds * SAMPLE_RATE_HZ), dtype=np.float32)
    for start, end in spans:
        samples[round(start * SAMPLE_RATE_HZ) : round(end * SAMPLE_RATE_HZ)] = level
    return Waveform(samples)


def transcriber(
    engine: BeepEngine | None = None,
    segmentation: Segmentation | None = None,
    *preprocessors: Preprocessor,
    timeout_seconds: float | None = None,
) -> Transcriber:
    return Transcriber(
        BeepSettings(engine if engine is not None else BeepEngine()),
        segmentation if segmentation is not None else WholeUtterance(),
        preprocessors,
        DecodeOptions(timeout_seconds=timeout_seconds),
    )


def times(transcript: Transcript | None) -> list[tuple[float, float]]:
    assert transcript is not None
    return [(round(s.start, 6), round(s.end, 6)) for s in transcript.segments]


TRIM = TrimSilence(threshold_db=40.0, margin_seconds=0.1)
WINDOWS = FixedWindows(window_seconds=2.0, overlap_seconds=1.0)


def test_the_model_is_loaded_on_first_use_and_once() -> None:
    lab = transcriber()
    assert lab.load_seconds is None
    assert lab.load() is lab.load()
    assert lab.load_seconds is not None


def test_times_are_those_of_the_source_after_trimming() -> None:
    sound = beeps((2.0, 2.3), (3.0, 3.1), seconds=5.0)
    plain = transcriber().transcribe(sound)
    trimmed = transcriber(None, None, TRIM).transcribe(sound)
    assert plain.text == trimmed.text == "beep3 beep1"
    assert times(plain) == times(trimmed) == [(2.0, 2.3), (3.0, 3.1)]
    assert trimmed.segments[0].words[0].start == pytest.approx(2.0)


def test_times_are_those_of_the_source_after_trimming_and_cutting() -> None:
    sound = beeps((2.0, 2.3), (4.3, 4.8), (6.0, 6.1), (8.8, 9.0), seconds=12.0)
    said = transcriber(None, WINDOWS, TRIM).transcribe(sound)
    assert said.text == "beep3 beep5 beep1 beep2"
    assert times(said) == [(2.0, 2.3), (4.3, 4.8), (6.0, 6.1), (8.8, 9.0)]


def test_segments_reach_the_watch_as_they_come_in_source_time_under_the_caller_s_index() -> None:
    listener = Listener()
    first, second = beeps((1.0, 1.2), seconds=2.0), beeps((2.5, 2.6), seconds=3.0)
    transcriber(None, None, TRIM).recognise([first, second], listener)
    assert listener.heard == [(0, 1.0, 1.2), (1, 2.5, 2.6)]


def test_pieces_of_several_sounds_go_through_the_engine_in_batches() -> None:
    engine = BeepEngine()
    long, short = beeps((0.2, 0.4), (4.1, 4.6), seconds=5.0), beeps((0.3, 0.4), seconds=1.0)
    done = transcriber(engine, WINDOWS).recognise([long, short])
    assert engine.batches == [2, 2, 1]  # 4 pieces and 1
    assert [r.transcript.text for r in done if r.transcript] == ["beep2 beep5", "beep1"]
    assert [r.batch_size for r in done] == [2, 1]
    assert done[0].timings["decode_tokens"] == pytest.approx(4 * 0.25)
    assert done[0].audio_seconds == 5.0


def test_sound_without_speech_has_no_piece_and_an_empty_transcript() -> None:
    engine = BeepEngine()
    vad = SileroVad(
        threshold=0.5,
        min_speech_seconds=0.1,
        min_silence_seconds=0.3,
        padding_seconds=0.2,
        max_seconds=30.0,
    )
    done = transcriber(engine, vad).recognise([beeps(seconds=1.0), beeps(seconds=2.0)])
    assert [r.transcript for r in done] == [Transcript(""), Transcript("")]
    assert [r.error for r in done] == [None, None]
    assert all(r.timings["total"] >= r.timings["preprocess"] > 0 for r in done)
    assert engine.batches == []


def test_no_sounds_give_no_results() -> None:
    assert transcriber().recognise([]) == []


@pytest.mark.parametrize("segmentation", [WholeUtterance(), WINDOWS], ids=["whole", "windows"])
@pytest.mark.parametrize("place", range(5))
def test_a_sound_the_engine_fails_on_never_harms_its_neighbours(
    place: int, segmentation: Segmentation
) -> None:
    sounds = [beeps((0.2, 0.2 + 0.1 * (k + 1)), seconds=2.5) for k in range(5)]
    alone = [transcriber(None, segmentation).transcribe(sound) for sound in sounds]
    sounds[place] = beeps((0.2, 0.4), seconds=2.5, level=0.95)
    done = transcriber(None, segmentation).recognise(sounds)
    for k, result in enumerate(done):
        if k != place:
            assert result.error is None
            assert result.transcript == alone[k]
    error = done[place].error
    assert done[place].transcript is None
    assert isinstance(error, InferenceError)
    assert str(error) == "the engine failed: RuntimeError: a kernel failed"
    assert isinstance(error.__cause__, RuntimeError)


def test_a_failing_batch_is_halved_until_the_sound_stands_alone() -> None:
    engine = BeepEngine()
    sounds = [beeps((0.1, 0.2), seconds=1.0) for _ in range(8)]
    sounds[5] = beeps((0.1, 0.2), seconds=1.0, level=0.95)
    done = transcriber(engine).recognise(sounds)
    assert engine.batches == [8, 4, 4, 2, 1, 1, 2]
    assert [r.error is None for r in done] == [True] * 5 + [False] + [True] * 2
    assert [r.batch_size for r in done] == [4, 4, 4, 4, 1, 1, 2, 2]


def test_too_little_memory_halves_the_batch_and_loses_nothing() -> None:
    engine = BeepEngine(most_at_once=2)
    sounds = [beeps((0.1, 0.1 + 0.1 * k), seconds=1.0) for k in range(1, 6)]
    done = transcriber(engine).recognise(sounds)
    assert [r.transcript.text for r in done if r.transcript] == [f"beep{k}" for k in range(1, 6)]
    assert max(r.batch_size for r in done) == 2


@pytest.mark.parametrize("error", [ConfigError, ModelError, UnsupportedOptionError])
def test_an_error_of_the_configuration_or_the_model_ends_the_batch(error: type[Exception]) -> None:
    engine = BeepEngine(failure=error("every sound would fail"))
    with pytest.raises(error, match="every sound would fail"):
        transcriber(engine).recognise([beeps((0, 0.5), seconds=1.0, level=0.95)] * 2)


@pytest.mark.parametrize("error", [ZeroDivisionError, IndexError, ValueError, TypeError])
def test_a_failing_preprocessor_stops_its_sound_alone(error: type[Exception]) -> None:
    sounds = [beeps((0.1, 0.2), seconds=seconds) for seconds in (1.5, 0.5, 2.5)]
    done = transcriber(None, None, FailsOnShortSound(error)).recognise(sounds)
    assert [r.transcript.text if r.transcript else None for r in done] == ["beep1", None, "beep1"]
    failed = done[1]
    assert isinstance(failed.error, AudioError)
    assert failed.error.code == "preprocess_failed"
    assert error.__name__ in str(failed.error)
    assert isinstance(failed.error.__cause__, error)
    assert failed.audio_seconds == 0.5


def test_a_file_that_cannot_be_decoded_stops_its_sound_alone(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    soundfile.write(good, beeps((0.5, 0.7), seconds=1.0).samples, SAMPLE_RATE_HZ)
    bad.write_bytes(b"RIFF not a wave file")
    done = transcriber().recognise([bad, good, b""])
    assert [r.transcript.text if r.transcript else None for r in done] == [None, "beep2", None]
    assert [r.audio_seconds for r in done] == [None, 1.0, None]
    assert isinstance(done[0].error, AudioError)
    assert done[2].error is not None
    assert done[2].error.code == "empty_file"


def test_a_path_its_text_its_bytes_and_the_bare_samples_are_the_same_sound(tmp_path: Path) -> None:
    sound, path = beeps((0.5, 0.7), seconds=1.0), tmp_path / "beep.wav"
    soundfile.write(path, sound.samples, SAMPLE_RATE_HZ, subtype="FLOAT")
    lab = transcriber()
    sources = (path, str(path), path.read_bytes(), sound, sound.samples)
    assert [lab.transcribe(source).text for source in sources] == ["beep2"] * len(sources)
    with pytest.raises(AudioError, match=r"expected shape \(n_samples,\), got \(2, 8000\)"):
        lab.transcribe(sound.samples.reshape(2, -1))


def test_transcribe_raises_what_stopped_the_sound() -> None:
    with pytest.raises(AudioError) as refused:
        transcriber().transcribe(b"")
    assert refused.value.code == "empty_file"
    with pytest.raises(InferenceError, match="a kernel failed"):
        transcriber().transcribe(beeps((0, 1), seconds=1.0, level=0.95))


@pytest.mark.parametrize("segmentation", [WholeUtterance(), WINDOWS], ids=["whole", "windows"])
def test_a_sound_past_its_time_stops_with_what_was_heard(segmentation: Segmentation) -> None:
    engine = BeepEngine(seconds_a_block=0.01)
    lab = transcriber(engine, segmentation, timeout_seconds=0.05)
    sound = beeps((0.0, 0.2), (8.0, 9.0), seconds=10.0)
    done = lab.recognise([sound])[0]
    assert done.timed_out
    assert done.transcript is not None
    assert done.transcript.finish is Finish.CANCELLED
    assert "beep10" not in done.transcript.text
    assert engine.blocks_heard <= 6  # 0.05 s at 0.01 s a block or more, and the one under way
    assert engine.batches == [1]  # no later piece reached the engine
    with pytest.raises(InferenceError, match=r"decode\.timeout_seconds=0\.05") as raised:
        lab.transcribe(sound)
    assert raised.value.code == "inference_timeout"


def test_without_a_timeout_nothing_is_timed_out() -> None:
    done = transcriber(BeepEngine(seconds_a_block=0.001)).recognise([beeps(seconds=1.0)])[0]
    assert not done.timed_out


def test_a_cancelled_sound_leaves_its_neighbours_text_unchanged() -> None:
    sounds = [beeps((0.1, 0.1 + 0.1 * k), (3.0, 3.3), seconds=4.0) for k in range(1, 4)]
    engine = BeepEngine()
    done = transcriber(engine, WINDOWS).recognise(sounds, Listener(cancel=frozenset({1})))
    assert engine.blocks_heard == 2 * 60  # three windows of 2 s each, of two sounds
    texts = [r.transcript.text for r in done if r.transcript]
    assert texts == ["beep1 beep3", "", "beep3 beep3"]
    assert [r.transcript.finish for r in done if r.transcript] == [
        Finish.COMPLETE,
        Finish.CANCELLED,
        Finish.COMPLETE,
    ]
    assert not any(r.timed_out for r in done)


def test_stages_sum_to_no_more_than_the_total() -> None:
    done = transcriber(BeepEngine(seconds_a_block=0.002), None, TRIM).recognise(
        [beeps((0.5, 1.0), seconds=2.0)], SilentWatch()
    )[0]
    assert set(done.timings) == {"preprocess", "decode_tokens", "total"}
    assert done.timings["total"] > done.timings["preprocess"]


class Listening:
    """Keeps the final segments of one sound."""

    def __init__(self) -> None:
        self.final: list[Segment] = []

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        if final:
            self.final.append(segment)

    def cancelled(self, index: int) -> bool:
        return False


@pytest.mark.parametrize("overlap_seconds", [0.0, 0.5])
def test_the_final_segments_of_a_sound_that_was_cut_are_its_text(overlap_seconds: float) -> None:
    sound = Waveform(np.linspace(-0.5, 0.5, 5 * 16_000, dtype=np.float32))
    lab = Transcriber(
        ReplaySettings(default_text="one two"),
        FixedWindows(window_seconds=1.0, overlap_seconds=overlap_seconds),
    )
    listening = Listening()
    said = lab.transcribe(sound, listening)
    assert "".join(segment.text for segment in listening.final).strip() == said.text
    assert len(listening.final) > 2
    assert [s.start for s in listening.final] == sorted(s.start for s in listening.final)


def test_a_variant_decodes_otherwise_on_the_same_engine() -> None:
    lab = Transcriber(ReplaySettings(default_text="one"), WholeUtterance())
    variant = lab.variant(DecodeOptions(language="de"))
    assert variant.load() is lab.load()
    assert variant.options.language == "de"
    assert lab.options.language is None
