"""The rules of ``open-asr-leaderboard`` on its documented cases, with its own word lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whisperlab.errors import ConfigError
from whisperlab.normalize.open_asr_leaderboard import OpenAsrLeaderboard, join_acronyms
from whisperlab.normalize.protocol import Normaliser, RuleList, apply_rules

FILE = "open-asr-leaderboard-2026-08.json"


@pytest.fixture(scope="module")
def leaderboard(test_data: Path) -> OpenAsrLeaderboard:
    return OpenAsrLeaderboard(test_data / "normalizers" / FILE)


# Each expectation is what the leaderboard's own class (revision d1e99b2) returns.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10mm", "10 hmm"),  # its spelling table still turns mm into hmm; openai dropped that
        ("10 mm", "10"),  # mm as a word of its own is a filler
        ("Alan met Gregg", "allen met greg"),
        ("Brown's dog, it's here", "brown s dog it is here"),  # a possessive is no "is"
        ("Uh-huh, ah, well", "well"),
        ("Wi-Fi and e-mail at 5 G", "wifi and email at 5g"),
        ("the B.B.C. and a b", "the bbc and a b"),
        ("All right, OK", "alright okay"),
        ("colour", "color"),
    ],
)
def test_documented_cases_come_out_as_the_leaderboards_own_rules_leave_them(
    leaderboard: OpenAsrLeaderboard, text: str, expected: str
) -> None:
    assert leaderboard(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("i b m", "ibm"),
        ("i b", "i b"),  # with "a" or "i" it takes three
        ("x y", "xy"),
        ("a big cat", "a big cat"),
        ("", ""),
        ("is b b c", "is bbc"),
    ],
)
def test_single_letters_in_a_row_become_one_word(text: str, expected: str) -> None:
    assert join_acronyms(text) == expected


def test_it_is_its_rules_in_order(leaderboard: OpenAsrLeaderboard) -> None:
    assert isinstance(leaderboard, Normaliser)
    assert isinstance(leaderboard, RuleList)
    names = [rule.name for rule in leaderboard.rules]
    assert names[5:10] == ["fixed compounds", "numbers", "spelling", "names", "acronyms"]
    assert apply_rules(leaderboard.rules, "Alan, 10mm") == leaderboard("Alan, 10mm")


def test_identity_changes_with_any_of_the_three_tables(
    leaderboard: OpenAsrLeaderboard, test_data: Path, tmp_path: Path
) -> None:
    tables = json.loads((test_data / "normalizers" / FILE).read_text())
    seen = [leaderboard.identity()]
    for name in tables:
        changed = {**tables, name: {**tables[name], "zebra": "horse"}}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(changed))
        identity = OpenAsrLeaderboard(path).identity()
        assert identity not in seen
        seen.append(identity)


def test_a_lexicon_without_its_tables_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text('{"english_spelling_normalizer": {}}')
    with pytest.raises(ConfigError, match=r"words.json \[english_compound_normalizer\]"):
        OpenAsrLeaderboard(path)("text")


def test_a_compound_that_is_no_regular_expression_is_refused(tmp_path: Path) -> None:
    names = ("spelling", "name", "compound")
    tables = {f"english_{name}_normalizer": {"(white paper": "whitepaper"} for name in names}
    path = tmp_path / "words.json"
    path.write_text(json.dumps(tables))
    with pytest.raises(ConfigError, match=r"got '\(white paper': missing \)"):
        OpenAsrLeaderboard(path)("text")
