"""One look over a whole dataset before anything else runs: how many, which, and the same as before?

Owns the count, the duplicate check, the sample and the digest. It does not know where utterances
come from: every source reports each of its utterances here once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from whisperlab.dataset.rows import RowError
from whisperlab.dataset.subset import Draw, record


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over a source found.

    ``chosen`` holds the ordinals of a sample, ``None`` when all good rows are wanted; ``skipped``
    those of bad rows that were left out, ``unwanted`` those of good rows that do not belong to the part
    asked for. ``utterances_sha256`` is over id, reference and file size
    of every chosen utterance in order.
    """

    utterances: int
    skipped: frozenset[int]
    unwanted: frozenset[int]
    chosen: frozenset[int] | None
    utterances_sha256: str

    def wants(self, ordinal: int) -> bool:
        """True when iterating yields the row at this ordinal."""
        if self.chosen is not None:
            return ordinal in self.chosen
        return ordinal not in self.skipped and ordinal not in self.unwanted


class Surveyor:
    """Counts, checks and samples the utterances that are reported to it.

    Ids are remembered as 8-byte hashes (about 70 bytes a row in a set instead of the strings): two
    of 10^6 different ids share one with probability 3e-8.
    """

    def __init__(self, subset: int | None, seed: int | None) -> None:
        self._draw = Draw(subset, seed or 0) if subset is not None else None
        self._digest = hashlib.sha256()
        self._seen: set[int] = set()
        self._skipped: set[int] = set()
        self._unwanted: set[int] = set()

    def draws(self, identifier: str) -> bool:
        """True unless a sample is wanted that this utterance cannot be in."""
        return self._draw is None or self._draw.would_draw(identifier)

    def add(self, ordinal: int, identifier: str, reference: str, size: int | None) -> None:
        """Takes in an utterance that may be yielded; ``size`` is that of its file.

        Raises:
            RowError: its id has been there before.
        """
        self.pass_by(identifier)
        if self._draw is None:
            self._digest.update(record(identifier, reference, size))
        else:
            self._draw.add(ordinal, identifier, reference, size)

    def pass_by(self, identifier: str) -> None:
        """Takes in an utterance that the sample leaves aside.

        Raises:
            RowError: its id has been there before.
        """
        fingerprint = hash(identifier)
        if fingerprint in self._seen:
            raise RowError(
                f"expected a new id, got {identifier[:200]!r} for the second time; one result "
                "would replace the other: rename or remove one"
            )
        self._seen.add(fingerprint)

    def skip(self, ordinal: int) -> None:
        """Notes a bad row that is left out."""
        self._skipped.add(ordinal)

    def leave_out(self, ordinal: int) -> None:
        """Notes a good row that does not belong to the part asked for."""
        self._unwanted.add(ordinal)

    def finish(self) -> Survey:
        """Returns the survey of everything that was added."""
        chosen: frozenset[int] | None = None
        utterances = len(self._seen)
        if self._draw is not None:
            drawn = self._draw.drawn()
            for _, kept in drawn:
                self._digest.update(kept)
            chosen = frozenset(ordinal for ordinal, _ in drawn)
            utterances = len(chosen)
        return Survey(
            utterances=utterances,
            skipped=frozenset(self._skipped),
            unwanted=frozenset(self._unwanted),
            chosen=chosen,
            utterances_sha256=self._digest.hexdigest(),
        )
