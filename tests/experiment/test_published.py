"""Published results beside measured ones: which runs they are for, and what is named as a cause."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from compared_runs import outcome, run
from html_page import Page

from whisperlab.config.compose import compose
from whisperlab.experiment.published import compare_with_published, published_rates, set_of
from whisperlab.experiment.result import Rate, RunResult, Tally
from whisperlab.report.html import page
from whisperlab.report.published import published_lines

CLEAN = {"source": "hub", "name": "openslr/librispeech_asr", "config": "clean", "split": "test"}


def measured(
    value: float,
    *overrides: str,
    dataset: Mapping[str, Any] = CLEAN,
    profile: str = "whisper-english",
    tally: Tally | None = None,
) -> RunResult:
    """A run of base.en on 2,620 utterances with this WER, half a point either side."""
    config = compose("eval", ["model=base.en", "decode.timestamps=none", *overrides])
    made = run(outcome("u1", "one"), dataset=dataset, config=config)
    rate = Rate(value, value - 0.005, value + 0.005, 1, 1, 1, 100, 100, value)
    scores = replace(
        made.scores,
        utterances=tally or Tally(2620, 2620, 0, 0, 0, 0),
        scores={"wer": rate},
        profile={"name": profile, "hash": "0" * 16},
    )
    return replace(made, card=replace(made.card, model=config["model"]), scores=scores)


def test_every_stored_number_is_the_published_tables(test_data: Path) -> None:
    columns = {
        "LS Clean WER": "librispeech test-clean",
        "LS Other WER": "librispeech test-other",
        "AMI WER": "ami test",
        "Earnings22 WER": "earnings22 test",
        "Gigaspeech WER": "gigaspeech test",
        "SPGISpeech WER": "spgispeech test",
        "Tedlium WER": "tedlium test",
        "Voxpopuli WER": "voxpopuli en test",
    }
    table = test_data / "published" / "open_asr_leaderboard_en_shortform.csv"
    seen = 0
    for row in csv.DictReader(table.read_text().splitlines()):
        for column, name in columns.items():
            rates = [
                rate.value
                for rate in published_rates(row["model"], name)
                if "en_shortform" in rate.source
            ]
            assert rates == [pytest.approx(float(row[column]) / 100)]
            seen += 1
    assert seen == 18 * 8


def test_a_set_is_known_by_its_name_on_the_hub_or_its_folder() -> None:
    assert set_of(measured(0.04).card) == "librispeech test-clean"
    other = {**CLEAN, "config": "other"}
    assert set_of(measured(0.04, dataset=other).card) == "librispeech test-other"
    assert set_of(measured(0.04, dataset={**CLEAN, "split": "validation"}).card) is None
    tree = measured(
        0.04,
        "dataset=librispeech",
        "dataset.path=/corpora/LibriSpeech/test-clean",
        dataset={"source": "librispeech"},
    )
    assert set_of(tree.card) == "librispeech test-clean"
    manifest = measured(
        0.04, "dataset=manifest", "dataset.path=/x/test-clean", dataset={"source": "manifest"}
    )
    assert set_of(manifest.card) is None


def test_a_run_on_another_set_or_with_another_checkpoint_has_nothing_beside_it() -> None:
    assert compare_with_published(measured(0.04, dataset={"source": "demo"})) == []
    digits = measured(0.04, "model=whisperlab-digits", "decode.timestamps=segment")
    assert compare_with_published(digits) == []
    assert list(published_lines(digits)) == []


def test_a_published_rate_in_the_interval_needs_no_cause() -> None:
    found = compare_with_published(measured(0.0430))
    assert [comparison.published.value for comparison in found] == [0.0425, 0.0426]
    assert all(comparison.inside for comparison in found)
    lines = list(published_lines(measured(0.0430)))
    assert len(lines) == 2
    assert "published 4.25 %" in lines[0]
    assert "measured 4.30 %" in lines[0]
    assert "no gap is shown" in lines[0]


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        (measured(0.06, profile="basic"), "scored under basic, published under whisper-english"),
        (measured(0.06, tally=Tally(40, 40, 0, 0, 0, 0)), "40 utterances, the set has 2,620"),
        (
            measured(0.06, tally=Tally(2620, 2600, 7, 9, 3, 1)),
            "10 utterances have no text and are not in the rate",
        ),
        (measured(0.06, tally=Tally(2620, 2617, 0, 0, 3, 0)), "3 texts were cut"),
        (measured(0.06, tally=Tally(2620, 2613, 7, 0, 0, 0)), "7 texts are empty"),
        (measured(0.06, "quantization=dynamic_int8"), "weights quantised: dynamic_int8"),
        (measured(0.06, "preprocess=[trim,loudness]"), "sound preprocessed: trim, loudness"),
        (measured(0.06, "segmentation=fixed"), "sound cut: fixed"),
        (measured(0.06, "decode.beam_size=5"), "beam search over 5"),
        (measured(0.06, "decode.timestamps=word"), "timestamps decoded (word)"),
        (measured(0.06, "engine=replay"), "another engine: replay"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_gap_names_what_differs(result: RunResult, cause: str) -> None:
    (first, _) = compare_with_published(result)
    assert first.inside is False
    assert first.gap == pytest.approx(0.06 - 0.0425)
    causes = [found for found in first.causes if not found.startswith("the published table")]
    assert any(found.startswith(cause) for found in causes)
    if "empty" not in cause and "no text" not in cause:
        assert len(causes) == 1


def test_a_multilingual_checkpoint_without_a_language_is_a_cause() -> None:
    result = measured(0.06, "model=large-v3")
    assert any("language detected" in cause for cause in compare_with_published(result)[0].causes)
    given = measured(0.06, "model=large-v3", "decode.language=en")
    assert not any(
        "language detected" in cause for cause in compare_with_published(given)[0].causes
    )


def test_the_report_shows_it_with_its_source() -> None:
    text = Page(page(measured(0.06, profile="basic"), {})).text["published"]
    for shown in ("published 4.26 %", "measured 6.00 %", "+1.74 points", "LibriSpeech.ipynb"):
        assert shown in text
    assert "published" not in Page(page(measured(0.06, dataset={"source": "demo"}), {})).text
