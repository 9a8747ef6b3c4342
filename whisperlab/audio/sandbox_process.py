"""One sandboxed decoder, seen from its parent: start it, hand it a sound, read its answer, end it.

Owns the child's command line and environment, the deadline of a sound, and the meaning of a death.
It does not know the pool.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from enum import Enum
from time import perf_counter
from typing import Annotated, Final

import numpy as np
import pydantic
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio.limits import AudioLimits
from whisperlab.audio.sandbox_child import (
    JSON_SIZE,
    OUT_OF_MEMORY,
    PROGRAM,
    READY,
    SOUND_SIZE,
    Answer,
    ChildSettings,
)
from whisperlab.audio.waveform import SAMPLE_RATE_HZ, Samples, Waveform
from whisperlab.errors import AudioError, ConfigError
from whisperlab.stopwatch import Stopwatch

_logger = logging.getLogger(__name__)

_PROGRAM = "from whisperlab.audio.sandbox_child import main; main()"
_ANSWER: Final = pydantic.TypeAdapter(Answer)
_START_SECONDS = 60.0  # measured 0.3 s; a machine under load takes longer
_MOST_ANSWER_BYTES = 1 << 20  # the JSON, not the samples
_RESAMPLER_SECONDS = 1.0  # what resampling may add to the longest sound
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # where Python's own libraries may lie


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class SandboxLimits:
    """What one decoder process may use.

    Attributes:
        address_space_bytes: all of it, Python and libraries (0.23 GB) included. The hour of sound
            that ``AudioLimits`` allows takes 0.26 GB and the bytes of its file.
        cpu_seconds: for one sound, rounded up to whole seconds. An hour of Opus at 48 kHz takes 16.
        wall_seconds: for one sound, from its first byte to its last sample; then it is killed. Four
            times ``cpu_seconds``: who works is stopped by those, and an honest hour may get a
            quarter of a core on a busy machine; this stops who hangs without working.
        sounds_per_worker: a process that has answered so many is replaced.
    """

    address_space_bytes: Annotated[int, Field(ge=1 << 29)] = 1 << 30
    cpu_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    wall_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 120.0
    sounds_per_worker: Annotated[int, Field(ge=1)] = 200


class End(Enum):
    """Why a process is not used any longer."""

    RECYCLED = "recycled"
    KILLED = "killed"
    DIED = "died"


class _GoneError(Exception):
    """The child closed its socket."""


class _NonsenseError(Exception):
    """The child said what no decoder says: a sound has damaged it or taken it over."""


class DecoderProcess:
    """A child process that decodes one sound at a time.

    Started without ``fork`` of the parent's memory and without its ``__main__``, so that it is safe
    beside threads and in a notebook. The kernel kills it when the *thread* that started it ends.

    Raises:
        ConfigError: no process could be started.
    """

    def __init__(self, sandbox: SandboxLimits) -> None:
        self._sandbox = sandbox
        self._sounds = 0
        self._reaping = threading.Lock()
        self.end: End | None = None
        try:
            self._channel, theirs = socket.socketpair()
        except OSError as error:
            raise _not_started(error) from error
        with theirs:
            settings = ChildSettings(
                channel=theirs.fileno(),
                program=PROGRAM,
                address_space_bytes=sandbox.address_space_bytes,
                cpu_seconds=sandbox.cpu_seconds,
            )
            try:
                self._process = subprocess.Popen(  # noqa: S603  our own program and settings
                    # -P -s: no folder but those of _environment is searched for modules
                    [sys.executable, "-P", "-s", "-c", _PROGRAM, json.dumps(asdict(settings))],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=_environment(),
                    start_new_session=True,
                )
            except OSError as error:
                self._channel.close()
                raise _not_started(error) from error

    def wait_until_ready(self) -> None:
        """Returns when the limits are in force and the libraries loaded.

        Raises:
            ConfigError: the child ended or hung before that.
        """
        try:
            ready = bytes(self._receive(1, perf_counter() + _START_SECONDS))
        except (OSError, _GoneError) as error:
            what = (
                "it has not yet; try again when the machine is less busy"
                if isinstance(error, TimeoutError)
                else "it ended; see its lines on stderr, "
                f"or raise address_space_bytes ({self._sandbox.address_space_bytes})"
            )
            raise ConfigError(
                f"expected the decoder's process to start within {_START_SECONDS:g} s, {what}"
            ) from error
        if ready != READY:
            raise ConfigError(f"expected {READY!r} of the decoder's process, got {ready!r}")

    def is_waiting(self) -> bool:
        """Whether the child lives and has nothing to say, as it should between two sounds."""
        self._channel.setblocking(False)
        try:
            self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass  # reset: dead
        self.end = End.DIED
        return False

    def decode(self, encoded: bytes, limits: AudioLimits, watch: Stopwatch) -> Waveform:
        """Returns the sound; ``end`` is set afterwards if the process must not be used again.

        Raises:
            AudioError: what ``whisperlab.audio.decode`` says of it, ``decode_timeout``,
                ``decode_memory``, or ``invalid_audio`` when the decoder died of it.
        """
        deadline = perf_counter() + self._sandbox.wall_seconds
        self.end = End.DIED  # until the whole answer is there
        try:
            told = json.dumps(asdict(limits)).encode()
            head = JSON_SIZE.pack(len(told)) + told + SOUND_SIZE.pack(len(encoded))
            self._send(head, deadline)
            self._send(encoded, deadline)
            answer = self._read_answer(deadline)
            samples = self._read_samples(answer.frames, limits.max_seconds, deadline)
        except TimeoutError as error:
            self.end = End.KILLED
            self.kill()
            raise _too_slow(self._sandbox.wall_seconds, "") from error
        except (OSError, _GoneError) as error:
            raise self._why_it_died() from error
        except _NonsenseError as error:
            _logger.warning("a decoder went mad on a sound and was replaced")
            raise _undecodable() from error
        self._sounds += 1
        # Memory that ran out once is fragmented.
        spent = answer.code == "decode_memory" or self._sounds >= self._sandbox.sounds_per_worker
        self.end = End.RECYCLED if spent else None
        for stage, seconds in answer.seconds.items():
            watch.add(stage, seconds)
        for message in answer.warnings:
            _logger.warning("%s", message)
        if answer.code is not None:
            raise AudioError(answer.message or "", code=answer.code)
        return Waveform(samples, SAMPLE_RATE_HZ, truncated=answer.truncated)

    def kill(self) -> None:
        """Kills the child and whatever it may have started; does not wait for it."""
        with self._reaping:
            if self._process.returncode is None:  # not reaped, so the number is still its own
                os.killpg(self._process.pid, signal.SIGKILL)

    def bury(self) -> int:
        """Kills the child, waits for its end and returns its exit status (negative: a signal)."""
        self.kill()
        with self._reaping:
            status = self._process.wait()
        self._channel.close()
        return status

    def _read_answer(self, deadline: float) -> Answer:
        size = JSON_SIZE.unpack(self._receive(JSON_SIZE.size, deadline))[0]
        if size > _MOST_ANSWER_BYTES:
            raise _NonsenseError
        try:
            return _ANSWER.validate_json(bytes(self._receive(size, deadline)), strict=True)
        except pydantic.ValidationError as error:
            raise _NonsenseError from error

    def _read_samples(self, frames: int, max_seconds: float, deadline: float) -> Samples:
        # What a child says is not believed either.
        if not 0 <= frames <= (max_seconds + _RESAMPLER_SECONDS) * SAMPLE_RATE_HZ:
            raise _NonsenseError
        samples = np.empty(frames, dtype=np.float32)
        if frames:
            self._receive_into(samples.data.cast("B"), deadline)
        return samples

    def _send(self, data: bytes, deadline: float) -> None:
        self._channel.settimeout(_remaining(deadline))
        self._channel.sendall(data)

    def _receive(self, size: int, deadline: float) -> bytearray:
        found = bytearray(size)
        self._receive_into(memoryview(found), deadline)
        return found

    def _receive_into(self, room: memoryview, deadline: float) -> None:
        while len(room):
            self._channel.settimeout(_remaining(deadline))
            received = self._channel.recv_into(room)
            if received == 0:
                raise _GoneError
            room = room[received:]

    def _why_it_died(self) -> AudioError:
        # Its end shows on the socket when the status is settled: the kill in bury changes nothing.
        status = self.bury()
        _logger.warning("a decoder died on a sound, exit status %d", status)
        if status == -signal.SIGXCPU:
            self.end = End.KILLED
            return _too_slow(math.ceil(self._sandbox.cpu_seconds), "CPU ")
        if status in (OUT_OF_MEMORY, -signal.SIGKILL):  # the kernel's way when memory is short
            return AudioError(
                "expected a sound that fits the memory, the decoder was ended for want of it; "
                "split it",
                code="decode_memory",
            )
        return _undecodable()


def _undecodable() -> AudioError:
    return AudioError(
        "expected decodable audio, the decoder died of this one; save the recording again",
        code="invalid_audio",
    )


def _not_started(error: OSError) -> ConfigError:
    return ConfigError(
        f"expected {sys.executable} to start as the decoder's process, got {error}; "
        "check it, and the limits on processes and open files"
    )


def _remaining(deadline: float) -> float:
    seconds = deadline - perf_counter()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _too_slow(seconds: float, kind: str) -> AudioError:
    return AudioError(
        f"expected a sound that decodes within {seconds:g} {kind}s, got one that does not; "
        "split the recording or save it again",
        code="decode_timeout",
    )


def _environment() -> dict[str, str]:
    """Returns all that a child knows of its parent's environment: no key, no token, no proxy."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    with contextlib.suppress(FileNotFoundError):  # no folder takes a file: it can do without
        kept["TMPDIR"] = tempfile.gettempdir()
    return kept | {
        "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path),
        **dict.fromkeys(_ONE_THREAD, "1"),
    }
