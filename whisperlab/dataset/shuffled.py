"""The utterances of any dataset in another order, to see whether the order matters (it must not).

Owns the order. It holds all utterances at once: paths are nothing, but a corpus that is streamed as
bytes then lies in memory whole.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from whisperlab.dataset.protocol import Dataset
from whisperlab.utterance import Utterance


@dataclass(frozen=True, slots=True)
class ShuffledDataset:
    """The utterances of ``original`` in the order that ``seed`` draws."""

    original: Dataset
    seed: int

    def __iter__(self) -> Iterator[Utterance]:
        """Yields the utterances, always in the same other order."""
        utterances = list(self.original)
        random.Random(self.seed).shuffle(utterances)  # noqa: S311 - no secret
        return iter(utterances)

    def __len__(self) -> int:
        """Returns the original's number of utterances."""
        return len(self.original)

    def identity(self) -> Mapping[str, str | int | None]:
        """Returns the original's identity and what draws the order."""
        return {**self.original.identity(), "order": f"shuffled, seed {self.seed}"}
