"""Race configurations, recommend one: `python -m whisperlab.search`, and ``whisperlab.search(...)``.

The function has the name of the package that it lives in, so the package can be called.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whisperlab.experiment.race_summary import SearchResult


class _Callable(ModuleType):
    """A module that is a function as well."""

    def __call__(self, *overrides: str, config_dir: Path | None = None) -> SearchResult:
        """Returns what `whisperlab.search.searching.search` returns."""
        from whisperlab.search.searching import search

        return search(*overrides, config_dir=config_dir)


sys.modules[__name__].__class__ = _Callable
