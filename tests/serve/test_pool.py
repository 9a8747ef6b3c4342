"""The pool of configurations: one load each, least recently used out first, none while in use."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter, sleep

import psutil
import pytest
from serve_replay import configuration, replay, tone
from serve_settings import settings_of

from whisperlab import load
from whisperlab.audio import decode
from whisperlab.device import has_bfloat16
from whisperlab.engine.options import DecodeOptions
from whisperlab.serve.configurations import Configuration, Measured, Offer
from whisperlab.serve.messages import Recipe
from whisperlab.serve.pool import Pool, PoolObserver, is_quantised, max_batch
from whisperlab.serve.problems import ApiError
from whisperlab.serve.run import Left

PATIENCE_SECONDS = 60.0
RECIPE = Recipe(DecodeOptions())


class Seen(PoolObserver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.batches: list[int] = []

    def batch_done(self, name: str, sounds: Sequence[Left], seconds: float) -> None:
        self.batches.append(len(sounds))

    def hit(self, name: str) -> None:
        self.events.append(f"hit {name}")

    def load(self, name: str) -> None:
        self.events.append(f"load {name}")

    def evict(self, name: str) -> None:
        self.events.append(f"evict {name}")


@contextmanager
def open_pool(
    configurations: Sequence[Configuration], seen: Seen, *overrides: str
) -> Iterator[Pool]:
    pool = Pool(Offer(configurations, {}), settings_of(*overrides), seen)
    try:
        yield pool
    finally:
        pool.close()


def named(*names: str) -> list[Configuration]:
    return [replay(name, f"engine.default_text={name}") for name in names]


def say(pool: Pool, configuration: Configuration) -> str:
    with pool.lease(configuration) as lane:
        reply = lane.submit(tone(1), RECIPE, "a").result.result(PATIENCE_SECONDS)
    assert reply.transcript is not None
    return reply.transcript.text


def test_a_configuration_is_loaded_once_however_many_ask_at_once() -> None:
    seen = Seen()
    (one,) = named("one")
    texts: list[str] = []
    with open_pool([one], seen) as pool:
        threads = [threading.Thread(target=lambda: texts.append(say(pool, one))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == ["one"] * 6
    assert seen.events.count("load one") == 1
    assert seen.events.count("hit one") == 5


def test_the_least_recently_used_configuration_makes_room() -> None:
    seen = Seen()
    one, two, three = named("one", "two", "three")
    with open_pool([one, two, three], seen, "serve.pool.max_loaded=2") as pool:
        assert [say(pool, c) for c in (one, two, one, three)] == ["one", "two", "one", "three"]
        assert sorted(pool.lanes) == ["one", "three"]
    assert "evict two" in seen.events


def test_a_configuration_in_use_is_never_evicted() -> None:
    one, two = named("one", "two")
    with (
        open_pool([one, two], Seen(), "serve.pool.max_loaded=1") as pool,
        pool.lease(one) as lane,
    ):
        with pytest.raises(ApiError) as refused, pool.lease(two):
            pass
        reply = lane.submit(tone(1), RECIPE, "a").result.result(PATIENCE_SECONDS)
    assert refused.value.code == "overloaded"
    assert reply.transcript is not None
    assert reply.transcript.text == "one"


def test_an_unused_configuration_leaves_after_its_time() -> None:
    seen = Seen()
    (one,) = named("one")
    with open_pool([one], seen, "serve.pool.idle_seconds=0.5") as pool:
        say(pool, one)
        until = perf_counter() + PATIENCE_SECONDS
        while pool.lanes:
            assert perf_counter() < until
            sleep(0.05)
    assert seen.events[-1] == "evict one"


def test_a_configuration_that_could_not_be_loaded_is_not_tried_again_at_once(
    tmp_path: Path,
) -> None:
    seen = Seen()
    bad = replay("bad", f"engine.path={tmp_path / 'none.jsonl'}")
    with open_pool([bad], seen) as pool:
        with pytest.raises(ApiError, match="cannot be loaded"):
            say(pool, bad)
        with pytest.raises(ApiError, match="could not be loaded") as refused:
            say(pool, bad)
    assert refused.value.status == 503
    assert seen.events == ["load bad"]


@pytest.mark.slow
def test_many_configurations_that_load_and_leave_at_once_answer_in_their_own_words() -> None:
    seen, configurations = Seen(), named("one", "two", "three", "four")
    outcomes: list[tuple[str, str]] = []

    def ask_around(first: int) -> None:
        for turn in range(6):
            configuration = configurations[(first + turn) % len(configurations)]
            try:
                outcomes.append((configuration.name, say(pool, configuration)))
            except ApiError as error:
                outcomes.append((configuration.name, error.code))

    with open_pool(configurations, seen, "serve.pool.max_loaded=2", "serve.pool.idle_seconds=0.2") as pool:  # fmt: skip
        callers = [threading.Thread(target=ask_around, args=(n,)) for n in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert len(pool.lanes) <= 2
    assert len(outcomes) == 24
    assert all(said in (name, "overloaded") for name, said in outcomes)
    assert sum(said == name for name, said in outcomes) >= 6
    assert seen.events.count("load one") >= 1
    children = psutil.Process().children()
    assert [child for child in children if "spawn_main" in " ".join(child.cmdline())] == []


def test_a_closed_pool_takes_nobody_in() -> None:
    (one,) = named("one")
    with open_pool([one], Seen()) as pool:
        pass
    with pytest.raises(ApiError, match="shutting down"), pool.lease(one):
        pass


needs_bfloat16 = pytest.mark.skipif(
    not has_bfloat16(), reason="this processor has no bfloat16; OpenVINO's is refused there"
)


@pytest.mark.parametrize("quantization", ["int8", pytest.param("bfloat16", marks=needs_bfloat16)])
def test_an_independent_engine_shares_batches_in_low_precision_and_says_the_same(
    test_data: Path, quantization: str
) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    chosen = ["engine=openvino", "engine.threads=1", f"quantization={quantization}"]
    served = configuration("low", *chosen)
    rows = (test_data / "fsdd" / "test_strings.jsonl").read_text(encoding="utf-8").splitlines()[:6]
    sounds = [decode(test_data / "fsdd" / json.loads(row)["audio_filepath"]) for row in rows]
    recipe, seen = Recipe(DecodeOptions(language="en")), Seen()
    with open_pool([served], seen, "serve.batch.max_size=4") as pool, pool.lease(served) as lane:
        lane.loaded.result(PATIENCE_SECONDS)
        tickets = [lane.submit(sound, recipe, "a") for sound in sounds]
        texts = [ticket.result.result(PATIENCE_SECONDS).transcript for ticket in tickets]
    assert max(seen.batches) > 1
    alone = load("default", "decode.language=en", *chosen)
    assert [one.text for one in texts if one] == [alone.transcribe(sound).text for sound in sounds]


def test_another_engine_shares_no_batch_in_low_precision() -> None:
    low, seen = configuration("low", "device=cpu", "quantization=dynamic_int8"), Seen()
    recipe = Recipe(DecodeOptions(language="en"))
    batching = ("serve.batch.max_size=4", "serve.batch.window_ms=500")
    with open_pool([low], seen, *batching) as pool, pool.lease(low) as lane:
        lane.loaded.result(PATIENCE_SECONDS)
        tickets = [lane.submit(tone(n), recipe, "a") for n in range(3)]
        for ticket in tickets:
            ticket.result.result(PATIENCE_SECONDS)
    assert seen.batches == [1, 1, 1]


def test_batching_follows_precision_mode_and_what_was_measured() -> None:
    automatic = settings_of().batch
    plain = replay("x")
    quantised = Configuration("q", {**plain.config, "quantization": {"name": "dynamic_int8"}})
    measured = Measured("r", "demo", 9, "basic", 0.1, 0.0, 0.2, 5.0, 0.4, batch_size=8)
    assert max_batch(plain, automatic) is None
    assert is_quantised(quantised)
    assert not is_quantised(plain)
    assert max_batch(quantised, replace(automatic, mode="on", max_size=3)) == 3
    assert max_batch(plain, replace(automatic, mode="off")) == 1
    assert max_batch(replace(plain, measured=measured), automatic) == 8
