"""A folder with transcripts.csv."""

from __future__ import annotations

from pathlib import Path

import pytest

from whisperlab.dataset.folder import FolderDataset
from whisperlab.dataset.protocol import Dataset
from whisperlab.errors import DatasetError
from whisperlab.utterance import Utterance


def folder(path: Path, table: str) -> FolderDataset:
    (path / "transcripts.csv").write_text(table)
    return FolderDataset(path, transcripts="transcripts.csv")


def test_a_folder_gives_the_utterances_of_its_table(tmp_path: Path) -> None:
    (tmp_path / "monday.wav").write_bytes(b"1")
    (tmp_path / "unlisted.wav").write_bytes(b"1")
    dataset = folder(tmp_path, 'file_name,text,speaker\nmonday.wav,"good morning, all",ana\n')
    assert isinstance(dataset, Dataset)
    assert list(dataset) == [
        Utterance("monday", tmp_path / "monday.wav", "good morning, all", {"speaker": "ana"})
    ]
    assert len(dataset) == 1
    assert dataset.identity()["source"] == "folder"


def test_a_bad_row_names_the_table_and_the_line(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "file_name,text\na.wav,yes\n../b.wav,no\n")
    with pytest.raises(DatasetError, match=r"transcripts\.csv:3: .*lies outside"):
        len(dataset)


@pytest.mark.parametrize("header", ["path,text", "file,transcript", "filename,transcription"])
def test_columns_have_the_names_that_a_manifest_knows(header: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"1")
    [utterance] = folder(tmp_path, f"{header}\na.wav,yes\n")
    assert (utterance.id, utterance.reference) == ("a", "yes")


def test_columns_of_other_names_are_named_with_what_to_do(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "recording,text\na.wav,yes\n")
    with pytest.raises(
        DatasetError, match=r"transcripts\.csv:2: expected a.*'file_name'.*'recording'.*rename"
    ):
        len(dataset)


def test_a_missing_folder_table_or_a_file_instead_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"1")
    for path, found in ((tmp_path / "no", "nothing"), (tmp_path / "a.wav", "a file")):
        with pytest.raises(DatasetError, match=f"expected a folder .* found {found}"):
            len(FolderDataset(path, transcripts="transcripts.csv"))
    with pytest.raises(DatasetError, match=r"transcripts\.csv: cannot be read"):
        len(FolderDataset(tmp_path, transcripts="transcripts.csv"))


def test_a_subset_is_drawn_as_everywhere(tmp_path: Path) -> None:
    rows = "".join(f"{n:02d}.wav,t\n" for n in range(30))
    (tmp_path / "transcripts.csv").write_text("file_name,text\n" + rows)
    names = [
        one.id for one in FolderDataset(tmp_path, transcripts="transcripts.csv", subset=5, seed=1)
    ]
    assert len(names) == 5
    assert names == sorted(names)
