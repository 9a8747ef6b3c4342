"""What is lost when a process of the server is killed, or a client leaves: that one, and no more."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import httpx
import pytest
from decoder_processes import decoders, long_sound, until
from raw_http import FILE, MULTIPART, RawClient, field, form, part, request
from serve_calls import ROUTE, ask, code, kill, metric, wav, workers
from serve_process import Running, running_server
from serve_replay import recording, spoken, tone

from whisperlab.engine.replay import record

SECONDS = 2.0
"""What a sound takes in the engine."""

HOUR = long_sound(60)


def known_sounds(folder: Path) -> Path:
    said = {number: spoken([f"sound{number}", "is", "here"]) for number in range(10)}
    path = recording(folder / "recording.jsonl", said)
    with path.open("a", encoding="utf-8") as more:
        more.write(record(tone(9, 0.2), spoken(["quick"], 0.2)) + "\n")
    return path


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One decoder, one sound at a time in the engine."""
    folder = tmp_path_factory.mktemp("slow")
    with running_server(
        folder, "engine=replay", f"engine.path={known_sounds(folder)}",
        f"engine.seconds_per_utterance={SECONDS}",
        "serve.batch.mode=off", "serve.limits.decoders=1", "serve.limits.queue_size=8",
    ) as running:  # fmt: skip
        yield running


def busy_decoders(running: Running) -> float:
    return metric(running, 'whisperlab_decoders{state="busy"}')


def waiting(running: Running) -> float:
    return metric(running, 'whisperlab_queue_depth{configuration="default"}')


def in_engine(running: Running) -> float:
    return metric(running, 'whisperlab_in_engine{configuration="default"}')


def in_flight(running: Running) -> float:
    return metric(running, "whisperlab_requests_in_flight")


def test_a_killed_decoder_costs_its_sound_and_the_next_is_heard(slow: Running) -> None:
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(ask, slow, HOUR)
        until(lambda: busy_decoders(slow) == 1)
        [decoder] = decoders(slow.process.pid)
        kill(decoder)
        refused = asked.result()
    assert (refused.status_code, code(refused)) == (400, "decode_memory")
    assert ask(slow, wav(1)).json()["text"] == "sound1 is here"
    assert metric(slow, 'whisperlab_decoder_events_total{event="died"}') == 1


def test_a_killed_worker_costs_its_sound_and_what_waits_is_heard(slow: Running) -> None:
    with ThreadPoolExecutor(2) as callers:
        lost = callers.submit(ask, slow, wav(2))
        until(lambda: in_engine(slow) == 1)
        waits = callers.submit(ask, slow, wav(3))
        until(lambda: waiting(slow) == 1)
        [worker] = workers(slow)
        kill(worker)
        refused, heard = lost.result(), waits.result()
    assert (refused.status_code, code(refused)) == (500, "internal_error")
    assert heard.json()["text"] == "sound3 is here"
    restarts = 'whisperlab_pool_events_total{configuration="default",event="restart"}'
    assert metric(slow, restarts) == 1
    assert httpx.get(f"{slow.base_url}/health/ready").status_code == 200


def whole(number: int, *fields: bytes) -> bytes:
    return request(form(field("model", "whisper-1"), *fields, part(FILE, wav(number))), MULTIPART)


def _streams(client: RawClient) -> bool:
    return client.has_answer(0.1) and b"transcript.text.delta" in client.socket.recv(1 << 16)


POINTS: dict[str, tuple[bytes, Callable[[Running, RawClient], bool]]] = {
    "before the body": (
        whole(4).partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
        lambda running, _: in_flight(running) == 1,
    ),
    "in the body": (whole(4)[:-4000], lambda running, _: in_flight(running) == 1),
    "while its sound is decoded": (
        request(form(field("model", "whisper-1"), part(FILE, HOUR)), MULTIPART),
        lambda running, _: busy_decoders(running) == 1,
    ),
    "in the queue": (whole(4), lambda running, _: waiting(running) == 1),
    "in the engine": (whole(4), lambda running, _: in_engine(running) == 1),
    "in the stream": (whole(4, field("stream", "true")), lambda _, client: _streams(client)),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_client_that_leaves_gives_its_place_back(point: str, slow: Running) -> None:
    sent, arrived = POINTS[point]
    status = 200 if point == "in the stream" else 499  # there it had been sent

    def gone() -> int:
        return sum(
            line.get("status") == status and line.get("route") == ROUTE for line in slow.logged()
        )

    until(lambda: in_flight(slow) == 0)
    gone_before = gone()
    with ThreadPoolExecutor(1) as caller:
        before = caller.submit(ask, slow, wav(5)) if point == "in the queue" else None
        if before is not None:
            until(lambda: in_engine(slow) == 1)
        with RawClient(("127.0.0.1", slow.port)) as leaving:
            leaving.send(sent)
            until(lambda: arrived(slow, leaving))
        until(lambda: in_flight(slow) == (1 if before is not None and not before.done() else 0))
        assert waiting(slow) == 0
        if before is None:
            until(lambda: in_engine(slow) == 0)
        else:
            assert before.result().status_code == 200
    until(lambda: busy_decoders(slow) == 0)  # a sound that is being decoded is decoded to its end
    until(lambda: gone() > gone_before)


def test_a_connection_that_was_kept_open_brings_one_more_request_while_the_server_drains(
    tmp_path: Path,
) -> None:
    """A proxy has not seen yet that it should not; to a 503 it could not do anything either."""
    known = known_sounds(tmp_path)
    with (
        running_server(tmp_path, "engine=replay", f"engine.path={known}") as running,
        RawClient(("127.0.0.1", running.port)) as kept,
    ):
        kept.send(whole(1))
        assert kept.answer().status == 200
        running.process.send_signal(signal.SIGTERM)
        sleep(0.1)
        kept.send(whole(1))
        answer = kept.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert running.process.wait(60) == 0


def test_readiness_turns_red_when_the_lost_model_cannot_be_loaded_and_green_when_it_can(
    tmp_path: Path,
) -> None:
    path = known_sounds(tmp_path)
    overrides = ("engine=replay", f"engine.path={path}", "serve.limits.decoders=1")
    with running_server(tmp_path, *overrides) as running:
        ready = f"{running.base_url}/health/ready"
        aside = path.rename(tmp_path / "aside.jsonl")
        [worker] = workers(running)
        kill(worker)
        # The next sound finds out; until then nobody has missed the worker.
        lost = ask(running, wav(1))
        assert lost.status_code in (500, 503)
        until(lambda: httpx.get(ready).status_code == 503)
        assert code(httpx.get(ready)) == "model_not_loadable"
        assert httpx.get(f"{running.base_url}/health/live").status_code == 200
        refused = ask(running, wav(1))
        assert (refused.status_code, code(refused)) == (503, "model_not_loadable")
        aside.rename(path)
        until(lambda: httpx.get(ready).status_code == 200)  # no request but the probe's
        assert ask(running, wav(1)).json()["text"] == "sound1 is here"
    assert re.search('"message": "model not loaded"', running.log.read_text(encoding="utf-8"))
