"""The player's markup: what can be clicked covers the sound from its first word to its last."""

from __future__ import annotations

import re

import numpy as np
import pytest

from whisperlab.app.player import PLACES, Player
from whisperlab.audio import SAMPLE_RATE_HZ, Waveform
from whisperlab.transcript import Segment


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, 1), (100, 100), (101, 51), (1000, 100)])
def test_every_segment_lies_in_a_place_to_click(count: int, shown: int) -> None:
    sound = Waveform(np.zeros(10 * SAMPLE_RATE_HZ, dtype=np.float32), SAMPLE_RATE_HZ)
    segments = [Segment(0.01 * n, 0.01 * (n + 1), f" <{n}>") for n in range(count)]
    markup = Player.of(sound, "/uploads/a b.flac").shown(segments)
    starts = re.findall(r'data-start="([\d.]+)"', markup)
    ends = re.findall(r'data-end="([\d.]+)"', markup)
    assert len(starts) == shown <= PLACES
    assert starts[1:] == ends[:-1]
    assert ends[-1:] == [f"{0.01 * n:.3f}" for n in range(count, count and count + 1)]
    assert "<0>" not in markup
    assert 'src="/gradio_api/file=/uploads/a%20b.flac"' in markup
