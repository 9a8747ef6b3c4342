from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.serve.rate_window import LocalWindows, Window, duration

WINDOWS = st.builds(
    Window,
    previous=st.integers(0, 50),
    current=st.integers(0, 50),
    left_seconds=st.floats(0, 60),
    window_seconds=st.just(60),
)


def later(window: Window, seconds: float) -> Window:
    """The same counts some seconds later, by the definition of the sliding window counter."""
    if seconds <= window.left_seconds:
        left = window.left_seconds - seconds
        return Window(window.previous, window.current, left, window.window_seconds)
    left = max(0.0, window.left_seconds + window.window_seconds - seconds)
    return Window(window.current, 0, left, window.window_seconds)


@given(WINDOWS, st.integers(1, 60), st.data())
def test_the_time_to_wait_is_the_first_at_which_there_is_room(
    window: Window, limit: int, data: st.DataObject
) -> None:
    room = data.draw(st.integers(1, limit))
    wait = window.seconds_until(room, limit)
    assert 0 <= wait <= window.left_seconds + 60
    assert later(window, wait + 1e-6).counted() + room <= limit
    if wait > 1e-6:
        assert later(window, wait - 1e-6).counted() + room > limit


def test_the_time_to_wait_by_hand() -> None:
    # 12 of the minute before, half of it gone: 6 count. One free place of 6 needs 12 * left/60 < 6.
    assert Window(12, 0, 30.0, 60).seconds_until(1, 6) == 0.0
    # 12 * left/60 must fall below 6 - 1 + 1 = 6 from 8: 10 s.
    assert Window(12, 0, 40.0, 60).seconds_until(1, 6) == 10.0
    # 6 in this minute: 30 s until it ends, then 6 * left/60 must fall below 6 at once.
    assert Window(0, 6, 30.0, 60).seconds_until(1, 6) == 30.0
    # everything free: 6 * left/60 < 1, after 50 s of the next minute
    assert Window(0, 6, 30.0, 60).seconds_until(6, 6) == 80.0


@given(st.integers(0, 120_000))
def test_a_duration_reads_back_as_itself(milliseconds: int) -> None:
    found = re.fullmatch(r"(?:(\d+)m)?(?:([\d.]+)s|(\d+)ms)", duration(milliseconds / 1000))
    assert found is not None
    minutes, seconds, thousandths = found.groups()
    read = int(minutes or 0) * 60 + float(seconds or 0) + int(thousandths or 0) / 1000
    assert read == pytest.approx(milliseconds / 1000, abs=1e-9)


def test_callers_have_counts_of_their_own_and_share_the_turn_of_the_window() -> None:
    windows = LocalWindows(60)
    assert windows.hit("a", limit=10, cost=10, now=30.0)[0]
    assert windows.hit("b", limit=10, cost=1, now=30.0)[1] == Window(0, 1, 30.0, 60)
    admitted, window = windows.hit("a", limit=10, cost=1, now=90.0)
    assert (admitted, window) == (True, Window(10, 1, 30.0, 60))  # 10 / 2 + 1


def test_after_two_windows_everything_is_forgotten_also_when_the_clock_is_set_back() -> None:
    windows = LocalWindows(60)
    for now in (30.0, 150.0, 30.0):
        assert windows.hit("a", limit=10, cost=10, now=now) == (True, Window(0, 10, 30.0, 60))
