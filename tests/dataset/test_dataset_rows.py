"""Tables on disk: syntax, encodings and the bounds on what is read."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.dataset.rows import RowError, RowReader, TableFormat, open_rows, table_format
from whisperlab.errors import DatasetError


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read_first(reader: RowReader) -> Mapping[str, object]:
    with closing(reader):
        return next(reader)


def read_all(reader: RowReader) -> list[Mapping[str, object] | str]:
    """Every row, or ``place: message`` where one is bad."""
    found: list[Mapping[str, object] | str] = []
    while True:
        try:
            row = next(reader, None)
        except RowError as error:
            found.append(f"{reader.place}: {error}")
            continue
        if row is None:
            reader.close()
            return found
        found.append(row)


@pytest.mark.parametrize(
    ("name", "table"),
    [("a.jsonl", "jsonl"), ("a.JSON", "jsonl"), ("a.csv", "csv"), ("a.tsv", "tsv")],
)
def test_the_suffix_names_the_format(name: str, table: TableFormat) -> None:
    assert table_format(Path(name)) == table


def test_an_unknown_suffix_says_how_to_name_the_format() -> None:
    with pytest.raises(
        DatasetError, match=r"list\.txt: expected a name ending in .*dataset\.format"
    ):
        table_format(Path("list.txt"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    ("table", "content"),
    [
        ("jsonl", '{"path": "a.wav", "text": "ja, nä"}\n\n{"path": "b.wav", "text": "x"}'),
        ("csv", 'path,text\na.wav,"ja, nä"\n\nb.wav,x\n'),
        ("tsv", "path\ttext\na.wav\tja, nä\n\nb.wav\tx\n"),
    ],
)
def test_line_ends_byte_order_mark_and_blank_lines_change_nothing(
    tmp_path: Path, table: TableFormat, content: str, mark: str, end: str
) -> None:
    path = write(tmp_path / "m", mark + content.replace("\n", end))
    assert read_all(open_rows(path, table)) == [
        {"path": "a.wav", "text": "ja, nä"},
        {"path": "b.wav", "text": "x"},
    ]


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_refused_by_name(tmp_path: Path, codec: str) -> None:
    path = write(tmp_path / "m.jsonl", '{"path": "a", "text": "b"}\n'.encode(codec))
    with pytest.raises(DatasetError, match=r"m\.jsonl:1: expected UTF-8, found .*UTF-16"):
        read_first(open_rows(path, "jsonl"))


def test_a_byte_that_is_no_utf_8_costs_its_row_only(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", b'{"a": 1}\n{"a": "\xe9"}\n{"a": 3}\n')
    first, bad, last = read_all(open_rows(path, "jsonl"))
    assert (first, last) == ({"a": 1}, {"a": 3})
    assert str(bad).startswith(f"{path}:2: expected UTF-8, got byte 0xe9 at column 8")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": 1', "Expecting"),
        ("[1, 2]", "expected one JSON object"),
        ('"text"', "expected one JSON object"),
        ('{"a": 1} {"a": 2}', "expected one JSON object"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' twice"),
        ('{"a" :1, "text": "x:y", "a" :3}', "'a' twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"\\udfff": 1}', "surrogate"),
        ('{"a": ' + "9" * 5000 + "}", "flat JSON"),
        ('{"a": ' + "[" * 100_000 + "}", "flat JSON"),
        ("no json", "expected one JSON object"),
    ],
)
def test_the_traps_of_json_are_bad_rows_and_reading_goes_on(
    tmp_path: Path, line: str, message: str
) -> None:
    path = write(tmp_path / "m.jsonl", f'{{"a": 0}}\n{line}\n{{"a": 2}}\n')
    first, bad, last = read_all(open_rows(path, "jsonl"))
    assert (first, last) == ({"a": 0}, {"a": 2})
    assert str(bad).startswith(f"{path}:2: ")
    assert message in str(bad)
    assert len(str(bad).splitlines()) == 1


def test_a_whole_surrogate_pair_and_colons_are_fine(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", '{"a": "\\ud83d\\ude00", "at": "10:30:00", "n": {"a": [1]}}')
    assert read_all(open_rows(path, "jsonl")) == [{"a": "😀", "at": "10:30:00", "n": {"a": [1]}}]


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=5),
        st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
        max_size=5,
    ),
    st.booleans(),
)
def test_any_json_object_comes_back(
    tmp_path_factory: pytest.TempPathFactory, row: dict[str, object], ascii_only: bool
) -> None:
    path = write(
        tmp_path_factory.mktemp("rows") / "m.jsonl", json.dumps(row, ensure_ascii=ascii_only)
    )
    assert read_all(open_rows(path, "jsonl")) == [row]


def test_a_line_beyond_the_bound_is_read_in_pieces_and_passed_over(tmp_path: Path) -> None:
    huge = '{"a": "' + "x" * 10_000 + '"}'
    path = write(tmp_path / "m.jsonl", f'{{"a": 0}}\n{huge}\n{{"a": 2}}\n')
    reader = open_rows(path, "jsonl", max_line_bytes=1024)
    first, bad, last = read_all(reader)
    assert (first, last) == ({"a": 0}, {"a": 2})
    assert str(bad).startswith(f"{path}:2: expected at most 1024 bytes")
    assert reader.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("table", "mark"), [("csv", '"'), ("csv", ""), ("tsv", "")])
def test_a_transcript_of_hours_is_read_from_every_format(
    tmp_path: Path, table: TableFormat, mark: str
) -> None:
    text = "words " * 40_000
    columns = {"csv": ",", "tsv": "\t"}[table]
    path = write(tmp_path / "m", f"a{columns}b\n1{columns}{mark}{text}{mark}\n2{columns}x\n")
    assert read_all(open_rows(path, table)) == [{"a": "1", "b": text}, {"a": "2", "b": "x"}]


def test_a_quote_that_is_never_closed_is_told_as_the_likely_cause(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", 'a,b\n1,"open\n' + "2,x\n" * 400_000)
    with pytest.raises(RowError, match=r"quotation mark that is not closed.*max_line_bytes"):
        read_first(open_rows(path, "csv"))


def test_a_line_of_50_mb_costs_a_few_megabytes(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", b'{"text": "' + b"x" * 50_000_000 + b'"}\n')
    if not Path("/proc/self/status").exists():
        pytest.skip("needs Linux: /proc/self/status tells a process's own peak")
    program = (
        "import sys; from pathlib import Path\n"
        "from whisperlab.dataset.rows import open_rows, RowError\n"
        "def peak(): return int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
        "before = peak()\n"
        "try: next(open_rows(Path(sys.argv[1]), 'jsonl'))\n"
        "except RowError: pass\n"
        "else: sys.exit('accepted')\n"
        "print(peak() - before)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True
    )
    # Measured 3.8 MB: the bounded line and its copies; the line itself would be 50,000 kB.
    assert int(ran.stdout) < 10_000


@pytest.mark.parametrize(
    ("table", "content", "message"),
    [
        ("csv", "a,b\n1\n", "expected 2 fields as in the header, got 1"),
        ("csv", "a,b\n1,2,3\n", "comma outside quotes"),
        ("tsv", "a\tb\n1\tsome\ttext\n", "tab inside the text"),
        ("csv", 'a,b\n1,"open\n', "is not valid csv"),
        ("csv", 'a,b\n1,"x"y\n', "is not valid csv"),
    ],
)
def test_a_row_unlike_its_header_is_bad(
    tmp_path: Path, table: TableFormat, content: str, message: str
) -> None:
    path = write(tmp_path / "m", content)
    (bad,) = read_all(open_rows(path, table))
    assert str(bad).startswith(f"{path}:2: ")
    assert message in str(bad)


def test_a_quoted_csv_text_may_span_lines_and_the_place_is_its_first(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", 'a,b\n1,"two\nlines"\n\n9\n')
    row, bad = read_all(open_rows(path, "csv"))
    assert row == {"a": "1", "b": "two\nlines"}
    assert str(bad).startswith(f"{path}:5: ")


def test_quotation_marks_in_tsv_are_letters(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tsv", 'a\tb\n1\t"Oh, no\n2\tsaid he"\n')
    assert read_all(open_rows(path, "tsv")) == [
        {"a": "1", "b": '"Oh, no'},
        {"a": "2", "b": 'said he"'},
    ]


def test_a_column_named_twice_is_refused_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "text,path,text\na,b,c\n")
    with pytest.raises(DatasetError, match=r"m\.csv:1: expected each column once, got 'text'"):
        read_first(open_rows(path, "csv"))


def test_what_is_no_regular_file_is_refused_without_opening(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "missing", Path("/dev/zero")):
        with pytest.raises(DatasetError, match=str(path)):
            open_rows(path, "jsonl")


def test_passing_over_counts_rows_as_reading_does(tmp_path: Path) -> None:
    for table, content in (
        ("csv", 'a,b\n\n1,"x\ny"\n2,z\n'),
        ("jsonl", '\n{"a": 1}\n\n{"a": 2}\n'),
    ):
        reader = open_rows(
            write(tmp_path / f"m.{table}", content), table_format(Path(f"m.{table}"))
        )
        reader.pass_over()
        row = next(reader)
        assert str(row["a"]) == "2"
        with pytest.raises(StopIteration):
            reader.pass_over()
        reader.close()
