"""Sounds that join a running batch: their texts, who is answered when, and that nobody starves."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from threading import Thread
from time import perf_counter, sleep
from typing import TypeVar

import numpy as np
import pytest
from decoder_processes import until
from serve_replay import configuration

from whisperlab import load
from whisperlab.audio import Waveform, decode
from whisperlab.engine.options import DecodeOptions
from whisperlab.serve import run as runs
from whisperlab.serve.lane import Lane, LaneObserver, LaneSettings
from whisperlab.serve.messages import Recipe, Reply
from whisperlab.serve.problems import ApiError
from whisperlab.serve.queueing import Ticket
from whisperlab.serve.run import Left
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import Finish

pytest.importorskip("openvino", reason="the extra openvino is not installed")

ENGLISH = Recipe(DecodeOptions(language="en"))
GERMAN = Recipe(DecodeOptions(language="de"))
PATIENCE_SECONDS = 120.0


Name = TypeVar("Name", str, int)


class Seen(LaneObserver):
    """Keeps which sounds went together."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def batch_done(self, name: str, sounds: Sequence[Left], seconds: float) -> None:
        self.batches.append(len(sounds))


@pytest.fixture(scope="module")
def sounds(test_data: Path) -> list[Waveform]:
    """Short strings of digits, and one beyond 30 s."""
    lines = (test_data / "fsdd" / "test_strings.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    paths = [row["audio_filepath"] for row in rows if row["kind"] == "short"]
    found = [decode(test_data / "fsdd" / path) for path in paths[:16]]
    return [*found[:9], Waveform(np.concatenate([sound.samples for sound in found[9:]]))]


@pytest.fixture(scope="module")
def words(sounds: list[Waveform]) -> list[Waveform]:
    """Sounds of which a pipe holds a few that a worker has not read."""
    return [sound.cut(0, 11_200) for sound in sounds[:9]]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def lane(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lane]:
    monkeypatch.setattr(runs, "JOIN_SECONDS", PATIENCE_SECONDS)
    chosen = configuration("x", "engine=openvino", "engine.threads=1")
    settings = LaneSettings(2, 0.0, queue_size=64, inference_seconds=PATIENCE_SECONDS)
    opened = Lane("x", chosen.config, settings, seen)
    opened.start()
    try:
        assert opened.loaded.result(PATIENCE_SECONDS).joins
        yield opened
    finally:
        opened.close()


def noted(names: list[Name], name: Name) -> Callable[[Future[Reply]], None]:
    """Returns what appends ``name`` when a ticket is answered."""
    return lambda _: names.append(name)


def text(ticket: Ticket) -> str:
    transcript = ticket.result.result(PATIENCE_SECONDS).transcript
    assert transcript is not None
    return transcript.text


@contextmanager
def stopped(lane: Lane) -> Iterator[None]:
    """Halts the lane's worker, so that what is submitted meanwhile meets in one run."""
    pid = lane.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def together(lane: Lane, sounds: Sequence[Waveform]) -> Iterator[list[Ticket]]:
    """Has sounds in one run, the first of them in its first place; the worker halts meanwhile."""
    with stopped(lane):
        tickets = []
        for number, sound in enumerate(sounds):
            ticket = lane.submit(sound, ENGLISH, f"caller{number}")
            until(partial(has_started, ticket))
            tickets.append(ticket)
        yield tickets


def has_started(ticket: Ticket) -> bool:
    return ticket.started is not None


@cache
def alone(sound: Waveform) -> str:
    """What a sound says by itself, in this process."""
    return plain().transcribe(sound).text


@cache
def plain() -> Transcriber:
    return load("default", "engine=openvino", "decode.language=en")


def test_sounds_join_leave_and_say_what_they_say_alone(
    lane: Lane, seen: Seen, sounds: list[Waveform]
) -> None:
    with stopped(lane):
        tickets = [lane.submit(sound, ENGLISH, f"caller{n}") for n, sound in enumerate(sounds[:9])]
    assert [text(ticket) for ticket in tickets] == [alone(sound) for sound in sounds[:9]]
    text(lane.submit(sounds[0], GERMAN, "other"))  # by now the run before has been told of
    assert seen.batches[0] == 9  # in two rows: seven or eight have joined
    assert len({ticket.started for ticket in tickets}) >= 8


def test_a_short_sound_is_answered_while_its_neighbour_is_still_decoded(
    lane: Lane, sounds: list[Waveform]
) -> None:
    short, *_, long = sorted(sounds[:9], key=lambda sound: sound.duration_seconds)
    twice = Waveform(np.concatenate([long.samples] * 2))
    beside: list[int] = []
    with stopped(lane):
        first = lane.submit(twice, ENGLISH, "a")
        others = [lane.submit(short, ENGLISH, "a") for _ in range(2)]
        for ticket in others:
            ticket.result.add_done_callback(lambda _: beside.append(lane.in_engine))
    for ticket in (first, *others):
        text(ticket)
    assert beside[0] >= 1


def test_a_sound_that_joined_is_cancelled_and_its_place_is_free_again(
    lane: Lane, words: list[Waveform]
) -> None:
    with together(lane, words[:2]) as (first, joined):
        lane.cancel(joined)
    transcript = joined.result.result(PATIENCE_SECONDS).transcript
    assert transcript is not None
    assert transcript.finish is Finish.CANCELLED
    assert text(first) == alone(words[0])
    with together(lane, words[2:4]) as after:
        pass
    assert [text(ticket) for ticket in after] == [alone(sound) for sound in words[2:4]]


def test_others_get_their_turn_when_the_batch_has_taken_sounds_for_long_enough(
    lane: Lane,
    seen: Seen,
    sounds: list[Waveform],
    words: list[Waveform],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A flood of sounds that could join for ever, and two that cannot."""
    ahead = [0.0]
    monkeypatch.setattr(runs, "perf_counter", lambda: perf_counter() + ahead[0])
    order: list[str] = []
    with together(lane, words[:2]):
        flood = [lane.submit(sound, ENGLISH, "flood") for sound in words[2:8]]
        long = lane.submit(sounds[9], ENGLISH, "long")
        other = lane.submit(words[8], GERMAN, "other")
        for name, ticket in (("long", long), ("other", other), ("last", flood[-1])):
            ticket.result.add_done_callback(noted(order, name))
        ahead[0] = 2 * PATIENCE_SECONDS  # the time of joining is over
        monkeypatch.setattr(runs, "JOIN_SECONDS", 0.0)
    for ticket in (*flood, long, other):
        text(ticket)
    assert order[-1] == "last"  # callers take turns: the flood's last comes after both
    assert seen.batches[0] == 2
    assert seen.batches.count(1) >= 2


def test_a_sounds_time_is_its_own_when_its_worker_is_lost(
    lane: Lane, words: list[Waveform]
) -> None:
    """The run is as old as its first sound; who has joined since is tried again."""
    with together(lane, words[:2]) as (old, young):
        old.started = perf_counter() - 2 * PATIENCE_SECONDS
        assert lane.worker_pid is not None
        os.kill(lane.worker_pid, signal.SIGKILL)
    with pytest.raises(ApiError) as error:
        old.result.result(PATIENCE_SECONDS)
    assert error.value.code == "inference_timeout"
    assert text(young) == alone(words[1])


def test_a_sound_waits_for_a_row_in_the_queue_and_not_in_the_worker(
    words: list[Waveform],
) -> None:
    """There it would have no turn, no place in the limits, and be told no time to come again."""
    chosen = configuration("x", "engine=openvino", "engine.threads=1", "engine.rows=2")
    settings = LaneSettings(16, 0.0, queue_size=64, inference_seconds=PATIENCE_SECONDS)
    opened = Lane("x", chosen.config, settings, LaneObserver())
    opened.start()
    try:
        opened.loaded.result(PATIENCE_SECONDS)
        with together(opened, words[:2]) as tickets:
            tickets += [opened.submit(sound, ENGLISH, "a") for sound in words[2:5]]
            sleep(0.05)  # the bell has rung: nobody came in
            assert (opened.in_engine, opened.depth) == (2, 3)
        assert [text(ticket) for ticket in tickets] == [alone(sound) for sound in words[:5]]
    finally:
        opened.close()


def test_a_lane_that_is_closed_while_sounds_join_leaves_nobody_waiting(
    lane: Lane, words: list[Waveform]
) -> None:
    with together(lane, words[:2]) as tickets:
        tickets += [lane.submit(sound, ENGLISH, "a") for sound in words[2:6]]
        closing = Thread(target=lane.close, daemon=True)
        closing.start()
        until(lambda: lane.closed)
    closing.join(PATIENCE_SECONDS)
    assert not closing.is_alive()
    for ticket in tickets[:2]:
        transcript = ticket.result.result(0).transcript
        assert transcript is not None
        assert transcript.finish is Finish.CANCELLED
    for ticket in tickets[2:]:
        with pytest.raises(ApiError, match="shutting down"):
            ticket.result.result(0)
