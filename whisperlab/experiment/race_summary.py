"""What a race found, a row a configuration: rates, costs, how it stands to the recommended one.

Owns the numbers that a table, a page and a data frame show. It does not know how they look.

Intervals and differences are the bootstrap's over the utterances that a configuration heard. They
describe; who is dropped was decided by the race's own test, which alone allows for its many looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from whisperlab.experiment.race_run import RaceResult, Standing
from whisperlab.experiment.racing import Drop
from whisperlab.metric.bootstrap import Interval, interval
from whisperlab.metric.counts import NO_ERRORS
from whisperlab.metric.paired import Difference, difference
from whisperlab.utterance import Failure

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
"""Number of result.json's schema."""

RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class RaceRow:
    """One configuration; rates are fractions, ``None`` is unknown.

    ``against`` is its error rate minus the recommended one's, over the utterances both heard.
    """

    name: str
    overrides: tuple[str, ...]
    recommended: bool
    utterances: int
    errors: int
    words: int
    wer: float | None
    interval: Interval | None
    against: Difference | None
    rtfx: float | None
    p95_seconds: float | None
    load_bytes: int | None
    drop: Drop | None
    dropped_after_block: int | None
    failed: int = 0
    """Utterances without a text; all their words are counted as deleted."""
    first_failure: str | None = None
    """Code and message of the first of them."""

    @property
    def state(self) -> str:
        """``recommended``, ``kept``, or why it was dropped."""
        if self.drop is not None:
            return str(self.drop.reason)
        return "recommended" if self.recommended else "kept"


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A finished search; rows stand best first: those that stayed, then the later dropped first.

    ``reason`` is ``decided`` (one is left), ``settled`` (none that is left is better by more than the
    tolerance), ``data`` (all was heard) or ``budget``. ``share`` is the
    transcribed part of what running everything over everything takes.
    """

    folder: Path
    reason: str
    rows: tuple[RaceRow, ...]
    tolerance: float
    alpha: float
    objectives: tuple[str, ...]
    utterances: int
    blocks: int
    audio_seconds: float
    seconds: float
    share: float
    serve: str = ""
    """The command that serves the recommended configuration."""

    @property
    def recommended(self) -> RaceRow | None:
        """The configuration to take; ``None`` when no reference has a word, or no utterance a text."""
        return next((row for row in self.rows if row.recommended), None)

    @property
    def failed(self) -> int:
        """Utterances without a text, over all configurations."""
        return sum(row.failed for row in self.rows)

    @property
    def kept(self) -> tuple[RaceRow, ...]:
        """Those never dropped, the recommended one first."""
        return tuple(row for row in self.rows if row.drop is None)

    def to_pandas(self) -> pd.DataFrame:
        """Returns one row a configuration, in the order of ``rows``; rates are fractions."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "configuration": row.name,
                    "overrides": " ".join(row.overrides),
                    "state": row.state,
                    "utterances": row.utterances,
                    "words": row.words,
                    "errors": row.errors,
                    "failed": row.failed,
                    "wer": row.wer,
                    "low": None if row.interval is None else row.interval.low,
                    "high": None if row.interval is None else row.interval.high,
                    "difference": None if row.against is None else row.against.value,
                    "difference_low": None if row.against is None else row.against.low,
                    "difference_high": None if row.against is None else row.against.high,
                    "rtfx": row.rtfx,
                    "p95_seconds": row.p95_seconds,
                    "load_bytes": row.load_bytes,
                    "e_value": None if row.drop is None else row.drop.e_value,
                    "dropped_after_block": row.dropped_after_block,
                }
                for row in self.rows
            ]
        )

    def to_json(self) -> Mapping[str, Any]:
        """Returns the content of result.json."""
        return {
            "schema": SCHEMA,
            **{key: value for key, value in asdict(self).items() if key not in ("rows", "folder")},
            "rows": [{"state": row.state, **asdict(row)} for row in self.rows],
        }


def summarise(race: RaceResult, *, resamples: int, seed: int) -> SearchResult:
    """Returns the race as rows."""
    chosen = None if race.recommended is None else race.standings[race.recommended]
    rows = [
        _row(standing, chosen, race.plan.batch_size, resamples=resamples, seed=seed)
        for standing in race.standings
    ]
    rows.sort(
        key=lambda row: (
            row.drop is not None,
            not row.recommended,
            -row.utterances,
            row.wer if row.wer is not None else float("inf"),
        )
    )
    return SearchResult(
        folder=race.folder,
        reason=race.reason,
        rows=tuple(rows),
        tolerance=race.plan.rules.tolerance,
        alpha=race.plan.rules.alpha,
        objectives=tuple(str(objective) for objective in race.plan.rules.objectives),
        utterances=race.utterances,
        blocks=race.blocks,
        audio_seconds=sum(standing.audio_seconds for standing in race.standings),
        seconds=sum(standing.seconds for standing in race.standings),
        share=race.share_of_exhaustive,
    )


def _row(
    standing: Standing, chosen: Standing | None, batch_size: int, *, resamples: int, seed: int
) -> RaceRow:
    pooled = sum(standing.counts, NO_ERRORS)
    against = None
    if chosen is not None and standing is not chosen:
        common = min(len(standing.counts), len(chosen.counts))
        against = difference(
            chosen.counts[:common], standing.counts[:common], seed=seed, resamples=resamples
        )
    one_at_a_time = batch_size == 1 and standing.latencies
    return RaceRow(
        name=standing.candidate.name,
        overrides=standing.candidate.overrides,
        recommended=standing is chosen,
        utterances=len(standing.counts),
        errors=pooled.errors,
        words=pooled.reference_length,
        wer=pooled.rate,
        interval=interval(standing.counts, seed=seed, resamples=resamples),
        against=against,
        rtfx=standing.audio_seconds / standing.seconds if standing.seconds else None,
        p95_seconds=float(np.percentile(standing.latencies, 95)) if one_at_a_time else None,
        load_bytes=standing.load_bytes,
        drop=standing.drop,
        dropped_after_block=standing.dropped_after_block,
        failed=len(standing.failures),
        first_failure=_said(standing.failures[0]) if standing.failures else None,
    )


def _said(failure: Failure) -> str:
    return f"{failure.code}: {failure.message}"
