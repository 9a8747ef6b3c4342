"""A preprocessor for other processes: dies, hangs or complains, as the first sample says."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass

from whisperlab.audio import Waveform
from whisperlab.errors import MissingExtraError


@dataclass(frozen=True)
class Trouble:
    """A preprocessor that dies, hangs or complains by the first sample."""

    def __call__(self, waveform: Waveform) -> Waveform:
        what = waveform.samples[0]
        if what == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if what == 2:
            raise MissingExtraError("nothing", "none", "a test")
        if what == 3:
            raise ValueError("odd sound")
        if what == 4:
            threading.Event().wait()
        print("noise on stdout")  # noqa: T201 - a library may do so
        return waveform
