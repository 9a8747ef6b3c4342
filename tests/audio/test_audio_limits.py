"""AudioLimits: what is refused, with which code, exactly at which value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from whisperlab.audio import UPLOAD_MAX_BYTES, AudioLimits
from whisperlab.errors import AudioError


def code_of(check: Callable[..., None], *values: Any) -> str | None:
    """The code of the refusal, None for none."""
    try:
        check(*values)
    except AudioError as error:
        return error.code
    return None


def test_the_defaults_are_those_of_the_contract() -> None:
    limits = AudioLimits()
    assert (limits.max_bytes, limits.max_seconds, limits.min_seconds) == (None, 3600.0, 0.1)
    assert (limits.max_channels, limits.min_rate_hz, limits.max_rate_hz) == (8, 4_000, 192_000)
    assert not limits.strict
    assert UPLOAD_MAX_BYTES == 26_214_400


@pytest.mark.parametrize(
    ("rate_hz", "code"),
    [
        (4_000, None),
        (192_000, None),
        (3_999, "invalid_sample_rate"),
        (192_001, "invalid_sample_rate"),
        (0, "invalid_sample_rate"),
        (math.nan, "invalid_sample_rate"),
    ],
)
def test_rates_are_refused_outside_the_bounds_and_not_on_them(
    rate_hz: float, code: str | None
) -> None:
    assert code_of(AudioLimits().check_rate, rate_hz) == code


@pytest.mark.parametrize(
    ("channels", "code"),
    [(-1, "invalid_audio"), (0, "invalid_audio"), (1, None), (8, None), (9, "too_many_channels")],
)
def test_no_channels_is_damage_and_many_are_too_many(channels: int, code: str | None) -> None:
    assert code_of(AudioLimits().check_channels, channels) == code


@pytest.mark.parametrize(
    ("size", "code"), [(0, "empty_file"), (1, None), (10, None), (11, "file_too_large")]
)
def test_sizes_are_refused_when_empty_or_above_the_limit(size: int, code: str | None) -> None:
    assert code_of(AudioLimits(max_bytes=10).check_size, size) == code


def test_exactly_100_ms_is_long_enough_at_every_common_rate() -> None:
    for rate_hz in (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000):
        frames = -(-rate_hz // 10)
        assert code_of(AudioLimits().check_too_short, frames, rate_hz) is None
        assert code_of(AudioLimits().check_too_short, frames - 1, rate_hz) == "audio_too_short"


def test_zero_samples_are_too_short_even_without_a_minimum() -> None:
    with pytest.raises(AudioError, match="at least one sample") as caught:
        AudioLimits(min_seconds=0).check_too_short(0, 16_000)
    assert caught.value.code == "audio_too_short"


def test_an_hour_passes_and_a_sample_more_does_not() -> None:
    hour = 3600 * 16_000
    assert code_of(AudioLimits().check_too_long, hour, 16_000, 1) is None
    assert code_of(AudioLimits().check_too_long, hour + 1, 16_000, 1) == "audio_too_long"


def test_many_channels_at_a_high_rate_run_into_the_byte_limit_first() -> None:
    half_an_hour = 1800 * 192_000
    assert code_of(AudioLimits().check_too_long, half_an_hour, 192_000, 2) is None
    assert code_of(AudioLimits().check_too_long, half_an_hour, 192_000, 8) == "audio_too_long"


@pytest.mark.parametrize(
    "settings",
    [
        {"max_bytes": 0},
        {"max_seconds": 0},
        {"max_seconds": math.inf},
        {"min_seconds": math.nan},
        {"max_channels": True},
        {"max_rate_hz": "48000"},
        {"strict": 1},
        {"max_minutes": 5},
    ],
)
def test_settings_that_cannot_be_meant_are_refused_at_build(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        AudioLimits(**settings)
