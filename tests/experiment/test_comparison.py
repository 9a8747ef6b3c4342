"""What a comparison says: hand-made runs whose numbers can be counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from compared_runs import DATASET, SAID, outcome, run, wrong

from whisperlab.errors import ConfigError
from whisperlab.experiment.comparison import Change, Comparison, compare
from whisperlab.experiment.comparison_json import comparison_to_json
from whisperlab.experiment.pairing import Choices
from whisperlab.experiment.result import RunResult
from whisperlab.metric.cer import CharacterErrorRate
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic

BASIC = Profile(name="basic", version="1", steps=(WhisperBasic(),))
METRICS = (WordErrorRate(), CharacterErrorRate())


def compared(*runs: RunResult, **choices: Any) -> Comparison:
    return compare(runs, BASIC, METRICS, Choices(resamples=2000, **choices))


FIRST = run(*[outcome(f"u{n:02}", wrong(n % 3), speaker="ab"[n % 2]) for n in range(20)], name="a")
SECOND = run(
    *[
        outcome(
            f"u{n:02}", wrong(n % 3 + (4 if n == 7 else 1 if n < 5 else 0)), speaker="ab"[n % 2]
        )
        for n in range(19)
    ],
    outcome("u19", wrong(0), speaker="b"),
    name="b",
)


def test_the_difference_is_counted_over_all_utterances() -> None:
    comparison = compared(FIRST, SECOND)
    (found,) = comparison.differences
    # A: 6 x 0 + 7 x 1 + 7 x 2 = 20 - 1: n % 3 over 20 numbers; B: 5 more, 4 more, u19 one less
    first, second = (compared_run.rates["wer"] for compared_run in comparison.runs)
    assert first.value == pytest.approx(19 / 200)
    assert second.value == pytest.approx((19 + 5 + 4 - 1) / 200)
    wer = found.differences["wer"]
    assert wer is not None
    assert wer.value == pytest.approx(8 / 200)
    assert wer.units == 20
    assert (found.worse, found.same, found.better) == (6, 13, 1)
    assert found.matched_pairs is not None
    assert found.matched_pairs.mean == pytest.approx(8 / found.matched_pairs.segments)


def test_the_worst_utterances_stand_by_the_errors_they_gained() -> None:
    (found,) = compared(FIRST, SECOND, worst=2).differences
    assert found.worst == (Change("u07", 1, 5, 10), Change("u00", 0, 1, 10))


def test_slices_are_compared_by_themselves() -> None:
    (found,) = compared(FIRST, SECOND).differences
    by_value = {part.value: part for part in found.slices}
    assert [part.column for part in found.slices] == ["speaker", "speaker"]
    # speaker a: even numbers; gains 3 of u00, u02, u04
    assert by_value["a"].difference is not None
    assert by_value["a"].difference.value == pytest.approx(3 / 100)
    assert by_value["b"].difference is not None
    assert by_value["b"].difference.value == pytest.approx((2 + 4 - 1) / 100)
    assert by_value["a"].utterances == 10


def test_an_utterance_that_one_run_lost_is_compared_in_none() -> None:
    first = run(outcome("a", wrong(1)), outcome("b", wrong(2)), outcome("c", None))
    second = run(outcome("a", wrong(1)), outcome("b", None), outcome("c", wrong(0)))
    comparison = compared(first, second)
    assert comparison.utterances == 1
    assert comparison.left_out == {"not in every run": 0, "without text in a run": 2}
    assert [compared_run.lost for compared_run in comparison.runs] == [("c",), ("b",)]
    assert comparison.differences[0].newly_lost == ("b",)
    assert comparison.runs[0].rates["wer"].value == 0.1


def test_runs_that_lost_everything_cannot_be_compared() -> None:
    with pytest.raises(ConfigError, match="nothing to compare"):
        compared(run(outcome("a", None)), run(outcome("a", SAID)))


def test_other_utterances_are_refused_with_their_numbers() -> None:
    first = run(outcome("a", SAID), outcome("b", SAID), outcome("c", SAID))
    second = run(outcome("b", SAID), outcome("c", SAID, said="other"), outcome("d", SAID))
    with pytest.raises(ConfigError, match="1 only in A, 1 only in B, 1 with another reference"):
        compared(first, second)
    comparison = compared(first, second, shared_only=True)
    assert comparison.utterances == 1
    assert comparison.left_out["not in every run"] == 3


def test_the_same_references_over_other_audio_are_refused() -> None:
    noisy = {**DATASET, "perturbation": "white noise at 10 dB"}
    first, second = run(outcome("a", SAID)), run(outcome("a", SAID), dataset=noisy)
    with pytest.raises(ConfigError, match="other audio: their datasets differ in perturbation"):
        compared(first, second)
    assert compared(first, second, shared_only=True).utterances == 1


def test_a_manifest_written_anew_is_the_same_dataset() -> None:
    moved = {**DATASET, "source": "folder", "rows_sha256": "def"}
    assert compared(run(outcome("a", SAID)), run(outcome("a", SAID), dataset=moved)).utterances == 1


def test_speakers_are_drawn_whole_when_asked() -> None:
    runs = [
        run(
            *[
                outcome(item.id, item.text, speaker="abcd"[n % 4])
                for n, item in enumerate(made.outcomes)
            ]
        )
        for made in (FIRST, SECOND)
    ]
    (found,) = compared(*runs, clusters="speaker").differences
    assert found.differences["wer"] is not None
    assert found.differences["wer"].units == 4


def test_two_speakers_are_too_few_to_be_drawn() -> None:
    (found,) = compared(FIRST, SECOND, clusters="speaker").differences
    assert found.differences["wer"] is None


def test_an_unknown_column_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"clusters 'session'.*columns are speaker"):
        compared(FIRST, SECOND, clusters="session")


def test_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="metric 'mer': expected one of wer, cer"):
        compared(FIRST, SECOND, metric="mer")


def test_characters_are_compared_without_matched_pairs_of_words() -> None:
    (found,) = compared(FIRST, SECOND, metric="cer").differences
    assert found.matched_pairs is None
    assert found.differences["cer"] is not None
    assert found.worst[0].words == len(SAID)


def test_one_run_is_nothing_to_compare() -> None:
    with pytest.raises(ConfigError, match="expected 2 to 26 runs"):
        compared(FIRST)


def test_three_runs_are_ranked_and_each_stands_against_the_first() -> None:
    bad = run(*[outcome(f"u{n:02}", wrong(8), speaker="ab"[n % 2]) for n in range(20)], name="c")
    comparison = compared(bad, FIRST, replace(FIRST, folder=Path("again")))
    assert [found.label for found in comparison.differences] == ["B", "C"]
    assert comparison.ranking == (("B", "C"), ("A",))


def test_runs_without_reference_words_have_no_difference_and_no_rank() -> None:
    silent = [run(*[outcome(name, "uh" if name == "a" else "", said="") for name in "abcd"])] * 2
    comparison = compared(*silent)
    assert comparison.differences[0].differences["wer"] is None
    assert comparison.ranking == ()


def test_the_json_holds_every_number_and_survives_a_round_trip() -> None:
    written = json.dumps(comparison_to_json(compared(FIRST, SECOND)), allow_nan=False)
    content = json.loads(written)
    assert content["schema"] == 1
    assert content["profile"] == {"name": "basic", "hash": BASIC.hash}
    assert content["runs"][1]["scores"]["wer"]["value"] == pytest.approx(27 / 200)
    (found,) = content["differences"]
    assert found["label"] == "B"
    assert found["scores"]["wer"]["value"] == pytest.approx(8 / 200)
    assert (found["worse"], found["same"], found["better"]) == (6, 13, 1)
    assert found["worst"][0] == {"id": "u07", "first": 1, "second": 5, "words": 10}
    assert content["ranking"] in ([["A"], ["B"]], [["A", "B"]])
