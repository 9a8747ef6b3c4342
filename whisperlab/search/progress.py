"""What a person sees while a race goes on: a bar over utterances with ETA, a line for every drop."""

from __future__ import annotations

from collections.abc import Callable

from whisperlab.experiment.race_plan import RacePlan
from whisperlab.experiment.racing import Drop, Reason
from whisperlab.report import notation
from whisperlab.report.bar import StderrBar


class RaceBar(StderrBar):
    """Draws on stderr while it is open; drops are printed there as lines.

    The bar's end is what is left if nobody else is dropped, so that the ETA is an upper bound.
    ``check`` is called after every batch and may raise to stop the race there.
    """

    def __init__(self, plan: RacePlan, check: Callable[[], None]) -> None:
        super().__init__(check, left="left at most")
        self._plan = plan
        self._heard = 0

    def block(self, done: int, total: int, alive: int) -> None:
        """Shows the block and how many are still in the race."""
        left = max(len(self._plan.utterances) - done * self._plan.block_size, 0) * alive
        self.show(
            total=self._heard + left,
            description=f"block {done + 1} of {total}, {alive} in the race",
        )

    def heard(self, candidate: str, outcomes: int) -> None:
        """Moves the bar."""
        self._heard += outcomes
        self.show(completed=self._heard)

    def dropped(self, candidate: str, drop: Drop) -> None:
        """Prints who left and why."""
        names = {one.name: " ".join(one.overrides) for one in self._plan.candidates}
        said = (
            f"out, {drop.reason}: {names[candidate]}, WER {notation.points(drop.difference)} points"
        )
        if drop.reason is not Reason.UNAFFORDABLE:
            said += f" against the best, {drop.e_value:.3g} to 1"
        self.console.print(said, highlight=False, markup=False)
