"""Parity: one dataset in this process and through a server, text by text, and what HTTP adds.

Owns the comparison. Each utterance is transcribed on both sides, one at a time and one right after
the other, so that a change of the machine's speed meets both. Both sides get the same samples:
the sound is decoded once, here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, Final

import numpy as np
from rich.table import Table

from whisperlab.audio import Waveform, waveform_of
from whisperlab.config.build import build_dataset, build_transcriber, configuration_hash
from whisperlab.config.compose import compose
from whisperlab.conformance.server import Server
from whisperlab.dataset.protocol import Dataset
from whisperlab.errors import ConfigError, WhisperlabError
from whisperlab.stopwatch import Stopwatch
from whisperlab.transcriber import Recognition, Transcriber
from whisperlab.transcript import RETRY_WAIT

SCHEMA: Final = 1
SHOWN: Final = 20
"""Differing utterances that the table names."""
PERCENTILES: Final = (50, 95)


@dataclass(frozen=True, slots=True)
class Side:
    """One side's answer: its text, ``None`` with the error's code where it has none; its seconds.

    Seconds are from sound in memory to text, without waiting to ask a busy server again.
    """

    text: str | None
    error: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Pair:
    """An utterance in this process and through the server."""

    id: str
    here: Side
    there: Side

    @property
    def equal(self) -> bool:
        """True when both sides gave the same text; two failures are not equal."""
        return self.here.text is not None and self.here.text == self.there.text


@dataclass(frozen=True, slots=True)
class Parity:
    """All pairs, and which configuration each side says that it runs (``None``: it does not say)."""

    pairs: Sequence[Pair]
    hash_here: str
    hash_there: str | None
    retried_requests: int

    @property
    def differing(self) -> list[Pair]:
        """The pairs whose texts are not equal."""
        return [pair for pair in self.pairs if not pair.equal]


def compare(server: Server, key_variable: str | None, overrides: Sequence[str]) -> Parity:
    """Returns the comparison for ``overrides`` of the evaluation's configuration.

    Raises:
        ConfigError: an override is wrong.
        DatasetError, ModelError: as dataset, model and server raise them.
    """
    if any(override.partition("=")[0] == "engine.base_url" for override in overrides):
        raise ConfigError("the overrides are of the configuration in this process; use --base-url")
    config = compose("eval", ["dataset=demo_digits", *overrides])
    variable = "null" if key_variable is None else key_variable
    remote = compose(
        "transcriber",
        [
            "engine=remote",
            f"engine.base_url={server.base_url}",
            f"engine.api_key_env={variable}",
            f"model.name={server.model}",
        ],
    )
    here, there = build_transcriber(config), build_transcriber(remote)
    engine: Any = there.load()
    here.load()
    pairs = list(_pairs(build_dataset(config), here, there))
    return Parity(
        pairs,
        configuration_hash(config),
        server.ask().headers.get("x-whisperlab-config"),
        engine.retried_requests,
    )


def _pairs(dataset: Dataset, here: Transcriber, there: Transcriber) -> Iterator[Pair]:
    warm = False
    for utterance in dataset:
        try:
            sound = waveform_of(utterance.audio, here.limits, Stopwatch())
        except WhisperlabError as error:
            refused = Side(None, error.code, 0.0)
            yield Pair(utterance.id, refused, refused)
            continue
        if not warm:
            here.recognise([sound])
            there.recognise([sound])
            warm = True
        yield Pair(utterance.id, _side(here, sound), _side(there, sound))


def _side(transcriber: Transcriber, sound: Waveform) -> Side:
    started = perf_counter()
    recognition: Recognition = transcriber.recognise([sound])[0]
    seconds = perf_counter() - started - recognition.timings.get(RETRY_WAIT, 0.0)
    text = None if recognition.transcript is None else recognition.transcript.text
    code = None if recognition.error is None else recognition.error.code
    if recognition.timed_out:
        text, code = None, "inference_timeout"
    return Side(text, code, seconds)


def seconds_by_percentile(parity: Parity) -> Mapping[str, Mapping[str, float] | None]:
    """Returns p50 and p95 of both sides, and of the added seconds utterance by utterance."""
    answered = [
        pair for pair in parity.pairs if pair.here.text is not None and pair.there.text is not None
    ]
    columns = {
        "in_process": [pair.here.seconds for pair in answered],
        "through_server": [pair.there.seconds for pair in answered],
        "added": [pair.there.seconds - pair.here.seconds for pair in answered],
    }
    return {
        name: {f"p{p}": float(np.percentile(seconds, p)) for p in PERCENTILES} if seconds else None
        for name, seconds in columns.items()
    }


def parity_table(parity: Parity) -> Table:
    """Returns what people read: equal of total, the times, the first utterances that differ."""
    equal, total = len(parity.pairs) - len(parity.differing), len(parity.pairs)
    table = Table(title=f"{equal} of {total} texts equal; {_same_configuration(parity)}")
    table.add_column("milliseconds")
    for p in PERCENTILES:
        table.add_column(f"p{p}", justify="right")
    for name, values in seconds_by_percentile(parity).items():
        shown = ["-"] * len(PERCENTILES)
        if values is not None:
            shown = [f"{1000 * value:.1f}" for value in values.values()]
        table.add_row(name.replace("_", " "), *shown)
    return table


def differences_table(parity: Parity) -> Table:
    """Returns the first utterances whose texts differ, side by side."""
    table = Table(title="texts that differ")
    for heading in ("utterance", "in process", "through the server"):
        table.add_column(heading, overflow="fold")
    for pair in parity.differing[:SHOWN]:
        table.add_row(pair.id, _shown(pair.here), _shown(pair.there))
    return table


def parity_document(parity: Parity, server: Server) -> Mapping[str, Any]:
    """Returns the comparison as JSON."""
    return {
        "schema": SCHEMA,
        "base_url": server.base_url,
        "model": server.model,
        "configuration_hash": {"in_process": parity.hash_here, "server": parity.hash_there},
        "equal": len(parity.pairs) - len(parity.differing),
        "total": len(parity.pairs),
        "differing": [pair.id for pair in parity.differing],
        "retried_requests": parity.retried_requests,
        "seconds": seconds_by_percentile(parity),
        "utterances": [asdict(pair) for pair in parity.pairs],
    }


def _same_configuration(parity: Parity) -> str:
    if parity.hash_there is None:
        return "the server does not name its configuration"
    if parity.hash_there == parity.hash_here:
        return f"both run configuration {parity.hash_here}"
    return f"configuration {parity.hash_here} here, {parity.hash_there} there"


def _shown(side: Side) -> str:
    return repr(side.text) if side.text is not None else f"({side.error})"
