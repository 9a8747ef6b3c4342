"""The tables of the terminal: one run at its end, several runs side by side.

Owns what stands in them and which settings tell runs apart. It prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from whisperlab.experiment.result import Rate, RunResult
from whisperlab.report import notation
from whisperlab.report.floor import rates_line, stage_lines
from whisperlab.report.run_card import code_version, kind, plain, system
from whisperlab.report.summary import (
    METRIC_TITLES,
    latency_details,
    lost_by_code,
    no_interval,
    primary_first,
    spoken,
    why_no_rtfx,
)
from whisperlab.utterance import Outcome, State

NOT_A_DIFFERENCE = frozenset({"run_dir"})
"""Top-level keys that always differ between runs and say nothing about them."""

OUTCOME_COLUMNS = {
    "WER": True,
    "CER": False,
    "S/D/I": False,
    "coverage": False,
    "RTFx": False,
    "p50 / p95": True,
    "hash": False,
}
"""What came out, and whether a narrow terminal may break the column's lines."""

WIDEST_KEY = 12
MOST_CODES = 3
"""Error codes that the table of one run names; the report has every utterance."""

SHORT_HASH = 8
"""Digits of the configuration hash that tell the runs of one table apart."""

ABSENT = notation.DASH


def run_table(result: RunResult) -> Table:
    """Returns the table for the end of a run: every score with its uncertainty, then speed and place."""
    table = Table(
        "",
        "",
        box=box.ROUNDED,
        show_header=False,
        title=Text(f"{system(result.card)} · {result.card.configuration_hash}"),
        title_justify="left",
    )
    for label, value, detail in _lines(result):
        text = Text(value, style="bold")
        if detail:
            text.append(f"  {detail}", style="not bold dim")
        table.add_row(Text(label), text)
    return table


def _lines(result: RunResult) -> Iterator[tuple[str, str, str]]:
    scores = result.scores
    for name, rate in primary_first(scores):
        _, unit = METRIC_TITLES.get(name, (name, "units"))
        yield name.upper(), notation.percent(rate.value), _uncertainty(rate, unit)
        yield (
            "",
            _edits(rate),
            f"of {notation.plural(rate.reference_words, unit.removesuffix('s'))}",
        )
    tally, speed = scores.utterances, scores.speed
    states = ", ".join(
        f"{notation.count(getattr(tally, state.value))} {spoken(state)}"
        for state in State
        if getattr(tally, state.value)
    )
    yield "coverage", notation.coverage(tally.scored, tally.total), states or "the dataset is empty"
    yield from _why_lost(result.outcomes)
    reason = why_no_rtfx(speed) if speed.rtfx is None else f"batch of {speed.batch_size}"
    yield "RTFx", notation.factor(speed.rtfx), reason
    latency = speed.latency_seconds
    if latency.utterances:
        percentiles = " / ".join(
            notation.seconds(p) for p in (latency.p50, latency.p95, latency.p99)
        )
        sample = (
            f"p50 / p95 / p99 of {notation.plural(latency.utterances, 'utterance')}, one at a time"
        )
        yield "latency", percentiles, sample
    else:
        yield "latency", notation.DASH, "no utterance was timed one at a time"
    for line in latency_details(latency):
        yield "", "", line
    for name, line in stage_lines(speed):
        yield name, "", line
    if speed.floor is not None:
        yield "", "", rates_line(speed.floor)
    if result.card.model.get("note"):
        yield "model", str(result.card.model.get("name")), str(result.card.model["note"])
    yield "profile", scores.profile.get("name", notation.DASH), scores.profile.get("hash", "")
    yield "code", code_version(result.card), ""
    yield "run folder", str(result.folder), ""


def _why_lost(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, str, str]]:
    """Yields the error codes of utterances without a text, each with an example."""
    ranked = lost_by_code(outcomes)
    for code, lost in ranked[:MOST_CODES]:
        more = f" (and {notation.count(len(lost) - 1)} more)" if len(lost) > 1 else ""
        message = "" if lost[0].error is None else lost[0].error.message
        yield "", code, f"{lost[0].id}: {message}{more}"
    if len(ranked) > MOST_CODES:
        yield "", "", f"{notation.plural(len(ranked) - MOST_CODES, 'further code')}: see the report"


def _uncertainty(rate: Rate, unit: str) -> str:
    if rate.value is None:
        return f"no scored utterance has reference {unit}"
    if rate.low is None:
        return no_interval(unit)
    return f"95 % interval {notation.interval(rate.low, rate.high)}"


def _edits(rate: Rate) -> str:
    return f"S {rate.substitutions:,}  I {rate.insertions:,}  D {rate.deletions:,}"


def sweep_table(results: Sequence[RunResult]) -> Table:
    """Returns several runs side by side, one a row: what differs between them, then what came out."""
    differences = configuration_differences([result.card.config for result in results])
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True)
    for key in differences:
        table.add_column(Text(key), overflow="fold", min_width=min(len(key), WIDEST_KEY))
    for heading, wraps in OUTCOME_COLUMNS.items():
        table.add_column(heading, justify="right", overflow="fold", no_wrap=not wraps)
    for index, result in enumerate(results):
        settings = [values[index] for values in differences.values()]
        table.add_row(*[Text(cell) for cell in (*settings, *_outcome(result))])
    return table


def _outcome(result: RunResult) -> list[str]:
    scores, latency = result.scores, result.scores.speed.latency_seconds
    wer, cer = scores.scores.get("wer"), scores.scores.get("cer")
    return [
        notation.DASH if wer is None else _with_bounds(wer),
        notation.DASH if cer is None else notation.percent(cer.value),
        notation.DASH if wer is None else f"{wer.substitutions}/{wer.deletions}/{wer.insertions}",
        notation.coverage(scores.utterances.scored, scores.utterances.total),
        notation.factor(scores.speed.rtfx),
        f"{notation.seconds(latency.p50)} / {notation.seconds(latency.p95)}",
        result.card.configuration_hash[:SHORT_HASH],
    ]


def _with_bounds(rate: Rate) -> str:
    if rate.low is None or rate.high is None:
        return notation.percent(rate.value)
    return f"{notation.percent(rate.value)} [{100 * rate.low:.2f}, {100 * rate.high:.2f}]"


def configuration_differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Returns the settings in which ``configs`` differ: their values by key, one a configuration.

    A group counts by its name or class, the preprocessing chain by its names in order. A setting that
    follows from its group (another model has another revision) is not repeated.

    >>> one = {"model": {"name": "tiny", "revision": "a"}, "seed": 1, "preprocess": {}}
    >>> two = {"model": {"name": "base", "revision": "b"}, "seed": 1, "preprocess": {"trim": {"db": 40}}}
    >>> configuration_differences([one, two])
    {'model': ('tiny', 'base'), 'preprocess': ('none', 'trim')}
    """
    flat = [dict(_settings(config)) for config in configs]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    found = {}
    for key in keys:
        values = tuple(settings.get(key, ABSENT) for settings in flat)
        if key.partition(".")[0] in NOT_A_DIFFERENCE or len(set(values)) == 1:
            continue
        if not _follows(values, [settings.get(_group(key, keys), "") for settings in flat]):
            found[key] = values
    return found


def _settings(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields every setting by its dotted key; a group's own key stands for its name or class."""
    for name, value in node.items():
        key = f"{prefix}{name}"
        if not isinstance(value, Mapping):
            yield key, plain(value)
            continue
        if key == "preprocess":
            yield key, " → ".join(value) or "none"
        elif kind(value):
            yield key, kind(value)
        inner = {part: each for part, each in value.items() if part not in ("name", "_target_")}
        yield from _settings(inner, f"{key}.")


def _group(key: str, keys: Mapping[str, None]) -> str:
    """Returns the nearest group that ``key`` lies in and that has an identity; ``""`` without one."""
    while key:
        key = key.rpartition(".")[0]
        if key in keys:
            return key
    return ""


def _follows(values: Sequence[str], groups: Sequence[str]) -> bool:
    """True when runs with the same group have the same value, and the groups differ."""
    by_group: dict[str, set[str]] = {}
    for value, group in zip(values, groups, strict=True):
        by_group.setdefault(group, set()).add(value)
    return len(by_group) > 1 and all(len(distinct) == 1 for distinct in by_group.values())
