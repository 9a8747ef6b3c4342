"""Text as it comes: server-sent events with deltas, and a body that ends when the client goes.

Owns the wire form of a stream::

    data: {"type": "transcript.text.delta", "delta": "one two"}

    data: {"type": "transcript.text.done", "text": "one two", "usage": {...}}

The deltas, put together, are the text of the last event.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

_logger = logging.getLogger(__name__)


class DeltaWriter:
    """Turns final segments into deltas whose sum is the transcript's text.

    White space at the end of a segment waits until more text comes: the text is stripped.

    >>> writer = DeltaWriter()
    >>> [writer.add(text) for text in (" one ", " two")], writer.finish("one  two three")
    (['one', '  two'], ' three')
    """

    def __init__(self) -> None:
        self._sent = ""
        self._held = ""

    def add(self, text: str) -> str:
        """Returns the delta of a segment's text; ``""`` when it adds nothing yet."""
        news = self._held + text
        if not self._sent:
            news = news.lstrip()
        delta = news.rstrip()
        self._held = news[len(delta) :] if delta else news
        self._sent += delta
        return delta

    def finish(self, text: str) -> str:
        """Returns what the whole ``text`` has beyond the deltas given."""
        if not text.startswith(self._sent):
            # The engine broke Watch's promise; what was sent cannot be called back.
            _logger.error("the deltas of a stream are not the beginning of its text")
            return ""
        return text[len(self._sent) :]


def event(content: Mapping[str, Any]) -> bytes:
    """Returns one event on the wire: a ``data:`` line and an empty one."""
    written = json.dumps(content, ensure_ascii=False, allow_nan=False)
    return f"data: {written}\n\n".encode()
