"""A lane with a real worker process: batching, cancelling, dying, closing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep

import psutil
import pytest
from decoder_processes import ended, until
from serve_replay import recording, replay, spoken, tone

from whisperlab.engine.options import DecodeOptions
from whisperlab.serve.configurations import Configuration
from whisperlab.serve.lane import STOP_SECONDS, Lane, LaneObserver, LaneSettings
from whisperlab.serve.messages import Recipe
from whisperlab.serve.problems import ApiError
from whisperlab.serve.queueing import Ticket
from whisperlab.serve.run import Left
from whisperlab.serve.worker_process import WorkerLostError
from whisperlab.transcript import Finish, Segment

RECIPE = Recipe(DecodeOptions())
PATIENCE_SECONDS = 60.0


class Seen(LaneObserver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.lost = 0

    def batch_done(self, name: str, sounds: Sequence[Left], seconds: float) -> None:
        self.batches.append(len(sounds))

    def worker_lost(self, name: str) -> None:
        self.lost += 1


@contextmanager
def open_lane(
    configuration: Configuration,
    seen: Seen | None = None,
    *,
    max_batch: int = 4,
    if_independent: bool = False,
    window_seconds: float = 0.2,
) -> Iterator[Lane]:
    settings = LaneSettings(
        max_batch,
        window_seconds,
        queue_size=64,
        inference_seconds=30.0,
        if_independent=if_independent,
    )
    lane = Lane(configuration.name, configuration.config, settings, seen or Seen())
    lane.start()
    try:
        yield lane
    finally:
        lane.close()


def await_start(ticket: Ticket) -> None:
    until = perf_counter() + PATIENCE_SECONDS
    while ticket.started is None:
        assert perf_counter() < until
        sleep(0.01)


@pytest.fixture
def known(tmp_path: Path) -> Path:
    said = {number: spoken([f"sound{number}", "ends"]) for number in range(8)}
    return recording(tmp_path / "recording.jsonl", said)


def test_sounds_that_arrive_together_share_a_batch_and_keep_their_texts(known: Path) -> None:
    seen = Seen()
    with open_lane(replay("x", f"engine.path={known}"), seen) as lane:
        tickets = [lane.submit(tone(n), RECIPE, f"caller{n}") for n in range(8)]
        texts = [t.result.result(PATIENCE_SECONDS).transcript for t in tickets]
    assert [said.text for said in texts if said] == [f"sound{n} ends" for n in range(8)]
    assert sum(seen.batches) == 8
    assert max(seen.batches) == 4


def test_an_engine_that_is_not_independent_shares_no_batch_where_that_is_asked_for(
    known: Path,
) -> None:
    seen = Seen()
    with open_lane(replay("x", f"engine.path={known}"), seen, if_independent=True) as lane:
        tickets = [lane.submit(tone(n), RECIPE, "a") for n in range(3)]
        for ticket in tickets:
            ticket.result.result(PATIENCE_SECONDS)
    assert seen.batches == [1, 1, 1]


def test_long_sounds_and_other_recipes_and_sampled_ones_do_not_share() -> None:
    seen = Seen()
    configuration = replay("x", "engine.default_text=hello")
    sampled = Recipe(DecodeOptions(temperatures=(0.4,)))
    other = Recipe(DecodeOptions(language="de"))
    with open_lane(configuration, seen, window_seconds=0.05) as lane:
        waiting = [
            lane.submit(tone(1), RECIPE, "a"),
            lane.submit(tone(2, seconds=31.0), RECIPE, "b"),
            lane.submit(tone(3), sampled, "c"),
            lane.submit(tone(4), sampled, "d"),
            lane.submit(tone(5), other, "e"),
        ]
        for one in waiting:
            one.result.result(PATIENCE_SECONDS)
    assert seen.batches == [1, 1, 1, 1, 1]


def test_segments_are_handed_over_while_the_sound_is_being_decoded(known: Path) -> None:
    heard: list[tuple[float, Segment]] = []
    configuration = replay("x", f"engine.path={known}", "engine.seconds_per_utterance=0.6")
    with open_lane(configuration) as lane:
        lane.loaded.result(PATIENCE_SECONDS)
        ticket = lane.submit(tone(1), RECIPE, "a", lambda one: heard.append((perf_counter(), one)))
        ticket.result.result(PATIENCE_SECONDS)
        ended = perf_counter()
    assert [one.text for _, one in heard] == [" sound1", " ends"]
    assert ended - heard[0][0] > 0.2


def test_a_cancelled_sound_stops_and_its_neighbour_does_not(known: Path) -> None:
    configuration = replay("x", f"engine.path={known}", "engine.seconds_per_utterance=0.5")
    with open_lane(configuration) as lane:
        lane.loaded.result(PATIENCE_SECONDS)
        kept, dropped = (lane.submit(tone(n), RECIPE, "a") for n in (1, 2))
        await_start(dropped)
        lane.cancel(dropped)
        cancelled = dropped.result.result(PATIENCE_SECONDS).transcript
        whole = kept.result.result(PATIENCE_SECONDS).transcript
    assert cancelled is not None
    assert cancelled.finish is Finish.CANCELLED
    assert whole is not None
    assert whole.text == "sound1 ends"


def test_a_waiting_sound_that_is_cancelled_never_reaches_the_engine(known: Path) -> None:
    seen = Seen()
    configuration = replay("x", f"engine.path={known}", "engine.seconds_per_utterance=0.3")
    with open_lane(configuration, seen, max_batch=1) as lane:
        lane.loaded.result(PATIENCE_SECONDS)
        first, second = (lane.submit(tone(n), RECIPE, "a") for n in (1, 2))
        lane.cancel(second)
        first.result.result(PATIENCE_SECONDS)
        assert second.result.cancelled()
        assert lane.depth == 0
    assert seen.batches == [1]


def test_a_full_lane_says_so_before_anything_is_decoded_for_it(known: Path) -> None:
    configuration = replay("x", f"engine.path={known}", "engine.seconds_per_utterance=5")
    lane = Lane("x", configuration.config, LaneSettings(1, 0.0, 1, 30.0), Seen())
    lane.start()
    try:
        lane.loaded.result(PATIENCE_SECONDS)
        await_start(lane.submit(tone(1), RECIPE, "a"))
        lane.check_room("a")
        lane.submit(tone(2), RECIPE, "a")
        with pytest.raises(ApiError) as refused:
            lane.check_room("a")
    finally:
        lane.close()
    assert refused.value.code == "queue_full"


def test_a_worker_that_is_killed_costs_the_sound_that_was_alone_in_it(known: Path) -> None:
    seen = Seen()
    configuration = replay("x", f"engine.path={known}", "engine.seconds_per_utterance=2")
    with open_lane(configuration, seen, max_batch=1) as lane:
        lane.loaded.result(PATIENCE_SECONDS)
        lost = lane.submit(tone(1), RECIPE, "a")
        await_start(lost)
        assert lane.worker_pid is not None
        os.kill(lane.worker_pid, signal.SIGKILL)
        with pytest.raises(ApiError) as error:
            lost.result.result(PATIENCE_SECONDS)
        after = lane.submit(tone(2), RECIPE, "a")
        said = after.result.result(PATIENCE_SECONDS).transcript
    assert error.value.code == "internal_error"
    assert said is not None
    assert said.text == "sound2 ends"
    assert seen.lost == 1


def test_a_worker_that_died_while_it_waits_costs_no_sound(known: Path) -> None:
    seen = Seen()
    with open_lane(replay("x", f"engine.path={known}"), seen, max_batch=1) as lane:
        lane.loaded.result(PATIENCE_SECONDS)
        assert lane.worker_pid is not None
        worker = psutil.Process(lane.worker_pid)
        worker.kill()
        until(lambda: ended(worker))
        said = lane.submit(tone(1), RECIPE, "a").result.result(PATIENCE_SECONDS).transcript
    assert said is not None
    assert said.text == "sound1 ends"
    assert seen.lost == 1


def test_sounds_that_shared_a_killed_workers_batch_are_tried_again_alone(known: Path) -> None:
    seen = Seen()
    configuration = replay("x", f"engine.path={known}", "engine.seconds_per_utterance=1")
    with open_lane(configuration, seen) as lane:
        lane.loaded.result(PATIENCE_SECONDS)
        tickets = [lane.submit(tone(n), RECIPE, "a") for n in (1, 2)]
        await_start(tickets[1])
        assert lane.worker_pid is not None
        os.kill(lane.worker_pid, signal.SIGKILL)
        texts = [one.result.result(PATIENCE_SECONDS).transcript for one in tickets]
    assert [said.text for said in texts if said] == ["sound1 ends", "sound2 ends"]
    assert seen.batches == [1, 1]


def test_a_sound_over_its_time_is_timed_out(known: Path) -> None:
    configuration = replay("x", f"engine.path={known}", "engine.seconds_per_utterance=20")
    recipe = Recipe(DecodeOptions(timeout_seconds=0.2))
    with open_lane(configuration) as lane:
        reply = lane.submit(tone(1), recipe, "a").result.result(PATIENCE_SECONDS)
    assert reply.timed_out


def test_a_model_that_cannot_be_loaded_says_so_to_all_who_wait(tmp_path: Path) -> None:
    missing = replay("x", f"engine.path={tmp_path / 'none.jsonl'}")
    with open_lane(missing) as lane:
        ticket = lane.submit(tone(1), RECIPE, "a")
        with pytest.raises(ApiError) as error:
            ticket.result.result(PATIENCE_SECONDS)
        with pytest.raises(WorkerLostError, match="expected a recording"):
            lane.loaded.result(PATIENCE_SECONDS)
    assert error.value.code == "model_not_loadable"


def test_closing_ends_the_worker_and_what_waits(known: Path) -> None:
    configuration = replay("x", f"engine.path={known}", "engine.seconds_per_utterance=3")
    with open_lane(configuration, max_batch=1) as lane:
        lane.loaded.result(PATIENCE_SECONDS)
        running, waiting = (lane.submit(tone(n), RECIPE, "a") for n in (1, 2))
        await_start(running)
        worker = lane.worker_pid
        lane.close()
        with pytest.raises(ApiError, match="shutting down"):
            waiting.result.result(0)
        with pytest.raises(ApiError, match="shutting down"):
            lane.submit(tone(3), RECIPE, "a")
        cut = running.result.result(0).transcript
    assert cut is not None
    assert cut.finish is Finish.CANCELLED
    assert worker is not None
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_a_sound_that_is_cancelled_while_company_is_looked_for_never_reaches_the_engine(
    known: Path,
) -> None:
    seen = Seen()
    configuration = replay("x", f"engine.path={known}", "engine.seconds_per_utterance=0.1")
    with open_lane(configuration, seen, window_seconds=1.0) as lane:
        lane.loaded.result(PATIENCE_SECONDS)
        dropped = lane.submit(tone(1), RECIPE, "a")
        until(lambda: not lane.depth)
        lane.cancel(dropped)
        kept = lane.submit(tone(2), RECIPE, "b").result.result(PATIENCE_SECONDS).transcript
        assert dropped.result.cancelled()
    assert kept is not None
    assert kept.text == "sound2 ends"
    assert seen.batches == [1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_ever_for_a_lane_that_fails_in_an_unforeseen_way(known: Path) -> None:
    def fail(_: Segment) -> None:
        raise LookupError

    with open_lane(replay("x", f"engine.path={known}"), max_batch=1) as lane:
        running = lane.submit(tone(1), RECIPE, "a", fail)
        waiting = lane.submit(tone(2), RECIPE, "a")
        for ticket in (running, waiting):
            with pytest.raises(ApiError) as error:
                ticket.result.result(PATIENCE_SECONDS)
            assert error.value.code == "internal_error"
        with pytest.raises(ApiError, match="cannot be loaded"):
            lane.submit(tone(3), RECIPE, "a")


def test_a_lane_that_is_closed_while_it_loads_says_that_it_was_closed(known: Path) -> None:
    with open_lane(replay("x", f"engine.path={known}")) as lane:
        waiting = lane.submit(tone(1), RECIPE, "a")
        lane.close()
        for future in (waiting.result, lane.loaded):
            with pytest.raises(ApiError, match="shutting down"):
                future.result(0)


def test_a_lane_loads_when_those_before_it_have_ended(known: Path) -> None:
    ended = threading.Event()
    before = threading.Thread(target=ended.wait)
    before.start()
    configuration = replay("x", f"engine.path={known}")
    lane = Lane("x", configuration.config, LaneSettings(1, 0.0, 64, 30.0), Seen())
    lane.start(after=[before])
    sleep(0.3)
    assert lane.worker_pid is None
    ended.set()
    lane.loaded.result(PATIENCE_SECONDS)
    lane.close()


@pytest.mark.slow
def test_a_worker_that_hangs_is_replaced_and_closing_waits_for_none(known: Path) -> None:
    """A stopped process neither takes its sounds nor answers; 31 s of sound fill the pipe."""
    settings = LaneSettings(1, 0.0, queue_size=64, inference_seconds=0.5)
    configuration = replay("x", f"engine.path={known}", "engine.default_text=late")
    lane = Lane("x", configuration.config, settings, Seen())
    lane.start()
    lane.loaded.result(PATIENCE_SECONDS)
    assert lane.worker_pid is not None
    os.kill(lane.worker_pid, signal.SIGSTOP)
    hung = lane.submit(tone(1, seconds=31.0), RECIPE, "a")
    with pytest.raises(ApiError) as error:
        hung.result.result(PATIENCE_SECONDS)
    assert error.value.code == "inference_timeout"
    said = lane.submit(tone(2), RECIPE, "a").result.result(PATIENCE_SECONDS).transcript
    assert said is not None
    os.kill(lane.worker_pid, signal.SIGSTOP)
    await_start(lane.submit(tone(1, seconds=31.0), RECIPE, "a"))
    started = perf_counter()
    lane.close()
    assert perf_counter() - started < STOP_SECONDS + 2


def test_a_worker_ends_with_its_parent_in_the_middle_of_a_batch() -> None:
    tests = Path(__file__).parents[1]
    child = subprocess.Popen(
        [sys.executable, str(tests / "lane_child.py")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tests.parent)},
    )
    with child:
        assert child.stdout is not None
        worker = psutil.Process(int(child.stdout.readline()))
        assert not ended(worker)
        child.kill()
    until(lambda: ended(worker))
