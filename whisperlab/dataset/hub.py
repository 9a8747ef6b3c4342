"""Parquet speech corpora: from the Hugging Face Hub, streamed, or from a local copy.

Owns how rows come out of ``datasets`` (its download, its parquet reader, its errors). A row has the
recording as ``{"bytes": b"fLaC...", "path": "1089-134686-0000.flac"}`` beside its text.

Only parquet is read. It is what the Hub converts every speech corpus to; columns can be read apart
from the audio, so ids and texts are checked before a model loads; and nothing in it is code:
dataset scripts, pickles and web archives are refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from whisperlab.dataset.columns import Columns
from whisperlab.dataset.rows import RowError
from whisperlab.dataset.subset import Seed, SubsetSize, require_seed
from whisperlab.dataset.survey import Survey, Surveyor
from whisperlab.errors import DatasetError
from whisperlab.utterance import Utterance

ROWS_AT_A_TIME = 16
"""Rows of audio in memory while streaming: 16 utterances of 35 s are 9 MB of FLAC."""

_ORDINAL_DIGITS = 8


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class HubDataset:
    """Utterances of one split of a parquet corpus.

    Either ``name`` (``owner/name`` on the Hub, with ``revision``, the full commit: a branch moves,
    and with it the test set) or ``parquet`` (a local file, or a folder such as a downloaded
    repository). ``config`` and ``split`` are the corpus's own. ``id_column=None`` names utterances
    by their row number. Columns other than these are slices.
    """

    split: Annotated[str, Field(min_length=1)]
    text_column: Annotated[str, Field(min_length=1)]
    audio_column: Annotated[str, Field(min_length=1)]
    id_column: Annotated[str, Field(min_length=1)] | None = None
    name: Annotated[str, Field(pattern=r"^\w[\w.-]*/\w[\w.-]*$")] | None = None
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    parquet: Annotated[Path, Field(strict=False)] | None = None
    config: Annotated[str, Field(min_length=1)] | None = None
    subset: SubsetSize | None = None
    seed: Seed | None = None

    @model_validator(mode="after")
    def _one_source(self) -> HubDataset:
        require_seed(self.subset, self.seed)
        if (self.name is None) == (self.parquet is None):
            raise ValueError("expected either name (on the Hub) or parquet (local); set one")
        if (self.name is None) != (self.revision is None):
            raise ValueError(
                "expected a revision with name and none with parquet; set revision to the full "
                "commit that the corpus's page shows under Files > History"
            )
        return self

    def __iter__(self) -> Iterator[Utterance]:
        """Yields the chosen utterances in the order of the corpus, their audio as bytes."""
        survey = self._survey
        columns = self._columns()
        for ordinal, row in enumerate(self._rows(columns=None)):
            if not survey.wants(ordinal):
                continue
            sound = row[self.audio_column]
            if not isinstance(sound, Mapping) or not sound.get("bytes"):
                raise DatasetError(
                    f"{self._place(ordinal)}: expected the recording's bytes in "
                    f"{self.audio_column!r}, got none; a corpus that only names files is read "
                    "with dataset=manifest"
                )
            rest = {name: value for name, value in row.items() if name != self.audio_column}
            yield Utterance(
                id=self._id(ordinal, row),
                audio=bytes(sound["bytes"]),
                reference=self._text(row),
                slices=columns.slices(rest),
            )

    def __len__(self) -> int:
        """Returns how many utterances iterating yields (reads ids and texts, no audio)."""
        return self._survey.utterances

    def identity(self) -> Mapping[str, str | int | None]:
        """Returns where the corpus comes from and a digest of the chosen ids and texts."""
        return {
            "source": "hub" if self.name is not None else "parquet",
            "name": self.name,
            "config": self.config,
            "split": self.split,
            "revision": self.revision,
            "utterances": self._survey.utterances,
            "utterances_sha256": self._survey.utterances_sha256,
            "parquet_bytes": sum(one.stat().st_size for one in self._local_files()),
            "subset": self.subset,
            "seed": self.seed if self.subset is not None else None,
        }

    @cached_property
    def _survey(self) -> Survey:
        """One pass over ids and texts alone."""
        surveyor = Surveyor(self.subset, self.seed)
        wanted = [self.text_column, *([self.id_column] if self.id_column else [])]
        ordinal = -1
        for ordinal, row in enumerate(self._rows(columns=wanted)):
            try:
                surveyor.add(ordinal, self._id(ordinal, row), self._text(row), None)
            except RowError as error:
                raise DatasetError(f"{self._place(ordinal)}: {error}") from error
        if ordinal < 0:
            raise DatasetError(f"{self._where()}: expected utterances, found none; check the split")
        return surveyor.finish()

    def _columns(self) -> Columns:
        return Columns(audio=self.audio_column, text=self.text_column, id=self.id_column or "")

    def _id(self, ordinal: int, row: Mapping[str, Any]) -> str:
        if self.id_column is None:
            return f"{ordinal:0{_ORDINAL_DIGITS}d}"
        value = row[self.id_column]
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise RowError(
                f"expected a name in {self.id_column!r}, got {value!r:.40}; choose another"
            )
        return str(value)

    def _text(self, row: Mapping[str, Any]) -> str:
        text = row[self.text_column]
        if not isinstance(text, str):
            raise RowError(
                f"expected a string in {self.text_column!r}, got "
                f"{'null' if text is None else type(text).__name__}; choose another text_column, "
                'or write "" where nothing is said'
            )
        return text

    def _rows(self, columns: list[str] | None) -> Iterator[dict[str, Any]]:
        """Yields the split's rows, with only some columns read when they are named."""
        from datasets import Audio
        from datasets.exceptions import DatasetsError
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined] # not in __all__

        try:
            stream = self._stream(columns)
            needed = columns or [self.text_column, self.audio_column]
            if not set(needed) <= set(stream.features):
                there = list(self._stream(None).features)
                missing = next(name for name in needed if name not in there)
                raise DatasetError(
                    f"{self._where()}: expected a column {missing!r}, found "
                    f"{', '.join(map(repr, there))}; name the columns of this corpus"
                )
            if columns is None:
                # decode=False: the sound goes through whisperlab.audio like any other.
                stream = stream.cast_column(self.audio_column, Audio(decode=False))
            yield from stream
        except (
            DatasetsError,
            HTTPError,  # the network goes away in mid-stream
            OSError,
            ValueError,
            RuntimeError,
        ) as error:
            raise self._unreadable(error) from error

    def _stream(self, columns: list[str] | None) -> Any:
        """Returns the split as ``datasets.IterableDataset``; nothing but parquet is opened."""
        from datasets import load_dataset_builder
        from datasets.packaged_modules.parquet.parquet import Parquet

        builder = load_dataset_builder(**self._source(), columns=columns)
        if not isinstance(builder, Parquet):
            raise DatasetError(
                f"{self._where()}: expected parquet, found {type(builder).__mro__[1].__name__}; "
                "pin the commit of its refs/convert/parquet branch, or write a manifest"
            )
        return builder.as_streaming_dataset(split=self.split)

    def _source(self) -> dict[str, Any]:
        """Returns the arguments that name this corpus to ``load_dataset_builder``."""
        if self.parquet is None:
            if self.name is not None and Path(self.name).exists():
                # datasets would take the folder and say nothing.
                raise DatasetError(
                    f"{self._where()}: expected a corpus on the Hub, but here is a folder of that "
                    "name; start elsewhere, or name it with dataset.parquet"
                )
            return {
                "path": self.name,
                "name": self.config,
                "revision": self.revision,
                "batch_size": ROWS_AT_A_TIME,
            }
        if self.parquet.is_dir():
            path = str(self.parquet.absolute())
            return {"path": path, "name": self.config, "batch_size": ROWS_AT_A_TIME}
        if not self.parquet.is_file():
            raise DatasetError(f"{self.parquet}: expected a parquet file or folder, found nothing")
        files = {self.split: str(self.parquet.absolute())}
        return {"path": "parquet", "data_files": files, "batch_size": ROWS_AT_A_TIME}

    def _unreadable(self, error: Exception) -> DatasetError:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        if self.name is None:
            return DatasetError(f"{self._where()}: cannot be read as parquet ({reason})")
        from datasets.config import HF_DATASETS_CACHE, HF_HUB_OFFLINE

        offline = "HF_HUB_OFFLINE is set: unset it, " if HF_HUB_OFFLINE else ""
        return DatasetError(
            f"{self._where()}: cannot be read from the Hub ({reason}); {offline}check the network, "
            f"the name, config, split and revision (cache: {HF_DATASETS_CACHE}; offline switch: "
            "HF_HUB_OFFLINE=1), or use a local copy: dataset=parquet dataset.parquet=FOLDER, or "
            "dataset=manifest dataset.path=FILE"
        )

    def _where(self) -> str:
        named = str(self.parquet) if self.name is None else f"{self.name}@{self.revision or ''}"
        return f"{named} [{self.config or 'default'}/{self.split}]"

    def _place(self, ordinal: int) -> str:
        """Returns ``corpus:row``, rows counted from 1."""
        named = self.name if self.name is not None else self.parquet
        return f"{named}:{ordinal + 1}"

    def _local_files(self) -> list[Path]:
        if self.parquet is None:
            return []
        if not self.parquet.is_dir():
            return [self.parquet]
        return [
            Path(folder) / name
            for folder, _, names in os.walk(self.parquet)
            for name in names
            if name.endswith(".parquet")
        ]
