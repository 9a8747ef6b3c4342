"""Which language a window is in.

Owns the choice among the language tokens after <|startoftranscript|>.

Source: Radford et al. 2022, section 2.3; transformers ``detect_language``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from whisperlab.engine.decoding.network import Beginning
from whisperlab.engine.decoding.vocabulary import Vocabulary


def detect_languages(
    begin: Callable[[Sequence[int], Sequence[Sequence[int]], int], Beginning],
    vocabulary: Vocabulary,
    heard: Sequence[int],
) -> list[int] | None:
    """Returns the id of the likeliest language of each window; ``None`` without languages.

    ``begin`` is `Listening.begin`.
    """
    if vocabulary.languages is None:
        return None
    known = np.array(sorted(vocabulary.languages.values()), np.intp)
    logits = begin(heard, [[vocabulary.start]] * len(heard), 1).at_end
    return [int(known[scores[known].argmax()]) for scores in logits]
