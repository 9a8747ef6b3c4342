"""Reading trn, stm and ctm as their specification has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from whisperlab.errors import DatasetError
from whisperlab.runs.nist import (
    Utterance,
    join_stm_and_ctm,
    read_ctm,
    read_stm,
    read_trn,
    speaker_of,
)

STM = """\
;; LABEL "O" "Overall" "All segments"
talk A anna 0.00 2.00 <O,F> uh { yes / yeah } (really)

TALK a Anna 2.00 4.00 IGNORE_TIME_SEGMENT_IN_SCORING
talk A ben 4.00 6.00 <O,M> all right
talk B anna 1.00 2.00
other A carl 0.0 1.0 hello
"""
CTM = """\
; one semicolon is a comment here
talk A 0.10 0.20 UH 0.9
talk A 1.90 0.30 cut
talk A 3.00 0.20 noise NA
talk A 5.00 0.20 all
talk A * * <ALT_BEGIN>
talk A 5.30 0.20 right
talk A * * <ALT>
talk A * * <ALT_END>
talk A 9.00 0.20 late
talk b 0.00 0.10 early
"""


def write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_trn_line_is_a_text_and_the_last_parenthesis_its_id(tmp_path: Path) -> None:
    text = ";; a comment\n** another\n  ;; an indented one\n\nshe had (a) { dark / @ } suit (CMH_sa01)\n(s1-2)\n"
    assert read_trn(write(tmp_path, "x.trn", text)) == [
        Utterance("cmh_sa01", "she had (a) { dark / @ } suit", "cmh"),
        Utterance("s1-2", "", "s1"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [("no id here", "x.trn:1: expected words and"), ("a (x-1)\nb (X-1)", "x-1 occurs twice")],
)
def test_a_trn_line_without_its_own_id_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        read_trn(write(tmp_path, "x.trn", text))


def test_speakers_are_found_in_every_kind_of_id() -> None:
    ids = ("cmh_sa01", "2830-3980-0001", "sw2001-a_12", "4t0c0201", "x")
    assert [speaker_of(name) for name in ids] == ["cmh", "2830", "sw2001", "4t0", "x"]


def test_bytes_that_are_no_utf8_are_read_as_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "x.trn"
    path.write_bytes("café (s-1)\n".encode("iso-8859-1"))
    assert read_trn(path)[0].text == "café"
    path.write_bytes("café (s-1)\n".encode())
    assert read_trn(path)[0].text == "café"


def test_an_stm_line_has_labels_or_none_and_a_text_or_none(tmp_path: Path) -> None:
    segments = read_stm(write(tmp_path, "x.stm", STM))
    assert [segment.channel for segment in segments] == [
        *[("talk", "a")] * 3,
        ("talk", "b"),
        ("other", "a"),
    ]
    assert [(segment.speaker, segment.labels) for segment in segments[:2]] == [
        ("anna", ["o", "f"]),
        ("anna", ()),
    ]
    assert segments[0].text == "uh { yes / yeah } (really)"
    assert segments[3].text == ""


@pytest.mark.parametrize(
    "line",
    ["talk A anna 0.0", "talk A anna zero 1.0 hello", "talk A anna nan 1 x", "talk A anna 0 inf x"],
)
def test_an_stm_line_that_lacks_something_is_refused_with_its_place(
    line: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=r"x\.stm:2: expected"):
        read_stm(write(tmp_path, "x.stm", f";; comment\n{line}\n"))


def test_words_fall_into_the_segment_that_holds_their_middle(tmp_path: Path) -> None:
    pairs = list(
        join_stm_and_ctm(
            read_stm(write(tmp_path, "x.stm", STM)), read_ctm(write(tmp_path, "x.ctm", CTM))
        )
    )
    assert [(pair[0].id, pair[1]) for pair in pairs] == [
        ("anna-000", "UH"),  # "cut" has its middle at 2.05, in the ignored segment, with "noise"
        ("ben-000", "all { right / @ } late"),  # the last segment takes the rest
        ("anna-001", "early"),  # and what came before it
        ("carl-000", ""),
    ]
    assert pairs[0][0].slices == {"label_1": "o", "label_2": "f"}
    assert pairs[2][0].slices == {}


@pytest.mark.parametrize(("end", "first"), [("0.8", "x"), ("0.7", ""), ("1.0", "")])
def test_a_word_whose_middle_is_the_end_falls_as_in_sclite(
    end: str, first: str, tmp_path: Path
) -> None:
    stm = f"t a s 0 {end} x\nt a s {end} 2 y\n"
    ctm = f"t a {float(end) - 0.05:.2f} 0.1 x\n"
    pairs = join_stm_and_ctm(
        read_stm(write(tmp_path, "x.stm", stm)), read_ctm(write(tmp_path, "x.ctm", ctm))
    )
    assert next(heard for _, heard in pairs) == first


def test_alternatives_go_by_the_latest_of_their_words(tmp_path: Path) -> None:
    stm = "t a s 0 1 x\nt a s 1 2 y\n"
    ctm = "t a * * <ALT_BEGIN>\nt a 0.1 0.2 x\nt a * * <ALT>\nt a 1.2 0.2 y\nt a * * <ALT_END>\n"
    pairs = join_stm_and_ctm(
        read_stm(write(tmp_path, "x.stm", stm)), read_ctm(write(tmp_path, "x.ctm", ctm))
    )
    assert [heard for _, heard in pairs] == ["", "{ x / y }"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t a 0.1 0.2", "expected file, channel, start, duration and word"),
        ("t a x 0.2 yes", "expected a time in seconds"),
        ("t a nan 0.2 yes", "expected a time in seconds"),
        ("t a * * <ALT>", "expected <ALT_BEGIN> before"),
        ("t a * * <ALT_BEGIN>\nt a 0 1 x", "expected <ALT_END>"),
    ],
)
def test_a_damaged_ctm_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        read_ctm(write(tmp_path, "x.ctm", text + "\n"))


def test_a_channel_that_the_reference_lacks_is_refused(tmp_path: Path) -> None:
    segments = read_stm(write(tmp_path, "x.stm", "t a s 0 1 x\n"))
    channels = read_ctm(write(tmp_path, "x.ctm", "t b 0 1 x\n"))
    with pytest.raises(DatasetError, match="file t, channel b"):
        list(join_stm_and_ctm(segments, channels))
