"""The run folder on disk: run.json, scores.json, and whether a command may go on in it.

Owns reading and atomic writing of the two JSON files and the comparison of fingerprints. It does
not know how a run proceeds.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from whisperlab.errors import ConfigError, WriteError
from whisperlab.experiment.failure_summary import failures_from_json
from whisperlab.experiment.ledger import read_ledger
from whisperlab.experiment.provenance import utc_now
from whisperlab.experiment.result import (
    SCHEMA,
    Energy,
    Rate,
    RunCard,
    RunResult,
    Scores,
    Speed,
    Tally,
)

RUN_CARD = "run.json"
LEDGER = "ledger.jsonl"
SCORES = "scores.json"
REPORT = "report.html"
LOG = "log.jsonl"

FINISHED = "finished"
"""The end reason of an attempt that brought the run to its end."""


class RunFolder:
    """A run folder, created on first use.

    Raises:
        WriteError: the folder cannot be created or written (probed before anything is loaded).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            probe = path / f".probe-{os.getpid()}"
            probe.write_bytes(b"whisperlab\n")
            probe.unlink()
        except OSError as error:
            raise WriteError(
                f"run_dir={path}: cannot write there ({error.strerror}); choose another run_dir"
            ) from error

    def card(self) -> RunCard | None:
        """Returns the run card, ``None`` in a new folder."""
        return read_card(self.path)

    def scores(self) -> Scores | None:
        """Returns the scores, ``None`` before the run has finished."""
        return read_scores(self.path)

    def check(self, wanted: RunCard) -> None:
        """Raises unless the folder is new or holds the run that ``wanted`` describes.

        Raises:
            ConfigError: another run lives here; names the keys that differ.
        """
        present = self.card()
        if present is None or (present.fingerprint, present.shard) == (
            wanted.fingerprint,
            wanted.shard,
        ):
            return
        if present.schema != SCHEMA:
            raise ConfigError(
                f"run_dir={self.path}: schema {present.schema}, this version writes {SCHEMA}"
            )
        differing = ", ".join(differences(present, wanted)) or "options"
        raise ConfigError(
            f"run_dir={self.path}: holds another run; these differ: {differing}; "
            "choose another run_dir, or repeat the first run's settings",
            code="fingerprint_differs",
        )

    def begin(self, card: RunCard) -> RunCard:
        """Writes the card with a new open attempt behind the earlier ones; returns it."""
        present = self.card()
        earlier = () if present is None else present.attempts
        begun = replace(
            present if present is not None else card,
            attempts=(*earlier, {"started": utc_now(), "ended": None, "end_reason": None}),
        )
        self.write_card(begun)
        return begun

    def end(self, card: RunCard, reason: str) -> RunCard:
        """Closes the last attempt with ``reason``; returns the card."""
        last = {**card.attempts[-1], "ended": utc_now(), "end_reason": reason}
        ended = replace(card, attempts=(*card.attempts[:-1], last))
        self.write_card(ended)
        return ended

    def write_card(self, card: RunCard) -> None:
        """Writes run.json."""
        self.write_json(RUN_CARD, asdict(card))

    def write_scores(self, scores: Scores) -> None:
        """Writes scores.json in INTERFACES' schema."""
        self.write_json(SCORES, scores_to_json(scores))

    def result(self) -> RunResult | None:
        """Returns the finished run, ``None`` when it has not finished.

        Raises:
            ConfigError: the ledger does not hold the utterances that the scores count.
        """
        card, scores = self.card(), self.scores()
        if card is None or scores is None:
            return None
        outcomes = tuple(read_ledger(self.path / LEDGER))
        if len(outcomes) != scores.utterances.total:
            raise ConfigError(
                f"{self.path / LEDGER}: expected {scores.utterances.total} records as {SCORES} "
                f"counts, found {len(outcomes)}; restore it, or choose another run_dir"
            )
        return RunResult(self.path, card, scores, outcomes)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Replaces a JSON file in one step: a reader or a kill sees the old one or the new one.

        Raises:
            WriteError: it cannot be written.
        """
        text = json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n"
        temporary = self.path / f".{name}.tmp"
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / name)
        except OSError as error:
            raise WriteError(
                f"{self.path / name}: cannot write ({error.strerror}); free space or choose another "
                "run_dir, then run the same command again: it goes on where it stopped"
            ) from error


def fingerprint(
    configuration_hash: str, dataset: Mapping[str, Any], options: Mapping[str, Any]
) -> str:
    """Returns 16 hex digits over what decides the texts: configuration, data, batching, seed."""
    parts = {"configuration": configuration_hash, "dataset": dataset, "options": options}
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def read_run(path: Path) -> RunResult:
    """Returns the finished run in ``path``.

    Raises:
        ConfigError: there is no finished run.
    """
    result = RunFolder(path).result() if (path / RUN_CARD).exists() else None
    if result is None:
        raise ConfigError(f"{path}: no finished run (expected {RUN_CARD} and {SCORES} there)")
    return result


def read_card(folder: Path) -> RunCard | None:
    """Returns the card of the run in ``folder``, ``None`` where there is none; writes nothing."""
    path = folder / RUN_CARD
    if not path.exists():
        return None
    try:
        return RunCard(**_read(path))
    except TypeError as error:
        raise _not_ours(path) from error


def read_scores(folder: Path) -> Scores | None:
    """Returns the scores of the run in ``folder``, ``None`` before it has finished."""
    path = folder / SCORES
    if not path.exists():
        return None
    try:
        return scores_from_json(_read(path))
    except (TypeError, KeyError, ValueError) as error:
        raise _not_ours(path) from error


def scores_to_json(scores: Scores) -> dict[str, Any]:
    """Returns the content of scores.json with ``schema`` first."""
    content = asdict(scores)
    return {"schema": content.pop("schema"), **content}


def scores_from_json(content: Mapping[str, Any]) -> Scores:
    """Returns the Scores that a scores.json describes."""
    failures, energy = content.get("failures"), content.get("energy")
    return Scores(
        utterances=Tally(**content["utterances"]),
        scores={name: Rate(**rate) for name, rate in content["scores"].items()},
        profile=content["profile"],
        speed=TypeAdapter(Speed).validate_python(content["speed"]),
        memory=content["memory"],
        fingerprint=content["fingerprint"],
        energy=None if energy is None else Energy(**energy),
        failures=None if failures is None else failures_from_json(failures),
        schema=content["schema"],
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:  # the last: 10^5 brackets
        raise ConfigError(
            f"{path}: not readable as JSON ({error}); choose another run_dir"
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a JSON object; choose another run_dir")
    return content


def _not_ours(path: Path) -> ConfigError:
    return ConfigError(
        f"{path}: expected a file of whisperlab's schema {SCHEMA}, found other keys; "
        "choose another run_dir"
    )


IGNORED_KEYS = frozenset(
    {"executor", "run_dir", "mode", "profile", "metric", "report", "latency_utterances"}
)
"""Top-level keys that may differ between the attempts of one run."""

DIGESTS = {
    "dataset identity.rows_sha256": "the dataset's table was edited",
    "dataset identity.utterances_sha256": "its texts, its files or the choice of them changed",
}
"""What it means for a person that a digest differs."""


def differences(present: RunCard, wanted: RunCard) -> list[str]:
    """Returns ``key: old -> new`` of every setting or dataset fact that differs; a digest in words."""
    old = {**dict(_flat(present.config)), **dict(_flat(present.dataset, "dataset identity"))}
    new = {**dict(_flat(wanted.config)), **dict(_flat(wanted.dataset, "dataset identity"))}
    absent = "(absent)"
    return [
        DIGESTS.get(key) or f"{key}: {old.get(key, absent)!r} -> {new.get(key, absent)!r}"
        for key in sorted(old.keys() | new.keys())
        if key.partition(".")[0] not in IGNORED_KEYS
        and old.get(key, absent) != new.get(key, absent)
    ]


def _flat(node: Any, key: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(node, Mapping) and node:
        for name, value in node.items():
            yield from _flat(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, node
