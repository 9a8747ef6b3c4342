"""What the executor calls of Ray, in this process: calls are answered when they are waited for, in order.

Real Ray is in no suite that has to be quick; `benchmarks/cluster/ray.py` runs the executor on a real cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    """Ray's own: an actor or a node is gone."""


class RayTaskError(RayError):
    """Ray's own: the called function raised ``cause``."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Call:
    """A reference to what a call will give."""

    def __init__(self, actor: Actor, answer: Callable[[], Any]) -> None:
        self.actor = actor
        self._answer = answer

    def get(self) -> Any:
        if not self.actor.alive:
            raise RayError("the actor died")
        try:
            return self._answer()
        except SystemExit as died:
            self.actor.alive = False
            raise RayError("the actor died") from died
        except Exception as error:
            raise RayTaskError(error) from error


class Actor:
    """An actor of ``kind``; a call that raises SystemExit ends it."""

    def __init__(self, kind: type[Any]) -> None:
        self._object = kind()
        self.alive = True

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._object, name)
        return SimpleNamespace(remote=lambda *given: Call(self, lambda: method(*given)))


class StandIn:
    """The module ``ray``; ``actors`` are all that were ever hired."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self.connected: list[Any] = []
        self.options: dict[str, Any] = {}

    def is_initialized(self) -> bool:
        return False

    def init(self, *, address: str | None, **_: Any) -> None:
        if address == "nowhere:1":
            raise ConnectionError("nobody answers")
        self.connected.append(address)

    def shutdown(self) -> None:
        self.connected.append("shut down")

    def put(self, value: Any) -> Any:
        return value

    def remote(self, kind: type[Any]) -> Any:
        def options(**given: Any) -> Any:
            self.options = given
            return SimpleNamespace(remote=lambda: self._hire(kind))

        return SimpleNamespace(options=options)

    def _hire(self, kind: type[Any]) -> Actor:
        self.actors.append(Actor(kind))
        return self.actors[-1]

    def wait(
        self, calls: Sequence[Call], *, num_returns: int, timeout: float
    ) -> tuple[list[Call], list[Call]]:
        # The last first: results come in another order than the blocks went out.
        return [calls[-1]], list(calls[:-1])

    def get(self, call: Call) -> Any:
        return call.get()

    def kill(self, actor: Actor, *, no_restart: bool) -> None:
        actor.alive = False

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}
