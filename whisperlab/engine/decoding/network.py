"""What decoding asks of a network: to hear windows, and to continue texts token by token.

Owns the protocol; the engines own the networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from whisperlab.engine.decoding.rules import Ban, Rules
    from whisperlab.engine.decoding.start import Start
    from whisperlab.engine.decoding.text import Text

Floats = npt.NDArray[np.float32]

Features = Any
"""Log-mel features, shape ``(n_mels, n_frames)``, float32: an array, or a tensor where a network takes that."""

NEW: Final = -1
"""The source of a row that begins where the others go on."""


class Beginning(NamedTuple):
    """Logits after a prompt, shape ``(n_rows, vocabulary)`` each."""

    at_start: Floats
    """... after <|startoftranscript|>, where no-speech and the language are read."""
    at_end: Floats
    """... after the last token of the prompt, where the text begins."""


class Listening(Protocol):
    """A Whisper network that remembers the windows it has heard.

    Logits are the network's own memory: they may be written to and last until the next call.
    """

    def hear(self, windows: Sequence[Features], kept: Sequence[int] = ()) -> list[int]:
        """Encodes log-mel windows, shape ``(n_mels, n_frames)`` each, and returns their numbers.

        Forgets the windows before, but for those ``kept``, which are as wide. Numbers are the
        smallest that are free.
        """
        ...

    def begin(
        self, heard: Sequence[int], prompts: Sequence[Sequence[int]], from_end: int
    ) -> Beginning:
        """Begins one text a row: of the window ``heard``, after its prompt; forgets texts before.

        <|startoftranscript|> is the token ``from_end`` of each prompt, 1 for the last.
        """
        ...


class Network(Listening, Protocol):
    """A Whisper network that continues the texts it has begun, token by token."""

    def begin(
        self,
        heard: Sequence[int],
        prompts: Sequence[Sequence[int]],
        from_end: int,
        beside: Sequence[int] = (),
    ) -> Beginning:
        """Begins texts beside running ones: row ``i`` was row ``beside[i]``, or is the next `NEW` one.

        Returns the logits of the new rows alone; each window has one row then.
        """
        ...

    def step(self, tokens: Sequence[int], sources: Sequence[int]) -> Floats:
        """Appends a token to the row ``sources[i]`` of the last call, which makes row ``i``.

        Rows are left out, repeated and reordered by ``sources``; the rows of one window stay
        together and are as many for each. Returns logits, shape ``(n_rows, vocabulary)``.
        """
        ...

    def attend(self, heard: int, tokens: Sequence[int]) -> Floats:
        """Returns the alignment heads' attention, shape ``(n_heads, n_tokens, n_positions)``.

        One row a token of the text, prompt included; it sums to 1 over the window's positions.
        """
        ...


class Manner(NamedTuple):
    """How a network that writes by itself is to choose its tokens."""

    n_beams: int
    temperature: float
    seed: int


@runtime_checkable
class WritingNetwork(Listening, Protocol):
    """A network that writes whole texts by a copy of the rules of its own, and shows no logits."""

    def write(self, starts: Sequence[Start], manner: Manner) -> list[Text]:
        """Returns a text for each start; with timestamps unless its prompt excludes them."""
        ...


class Choice(NamedTuple):
    """The likeliest token of each row under the rules, and its log probability among the allowed."""

    tokens: Sequence[int]
    logprobs: Sequence[float]


@runtime_checkable
class ChoosingNetwork(Protocol):
    """A network that can also choose where its logits are: on a GPU they are many and far away."""

    def choose(
        self,
        tokens: Sequence[int],
        sources: Sequence[int],
        rules: Rules,
        bans: Sequence[Ban],
    ) -> Choice:
        """Takes a step as `Network.step` and chooses by ``rules`` and what each row may not say."""
        ...


def free_numbers(count: int, kept: Sequence[int]) -> list[int]:
    """Returns the ``count`` smallest numbers that are not ``kept``.

    >>> free_numbers(3, [0, 2])
    [1, 3, 4]
    """
    taken = set(kept)
    return [number for number in range(count + len(taken)) if number not in taken][:count]
