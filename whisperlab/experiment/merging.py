"""Shards into the run that they are parts of.

Owns what may be merged and the merged run folder. It does not know who ran the shards. The merged
outcomes stand in the order of the run in one piece and are scored by the same functions, so the
scores are exactly those of that run.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from whisperlab.errors import ConfigError, WhisperlabError
from whisperlab.experiment.failures import analyse_run
from whisperlab.experiment.folder import FINISHED, LEDGER, RunFolder, differences
from whisperlab.experiment.ledger import Ledger
from whisperlab.experiment.result import Latency, RunCard, RunResult, Scores, Speed
from whisperlab.experiment.runner import SCORING_KEYS
from whisperlab.experiment.scoring import rates, score_outcomes, tally
from whisperlab.experiment.shard import WHOLE, Shard, in_unsharded_order
from whisperlab.experiment.timing import decoder_per_token, emitted_tokens, stage_seconds
from whisperlab.metric.protocol import Metric
from whisperlab.normalize.profile import Profile
from whisperlab.utterance import Outcome


def merge(
    shards: Sequence[RunResult], output: Path, profile: Profile, metrics: Sequence[Metric]
) -> RunResult:
    """Returns the run that the shards are all parts of, written into ``output``.

    Throughput and latency were not measured in one piece and are ``None``, but for what one shard's
    worker did; memory is the largest of any shard.

    Raises:
        ConfigError: as `in_order`, or ``output`` holds another run.
        WriteError: ``output`` cannot be written.
    """
    ordered = in_order(shards)
    first = ordered[0]
    batch_size = int(first.card.config["batch_size"])
    outcomes = list(in_unsharded_order([shard.outcomes for shard in ordered], batch_size))
    folder = RunFolder(output)
    with Ledger(output / LEDGER) as ledger:
        card = _card(ordered, output)
        folder.check(card)
        ledger.append([outcome for outcome in outcomes if outcome.id not in ledger.recorded])
        ledger.sync()
        folder.write_card(card)
        folder.write_scores(_scores(ordered, outcomes, profile, metrics))
    result = folder.result()
    if result is None:
        raise WhisperlabError(f"{output}: the merged run cannot be read back")
    return result


def in_order(shards: Sequence[RunResult]) -> list[RunResult]:
    """Returns the shards by index, all of one run and none missing.

    Raises:
        ConfigError: one is no shard, is of another run or scored otherwise, stands twice or is
            missing, or holds other utterances than its part of the dataset.
    """
    if not shards:
        raise ConfigError("expected the folders of all shards, got none; name them")
    first = shards[0]
    by_index: dict[int, RunResult] = {}
    for result in shards:
        index = shard_of(result).index
        _check_same_run(first, result)
        if index in by_index:
            raise ConfigError(
                f"{result.folder}: shard {index} stands twice, first in {by_index[index].folder}; "
                "name each shard once"
            )
        by_index[index] = result
    count = shard_of(first).count
    missing = [str(index) for index in range(count) if index not in by_index]
    if missing:
        raise ConfigError(
            f"expected all {count} shards, missing: {', '.join(missing)}; run them with "
            f"shard.count={count} shard.index=N and name their folders"
        )
    ordered = [by_index[index] for index in range(count)]
    _check_utterances(ordered)
    return ordered


def shard_of(result: RunResult) -> Shard:
    """Returns which part a run is.

    Raises:
        ConfigError: it is a run in one piece.
    """
    if result.card.shard is None:
        raise ConfigError(
            f"{result.folder}: expected a shard, found a run in one piece; "
            "name folders of runs with shard.count above 1"
        )
    return Shard(**result.card.shard)


def _check_same_run(first: RunResult, other: RunResult) -> None:
    differing = [
        text for text in differences(first.card, other.card) if not text.startswith("shard.index:")
    ]
    scored = (first.scores.profile, _scoring(first.card)) != (
        other.scores.profile,
        _scoring(other.card),
    )
    same_parts = shard_of(first).count == shard_of(other).count
    if first.card.fingerprint == other.card.fingerprint and same_parts and not scored:
        return
    if scored and not differing:
        differing = ["profile, metric or resamples"]
    raise ConfigError(
        f"{other.folder}: not a part of the same run as {first.folder}; these differ: "
        f"{', '.join(differing) or 'options'}; merge shards of one command alone",
        code="fingerprint_differs",
    )


def _scoring(card: RunCard) -> list[object]:
    return [card.config.get(key) for key in SCORING_KEYS]


def _check_utterances(ordered: Sequence[RunResult]) -> None:
    first = ordered[0].card
    total = first.dataset.get("utterances")
    batch_size = int(first.config["batch_size"])
    seen: Counter[str] = Counter()
    for result in ordered:
        seen.update(outcome.id for outcome in result.outcomes)
        if isinstance(total, int):
            expected = shard_of(result).size(total, batch_size)
            if len(result.outcomes) != expected:
                raise ConfigError(
                    f"{result.folder}: expected {expected} of the dataset's {total} utterances, "
                    f"found {len(result.outcomes)}; run this shard again"
                )
    twice = next((name for name, times in seen.items() if times > 1), None)
    if twice is not None:
        raise ConfigError(
            f"utterance {twice} stands in two shards; the dataset changed between them: run them again"
        )


def _card(ordered: Sequence[RunResult], output: Path) -> RunCard:
    card = ordered[0].card
    whole = {"index": WHOLE.index, "count": WHOLE.count}
    folders = [str(result.folder) for result in ordered]
    attempts = [attempt for result in ordered for attempt in result.card.attempts]
    return replace(
        card,
        shard=None,
        config={**card.config, "shard": whole, "run_dir": str(output)},
        command=shlex.join(
            ["python", "-m", "whisperlab.runs", "merge", *folders, "--output", str(output)]
        ),
        attempts=(
            {
                "started": min(str(attempt["started"]) for attempt in attempts),
                "ended": max(str(attempt["ended"]) for attempt in attempts),
                "end_reason": FINISHED,
            },
        ),
    )


def _scores(
    ordered: Sequence[RunResult],
    outcomes: Sequence[Outcome],
    profile: Profile,
    metrics: Sequence[Metric],
) -> Scores:
    card = ordered[0].card
    loads = [result.scores.speed.load_seconds for result in ordered]
    scored = score_outcomes(outcomes, profile, metrics)
    return Scores(
        utterances=tally(outcomes),
        scores=rates(
            scored,
            metrics,
            resamples=int(card.config["resamples"]),
            seed=card.seed,
        ),
        profile={"name": profile.name, "hash": profile.hash},
        speed=Speed(
            rtfx=None,
            batch_size=int(card.config["batch_size"]),
            latency_seconds=Latency(None, None, None, 0),
            load_seconds=max((seconds for seconds in loads if seconds is not None), default=None),
            stages=stage_seconds(outcomes),
            resumed=any(result.scores.speed.resumed for result in ordered),
            tokens=emitted_tokens(outcomes),
            decode_seconds_per_token=decoder_per_token(outcomes),
            shards=len(ordered),
            rtfx_of_shards=_rtfx_of_shards(ordered),
        ),
        memory=_largest([result.scores.memory for result in ordered]),
        fingerprint=card.fingerprint,
        failures=analyse_run(scored, profile, card.config).summary,
    )


def _rtfx_of_shards(ordered: Sequence[RunResult]) -> float | None:
    """Returns audio seconds / wall seconds summed over the shards that have audio."""
    audio = wall = 0.0
    for result in ordered:
        seconds = sum(outcome.audio_seconds or 0.0 for outcome in result.outcomes)
        rtfx = result.scores.speed.rtfx
        if not seconds:
            continue
        if not rtfx:
            return None
        audio, wall = audio + seconds, wall + seconds / rtfx
    return audio / wall if wall else None


def _largest(memories: Sequence[Mapping[str, int | None]]) -> dict[str, int | None]:
    names = dict.fromkeys(name for memory in memories for name in memory)
    return {
        name: max(
            (size for memory in memories if (size := memory.get(name)) is not None), default=None
        )
        for name in names
    }
