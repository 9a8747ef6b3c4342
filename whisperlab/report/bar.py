"""A progress bar with ETA on stderr: on a terminal and in a notebook, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class StderrBar:
    """Draws while it is open. ``check`` may raise there to stop what goes on; ``left`` names the ETA."""

    def __init__(self, check: Callable[[], None], *, left: str = "left") -> None:
        self._check = check
        self.console = Console(stderr=True, soft_wrap=True)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn(left),
            TimeRemainingColumn(),
            console=self.console,
            disable=not (self.console.is_terminal or self.console.is_jupyter),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> Self:
        try:
            self._bar.start()
        except BaseException:  # a stop signal: the terminal must get its cursor back
            with suppress(IndexError):  # rich takes back what it has not put there yet
                self._bar.stop()
            self.console.show_cursor(True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(
        self,
        *,
        completed: float | None = None,
        total: float | None = None,
        description: str | None = None,
    ) -> None:
        """Changes what is given, then checks."""
        self._bar.update(self._task, completed=completed, total=total, description=description)
        self._check()
