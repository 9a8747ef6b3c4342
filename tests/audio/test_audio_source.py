"""Paths: only regular files are read, nothing hangs, names reach no decoder."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sound_bytes import wav

from whisperlab.audio import decode
from whisperlab.audio.source import ByteSource, Window, open_source
from whisperlab.errors import AudioError


def refusal(path: os.PathLike[str]) -> str:
    with pytest.raises(AudioError) as caught:
        decode(path)
    assert "\n" not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize(
    "name",
    [
        "http://127.0.0.1:9/a.wav",
        "https://example.org/a.wav",
        "file:///etc/passwd",
        "concat:a.wav|b.wav",
        "pipe:0",
        "fd:0",
        "subfile,,start,0,end,9,,:a.wav",
        "data:audio/wav;base64,UklGRg==",
        "crypto+file:a.wav",
        "rtsp://camera/1",
    ],
)
def test_urls_and_protocols_are_unsupported_paths_alone_and_below_a_root(
    name: str, tmp_path: Path
) -> None:
    assert refusal(Path(name)) == "unsupported_path"
    assert refusal(tmp_path / name) == "unsupported_path"


@pytest.mark.parametrize(
    "name", ["a.wav", "12:30.wav", "Talk: one.wav", "C:", "x/y.wav", "ä b.wav"]
)
def test_ordinary_names_that_are_missing_are_not_found(name: str, tmp_path: Path) -> None:
    assert refusal(tmp_path / name) == "file_not_found"


def test_a_file_in_place_of_a_folder_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav())
    assert refusal(tmp_path / "a.wav" / "b.wav") == "file_not_found"


def test_a_recording_whose_name_looks_like_a_protocol_is_read(tmp_path: Path) -> None:
    for name in ("pipe:0", "-i", "concat:a|b.wav", "%2e%2e%2fa", "a\nb.wav"):
        (tmp_path / name).write_bytes(wav())
        assert decode(tmp_path / name).duration_seconds == 0.5


def test_a_fifo_without_a_writer_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.wav")
    assert refusal(tmp_path / "fifo.wav") == "unsupported_path"


def test_folders_devices_and_sockets_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "unsupported_path"
    assert refusal(Path("/dev/zero")) == "unsupported_path"
    assert refusal(Path("/dev/null")) == "unsupported_path"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        assert refusal(tmp_path / "s") == "unsupported_path"


def test_links_lead_to_files_and_not_to_devices_or_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav())
    (tmp_path / "good").symlink_to(tmp_path / "a.wav")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone.wav")
    assert decode(tmp_path / "good").duration_seconds == 0.5
    assert refusal(tmp_path / "zero") == "unsupported_path"
    assert refusal(tmp_path / "circle") == "unsupported_path"
    assert refusal(tmp_path / "dangling") == "file_not_found"


def test_a_name_with_nul_or_too_long_a_name_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a\0b.wav") == "unsupported_path"
    assert refusal(tmp_path / ("a" * 5000)) == "unsupported_path"


@given(prefix=st.binary(max_size=8), body=st.binary(max_size=16), steps=st.data())
def test_a_window_reads_like_the_bytes_it_shows(
    prefix: bytes, body: bytes, steps: st.DataObject
) -> None:
    start = steps.draw(st.integers(0, len(body)))
    end = steps.draw(st.integers(start, len(body)))
    window = Window(ByteSource(io.BytesIO(body), len(body)), start, end, prefix=prefix)
    oracle = io.BytesIO(prefix + body[start:end])
    for _ in range(4):
        offset, count = steps.draw(st.integers(-4, 30)), steps.draw(st.integers(0, 30))
        whence = steps.draw(st.sampled_from([io.SEEK_SET, io.SEEK_END]))
        offset = max(0, offset) if whence == io.SEEK_SET else -abs(offset)
        assert window.seek(offset, whence) == oracle.seek(offset, whence)
        assert window.read(count) == oracle.read(count)
        assert window.tell() == oracle.tell()


def test_a_source_gives_no_more_than_its_size_and_counts_its_reading() -> None:
    source = ByteSource(io.BytesIO(b"0123456789"), 5)
    assert source.read_at(3, 100) == b"34"
    assert source.read_at(5, 1) == b""
    assert source.read_at(-1, 1) == b""
    assert source.seconds_reading > 0


class _BrokenDisk(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError(5, "Input/output error")


def test_a_failing_disk_is_reported_after_the_library_has_returned() -> None:
    source = ByteSource(_BrokenDisk(b"RIFF"), 4)
    assert source.read_at(0, 4) == b""
    with pytest.raises(AudioError, match="Input/output error"):
        source.check()


def test_a_search_through_junk_ends_at_the_allowance(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.flac"
    sparse.touch()
    os.truncate(sparse, 2**40)  # a terabyte of holes
    with open_source(sparse) as source:
        read = 0
        while found := source.read_at(read, 2**24):
            read += len(found)
        assert read == 2**28
        source.renew_allowance()
        assert len(source.read_at(0, 4)) == 4
