"""An engine that says which rows of a batch failed: nothing is asked twice, times are the row's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from whisperlab.audio import Waveform
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import RowsFailedError, Watch
from whisperlab.errors import InferenceError, WhisperlabError
from whisperlab.segmentation.fixed import FixedWindows
from whisperlab.segmentation.protocol import Segmentation
from whisperlab.segmentation.whole import WholeUtterance
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import RETRY_WAIT, Segment, Transcript


@dataclass
class Counter:
    """Says how loud a sound is in tenths; a loud one fails. Settings and engine in one."""

    sample_rate: int = 16_000
    asked: list[int] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def load(self) -> Counter:
        return self

    def check(self, options: DecodeOptions) -> None:
        """Honours everything."""

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        self.heard.append(segment.text)

    def cancelled(self, index: int) -> bool:
        return False

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        self.asked.append(len(batch))
        results: list[Transcript | WhisperlabError] = []
        for waveform in batch:
            level = round(10 * float(waveform.samples.max(initial=0.0)))
            text, end = str(level), waveform.duration_seconds
            results.append(
                InferenceError("too loud", code="too_loud")
                if level == 9
                else Transcript(
                    text, "en", (Segment(0.0, end, f" {text}"),), stages={"remote": 7.0, RETRY_WAIT: 90.0}
                )
            )  # fmt: skip
        said = [result for result in results if isinstance(result, Transcript)]
        if len(said) < len(results):
            raise RowsFailedError(results)
        return said


def level(tenths: int, seconds: float = 0.5) -> Waveform:
    return Waveform(np.full(round(16_000 * seconds), tenths / 10, dtype=np.float32))


def transcriber(engine: Counter, segmentation: Segmentation | None = None) -> Transcriber:
    return Transcriber(engine, segmentation if segmentation is not None else WholeUtterance())


def test_rows_that_failed_alone_carry_the_error_and_the_batch_is_not_halved() -> None:
    engine = Counter()
    done = transcriber(engine).recognise([level(tenths) for tenths in (1, 9, 3, 4)])
    assert engine.asked == [4]
    assert [one.transcript and one.transcript.text for one in done] == ["1", None, "3", "4"]
    assert [one.error and one.error.code for one in done] == [None, "too_loud", None, None]


def test_a_row_s_own_seconds_are_its_total_and_waiting_is_not() -> None:
    (done,) = transcriber(Counter()).recognise([level(1)])
    assert done.timings["total"] == pytest.approx(7.0 + done.timings["preprocess"])
    assert done.timings[RETRY_WAIT] == 90.0


def test_a_long_sound_of_which_a_piece_failed_has_its_error_and_tells_no_more_text() -> None:
    engine = Counter()
    samples = np.concatenate([level(n, 1.0).samples for n in (9, 3, 1)])
    windows = FixedWindows(window_seconds=1.0, overlap_seconds=0.0)
    done = transcriber(engine, windows).recognise([Waveform(samples), level(2)], engine)
    assert [one.error and one.error.code for one in done] == ["too_loud", None]
    assert done[1].transcript is not None
    assert done[1].transcript.text == "2"
    assert not {text.strip() for text in engine.heard} & {"3", "1"}


@dataclass
class OneByOne(Counter):
    """Decodes ``rows`` sounds at a time, 2 s of its clock each."""

    rows: int | None = 1
    now: float = 0.0

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        for index in range(len(batch)):
            watch.cancelled(index)
            self.now += 2.0
            watch.cancelled(index)
        return super().transcribe(batch, options, watch)


@pytest.mark.parametrize(("rows", "late"), [(1, [False] * 4), (None, [False, True, True, True])])
def test_the_time_of_a_sound_begins_when_it_gets_a_row(
    monkeypatch: pytest.MonkeyPatch, rows: int | None, late: list[bool]
) -> None:
    engine = OneByOne(rows=rows)
    for module in ("transcriber", "jobs"):
        monkeypatch.setattr(f"whisperlab.{module}.perf_counter", lambda: engine.now)
    built = transcriber(engine).variant(DecodeOptions(timeout_seconds=3.0))
    done = built.recognise([level(tenths) for tenths in (1, 2, 3, 4)])
    assert [one.timed_out for one in done] == late


@pytest.mark.parametrize(
    ("rows", "asked", "listened"),
    [(2, [5], [1, 2, 2]), (None, [1, 1, 1, 1, 1], [1, 1, 1, 1, 1])],
)
def test_all_pieces_of_a_long_sound_go_to_an_engine_that_bounds_itself(
    rows: int | None, asked: list[int], listened: list[int]
) -> None:
    engine = OneByOne(rows=rows)
    segmentation = FixedWindows(window_seconds=1.0, overlap_seconds=0.0)
    built = Transcriber(engine, segmentation)
    (done,) = built.recognise([level(3, 5.0)])
    assert engine.asked == asked
    assert done.transcript is not None
    assert done.transcript.text == "3 3 3 3 3"
    engine.asked.clear()
    built.recognise([level(3, 5.0)], engine)  # somebody waits for the first words
    assert engine.asked == listened


class FailsTogether(Counter):
    """Says two final segments of each sound; more sounds than one fail then."""

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        said = super().transcribe(batch, options, self)
        for index, transcript in enumerate(said):
            for part in "ab":
                watch.segment(index, Segment(0.0, 0.5, transcript.text + part), final=True)
        if len(batch) > 1:
            raise InferenceError("too many")
        return said


def test_what_was_said_of_a_sound_is_not_said_again_when_it_is_tried_again() -> None:
    engine = FailsTogether()
    done = transcriber(engine).recognise([level(1), level(2)], engine)
    assert [one.transcript and one.transcript.text for one in done] == ["1", "2"]
    assert engine.asked == [2, 1, 1]
    assert engine.heard == ["1a", "1b", "2a", "2b"]
