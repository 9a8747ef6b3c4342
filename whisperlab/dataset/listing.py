"""Rows on disk as utterances: looked over once, then streamed.

Owns the one loop that reads rows, says where a bad one stands, and either stops there or leaves it
out and counts. Manifest, folder, LibriSpeech tree and demo are this loop with other columns.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from whisperlab.dataset.audio_path import AudioPaths
from whisperlab.dataset.columns import Columns
from whisperlab.dataset.rows import RowError, RowReader
from whisperlab.dataset.survey import Survey, Surveyor
from whisperlab.errors import DatasetError
from whisperlab.utterance import Utterance

OnError = Literal["strict", "skip"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inspected:
    """A survey together with what belongs to rows on disk: their columns, digest and stamp."""

    survey: Survey
    columns: Columns
    rows_sha256: str
    stamp: tuple[int, ...]

    def identity(
        self, source: str, subset: int | None, seed: int | None
    ) -> dict[str, str | int | None]:
        """Returns the flat values of ``Dataset.identity``."""
        return {
            "source": source,
            "rows_sha256": self.rows_sha256,
            "utterances_sha256": self.survey.utterances_sha256,
            "utterances": self.survey.utterances,
            "skipped": len(self.survey.skipped),
            "subset": subset,
            # Without a subset the seed changes nothing, so it may not make a run another run.
            "seed": seed if subset is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows with recordings under ``root``.

    ``open_rows`` starts at the first row each time it is called; ``settle`` decides the columns
    from the first row; ``wanted`` leaves rows out on purpose (a part of the demo), uncounted.
    """

    path: Path
    open_rows: Callable[[], RowReader]
    settle: Callable[[Mapping[str, object]], Columns]
    root: Path
    allow_outside_root: bool
    on_error: OnError
    wanted: Callable[[Mapping[str, object]], bool] | None = None

    def inspect(self, subset: int | None, seed: int | None) -> Inspected:
        """Returns what one pass over all rows finds; every row is checked, no audio is opened.

        Raises:
            DatasetError: a row is bad under ``on_error="strict"``, or no row is good; the message
                starts with ``file:line``.
        """
        with closing(self.open_rows()) as rows:
            surveyor = Surveyor(subset, seed)
            columns, first_fault = self._read_through(rows, surveyor)
            survey = surveyor.finish()
            if columns is None or not survey.utterances:
                raise DatasetError(
                    first_fault
                    or f"{self.path}:1: expected at least one utterance, found none; write one "
                    "row for each recording"
                )
            if survey.skipped:
                _log.warning("%d rows left out; the first: %s", len(survey.skipped), first_fault)
            return Inspected(survey, columns, rows.sha256, rows.stamp)

    def _read_through(self, rows: RowReader, surveyor: Surveyor) -> tuple[Columns | None, str]:
        """Reports every row to the surveyor; returns the columns and the first fault's message."""
        paths = self._paths()
        columns: Columns | None = None
        first_fault = ""
        for ordinal in itertools.count():
            try:
                row = next(rows)
                if columns is None:
                    columns = self.settle(row)
                if self.wanted is not None and not self.wanted(row):
                    surveyor.leave_out(ordinal)
                    continue
                fields = columns.fields(row)
                columns.words(row)
                if surveyor.draws(fields.id):
                    size = paths.locate(fields.audio).size
                    surveyor.add(ordinal, fields.id, fields.text, size)
                else:  # its file will never be opened
                    paths.check(fields.audio)
                    surveyor.pass_by(fields.id)
            except StopIteration:
                break
            except RowError as error:
                fault = f"{rows.place}: {error}"
                if self.on_error == "strict":
                    raise DatasetError(fault) from error
                first_fault = first_fault or fault
                surveyor.skip(ordinal)
        return columns, first_fault

    def utterances(self, inspected: Inspected) -> Iterator[Utterance]:
        """Yields the chosen utterances in the order of the rows.

        Raises:
            DatasetError: the rows are not those that were inspected.
        """
        with closing(self.open_rows()) as rows:
            if rows.stamp != inspected.stamp:
                raise DatasetError(f"{self.path}:1: changed since it was checked; start again")
            yield from self._chosen(rows, inspected)

    def _chosen(self, rows: RowReader, inspected: Inspected) -> Iterator[Utterance]:
        paths = self._paths()
        left = inspected.survey.utterances
        for ordinal in itertools.count():
            wanted = inspected.survey.wants(ordinal)
            try:
                if not wanted:
                    rows.pass_over()
                    continue
                row = next(rows)
                fields = inspected.columns.fields(row)
                words = inspected.columns.words(row)
                path = paths.locate(fields.audio).path
            except StopIteration:
                return
            except RowError as error:
                if wanted:
                    raise DatasetError(f"{rows.place}: {error}") from error
                continue  # a bad row that was counted as skipped
            yield Utterance(
                id=fields.id,
                audio=Path(path),
                reference=fields.text,
                slices=inspected.columns.slices(row),
                declared_seconds=fields.seconds,
                words=words,
            )
            left -= 1
            if not left:
                return

    def _paths(self) -> AudioPaths:
        return AudioPaths(self.root, allow_outside_root=self.allow_outside_root)
