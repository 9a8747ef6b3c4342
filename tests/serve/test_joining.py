"""Sounds that join a running batch: their texts, who is answered when, and that nobody starves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from multiprocessing import Pipe
from pathlib import Path
from threading import Thread
from time import perf_counter, sleep
from typing import TypeVar

import numpy as np
import pytest
from serve_replay import configuration

from whisperlab import load
from whisperlab.audio import Waveform, decode
from whisperlab.engine.options import DecodeOptions
from whisperlab.serve import lane as lanes
from whisperlab.serve.lane import Lane, LaneObserver, LaneSettings
from whisperlab.serve.queueing import Ticket
from whisperlab.serve.worker import Batch, Recipe, Reply, _Run
from whisperlab.transcriber import Recognition
from whisperlab.transcript import Finish

pytest.importorskip("openvino", reason="the extra openvino is not installed")

ENGLISH = Recipe(DecodeOptions(language="en"))
PATIENCE_SECONDS = 120.0


Name = TypeVar("Name", str, int)


class Seen(LaneObserver):
    """Keeps which sounds went together."""

    def __init__(self) -> None:
        self.batches: list[list[Ticket]] = []

    def batch_done(self, name: str, batch: Sequence[Ticket], seconds: float) -> None:
        self.batches.append(list(batch))


@pytest.fixture(scope="module")
def sounds(test_data: Path) -> list[Waveform]:
    """Short strings of digits, and one beyond 30 s."""
    lines = (test_data / "fsdd" / "test_strings.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    paths = [row["audio_filepath"] for row in rows if row["kind"] == "short"]
    found = [decode(test_data / "fsdd" / path) for path in paths[:16]]
    return [*found[:9], Waveform(np.concatenate([sound.samples for sound in found[9:]]))]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def lane(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lane]:
    monkeypatch.setattr(lanes, "JOIN_SECONDS", PATIENCE_SECONDS)
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


def test_sounds_join_leave_and_say_what_they_say_alone(
    lane: Lane, seen: Seen, sounds: list[Waveform]
) -> None:
    tickets = [lane.submit(sound, ENGLISH, f"caller{n}") for n, sound in enumerate(sounds[:9])]
    got = [text(ticket) for ticket in tickets]
    plain = load("default", "engine=openvino", "decode.language=en")
    assert got == [plain.transcribe(sound).text for sound in sounds[:9]]
    last = lane.submit(sounds[0], Recipe(DecodeOptions(language="de")), "other")
    text(last)  # by now the batch before has been told of
    assert (
        max(len(batch) for batch in seen.batches) > 4
    )  # two rows: the run was joined again and again
    starts = [ticket.started for ticket in tickets if ticket.started is not None]
    assert len(set(starts)) > 4  # two rows: the others came one by one


def test_a_short_sound_is_answered_while_its_neighbour_is_still_decoded(
    lane: Lane, sounds: list[Waveform]
) -> None:
    first = lane.submit(sounds[0], ENGLISH, "a")
    ended: list[int] = []
    others = [lane.submit(sound, ENGLISH, "a") for sound in sounds[1:6]]
    for number, ticket in enumerate([first, *others]):
        ticket.result.add_done_callback(noted(ended, number))
    for ticket in others:
        text(ticket)
    assert ended[0] in (0, 1)
    assert ended[-1] in (4, 5)


def test_a_sound_that_joined_is_cancelled_and_its_place_is_free_again(
    lane: Lane, sounds: list[Waveform]
) -> None:
    tickets = [lane.submit(sound, ENGLISH, "a") for sound in sounds[:6]]
    text(tickets[0])  # somebody has joined since
    running = [ticket for ticket in tickets[2:] if ticket.started and not ticket.result.done()]
    for ticket in running[:1]:
        lane.cancel(ticket)
        reply = ticket.result.result(PATIENCE_SECONDS)
        assert reply.transcript is not None
        assert reply.transcript.finish in (Finish.CANCELLED, Finish.COMPLETE)
    whole = [text(ticket) for ticket in tickets if ticket not in running[:1]]
    plain = load("default", "engine=openvino", "decode.language=en")
    others = [s for s, t in zip(sounds, tickets, strict=False) if t not in running[:1]]
    assert whole == [plain.transcribe(sound).text for sound in others]


def test_others_get_their_turn_when_the_batch_has_taken_sounds_for_long_enough(
    lane: Lane, seen: Seen, sounds: list[Waveform], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "JOIN_SECONDS", 0.0)
    flood = [lane.submit(sound, ENGLISH, "flood") for sound in sounds[:8]]
    long = lane.submit(sounds[9], ENGLISH, "long")
    other = lane.submit(sounds[8], Recipe(DecodeOptions(language="de")), "other")
    order: list[str] = []
    for name, ticket in (("long", long), ("other", other), ("last", flood[-1])):
        ticket.result.add_done_callback(noted(order, name))
    for ticket in (*flood, long, other):
        text(ticket)
    assert order[-1] == "last"  # callers take turns: the flood's last comes after both
    assert max(len(batch) for batch in seen.batches) <= 2


def test_a_run_that_nobody_may_join_can_be_submitted_to_for_ever(sounds: list[Waveform]) -> None:
    """Nobody reads the bell then: a ring for each sound would fill its pipe and stop the server."""
    chosen = configuration("x", "engine=openvino", "engine.threads=1")
    settings = LaneSettings(1, 0.0, queue_size=64, inference_seconds=PATIENCE_SECONDS)
    opened = Lane("x", chosen.config, settings, LaneObserver())
    opened.start()
    try:
        assert opened.loaded.result(PATIENCE_SECONDS).joins
        running = opened.submit(sounds[9], ENGLISH, "a")
        until = perf_counter() + PATIENCE_SECONDS
        while running.started is None:
            assert perf_counter() < until
            sleep(0.001)
        rung = Thread(target=ring, args=(opened, sounds[0], 20_000), daemon=True)
        rung.start()
        rung.join(PATIENCE_SECONDS)
        assert not rung.is_alive()
        assert text(running)
    finally:
        opened.close()


def ring(lane: Lane, sound: Waveform, times: int) -> None:
    """Submits and cancels, all the time while a sound is in the engine."""
    for _ in range(times):
        lane.cancel(lane.submit(sound, ENGLISH, "b"))


def test_only_a_sound_that_was_sent_to_join_does() -> None:
    """The next batch can be there before the worker has ended this one; it begins a run of its own."""
    ours, theirs = Pipe()
    sent = [
        Batch([], [place], ENGLISH, joins) for place, joins in ((1, True), (2, False), (3, True))
    ]
    for batch in sent:
        theirs.send(batch)
    later: list[Batch] = []
    run = _Run(ours, bytes(4), Batch([], [0], ENGLISH), _answer_nothing, later)
    run.arrivals()
    assert run.unanswered == {0, 1}
    assert [batch.places for batch in later] == [[2], [3]]


def _answer_nothing(recognition: Recognition) -> Reply:
    raise AssertionError(recognition)
