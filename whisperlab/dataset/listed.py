"""What every dataset of rows on disk is: a sample of a listing, looked over once.

Owns the settings all of them have and the protocol's three methods. A source adds its own settings
and says how its rows are listed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import ClassVar, Self

from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass

from whisperlab.dataset.listing import Inspected, Listing
from whisperlab.dataset.subset import Seed, SubsetSize, require_seed
from whisperlab.utterance import Utterance

STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ListedDataset(ABC):
    """The chosen utterances of a listing, in its order; ``subset`` draws so many under ``seed``."""

    source: ClassVar[str]
    """The source's name in ``identity``."""

    subset: SubsetSize | None = None
    seed: Seed | None = None

    @model_validator(mode="after")
    def _subset_has_a_seed(self) -> Self:
        require_seed(self.subset, self.seed)
        return self

    def __iter__(self) -> Iterator[Utterance]:
        """Yields the chosen utterances in the order of their rows."""
        return self._listing().utterances(self._inspected)

    def __len__(self) -> int:
        """Returns how many utterances iterating yields."""
        return self._inspected.survey.utterances

    def identity(self) -> Mapping[str, str | int | None]:
        """Returns digests of the rows' bytes and of the utterances with their file sizes."""
        return self._inspected.identity(self.source, self.subset, self.seed)

    @cached_property
    def _inspected(self) -> Inspected:
        """One pass, shared by ``len``, ``identity`` and iterating."""
        return self._listing().inspect(self.subset, self.seed)

    @abstractmethod
    def _listing(self) -> Listing:
        """Returns the rows and where their recordings are."""
