"""A sound to look at and listen to: its waveform, its segments over it, click one to hear it.

Owns the markup and the script of the player; it knows no tab. The sound itself is the uploaded file
under its address on this server.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import quote

import numpy as np

from whisperlab.audio import Samples, Waveform
from whisperlab.transcript import Segment

BARS: Final = 600
"""Bars of the drawn waveform: about one a pixel on a narrow page."""

PLACES: Final = 100
"""Places to click at most: of an hour's segments each holds several, from the first to the last."""

HEIGHT: Final = 100
"""Units of the drawing's height; it is stretched to its box."""

EMPTY: Final = '<p class="wl-empty">No sound yet: record or upload one, or take an example.</p>'

SCRIPT: Final = """
element.addEventListener('click', event => {
  const place = event.target.closest('[data-start]');
  const audio = element.querySelector('audio');
  if (!place || !audio) return;
  audio.currentTime = Number(place.dataset.start);
  audio.play();
});
element.addEventListener('timeupdate', () => {
  const audio = element.querySelector('audio');
  const now = audio.currentTime;
  element.querySelectorAll('[data-start]').forEach(place => place.classList.toggle(
    'wl-now', Number(place.dataset.start) <= now && now < Number(place.dataset.end)));
}, true);
"""
"""Seeks to a segment that is clicked, and marks the one that is heard."""


@dataclass(frozen=True, slots=True)
class Player:
    """A sound's drawing, made once, and where the uploaded file is."""

    drawing: str
    duration_seconds: float
    path: str

    @classmethod
    def of(cls, waveform: Waveform, path: str) -> Player:
        """Returns the player of the uploaded file at ``path``."""
        return cls(waveform_drawing(waveform.samples), max(waveform.duration_seconds, 1e-9), path)

    def shown(self, segments: Sequence[Segment]) -> str:
        """Returns the markup, with the segments over the waveform."""
        address = f"/gradio_api/file={quote(self.path)}"
        each = math.ceil(len(segments) / PLACES) or 1
        places = "".join(
            _place(segments[first : first + each], self.duration_seconds)
            for first in range(0, len(segments), each)
        )
        return (
            f'<div class="wl-player"><div class="wl-wave">{self.drawing}{places}</div>'
            f'<audio controls preload="metadata" aria-label="The sound" src="{escape(address)}"></audio></div>'
        )


def waveform_drawing(samples: Samples) -> str:
    """Returns the waveform as SVG: for each stretch of time the range of its samples."""
    bars = min(BARS, max(1, len(samples)))
    edges = np.linspace(0, len(samples), bars + 1).astype(int)[:-1]
    high = np.maximum.reduceat(samples, edges) if len(samples) else np.zeros(1)
    low = np.minimum.reduceat(samples, edges) if len(samples) else np.zeros(1)
    loudest = max(float(np.abs(samples).max(initial=0.0)), 1e-9)
    middle, scale = HEIGHT / 2, HEIGHT / 2 / loudest
    lines = "".join(
        f"M{n} {middle - top * scale:.1f}V{middle - bottom * scale + 0.5:.1f}"
        for n, (top, bottom) in enumerate(zip(high, low, strict=True))
    )
    return (
        f'<svg viewBox="0 0 {bars} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Waveform"><path d="{lines}"/></svg>'
    )


def _place(segments: Sequence[Segment], duration: float) -> str:
    """Returns where neighbouring segments lie; what is said first stands for them."""
    start, end = segments[0].start, segments[-1].end
    left = 100 * start / duration
    width = max(0.2, 100 * (end - start) / duration)
    text = escape(segments[0].text.strip()) + (" …" if len(segments) > 1 else "")
    return (
        f'<button type="button" class="wl-place" data-start="{start:.3f}" '
        f'data-end="{end:.3f}" style="left:{left:.2f}%;width:{width:.2f}%" '
        f'title="{text}" aria-label="Play from {start:.1f} s: {text}"></button>'
    )
