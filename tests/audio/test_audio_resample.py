"""Down-mix and resampling, block by block, against soxr in one go."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whisperlab.audio.resample import MonoSignal, full_scale, mix_down

RATES_HZ = (4_000, 8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000)


def signal(frames: int, channels: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(frames).uniform(-1, 1, (frames, channels)).astype(np.float32)


def through(blocks: list[NDArray[np.float32]], rate_hz: int) -> NDArray[np.float32]:
    mono = MonoSignal(rate_hz)
    for block in blocks:
        mono.add(block)
    return mono.finish()


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_the_mix_is_the_mean_of_the_channels(channels: int) -> None:
    block = signal(500, channels)
    # Tolerance: float32 sums of up to 8 terms differ in the last places with their order.
    assert np.allclose(mix_down(block), block.astype(np.float64).mean(axis=1), atol=5e-7)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_blockwise_equals_one_shot(rate_hz: int) -> None:
    whole = signal(rate_hz + 17)
    blocks = np.array_split(whole, sorted([1, 100, 3_001, rate_hz // 2]))
    oracle = soxr.resample(whole[:, 0], rate_hz, 16_000, quality="HQ")
    ours = through(blocks, rate_hz)
    assert abs(len(ours) - len(oracle)) <= 1
    shorter = min(len(ours), len(oracle))
    # Tolerance: soxr's filter in float32; one-shot and streaming round at different places.
    assert np.allclose(ours[:shorter], oracle[:shorter], atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(rate_hz=st.sampled_from(RATES_HZ), cuts=st.lists(st.integers(0, 9_000), max_size=5))
def test_where_the_blocks_are_cut_makes_no_difference(rate_hz: int, cuts: list[int]) -> None:
    whole = signal(9_000)
    assert np.array_equal(
        through(np.array_split(whole, sorted(cuts)), rate_hz), through([whole], rate_hz)
    )


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_length_in_seconds_stays_within_a_sample(rate_hz: int) -> None:
    for frames in (rate_hz // 10, rate_hz + 1, 3 * rate_hz - 7):
        resampled = len(through([signal(frames)], rate_hz))
        assert resampled == pytest.approx(frames * 16_000 / rate_hz, abs=1)


def test_16_khz_passes_bit_for_bit() -> None:
    whole = signal(12_345)
    assert np.array_equal(through(np.array_split(whole, 5), 16_000), whole[:, 0])


def test_a_tone_above_8_khz_does_not_come_back_as_a_lower_one() -> None:
    instants = np.arange(44_100) / 44_100
    high = np.sin(2 * np.pi * 19_000 * instants).astype(np.float32)[:, None]
    middle = through([high], 44_100)[1_000:-1_000]
    assert np.abs(middle).max() < 1e-4  # 80 dB down; naive decimation leaves it whole


def test_nothing_gives_nothing() -> None:
    assert len(through([], 16_000)) == 0
    assert len(through([], 44_100)) == 0


@pytest.mark.parametrize(
    ("peak", "scale"),
    [(0.0, 1.0), (1.0, 1.0), (15.9, 1.0), (17.0, 32_768.0), (32_768.0, 32_768.0), (1e6, 2.0**20)],
)
def test_integer_scale_is_told_from_overshoot(peak: float, scale: float) -> None:
    assert full_scale(peak) == scale
