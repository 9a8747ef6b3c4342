"""Blocks of a run on the actors of a Ray cluster, each actor with the loaded model.

Owns hiring, feeding, replacing and ending the actors. It does not know what a block is or what is loaded.
Ray itself is imported when it is used.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from time import perf_counter
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.errors import ExecutorError, MissingExtraError, WhisperlabError
from whisperlab.executor.protocol import Load

POLL_SECONDS: Final = 0.2
"""How soon a stop signal is seen while nothing else happens."""

AT_HAND: Final = 2
"""Blocks an actor has: one in the engine, the next being made ready meanwhile."""

LOADING: Final = -1
"""Number of the call that loads, beside those of the blocks."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class RayExecutor:
    """``workers`` actors, each with ``num_cpus`` and ``num_gpus`` of one node.

    ``address`` ``None`` is Ray's own choice: ``RAY_ADDRESS``, a cluster started on this machine, else one
    started for this run. An actor that dies is replaced and what it had at hand is done again; a block
    that is lost more than ``restarts`` times ends the run. Actors that find no place wait
    ``start_timeout_seconds`` for the cluster to grow. ``environment`` are variables of the actors.
    """

    workers: Annotated[int, Field(ge=1, le=10_000)] = 2
    num_cpus: Annotated[float, Field(ge=0)] = 1.0
    num_gpus: Annotated[float, Field(ge=0)] = 0.0
    address: str | None = None
    restarts: Annotated[int, Field(ge=0)] = 3
    start_timeout_seconds: Annotated[float, Field(gt=0)] = 1800.0
    environment: dict[str, str] = Field(default_factory=dict)

    def each(self, load: Load, blocks: Iterable[Any], watch: Callable[[], None]) -> Iterator[Any]:
        """Yields what the actors make of ``blocks``, as it arrives; ends them when it is closed.

        Raises:
            MissingExtraError: Ray is not installed.
            ExecutorError: no cluster, no place on it, or a block that ends its actor again and again.
            WhisperlabError: what loading or a block raised in an actor.
        """
        ray = _imported()
        with _connected(ray, self.address):
            crew = _Crew(ray, self, load, blocks)
            try:
                while crew.busy():
                    yield from crew.results()
                    watch()
            except SystemError:
                watch()  # a stop signal that arrived in Ray's C code raises again here, as itself
                raise
            except ray.exceptions.RayError as error:
                raise ExecutorError(
                    f"the Ray cluster was lost ({_first_line(error)}); run the same command again: "
                    "it goes on where it stopped"
                ) from error
            finally:
                crew.end()


class Hand:
    """An actor: takes a block through the loaded steps, each step one block at a time.

    Ray runs `AT_HAND` calls as threads, so the first step of one block overlaps the last of another.
    """

    def __init__(self) -> None:
        self._steps: Sequence[tuple[threading.Lock, Callable[[Any], Any]]] = ()

    def load(self, load: Load) -> None:
        """Loads what the blocks need; the first call."""
        self._steps = [(threading.Lock(), step) for step in load()]

    def work(self, block: Any) -> Any:
        """Returns what the steps make of ``block``."""
        made = block
        for lock, step in self._steps:
            with lock:
                made = step(made)
        return made


@plain_dataclass(slots=True)
class _Hired:
    actor: Any
    loaded: bool = False
    at_hand: dict[Any, int] = field(default_factory=dict)
    """Numbers of the calls it was given and has not answered, by Ray's reference."""


class _Crew:
    """The actors of one run and which block each of them has."""

    def __init__(self, ray: Any, settings: RayExecutor, load: Load, blocks: Iterable[Any]) -> None:
        self._ray = ray
        self._settings = settings
        self._load = ray.put(load)
        self._fresh = iter(enumerate(blocks))
        self._again: deque[tuple[int, Any]] = deque()
        self._given: dict[int, Any] = {}
        self._deaths: Counter[int] = Counter()
        self._hired: list[_Hired] = []
        self._idle_since = perf_counter()
        self._actor = ray.remote(Hand).options(
            num_cpus=settings.num_cpus,
            num_gpus=settings.num_gpus,
            max_concurrency=AT_HAND,
            # Ray's own restarts would be used up while a node is down; the crew hires anew.
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": settings.environment} if settings.environment else None,
        )
        self._next = self._draw()

    def busy(self) -> bool:
        """Hires and feeds; False when every block is done."""
        if self._next is None:
            self._next = self._draw()
        if self._next is None and not self._given:
            return False
        while self._next is not None and len(self._hired) < self._settings.workers:
            hired = _Hired(self._actor.remote())
            hired.at_hand[hired.actor.load.remote(self._load)] = LOADING
            self._hired.append(hired)
        # One block each before anyone gets a second: the last ones are shared evenly.
        for wanted in range(1, AT_HAND + 1):
            for hired in self._hired:
                if self._next is None:
                    return True
                if hired.loaded and len(hired.at_hand) < wanted:
                    number, block = self._next
                    hired.at_hand[hired.actor.work.remote(block)] = number
                    self._given[number] = block
                    self._next = self._draw()
        return True

    def _draw(self) -> tuple[int, Any] | None:
        if self._again:
            return self._again.popleft()
        drawn = next(self._fresh, None)
        return None if drawn is None or drawn[1] is None else drawn

    def results(self) -> Iterator[Any]:
        """Yields what has come in within a moment; notes who has died."""
        calls = {call: hired for hired in self._hired for call in hired.at_hand}
        done, _ = self._ray.wait(list(calls), num_returns=1, timeout=POLL_SECONDS)
        for call in done:
            hired = calls[call]
            if call not in hired.at_hand:
                continue  # it died with another call, and this one is redone
            try:
                answer = self._ray.get(call)
            except self._ray.exceptions.RayTaskError as error:
                raise _cause(error) from error
            except self._ray.exceptions.RayError as error:
                self._replace(hired, error)
                continue
            number = hired.at_hand.pop(call)
            self._deaths.pop(number, None)
            self._idle_since = perf_counter()
            if number == LOADING:
                hired.loaded = True
            else:
                del self._given[number]
                yield answer
        self._check_place()

    def _replace(self, hired: _Hired, error: Exception) -> None:
        """Forgets an actor that died; its blocks are the next to be given out."""
        self._hired.remove(hired)
        self._dismiss(hired)
        for number in hired.at_hand.values():
            self._deaths[number] += 1
            if self._deaths[number] > self._settings.restarts:
                doing = "loading" if number == LOADING else f"batch {number + 1} of this attempt"
                raise ExecutorError(
                    f"{self._deaths[number]} workers in a row died at {doing} (the last: "
                    f"{_first_line(error)}); see Ray's logs of the actor, then run the same command again"
                )
            if number != LOADING:
                self._again.append((number, self._given.pop(number)))
        if self._again:
            drawn = [] if self._next is None else [self._next]
            self._again = deque(sorted([*self._again, *drawn], key=lambda one: one[0]))
            self._next = self._again.popleft()

    def _check_place(self) -> None:
        waited = perf_counter() - self._idle_since
        if any(hired.loaded for hired in self._hired):
            return
        if waited > self._settings.start_timeout_seconds:
            raise ExecutorError(
                f"no worker was ready within executor.start_timeout_seconds={waited:.0f}: each wants "
                f"num_cpus={self._settings.num_cpus} num_gpus={self._settings.num_gpus}, the cluster has "
                f"{self._ray.cluster_resources()}; ask for less, or add nodes"
            )

    def end(self) -> None:
        """Ends every actor, whatever it does."""
        for hired in self._hired:
            self._dismiss(hired)

    def _dismiss(self, hired: _Hired) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(hired.actor, no_restart=True)


def _imported() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "executor=ray") from error
    return ray


@contextlib.contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """Connects to the cluster, unless the process is connected already."""
    if ray.is_initialized():
        yield
        return
    # Ray takes SIGTERM for itself; here it has to end the run as everywhere else.
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray raises a bare one when a node is slow to start
        raise ExecutorError(
            f"no Ray cluster at {address or 'the address of RAY_ADDRESS'} ({_first_line(error)}); start one "
            "with 'ray start --head', or choose executor.address=local"
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _cause(error: Any) -> Exception:
    """Returns the error of ours that ended a call, or what it was in words."""
    cause = error.cause
    if isinstance(cause, WhisperlabError):
        return cause
    return ExecutorError(f"a worker failed: {type(cause).__name__}: {_first_line(cause)}")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
