from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whisperlab.audio import Waveform
from whisperlab.device import Quantization
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import Engine, EngineSettings, SilentWatch
from whisperlab.engine.replay import ReplayEngine, ReplaySettings, digest, record
from whisperlab.errors import InferenceError, ModelError, UnsupportedOptionError
from whisperlab.transcript import Finish, Segment, Transcript, Word

WORDS = DecodeOptions(timestamps="word")


def tone(hertz: float, seconds: float = 0.5) -> Waveform:
    times = np.arange(int(16_000 * seconds)) / 16_000
    return Waveform((0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32))


ONE = Transcript(
    "one two\u2028three",  # a line separator, which JSON leaves as it is
    language="en",
    segments=(
        Segment(0.0, 0.2, " one", tokens=(50364, 472), words=(Word(0.0, 0.2, "one", 0.5),)),
        Segment(0.2, 0.5, " two\u2028three", avg_logprob=-0.25),
    ),
)
TWO = Transcript("zwei", language="de", segments=(Segment(0.1, 0.4, " zwei"),))


class Collect(SilentWatch):
    def __init__(self, cancel_row: int | None = None, after: int = 0) -> None:
        self.seen: list[tuple[int, Segment, bool]] = []
        self.cancel_row = cancel_row
        self.after = after
        self.asked = 0

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        self.seen.append((index, segment, final))

    def cancelled(self, index: int) -> bool:
        self.asked += 1
        return index == self.cancel_row and len(self.seen) >= self.after


@pytest.fixture
def engine() -> ReplayEngine:
    return ReplayEngine({digest(tone(440)): ONE, digest(tone(880)): TWO})


def test_settings_and_engine_keep_their_protocols(engine: ReplayEngine) -> None:
    assert isinstance(ReplaySettings(), EngineSettings)
    assert isinstance(engine, Engine)


def test_each_sound_gets_its_own_transcript_in_order(engine: ReplayEngine) -> None:
    heard = engine.transcribe([tone(880), tone(440)], WORDS, SilentWatch())
    assert [replace(each, stages={}) for each in heard] == [TWO, ONE]


def test_timestamps_are_as_fine_as_asked_for(engine: ReplayEngine) -> None:
    (plain,) = engine.transcribe([tone(440)], DecodeOptions(), SilentWatch())
    assert plain.segments == tuple(replace(segment, words=()) for segment in ONE.segments)
    (none,) = engine.transcribe([tone(440)], DecodeOptions(timestamps="none"), SilentWatch())
    assert none.segments == (Segment(0.0, 0.5, " one two\u2028three"),)
    assert none.text == ONE.text


def test_segments_reach_the_watch(engine: ReplayEngine) -> None:
    watch = Collect()
    engine.transcribe([tone(440), tone(880)], WORDS, watch)
    assert watch.seen == [
        (0, ONE.segments[0], True),
        (0, ONE.segments[1], True),
        (1, TWO.segments[0], True),
    ]


def test_a_cancelled_row_keeps_its_first_segments_and_leaves_the_others_alone() -> None:
    engine = ReplayEngine(
        {digest(tone(440)): ONE, digest(tone(880)): TWO}, seconds_per_utterance=0.02
    )
    watch = Collect(cancel_row=0, after=1)
    cut, whole = engine.transcribe([tone(440), tone(880)], WORDS, watch)
    assert (cut.text, cut.segments, cut.finish) == ("one", ONE.segments[:1], Finish.CANCELLED)
    assert replace(whole, stages={}) == TWO


def test_a_slow_answer_asks_often_whether_to_stop() -> None:
    engine = ReplayEngine({}, seconds_per_audio_second=0.2, default_text="late")
    watch = Collect()
    (heard,) = engine.transcribe([tone(440)], DecodeOptions(), watch)
    # 0.1 s in steps of at most 10 ms; a busy machine oversleeps, and asks less often.
    assert watch.asked >= 2
    assert heard.stages["decode_tokens"] >= 0.1


def test_an_hour_long_answer_stops_when_it_is_cancelled() -> None:
    engine = ReplayEngine({}, seconds_per_utterance=3_600.0, default_text="late")
    (heard,) = engine.transcribe([tone(440)], DecodeOptions(), Collect(cancel_row=0))
    assert (heard.text, heard.finish) == ("", Finish.CANCELLED)


def test_an_unknown_sound_is_an_error_before_anything_is_played(engine: ReplayEngine) -> None:
    watch = Collect()
    with pytest.raises(InferenceError, match=digest(tone(100))[:16]) as caught:
        engine.transcribe([tone(440), tone(100)], DecodeOptions(), watch)
    assert caught.value.code == "not_recorded"
    assert watch.seen == []


def test_an_unknown_sound_gets_the_default_text_where_there_is_one() -> None:
    engine = ReplaySettings(default_text="hello").load()
    (heard,) = engine.transcribe([tone(100)], DecodeOptions(), SilentWatch())
    assert (heard.text, heard.segments) == ("hello", (Segment(0.0, 0.5, " hello"),))
    (silent,) = (
        ReplaySettings(default_text="")
        .load()
        .transcribe([tone(100)], DecodeOptions(), SilentWatch())
    )
    assert (silent.text, silent.segments) == ("", ())


@given(arrays(np.int16, st.integers(1, 50)))
def test_a_sound_keeps_its_digest_through_a_16_bit_file(
    tmp_path_factory: pytest.TempPathFactory, levels: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("digest") / "sound.wav"
    soundfile.write(path, levels, 16_000, subtype="PCM_16")
    samples, _ = soundfile.read(path, dtype="float32")
    assert digest(Waveform(samples)) == digest(Waveform((levels / 32_768).astype(np.float32)))


def test_another_rate_or_another_sample_is_another_sound() -> None:
    samples = np.zeros(16, dtype=np.float32)
    changed = samples.copy()
    changed[-1] = 1 / 32_768
    digests = {
        digest(Waveform(samples)),
        digest(Waveform(samples, 8_000)),
        digest(Waveform(changed)),
    }
    assert len(digests) == 3


def test_a_recording_plays_back_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    lines = [record(tone(440), ONE), "", record(tone(880), TWO)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    engine = ReplaySettings(path=path).load()
    heard = engine.transcribe([tone(440), tone(880)], WORDS, SilentWatch())
    assert [replace(each, stages={}) for each in heard] == [ONE, TWO]


def test_the_path_may_be_text_as_in_yaml(tmp_path: Path) -> None:
    from_yaml: dict[str, Any] = {"path": str(tmp_path / "x")}
    settings = ReplaySettings(**from_yaml)
    assert settings.path == tmp_path / "x"


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "1",
        '{"text": "no digest"}',
        '{"digest": "a"}',
        '{"digest": "a", "text": 5}',
        '{"digest": "a", "text": "x", "segmets": []}',
        '{"digest": "a", "text": "x", "segments": [{"start": "soon"}]}',
    ],
)
def test_a_wrong_line_is_named_with_its_file_and_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_text(f"{record(tone(440), ONE)}\n{line}\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"recording\.jsonl:2: ") as caught:
        ReplaySettings(path=path).load()
    assert "\n" not in str(caught.value)


def test_two_answers_for_one_sound_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    line = record(tone(440), ONE)
    other = json.dumps({**json.loads(line), "text": "eins"})
    path.write_text(f"{line}\n{line}\n{other}\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r":3: a second transcript"):
        ReplaySettings(path=path).load()


def test_a_missing_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.jsonl.*FileNotFoundError"):
        ReplaySettings(path=tmp_path / "absent.jsonl").load()


def test_a_precision_is_refused_and_a_negative_delay_too() -> None:
    with pytest.raises(UnsupportedOptionError, match="quantization=float16"):
        ReplaySettings(quantization=Quantization("float16"))
    with pytest.raises(pydantic.ValidationError):
        ReplaySettings(seconds_per_utterance=-1.0)


def test_importing_and_loading_it_costs_no_torch() -> None:
    code = (
        "import sys\n"
        "from whisperlab.engine.replay import ReplaySettings\n"
        "ReplaySettings(default_text='x').load()\n"
        "assert not {'torch', 'transformers', 'huggingface_hub', 'pocketsphinx'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
