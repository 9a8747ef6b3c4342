"""One thing is prepared ahead, in order, and failures come in their turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator

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
