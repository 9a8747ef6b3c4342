"""What every dataset is: utterances in a fixed order, with an identity that a resume can check.

Owns the protocol alone; it imports none of the sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

from whisperlab.utterance import Utterance


@runtime_checkable
class Dataset(Protocol):
    """A frozen settings object over a source of utterances; building it reads nothing."""

    def __iter__(self) -> Iterator[Utterance]:
        """Yields the chosen utterances lazily, always in the same order.

        Raises:
            DatasetError: the source is malformed; the message names file and line.
        """
        ...

    def __len__(self) -> int:
        """Returns how many utterances iterating yields (it may read the source once to know)."""
        ...

    def identity(self) -> Mapping[str, str | int | None]:
        """Returns what makes this the same data on a resume, as flat JSON values.

        For local files a digest over the manifest's bytes and each audio file's size; for a hub its
        name, configuration, split and revision; always the subset's size and seed.
        """
        ...
