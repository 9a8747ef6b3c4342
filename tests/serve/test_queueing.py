"""The fair queue: order within a caller, turns between callers, bounds."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serve_replay import tone

from whisperlab.engine.options import DecodeOptions
from whisperlab.serve.messages import Recipe, Reply
from whisperlab.serve.problems import ApiError
from whisperlab.serve.queueing import FairQueue, Ticket

SOUND = tone(0)
RECIPE = Recipe(DecodeOptions())


def ticket(caller: str) -> Ticket:
    return Ticket(SOUND, RECIPE, caller)


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_every_ticket_comes_out_once_and_each_callers_in_order(callers: list[str]) -> None:
    queue = FairQueue(100)
    tickets = [ticket(caller) for caller in callers]
    for one in tickets:
        queue.add(one)
    taken = [queue.take() for _ in tickets]
    assert len(queue) == 0
    for caller in set(callers):
        mine = [t for t in tickets if t.caller == caller]
        assert [t for t in taken if t.caller == caller] == mine


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_no_caller_waits_for_more_than_one_sound_of_each_other(callers: list[str]) -> None:
    queue = FairQueue(100)
    for caller in callers:
        queue.add(ticket(caller))
    order = [queue.take().caller for _ in callers]
    for caller in set(callers):
        places = [n for n, taken in enumerate(order) if taken == caller]
        for before, after in pairwise(places):
            between = Counter(order[before + 1 : after])
            assert all(times == 1 for times in between.values())


def test_a_full_queue_blames_the_caller_who_filled_it() -> None:
    queue = FairQueue(4)
    for caller in "aaab":
        queue.add(ticket(caller))
    with pytest.raises(ApiError) as mine:
        queue.add(ticket("a"))
    with pytest.raises(ApiError) as others:
        queue.add(ticket("c"))
    assert (mine.value.code, mine.value.status) == ("queue_full", 429)
    assert (others.value.code, others.value.status) == ("overloaded", 503)
    assert int(mine.value.all_headers()["Retry-After"]) >= 1
    assert int(others.value.all_headers()["Retry-After"]) >= 1


def test_a_flood_leaves_places_for_who_has_none_waiting() -> None:
    queue = FairQueue(16)
    for _ in range(14):
        queue.add(ticket("loud"))
    with pytest.raises(ApiError, match="14 requests of yours") as refused:
        queue.check_room("loud")
    assert refused.value.code == "queue_full"
    queue.add(ticket("quiet"))
    queue.add(ticket("silent"))
    with pytest.raises(ApiError) as full:
        queue.check_room("last")
    assert full.value.code == "overloaded"


def test_the_time_to_wait_grows_with_the_queue_and_the_service_time() -> None:
    queue = FairQueue(7)
    queue.seconds_per_sound = 3.0
    for _ in range(7):
        queue.add(ticket("a"))
    with pytest.raises(ApiError) as refused:
        queue.add(ticket("a"))
    assert refused.value.all_headers()["Retry-After"] == "21"


def test_a_removed_ticket_is_gone_and_a_second_removal_says_so() -> None:
    queue = FairQueue(4)
    first, second = ticket("a"), ticket("a")
    queue.add(first)
    queue.add(second)
    assert queue.remove(first)
    assert not queue.remove(first)
    assert queue.take() is second


def test_a_companion_is_only_the_next_of_its_caller() -> None:
    queue = FairQueue(4)
    unlike, like = ticket("a"), ticket("a")
    queue.add(unlike)
    queue.add(like)
    assert queue.take_companion(lambda one: one is like) is None
    assert queue.take_companion(lambda one: one is unlike) is unlike


def test_a_ticket_that_was_put_back_comes_first_whatever_the_size() -> None:
    queue = FairQueue(1)
    first, second = ticket("a"), ticket("a")
    queue.add(second)
    queue.put_back(first)
    assert queue.take() is first


def test_a_cancelled_ticket_takes_no_second_end() -> None:
    one = ticket("a")
    one.result.cancel()
    one.finish(Reply(None, None, "", 0.5))
    assert one.result.cancelled()
