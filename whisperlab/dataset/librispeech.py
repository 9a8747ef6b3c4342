"""A LibriSpeech tree: ``speaker/chapter/speaker-chapter.trans.txt`` beside the recordings.

Owns the layout. One transcript file holds a chapter, one line an utterance::

    LibriSpeech/test-clean/1089/134686/1089-134686.trans.txt
        1089-134686-0000 HE HOPED THERE WOULD BE STEW FOR DINNER
    LibriSpeech/test-clean/1089/134686/1089-134686-0000.flac

Source: Panayotov et al., LibriSpeech: an ASR corpus based on public domain audio books, ICASSP 2015.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from whisperlab.dataset.columns import Columns
from whisperlab.dataset.listed import STRICT, ListedDataset
from whisperlab.dataset.listing import Listing, OnError
from whisperlab.dataset.rows import MAX_LINE_BYTES, Lines, RowError
from whisperlab.errors import DatasetError

TRANSCRIPT_SUFFIX = ".trans.txt"

_PART = re.compile(r"(train|dev|test)-[a-z0-9-]+")

_COLUMNS = Columns(audio="audio", text="text", id_required=True)


@dataclass(frozen=True, config=STRICT)
class LibriSpeechDataset(ListedDataset):
    """Utterances of a LibriSpeech tree, sorted by the paths of its transcript files.

    ``path`` is the tree or any folder in it (``LibriSpeech``, ``LibriSpeech/test-clean``, one
    speaker). Slices: ``speaker``, ``chapter`` and, where the path tells, ``part`` (``test-clean``).
    ``audio_suffix`` is that of the recordings. The other settings are those of ``ManifestDataset``.
    """

    source: ClassVar[str] = "librispeech"

    path: Annotated[Path, Field(strict=False)]
    audio_suffix: Annotated[str, Field(pattern=r"^\.\w+$")] = ".flac"
    on_error: OnError = "strict"
    allow_outside_root: bool = False

    def _listing(self) -> Listing:
        return Listing(
            path=self.path,
            open_rows=lambda: ChapterRows(self.path, self.audio_suffix),
            settle=lambda _: _COLUMNS,
            root=self.path,
            allow_outside_root=self.allow_outside_root,
            on_error=self.on_error,
        )


class ChapterRows:
    """The lines of all transcript files under a folder, as rows."""

    def __init__(self, root: Path, audio_suffix: str) -> None:
        self._root = root
        self._audio_suffix = audio_suffix
        self._chapters = _transcript_files(root)
        if not self._chapters:
            raise DatasetError(
                f"{root}: expected a folder with *{TRANSCRIPT_SUFFIX} files in it, found none; "
                "dataset.path is the folder that LibriSpeech was unpacked to"
            )
        self._next_chapter = 0
        self._lines: Lines | None = None
        self._digest = hashlib.sha256()
        found = [chapter.stat() for chapter in self._chapters]
        self.stamp: tuple[int, ...] = (
            len(found),
            sum(one.st_size for one in found),
            max(one.st_mtime_ns for one in found),
        )

    def __iter__(self) -> ChapterRows:
        return self

    def __next__(self) -> Mapping[str, object]:
        line = self._next_line()
        name, space, text = line.rstrip("\r\n").partition(" ")
        if not name or not space or "/" in name:
            raise RowError(f"expected 'ID TEXT', got {line.strip()[:60]!r}; mend the line")
        path = self._chapters[self._next_chapter - 1]
        audio = path.parent.relative_to(self._root) / f"{name}{self._audio_suffix}"
        row: dict[str, object] = {"id": name, "audio": audio.as_posix(), "text": text.strip()}
        # speaker-chapter-utterance; a tree in the same form with other names has no such slices.
        speaker, _, rest = name.partition("-")
        if rest:
            row["speaker"], row["chapter"] = speaker, rest.partition("-")[0]
            *_, part, folder, chapter, _file = ("", "", *path.absolute().parts)
            if (folder, chapter) == (speaker, row["chapter"]) and _PART.fullmatch(part):
                row["part"] = part
        return row

    def pass_over(self) -> None:
        """Goes past one line."""
        self._next_line()

    def _next_line(self) -> str:
        while True:
            if self._lines is not None:
                line = next(self._lines, None)
                if line is None:
                    self._digest.update(self._lines.sha256.encode())
                    self.close()
                elif line.strip():
                    return line
            elif self._next_chapter < len(self._chapters):
                self._lines = Lines(self._chapters[self._next_chapter], MAX_LINE_BYTES)
                self._next_chapter += 1
            else:
                raise StopIteration

    def close(self) -> None:
        """Closes the transcript file at hand."""
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    @property
    def place(self) -> str:
        """``file:line`` of the line read last."""
        number = self._lines.number if self._lines is not None else 1
        return f"{self._chapters[max(0, self._next_chapter - 1)]}:{number}"

    @property
    def sha256(self) -> str:
        """Digest over the digests of the transcript files read so far."""
        return self._digest.hexdigest()


def _transcript_files(root: Path) -> list[Path]:
    return sorted(
        Path(folder) / name
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(TRANSCRIPT_SUFFIX)
    )
