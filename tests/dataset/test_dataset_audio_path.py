"""Where a manifest may point."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from whisperlab.dataset.audio_path import AudioPaths
from whisperlab.dataset.rows import RowError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret.wav").write_bytes(b"secret")
    inside = tmp_path / "corpus"
    (inside / "audio").mkdir(parents=True)
    (inside / "audio" / "a.wav").write_bytes(b"12345")
    return inside


def guarded(root: Path) -> AudioPaths:
    return AudioPaths(root, allow_outside_root=False)


@pytest.mark.parametrize("written", ["audio/a.wav", "./audio/a.wav", "audio/../audio/a.wav"])
def test_a_path_inside_is_found_with_its_size(root: Path, written: str) -> None:
    located = guarded(root).locate(written)
    assert Path(located.path).samefile(root / "audio" / "a.wav")
    assert located.size == 5


def test_an_absolute_path_inside_is_fine(root: Path) -> None:
    assert guarded(root).locate(str(root / "audio" / "a.wav")).size == 5


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert guarded(tmp_path / "link").locate("audio/a.wav").size == 5


def test_what_leads_out_is_refused_and_allowed_on_request(root: Path, tmp_path: Path) -> None:
    (root / "file_link.wav").symlink_to(tmp_path / "secret.wav")
    (root / "folder_link").symlink_to(tmp_path)
    (root / "dangling.wav").symlink_to(tmp_path / "nowhere.wav")
    sibling = tmp_path / "corpus-2"  # shares the root's name as a prefix
    sibling.mkdir()
    (sibling / "b.wav").write_bytes(b"b")
    for written in (
        str(tmp_path / "secret.wav"),
        "../secret.wav",
        "audio/../../secret.wav",
        "file_link.wav",
        "folder_link/secret.wav",
        "dangling.wav",
        "../missing.wav",
        "/etc/passwd",
        str(sibling / "b.wav"),
        "../corpus-2/b.wav",
    ):
        with pytest.raises(RowError, match=r"lies outside; .*allow_outside_root=true"):
            guarded(root).locate(written)
    allowed = AudioPaths(root, allow_outside_root=True)
    assert allowed.locate("../secret.wav").size == len(b"secret")


def test_checking_alone_refuses_folders_outside(root: Path) -> None:
    paths = guarded(root)
    paths.check("audio/a.wav")
    paths.check("audio/missing.wav")
    for written in ("../secret.wav", "/etc/passwd", "a\0b"):
        with pytest.raises(RowError):
            paths.check(written)


@pytest.mark.parametrize(
    "written",
    ["https://example.org/a.wav", "file:///etc/passwd", "concat:a.wav|b.wav", "pipe:0", "data:,x"],
)
def test_a_protocol_is_handed_on_as_written(root: Path, written: str) -> None:
    assert guarded(root).locate(written) == (written, None)


def test_a_file_whose_name_looks_like_a_protocol_is_a_file(root: Path) -> None:
    (root / "concat:a.wav").write_bytes(b"x")
    assert guarded(root).locate("concat:a.wav") == (str(root / "concat:a.wav"), 1)


def test_devices_fifos_and_folders_are_handed_on_without_opening(root: Path) -> None:
    os.mkfifo(root / "fifo")
    for written in ("/dev/zero", "fifo", "audio", ".", "..", "audio/", "/"):
        assert guarded(root).locate(written).size is None


def test_a_missing_file_and_a_link_loop_are_left_to_the_audio_door(root: Path) -> None:
    (root / "loop.wav").symlink_to("loop.wav")
    for written in ("missing.wav", "no/such/folder/a.wav", "audio/a.wav/b.wav", "loop.wav"):
        located = guarded(root).locate(written)
        assert located == (str(root / written), None)


def test_composed_and_decomposed_names_are_two_files(root: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.wav") for form in ("NFC", "NFD"))
    (root / composed).write_bytes(b"1")
    (root / decomposed).write_bytes(b"22")
    assert [guarded(root).locate(one).size for one in (composed, decomposed)] == [1, 2]


def test_a_zero_byte_or_a_name_too_long_is_a_bad_row(root: Path) -> None:
    for written in ("a\0.wav", "x" * 4096, "a/" * 3000 + "b.wav"):
        with pytest.raises(RowError):
            guarded(root).locate(written)
