"""The table of languages against transformers' own copy of openai/whisper's."""

from __future__ import annotations

from whisperlab.languages import ENGLISH_NAMES, language_code


def test_codes_and_names_are_whispers() -> None:
    from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

    assert dict(ENGLISH_NAMES) == LANGUAGES
    assert {name: language_code(name) for name in TO_LANGUAGE_CODE} == TO_LANGUAGE_CODE


def test_unknown_words_are_no_language() -> None:
    assert [language_code(word) for word in ("xx", "", "../../x", "englisch")] == [None] * 4
