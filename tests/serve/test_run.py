"""A run from the parent's end and from the worker's: what is said is heard, whoever goes or waits."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from multiprocessing import Pipe
from multiprocessing.sharedctypes import RawArray
from threading import Condition, Thread
from typing import Any

import numpy as np
import pytest
from decoder_processes import until
from serve_replay import replay, tone

from whisperlab import device
from whisperlab.audio import Waveform
from whisperlab.engine.options import DecodeOptions
from whisperlab.serve.inbox import Inbox
from whisperlab.serve.messages import Answered, Batch, Heard, Loaded, Recipe, Reply, send_batch
from whisperlab.serve.queueing import Ticket
from whisperlab.serve.run import Bell, Entrance, Run
from whisperlab.serve.worker import _load_and_answer, _Run
from whisperlab.serve.worker_process import WorkerLostError, WorkerProcess
from whisperlab.transcriber import Recognition
from whisperlab.transcript import Segment

ENGLISH = Recipe(DecodeOptions(language="en"))
PATIENCE_SECONDS = 30.0


class Played(WorkerProcess):
    """A worker that the test plays at ``theirs``, the other end of its pipe."""

    def __init__(self) -> None:
        self._connection, self.theirs = Pipe()
        self._flags = RawArray("b", 4)
        self._process: Any = None

    def kill(self) -> None:
        """Dies; what it has said stays in the pipe."""
        self.theirs.close()


def ticket(number: int = 1, on_segment: Callable[[Segment], None] | None = None) -> Ticket:
    return Ticket(tone(number), ENGLISH, "a", on_segment)


def reply(message: str) -> Reply:
    return Reply(None, "none", message, 0.5)


def run_of(*batch: Ticket, entrance: Entrance | None = None) -> Run:
    return Run(batch, ENGLISH, Condition(), entrance)


def test_what_a_worker_has_said_before_it_died_is_heard_though_a_sound_cannot_join_it() -> None:
    worker, first, second = Played(), ticket(1), ticket(2)

    def following(recipe: Recipe) -> Ticket | None:
        if run.left:
            return None
        worker.theirs.send(Answered(0, reply("said")))
        worker.kill()  # before the sound that is to join is sent
        return second

    run = run_of(first, entrance=Entrance(Bell(), 2, following))
    with pytest.raises(WorkerLostError):
        run.serve(worker, PATIENCE_SECONDS)
    assert first.result.result(0).message == "said"
    assert run.sounds == {1: second}


def test_who_was_answered_is_told_so_though_the_worker_dies_before_the_others_are() -> None:
    worker, first, second = Played(), ticket(1), ticket(2, lambda _: worker.kill())
    run = run_of(first, second)
    for message in (Answered(0, reply("said")), Heard(1, Segment(0.0, 0.5, " half"))):
        worker.theirs.send(message)
    with pytest.raises(WorkerLostError):
        run.serve(worker, PATIENCE_SECONDS)
    assert first.result.result(0).message == "said"
    assert run.sounds == {1: second}
    assert second.heard


def test_who_was_answered_is_told_so_though_the_run_fails_in_an_unforeseen_way() -> None:
    def fail(_: Segment) -> None:
        raise LookupError

    worker, first = Played(), ticket(1)
    run = run_of(first, ticket(2, fail))
    for message in (Answered(0, reply("said")), Heard(1, Segment(0.0, 0.5, " half"))):
        worker.theirs.send(message)
    with pytest.raises(LookupError):
        run.serve(worker, PATIENCE_SECONDS)
    assert first.result.result(0).message == "said"


def test_a_run_that_is_joined_for_long_keeps_no_sound_that_has_left() -> None:
    worker, second = Played(), ticket(2)
    batch = [ticket(1)]
    first = weakref.ref(batch[0].waveform.samples)
    kept: list[bool] = []

    def following(recipe: Recipe) -> Ticket | None:
        if run.left and not kept:
            kept.append(first() is not None)
            worker.theirs.send(Answered(1, reply("second")))
            return None
        if run.left or len(run.sounds) == 2:
            return None
        worker.theirs.send(Answered(0, reply("first")))
        return second

    run = run_of(*batch, entrance=Entrance(Bell(), 2, following))
    batch.clear()
    run.serve(worker, PATIENCE_SECONDS)
    assert kept == [False]
    assert [one.audio_seconds for one in run.left] == [0.5, 0.5]


def test_a_ring_that_nobody_hears_does_not_hinder_the_next() -> None:
    bell = Bell()
    rung = Thread(target=often, args=(bell.ring, 100_000), daemon=True)
    rung.start()
    rung.join(PATIENCE_SECONDS)
    assert not rung.is_alive()
    bell.quiet()
    assert not bell.heard.poll()
    bell.ring()
    assert bell.heard.poll()
    bell.close()


def test_a_worker_that_speaks_and_a_parent_that_sends_do_not_wait_for_each_other() -> None:
    """Each says far more than the pipe holds, and neither reads before it is done."""
    ours, theirs = Pipe()
    inbox = Inbox(theirs)
    run = _Run(theirs, bytes(2), Batch([], [0], ENGLISH), _answer_nothing, inbox)
    long = Segment(0.0, 1.0, " word" * 10_000)
    said = 100
    sound = Waveform(np.ones(16_000 * 30, dtype=np.float32))
    speak = partial(run.segment, 0, long, final=True)
    speaking = Thread(target=often, args=(speak, said), daemon=True)
    sending = Thread(
        target=send_batch, args=(ours, Batch([sound], [1], ENGLISH, joins=True)), daemon=True
    )
    speaking.start()
    sending.start()
    sending.join(PATIENCE_SECONDS)
    assert not sending.is_alive()
    for _ in range(said):
        assert ours.recv() == Heard(0, long)
    speaking.join(PATIENCE_SECONDS)
    (came,) = run.arrivals()
    assert np.array_equal(came.samples, sound.samples)


def test_only_a_sound_that_was_sent_to_join_does() -> None:
    """The next batch can be there before the worker has ended this one; it begins a run of its own."""
    run, inbox = child_run((1, True), (2, False), (3, True))
    run.arrivals()
    assert run.unanswered == {0, 1}
    assert [batch.places for batch in (inbox.take(), inbox.take()) if batch] == [[2], [3]]


def test_sounds_that_came_too_late_for_one_run_are_in_the_next_together() -> None:
    before, inbox = child_run((1, True), (2, True), (3, True))
    batch = inbox.take()  # the run before has ended without them
    assert batch is not None
    after = _Run(before._connection, bytes(4), batch, _answer_nothing, inbox)
    after.arrivals()
    assert after.unanswered == {0, 1, 2}


def test_the_inbox_of_a_worker_whose_parent_has_gone_is_closed() -> None:
    ours, theirs = Pipe()
    inbox = Inbox(theirs)
    send_batch(ours, Batch([tone(1)], [0], ENGLISH))
    ours.close()
    batch = inbox.take()
    assert batch is not None
    assert np.array_equal(batch.sounds[0].samples, tone(1).samples)
    assert inbox.take() is None


def often(act: Callable[[], None], times: int) -> None:
    for _ in range(times):
        act()


def child_run(*sent: tuple[int, bool]) -> tuple[_Run, Inbox]:
    """A worker's run, and an inbox in which sounds for these places lie; who may join says so."""
    ours, theirs = Pipe()
    inbox = Inbox(theirs)
    for place, joins in sent:
        send_batch(ours, Batch([tone(place)], [place], ENGLISH, joins))
    ours.close()
    until(lambda: inbox._closed)
    return _Run(theirs, bytes(4), Batch([tone(0)], [0], ENGLISH), _answer_nothing, inbox), inbox


def _answer_nothing(recognition: Recognition) -> Reply:
    raise AssertionError(recognition)


def test_a_worker_gives_memory_back_between_its_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[None] = []
    monkeypatch.setattr(device, "GIVE_BACK_SECONDS", 0.0)
    monkeypatch.setattr(device, "give_back_memory", lambda: given.append(None))
    mine, theirs = Pipe()
    config = dict(replay("x", "engine.default_text=one").config)
    worker = Thread(target=_load_and_answer, args=(config, theirs, RawArray("b", 4)))
    worker.start()
    assert isinstance(mine.recv(), Loaded)
    for number in (1, 2):
        send_batch(mine, Batch([tone(number)], [0], ENGLISH))
        said = mine.recv()
        while not isinstance(said, Answered):
            said = mine.recv()
    mine.close()
    worker.join(PATIENCE_SECONDS)
    assert not worker.is_alive()
    assert len(given) == 2
