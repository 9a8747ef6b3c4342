"""What a person sees while a run goes on: a bar with ETA on a terminal and in a notebook, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from whisperlab.report.bar import StderrBar
from whisperlab.utterance import Outcome

STAGE_NAMES = {"load": "loading the model", "latency": "timing one at a time", "score": "scoring"}


class TerminalProgress(StderrBar):
    """The bar of a run: over utterances, or the name of what goes on beside them.

    ``check`` is called whenever a batch is done and may raise to stop the run there.
    """

    def started(self, total: int, already_done: int) -> None:
        """Shows how many utterances there are and how many an earlier attempt did."""
        self._bar.reset(self._task, total=total, completed=already_done, description="transcribing")

    def reached(self, count: int) -> None:
        """Moves the bar to so many utterances, counted elsewhere."""
        self.show(completed=count)

    def advanced(self, outcomes: Sequence[Outcome]) -> None:
        """Moves the bar by the utterances that are done."""
        self._bar.advance(self._task, len(outcomes))
        self._check()

    def stage(self, name: str) -> None:
        """Names what is going on instead."""
        self.show(description=STAGE_NAMES.get(name, name))
