from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from whisperlab.audio import Waveform
from whisperlab.preprocess.preemphasis import Preemphasis


def test_each_sample_loses_its_predecessor() -> None:
    waveform = Waveform(np.array([0.5, 1.0, -1.0], dtype=np.float32), start=3.0)
    emphasised = Preemphasis(coefficient=0.5)(waveform)
    np.testing.assert_allclose(emphasised.samples, [0.25, 0.75, -1.5])
    assert emphasised.start == 3.0


def test_a_single_sample_is_taken() -> None:
    emphasised = Preemphasis(coefficient=0.97)(Waveform(np.ones(1, dtype=np.float32)))
    np.testing.assert_allclose(emphasised.samples, [0.03], rtol=1e-6)


@pytest.mark.parametrize(
    ("hz", "expected_db"),
    # |1 - 0.97 e^(-jw)|: 0.03 at 0 Hz, 1.97 at Nyquist, sqrt(1 + 0.97^2) at a quarter of the rate
    [(1.0, -30.45), (4_000.0, 2.88), (7_999.0, 5.89)],
)
def test_the_response_is_that_of_the_difference(hz: float, expected_db: float) -> None:
    times = np.arange(32_000) / 16_000
    before = np.sin(2 * np.pi * hz * times + 0.4).astype(np.float32)
    after = Preemphasis(coefficient=0.97)(Waveform(before)).samples
    gain_db = 20 * np.log10(np.std(after[1_000:]) / np.std(before[1_000:]))
    assert gain_db == pytest.approx(expected_db, abs=0.05)


@pytest.mark.parametrize("coefficient", [0.0, 1.01, -0.97, True])
def test_a_coefficient_out_of_range_is_refused(coefficient: float) -> None:
    with pytest.raises(ValidationError, match="coefficient"):
        Preemphasis(coefficient=coefficient)
