"""The rules of ``hf-english`` against transformers' own class."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from whisperlab.normalize.hf_english import HfEnglish
from whisperlab.normalize.protocol import Normaliser, RuleList
from whisperlab.normalize.whisper_english import WhisperEnglish

WORDS = st.sampled_from(
    [
        "Colour",
        "two",
        "hundred",
        "and",
        "a",
        "half",
        "won't",
        "it's",
        "$5",
        "10mm",
        "um",
        "Mr.",
        "1,000",
        "%",
    ]
)


@given(text=st.lists(WORDS, max_size=8).map(" ".join) | st.text(max_size=30))
@settings(deadline=None)  # the machine may be busy
def test_any_text_comes_out_as_transformers_leaves_it(text: str) -> None:
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    ours = HfEnglish()
    assert ours(text) == EnglishTextNormalizer(dict(ours._table.table))(text)


def test_a_checkpoints_table_replaces_openais(tmp_path: Path) -> None:
    path = tmp_path / "normalizer.json"
    path.write_text(json.dumps({"grey": "gray"}))
    assert HfEnglish(path)("Grey colour") == "gray colour"
    assert HfEnglish(path).identity()["lexicon"] != HfEnglish().identity()["lexicon"]


def test_it_is_another_profile_than_openais_although_the_texts_are_equal() -> None:
    assert isinstance(HfEnglish(), Normaliser)
    assert isinstance(HfEnglish(), RuleList)
    assert HfEnglish().identity() != WhisperEnglish().identity()
    assert HfEnglish()("Mr. Brown") == WhisperEnglish()("Mr. Brown")
