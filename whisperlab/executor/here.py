"""The executor of a run in one piece: this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.errors import ConfigError
from whisperlab.executor.protocol import Part


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Here:
    """One part, which the command runs itself."""

    @property
    def parts(self) -> int:
        """One."""
        return 1

    def run(self, parts: Sequence[Part], watch: Callable[[], None]) -> None:
        """Refuses parts: there is nobody else to run them."""
        raise ConfigError(f"executor=here runs no parts, got {len(parts)}; choose executor=local")
