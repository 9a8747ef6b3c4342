"""Races replayed over stored outcomes: how often is the recommended one within the tolerance, for how much work?

    python experiments/2026-11-24-racing/replay.py OUTCOMES.csv RESULT.json [--seeds 200]

Races by the shipped rules, and by one more for comparison: ``tolerance`` drops only who is shown to be
worse by more than the tolerance, not who is shown to be worse at all (dominated, where the error rate is
the only objective). A tenth of a point is a yardstick alone: the rules are told half a point.

Nothing is transcribed: the race asks the table of error counts that `outcomes.py` left. Work is seconds
of audio, as a share of what all configurations over all utterances take.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whisperlab.experiment.racing import Block, Extent, Race, RaceRules, Reason, affordable

BLOCK, ALPHA, SHARE = 4, 0.05, 0.3
TOLERANCE, FINER = 0.005, 0.001
Floats = NDArray[np.float64]


class ByTolerance(Race):
    """The rule to compare with: nobody is dominated."""

    def _no_dearer(self, costs: object) -> NDArray[np.bool_]:
        return np.zeros((self.count, self.count), dtype=bool)


RULES: dict[str, type[Race]] = {"shipped": Race, "tolerance": ByTolerance}


@dataclass(frozen=True)
class Table:
    """Exhaustive outcomes: errors (n_configurations, n_utterances), words and audio seconds."""

    names: list[str]
    utterances: list[str]
    errors: Floats
    words: Floats
    seconds: Floats

    @property
    def rates(self) -> Floats:
        return np.asarray(self.errors.sum(axis=1) / self.words.sum())


def read(path: Path) -> Table:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    utterances = sorted({row["utterance"] for row in rows})
    place = {name: number for number, name in enumerate(utterances)}
    numbers = sorted({int(row["configuration"]) for row in rows})
    line = {number: position for position, number in enumerate(numbers)}
    errors = np.full((len(numbers), len(utterances)), np.nan)
    words, seconds = np.zeros(len(utterances)), np.zeros(len(utterances))
    names = [""] * len(numbers)
    for row in rows:
        where = place[row["utterance"]]
        errors[line[int(row["configuration"])], where] = float(row["errors"])
        names[line[int(row["configuration"])]] = row["overrides"]
        words[where], seconds[where] = float(row["words"]), float(row["audio_seconds"])
    assert not np.isnan(errors).any(), "the table has holes"
    return Table(names, utterances, errors, words, seconds)


def order(table: Table, seed: int) -> list[int]:
    """The order of `whisperlab.experiment.race_plan`: by a hash of seed and id."""
    ranks = [
        hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=16).digest()
        for name in table.utterances
    ]
    return sorted(range(len(ranks)), key=ranks.__getitem__)


def race(table: Table, rule: str, seed: int, share: float | None) -> dict[str, Any]:
    """One race; the budget is counted as `whisperlab.experiment.race_run` counts it."""
    drawn = order(table, seed)
    extent = Extent(len(drawn), float(table.words.max()))
    runner = RULES[rule](len(table.names), RaceRules(TOLERANCE, ALPHA), extent)
    everything = table.seconds.sum() * len(table.names)
    limit = float("inf") if share is None else share * everything
    spent, heard, lost_best, end = 0.0, 0, False, "data"
    best = int(table.rates.argmin())
    reasons = dict.fromkeys(Reason, 0)
    blocks = [drawn[start : start + BLOCK] for start in range(0, len(drawn), BLOCK)]
    for number, block in enumerate(blocks):
        one_block = len(block) * spent / heard if heard else 0.0
        if len(runner.alive) == 1:
            end = "decided"
            break
        if number and runner.settled() is not None:
            end = "settled"
            break
        if number and len(runner.alive) * one_block > limit - spent:
            end = "budget"
            break
        spent += float(table.seconds[block].sum()) * len(runner.alive)
        heard += len(block) * len(runner.alive)
        drops = runner.add(Block(table.errors[np.ix_(runner.alive, block)], table.words[block]))
        lost_best |= any(drop.candidate == best for drop in drops)
        one_block = len(block) * spent / heard
        keep = affordable(
            len(runner.alive), len(blocks) - number - 1, max((limit - spent) / one_block, 0.0)
        )
        for drop in (*drops, *runner.set_aside(keep)):
            reasons[drop.reason] += 1
    chosen = runner.recommended()
    assert chosen is not None
    return {
        "seed": seed,
        "chosen": table.names[chosen],
        "regret": float(table.rates[chosen] - table.rates.min()),
        "share": spent / everything,
        "best_shown_worse": lost_best,
        "kept": len(runner.alive),
        "end": end,
        **{str(reason): count for reason, count in reasons.items()},
    }


def summary(races: list[dict[str, Any]]) -> dict[str, Any]:
    regrets = np.array([one["regret"] for one in races])
    return {
        "within_half_a_point": float((regrets <= TOLERANCE + 1e-12).mean()),
        "within_a_tenth": float((regrets <= FINER + 1e-12).mean()),
        "median_share_of_work": float(np.median([one["share"] for one in races])),
        "largest_share_of_work": max(one["share"] for one in races),
        "median_regret_points": 100 * float(np.median(regrets)),
        "largest_regret_points": 100 * float(regrets.max()),
        "best_wrongly_shown_worse": float(np.mean([one["best_shown_worse"] for one in races])),
        "ends": dict(Counter(one["end"] for one in races)),
        "median_kept": float(np.median([one["kept"] for one in races])),
        "beyond_a_tenth": [one for one in races if one["regret"] > FINER + 1e-12],
    }


def replayed(table: Table, seeds: int) -> dict[str, Any]:
    """What all the races say, for the finding's file."""
    rates = np.sort(table.rates)
    found: dict[str, Any] = {
        "configurations": len(table.names),
        "utterances": len(table.utterances),
        "words": int(table.words.sum()),
        "audio_seconds": float(table.seconds.sum()),
        "rates_percent": [round(100 * float(rate), 2) for rate in rates],
        "best": table.names[int(table.rates.argmin())],
        "block": BLOCK,
        "alpha": ALPHA,
        "tolerance": TOLERANCE,
        "seeds": seeds,
        "replays": [],
    }
    for rule, share in itertools.product(RULES, (SHARE, None)):
        races = [race(table, rule, seed, share) for seed in range(seeds)]
        line = {"rule": rule, "budget_share": share, **summary(races)}
        found["replays"].append(line)
        shown = {key: value for key, value in line.items() if key != "beyond_a_tenth"}
        print(json.dumps(shown), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("outcomes", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--seeds", type=int, default=200)
    given = parser.parse_args()
    found = replayed(read(given.outcomes), given.seeds)
    given.result.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
