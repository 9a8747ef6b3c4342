"""What the columns mean: aliases, types, slices."""

from __future__ import annotations

import pytest

from whisperlab.dataset.columns import Columns, Fields, settle
from whisperlab.dataset.rows import RowError
from whisperlab.transcript import Word

COLUMNS = Columns(audio="audio_filepath", text="text")


def by_alias(row: dict[str, object]) -> Columns:
    return settle(row, audio=None, text=None, identifier=None, duration=None)


@pytest.mark.parametrize(
    "audio", ["audio_filepath", "audio", "path", "file_name", "filename", "file"]
)
@pytest.mark.parametrize("text", ["text", "sentence", "transcript", "reference"])
def test_every_known_pair_of_names_is_found(audio: str, text: str) -> None:
    row: dict[str, object] = {audio: "a.wav", text: "yes"}
    assert by_alias(row).fields(row) == Fields("a", "a.wav", "yes", None)


def test_with_two_known_names_the_first_counts_and_the_other_is_a_slice() -> None:
    row: dict[str, object] = {"reference": "r", "text": "t", "path": "p", "audio_filepath": "f"}
    columns = by_alias(row)
    assert columns.fields(row) == Fields("f", "f", "t", None)
    assert columns.slices(row) == {"reference": "r", "path": "p"}


def test_a_named_column_overrides_the_known_names() -> None:
    row: dict[str, object] = {"text": "t", "raw": "R", "path": "p", "key": 7, "len": 2}
    columns = settle(row, audio=None, text="raw", identifier="key", duration="len")
    assert columns.fields(row) == Fields("7", "p", "R", 2.0)
    assert columns.slices(row) == {"text": "t"}


@pytest.mark.parametrize("row", [{"text": "t"}, {"audio": "a"}, {}])
def test_without_audio_or_text_the_message_names_what_is_there(row: dict[str, object]) -> None:
    with pytest.raises(RowError, match=r"found .*; .*name it with dataset\.(audio|text)_column"):
        by_alias(row)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": None}, 'got null; write ""'),
        ({"text": 5}, "got a number"),
        ({"text": ["a"]}, "got a list"),
        ({"text": {"a": 1}}, "got an object"),
        ({"text": True}, "got true/false"),
        ({"audio_filepath": ""}, "expected a"),
        ({"audio_filepath": None}, "got null"),
        ({"audio_filepath": 3}, "got a number"),
        ({"id": ""}, "an empty string"),
        ({"id": " "}, "expected a name"),
        ({"id": None}, "got null"),
        ({"id": 1.5}, "got a number"),
        ({"id": True}, "got true/false"),
        ({"duration": "soon"}, "'soon'"),
        ({"duration": -1}, "-1"),
        ({"duration": 10**400}, "expected 0 to 10000000 seconds"),
        ({"duration": "nan"}, "nan"),
        ({"duration": "inf"}, "inf"),
        ({"duration": True}, "true/false"),
        ({"duration": [1]}, "a list"),
    ],
)
def test_a_field_of_the_wrong_type_is_a_bad_row(change: dict[str, object], message: str) -> None:
    row: dict[str, object] = {"audio_filepath": "a.wav", "text": "yes", "id": "u", **change}
    with pytest.raises(RowError) as caught:
        COLUMNS.fields(row)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_field_is_named_with_what_is_there() -> None:
    with pytest.raises(RowError, match="expected a column 'text', found 'audio_filepath', 'txt'"):
        COLUMNS.fields({"audio_filepath": "a", "txt": "b"})


def test_an_empty_text_is_speechless_audio() -> None:
    assert COLUMNS.fields({"audio_filepath": "a", "text": ""}).text == ""


@pytest.mark.parametrize(
    ("written", "seconds"), [(None, None), ("", None), (0, 0.0), (7.25, 7.25), ("7.25", 7.25)]
)
def test_a_declared_duration_is_seconds(written: object, seconds: float | None) -> None:
    row = {"audio_filepath": "a", "text": "t", "duration": written}
    assert COLUMNS.fields(row).seconds == seconds


@pytest.mark.parametrize(
    ("audio", "name"),
    [("s1/a.flac", "s1/a"), ("a.tar.wav", "a.tar"), ("a", "a"), ("/", "/"), (".wav", ".wav")],
)
def test_an_utterance_without_id_is_named_by_its_path(audio: str, name: str) -> None:
    assert COLUMNS.fields({"audio_filepath": audio, "text": ""}).id == name


def test_slices_are_the_other_scalars_as_strings() -> None:
    row = {
        "id": "u", "audio_filepath": "a", "text": "t", "duration": 1.0,
        "speaker": "s1", "digits": 5, "snr": 12.5, "converted": False,
        "note": "", "code": None, "words": [{"word": "t"}], "extra": {"k": 1},
    }  # fmt: skip
    assert COLUMNS.slices(row) == {
        "speaker": "s1", "digits": "5", "snr": "12.5", "converted": "false",
    }  # fmt: skip


def test_words_with_times_are_read_in_seconds_under_either_name() -> None:
    columns = Columns("path", "text")
    row = {
        "words": [{"word": "one", "start": 0, "end": 0.5}, {"text": "2", "start": 0.5, "end": 1}]
    }
    assert columns.words(row) == (Word(0.0, 0.5, "one"), Word(0.5, 1.0, "2"))
    assert "words" not in columns.slices(row)


@pytest.mark.parametrize("other", [None, "one two", ["one", "two"], 3, [{"word": "one"}], []])
def test_a_column_words_without_times_means_something_else(other: object) -> None:
    assert Columns("path", "text").words({"words": other}) == ()


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([{"word": "one", "start": 2.0, "end": 1.0}], r"expected \{\"word\".*'words'\[0\], got"),
        ([{"word": 1, "start": 0.0, "end": 1.0}], r"'words'\[0\]"),
        ([{"word": "a", "start": True, "end": 1.0}], r"'words'\[0\]"),
        ([{"word": "a", "start": float("nan"), "end": 1.0}], r"'words'\[0\]"),
        (
            [{"word": "b", "start": 1.0, "end": 2.0}, {"word": "a", "start": 0.5, "end": 1.0}],
            "expected words in order of time in 'words', got 'a' at 0.5 s after 'b' at 1.0 s",
        ),
    ],
)
def test_damaged_word_times_are_refused_with_their_place(listed: object, message: str) -> None:
    with pytest.raises(RowError, match=message):
        Columns("path", "text").words({"words": listed})
