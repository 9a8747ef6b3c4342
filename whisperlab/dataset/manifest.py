"""A manifest: one row an utterance, in JSON Lines, CSV or TSV.

Owns the settings; rows, columns and paths are read by their own modules. A manifest in NeMo's form,
its columns beyond the known ones kept as slices::

    {"id": "u1", "audio_filepath": "audio/u1.flac", "text": "THE LAW", "duration": 7.9, "speaker": "s1"}
    {"id": "u2", "audio_filepath": "audio/u2.flac", "text": "", "duration": 4.0, "speaker": "s2"}
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
from whisperlab.dataset.rows import MAX_LINE_BYTES, TableFormat, open_rows, table_format

ColumnName = Annotated[str, Field(min_length=1)]
AnyPath = Annotated[Path, Field(strict=False)]
"""A path; YAML writes it as a string."""


@dataclass(frozen=True, config=STRICT)
class ManifestDataset(ListedDataset):
    """Utterances of a manifest, streamed; the whole manifest is checked before the first one.

    ``format`` follows the name's suffix when ``None``. Audio paths are relative to ``root``
    (``None``: the manifest's folder) and may not lead out of it unless ``allow_outside_root``.
    A column that is ``None`` is found under its known names (`columns`): the first row decides for
    all. A row without an id is named by its audio path without the suffix. ``subset`` draws so many
    utterances at random under ``seed``. ``on_error="skip"`` leaves bad rows out and counts them;
    ``strict`` stops at the first. A line beyond ``max_line_bytes`` is a bad row.
    """

    source: ClassVar[str] = "manifest"

    path: AnyPath
    format: TableFormat | None = None
    root: AnyPath | None = None
    id_column: ColumnName | None = None
    audio_column: ColumnName | None = None
    text_column: ColumnName | None = None
    duration_column: ColumnName | None = None
    on_error: OnError = "strict"
    allow_outside_root: bool = False
    max_line_bytes: Annotated[int, Field(ge=1024, le=1 << 26)] = MAX_LINE_BYTES

    def _listing(self) -> Listing:
        table = self.format or table_format(self.path)
        return Listing(
            path=self.path,
            open_rows=partial(open_rows, self.path, table, self.max_line_bytes),
            settle=partial(
                settle,
                audio=self.audio_column,
                text=self.text_column,
                identifier=self.id_column,
                duration=self.duration_column,
            ),
            root=self.root if self.root is not None else self.path.parent,
            allow_outside_root=self.allow_outside_root,
            on_error=self.on_error,
        )
