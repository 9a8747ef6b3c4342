"""The ledger keeps what was written, cuts what was torn, and lets one writer in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisperlab.errors import DatasetError, RunInUseError, WriteError
from whisperlab.experiment.checked_lines import RecordCount
from whisperlab.experiment.ledger import (
    Ledger,
    outcome_from_json,
    outcome_to_json,
    read_ledger,
    read_texts,
)
from whisperlab.transcript import Segment, Word
from whisperlab.utterance import Failure, Outcome, State


def outcome(id_: str = "a", text: str = "hello") -> Outcome:
    words = (Word(0.0, 0.5, "hello", 0.9),)
    segment = Segment(0.0, 0.5, " hello", tokens=(1, 2), avg_logprob=-0.1, words=words)
    return Outcome(
        id=id_,
        state=State.OK,
        reference="hello",
        text=text,
        language="en",
        segments=(segment,),
        audio_seconds=0.5,
        timings={"total": 0.25},
        slices={"speaker": "s1"},
    )


def test_a_line_is_the_documented_json_with_a_crc_over_the_record_s_bytes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append([outcome()])
    line = path.read_bytes()
    parsed = json.loads(line)
    assert list(parsed) == ["crc32", "record"]
    start = line.index(b'"record": ') + len(b'"record": ')
    assert f"{zlib.crc32(line[start:-2]):08x}" == parsed["crc32"]
    assert list(parsed["record"]) == [
        "id", "state", "reference", "text", "language", "segments", "audio_seconds", "timings",
        "batch_size", "attempt", "slices", "error",
    ]  # fmt: skip


text = st.text(st.characters(codec=None, exclude_categories=[]), max_size=30)


@given(id_=text, said=text, seconds=st.floats(0, 1e6), failed=st.booleans())
@settings(max_examples=100)
def test_an_outcome_comes_back_as_it_was_written(
    id_: str, said: str, seconds: float, failed: bool
) -> None:
    before = Outcome(
        id=id_,
        state=State.FAILED if failed else State.OK,
        reference=said,
        text=said,
        segments=(Segment(0.0, seconds, said, words=(Word(0.0, seconds, said),)),),
        audio_seconds=seconds,
        error=Failure("invalid_audio", said) if failed else None,
    )
    assert outcome_from_json(json.loads(json.dumps(outcome_to_json(before)))) == before


@pytest.mark.parametrize("kept", [0, 1, 20, -1])
def test_a_torn_tail_is_cut_and_the_rest_stays(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append([outcome("a"), outcome("b")])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][: kept if kept >= 0 else len(lines[1]) - 1])
    assert [found.id for found in read_ledger(path)] == ["a"]
    with Ledger(path) as ledger:
        assert ledger.recorded == {"a"}
        ledger.append([outcome("b")])
    assert path.read_bytes() == b"".join(lines)


def test_a_torn_tail_that_ends_in_a_newline_is_cut_too(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append([outcome("a")])
    good = path.read_bytes()
    path.write_bytes(good + b'{"crc32": "00000000", "record": {"id"\n')
    with Ledger(path) as ledger:
        assert ledger.recorded == {"a"}
    assert path.read_bytes() == good


def test_damage_in_the_middle_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append([outcome("a"), outcome("b"), outcome("c")])
    path.write_bytes(path.read_bytes().replace(b'"id": "b"', b'"id": "x"'))
    with pytest.raises(DatasetError, match=r"ledger\.jsonl:2"):
        list(read_ledger(path))
    with pytest.raises(WriteError, match=r"ledger\.jsonl:2"):
        Ledger(path)


def test_a_second_writer_is_refused_and_a_dead_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path), pytest.raises(RunInUseError, match="another process"):
        Ledger(path)
    code = (
        "import os, sys, pathlib; from whisperlab.experiment.ledger import Ledger;"
        "Ledger(pathlib.Path(sys.argv[1])); os._exit(9)"
    )
    finished = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert finished.returncode == 9
    with Ledger(path) as ledger:
        assert ledger.recorded == frozenset()


def test_putting_in_order_keeps_every_record_and_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append([outcome("b"), outcome("c"), outcome("a")])
        ledger.put_in_order(["a", "b", "c"])
        with pytest.raises(RunInUseError):
            Ledger(path)
        ledger.append([outcome("d")])
    assert list(read_ledger(path)) == [outcome(name) for name in "abcd"]
    assert [one.name for one in tmp_path.iterdir()] == ["ledger.jsonl"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_write_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        os.dup2(os.open("/dev/full", os.O_WRONLY), ledger._file.fileno())
        with pytest.raises(WriteError, match="No space left"):
            ledger.append([outcome()])
        os.dup2(os.open(path, os.O_RDWR), ledger._file.fileno())


def test_times_of_reference_words_come_back_and_are_absent_where_unknown(tmp_path: Path) -> None:
    timed = replace(outcome("timed"), reference_words=(Word(0.1, 0.4, "hello"),))
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append([timed, outcome("plain")])
    assert list(read_ledger(tmp_path / "ledger.jsonl")) == [timed, outcome("plain")]
    lines = (tmp_path / "ledger.jsonl").read_text().splitlines()
    assert ["reference_words" in json.loads(line)["record"] for line in lines] == [True, False]


def test_texts_are_read_without_tokens_and_with_the_words_that_a_score_needs(
    tmp_path: Path,
) -> None:
    plain, timed = outcome("plain"), replace(outcome("timed"), reference_words=(Word(0, 1, "a"),))
    long = replace(outcome("long"), segments=outcome().segments * 2)
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.append([plain, timed, long])
    texts = list(read_texts(tmp_path / "ledger.jsonl"))
    assert [len(text.segments[0].words) for text in texts] == [0, 1, 1]
    assert {segment.tokens for text in texts for segment in text.segments} == {()}
    assert {segment.avg_logprob for text in texts for segment in text.segments} == {-0.1}


@pytest.mark.parametrize(
    "record",
    [
        b"", b"5", b"[]", b"null", b"{", b"{}", b'{"id": 1}', b"[" * 100_000, b'{"segments": 5}',
        b'{"segments": [{}], "error": null}', b'{"id": "a", "state": "lost", "segments": [], "error": null}',
    ],
)  # fmt: skip
def test_a_line_with_a_right_checksum_that_is_no_outcome_is_damage(
    tmp_path: Path, record: bytes
) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"crc32": "%08x", "record": %s}\n' % (zlib.crc32(record), record))
    for read in (read_ledger, read_texts):
        with pytest.raises(DatasetError, match=r"ledger\.jsonl") as refused:
            list(read(path))
        assert refused.value.code == "damaged_ledger"
    for _ in range(2):  # the first leaves no lock behind
        with pytest.raises(DatasetError):
            Ledger(path)


def test_a_ledger_that_is_gone_is_named(tmp_path: Path) -> None:
    for read in (read_ledger, read_texts):
        with pytest.raises(DatasetError, match=r"ledger\.jsonl: cannot be read \(No such file"):
            list(read(tmp_path / "ledger.jsonl"))


def test_what_others_write_is_counted_as_it_grows_and_anew_where_a_tail_was_cut(
    tmp_path: Path,
) -> None:
    paths, count = [tmp_path / "a", tmp_path / "b"], RecordCount()
    assert count.of(paths) == 0
    paths[0].write_bytes(b"1\n2\n3")
    assert count.of(paths) == 2
    paths[1].write_bytes(b"1\n")
    with paths[0].open("ab") as file:
        file.write(b"3\n4\n")
    assert count.of(paths) == 5
    paths[0].write_bytes(b"1\n")
    assert count.of(paths) == 2
