"""Verdicts: what must not change is violated by one letter, what may change is judged by the rate."""

from __future__ import annotations

import pytest
from compared_runs import SAID, outcome, run, wrong

from whisperlab.experiment.invariance import Circumstance, Verdict, invariance
from whisperlab.experiment.pairing import Choices
from whisperlab.experiment.result import RunResult
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic

BASIC = Profile(name="basic", version="1", steps=(WhisperBasic(),))
FIRST = run(*[outcome(f"u{n:02}", wrong(n % 3)) for n in range(30)])


def against(other: RunResult, *, must: bool, first: RunResult = FIRST) -> Circumstance:
    found = invariance(
        {"first": first, "other": other},
        {"other"} if must else set(),
        BASIC,
        [WordErrorRate()],
        Choices(resamples=500),
    )
    assert bool(found.violated) == (found.circumstances[0].verdict is Verdict.VIOLATED)
    return found.circumstances[0]


def with_texts(texts: dict[int, str | None]) -> RunResult:
    return run(*[outcome(f"u{n:02}", texts.get(n, wrong(n % 3))) for n in range(30)])


@pytest.mark.parametrize("must", [True, False])
def test_equal_texts_are_invariant(must: bool) -> None:
    same = against(with_texts({}), must=must)
    assert same.verdict is Verdict.INVARIANT
    assert (same.changed, same.share) == ((), 0.0)


def test_one_letter_that_no_metric_sees_violates_what_must_be_equal() -> None:
    capital = against(with_texts({3: SAID.title()}), must=True)
    assert capital.verdict is Verdict.VIOLATED
    (changed,) = capital.changed
    assert (changed.id, changed.before, changed.after) == ("u03", SAID, SAID.title())
    assert (changed.errors_before, changed.errors_after) == (0, 0)
    assert capital.share == pytest.approx(1 / 30)
    assert capital.difference is not None
    assert capital.difference.value == 0.0


def test_a_few_other_texts_are_stable_where_texts_may_change() -> None:
    assert against(with_texts({3: wrong(1), 4: wrong(0)}), must=False).verdict is Verdict.STABLE


def test_other_texts_of_three_utterances_tell_nothing() -> None:
    few, worse = (run(*[outcome(f"u{n}", wrong(errors)) for n in range(3)]) for errors in (0, 1))
    assert against(worse, must=False, first=few).verdict is Verdict.UNKNOWN
    assert against(worse, must=True, first=few).verdict is Verdict.VIOLATED


def test_a_rate_that_moved_is_sensitive() -> None:
    worse = against(with_texts({n: wrong(5) for n in range(15)}), must=False)
    assert worse.verdict is Verdict.SENSITIVE
    assert worse.difference is not None
    assert worse.difference.low > 0


@pytest.mark.parametrize(
    ("must", "verdict"), [(True, Verdict.VIOLATED), (False, Verdict.SENSITIVE)]
)
def test_a_lost_text_is_never_unchanged(must: bool, verdict: Verdict) -> None:
    lost = against(with_texts({7: None}), must=must)
    assert lost.verdict is verdict
    assert lost.newly_lost == ("u07",)
    assert lost.utterances == 29
