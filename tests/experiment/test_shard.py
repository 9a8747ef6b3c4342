"""Shards: a deterministic split by whole batches, and the way back to the run in one piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from whisperlab.experiment.shard import Shard, in_unsharded_order


def parts(utterances: int, batch_size: int, count: int) -> list[list[int]]:
    """An independent split: batch after batch is dealt out like cards."""
    dealt: list[list[int]] = [[] for _ in range(count)]
    for batch, start in enumerate(range(0, utterances, batch_size)):
        dealt[batch % count] += range(start, min(start + batch_size, utterances))
    return dealt


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 9))
def test_the_shards_sizes_are_those_of_dealt_cards(
    utterances: int, batch_size: int, count: int
) -> None:
    dealt = parts(utterances, batch_size, count)
    sizes = [Shard(index, count).size(utterances, batch_size) for index in range(count)]
    assert sizes == [len(part) for part in dealt]


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 9))
def test_putting_dealt_shards_together_gives_the_unsharded_order(
    utterances: int, batch_size: int, count: int
) -> None:
    dealt = parts(utterances, batch_size, count)
    assert list(in_unsharded_order(dealt, batch_size)) == list(range(utterances))


def test_every_batch_is_in_exactly_one_shard() -> None:
    for batch in range(50):
        assert sum(Shard(index, 7).holds(batch) for index in range(7)) == 1


@pytest.mark.parametrize(("index", "count"), [(3, 3), (-1, 3), (0, 0)])
def test_a_shard_that_cannot_be_is_refused(index: int, count: int) -> None:
    with pytest.raises(ValidationError):
        Shard(index, count)
