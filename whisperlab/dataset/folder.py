"""A folder of recordings beside a ``transcripts.csv`` that says what is spoken in them.

Owns the settings and the layout::

    recordings/
        transcripts.csv        file_name,text,speaker
        monday.wav             monday.wav,"good morning, all",ana
        tuesday.wav            tuesday.wav,see you later,ben
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from whisperlab.dataset.columns import settle
from whisperlab.dataset.listing import Inspected, Listing, OnError
from whisperlab.dataset.rows import open_rows, table_format
from whisperlab.dataset.subset import Seed, SubsetSize, require_seed
from whisperlab.errors import DatasetError
from whisperlab.utterance import Utterance


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class FolderDataset:
    """Utterances of a folder, in the order of its table of transcripts.

    ``transcripts`` names the table inside the folder (CSV, TSV or JSON Lines) with the columns
    ``file_name`` and ``text``, or others of a manifest's known names; further columns are slices. A recording that the table leaves out is
    no utterance. The other settings are those of ``ManifestDataset``.
    """

    path: Annotated[Path, Field(strict=False)]
    transcripts: Annotated[str, Field(min_length=1)]
    subset: SubsetSize | None = None
    seed: Seed | None = None
    on_error: OnError = "strict"
    allow_outside_root: bool = False

    @model_validator(mode="after")
    def _subset_has_a_seed(self) -> FolderDataset:
        require_seed(self.subset, self.seed)
        return self

    def __iter__(self) -> Iterator[Utterance]:
        """Yields the chosen utterances in the order of the table."""
        return self._listing().utterances(self._inspected)

    def __len__(self) -> int:
        """Returns how many utterances iterating yields."""
        return self._inspected.survey.utterances

    def identity(self) -> Mapping[str, str | int | None]:
        """Returns digests of the table's bytes and of the utterances with their file sizes."""
        return self._inspected.identity("folder", self.subset, self.seed)

    @cached_property
    def _inspected(self) -> Inspected:
        return self._listing().inspect(self.subset, self.seed)

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
