"""A manifest: one row an utterance, in JSON Lines, CSV or TSV.

Owns the settings; rows, columns and paths are read by their own modules. A manifest in NeMo's form,
its columns beyond the known ones kept as slices::

    {"id": "u1", "audio_filepath": "audio/u1.flac", "text": "THE LAW", "duration": 7.9, "speaker": "s1"}
    {"id": "u2", "audio_filepath": "audio/u2.flac", "text": "", "duration": 4.0, "speaker": "s2"}
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
from whisperlab.dataset.rows import MAX_LINE_BYTES, TableFormat, open_rows, table_format
from whisperlab.dataset.subset import Seed, SubsetSize, require_seed
from whisperlab.utterance import Utterance

ColumnName = Annotated[str, Field(min_length=1)]
AnyPath = Annotated[Path, Field(strict=False)]
"""A path; YAML writes it as a string."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class ManifestDataset:
    """Utterances of a manifest, streamed; the whole manifest is checked before the first one.

    ``format`` follows the name's suffix when ``None``. Audio paths are relative to ``root``
    (``None``: the manifest's folder) and may not lead out of it unless ``allow_outside_root``.
    A column that is ``None`` is found under its known names (`columns`): the first row decides for
    all. A row without an id is named by its audio path without the suffix. ``subset`` draws so many
    utterances at random under ``seed``. ``on_error="skip"`` leaves bad rows out and counts them;
    ``strict`` stops at the first. A line beyond ``max_line_bytes`` is a bad row.
    """

    path: AnyPath
    format: TableFormat | None = None
    root: AnyPath | None = None
    id_column: ColumnName | None = None
    audio_column: ColumnName | None = None
    text_column: ColumnName | None = None
    duration_column: ColumnName | None = None
    subset: SubsetSize | None = None
    seed: Seed | None = None
    on_error: OnError = "strict"
    allow_outside_root: bool = False
    max_line_bytes: Annotated[int, Field(ge=1024, le=1 << 26)] = MAX_LINE_BYTES

    @model_validator(mode="after")
    def _subset_has_a_seed(self) -> ManifestDataset:
        require_seed(self.subset, self.seed)
        return self

    def __iter__(self) -> Iterator[Utterance]:
        """Yields the chosen utterances in the order of the manifest."""
        return self._listing().utterances(self._inspected)

    def __len__(self) -> int:
        """Returns how many utterances iterating yields."""
        return self._inspected.survey.utterances

    def identity(self) -> Mapping[str, str | int | None]:
        """Returns digests of the manifest's bytes and of the utterances with their file sizes."""
        return self._inspected.identity("manifest", self.subset, self.seed)

    @cached_property
    def _inspected(self) -> Inspected:
        """One pass, shared by ``len``, ``identity`` and iterating."""
        return self._listing().inspect(self.subset, self.seed)

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
