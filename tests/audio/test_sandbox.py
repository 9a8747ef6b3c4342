"""The sandbox says what ``decode`` says, to many callers at a time and in their order."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from decoder_processes import gone, long_sound, one_decoder, until
from sound_bytes import chunk, encode, fmt, mux, riff, tone, wav

from whisperlab.audio import UPLOAD_MAX_BYTES, AudioLimits, Samples, Waveform, decode
from whisperlab.audio.sandbox import DecodeSandbox
from whisperlab.errors import AudioError, ConfigError
from whisperlab.stopwatch import Stopwatch

UPLOADS = AudioLimits(max_bytes=UPLOAD_MAX_BYTES)

Verdict = tuple[object, ...]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[DecodeSandbox]:
    with DecodeSandbox(workers=2) as opened:
        yield opened


def verdict(door: Callable[[bytes], Waveform], encoded: bytes) -> tuple[Verdict, Samples | None]:
    try:
        waveform = door(encoded)
    except AudioError as error:
        return (error.code, str(error)), None
    return ("accepted", waveform.truncated, waveform.sample_rate), waveform.samples


def in_process(encoded: bytes) -> Waveform:
    return decode(encoded, UPLOADS)


def code(sandbox: DecodeSandbox, encoded: bytes) -> object:
    return verdict(sandbox.decode, encoded)[0][0]


def differences(sandbox: DecodeSandbox, files: Sequence[Path]) -> list[object]:
    """Files on which sandbox and ``decode`` do not say the very same."""
    found: list[object] = []
    for path in files:
        encoded = path.read_bytes()
        inside, samples = verdict(sandbox.decode, encoded)
        here, expected = verdict(in_process, encoded)
        if inside != here:
            found.append((path.name, inside, here))
        elif samples is not None and expected is not None and not np.array_equal(samples, expected):
            found.append((path.name, "other samples"))
    return found


def corpus(test_data: Path) -> list[tuple[str, Path]]:
    """Family and path of every odd and hostile file."""
    found = []
    for folder in ("weird", "badaudio"):
        lines = (test_data / folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
        for row in map(json.loads, lines):
            # Odd files have no families: one for each kind of file.
            family = row.get("family") or Path(row["audio_filepath"]).suffix
            found.append((family, test_data / folder / row["audio_filepath"]))
    assert len(found) > 200
    return found


def test_a_sample_of_every_hostile_family_is_answered_as_in_process(
    sandbox: DecodeSandbox, test_data: Path
) -> None:
    first: dict[str, list[Path]] = {}
    for family, path in corpus(test_data):
        first.setdefault(family, []).append(path)
    chosen = [path for paths in first.values() for path in paths[:: max(1, len(paths) // 3)][:3]]
    assert len(first) > 20
    assert differences(sandbox, chosen) == []
    assert sandbox.counts.died == sandbox.counts.killed == 0


@pytest.mark.slow
def test_every_odd_and_hostile_file_is_answered_as_in_process(test_data: Path) -> None:
    with DecodeSandbox(workers=1) as sandbox:
        assert differences(sandbox, [path for _, path in corpus(test_data)]) == []
        assert sandbox.counts.died == sandbox.counts.killed == 0


@pytest.mark.parametrize(
    "encoded",
    [
        wav(),
        encode(tone(1.0, 44_100), 44_100, "FLAC", "PCM_16"),
        encode(tone(1.0, 48_000), 48_000, "OGG", "OPUS"),
        encode(tone(1.0, 48_000), 48_000, "OGG", "VORBIS"),
        encode(tone(1.0, 48_000), 48_000, "MP3"),
        mux(tone(1.0, 48_000), 48_000, "mp4", "aac"),
        mux(tone(1.0, 48_000), 48_000, "webm", "libopus"),
    ],
    ids=["wav", "flac", "opus", "vorbis", "mp3", "mp4", "webm"],
)
def test_samples_are_those_of_decode_bit_by_bit(sandbox: DecodeSandbox, encoded: bytes) -> None:
    assert np.array_equal(sandbox.decode(encoded).samples, decode(encoded).samples)


@pytest.mark.parametrize("encoded", [b"", b"no sound", bytes(UPLOAD_MAX_BYTES + 1)])
def test_refusals_have_the_code_and_the_words_of_decode(
    sandbox: DecodeSandbox, encoded: bytes
) -> None:
    refused = verdict(sandbox.decode, encoded)
    assert refused == verdict(in_process, encoded)
    assert refused[1] is None


def test_the_callers_limits_hold_in_the_child() -> None:
    limits = AudioLimits(max_seconds=1.0, strict=True)
    with DecodeSandbox(1, limits) as sandbox:
        assert code(sandbox, wav(tone(1.5))) == "audio_too_long"
        assert code(sandbox, wav()[:-100]) == "invalid_audio"  # cut, which strict refuses


def test_the_stages_of_the_child_reach_the_callers_stopwatch(sandbox: DecodeSandbox) -> None:
    watch = Stopwatch()
    started = time.perf_counter()
    sandbox.decode(encode(tone(5.0, 48_000), 48_000, "FLAC"), watch)
    elapsed = time.perf_counter() - started
    assert set(watch.seconds) == {"read", "decode", "resample"}
    assert 0 < sum(watch.seconds.values()) < elapsed


def test_a_warning_of_the_child_is_logged_by_the_parent(
    sandbox: DecodeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    unscaled = riff(fmt(tag=3, bits=32), chunk(b"data", (tone() * 30_000).tobytes()))
    with caplog.at_level(logging.WARNING, "whisperlab"):
        sandbox.decode(unscaled)
        sandbox.decode(wav())
    assert caplog.messages == ["float samples in integer scale were divided by 32768"]


# Callers


def test_eight_threads_on_two_processes_each_get_their_own_sound(sandbox: DecodeSandbox) -> None:
    tones = [tone(0.3, hz=200.0 + 50 * index) for index in range(32)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda samples: sandbox.decode(wav(samples)), tones))
    for samples, answer in zip(tones, answers, strict=True):
        assert np.array_equal(answer.samples, decode(wav(samples)).samples)
    assert sandbox.counts.busy == sandbox.counts.waiting == 0


def test_who_came_first_is_served_first() -> None:
    served: list[int] = []
    slow = long_sound(minutes=20)  # far longer than a thread needs to note its number

    def call(sandbox: DecodeSandbox, number: int) -> None:
        sandbox.decode(slow)
        served.append(number)

    with one_decoder() as (sandbox, child), ThreadPoolExecutor(4) as threads:
        child.suspend()
        calls = []
        for number in range(4):
            calls.append(threads.submit(call, sandbox, number))
            until(lambda: sandbox.counts.busy + sandbox.counts.waiting == len(calls))
        child.resume()
        for made in calls:
            made.result()
    assert served == [0, 1, 2, 3]


def test_a_caller_who_waits_too_long_is_told_to_come_later() -> None:
    with one_decoder() as (sandbox, child):
        child.suspend()
        with ThreadPoolExecutor(1) as threads:
            busy = threads.submit(sandbox.decode, wav())
            until(lambda: sandbox.counts.busy == 1)
            with pytest.raises(AudioError, match="all are busy") as refused:
                sandbox.decode(wav(), timeout_seconds=0.05)
            assert refused.value.code == "overloaded"
            child.resume()
            assert busy.result().duration_seconds == 0.5
        assert sandbox.decode(wav(), timeout_seconds=0.05).duration_seconds == 0.5
        assert sandbox.counts.waiting == 0


def test_a_process_is_replaced_after_its_number_of_sounds() -> None:
    with one_decoder(sounds_per_worker=3) as (sandbox, first):
        for _ in range(7):
            sandbox.decode(wav())
        assert gone(first)
        counts = sandbox.counts
    assert (counts.started, counts.recycled, counts.died, counts.killed) == (3, 2, 0, 0)


def test_closing_answers_those_who_work_wait_and_come_later() -> None:
    with one_decoder() as (sandbox, child), ThreadPoolExecutor(2) as threads:
        child.suspend()
        callers = [threads.submit(code, sandbox, wav()) for _ in range(2)]
        until(lambda: sandbox.counts.busy == sandbox.counts.waiting == 1)
        sandbox.close()
        assert [caller.result() for caller in callers] == ["overloaded"] * 2
        assert code(sandbox, wav()) == "overloaded"
        sandbox.close()  # a second time changes nothing
        assert sandbox.counts.alive == 0


def test_a_program_that_cannot_decode_is_reported_when_the_sandbox_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(ConfigError, match="it ended"):
        DecodeSandbox()
    monkeypatch.setattr(sys, "executable", "/bin/no-such-python")
    with pytest.raises(ConfigError, match="no-such-python to start"):
        DecodeSandbox()
    with pytest.raises(ConfigError, match="workers"):
        DecodeSandbox(0)


def test_a_machine_that_is_too_busy_to_start_a_decoder_is_called_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("whisperlab.audio.sandbox_process._START_SECONDS", 0.01)
    with pytest.raises(ConfigError, match="less busy"):
        DecodeSandbox()
