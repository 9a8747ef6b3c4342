"""The scores of transcripts that exist already, in the shape of scores.json, and their table.

Owns what a score without a run looks like. It does not know formats, rules or intervals.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from whisperlab.errors import DatasetError, WriteError
from whisperlab.experiment.result import SCHEMA, Rate
from whisperlab.experiment.scoring import ScoredUtterance, rates, score_outcomes, tally
from whisperlab.metric.cer import CharacterErrorRate
from whisperlab.metric.protocol import Metric
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.runs.glm import glm_hash, read_glm
from whisperlab.runs.transcripts import NIST_FORMATS, Format, format_of, pair_transcripts
from whisperlab.utterance import Outcome

METRICS: tuple[Metric, ...] = (WordErrorRate(), CharacterErrorRate())

NO_SPEED: Mapping[str, Any] = {
    "rtfx": None,
    "batch_size": None,
    "latency_seconds": {"p50": None, "p95": None, "p99": None, "utterances": 0},
    "load_seconds": None,
    "stages": {},
    "resumed": False,
}
SPEAKER = "speaker"


def score_transcripts(
    reference: Path,
    hypothesis: Path,
    profile: Profile,
    format_: Format | None = None,
    *,
    glm: Path | None = None,
    encoding: str | None = None,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Returns the content of a scores.json, with ``speakers`` and ``slices`` beside it.

    Texts of NIST's formats are read with their alternatives under every profile. ``glm`` is a file of
    rewriting rules that both texts go through first.

    Raises:
        DatasetError: a transcript is damaged or empty, or the ids do not match.
        ConfigError: a lexicon of the profile cannot be read, or there is no such ``encoding``.
    """
    said, heard = formats(reference, hypothesis, format_)
    if said in NIST_FORMATS:
        profile = replace(profile, notation="sclite")
    outcomes = pair_transcripts(reference, hypothesis, said=said, heard=heard, encoding=encoding)
    if not outcomes:
        raise DatasetError(
            f"{reference}: expected at least one utterance, found none; name the file"
        )
    if glm is not None:
        outcomes = _mapped(outcomes, glm, said, heard)
    scored = score_outcomes(outcomes, profile, METRICS)
    parts = {
        group: _part(members, resamples, seed) for group, members in sorted(_groups(scored).items())
    }
    return {
        "schema": SCHEMA,
        **_part(scored, resamples, seed),
        "profile": {"name": profile.name, "hash": profile.hash},
        "glm": None if glm is None else glm_hash(glm),
        "speed": NO_SPEED,
        "memory": {},
        "fingerprint": _fingerprint(reference, hypothesis),
        "speakers": {value: part for (column, value), part in parts.items() if column == SPEAKER},
        "slices": [
            {"column": column, "value": value, **part}
            for (column, value), part in parts.items()
            if column != SPEAKER
        ],
    }


def _mapped(outcomes: Sequence[Outcome], glm: Path, said: Format, heard: Format) -> list[Outcome]:
    """Returns the outcomes with both texts rewritten, each by the rules for its kind of input."""
    references, hypotheses = read_glm(glm, ("ref", said)), read_glm(glm, ("hyp", heard))
    return [
        replace(
            outcome,
            reference=references.apply(outcome.reference),
            text=hypotheses.apply(outcome.text),
        )
        for outcome in outcomes
    ]


def formats(reference: Path, hypothesis: Path, named: Format | None) -> tuple[Format, Format]:
    """Returns the formats of both files; an stm always goes with a ctm."""
    if named in ("stm", "ctm"):
        return "stm", "ctm"
    return named or format_of(reference), named or format_of(hypothesis)


def _groups(scored: Sequence[ScoredUtterance]) -> dict[tuple[str, str], list[ScoredUtterance]]:
    groups: dict[tuple[str, str], list[ScoredUtterance]] = {}
    for item in scored:
        for group in item.outcome.slices.items():
            groups.setdefault(group, []).append(item)
    return groups


def _part(scored: Sequence[ScoredUtterance], resamples: int, seed: int) -> dict[str, Any]:
    return {
        "utterances": asdict(tally([item.outcome for item in scored])),
        "scores": {
            name: asdict(rate)
            for name, rate in rates(scored, METRICS, resamples=resamples, seed=seed).items()
        },
    }


def _fingerprint(*paths: Path) -> str:
    """Returns 16 hex digits over the content of the files; of a folder, over its files' contents."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def scores_table(scores: Mapping[str, Any]) -> Table:
    """Returns words, errors and rate by speaker and in all, as sclite shows them."""
    profile = scores["profile"]
    table = Table(title=f"WER, profile {profile['name']} {profile['hash']}")
    table.add_column("speaker")
    for heading in ("utterances", "no text", "words", "S", "D", "I", "errors", "WER %", "95 %"):
        table.add_column(heading, justify="right")
    for speaker, part in scores["speakers"].items():
        table.add_row(speaker, *_cells(part))
    table.add_section()
    table.add_row("all", *_cells(scores))
    return table


def _cells(part: Mapping[str, Any]) -> list[str]:
    rate = Rate(**part["scores"]["wer"])
    tallied = part["utterances"]
    errors = rate.substitutions + rate.deletions + rate.insertions
    counts = (rate.reference_words, rate.substitutions, rate.deletions, rate.insertions, errors)
    interval = "–" if rate.low is None else f"{100 * rate.low:.1f} – {100 * (rate.high or 0):.1f}"
    return [
        str(tallied["total"]),
        str(tallied["failed"]),
        *(str(number) for number in counts),
        "–" if rate.value is None else f"{100 * rate.value:.2f}",
        interval,
    ]


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes ``content``.

    Raises:
        WriteError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise WriteError(f"{path}: cannot write ({error.strerror}); choose another path") from error
