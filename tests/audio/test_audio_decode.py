"""The door itself: right samples against independent decoders, limits, stages, strictness."""

from __future__ import annotations

import io
import json
import logging
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from sound_bytes import chunk, encode, fmt, mux, pcm16, riff, tone, wav

from whisperlab.audio import UPLOAD_MAX_BYTES, AudioLimits, Waveform, decode
from whisperlab.errors import AudioError
from whisperlab.stopwatch import Stopwatch


def refusal(content: bytes, limits: AudioLimits = AudioLimits()) -> str:  # noqa: B008  frozen
    with pytest.raises(AudioError) as caught:
        decode(content, limits)
    assert "\n" not in str(caught.value)
    return caught.value.code


def outcome(source: bytes | Path) -> Waveform | AudioError:
    try:
        return decode(source)
    except AudioError as error:
        return error


def float_wav(samples: NDArray[np.float32], channels: int = 1) -> bytes:
    return riff(fmt(3, channels, bits=32), chunk(b"data", samples.astype("<f4").tobytes()))


def test_16_khz_mono_pcm_comes_through_bit_for_bit() -> None:
    numbers = np.array([0, 1, -1, 16_384, 32_767, -32_768] * 400, dtype="<i2")
    waveform = decode(riff(fmt(), chunk(b"data", numbers.tobytes())))
    assert waveform.samples.dtype == np.float32
    assert np.array_equal(waveform.samples * 32_768, numbers)
    assert (waveform.sample_rate, waveform.start, waveform.truncated) == (16_000, 0.0, False)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_wav_equals_soundfile_and_soxr_in_one_go(subtype: str, rate_hz: int) -> None:
    content = encode(tone(1.5, rate_hz), rate_hz, "WAV", subtype)
    plain, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    oracle = soxr.resample(plain, rate_hz, 16_000, quality="HQ")
    ours = decode(content).samples
    assert len(ours) == len(oracle) == 24_000
    # Tolerance: streaming and one-shot soxr round at different places (float32).
    assert np.allclose(ours, oracle, atol=2e-6)


def test_stereo_is_the_mean_of_both_sides() -> None:
    left, right = tone(hz=300), tone(hz=500)
    both = np.stack([left, right], axis=1).reshape(-1)
    assert np.array_equal(decode(float_wav(both, channels=2)).samples, (left + right) / 2)


@pytest.mark.parametrize(
    ("container", "codec", "rate_hz"),
    [
        ("ipod", "aac", 44_100),
        ("mp4", "alac", 48_000),
        ("mp4", "libmp3lame", 48_000),
        ("mov", "pcm_s24le", 48_000),
        ("webm", "libopus", 48_000),
        ("matroska", "flac", 16_000),
        ("matroska", "pcm_f32le", 44_100),
        ("matroska", "pcm_u8", 8_000),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_containers_equal_ffmpegs_own_conversion(
    container: str, codec: str, rate_hz: int, channels: int
) -> None:
    sides = np.stack([tone(1.0, rate_hz, 300), tone(1.0, rate_hz, 900)], axis=1)[:, :channels]
    content = mux(sides, rate_hz, container, codec)
    pieces = []
    with av.open(io.BytesIO(content)) as opened:
        resampler = av.AudioResampler("flt")
        for frame in opened.decode(audio=0):
            for converted in resampler.resample(frame):
                pieces.append(converted.to_ndarray().reshape(-1, channels).mean(axis=1))
    plain = np.concatenate(pieces)
    oracle = plain if rate_hz == 16_000 else soxr.resample(plain, rate_hz, 16_000, quality="HQ")
    ours = decode(content).samples
    assert abs(len(ours) - len(oracle)) <= 1
    shorter = min(len(ours), len(oracle))
    assert np.allclose(ours[:shorter], oracle[:shorter], atol=3e-6)
    # Lossy codecs pad to whole frames of up to 1152 samples.
    assert decode(content).duration_seconds == pytest.approx(1.0, abs=1152 / rate_hz)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_eight_planes_are_eight_channels(codec: str) -> None:
    sides = np.stack([tone(0.5, 48_000, 300)] * 8, axis=1)
    samples = decode(mux(sides, 48_000, "matroska", codec)).samples
    assert np.abs(samples[2_000:6_000]).max() == pytest.approx(0.4, abs=0.05)


def test_the_first_of_two_audio_tracks_counts() -> None:
    content = mux(tone(1.0, 48_000), 48_000, "matroska", "flac", tracks=2)
    assert np.abs(decode(content).samples).max() == pytest.approx(0.4, abs=0.01)  # the second: 0.2


def test_other_codecs_and_other_streams_are_refused() -> None:
    assert refusal(mux(tone(1.0, 48_000), 48_000, "matroska", "ac3")) == "unsupported_codec"
    written = io.BytesIO()
    with av.open(written, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(10):
            picture = np.zeros((32, 32, 3), dtype=np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        output.mux(stream.encode(None))
    assert refusal(written.getvalue()) == "no_audio_stream"


def test_path_and_bytes_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "not what it says.mp3"
    path.write_bytes(encode(tone(), 44_100, "FLAC"))
    assert np.array_equal(decode(path).samples, decode(path.read_bytes()).samples)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.1e6, -3e38])
def test_one_impossible_sample_anywhere_is_refused(value: float) -> None:
    for place in (0, 4_321, -1):
        samples = tone()
        samples[place] = value
        assert refusal(float_wav(samples)) == "invalid_samples"


def test_a_double_beyond_float32_is_refused() -> None:
    samples = tone().astype(np.float64)
    samples[7] = 1e300
    doubles = chunk(b"data", samples.astype("<f8").tobytes())
    assert refusal(riff(fmt(3, bits=64), doubles)) == "invalid_samples"


def test_float_samples_in_integer_scale_are_divided_back_and_it_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        scaled = decode(float_wav(tone() * 32_768))
    assert np.array_equal(scaled.samples, tone())
    assert "32768" in caplog.text


def test_overshoot_of_full_scale_is_left_alone() -> None:
    assert np.array_equal(decode(float_wav(tone() * 5)).samples, tone() * 5)


def test_too_short_too_long_too_large_and_empty_have_their_codes() -> None:
    assert refusal(b"") == "empty_file"
    assert refusal(wav(tone(0.0999))) == "audio_too_short"
    assert decode(wav(tone(0.1))).duration_seconds == 0.1
    assert refusal(wav(tone(2.01)), AudioLimits(max_seconds=2)) == "audio_too_long"
    assert decode(wav(tone(2.0)), AudioLimits(max_seconds=2)).duration_seconds == 2.0
    assert refusal(wav(), AudioLimits(max_bytes=100)) == "file_too_large"
    assert refusal(bytes(UPLOAD_MAX_BYTES + 1), AudioLimits(max_bytes=UPLOAD_MAX_BYTES)) == (
        "file_too_large"
    )


@pytest.mark.parametrize("container", ["FLAC", "MP3", "OGG", "AIFF", "WAV"])
def test_seconds_are_counted_in_every_format(container: str) -> None:
    content = encode(tone(3.0), 16_000, container)
    assert refusal(content, AudioLimits(max_seconds=2)) == "audio_too_long"
    assert refusal(content, AudioLimits(min_seconds=4)) == "audio_too_short"


def test_seconds_and_channels_are_counted_in_containers() -> None:
    content = mux(np.stack([tone(3.0, 48_000)] * 2, axis=1), 48_000, "ipod", "aac")
    assert refusal(content, AudioLimits(max_seconds=2)) == "audio_too_long"
    assert refusal(content, AudioLimits(max_channels=1)) == "too_many_channels"
    assert refusal(content, AudioLimits(max_rate_hz=44_100)) == "invalid_sample_rate"


def test_strict_refuses_what_was_cut_and_nothing_else() -> None:
    cut = riff(fmt(), chunk(b"data", pcm16(tone()), size=10**6))
    assert decode(cut).truncated
    assert refusal(cut, AudioLimits(strict=True)) == "invalid_audio"
    assert not decode(wav(), AudioLimits(strict=True)).truncated


def test_the_stages_are_measured_and_add_up(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(encode(tone(20.0, 44_100), 44_100, "FLAC"))
    watch = Stopwatch()
    decode(path, stopwatch=watch)
    assert set(watch.seconds) == {"read", "decode", "resample"}
    assert all(seconds > 0 for seconds in watch.seconds.values())


def test_stages_are_measured_when_the_sound_is_refused_too() -> None:
    watch = Stopwatch()
    with pytest.raises(AudioError):
        decode(b"RIFF", stopwatch=watch)
    assert watch.seconds["decode"] >= 0


def test_no_file_stays_open(tmp_path: Path) -> None:
    contents = [wav(), riff(), mux(tone(1.0, 48_000), 48_000, "webm", "libopus")]
    before = len(list(Path("/proc/self/fd").iterdir()))
    for index, content in enumerate(contents * 5):
        path = tmp_path / str(index)
        path.write_bytes(content)
        outcome(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_container_that_refers_to_another_file_reads_only_itself(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(tone(hz=1_000)))
    content = mux(tone(1.0, 48_000), 48_000, "mov", "pcm_s16le")
    inner = struct.pack(">I4sI", 12, b"url ", 1)
    assert inner in content  # "in this file"
    outside = struct.pack(">I4sI", 12, b"alis", 0)
    result = outcome(content.replace(inner, outside))
    if isinstance(result, AudioError):
        assert result.code == "invalid_audio"
    else:
        assert np.array_equal(result.samples, decode(content).samples)


def test_texts_that_ffmpeg_would_obey_are_no_sound(tmp_path: Path) -> None:
    (tmp_path / "neighbour.wav").write_bytes(wav())
    for text in (
        "ffconcat version 1.0\nfile neighbour.wav\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        "#EXTM3U\n#EXTINF:1,\nneighbour.wav\n",
    ):
        path = tmp_path / "text.wav"
        path.write_text(text)
        assert refusal(path.read_bytes()) == "unsupported_format"
        with pytest.raises(AudioError):
            decode(path)


def test_importing_the_room_loads_no_decoder() -> None:
    code = (
        "import sys, json, whisperlab.audio; "
        "print(json.dumps([m for m in ('soundfile', 'av', 'soxr', 'scipy') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
