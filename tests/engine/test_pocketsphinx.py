from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pocketsphinx
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import whisperlab
from whisperlab.audio import SAMPLE_RATE_HZ, Waveform
from whisperlab.device import Device, Quantization
from whisperlab.engine.model import ModelSpec
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.pocketsphinx import (
    PocketsphinxEngine,
    PocketsphinxSettings,
    sixteen_bit,
)
from whisperlab.engine.protocol import Engine, EngineSettings, SilentWatch
from whisperlab.errors import AudioError, UnsupportedOptionError
from whisperlab.transcript import Finish, Segment, Transcript

WORDS = DecodeOptions(timestamps="word")


class CancelAfter(SilentWatch):
    """Lets row 0 be asked ``questions`` times, then cancels it; other rows go on."""

    def __init__(self, questions: int) -> None:
        self.questions = questions

    def cancelled(self, index: int) -> bool:
        if index == 0:
            self.questions -= 1
        return index == 0 and self.questions < 0


class Collect(SilentWatch):
    def __init__(self) -> None:
        self.seen: list[tuple[int, Segment, bool]] = []

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        self.seen.append((index, segment, final))


@pytest.fixture(scope="module")
def engine() -> PocketsphinxEngine:
    return PocketsphinxSettings().load()


@pytest.fixture(scope="module")
def short_speech(test_data: Path) -> list[tuple[Waveform, str]]:
    """Two clear utterances under 3 s with their references."""
    folder = test_data / "english_dev"
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    by_id = {row["id"]: row for row in rows}
    speech = []
    for name in ("ls-1089-134691-0000", "sb-spk1_snt5"):
        row = by_id[name]
        samples, rate = soundfile.read(folder / row["audio_filepath"], dtype="float32")
        if rate != SAMPLE_RATE_HZ:
            samples = soxr.resample(samples, rate, SAMPLE_RATE_HZ)
        speech.append((Waveform(samples), str(row["text"])))
    return speech


@pytest.fixture(scope="module")
def heard(engine: PocketsphinxEngine, short_speech: list[tuple[Waveform, str]]) -> list[Transcript]:
    """What the engine makes of them in one batch, words timed."""
    return engine.transcribe([waveform for waveform, _ in short_speech], WORDS, SilentWatch())


def without_times(transcripts: Sequence[Transcript]) -> list[Transcript]:
    """The transcripts without how long they took."""
    return [replace(transcript, stages={}) for transcript in transcripts]


def test_settings_and_engine_keep_their_protocols(engine: PocketsphinxEngine) -> None:
    assert isinstance(PocketsphinxSettings(), EngineSettings)
    assert isinstance(engine, Engine)
    assert engine.sample_rate == 16_000


def test_an_utterance_is_heard_as_by_a_new_decoder_in_whole_utterance_mode(
    heard: list[Transcript], short_speech: list[tuple[Waveform, str]]
) -> None:
    # Under 3 s the running mean has not moved yet, so blocks and the whole must give one result.
    for (waveform, _), transcript in zip(short_speech, heard, strict=True):
        oracle = pocketsphinx.Decoder(loglevel="FATAL")
        oracle.start_utt()
        oracle.process_raw(sixteen_bit(waveform.samples).tobytes(), full_utt=True)
        oracle.end_utt()
        assert transcript.text == oracle.hyp().hypstr


def test_a_result_depends_neither_on_the_order_nor_on_the_batch_nor_on_the_engine(
    heard: list[Transcript], short_speech: list[tuple[Waveform, str]]
) -> None:
    resumed = PocketsphinxSettings().load()
    backward = [
        without_times(resumed.transcribe([waveform], WORDS, SilentWatch()))[0]
        for waveform, _ in reversed(short_speech)
    ]
    assert backward[::-1] == without_times(heard)


def test_clear_speech_is_recognised_word_for_word(
    heard: list[Transcript], short_speech: list[tuple[Waveform, str]]
) -> None:
    assert [each.text for each in heard] == [reference.lower() for _, reference in short_speech]
    assert all(each.language == "en" and each.finish is Finish.COMPLETE for each in heard)


def test_timestamps_are_as_fine_as_asked_for(
    engine: PocketsphinxEngine,
    heard: list[Transcript],
    short_speech: list[tuple[Waveform, str]],
) -> None:
    waveform, worded = short_speech[0][0], heard[0].segments

    def segments(options: DecodeOptions) -> tuple[Segment, ...]:
        (transcript,) = engine.transcribe([waveform], options, SilentWatch())
        assert transcript.text == heard[0].text
        return transcript.segments

    (whole,) = segments(DecodeOptions(timestamps="none"))
    assert (whole.start, whole.end, whole.words) == (0.0, waveform.duration_seconds, ())
    assert whole.text.strip() == heard[0].text
    plain = segments(DecodeOptions(timestamps="segment"))
    assert plain == tuple(replace(segment, words=()) for segment in worded)
    words = [word for segment in worded for word in segment.words]
    assert " ".join(word.text for word in words) == heard[0].text
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] >= 0.0
    assert times[-1] <= waveform.duration_seconds


def test_a_pause_of_half_a_second_ends_a_segment_and_each_reaches_the_watch_with_its_row(
    engine: PocketsphinxEngine, short_speech: list[tuple[Waveform, str]]
) -> None:
    samples = short_speech[0][0].samples
    silence = np.zeros(SAMPLE_RATE_HZ, dtype=np.float32)
    twice = np.concatenate([samples, silence, samples])
    watch = Collect()
    transcripts = engine.transcribe([Waveform(silence), Waveform(twice)], WORDS, watch)
    segments = transcripts[1].segments
    starts = [segment.start for segment in segments]
    assert any(start >= len(samples) / SAMPLE_RATE_HZ + 0.5 for start in starts)
    gaps = [right.words[0].start - left.words[-1].end for left, right in pairwise(segments)]
    assert gaps
    assert min(gaps) >= 0.5
    assert watch.seen == [(1, segment, True) for segment in segments]


def test_a_cancelled_row_keeps_what_was_heard_and_leaves_the_others_alone(
    engine: PocketsphinxEngine,
    heard: list[Transcript],
    short_speech: list[tuple[Waveform, str]],
) -> None:
    first, second = (waveform for waveform, _ in short_speech)
    cut, whole = engine.transcribe([first, second], WORDS, CancelAfter(3))
    assert cut.finish is Finish.CANCELLED
    assert all(segment.end <= 1.5 for segment in cut.segments)  # three blocks of half a second
    assert without_times([whole]) == without_times(heard[1:])


def test_a_row_cancelled_at_once_is_empty(
    engine: PocketsphinxEngine, short_speech: list[tuple[Waveform, str]]
) -> None:
    (cut,) = engine.transcribe([short_speech[0][0]], WORDS, CancelAfter(0))
    assert (cut.text, cut.segments, cut.finish) == ("", (), Finish.CANCELLED)


@pytest.mark.parametrize("n_samples", [0, 1, 160, 1_600, 32_000])
@pytest.mark.parametrize("level", [0.0, 1.0 / 32_768])
def test_short_and_silent_sound_has_no_text(
    engine: PocketsphinxEngine, n_samples: int, level: float
) -> None:
    samples = np.full(n_samples, level, dtype=np.float32)
    samples[::2] *= -1
    (nothing,) = engine.transcribe([Waveform(samples)], WORDS, SilentWatch())
    assert (nothing.text, nothing.segments, nothing.finish) == ("", (), Finish.COMPLETE)


@pytest.mark.parametrize("n_samples", [1, 100, 400, 8_000])
def test_faint_and_clipped_sound_does_no_harm(engine: PocketsphinxEngine, n_samples: int) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, n_samples).astype(np.float32)
    for gain in (3.0 / 32_768, 1e6):
        (heard,) = engine.transcribe([Waveform(noise * np.float32(gain))], WORDS, SilentWatch())
        assert heard.finish is Finish.COMPLETE


def test_a_quiet_recording_is_not_taken_for_silence(
    engine: PocketsphinxEngine, short_speech: list[tuple[Waveform, str]]
) -> None:
    waveform = short_speech[0][0]
    gain = np.float32(0.003 / np.abs(waveform.samples).max())  # as quiet as FLEURS gets
    (heard,) = engine.transcribe(
        [waveform.with_samples(waveform.samples * gain)], DecodeOptions(), SilentWatch()
    )
    assert heard.text


def test_another_sample_rate_is_refused(engine: PocketsphinxEngine) -> None:
    with pytest.raises(AudioError, match="16000 Hz, got 8000 Hz") as caught:
        engine.transcribe(
            [Waveform(np.zeros(80, dtype=np.float32), 8_000)], DecodeOptions(), SilentWatch()
        )
    assert caught.value.code == "invalid_sample_rate"


def test_an_empty_batch_is_an_empty_list(engine: PocketsphinxEngine) -> None:
    assert engine.transcribe([], DecodeOptions(), SilentWatch()) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (DecodeOptions(language="de"), "decode.language=de"),
        (DecodeOptions(task="translate"), "decode.task=translate"),
        (DecodeOptions(beam_size=5), "decode.beam_size=5"),
        (DecodeOptions(max_new_tokens=100), "decode.max_new_tokens=100"),
    ],
)
def test_an_option_that_cannot_be_honoured_is_named(
    engine: PocketsphinxEngine, options: DecodeOptions, named: str
) -> None:
    with pytest.raises(UnsupportedOptionError, match=named):
        PocketsphinxSettings().check(options)
    with pytest.raises(UnsupportedOptionError, match=named):
        engine.transcribe([], options, SilentWatch())


@pytest.mark.parametrize(
    "options",
    [
        DecodeOptions(),
        DecodeOptions(language="en"),
        DecodeOptions(timestamps="none"),
        DecodeOptions(timeout_seconds=5.0),
    ],
)
def test_what_can_be_honoured_passes(options: DecodeOptions) -> None:
    PocketsphinxSettings().check(options)


def test_a_checkpoint_a_precision_or_a_gpu_is_refused_when_the_settings_are_built() -> None:
    with pytest.raises(UnsupportedOptionError, match="quantization=bnb_int8"):
        PocketsphinxSettings(quantization=Quantization("bnb_int8"))
    with pytest.raises(UnsupportedOptionError, match=r"device\.kind=cuda"):
        PocketsphinxSettings(device=Device("cuda"))
    with pytest.raises(UnsupportedOptionError, match="model=tiny"):
        PocketsphinxSettings(
            model=ModelSpec(name="tiny", source="openai/whisper-tiny", revision="0" * 40)
        )
    assert PocketsphinxSettings(device=Device("cpu")).device.kind == "cpu"


@given(arrays(np.int16, st.integers(0, 64)))
def test_sixteen_bits_come_back_exactly(levels: np.ndarray) -> None:
    samples = levels.astype(np.float32) / np.float32(32_768)
    assert sixteen_bit(samples).tolist() == levels.tolist()


@given(arrays(np.float32, 8, elements=st.floats(-1e6, 1e6, width=32)))
def test_loud_samples_are_clipped_never_wrapped(samples: np.ndarray) -> None:
    levels = sixteen_bit(samples)
    assert (np.sign(levels) * np.sign(samples) >= 0).all()
    assert (np.abs(levels.astype(np.int32)[np.abs(samples) >= 1]) >= 32_767).all()


def test_a_missing_package_names_its_install_line() -> None:
    code = (
        "import sys; sys.modules['pocketsphinx'] = None\n"
        "from whisperlab.engine.pocketsphinx import PocketsphinxSettings\n"
        "from whisperlab.errors import MissingExtraError\n"
        "try:\n    PocketsphinxSettings().load()\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'whisperlab[baseline]'" in done.stdout


def test_the_c_library_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 4_000).astype(np.float32)
    PocketsphinxSettings().load().transcribe([Waveform(noise)], DecodeOptions(), SilentWatch())
    assert capfd.readouterr() == ("", "")


def test_a_beam_too_narrow_to_be_cut_does_not_end_the_process() -> None:
    code = (
        "import sys\n"
        "from whisperlab.audio import decode\n"
        "from whisperlab.engine.options import DecodeOptions\n"
        "from whisperlab.engine.pocketsphinx import PocketsphinxSettings\n"
        "from whisperlab.engine.protocol import SilentWatch\n"
        "engine = PocketsphinxSettings(beam=1e-9, word_beam=1e-6, language_weight=5.0).load()\n"
        "engine.transcribe([decode(sys.argv[1])], DecodeOptions(), SilentWatch())\n"
    )
    spoken = Path(whisperlab.__file__).parent / "dataset" / "demo" / "digits-00.flac"
    done = subprocess.run([sys.executable, "-c", code, spoken], capture_output=True, check=False)
    assert done.returncode == 0, f"ended with {done.returncode} (-8 is SIGFPE)"
