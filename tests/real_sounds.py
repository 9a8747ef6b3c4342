"""Hooks for schemathesis: of three requests that it makes up one carries a real sound, one a real sound
alone and streamed.

Named by ``SCHEMATHESIS_HOOKS=real_sounds``. Random bytes are refused as ``unsupported_format``, so that
without this no answer with a text would be seen.
"""

from __future__ import annotations

import base64
import io
from itertools import cycle
from typing import Any

import numpy as np
import schemathesis
import soundfile

_written = io.BytesIO()
soundfile.write(_written, np.zeros(3_200), 16_000, format="FLAC")  # 0.2 s
SOUNDS = {"file": _written.getvalue(), "audio": base64.b64encode(_written.getvalue()).decode()}

_turns = cycle(("made up", "real", "streamed"))


@schemathesis.hook  # type: ignore[untyped-decorator]
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Puts the sound in its place, beside a model that is served."""
    body = case.body
    sounds = SOUNDS.keys() & set(body) if isinstance(body, dict) else set()
    turn = next(_turns)
    if not sounds or turn == "made up":
        return
    if turn == "streamed":
        body.clear()
        body["stream"] = True
    body |= {name: SOUNDS[name] for name in sounds} | {"model": "whisper-1"}
