"""MP4 boxes by hand: tables that ask for memory, indexes without an end, cut files."""

from __future__ import annotations

import io
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_bytes import box, mux, table, tone

from whisperlab.audio import AudioLimits, decode
from whisperlab.audio.mp4 import inspect_mp4
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError

FTYP = box(b"ftyp", b"M4A \0\0\0\0M4A ")
M4A = mux(tone(2.0, 48_000), 48_000, "ipod", "aac")


def is_cut(content: bytes) -> bool:
    return inspect_mp4(ByteSource(io.BytesIO(content), len(content)), AudioLimits())


def refusal(content: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        is_cut(content)
    return caught.value.code


def verdict(content: bytes) -> str:
    try:
        return "cut" if is_cut(content) else "whole"
    except AudioError as error:
        return error.code


def movie(*tables: bytes) -> bytes:
    return FTYP + box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", *tables)))))


def sizes(size: int, count: int, body: bytes = b"") -> bytes:
    return box(b"stsz", struct.pack(">III", 0, size, count), body)


def test_an_ordinary_file_passes_and_is_whole() -> None:
    assert not is_cut(M4A)


def test_a_file_whose_last_box_goes_on_is_cut() -> None:
    assert is_cut(FTYP + box(b"mdat", b"\0" * 100)[:-1])
    assert not is_cut(FTYP + struct.pack(">I4s", 0, b"mdat") + b"\0" * 100)  # size 0: to the end
    assert not is_cut(FTYP + struct.pack(">I4sQ", 1, b"mdat", 116) + b"\0" * 100)
    assert is_cut(FTYP + struct.pack(">I4sQ", 1, b"mdat", 117) + b"\0" * 100)


@pytest.mark.parametrize("name", [b"stts", b"ctts", b"stsc", b"stco", b"co64", b"stss", b"elst"])
def test_a_table_longer_than_its_box_is_refused(name: bytes) -> None:
    assert not is_cut(movie(table(name, [[1, 1, 1]] * 4)))
    assert refusal(movie(table(name, [[1, 1, 1]] * 4, count=2**30))) == "invalid_audio"
    assert refusal(movie(box(name, b"\0" * 6))) == "invalid_audio"


def test_a_table_of_sizes_must_be_there_unless_all_are_equal() -> None:
    assert not is_cut(movie(sizes(0, 3, b"\0" * 12)))
    assert refusal(movie(sizes(0, 3, b"\0" * 11))) == "invalid_audio"
    assert not is_cut(movie(sizes(512, 100_000)))


def test_a_hundred_million_samples_of_one_byte_are_refused_in_a_hundred_bytes() -> None:
    assert refusal(movie(sizes(1, 100_000_000))) == "audio_too_long"


def test_chunks_of_pcm_are_counted_as_ffmpeg_does() -> None:
    pcm = table(b"stts", [[57_600_000, 1]]), sizes(2, 57_600_000)
    hour = [table(b"stsc", [[1, 28_800, 1]]), table(b"stco", [[100]] * 2_000)]
    assert not is_cut(movie(*pcm, *hour))
    bomb = [table(b"stsc", [[1, 2**31, 1]]), table(b"stco", [[100]] * 2_000)]
    assert refusal(movie(*pcm, *bomb)) == "audio_too_long"


def test_samples_of_fragments_are_added_up() -> None:
    def fragment(samples: int) -> bytes:
        return box(b"moof", box(b"traf", table(b"trun", [], count=samples)))

    assert not is_cut(FTYP + fragment(47) * 300)
    assert refusal(FTYP + fragment(1_000_000) * 2) == "audio_too_long"
    flagged = box(b"moof", box(b"traf", box(b"trun", struct.pack(">II", 0x200, 1_000_000))))
    assert refusal(FTYP + flagged) == "invalid_audio"


def test_deep_nests_many_edits_and_endless_boxes_are_refused() -> None:
    nest = b""
    for _ in range(3000):
        nest = box(b"moov", nest)
    assert refusal(FTYP + nest) == "invalid_audio"
    assert refusal(movie(table(b"elst", [[1, 1, 1]] * 65))) == "invalid_audio"
    assert refusal(FTYP + box(b"free") * 300_000) == "invalid_audio"


def test_a_cut_recording_with_its_index_in_front_is_decoded_as_far_as_it_goes() -> None:
    boxes = dict(_top_level(M4A))
    assert M4A.index(b"mdat") < M4A.index(b"moov")  # so the index must move
    offset = 8 + len(boxes[b"ftyp"]) + 8 + len(boxes[b"moov"]) + 8
    moved = _shift_chunks(boxes[b"moov"], offset - M4A.index(b"mdat") - 4)
    front = box(b"ftyp", boxes[b"ftyp"]) + box(b"moov", moved) + box(b"mdat", boxes[b"mdat"])
    assert decode(front).duration_seconds == pytest.approx(2.0, abs=0.03)
    cut = decode(front[: len(front) - len(boxes[b"mdat"]) // 2])
    assert cut.truncated
    assert cut.duration_seconds == pytest.approx(1.0, abs=0.2)


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), min_size=1, max_size=5)
)
def test_mutated_indexes_are_walked_or_refused(changes: list[tuple[int, int]]) -> None:
    boxes = _top_level(M4A)
    mutated = bytearray(b"".join(box(name, body) for name, body in reversed(boxes)))
    for place, value in changes:
        mutated[place % len(mutated)] = value
    assert verdict(bytes(mutated)) in {"cut", "whole", "invalid_audio", "audio_too_long"}


def _top_level(content: bytes) -> list[tuple[bytes, bytes]]:
    starts = [0]
    while starts[-1] < len(content):
        starts.append(starts[-1] + struct.unpack(">I", content[starts[-1] : starts[-1] + 4])[0])
    return [(content[a + 4 : a + 8], content[a + 8 : b]) for a, b in pairwise(starts)]


def _shift_chunks(moov: bytes, by: int) -> bytes:
    at = moov.index(b"stco") + 8
    count = struct.unpack(">I", moov[at : at + 4])[0]
    chunks = struct.unpack(f">{count}I", moov[at + 4 : at + 4 + 4 * count])
    shifted = struct.pack(f">{count}I", *(chunk + by for chunk in chunks))
    return moov[: at + 4] + shifted + moov[at + 4 + 4 * count :]
