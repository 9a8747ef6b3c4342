"""comparison.json: a Comparison as JSON.

Owns the file's schema. Rates and differences are fractions; a difference is the run minus A::

    {"schema": 1, "metric": "wer", "profile": {"name", "hash"}, "clusters": null, "level": 0.95,
     "resamples": 10000, "seed": 0, "utterances": 265, "left_out": {"not in every run": 0, ...},
     "runs": [{"label": "A", "folder", "configuration_hash", "fingerprint", "scores": {"wer": {...}}, "lost": []}],
     "differences": [{"label": "B", "scores": {"wer": {"value", "low", "high", "p", "level", "resamples", "units", "effective_units"}},
                      "matched_pairs": {"segments", "mean", "deviation", "z", "p", "p_by_utterance"},
                      "detectable": 0.011, "worse": 8, "same": 250, "better": 7, "worst": [{"id", "first", "second", "words"}],
                      "newly_lost": [], "slices": [{"column", "value", "utterances", "first", "second", "difference"}]}],
     "ranking": [["B"], ["A"]]}
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from whisperlab.experiment.comparison import SCHEMA, ComparedRun, Comparison, RunDifference


def comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    """Returns the content of comparison.json."""
    choices = comparison.choices
    return {
        "schema": SCHEMA,
        "metric": choices.metric,
        "profile": {"name": comparison.profile.name, "hash": comparison.profile.hash},
        "clusters": choices.clusters,
        "level": choices.level,
        "resamples": choices.resamples,
        "seed": choices.seed,
        "utterances": comparison.utterances,
        "left_out": dict(comparison.left_out),
        "runs": [_run(run) for run in comparison.runs],
        "differences": [_difference(found) for found in comparison.differences],
        "ranking": [list(group) for group in comparison.ranking],
    }


def _run(compared: ComparedRun) -> dict[str, Any]:
    return {
        "label": compared.label,
        "folder": str(compared.run.folder),
        "configuration_hash": compared.run.card.configuration_hash,
        "fingerprint": compared.run.card.fingerprint,
        "scores": {name: asdict(rate) for name, rate in compared.rates.items()},
        "lost": list(compared.lost),
    }


def _difference(found: RunDifference) -> dict[str, Any]:
    content = asdict(found)
    return {"label": content.pop("label"), "scores": content.pop("differences"), **content}
