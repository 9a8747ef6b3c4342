"""Seeded samples and the survey that every source shares."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.dataset.rows import RowError
from whisperlab.dataset.subset import Draw
from whisperlab.dataset.survey import Survey, Surveyor

NAMES = st.lists(st.text(st.characters(codec="utf-8"), min_size=1), unique=True, max_size=60)


def drawn(names: list[str], size: int, seed: int) -> list[str]:
    draw = Draw(size, seed)
    for ordinal, name in enumerate(names):
        if draw.would_draw(name):
            draw.add(ordinal, name, "", None)
    return [names[ordinal] for ordinal, _ in draw.drawn()]


def survey(names: list[str], subset: int | None, seed: int | None) -> Survey:
    surveyor = Surveyor(subset, seed)
    for ordinal, name in enumerate(names):
        if surveyor.draws(name):
            surveyor.add(ordinal, name, "text", 1)
        else:
            surveyor.pass_by(name)
    return surveyor.finish()


@given(NAMES, st.integers(1, 20), st.integers(0, 2**40))
def test_a_sample_keeps_the_order_and_has_the_size_asked_for(
    names: list[str], size: int, seed: int
) -> None:
    sample = drawn(names, size, seed)
    assert len(sample) == min(size, len(names))
    assert [name for name in names if name in set(sample)] == sample


@given(NAMES, st.integers(1, 20), st.integers(0, 2**40), st.randoms())
def test_who_is_drawn_does_not_depend_on_the_order(
    names: list[str], size: int, seed: int, shuffler: random.Random
) -> None:
    shuffled = list(names)
    shuffler.shuffle(shuffled)
    assert set(drawn(names, size, seed)) == set(drawn(shuffled, size, seed))


@given(NAMES, st.integers(1, 20), st.integers(0, 2**40))
def test_a_larger_sample_contains_the_smaller(names: list[str], size: int, seed: int) -> None:
    assert set(drawn(names, size, seed)) <= set(drawn(names, size + 5, seed))


def test_seeds_draw_differently_and_none_draws_the_first() -> None:
    names = [f"u{number:03d}" for number in range(200)]
    samples = [tuple(drawn(names, 20, seed)) for seed in range(50)]
    assert len(set(samples)) == len(samples)
    assert tuple(names[:20]) not in samples


def test_every_utterance_is_drawn_equally_often() -> None:
    names = [f"u{number:02d}" for number in range(20)]
    seeds = 2000
    counts = dict.fromkeys(names, 0)
    for seed in range(seeds):
        for name in drawn(names, 5, seed):
            counts[name] += 1
    # Binomial(2000, 1/4): mean 500, standard deviation 19.4; 5 of them on either side.
    assert all(abs(count - 500) < 97 for count in counts.values())


def test_a_survey_counts_chooses_and_digests() -> None:
    names = [f"u{number}" for number in range(30)]
    whole = survey(names, None, None)
    assert (whole.utterances, whole.chosen, whole.skipped) == (30, None, frozenset())
    assert all(whole.wants(ordinal) for ordinal in range(30))
    part = survey(names, 7, 3)
    assert part.utterances == 7
    assert sum(part.wants(ordinal) for ordinal in range(30)) == 7
    assert survey(names, 7, 3) == part
    assert survey(names, 7, 4).utterances_sha256 != part.utterances_sha256
    assert survey(names, 99, 3).utterances == 30


@pytest.mark.parametrize("subset", [None, 1, 5])
def test_an_id_that_comes_twice_is_refused_drawn_or_not(subset: int | None) -> None:
    with pytest.raises(RowError, match="got 'b' for the second time"):
        survey(["a", "b", "c", "b"], subset, 0)


@pytest.mark.parametrize("changed", [("x", "text", 1), ("a", "other", 1), ("a", "text", 2)])
def test_the_digest_sees_id_text_and_size(changed: tuple[str, str, int]) -> None:
    digests = set()
    for name, text, size in (("a", "text", 1), changed):
        surveyor = Surveyor(None, None)
        surveyor.add(0, name, text, size)
        digests.add(surveyor.finish().utterances_sha256)
    assert len(digests) == 2
