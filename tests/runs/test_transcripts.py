"""Formats by name, and pairs of reference and hypothesis by id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from whisperlab.errors import ConfigError, DatasetError
from whisperlab.experiment.ledger import outcome_to_json
from whisperlab.runs.transcripts import Format, format_of, pair_transcripts
from whisperlab.utterance import Failure, Outcome, State


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test.ref", "trn"),
        ("test.HYP", "trn"),
        ("x.stm", "stm"),
        ("x.ctm", "ctm"),
        ("manifest.json", "jsonl"),
        ("text", "kaldi"),
        ("hyp.txt", "kaldi"),
    ],
)
def test_a_name_says_its_format(name: str, expected: Format) -> None:
    assert format_of(Path(name)) == expected


def test_an_unknown_name_asks_for_the_format() -> None:
    with pytest.raises(DatasetError, match="--format"):
        format_of(Path("x.docx"))


def test_jsonl_pairs_by_id_and_what_is_missing_has_failed(tmp_path: Path) -> None:
    reference = write(
        tmp_path / "ref.jsonl",
        [
            {"id": "u1", "text": "Good morning", "speaker": "anna"},
            {"id": "u2", "text": "yes"},
            {"id": "u3", "text": ""},
        ],
    )
    hypothesis = write(
        tmp_path / "hyp.jsonl", [{"id": "u3", "text": ""}, {"id": "u1", "text": "good"}]
    )
    outcomes = pair_transcripts(reference, hypothesis, said="jsonl", heard="jsonl")
    assert [(one.id, one.state, one.reference, one.text) for one in outcomes] == [
        ("u1", State.OK, "Good morning", "good"),
        ("u2", State.FAILED, "yes", ""),
        ("u3", State.EMPTY, "", ""),
    ]
    assert [dict(one.slices) for one in outcomes] == [{"speaker": "anna"}, {}, {}]
    assert outcomes[1].error is not None
    assert outcomes[1].error.code == "no_hypothesis"


def test_one_nemo_manifest_can_be_both(tmp_path: Path) -> None:
    manifest = write(
        tmp_path / "out.json",
        [{"audio_filepath": "a/u1.wav", "text": "yes sir", "pred_text": "yes", "duration": 1.0}],
    )
    [outcome] = pair_transcripts(manifest, manifest, said="jsonl", heard="jsonl")
    assert (outcome.id, outcome.reference, outcome.text) == ("a/u1", "yes sir", "yes")


def test_our_own_ledger_is_a_hypothesis(tmp_path: Path) -> None:
    record = outcome_to_json(Outcome("u1", State.OK, "ref", "heard", slices={"speaker": "anna"}))
    ledger = write(tmp_path / "ledger.jsonl", [{"crc32": "0", "record": record}])
    reference = write(tmp_path / "ref.jsonl", [{"id": "u1", "text": "said"}])
    [outcome] = pair_transcripts(reference, ledger, said="jsonl", heard="jsonl")
    assert (outcome.reference, outcome.text) == ("said", "heard")


def test_our_own_ledger_is_reference_and_hypothesis_in_one(tmp_path: Path) -> None:
    outcomes = [
        Outcome("u1", State.OK, "said", "heard"),
        Outcome("u2", State.EMPTY, "", ""),
        Outcome("u3", State.FAILED, "lost", "", error=Failure("decode_failed", "it broke")),
    ]
    records = [{"crc32": "0", "record": outcome_to_json(outcome)} for outcome in outcomes]
    ledger = write(tmp_path / "ledger.jsonl", records)
    found = pair_transcripts(ledger, ledger, said="jsonl", heard="jsonl")
    assert [(one.state, one.reference, one.text) for one in found] == [
        (State.OK, "said", "heard"),
        (State.EMPTY, "", ""),
        (State.FAILED, "lost", ""),
    ]


def test_a_kaldi_folder_knows_its_speakers(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("s1-u1 good morning\ns2-u1 yes\ns2-u2\n")
    (tmp_path / "utt2spk").write_text("s1-u1 s1\ns2-u1 s2\ns2-u2 s2\n")
    hypothesis = tmp_path / "hyp.txt"
    hypothesis.write_text("s2-u1 yes\ns1-u1 good  moaning\ns2-u2 \n")
    outcomes = pair_transcripts(tmp_path, hypothesis, said="kaldi", heard="kaldi")
    assert [(one.id, one.text, one.slices["speaker"]) for one in outcomes] == [
        ("s1-u1", "good  moaning", "s1"),
        ("s2-u1", "yes", "s2"),
        ("s2-u2", "", "s2"),
    ]
    assert outcomes[2].state is State.EMPTY


def test_kaldis_texts_may_have_tabs(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("u1\tgood  morning\n  u2 \t\nu3\n")
    outcomes = pair_transcripts(tmp_path, tmp_path, said="kaldi", heard="kaldi")
    assert [(one.id, one.text) for one in outcomes] == [
        ("u1", "good  morning"),
        ("u2", ""),
        ("u3", ""),
    ]


def test_parts_of_one_file_are_told_apart_by_their_offset(tmp_path: Path) -> None:
    part = {"audio_filepath": "a.wav", "duration": 1.0, "text": "yes", "pred_text": "no"}
    manifest = write(tmp_path / "m.json", [{**part, "offset": at} for at in (0, 1.5, 3.0)])
    outcomes = pair_transcripts(manifest, manifest, said="jsonl", heard="jsonl")
    assert [one.id for one in outcomes] == ["a", "a@1.5", "a@3.0"]


def test_the_encoding_can_be_named(tmp_path: Path) -> None:
    said = tmp_path / "r.stm"
    said.write_bytes("f a s 0 1 \u54e6 OK\n".encode("gb18030"))
    heard = tmp_path / "h.ctm"
    heard.write_bytes("f a 0 0.5 \u54e6\n".encode("gb18030"))
    [outcome] = pair_transcripts(said, heard, said="stm", heard="ctm", encoding="gb18030")
    assert (outcome.reference, outcome.text) == ("\u54e6 OK", "\u54e6")
    for encoding in ("none", "rot13"):
        with pytest.raises(ConfigError, match="--encoding: expected a name"):
            pair_transcripts(said, heard, said="stm", heard="ctm", encoding=encoding)
    with pytest.raises(DatasetError, match="expected text in ascii; name its own with --encoding"):
        pair_transcripts(said, heard, said="stm", heard="ctm", encoding="ascii")


def test_formats_may_differ_when_ids_agree(tmp_path: Path) -> None:
    (tmp_path / "r.trn").write_text("good morning (s1-u1)\n")
    (tmp_path / "h.txt").write_text("s1-u1 good morning\n")
    [outcome] = pair_transcripts(tmp_path / "r.trn", tmp_path / "h.txt", said="trn", heard="kaldi")
    assert outcome.text == outcome.reference == "good morning"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "u9", "text": "x"}], "'u9' is not in the reference"),
        ([{"id": "u1", "text": "x"}, {"id": "u1", "text": "y"}], "occurs twice"),
        ([{"text": "x"}], "expected an id"),
        ([{"id": "u1", "txt": "x"}], "expected a string in one of"),
        ([{"id": "u1", "text": 3}], "expected a string in one of"),
        ([{"id": ["u1"], "text": "x"}], "expected an id"),
        ([{"id": "u" * 10_000, "text": "x"}], "the id 'u{79} is not in the reference"),
    ],
)
def test_what_cannot_be_paired_is_refused(
    rows: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    reference = write(tmp_path / "ref.jsonl", [{"id": "u1", "text": "x"}])
    hypothesis = write(tmp_path / "hyp.jsonl", rows)
    with pytest.raises(DatasetError, match=message):
        pair_transcripts(reference, hypothesis, said="jsonl", heard="jsonl")


def test_a_ctm_needs_an_stm(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected an stm reference with a ctm"):
        pair_transcripts(tmp_path / "x.trn", tmp_path / "x.ctm", said="trn", heard="ctm")


@pytest.mark.parametrize(
    "text", ["[1]\n", "{\n", "no json\n", pytest.param("[" * 100_000, id="deep")]
)
def test_a_line_that_is_no_object_is_refused_with_its_place(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"x.jsonl:1: expected a JSON object"):
        pair_transcripts(path, path, said="jsonl", heard="jsonl")
