"""What every executor does: run the parts of a run, whatever happens to its workers.

Owns the protocol alone. A part is a command that resumes itself: ended too early, it is run again and
goes on behind its last batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its number, its command, and the file that takes what the command says."""

    index: int
    command: tuple[str, ...]
    log: Path


@runtime_checkable
class Executor(Protocol):
    """A frozen settings object; building it starts nothing."""

    @property
    def parts(self) -> int:
        """Into how many parts a run is cut; one part is the run itself, in this process."""
        ...

    def run(self, parts: Sequence[Part], watch: Callable[[], None]) -> None:
        """Returns when every part has finished; ends all workers when ``watch`` raises.

        ``watch`` is called a few times a second.

        Raises:
            ExecutorError: a part does not finish; names its log.
        """
        ...
