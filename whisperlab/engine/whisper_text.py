"""A Whisper checkpoint's tokenizer without transformers, which takes seconds to import.

Owns the way from ids to text and from a prompt to ids. transformers' own tokenizer is loaded for
words and bytes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from whisperlab.engine.decoding.vocabulary import Vocabulary
from whisperlab.errors import ModelError, UnsupportedOptionError


class WhisperText:
    """The texts of one checkpoint's folder.

    Raises:
        ModelError: the folder's tokenizer cannot be read.
    """

    def __init__(self, folder: Path, vocabulary: Vocabulary) -> None:
        self._folder = folder
        self._vocabulary = vocabulary
        path = folder / "tokenizer.json"
        if not path.is_file():
            self._backend = self.tokenizer.backend_tokenizer
            return
        from tokenizers import Tokenizer

        try:
            self._backend = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing narrower
            raise ModelError(
                f"{path}: the tokenizer cannot be read: {' '.join(str(error).split())[:200]}"
            ) from error

    @cached_property
    def tokenizer(self) -> Any:
        """Transformers' tokenizer of the folder."""
        from transformers import WhisperTokenizer

        try:
            return WhisperTokenizer.from_pretrained(self._folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise ModelError(
                f"model in {self._folder}: transformers cannot load its tokenizer: "
                f"{' '.join(str(error).split())[:300]}"
            ) from error

    def text_tokens(self, tokens: Sequence[int]) -> list[int]:
        """Returns the ids that are text: <|endoftext|> is the first special of every vocabulary."""
        return [token for token in tokens if token < self._vocabulary.end]

    def decode(self, tokens: Sequence[int]) -> str:
        """Returns the text of ids, special ones left out."""
        text = self.text_tokens(tokens)
        return str(self._backend.decode(text, skip_special_tokens=False)) if text else ""

    def prompt_ids(self, prompt: str) -> tuple[int, ...]:
        """Returns a prompt's ids, at most half of the decoder's positions.

        Raises:
            UnsupportedOptionError: it holds special tokens, or is too long.
        """
        ids = self._backend.encode(f" {prompt.strip()}", add_special_tokens=False).ids
        special = next((token for token in ids if token >= self._vocabulary.end), None)
        if special is not None:
            raise UnsupportedOptionError(
                f"decode.prompt: holds the special token {self._backend.id_to_token(special)}; "
                "leave it out"
            )
        limit = self._vocabulary.longest_context
        if len(ids) > limit:
            raise UnsupportedOptionError(
                f"decode.prompt: expected at most {limit} tokens, got {len(ids)}; shorten it"
            )
        return tuple(ids)
