"""WER and CER: hand-computed cases and jiwer as oracle."""

from __future__ import annotations

from pathlib import Path

import jiwer
import pytest
import yaml
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.metric.alignment import align_texts
from whisperlab.metric.cer import CharacterErrorRate
from whisperlab.metric.counts import ErrorCounts
from whisperlab.metric.protocol import Metric
from whisperlab.metric.wer import WordErrorRate

METRICS: list[Metric] = [WordErrorRate(), CharacterErrorRate()]
CONF = Path(__file__).parents[2] / "conf" / "metric"
TEXT = st.text(alphabet="ab é", max_size=20)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_each_metric_keeps_the_protocol(metric: Metric) -> None:
    assert isinstance(metric, Metric)
    assert metric.counts(align_texts("", "")) == ErrorCounts(0, 0, 0, 0, 0)


def test_wer_by_hand() -> None:
    # the/a substituted, very inserted, here deleted
    counts = WordErrorRate().counts(align_texts("the day is long here", "a day is very long"))
    assert counts == ErrorCounts(1, 1, 1, reference_length=5, hypothesis_length=5)
    assert counts.rate == 0.6


def test_wer_exceeds_one_when_insertions_abound() -> None:
    assert WordErrorRate().counts(align_texts("yes", "oh yes oh yes oh")).rate == 4.0


def test_cer_counts_the_space_between_words_and_none_at_the_ends() -> None:
    assert CharacterErrorRate().counts(align_texts(" ab cd ", "abcd")) == ErrorCounts(0, 0, 1, 5, 4)


@given(reference=TEXT.filter(lambda text: bool(text.strip())), hypothesis=TEXT)
def test_rates_equal_jiwers(reference: str, hypothesis: str) -> None:
    wer = WordErrorRate().counts(align_texts(reference, hypothesis))
    cer = CharacterErrorRate().counts(align_texts(reference, hypothesis))
    assert wer.rate == pytest.approx(jiwer.wer(reference, hypothesis), abs=1e-12)
    assert cer.rate == pytest.approx(jiwer.cer(reference, hypothesis), abs=1e-12)


@given(reference=TEXT, hypothesis=TEXT)
def test_lengths_and_edits_are_consistent(reference: str, hypothesis: str) -> None:
    for metric in METRICS:
        counts = metric.counts(align_texts(reference, hypothesis))
        turned = metric.counts(align_texts(hypothesis, reference))
        assert counts.errors == turned.errors
        assert counts.insertions - counts.deletions == (
            counts.hypothesis_length - counts.reference_length
        )
        assert metric.counts(align_texts(reference, "")).deletions == counts.reference_length


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_each_metrics_yaml_builds_it_under_its_own_name(metric: Metric) -> None:
    settings = yaml.safe_load((CONF / f"{metric.name}.yaml").read_text())
    assert {name: instantiate(chosen) for name, chosen in settings.items()} == {metric.name: metric}
