from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from whisperlab.audio import Waveform
from whisperlab.preprocess.telephone import TelephoneBand

LINE = TelephoneBand(low_hz=300.0, high_hz=3400.0, order=6)


def gain_db(hz: float, rate_hz: int = 16_000) -> float:
    times = np.arange(3 * rate_hz) / rate_hz
    before = np.sin(2 * np.pi * hz * times).astype(np.float32)
    after = LINE(Waveform(before, rate_hz)).samples
    middle = slice(rate_hz, 2 * rate_hz)
    return float(20 * np.log10(np.std(after[middle]) / np.std(before[middle])))


@pytest.mark.parametrize("edge_hz", [300.0, 3_400.0])
def test_both_edges_fall_by_6_db(edge_hz: float) -> None:
    assert gain_db(edge_hz) == pytest.approx(-6.02, abs=0.1)


def test_the_voice_passes() -> None:
    assert gain_db(1_000.0) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("hz", [100.0, 6_000.0])
def test_what_a_line_does_not_carry_is_gone(hz: float) -> None:
    assert gain_db(hz) < -60.0


def test_the_sample_rate_and_the_time_stay() -> None:
    waveform = Waveform(np.ones(4_410, dtype=np.float32), 44_100, start=1.0)
    limited = LINE(waveform)
    assert (limited.sample_rate, limited.start, limited.end) == (44_100, 1.0, 1.1)


def test_a_rate_that_cannot_hold_the_upper_edge_only_loses_its_lows() -> None:
    assert gain_db(1_900.0, rate_hz=4_000) == pytest.approx(0.0, abs=0.05)
    assert gain_db(100.0, rate_hz=4_000) < -60.0


def test_a_band_upside_down_is_refused() -> None:
    with pytest.raises(ValidationError, match="low_hz below high_hz"):
        TelephoneBand(low_hz=900.0, high_hz=800.0, order=6)
