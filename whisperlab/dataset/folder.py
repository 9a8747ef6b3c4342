"""A folder of recordings beside a ``transcripts.csv`` that says what is spoken in them.

Owns the settings and the layout::

    recordings/
        transcripts.csv        file_name,text,speaker
        monday.wav             monday.wav,"good morning, all",ana
        tuesday.wav            tuesday.wav,see you later,ben
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from whisperlab.dataset.columns import settle
from whisperlab.dataset.listed import STRICT, ListedDataset
from whisperlab.dataset.listing import Listing, OnError
from whisperlab.dataset.rows import open_rows, table_format
from whisperlab.errors import DatasetError


@dataclass(frozen=True, config=STRICT)
class FolderDataset(ListedDataset):
    """Utterances of a folder, in the order of its table of transcripts.

    ``transcripts`` names the table inside the folder (CSV, TSV or JSON Lines) with the columns
    ``file_name`` and ``text``, or others of a manifest's known names; further columns are slices. A recording that the table leaves out is
    no utterance. The other settings are those of ``ManifestDataset``.
    """

    source: ClassVar[str] = "folder"

    path: Annotated[Path, Field(strict=False)]
    transcripts: Annotated[str, Field(min_length=1)]
    on_error: OnError = "strict"
    allow_outside_root: bool = False

    def _listing(self) -> Listing:
        if not self.path.is_dir():
            raise DatasetError(
                f"{self.path}: expected a folder of recordings with {self.transcripts}, found "
                f"{'a file' if self.path.exists() else 'nothing'}; check dataset.path"
            )
        table = self.path / self.transcripts
        return Listing(
            path=table,
            open_rows=partial(open_rows, table, table_format(table)),
            settle=partial(settle, audio=None, text=None, identifier=None, duration=None),
            root=self.path,
            allow_outside_root=self.allow_outside_root,
            on_error=self.on_error,
        )
