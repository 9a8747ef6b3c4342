"""Engines that stay loaded between jobs with the same settings.

Owns which are kept. It does not know what the jobs do.
"""

from __future__ import annotations

import gc
import sys
from collections import OrderedDict
from typing import Any

from whisperlab.transcriber import Transcriber


class LoadedEngines:
    """At most ``keep`` engines, the least recently used one goes first.

    Two transcribers share an engine when model, device, precision and engine settings are the same,
    whatever they do before and after it. Engines are not thread-safe, and neither is this.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._kept: OrderedDict[str, Transcriber] = OrderedDict()

    def share(self, transcriber: Transcriber) -> None:
        """Gives ``transcriber`` a kept engine of its settings, or keeps its own from now on."""
        name = repr(transcriber.settings)
        if name in self._kept:
            transcriber.share_engine(self._kept[name])
            self._kept.move_to_end(name)
            return
        while len(self._kept) >= self._keep:
            _, oldest = self._kept.popitem(last=False)
            oldest.unload()
            _free_memory()
        self._kept[name] = transcriber


def _free_memory() -> None:
    """Returns what an engine held to the system, also on a GPU: the next one needs it."""
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
