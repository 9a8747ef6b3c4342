"""LibriSpeech trees, one of them made of real LibriSpeech recordings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from whisperlab.dataset.librispeech import LibriSpeechDataset
from whisperlab.dataset.protocol import Dataset
from whisperlab.errors import DatasetError
from whisperlab.utterance import Utterance


def chapter(part: Path, speaker: str, number: str, lines: list[str]) -> Path:
    folder = part / speaker / number
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{speaker}-{number}.trans.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_tree_gives_chapter_after_chapter(tmp_path: Path) -> None:
    part = tmp_path / "LibriSpeech" / "test-clean"
    chapter(part, "61", "70970", ["61-70970-0000 YOUNG FITZOOTH", "61-70970-0001 A MOMENT"])
    chapter(part, "1089", "134686", ["1089-134686-0000 HE HOPED THERE WOULD BE STEW"])
    expected = [
        Utterance(
            f"{speaker}-{number}-{index}",
            part / speaker / number / f"{speaker}-{number}-{index}.flac",
            text,
            {"speaker": speaker, "chapter": number, "part": "test-clean"},
        )
        for speaker, number, index, text in (
            ("1089", "134686", "0000", "HE HOPED THERE WOULD BE STEW"),
            ("61", "70970", "0000", "YOUNG FITZOOTH"),
            ("61", "70970", "0001", "A MOMENT"),
        )
    ]
    for root in (tmp_path, tmp_path / "LibriSpeech", part):
        dataset = LibriSpeechDataset(root)
        assert isinstance(dataset, Dataset)
        assert list(dataset) == expected
        assert len(dataset) == 3


def test_a_line_without_text_names_its_file(tmp_path: Path) -> None:
    path = chapter(tmp_path, "1", "2", ["1-2-0000 YES", "", "1-2-0001"])
    with pytest.raises(DatasetError) as caught:
        len(LibriSpeechDataset(tmp_path))
    assert str(caught.value).startswith(f"{path}:3: expected 'ID TEXT', got '1-2-0001'")
    assert [one.id for one in LibriSpeechDataset(tmp_path, on_error="skip")] == ["1-2-0000"]


def test_an_id_in_two_chapters_is_refused(tmp_path: Path) -> None:
    chapter(tmp_path, "1", "2", ["1-2-0000 YES"])
    second = chapter(tmp_path, "1", "3", ["1-2-0000 NO"])
    with pytest.raises(DatasetError, match=rf"{second}:1: .*second time"):
        len(LibriSpeechDataset(tmp_path))


@pytest.mark.parametrize("line", ["../../x NO", "/etc/passwd NO", " NO"])
def test_an_id_is_no_path(tmp_path: Path, line: str) -> None:
    chapter(tmp_path, "1", "2", [line])
    with pytest.raises(DatasetError, match="expected 'ID TEXT'"):
        len(LibriSpeechDataset(tmp_path))


def test_a_folder_without_transcripts_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DatasetError, match=rf"{path}: expected a folder with \*\.trans\.txt"):
            len(LibriSpeechDataset(path))


def test_the_identity_sees_every_transcript_file(tmp_path: Path) -> None:
    chapter(tmp_path, "1", "2", ["1-2-0000 YES"])
    chapter(tmp_path, "1", "3", ["1-3-0000 NO"])
    before = LibriSpeechDataset(tmp_path).identity()
    assert LibriSpeechDataset(tmp_path).identity() == before
    chapter(tmp_path, "1", "3", ["1-3-0000 ON"])
    assert LibriSpeechDataset(tmp_path).identity() != before


def test_a_tree_of_real_recordings_says_what_their_manifest_says(
    test_data: Path, tmp_path: Path
) -> None:
    source = test_data / "english_dev"
    lines = (source / "manifest.jsonl").read_text().splitlines()
    rows = [
        row for row in map(json.loads, lines) if row["domain"] == "librispeech-train-clean-100"
    ][:20]
    part = tmp_path / "train-clean-100"
    expected = {}
    for row in rows:
        name = row["id"].removeprefix("ls-")
        speaker, number, _ = name.split("-")
        folder = part / speaker / number
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / row["audio_filepath"], folder / f"{name}.flac")
        with (folder / f"{speaker}-{number}.trans.txt").open("a") as file:
            file.write(f"{name} {row['text']}\n")
        expected[name] = (row["text"], row["speaker"].removeprefix("ls"))
    found = list(LibriSpeechDataset(part))
    assert {one.id: (one.reference, one.slices["speaker"]) for one in found} == expected
    assert all(isinstance(one.audio, Path) and one.audio.is_file() for one in found)
