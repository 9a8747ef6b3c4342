"""A finished run scored anew from its raw texts, without inference.

Owns what is read, what is written and what stays. It does not know commands, tables or HTML.

Speed, memory and fingerprint stay as they were measured: they are no matter of the profile. Tokens are
never read into memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from whisperlab.errors import ConfigError
from whisperlab.experiment.attribution import RuleShare, score_by_rule
from whisperlab.experiment.checked_lines import locked
from whisperlab.experiment.failure_summary import Finding
from whisperlab.experiment.failures import analyse_run
from whisperlab.experiment.folder import LEDGER, RUN_CARD, SCORES, RunFolder
from whisperlab.experiment.ledger import read_texts
from whisperlab.experiment.result import RunResult, Scores
from whisperlab.experiment.scoring import ScoredUtterance, rates
from whisperlab.metric.bootstrap import RESAMPLES
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile

ATTRIBUTION = "attribution.json"
SCHEMA = 1
METHOD = "cumulative: each rule is added to those before it, in the profile's order"


@dataclass(frozen=True, slots=True)
class Rescored:
    """The run with its new scores, what they were before, and the share of every rule."""

    result: RunResult
    before: Scores
    scored: Sequence[ScoredUtterance]
    findings: Sequence[Finding]
    shares: Sequence[RuleShare]


def rescore(
    path: Path, profile: Profile, metrics: Sequence[Metric], settings: Mapping[str, Any]
) -> Rescored:
    """Scores the run in ``path`` anew and writes scores.json, run.json and attribution.json there.

    ``settings`` are the profile's resolved configuration; run.json keeps them.

    Raises:
        ConfigError: there is no finished run, or its ledger lacks utterances.
        DatasetError: the ledger is damaged, or a text breaks the profile's notation.
        RunInUseError: the run is being written.
        WriteError: the folder cannot be written.
    """
    if not (path / RUN_CARD).exists() or not (path / SCORES).exists():
        raise ConfigError(f"{path}: no finished run (expected {RUN_CARD} and {SCORES} there)")
    folder = RunFolder(path)
    with locked(path / LEDGER):
        card, before = folder.card(), folder.scores()
        if card is None or before is None:
            raise ConfigError(f"{path}: no finished run (expected {RUN_CARD} and {SCORES} there)")
        outcomes = tuple(read_texts(path / LEDGER))
        if len(outcomes) != before.utterances.total:
            raise ConfigError(
                f"{path / LEDGER}: expected {before.utterances.total} records as {SCORES} counts, "
                f"found {len(outcomes)}; restore it"
            )
        scored, shares = score_by_rule(outcomes, profile, metrics)
        resamples = int(card.config.get("resamples", RESAMPLES))
        analysis = analyse_run(scored, profile, card.config)
        scores = replace(
            before,
            profile={"name": profile.name, "hash": profile.hash},
            scores=rates(scored, metrics, resamples=resamples, seed=card.seed),
            failures=analysis.summary,
        )
        card = replace(card, config={**card.config, "profile": settings})
        folder.write_scores(scores)
        folder.write_card(card)
        folder.write_json(ATTRIBUTION, attribution_json(profile, shares))
    return Rescored(
        RunResult(path, card, scores, outcomes), before, scored, analysis.findings, shares
    )


def attribution_json(profile: Profile, shares: Sequence[RuleShare]) -> dict[str, Any]:
    """Returns the content of attribution.json."""
    return {
        "schema": SCHEMA,
        "profile": {"name": profile.name, "hash": profile.hash},
        "method": METHOD,
        "rules": [{**asdict(share), "rate": share.rate} for share in shares],
    }
