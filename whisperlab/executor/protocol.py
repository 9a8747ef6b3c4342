"""What every executor does: run the parts or the blocks of a run, whatever happens to its workers.

Owns the two protocols alone. A part is a command that resumes itself: ended too early, it is run again and
goes on behind its last batch. A block is a value that a worker with something loaded turns into another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

Load = Callable[[], Sequence[Callable[[Any], Any]]]
"""Called in a worker, once: returns the steps that every block goes through, the last one's value being
its result. It travels by pickle, as blocks and results do."""


COMMAND: Final = "WHISPERLAB_COMMAND"
"""The variable by which a part on the same machine knows the process of the command that it belongs to."""


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


@runtime_checkable
class BlockExecutor(Protocol):
    """A frozen settings object whose workers stay loaded and take blocks as they become free."""

    def each(self, load: Load, blocks: Iterable[Any], watch: Callable[[], None]) -> Iterator[Any]:
        """Yields the result of every block, in any order; ends all workers when it is closed.

        ``blocks`` are drawn as workers become free; those of a worker that died are done again. A ``None``
        says that there is none yet: it is asked again, and the workers stay. ``watch`` is called a few
        times a second and may raise.

        Raises:
            ExecutorError: the workers do not finish.
            WhisperlabError: what a worker raised.
        """
        ...
