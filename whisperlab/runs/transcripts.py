"""Transcripts that somebody else made: which format a file has, and pairs of reference and hypothesis.

Owns JSON Lines (NeMo's manifests, our own ledgers), Kaldi's text files and the pairing by id. It does
not know NIST's formats (`nist`) or scores. One line of each format::

    {"id": "u1", "text": "good morning", "speaker": "s1"}                       jsonl
    {"audio_filepath": "u1.wav", "text": "good morning", "pred_text": "good"}   NeMo
    u1 good morning                                                             kaldi (a folder or text)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from whisperlab.dataset.columns import AUDIO_ALIASES, TEXT_ALIASES
from whisperlab.errors import DatasetError
from whisperlab.runs.nist import (
    Utterance,
    join_stm_and_ctm,
    read_ctm,
    read_stm,
    read_trn,
)
from whisperlab.runs.text_file import NIST, UTF8, encodings, read_text
from whisperlab.utterance import Failure, Outcome, State

Format = Literal["trn", "stm", "ctm", "jsonl", "kaldi"]
FORMATS: tuple[Format, ...] = get_args(Format)
NIST_FORMATS = frozenset({"trn", "stm", "ctm"})

SUFFIXES: Mapping[str, Format] = {
    ".trn": "trn",
    ".ref": "trn",
    ".hyp": "trn",
    ".stm": "stm",
    ".ctm": "ctm",
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "kaldi",
    "": "kaldi",
}
ID_ALIASES = ("id", "utt_id", "utterance_id")
REFERENCE_ALIASES = ("reference", *TEXT_ALIASES)
"""Where a row has both, as our own ledger's, ``text`` is what was heard."""
HYPOTHESIS_ALIASES = ("pred_text", "hypothesis", "prediction", "text")
SPEAKER_ALIASES = ("speaker", "speaker_id", "spk")

KALDI_TEXT, KALDI_SPEAKERS = "text", "utt2spk"

_WITHOUT_TEXT = tuple(state for state in State if not state.scored)

NO_HYPOTHESIS = Failure("no_hypothesis", "the hypothesis file has no text for this id")


def format_of(path: Path) -> Format:
    """Returns the format that a path's name stands for.

    Raises:
        DatasetError: it stands for none.

    >>> format_of(Path("test.hyp")), format_of(Path("data/test"))
    ('trn', 'kaldi')
    """
    if path.is_dir():
        return "kaldi"
    known = SUFFIXES.get(path.suffix.lower())
    if known is None:
        raise DatasetError(
            f"{path}: expected a folder or a name ending in {', '.join(filter(None, SUFFIXES))}; "
            f"name the format with --format ({', '.join(FORMATS)})"
        )
    return known


def pair_transcripts(
    reference: Path, hypothesis: Path, *, said: Format, heard: Format, encoding: str | None = None
) -> list[Outcome]:
    """Returns one outcome an utterance of the reference, in order.

    An utterance without hypothesis has failed; it is no part of the score, as in sclite, but of the
    coverage. The speaker, where the format knows one, is the slice ``speaker``.

    Raises:
        DatasetError: a file is damaged, or the hypothesis has an id that the reference lacks.
        ConfigError: there is no such ``encoding``.
    """
    if "stm" in (said, heard) or "ctm" in (said, heard):
        if (said, heard) != ("stm", "ctm"):
            raise DatasetError(
                f"expected an stm reference with a ctm hypothesis, got {said} and {heard}; a ctm has "
                "no utterances of its own"
            )
        tried = encodings(encoding, NIST)
        pairs = join_stm_and_ctm(read_stm(reference, tried), read_ctm(hypothesis, tried))
        return [_outcome(utterance, text) for utterance, text in pairs]
    references = _READERS[said](reference, REFERENCE_ALIASES, encoding)
    hypotheses = {one.id: one for one in _READERS[heard](hypothesis, HYPOTHESIS_ALIASES, encoding)}
    known = {one.id for one in references}
    for name in hypotheses:
        if name not in known:
            raise DatasetError(
                f"{hypothesis}: the id {name!r:.80} is not in the reference {reference}; the ids of both "
                "files must be the same"
            )
    return [
        _outcome(one, None if one.id not in hypotheses else hypotheses[one.id].text)
        for one in references
    ]


def _outcome(utterance: Utterance, heard: str | None) -> Outcome:
    speaker = {} if utterance.speaker is None else {"speaker": utterance.speaker}
    outcome = Outcome(
        id=utterance.id,
        state=State.EMPTY,
        reference=utterance.text,
        text=heard or "",
        slices={**speaker, **utterance.slices},
    )
    if heard is None:
        return replace(outcome, state=State.FAILED, error=NO_HYPOTHESIS)
    return replace(outcome, state=State.OK) if heard.strip() else outcome


def _read_trn(path: Path, _: Sequence[str], encoding: str | None) -> list[Utterance]:
    return read_trn(path, encodings(encoding, NIST))


def read_jsonl(
    path: Path, text_names: Sequence[str], encoding: str | None = None
) -> list[Utterance]:
    """Returns the utterances of a JSON Lines file; the text is the first column of ``text_names``.

    Of our own ledger, what failed or timed out has a reference and no hypothesis.

    Raises:
        DatasetError: a line is no object, lacks id or text, or repeats an id.
    """
    return _unique(
        path,
        (
            _from_row(place, row, text_names)
            for place, row in _rows(path, encoding)
            if text_names == REFERENCE_ALIASES or row.get("state") not in _WITHOUT_TEXT
        ),
    )


def _rows(path: Path, encoding: str | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    text = read_text(path, encodings(encoding, UTF8))
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{place}: expected a JSON object, {error!s:.80}") from error
        if not isinstance(row, dict):
            raise DatasetError(f"{place}: expected a JSON object, got {line:.40}")
        record = row.get("record")  # our own ledger's line
        yield place, record if isinstance(record, dict) else row


def _from_row(place: str, row: Mapping[str, Any], text_names: Sequence[str]) -> Utterance:
    name = _first(row, ID_ALIASES)
    if name is None:
        name = _name_of_audio(row)
    if not isinstance(name, str | int):
        raise DatasetError(f"{place}: expected an id ({', '.join(ID_ALIASES)}) or audio path")
    text = _first(row, text_names)
    if not isinstance(text, str):
        raise DatasetError(f"{place}: expected a string in one of {', '.join(text_names)}")
    speaker = _first(row, SPEAKER_ALIASES)
    if speaker is None and isinstance(row.get("slices"), dict):
        speaker = _first(row["slices"], SPEAKER_ALIASES)
    return Utterance(str(name), text, None if speaker is None else str(speaker))


def _name_of_audio(row: Mapping[str, Any]) -> str | None:
    """Returns the audio path without suffix; a NeMo row of a part of a file has its offset as well."""
    audio, offset = _first(row, AUDIO_ALIASES), row.get("offset")
    if not isinstance(audio, str):
        return None
    name = str(PurePosixPath(audio).with_suffix("")) if PurePosixPath(audio).name else audio
    return f"{name}@{offset}" if offset else name


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def read_kaldi(path: Path, _: Sequence[str], encoding: str | None = None) -> list[Utterance]:
    """Returns the utterances of a Kaldi text file or of a folder with ``text`` and ``utt2spk``.

    Raises:
        DatasetError: there is no text, or an id occurs twice.
    """
    text = path / KALDI_TEXT if path.is_dir() else path
    speakers_at = text.parent / KALDI_SPEAKERS
    speakers = dict(_kaldi_pairs(speakers_at, encoding)) if speakers_at.is_file() else {}
    return _unique(
        text,
        (Utterance(name, said, speakers.get(name)) for name, said in _kaldi_pairs(text, encoding)),
    )


def _kaldi_pairs(path: Path, encoding: str | None) -> Iterator[tuple[str, str]]:
    for line in read_text(path, encodings(encoding, UTF8)).split("\n"):
        if line.strip():
            name, *rest = line.split(maxsplit=1)
            yield name, "".join(rest).strip()


def _unique(path: Path, utterances: Iterable[Utterance]) -> list[Utterance]:
    found: dict[str, Utterance] = {}
    for utterance in utterances:
        if utterance.id in found:
            raise DatasetError(f"{path}: the id {utterance.id!r:.80} occurs twice; ids are unique")
        found[utterance.id] = utterance
    return list(found.values())


Reader = Callable[[Path, Sequence[str], str | None], list[Utterance]]
_READERS: Mapping[str, Reader] = {"trn": _read_trn, "jsonl": read_jsonl, "kaldi": read_kaldi}
