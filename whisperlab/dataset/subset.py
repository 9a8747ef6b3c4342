"""A seeded random sample of utterances, the same for every source.

Owns which utterances a subset holds; never "the first N". An utterance's rank is a hash of the seed
and its id, and the lowest ranks are drawn: so the draw needs one pass and memory for the sample
alone, does not depend on the order of the source, and a larger subset contains every smaller one of
the same seed.
"""

from __future__ import annotations

import hashlib
import heapq
from typing import Annotated

from pydantic import Field

SubsetSize = Annotated[int, Field(ge=1)]
"""At most so many utterances."""

Seed = Annotated[int, Field(ge=0, lt=1 << 63)]


def require_seed(subset: int | None, seed: int | None) -> None:
    """Refuses a subset without a seed: a draw that cannot be repeated is no experiment.

    Raises:
        ValueError: ``subset`` is given and ``seed`` is not (pydantic names the settings).
    """
    if subset is not None and seed is None:
        raise ValueError(f"expected a seed beside subset={subset}, got none; set seed=0")


class Draw:
    """Draws ``size`` of the utterances offered (all of them when fewer are)."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._seed = f"{seed}:"
        # A max-heap by negation: its root is the highest rank still drawn, the next to go.
        self._drawn: list[tuple[int, int, bytes]] = []

    def would_draw(self, identifier: str) -> bool:
        """True when the utterance would be in the sample of all offered so far and itself."""
        return len(self._drawn) < self._size or self._rank(identifier) > self._drawn[0][0]

    def add(self, ordinal: int, identifier: str, reference: str, size: int | None) -> None:
        """Takes the utterance at ``ordinal`` into the sample; the highest rank goes."""
        entry = (self._rank(identifier), -ordinal, record(identifier, reference, size))
        if len(self._drawn) < self._size:
            heapq.heappush(self._drawn, entry)
        else:
            heapq.heappushpop(self._drawn, entry)

    def _rank(self, identifier: str) -> int:
        digest = hashlib.blake2b((self._seed + identifier).encode(), digest_size=8).digest()
        return -int.from_bytes(digest)

    def drawn(self) -> list[tuple[int, bytes]]:
        """Returns (ordinal, record) of the sample, in the order of the source.

        >>> draw = Draw(size=2, seed=0)
        >>> for ordinal, name in enumerate(["a", "b", "c", "d"]):
        ...     draw.add(ordinal, name, "", None)
        >>> len(draw.drawn())
        2
        """
        return sorted((-ordinal, kept) for _, ordinal, kept in self._drawn)


def record(identifier: str, reference: str, size: int | None) -> bytes:
    """Returns the bytes by which an utterance enters its dataset's digest."""
    return f"{identifier}\0{reference}\0{size}\0".encode()
