"""What an alignment pays for each kind of edit: Costs, by the name that a profile gives.

Owns the numbers. It does not know how an alignment is found.

Alignments of equal cost can split the same number of errors into substitutions, insertions and
deletions in several ways, and other costs can even prefer more errors; so a score names its costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs in thousandths, so that sums are exact. A match costs nothing.

    ``optional`` is an optional word that was not said; ``no_word`` a ``@`` passed over, and
    ``two_no_words`` one against another.
    """

    substitution: int
    insertion: int
    deletion: int
    optional: int
    no_word: int
    two_no_words: int


COSTS: Mapping[str, Costs] = {
    # errors first; among as few errors the fewest optional words passed over
    "unit": Costs(1000, 1000, 1000, optional=1, no_word=1, two_no_words=1),
    # Source: NIST SCTK 2.4, src/sclite/word.c, wwd_WORD
    "sclite": Costs(4000, 3000, 3000, optional=2000, no_word=1, two_no_words=1000),
}
