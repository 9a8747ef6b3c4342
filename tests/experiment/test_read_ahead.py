"""One thing is prepared ahead, in order, and failures come in their turn."""

from __future__ import annotations

import contextlib
import dis
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from whisperlab.experiment.read_ahead import ahead


def test_the_next_item_is_prepared_while_the_first_is_used_and_no_more() -> None:
    prepared = {number: threading.Event() for number in range(4)}
    pulled: list[int] = []

    def items() -> Iterator[int]:
        for number in range(4):
            pulled.append(number)
            yield number

    def prepare(number: int) -> int:
        prepared[number].set()
        return number

    ready = ahead(items(), prepare)
    assert next(ready) == 0
    assert prepared[1].wait(10)
    assert pulled == [0, 1]
    assert list(ready) == [1, 2, 3]


def test_a_failure_comes_when_its_turn_has_come() -> None:
    ready = ahead([1, 0, 2], lambda number: 1 / number)
    assert next(ready) == 1.0
    with pytest.raises(ZeroDivisionError):
        next(ready)


def test_no_items_start_nothing() -> None:
    assert list(ahead([], str)) == []


def stopped_at(step: int) -> bool:
    """Walks through four items with a stop signal at a step; ``False`` behind the last one.

    What a signal's handler raises comes behind a call into C, at the beginning of a function or at
    the end of a turn of a loop, those of the standard library included: these are the steps. Here
    another thread plays the main one, so that it may hang.
    """
    passed = 0
    ended = threading.Event()
    before: dict[FrameType, str] = {}

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal passed
        frame.f_trace_opcodes = True
        if event == "opcode":
            behind = before.get(frame, "")
            before[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if behind.startswith("CALL") or behind in ("RESUME", "JUMP_BACKWARD"):
                passed += 1
                if passed == step:
                    sys.settrace(None)
                    raise KeyboardInterrupt
        return trace

    def walk() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            sys.settrace(trace)
            list(ahead(range(4), str))
        sys.settrace(None)
        ended.set()

    threading.Thread(target=walk, daemon=True).start()
    assert ended.wait(5), f"a stop at step {step} is not the end of it"
    return passed >= step


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stop_signal_at_any_step_ends_it() -> None:
    """``concurrent.futures`` hangs at the steps that hold the lock of a Condition."""
    step = 1
    while stopped_at(step):
        step += 1
    assert step > 20
