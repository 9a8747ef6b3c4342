"""Edit counts that add and never average.

Owns the arithmetic of an error rate. It does not know texts, normalisers or alignments.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Substitutions, insertions and deletions over ``reference_length`` units (words or characters).

    ``+`` pools counts: the rate of a sum is the corpus rate, never a mean of rates. The rate of
    nothing is ``None``; insertions against an empty reference stay in the numerator.

    >>> one = ErrorCounts(substitutions=1, insertions=0, deletions=0, reference_length=2, hypothesis_length=2)
    >>> silence = ErrorCounts(substitutions=0, insertions=1, deletions=0, reference_length=0, hypothesis_length=1)
    >>> one.rate, silence.rate, (one + silence).rate
    (0.5, None, 1.0)
    >>> NO_ERRORS.rate is None
    True
    """

    substitutions: int
    insertions: int
    deletions: int
    reference_length: int
    hypothesis_length: int

    @property
    def errors(self) -> int:
        """All edits."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float | None:
        """Errors / reference units as a fraction; ``None`` when there is no reference unit."""
        return self.errors / self.reference_length if self.reference_length else None

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            self.substitutions + other.substitutions,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.reference_length + other.reference_length,
            self.hypothesis_length + other.hypothesis_length,
        )


NO_ERRORS = ErrorCounts(0, 0, 0, 0, 0)
"""The neutral element of ``+``: the counts of an empty corpus."""
