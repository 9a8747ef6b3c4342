"""One decoding of one window: tokens with their probabilities.

Owns the value that choosing gives and judging takes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """Tokens without <|endoftext|>, and natural log probabilities, one a token, the end's included.

    ``ended`` is False when the token cap or a cancellation cut the text. ``logprob`` is the mean by
    which the text is judged: of the probabilities after all rules, as ``generate`` judges.
    """

    tokens: tuple[int, ...]
    ended: bool
    logprobs: tuple[float, ...]
    logprob: float
    no_speech: float | None

    @property
    def avg_logprob(self) -> float:
        """The mean log probability; the one judged by where no token's is known."""
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else self.logprob
