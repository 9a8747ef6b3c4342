from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from whisperlab.audio import Waveform
from whisperlab.preprocess.highpass import HighPass

RATE_HZ = 16_000
FILTER = HighPass(cutoff_hz=80.0, order=2)


def gain_db(hz: float) -> float:
    """Level change of a sine in dB, away from the ends."""
    times = np.arange(4 * RATE_HZ) / RATE_HZ
    before = np.sin(2 * np.pi * hz * times).astype(np.float32)
    after = FILTER(Waveform(before, RATE_HZ)).samples
    middle = slice(RATE_HZ, 3 * RATE_HZ)
    return float(20 * np.log10(np.std(after[middle]) / np.std(before[middle])))


def test_20_hz_falls_by_what_butterworth_says() -> None:
    # |H|^2 = 1 / (1 + (80/20)^(2*2)) = 1/257 a pass, -24.10 dB, twice
    assert gain_db(20.0) == pytest.approx(-48.2, abs=0.2)


def test_the_cutoff_falls_by_6_db() -> None:
    assert gain_db(80.0) == pytest.approx(-6.02, abs=0.05)


def test_1_khz_passes_unchanged() -> None:
    assert gain_db(1_000.0) == pytest.approx(0.0, abs=0.01)


def test_nothing_moves_in_time() -> None:
    click = np.zeros(RATE_HZ, dtype=np.float32)
    click[6_000] = 1.0
    filtered = FILTER(Waveform(click, RATE_HZ)).samples
    assert int(np.argmax(np.abs(filtered))) == 6_000
    # symmetric about the click: phase shifts cancelled
    np.testing.assert_allclose(filtered[5_000:6_000], filtered[7_000:6_000:-1], atol=1e-6)


def test_an_offset_vanishes_without_a_thump() -> None:
    offset = Waveform(np.full(RATE_HZ, 0.3, dtype=np.float32), RATE_HZ)
    assert float(np.abs(FILTER(offset).samples).max()) < 1e-6


@pytest.mark.parametrize("cutoff_hz", [0.0, -80.0, 1_000.5, float("nan"), True])
def test_a_cutoff_that_some_rate_cannot_hold_is_refused(cutoff_hz: float) -> None:
    with pytest.raises(ValidationError, match="cutoff_hz"):
        HighPass(cutoff_hz=cutoff_hz, order=2)
