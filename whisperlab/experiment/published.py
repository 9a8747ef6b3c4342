"""Published results of known checkpoints on known sets, set against what a run measured.

Owns which runs are comparable to a published number, and what in a run's settings may explain a gap.
It does not know how it is shown. The numbers are facts; ``published.json`` has them with their
sources. A run is comparable when its model is the same checkpoint of the Hub and its dataset is the
same set, whatever its profile, decoding or subset: those are the causes that are named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from whisperlab.experiment.result import RunCard, RunResult, Tally

METRIC = "wer"
FULL_PRECISION = frozenset({"none", "float16", "bfloat16"})
PERCENT = 100


@dataclass(frozen=True, slots=True)
class PublishedRate:
    """A word error rate (a fraction) that somebody published, and under which conditions."""

    value: float
    set: str
    profile: str
    conditions: str
    note: str | None
    source: str


@dataclass(frozen=True, slots=True)
class PublishedComparison:
    """A published rate beside the measured one; ``causes`` are what differs, likeliest first.

    ``inside`` says whether the published rate lies in the measured 95 % interval: then the run shows
    no gap that would need a cause. ``None`` where there is no interval.
    """

    published: PublishedRate
    measured: float
    inside: bool | None
    causes: Sequence[str]

    @property
    def gap(self) -> float:
        """Measured minus published, a fraction: positive is worse than published."""
        return self.measured - self.published.value


def compare_with_published(result: RunResult) -> list[PublishedComparison]:
    """Returns the run beside every published rate of its checkpoint on its set; mostly none."""
    rate = result.scores.scores.get(METRIC)
    known_set = set_of(result.card)
    if rate is None or rate.value is None or known_set is None:
        return []
    found = []
    for published in published_rates(str(result.card.model.get("source")), known_set):
        inside = None
        if rate.low is not None and rate.high is not None:
            inside = rate.low <= published.value <= rate.high
        causes = tuple(_causes(result, published, _sets()[known_set].get("utterances")))
        found.append(PublishedComparison(published, rate.value, inside, causes))
    return found


def published_rates(model: str, known_set: str) -> list[PublishedRate]:
    """Returns what was published of a checkpoint, by its name on the Hub, on a set.

    >>> [rate.value for rate in published_rates("openai/whisper-base.en", "librispeech test-clean")]
    [0.0425, 0.0426]
    """
    return [
        PublishedRate(
            value=round(percents[known_set] / PERCENT, 6),
            set=known_set,
            profile=table["profile"],
            conditions=table["conditions"],
            note=table["note"],
            source=table["source"],
        )
        for table in _content()["tables"]
        for percents in [table["wer_percent"].get(model, {})]
        if known_set in percents
    ]


def set_of(card: RunCard) -> str | None:
    """Returns the name of the set that a run is over, ``None`` for one that is not known here.

    A set of the Hub is known by name, configuration and split, a LibriSpeech tree by its folder.
    """
    data = card.dataset
    chosen = card.config.get("dataset")
    path = chosen.get("path") if isinstance(chosen, Mapping) else None
    folder = Path(str(path)).name if path and data.get("source") == "librispeech" else None
    hub = [data.get("name"), data.get("config"), data.get("split")]
    for name, facts in _sets().items():
        if hub in facts["hub"] or (folder is not None and folder == facts["folder"]):
            return name
    return None


def _causes(result: RunResult, published: PublishedRate, utterances: int | None) -> Iterator[str]:
    """Yields what differs from the published conditions, what moves a rate most first."""
    yield from _scoring_causes(result, published)
    yield from _coverage_causes(result.scores.utterances, utterances)
    yield from _setting_causes(result.card.config)
    if published.note is not None:
        yield f"the published table: {published.note}"


def _scoring_causes(result: RunResult, published: PublishedRate) -> Iterator[str]:
    profile = result.scores.profile.get("name")
    if profile != published.profile:
        yield (
            f"scored under {profile}, published under {published.profile} "
            f"(python -m whisperlab.runs rescore {result.folder} --profile {published.profile})"
        )


def _coverage_causes(tally: Tally, utterances: int | None) -> Iterator[str]:
    if utterances is not None and tally.total != utterances:
        yield f"{tally.total:,} utterances, the set has {utterances:,}"
    lost = tally.failed + tally.timed_out
    if lost:
        yield f"{lost:,} utterances have no text and are not in the rate"
    if tally.truncated:
        yield f"{tally.truncated:,} texts were cut at the token limit"
    if tally.empty:
        yield f"{tally.empty:,} texts are empty"


def _setting_causes(config: Mapping[str, Any]) -> Iterator[str]:
    quantization = _named(config, "quantization", "name")
    if quantization is not None and quantization not in FULL_PRECISION:
        yield f"weights quantised: {quantization}"
    if config.get("preprocess"):
        yield f"sound preprocessed: {', '.join(config['preprocess'])}"
    segmentation = str(_named(config, "segmentation", "_target_") or "whole")
    if "whole" not in segmentation:
        yield f"sound cut: {segmentation.rsplit('.', 2)[-2]}"
    engine = str(_named(config, "engine", "_target_") or "hf")
    if ".hf." not in f".{engine}.":
        yield f"another engine: {engine.rsplit('.', 2)[-2]}"
    beam_size = _named(config, "decode", "beam_size")
    if beam_size not in (None, 1):
        yield f"beam search over {beam_size}, published greedy"
    if _named(config, "decode", "language") is None and _named(config, "model", "multilingual"):
        yield "language detected for each utterance, published with the language given"
    timestamps = _named(config, "decode", "timestamps")
    if timestamps not in (None, "none", False):
        yield f"timestamps decoded ({timestamps}), which changes texts; published without"


def _named(config: Mapping[str, Any], group: str, key: str) -> Any:
    chosen = config.get(group)
    return chosen.get(key) if isinstance(chosen, Mapping) else None


@cache
def _content() -> Mapping[str, Any]:
    source = resources.files("whisperlab.experiment").joinpath("published.json")
    content: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    return content


def _sets() -> Mapping[str, Any]:
    sets: dict[str, Any] = _content()["sets"]
    return sets
