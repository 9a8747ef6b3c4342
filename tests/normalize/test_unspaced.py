"""Texts without spaces: what goes, what stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whisperlab.normalize.protocol import Normaliser, RuleList
from whisperlab.normalize.unspaced import Unspaced

UNSPACED = Unspaced()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天，天气 很好。", "今天天气很好"),
        ("ＡＢＣ１２３", "abc123"),  # full width
        ("コーヒー、時々", "コーヒー時々"),  # length and iteration marks are letters
        ("ｶﾞ", "ガ"),  # half width kana with its mark
        ("（笑）はい「そう」", "はいそう"),  # a sound goes, a quotation stays
        ("น้ำ ใส", "น้ํา" + "ใส"),  # NFKC takes sara am apart, in both texts alike
        ("(...)", ""),
        ("", ""),
    ],
)
def test_width_case_brackets_punctuation_and_spaces_by_hand(text: str, expected: str) -> None:
    assert UNSPACED(text) == expected


def test_it_is_its_rules() -> None:
    assert isinstance(UNSPACED, Normaliser)
    assert isinstance(UNSPACED, RuleList)


def test_real_chinese_and_japanese_references_keep_every_letter_and_no_space(
    test_data: Path,
) -> None:
    lines = (test_data / "multilingual" / "manifest.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    texts = [row["text"] for row in rows if row.get("language", row["id"][:2]) in {"zh", "ja"}]
    assert texts
    for text in texts:
        kept = UNSPACED(text)
        assert kept
        assert not any(character.isspace() for character in kept)
        assert UNSPACED(kept) == kept
