"""A corpus' score under a profile equals an independent computation on its raw texts."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jiwer
import pytest

from whisperlab.metric.cer import CharacterErrorRate
from whisperlab.metric.counts import NO_ERRORS, ErrorCounts
from whisperlab.metric.score import pool, score_pair
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.lexicon import WhisperSpelling
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic
from whisperlab.normalize.whisper_english import WhisperEnglish

METRICS = (WordErrorRate(), CharacterErrorRate())
PROFILES = {
    "raw": Profile(name="raw", version="1"),
    "basic": Profile(name="basic", version="1", steps=(WhisperBasic(),)),
    "whisper-english": Profile(name="whisper-english", version="1", steps=(WhisperEnglish(),)),
}


def independent_normaliser(profile: str) -> Any:
    from transformers.models.whisper import english_normalizer

    return {
        "raw": str,
        "basic": english_normalizer.BasicTextNormalizer(),
        "whisper-english": english_normalizer.EnglishTextNormalizer(dict(WhisperSpelling().table)),
    }[profile]


def misheard(text: str, chance: random.Random) -> str:
    """The text as a poor recogniser might give it: words lost, doubled, replaced, in lower case."""
    heard: list[str] = []
    for word in text.split():
        heard += chance.choices(
            [[word], [], [word, word], ["um,"], [word.lower() + "."], ["twenty", "one"]],
            weights=[12, 1, 1, 1, 1, 1],
        )[0]
    return " ".join(heard)


@pytest.mark.parametrize("name", list(PROFILES))
def test_real_references_score_as_jiwer_on_independently_normalised_texts(
    name: str, test_data: Path
) -> None:
    manifest = test_data / "english_dev" / "manifest.jsonl"
    references = [json.loads(line)["text"] for line in manifest.read_text().splitlines()]
    chance = random.Random(5)
    hypotheses = [misheard(text, chance) for text in references]
    scores = [
        score_pair(PROFILES[name], METRICS, reference, hypothesis)
        for reference, hypothesis in zip(references, hypotheses, strict=True)
    ]
    normalise = independent_normaliser(name)
    said, heard = [normalise(text) for text in references], [normalise(text) for text in hypotheses]
    wer = pool(score.counts["wer"] for score in scores)
    cer = pool(score.counts["cer"] for score in scores)
    expected = jiwer.process_words(said, heard)
    assert wer.rate == pytest.approx(expected.wer, abs=1e-9)
    assert (wer.substitutions, wer.insertions, wer.deletions) == (
        expected.substitutions,
        expected.insertions,
        expected.deletions,
    )
    assert cer.rate == pytest.approx(jiwer.cer(said, heard), abs=1e-9)
    assert wer.errors > 0.1 * wer.reference_length  # the made-up hypotheses really differ


def test_an_empty_reference_adds_insertions_and_no_words() -> None:
    silence = score_pair(PROFILES["basic"], METRICS, "[silence]", "Thank you.")
    speech = score_pair(PROFILES["basic"], METRICS, "One, two!", "one two")
    assert silence.counts["wer"] == ErrorCounts(0, 2, 0, 0, 2)
    assert silence.counts["wer"].rate is None
    assert pool([silence.counts["wer"], speech.counts["wer"]]).rate == 1.0


def test_the_rate_of_an_empty_corpus_is_none() -> None:
    assert pool([]) == NO_ERRORS
    assert pool([]).rate is None


@pytest.mark.parametrize("name", list(PROFILES))
def test_scoring_against_nothing_deletes_every_unit(name: str) -> None:
    failed = score_pair(PROFILES[name], METRICS, "It's five o'clock.", "")
    for counts in failed.counts.values():
        assert counts.deletions == counts.errors == counts.reference_length > 0
    assert {edit.kind for edit in failed.edits} == {"deletion"}


def test_texts_are_normalised_once() -> None:
    # Twice would make "-5" a "5" and hide the error.
    score = score_pair(PROFILES["whisper-english"], METRICS, "minus 5", "5")
    assert [(edit.kind, edit.reference, edit.hypothesis) for edit in score.edits] == [
        ("substitution", "-5", "5")
    ]


def test_words_of_a_text_without_spaces_are_its_characters() -> None:
    characters = Profile(name="characters", version="1", unit="character")
    score = score_pair(characters, METRICS, "今日は", "今は")
    assert score.counts["wer"] == score.counts["cer"] == ErrorCounts(0, 0, 1, 3, 2)
