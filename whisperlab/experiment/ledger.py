r"""The crash-safe ledger of a run: one checked line an utterance (`checked_lines`).

Owns the record of an outcome. It does not know how an outcome came about.

A record (folded here)::

    {"id": "ls-1034", "state": "ok", "reference": "CHAPTER",
     "text": "Chapter", "language": "en", "segments": [...], "audio_seconds": 7.875,
     "timings": {"decode": 0.01, "total": 0.4}, "batch_size": 4, "attempt": 1,
     "slices": {"speaker": "ls1034"}, "error": null}

Where the corpus knows when each word was said, the record has ``reference_words`` as well: words of
the shape of a segment's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from whisperlab.errors import DatasetError
from whisperlab.experiment.checked_lines import CheckedLines, read_records
from whisperlab.transcript import Segment, Try, Word
from whisperlab.utterance import Failure, Outcome, State


class Ledger(CheckedLines):
    """The ledger of a run folder, open for appending by exactly one process.

    ``recorded`` are the ids that were there when it was opened.

    Raises:
        RunInUseError: another living process has it open.
        WriteError: the file cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self.recorded: frozenset[str] = frozenset(outcome.id for outcome in read_ledger(path))
        except BaseException:  # whatever it was, also a stop signal: the lock must not outlive it
            self.close()
            raise

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Writes one line an outcome, as `CheckedLines.write`."""
        self.write(outcome_to_json(outcome) for outcome in outcomes)

    def put_in_order(self, ids: Sequence[str]) -> None:
        """Puts the records of a complete ledger in the order of ``ids``, in one step.

        Raises:
            WriteError: the disk is full; the ledger stays as it was.
        """
        outcomes = {outcome.id: outcome for outcome in read_ledger(self.path)}
        if list(outcomes) != list(ids):
            self.replace(outcome_to_json(outcomes[name]) for name in ids)


def read_ledger(path: Path) -> Iterator[Outcome]:
    """Yields the outcomes of a ledger in the order of writing; a torn last line is left out.

    Raises:
        DatasetError: a line before the last is damaged, or a record is no outcome; names the file.
    """
    for record in read_records(path):
        yield _outcome(path, record)


def read_texts(path: Path) -> Iterator[Outcome]:
    """Yields the same outcomes without tokens: a fifth of the memory, enough to score and to judge.

    Words stay where a score can need their times: in several segments, or beside reference words.

    Raises:
        DatasetError: a line before the last is damaged, or a record is no outcome; names the file.
    """
    for record in read_records(path):
        yield _outcome(path, record, slim=True)


def _outcome(path: Path, record: Mapping[str, Any], *, slim: bool = False) -> Outcome:
    """Returns a line's outcome; a line can have its right checksum and be of another version."""
    try:
        return outcome_from_json(_slim(record) if slim else record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{path}: record {str(record.get('id'))[:80]!r} is no outcome of this version "
            f"({type(error).__name__}); restore the file or evaluate again",
            code="damaged_ledger",
        ) from error


def _slim(record: Mapping[str, Any]) -> Mapping[str, Any]:
    segments = record["segments"]
    timed = len(segments) > 1 or bool(record.get("reference_words"))
    dropped = ("tokens", "token_logprobs", "tries") if timed else ("tokens", "token_logprobs", "tries", "words")  # fmt: skip
    return {**record, "segments": [{**one, **dict.fromkeys(dropped, ())} for one in segments]}


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """Returns the ledger's record of an outcome, keys in INTERFACES' order."""
    record = asdict(outcome)
    names = ("id", "state", "reference", "text", "language", "segments", "audio_seconds", "timings")
    rest = ("batch_size", "attempt", "slices", "error")
    known = ("reference_words",) if outcome.reference_words else ()
    return {name: record[name] for name in (*names, *rest, *known)}


def outcome_from_json(record: Mapping[str, Any]) -> Outcome:
    """Returns the outcome that a ledger's record describes."""
    segments = tuple(
        Segment(
            **{
                **segment,
                "tokens": tuple(segment["tokens"]),
                "words": tuple(Word(**word) for word in segment["words"]),
                "token_logprobs": tuple(segment.get("token_logprobs", ())),
                "tries": tuple(Try(**one) for one in segment.get("tries", ())),
            }
        )
        for segment in record["segments"]
    )
    error = record["error"]
    return Outcome(
        **{
            **record,
            "state": State(record["state"]),
            "segments": segments,
            "error": None if error is None else Failure(**error),
            "reference_words": tuple(Word(**word) for word in record.get("reference_words", ())),
        }
    )
