"""Hooks for schemathesis: half of the requests that it makes up carry a real sound.

Named by ``SCHEMATHESIS_HOOKS=real_sounds``. Random bytes are refused as ``unsupported_format``, so that
without this no answer with a text would be seen.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import schemathesis
import soundfile

_written = io.BytesIO()
soundfile.write(_written, np.zeros(3_200), 16_000, format="FLAC")  # 0.2 s
SOUND = _written.getvalue()


@schemathesis.hook  # type: ignore[untyped-decorator]
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Puts the sound in place of made-up bytes of even length, beside a model that is served."""
    body = case.body
    if not isinstance(body, dict):
        return
    for name, real in (("file", SOUND), ("audio", base64.b64encode(SOUND).decode("ascii"))):
        if isinstance(body.get(name), (bytes, str)) and len(body[name]) % 2 == 0:
            body |= {name: real, "model": "whisper-1"}
