r"""The program of one sandboxed decoder: shuts itself in, then answers sounds until its parent is gone.

It inherits one socket. What goes over it (little endian)::

    parent  70000000 {"max_bytes": ... }  size of the JSON (32 bits), the sound's limits as JSON
            0100000000000000 00 ...    size of the encoded sound (64 bits), then the sound
    child   3a000000 {"code": null, ... , "frames": 160000} ...    size of the JSON (32 bits), the
                                       JSON, then ``frames`` float32 samples at 16 kHz

The answer is JSON and raw numbers, never a pickle: a decoder that a sound has taken over must not be
able to run anything in its parent.

Owns the limits of the process and its side of the wire. It does not know the pool, nor when it is
killed or replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import logging
import math
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import wave
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

import pydantic

from whisperlab.audio.limits import AudioLimits
from whisperlab.audio.waveform import Waveform
from whisperlab.errors import AudioError
from whisperlab.stopwatch import Stopwatch

SOUND_SIZE = struct.Struct("<Q")
JSON_SIZE = struct.Struct("<I")
READY = b"R"
"""What the child sends once, when its limits are in force and its libraries are loaded."""

PROGRAM = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
"""What this file was when it was read: a parent from before an upgrade speaks otherwise."""

OUT_OF_MEMORY = 12  # exit status: ENOMEM
_IMPORTED_LATE = ("av.subtitles.codeccontext", "av.subtitles.stream")  # by PyAV, at first need
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_FIRST_TO_GO = "1000"  # linux/oom.h: OOM_SCORE_ADJ_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSettings:
    """What the parent tells its child on the command line, as JSON.

    ``channel`` is the number of the inherited socket, ``program`` the parent's ``PROGRAM``.
    """

    channel: int
    program: str
    address_space_bytes: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the child says of a sound; ``frames`` samples follow.

    ``code`` and ``message`` are those of its ``AudioError``, None for a sound; ``seconds`` are the
    stages of its stopwatch, ``warnings`` what was logged.
    """

    code: str | None = None
    message: str | None = None
    frames: int = 0
    truncated: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def main() -> None:
    """Runs the decoder; ``sys.argv[1]`` is its ``ChildSettings``."""
    if json.loads(sys.argv[1]).get("program") != PROGRAM:
        sys.exit("expected the decoder's program as it was when this server began, got another on disk: start the server again after an upgrade")  # fmt: skip
    settings = pydantic.TypeAdapter(ChildSettings).validate_json(sys.argv[1], strict=True)
    _live_and_die_with_parent()
    _load_libraries()
    warnings = _keep_warnings()
    reader = open(settings.channel, "rb", closefd=False)  # noqa: SIM115  ends with the process
    writer = open(settings.channel, "wb", closefd=False)  # noqa: SIM115  as above
    shut_in(settings.address_space_bytes)
    _send(writer, READY)
    read_limits = pydantic.TypeAdapter(AudioLimits).validate_json
    try:
        while size := reader.read(JSON_SIZE.size):
            _grant_cpu(settings.cpu_seconds)
            limits = read_limits(reader.read(JSON_SIZE.unpack(size)[0]), strict=True)
            encoded = reader.read(SOUND_SIZE.unpack(reader.read(SOUND_SIZE.size))[0])
            _answer(writer, encoded, limits, warnings)
            del encoded  # before the next sound takes its room
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def shut_in(address_space_bytes: int) -> None:
    """Puts every limit that holds for the life of the process into force.

    No file, socket or process can be opened or started any more, nothing written, and the working
    directory exists no longer (where none can be made, it is the root). Standard error is silenced: until here errors are seen on the
    parent's, but libraries must not write there what a sound makes them say.
    RLIMIT_NPROC does not bind a superuser: serve as an ordinary user.
    """
    try:
        folder = tempfile.mkdtemp(prefix="whisperlab-decoder-")
        os.chdir(folder)
        os.rmdir(folder)
    except OSError:  # a disk that is full or read-only
        os.chdir("/")
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())
    if sys.platform == "linux":  # macOS refuses the call
        _cap(resource.RLIMIT_AS, address_space_bytes)
    _cap(resource.RLIMIT_NPROC, 0)
    _cap(resource.RLIMIT_FSIZE, 0)
    _cap(resource.RLIMIT_CORE, 0)
    _cap(resource.RLIMIT_NOFILE, 0)


def _answer(writer: IO[bytes], encoded: bytes, limits: AudioLimits, warnings: list[str]) -> None:
    from whisperlab.audio.decode import decode

    watch, waveform = Stopwatch(), None
    warnings.clear()
    try:
        waveform = decode(encoded, limits, stopwatch=watch)
    except AudioError as error:
        answer = Answer(
            code=error.code, message=str(error), seconds=watch.seconds, warnings=warnings
        )
    else:
        answer = Answer(
            frames=len(waveform.samples),
            truncated=waveform.truncated,
            seconds=watch.seconds,
            warnings=warnings,
        )
    text = json.dumps(asdict(answer)).encode()
    _send(writer, JSON_SIZE.pack(len(text)) + text, waveform)


def _send(writer: IO[bytes], head: bytes, waveform: Waveform | None = None) -> None:
    writer.write(head)
    if waveform is not None:
        writer.write(waveform.samples.data)  # straight from the array, without a copy
    writer.flush()


def _live_and_die_with_parent() -> None:
    """Leaves the end of this process to its parent, which a stop signal may find at work.

    Elsewhere than on Linux an idle child sees the end of its socket, and a busy one its CPU limit.
    """
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # service managers send them to all
        signal.signal(stop, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        # The kernel kills this process when the thread that started it ends,
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # and when memory is short this process rather than the one that holds the model. A host may
        # forbid to say so; every limit holds without it.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")


def _load_libraries() -> None:
    """Imports everything that decoding may need, and decodes once, while files can still be opened."""
    from whisperlab.audio import decode, pyav_reader  # noqa: F401  loads FFmpeg

    for module in _IMPORTED_LATE:
        importlib.import_module(module)
    silence = io.BytesIO()
    with wave.open(silence, "wb") as written:
        written.setparams((1, 2, 8_000, 0, "NONE", ""))  # 8 kHz: loads libsndfile and soxr
        written.writeframes(bytes(2 * 8_000))
    decode(silence.getvalue())


def _cap(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _grant_cpu(seconds: float) -> None:
    """Allows ``seconds`` of CPU from now on: RLIMIT_CPU counts from the start of the process."""
    used = math.ceil(time.process_time())
    resource.setrlimit(
        resource.RLIMIT_CPU, (used + math.ceil(seconds), resource.getrlimit(resource.RLIMIT_CPU)[1])
    )


class _Kept(logging.Handler):
    """Keeps messages in a list, for the parent to log."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(record.getMessage())


def _keep_warnings() -> list[str]:
    messages: list[str] = []
    logging.getLogger("whisperlab").addHandler(_Kept(messages))
    return messages
