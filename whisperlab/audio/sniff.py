"""Tells from the first bytes what a sound is. Names and declared types play no part.

::

    52494646 ........ 57415645     RIFF....WAVE   (also RIFX, RF64)
    664c6143                       fLaC           (also behind an ID3 tag)
    4f676753                       OggS
    464f524d ........ 41494646     FORM....AIFF   (also AIFC)
    ........ 66747970              ....ftyp       (also moov, mdat, wide, free, skip, pnot)
    1a45dfa3                       EBML
    49443304 / fffb....            ID3 tag, or two MP3 frame headers that agree

Owns the list of what is decoded at all. It does not judge whether a file of a known kind is sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from whisperlab.audio.mpeg import find_frames, has_stray_headers, skip_tags
from whisperlab.audio.source import ByteSource
from whisperlab.errors import AudioError


class AudioFormat(Enum):
    """The containers that are decoded."""

    WAV = "WAV"
    AIFF = "AIFF"
    FLAC = "FLAC"
    OGG = "Ogg"
    MP3 = "MP3"
    MP4 = "MP4"
    MATROSKA = "Matroska"


@dataclass(frozen=True, slots=True)
class Sniffed:
    """The kind of sound and the byte where it begins (behind ID3 tags)."""

    format: AudioFormat
    offset: int


# What else people send. Named, because the name says what to do; and because compressed bytes hold
# MPEG sync words by chance.
_FOREIGN = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a ZIP archive",
    b"PK\x05\x06": "a ZIP archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"BM": "a picture",
    b"II*\0": "a picture",
    b"MM\0*": "a picture",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\xca\xfe\xba\xbe": "a program",
    b"\xcf\xfa\xed\xfe": "a program",
    b"\0asm": "a program",
    b"\x93NUMPY": "a NumPy array",
    b"PAR1": "a Parquet table",
    b"SQLite": "a database",
    b"\x89HDF": "an HDF5 file",
    b"\x80\x02": "a Python pickle",
    b"\x80\x03": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\xef\xbb\xbf": "text",
    b"NIST_1A": "NIST SPHERE",
    b"caff": "Apple CAF",
    b".snd": "Sun AU",
    b"wvpk": "WavPack",
    b"MAC ": "Monkey's Audio",
    b"TTA1": "True Audio",
    b"MThd": "MIDI",
    b"\xc0\xde\xc2": "Codec 2",
    b"#!AMR": "AMR",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "Windows Media",
    b"FLV": "Flash video",
    b"\x47\x40": "an MPEG transport stream",
    b"\0\0\x01\xba": "an MPEG program stream",
    b"Creative Voice": "Creative VOC",
    b"riff\x2e\x91\xcf\x11": "Wave64",
    b"BW64": "BW64",
}
_MP4_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_INSIDE = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM", b"ftyp", b"\x1a\x45\xdf\xa3")
_LOOKED_AT = 64 * 1024


def sniff(source: ByteSource) -> Sniffed:
    """Returns what the bytes are.

    Raises:
        AudioError: ``unsupported_format`` for what is not decoded here; ``invalid_audio`` for what
            looks like MP3 and has no two frames that agree.
    """
    head = source.read_at(0, 16)
    known = _by_magic(head)
    if known is not None:
        return Sniffed(known, 0)
    offset = skip_tags(source)
    tagged = source.read_at(offset, 4) if offset else b""
    if tagged == b"fLaC":
        return Sniffed(AudioFormat.FLAC, offset)
    anchored = offset > 0 or _starts_like_mpeg(head)
    if not anchored:
        _refuse_foreign(head)
    # Without a tag or a sync word at the start it takes a longer row to call it MP3: a recording
    # that was cut at the front starts in the middle of a frame.
    start = find_frames(source, offset, in_a_row=2 if anchored else 6)
    if start is not None:
        return Sniffed(AudioFormat.MP3, start)
    region = source.read_at(offset, _LOOKED_AT)
    if anchored or (has_stray_headers(region) and not any(magic in region for magic in _INSIDE)):
        raise AudioError(
            "expected MP3 frames, got MPEG sync words without two frames that agree; "
            "save the recording again",
            code="invalid_audio",
        )
    raise _unsupported("something unknown")


def _by_magic(head: bytes) -> AudioFormat | None:
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and b"WAVE".startswith(head[8:12]):
        return AudioFormat.WAV
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return AudioFormat.AIFF
    if head[4:8] in _MP4_FIRST_BOXES:
        return AudioFormat.MP4
    return {
        b"fLaC": AudioFormat.FLAC,
        b"OggS": AudioFormat.OGG,
        b"\x1a\x45\xdf\xa3": AudioFormat.MATROSKA,
    }.get(head[:4])


def _starts_like_mpeg(head: bytes) -> bool:
    # Layer 0 is AAC's (ADTS), FF FE a byte-order mark: both are named below.
    return (
        len(head) > 1
        and head[0] == 0xFF  # noqa: PLR2004  the sync word
        and head[1] & 0xE0 == 0xE0  # noqa: PLR2004  the sync word
        and head[1] & 0x06 != 0
        and head[1] != 0xFE  # noqa: PLR2004  UTF-16's second byte
    )


def _refuse_foreign(head: bytes) -> None:
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:  # noqa: PLR2004  ADTS' sync word
        raise _unsupported("AAC without a container")
    if head[:4] == b"RIFF" or head[:4] == b"FORM":
        raise _unsupported(f"a {head[:4].decode()} file of {head[8:12]!r}")
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise _unsupported(name)


def _unsupported(got: str) -> AudioError:
    return AudioError(
        f"expected WAV, FLAC, Ogg, MP3, AIFF, MP4 or WebM, got {got}; convert it to one of them",
        code="unsupported_format",
    )
