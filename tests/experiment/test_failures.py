"""Every kind of failure on hand-made outcomes whose counts are computed by hand."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from whisperlab.config.compose import compose
from whisperlab.experiment.failure_settings import FailureSettings
from whisperlab.experiment.failure_summary import (
    FailureKind,
    Failures,
    Finding,
    KindCount,
    failures_from_json,
)
from whisperlab.experiment.failures import FailureAnalysis, analyse_failures
from whisperlab.experiment.scoring import score_outcomes
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic
from whisperlab.transcript import Segment
from whisperlab.utterance import Failure, Outcome, State

BASIC = Profile(name="basic", version="1", steps=(WhisperBasic(),))


def said(name: str, reference: str, text: str, **changed: object) -> Outcome:
    state = State.OK if text else State.EMPTY
    return replace(
        Outcome(name, state, reference, text, language="en", audio_seconds=60.0),
        **changed,  # type: ignore[arg-type]
    )


def analysis(
    *outcomes: Outcome, settings: FailureSettings | None = None, language: str | None = None
) -> FailureAnalysis:
    scored = score_outcomes(outcomes, BASIC, [WordErrorRate()])
    return analyse_failures(scored, BASIC, settings, language)


def count(summary: Failures, kind: FailureKind) -> KindCount:
    return next(entry for entry in summary.kinds if entry.kind is kind)


def found(outcomes: FailureAnalysis, kind: FailureKind) -> list[tuple[str, float]]:
    return [(item.id, item.amount) for item in outcomes.findings if item.kind is kind]


def test_text_on_speechless_recordings_is_false_and_counted_by_the_minute() -> None:
    thanks = [said(f"n{number}", "", "Thank you.", audio_seconds=30.0) for number in range(2)]
    result = analysis(
        *thanks, said("n2", "...", "you", audio_seconds=30.0), said("n3", "", "", audio_seconds=30.0),
        said("s1", "one", "one"),
    )  # fmt: skip
    text = result.summary.false_text
    assert text is not None
    assert (text.utterances, text.with_text, text.words) == (4, 3, 5)
    assert text.words_per_minute == pytest.approx(5 / 2)  # 5 words in 120 s
    assert text.commonest == (("Thank you.", 2), ("you", 1))
    assert found(result, FailureKind.FALSE_TEXT) == [("n0", 2), ("n1", 2), ("n2", 1)]
    assert count(result.summary, FailureKind.FALSE_TEXT).of == 4
    assert analysis(said("s1", "one", "one")).summary.false_text is None


def test_nothing_heard_is_a_failure_only_where_something_was_said() -> None:
    result = analysis(said("a", "two words", ""), said("b", "", ""), said("c", "one", "one"))
    assert found(result, FailureKind.MISSED) == [("a", 2)]
    assert count(result.summary, FailureKind.MISSED).of == 2


def test_a_phrase_repeated_beyond_the_reference_is_a_loop() -> None:
    result = analysis(
        said("loops", "thank you all", "thank you " * 4),
        said("said so", "five five five five five", "five five five five five"),
        said("a little", "no", "no no no"),
    )
    (loop,) = [item for item in result.findings if item.kind is FailureKind.LOOP]
    assert (loop.id, loop.amount, loop.detail) == ("loops", 4, "thank you × 4")


def test_insertions_in_a_row_are_a_run_and_scattered_ones_are_not() -> None:
    result = analysis(
        said("run", "one two", "one a b c d e two"),
        said("scattered", "one two three", "a b one c d two e f three"),
    )
    assert found(result, FailureKind.INSERTION_RUN) == [("run", 5)]


def test_words_a_second_are_heard_words_over_seconds_of_audio() -> None:
    text = "one two three four five six seven eight"
    result = analysis(
        said("fast", text, text, audio_seconds=1.0),
        said("slow", text, text, audio_seconds=4.0),
        said("unknown", text, text, audio_seconds=None),
    )
    assert found(result, FailureKind.FAST) == [("fast", 8.0)]
    assert count(result.summary, FailureKind.FAST).of == 2
    speed = result.summary.words_per_second
    assert speed is not None
    assert (speed.p50, speed.largest) == (5.0, 8.0)  # between 2 and 8


def test_the_engine_s_own_compression_ratio_counts_and_ours_where_it_has_none() -> None:
    windows = (Segment(0, 1, "a", compression_ratio=0.5), Segment(1, 2, "b", compression_ratio=2.5))
    result = analysis(
        said("engine", "a b", "a b", segments=windows),
        said("ours", "na", "na " * 60),
        said("plain", "a b", "a b"),
    )
    assert [name for name, _ in found(result, FailureKind.COMPRESSIBLE)] == ["ours", "engine"]


def test_truncation_is_the_state() -> None:
    result = analysis(said("cut", "a b c", "a b", state=State.TRUNCATED), said("whole", "a", "a"))
    assert found(result, FailureKind.TRUNCATED) == [("cut", 2)]


def test_a_language_flip_is_one_from_the_dataset_s_or_else_the_commonest() -> None:
    mostly = [said(f"e{number}", "one", "one") for number in range(2)]
    flipped = said("cy", "one", "un", language="cy")
    assert found(analysis(*mostly, flipped), FailureKind.OTHER_LANGUAGE) == [("cy", 1)]
    welsh = replace(flipped, slices={"locale": "cy-GB"})
    assert found(analysis(*mostly, welsh), FailureKind.OTHER_LANGUAGE) == []
    told = analysis(*mostly, flipped, language="en").summary
    assert count(told, FailureKind.OTHER_LANGUAGE).share is None


def test_a_language_s_name_is_the_language_and_an_unknown_one_is_not_judged() -> None:
    named = [
        said("en", "one", "one", slices={"language": "English"}),
        said("de", "one", "eins", language="de", slices={"language": "German"}),
        said("fr", "one", "un", language="fr", slices={"lang": "English"}),
        said("it", "one", "uno", language="it", slices={"lang": "unknown"}),
    ]
    result = analysis(*named)
    assert found(result, FailureKind.OTHER_LANGUAGE) == [("fr", 1)]
    assert count(result.summary, FailureKind.OTHER_LANGUAGE).of == 3


def test_the_worst_utterances_share_and_the_rate_without_them() -> None:
    good = [said(f"g{number:03}", "one two", "one two") for number in range(198)]
    bad = said("bad", "one", "one a b c d e f")
    poor = [said(f"p{number}", "one two", "one too") for number in range(2)]
    worst = analysis(*good, bad, *poor).summary.worst
    assert worst is not None
    assert (worst.utterances, worst.errors) == (2, 7)  # 1 % of 201
    assert worst.share == 7 / 8
    assert worst.rate == 8 / 401
    assert worst.rate_without == 1 / 398


def test_failed_utterances_are_left_out_and_nothing_of_nothing_is_none() -> None:
    lost = said("x", "one", "", state=State.FAILED, error=Failure("invalid_audio", "broken"))
    summary = analysis(lost).summary
    assert all((kind.found, kind.of, kind.share) == (0, 0, None) for kind in summary.kinds)
    assert summary.worst is None
    assert summary.words_per_second is None
    assert summary.calibration == {}
    assert summary.seams is None
    assert summary.word_times is None


def test_calibration_takes_the_engine_s_figures_weighted_by_seconds() -> None:
    def sure(name: str, text: str, *figures: tuple[float, float]) -> Outcome:
        segments = tuple(Segment(0.0, length, text, avg_logprob=value) for length, value in figures)
        return said(name, "one two", text, segments=segments)

    # -0.4 on average (a plain mean would be -0.65), against -0.5: the wrong one is the less sure
    result = analysis(
        sure("right", "one two", (3.0, -0.1), (1.0, -1.3)), sure("wrong", "two", (1.0, -0.5))
    )
    curve = result.summary.calibration["avg_logprob"]
    assert [(point.coverage, point.risk) for point in curve.curve] == [(0.5, 0.0), (1.0, 0.25)]
    assert "no_speech_prob" not in result.summary.calibration


def test_scores_json_gives_the_summary_back() -> None:
    segments = (Segment(0, 1, "a", avg_logprob=-0.1), Segment(1, 2, "b", avg_logprob=-0.3))
    summary = analysis(
        said("a", "one", "one one one one one", segments=segments),
        said("b", "", "you", segments=segments),
        said("c", "two", "", segments=segments[:1]),
    ).summary
    assert failures_from_json(json.loads(json.dumps(asdict(summary)))) == summary
    assert isinstance(summary.kinds[0].worst[0], Finding)


def test_scores_json_names_no_more_utterances_than_asked_for() -> None:
    outcomes = [said(f"n{number}", "", "you") for number in range(5)]
    result = analysis(*outcomes, settings=FailureSettings(examples=2))
    kind = count(result.summary, FailureKind.FALSE_TEXT)
    assert (kind.found, [item.id for item in kind.worst]) == (5, ["n0", "n1"])
    assert len(result.findings) == 5


def test_the_yaml_writes_the_defaults_of_the_settings() -> None:
    assert compose("eval", [])["failures"] == asdict(FailureSettings())
