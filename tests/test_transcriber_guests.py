"""Sounds that join while others are recognised: told once and at once, in their own time, and let go."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from whisperlab.audio import Source, Waveform
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import Joining, Watch
from whisperlab.errors import InferenceError
from whisperlab.preprocess.protocol import Preprocessor
from whisperlab.segmentation.fixed import FixedWindows
from whisperlab.segmentation.whole import WholeUtterance
from whisperlab.transcriber import Recognition, Transcriber
from whisperlab.transcript import Segment, Transcript

SECONDS = 2.0
"""What a sound takes, on the engine's clock."""


@dataclass
class Hall:
    """Says how loud a sound is in tenths, one after the other; fails where it holds a loud one.

    Settings and engine in one. ``asked`` are the sounds of each call: those it began with, and all.
    """

    sample_rate: int = 16_000
    rows: int | None = None
    now: float = 0.0
    asked: list[tuple[int, int]] = field(default_factory=list)

    def load(self) -> Hall:
        return self

    def check(self, options: DecodeOptions) -> None:
        """Honours everything."""

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        assert isinstance(watch, Joining)
        levels = [loudness(waveform) for waveform in batch]
        said: list[Transcript] = []
        while True:
            levels.extend(loudness(waveform) for waveform in watch.arrivals())
            if len(said) == len(levels):
                break
            if 9 in levels[len(said) :]:
                self.asked.append((len(batch), len(levels)))
                raise InferenceError("too loud")
            watch.cancelled(len(said))
            self.now += SECONDS
            watch.cancelled(len(said))
            text = str(levels[len(said)])
            segments = (Segment(0.0, 0.5, f" {text}"),)
            said.append(Transcript(text, "en", segments, stages={"decode_tokens": SECONDS}))
            watch.left(len(said) - 1, said[-1])
        self.asked.append((len(batch), len(levels)))
        return said


@dataclass
class Guests:
    """Who joins: each of ``coming`` when the engine asks, ``None`` is nobody."""

    coming: list[Waveform | None]
    on_asked: Callable[[], None] = lambda: None
    told: list[tuple[int, str]] = field(default_factory=list)

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        """Hears nothing."""

    def cancelled(self, index: int) -> bool:
        return False

    def arrivals(self) -> Sequence[Source]:
        self.on_asked()
        came = self.coming.pop(0) if self.coming else None
        return [] if came is None else [came]

    def done(self, index: int, recognition: Recognition) -> None:
        self.told.append((index, said(recognition)))


def said(recognition: Recognition) -> str:
    if recognition.transcript is None:
        return recognition.error.code if recognition.error is not None else "nothing"
    return recognition.transcript.text


def level(tenths: int, seconds: float = 0.5) -> Waveform:
    return Waveform(np.full(round(16_000 * seconds), tenths / 10, dtype=np.float32))


def loudness(waveform: Waveform) -> int:
    return round(10 * float(waveform.samples.max(initial=0.0)))


def transcriber(
    hall: Hall, *, window_seconds: float | None = None, steps: Sequence[Preprocessor] = ()
) -> Transcriber:
    if window_seconds is None:
        return Transcriber(hall, WholeUtterance(), steps)
    return Transcriber(hall, FixedWindows(window_seconds=window_seconds, overlap_seconds=0.0))


def test_a_sound_on_which_the_engine_fails_is_found_though_others_go_on_joining() -> None:
    """Each is told once: those that left before the failure are not decoded again."""
    hall, guests = Hall(), Guests([None, level(2), level(9), *[level(3)] * 50])
    done = transcriber(hall).recognise([level(1), level(4)], guests)
    assert [said(one) for one in done[:4]] == ["1", "4", "2", "inference_failed"]
    assert sorted(guests.told) == [(n, said(one)) for n, one in enumerate(done)]
    assert hall.asked[0] == (2, 4)
    assert hall.asked[1:] == [(1, 1), (1, 1)]  # nobody joins the halves


def test_a_sound_that_is_refused_is_told_before_the_others_are_decoded() -> None:
    def refuse_silence(waveform: Waveform) -> Waveform:
        if not waveform.samples.any():
            raise ValueError
        return waveform

    hall, guests = Hall(), Guests([level(2), level(0), level(3)])
    told: list[list[int]] = []
    guests.on_asked = lambda: told.append([index for index, _ in guests.told])
    built = transcriber(hall, steps=[refuse_silence])
    done = built.recognise([level(0), level(1)], guests)
    assert [said(one) for one in done] == ["preprocess_failed", "1", "2", "preprocess_failed", "3"]
    assert told == [[0], [0, 1], [0, 1, 3, 2], [0, 1, 3, 2, 4]]


def test_who_joins_does_not_hold_up_the_later_pieces_of_a_sound() -> None:
    hall, guests = Hall(), Guests([level(2)] * 3)
    done = transcriber(hall, window_seconds=1.0).recognise([level(1, seconds=3.0)], guests)
    assert hall.asked == [(1, 1), (1, 1), (1, 4)]
    assert [said(one) for one in done] == ["1 1 1", "2", "2", "2"]


def test_a_sound_in_pieces_that_joined_is_told_when_its_last_piece_is_done() -> None:
    hall, guests = Hall(), Guests([level(2, seconds=2.0), None, None, level(3)])
    told: list[list[tuple[int, str]]] = []
    guests.on_asked = lambda: told.append(list(guests.told))
    transcriber(hall, window_seconds=1.0).recognise([level(1)], guests)
    assert told[3:] == [[(0, "1"), (1, "2 2")], [(0, "1"), (1, "2 2"), (2, "3")]]


def test_no_samples_are_kept_of_a_sound_that_has_left() -> None:
    kept: list[int] = []
    waiting = [level(n % 8 + 1) for n in range(6)]
    known = [weakref.ref(sound.samples) for sound in waiting]
    guests = Guests(list(waiting))
    waiting.clear()
    guests.on_asked = lambda: kept.append(sum(one() is not None for one in known))
    transcriber(Hall()).recognise([level(1)], guests)
    assert kept == [6, 6, 5, 4, 3, 2, 1, 0]


def test_the_time_of_a_sound_that_joined_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins when it gets a row; what the run took before and beside it is not its."""
    hall, guests = Hall(), Guests([level(2), level(3), level(4), level(5)])
    for module in ("transcriber", "jobs"):
        monkeypatch.setattr(f"whisperlab.{module}.perf_counter", lambda: hall.now)
    built = transcriber(hall).variant(DecodeOptions(timeout_seconds=1.5 * SECONDS))
    done = built.recognise([level(1)], guests)
    assert [said(one) for one in done] == ["1", "2", "3", "4", "5"]
    assert [one.timed_out for one in done] == [False] * 5
    for one in done:
        assert one.timings["total"] - one.timings["preprocess"] == pytest.approx(SECONDS)
