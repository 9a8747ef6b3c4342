"""What the columns of a table mean: which one is the id, the audio, the text, the duration.

Owns the names and the types of an utterance's fields. It does not know how rows are read, nor
whether the audio exists.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple, TypeGuard

from whisperlab.dataset.rows import RowError
from whisperlab.transcript import Word

AUDIO_ALIASES = ("audio_filepath", "audio", "path", "file_name", "filename", "file")
"""NeMo's name first, then Common Voice's and the Hub's ``audiofolder``, then what people write."""
TEXT_ALIASES = ("text", "sentence", "transcript", "transcription", "reference")
ID_COLUMN = "id"
DURATION_COLUMN = "duration"
OFFSET_COLUMN = "offset"
"""NeMo's: the second of the file at which the utterance starts."""
WORDS_COLUMN = "words"
"""Times of the reference's words, as JSON Lines can hold them::

    "words": [{"word": "one", "start": 2.482, "end": 3.014}, {"word": "four", "start": 3.1, "end": 3.58}]
"""
LONGEST_SECONDS = 1e7
"""Four months: beyond it a column holds samples or milliseconds, not seconds."""


class Fields(NamedTuple):
    """What a row says of one utterance; ``audio`` as written, ``seconds`` as declared."""

    id: str
    audio: str
    text: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns; ``id`` may be absent from a row, ``duration`` too."""

    audio: str
    text: str
    id: str = ID_COLUMN
    duration: str = DURATION_COLUMN
    id_required: bool = False

    def fields(self, row: Mapping[str, object]) -> Fields:
        """Returns the utterance's fields.

        A row without an id is named by its audio path without the suffix.

        Raises:
            RowError: a field is missing or has the wrong type.

        >>> Columns("path", "text").fields({"path": "s1/a.flac", "text": "yes", "speaker": "s1"})
        Fields(id='s1/a', audio='s1/a.flac', text='yes', seconds=None)
        """
        audio, text, name = row.get(self.audio), row.get(self.text), row.get(self.id)
        if not _is_start(row.get(OFFSET_COLUMN)):
            raise RowError(
                f"expected a whole file, got a part of one ({OFFSET_COLUMN!r} "
                f"{row[OFFSET_COLUMN]!r:.40}); cut it out, or rename the column if it means something else"
            )
        if not isinstance(audio, str) or not audio.strip():
            raise self._bad_string(row, self.audio)
        if not isinstance(text, str):
            raise self._bad_string(row, self.text)
        if not isinstance(name, str) or not name.strip():
            name = self._other_id(row, audio)
        return Fields(name, audio, text, self._seconds(row))

    def slices(self, row: Mapping[str, object]) -> dict[str, str]:
        """Returns the other columns as strings; nested values and empty ones are left out."""
        own = (self.audio, self.text, self.id, self.duration)
        return {
            name: _spelled(value)
            for name, value in row.items()
            if name not in own and isinstance(value, str | int | float) and value != ""
        }

    def words(self, row: Mapping[str, object]) -> tuple[Word, ...]:
        """Returns the reference's words with their times, in seconds; none where the row has none.

        A column of that name that does not list objects with times means something else.

        Raises:
            RowError: an entry is no word with its times, or comes before its predecessor.

        >>> Columns("path", "text").words({"words": [{"word": "one", "start": 2.5, "end": 3.0}]})
        (Word(start=2.5, end=3.0, text='one', probability=None),)
        """
        listed = row.get(WORDS_COLUMN)
        if not isinstance(listed, list) or not all(
            isinstance(entry, Mapping) and "start" in entry for entry in listed
        ):
            return ()
        words = tuple(_timed_word(entry, number) for number, entry in enumerate(listed))
        for earlier, later in itertools.pairwise(words):
            if later.start < earlier.start:
                raise RowError(
                    f"expected words in order of time in {WORDS_COLUMN!r}, got {later.text[:40]!r} at "
                    f"{later.start} s after {earlier.text[:40]!r} at {earlier.start} s; sort them"
                )
        return words

    def _bad_string(self, row: Mapping[str, object], name: str) -> RowError:
        if name not in row:
            return RowError(f"expected a column {name!r}, found {_names(row)}; add it to the row")
        hint = '; write "" where nothing is said' if name == self.text else ""
        return RowError(
            f"expected a string in {name!r}, got {_kind(row[name])}{hint}; mend the row"
        )

    def _other_id(self, row: Mapping[str, object], audio: str) -> str:
        """Returns a number's digits, or the audio's path without suffix where no id is given."""
        value = row.get(self.id)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if self.id in row:
            raise RowError(
                f"expected a name in {self.id!r}, got {_kind(value)}; name the utterance or leave "
                "the column out"
            )
        if self.id_required:
            raise self._bad_string(row, self.id)
        written = PurePosixPath(audio)
        return str(written.with_suffix("")) if written.name else audio

    def _seconds(self, row: Mapping[str, object]) -> float | None:
        value = row.get(self.duration)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            value = self._number(value)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise RowError(f"expected seconds in {self.duration!r}, got {_kind(value)}; mend it")
        if not 0 <= value <= LONGEST_SECONDS:  # NaN fails too
            raise RowError(
                f"expected 0 to {LONGEST_SECONDS:.0f} seconds in {self.duration!r}, got "
                f"{value!r:.40}; write seconds"
            )
        return float(value)

    def _number(self, written: str) -> float:
        """Returns the number that a CSV or TSV cell spells; those formats know only text."""
        try:
            return float(written)
        except ValueError as error:
            raise RowError(
                f"expected seconds in {self.duration!r}, got {written[:40]!r}; write a number"
            ) from error


def _is_start(offset: object) -> bool:
    """Tells whether an offset is none at all: absent, empty, or zero however a table spells it."""
    if isinstance(offset, str):
        try:
            return not offset.strip() or float(offset) == 0
        except ValueError:
            return False
    return offset in (None, 0)


def _timed_word(word: Mapping[str, object], number: int) -> Word:
    text, start, end = word.get("word", word.get("text")), word.get("start"), word.get("end")
    if (
        not isinstance(text, str)
        or not _is_seconds(start)
        or not _is_seconds(end)
        or not 0 <= float(start) <= float(end) <= LONGEST_SECONDS
    ):
        raise RowError(
            f'expected {{"word": ..., "start": seconds, "end": seconds}} in {WORDS_COLUMN!r}[{number}], '
            f"got {word!r:.60}; mend it or rename the column"
        )
    return Word(float(start), float(end), text)


def _is_seconds(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def settle(
    row: Mapping[str, object],
    *,
    audio: str | None,
    text: str | None,
    identifier: str | None,
    duration: str | None,
) -> Columns:
    """Returns the columns that a table's first row decides for all its rows; ``None`` = by alias.

    Raises:
        RowError: no known name for the audio or the text is there.

    >>> settle({"path": "a.mp3", "sentence": "yes", "text": "no"},
    ...        audio=None, text="sentence", identifier=None, duration=None).text
    'sentence'
    """
    return Columns(
        audio=audio or _first(row, AUDIO_ALIASES, "audio"),
        text=text or _first(row, TEXT_ALIASES, "text"),
        id=identifier or ID_COLUMN,
        duration=duration or DURATION_COLUMN,
        id_required=identifier is not None,
    )


def _first(row: Mapping[str, object], aliases: tuple[str, ...], role: str) -> str:
    for name in aliases:
        if name in row:
            return name
    raise RowError(
        f"expected a column {' or '.join(map(repr, aliases))}, found {_names(row)}; rename "
        f"yours, or name it with dataset.{role}_column=NAME (dataset=manifest)"
    )


def _spelled(value: str | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _names(row: Mapping[str, object], at_most: int = 8) -> str:
    names = [repr(name[:40]) for name in list(row)[:at_most]]
    return ", ".join(names) + (", ..." if len(row) > at_most else "") if names else "no columns"


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "an empty string"
    names = {bool: "true/false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "an object")
