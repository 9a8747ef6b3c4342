"""A part of a run: every n-th batch of the plan that the unsharded run would follow.

Owns which batches a shard holds. It does not know who runs them or where.

Whole batches, because what stands in a batch together can change a text: so every utterance of a
shard goes through the engine beside the same neighbours as in the run in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, TypeVar

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

MAX_SHARDS = 100_000

Item = TypeVar("Item")


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Shard:
    """Shard ``index`` (from 0) of ``count``; one of one is the whole.

    >>> [batch for batch in range(7) if Shard(1, 3).holds(batch)]
    [1, 4]
    """

    index: Annotated[int, Field(ge=0, lt=MAX_SHARDS)] = 0
    count: Annotated[int, Field(ge=1, le=MAX_SHARDS)] = 1

    @model_validator(mode="after")
    def _index_is_below_count(self) -> Shard:
        if self.index >= self.count:
            raise ValueError(
                f"expected shard.index from 0 to {self.count - 1} of shard.count={self.count}, "
                f"got {self.index}"
            )
        return self

    def holds(self, batch: int) -> bool:
        """True for the batches of this shard; ``batch`` counts from 0 through the whole run."""
        return batch % self.count == self.index

    def size(self, utterances: int, batch_size: int) -> int:
        """Returns how many of the dataset's ``utterances`` are in this shard.

        >>> [Shard(index, 3).size(10, 2) for index in range(3)]
        [4, 4, 2]
        """
        full, rest = divmod(utterances, batch_size)
        own = len(range(self.index, full, self.count)) * batch_size
        return own + (rest if self.holds(full) else 0)


WHOLE = Shard()
"""The run in one piece."""


def in_unsharded_order(shards: Sequence[Sequence[Item]], batch_size: int) -> Iterator[Item]:
    """Yields what all shards hold, by index, in the order of the run in one piece.

    >>> list(in_unsharded_order([["a", "b", "e"], ["c", "d"]], batch_size=2))
    ['a', 'b', 'c', 'd', 'e']
    """
    start = 0
    while any(start < len(shard) for shard in shards):
        for shard in shards:
            yield from shard[start : start + batch_size]
        start += batch_size
