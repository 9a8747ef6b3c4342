"""What a person sees while a run goes on: a bar with ETA on a terminal and in a notebook, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from whisperlab.utterance import Outcome

STAGE_NAMES = {"load": "loading the model", "latency": "timing one at a time", "score": "scoring"}


class TerminalProgress:
    """Draws on stderr while it is open; quiet when stderr is neither a terminal nor a notebook's.

    ``check`` is called whenever a batch is done and may raise to stop the run there.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        console = Console(stderr=True)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not (console.is_terminal or console.is_jupyter),
            transient=True,
        )
        self._task: TaskID = self._bar.add_task("starting", total=None)
        self._total = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def started(self, total: int, already_done: int) -> None:
        """Shows how many utterances there are and how many an earlier attempt did."""
        self._bar.reset(self._task, total=total, completed=already_done, description="transcribing")

    def reached(self, count: int) -> None:
        """Moves the bar to so many utterances, counted elsewhere."""
        self._bar.update(self._task, completed=count)
        self._check()

    def advanced(self, outcomes: Sequence[Outcome]) -> None:
        """Moves the bar by the utterances that are done."""
        self._bar.advance(self._task, len(outcomes))
        self._check()

    def stage(self, name: str) -> None:
        """Names what is going on instead."""
        self._bar.update(self._task, description=STAGE_NAMES.get(name, name))
        self._check()
