"""A decoder's limits are in force, its death costs one sound, and nothing of it stays behind."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from decoder_processes import decoders, ended, gone, long_sound, one_decoder, until
from sound_bytes import tone, wav

from whisperlab.audio import AudioLimits, Waveform, decode
from whisperlab.audio.sandbox import DecodeSandbox, SandboxLimits
from whisperlab.audio.sandbox_child import JSON_SIZE
from whisperlab.errors import AudioError

CANARY = "WHISPERLAB_TEST_CANARY_KEY"


def refusal(sandbox: DecodeSandbox, encoded: bytes) -> str:
    with pytest.raises(AudioError) as refused:
        sandbox.decode(encoded)
    return refused.value.code


def in_json(answer: dict[str, object]) -> bytes:
    text = json.dumps(answer).encode()
    return JSON_SIZE.pack(len(text)) + text


@contextmanager
def liar(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> Iterator[DecodeSandbox]:
    """A sandbox of one program that answers every sound with the same bytes."""
    program = folder / "liar"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "channel = json.loads(sys.argv[-1])['channel']\n"
        "os.write(channel, b'R')\n"
        f"while sound := os.read(channel, 1 << 20):\n    len(sound) > 8 and os.write(channel, {answer!r})\n"
    )
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with DecodeSandbox(1) as sandbox:
        yield sandbox


def test_a_shut_in_process_opens_starts_writes_and_takes_nothing_more(tmp_path: Path) -> None:
    attempts = """
import errno, os, socket, sys
from whisperlab.audio.sandbox_child import shut_in
written = open(sys.argv[1], "wb", buffering=0)
said = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # as its parent starts it
shut_in(1 << 30)
def attempt(name, action):
    try:
        action()
    except MemoryError:
        said.write(name + " MemoryError\\n")
    except OSError as error:
        said.write(name + " " + errno.errorcode[error.errno] + "\\n")
    else:
        said.write(name + " done\\n")
attempt("open", lambda: os.open("/etc/passwd", os.O_RDONLY))
attempt("socket", socket.socket)
attempt("memfd", lambda: os.memfd_create("x"))
attempt("make", lambda: os.mkdir("here"))
attempt("write", lambda: written.write(b"x"))
attempt("take", lambda: bytearray(1 << 30))
attempt("fewer", lambda: bytearray(1 << 28))
os.write(2, b"what libraries say of a sound")
"""
    finished = subprocess.run(
        [sys.executable, "-c", attempts, str(tmp_path / "file")],
        capture_output=True, text=True, check=True, timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert finished.stdout.split("\n")[:-1] == [
        *("open EMFILE", "socket EMFILE", "memfd EMFILE", "make ENOENT", "write EFBIG"),
        *("take MemoryError", "fewer done"),
    ]
    assert finished.stderr == ""


def test_every_decoder_runs_under_its_limits_and_knows_nothing_of_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CANARY, "secret")
    with one_decoder() as (_, child):
        assert CANARY not in child.environ()
        assert set(child.environ()) <= {
            *("PYTHONPATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LC_CTYPE"),
            *("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"),
        }
        assert child.num_threads() == 1
        assert Path(f"/proc/{child.pid}/oom_score_adj").read_text() == "1000\n"
        assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
        descriptors = Path(f"/proc/{child.pid}/fd")
        opened = sorted(os.readlink(link).partition(":")[0] for link in descriptors.iterdir())
        assert opened == ["/dev/null", "/dev/null", "/dev/null", "socket"]
        assert os.readlink(f"/proc/{child.pid}/cwd").endswith(" (deleted)")
        wanted = {
            psutil.RLIMIT_AS: 1 << 30,
            psutil.RLIMIT_NOFILE: 0,
            psutil.RLIMIT_FSIZE: 0,
            psutil.RLIMIT_CORE: 0,
            psutil.RLIMIT_NPROC: 0,
        }
        assert {kind: child.rlimit(kind) for kind in wanted} == {
            kind: (most, most) for kind, most in wanted.items()
        }


def test_a_sound_beyond_the_cpu_seconds_is_a_timeout(test_data: Path) -> None:
    hours = (test_data / "badaudio" / "files" / "bomb_flac_mono_8h.flac").read_bytes()
    with one_decoder(AudioLimits(max_seconds=1e6), cpu_seconds=1.0) as (sandbox, child):
        assert refusal(sandbox, hours) == "decode_timeout"
        assert gone(child)
        assert sandbox.decode(wav()).duration_seconds == 0.5
        assert (sandbox.counts.killed, sandbox.counts.died) == (1, 0)


@pytest.mark.slow
def test_cpu_seconds_are_granted_to_every_sound_anew() -> None:
    short_of_a_second = long_sound(minutes=20)
    with one_decoder(cpu_seconds=1.0) as (sandbox, child):
        while child.cpu_times().user < 3.0:
            sandbox.decode(short_of_a_second)
        assert sandbox.counts.started == 1


def test_a_decoder_that_hangs_is_killed_after_the_wall_seconds() -> None:
    with one_decoder(wall_seconds=0.3) as (sandbox, child):
        child.suspend()
        assert refusal(sandbox, wav()) == "decode_timeout"
        assert sandbox.decode(wav()).duration_seconds == 0.5
        assert gone(child)
        assert (sandbox.counts.killed, sandbox.counts.died) == (1, 0)


def test_a_decoder_that_does_not_take_its_bytes_is_killed_as_well() -> None:
    with one_decoder(wall_seconds=0.3) as (sandbox, child):
        child.suspend()
        assert refusal(sandbox, long_sound(minutes=60)) == "decode_timeout"  # fills the socket


def test_a_sound_beyond_the_address_space_is_a_refusal_and_a_fresh_process() -> None:
    limits = AudioLimits(max_seconds=1e5)
    with one_decoder(limits, address_space_bytes=1 << 29) as (sandbox, child):
        assert refusal(sandbox, long_sound(minutes=120)) == "decode_memory"
        assert sandbox.decode(wav()).duration_seconds == 0.5
        assert gone(child)
        assert (sandbox.counts.recycled, sandbox.counts.died) == (1, 0)


def test_encoded_bytes_beyond_the_address_space_are_a_refusal_too() -> None:
    with one_decoder(address_space_bytes=1 << 29) as (sandbox, _):
        assert refusal(sandbox, bytes(1 << 29)) == "decode_memory"
        assert sandbox.decode(wav()).duration_seconds == 0.5


@pytest.mark.parametrize(
    ("fatal", "code"),
    [
        (signal.SIGSEGV, "invalid_audio"),
        (signal.SIGABRT, "invalid_audio"),
        (signal.SIGKILL, "decode_memory"),  # so the kernel ends who takes the last memory
    ],
)
def test_a_decoder_that_dies_costs_its_own_sound(fatal: signal.Signals, code: str) -> None:
    with one_decoder() as (sandbox, child), ThreadPoolExecutor(1) as threads:
        child.suspend()
        lost = threads.submit(refusal, sandbox, wav())
        until(lambda: sandbox.counts.busy == 1)
        child.send_signal(fatal)
        child.resume()
        assert lost.result() == code
        assert sandbox.decode(wav()).duration_seconds == 0.5
        assert (sandbox.counts.died, sandbox.counts.killed) == (1, 0)


def test_a_decoder_that_dies_idle_costs_nothing() -> None:
    with one_decoder() as (sandbox, child):
        child.kill()
        until(lambda: child.status() == psutil.STATUS_ZOMBIE)
        assert sandbox.decode(wav()).duration_seconds == 0.5
        assert sandbox.counts.died == 1


def test_stop_signals_to_the_whole_service_leave_a_decoder_at_work() -> None:
    with one_decoder() as (sandbox, child):
        for stop in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            child.send_signal(stop)
        assert sandbox.decode(wav()).duration_seconds == 0.5
        assert sandbox.counts.started == 1


def test_a_decoder_of_another_program_than_its_parents_says_so_and_does_nothing() -> None:
    settings = json.dumps({"channel": 0, "program": "0" * 64})
    ended = subprocess.run(
        [sys.executable, "-c", "from whisperlab.audio.sandbox_child import main; main()", settings],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "start the server again after an upgrade" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_whatever_dies_every_call_is_answered_rightly_and_the_pool_stays_whole() -> None:
    sounds = [wav(tone(1.0 + index, hz=300.0)) for index in range(8)]
    expected = [decode(sound).samples for sound in sounds]
    stopped, calls = threading.Event(), Counter[str]()

    def call(sandbox: DecodeSandbox, index: int) -> None:
        while not stopped.is_set():
            try:
                samples = sandbox.decode(sounds[index]).samples
            except AudioError as error:
                calls[error.code] += 1
            else:
                calls["right" if np.array_equal(samples, expected[index]) else "wrong"] += 1

    def strike() -> None:
        fatal = chance.choice((signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS))
        for victim in decoders()[chance.randrange(2) :]:
            with suppress(psutil.NoSuchProcess):
                victim.send_signal(fatal)
        answered = calls["right"]
        until(lambda: calls["right"] > answered)  # it recovers each time

    chance = random.Random(7)
    with (
        DecodeSandbox(2, AudioLimits(), SandboxLimits(sounds_per_worker=20)) as sandbox,
        ThreadPoolExecutor(8) as threads,
    ):
        callers = [threads.submit(call, sandbox, index) for index in range(8)]
        try:
            for _ in range(25):
                strike()
                time.sleep(chance.uniform(0.0, 0.2))
        finally:
            stopped.set()
        for caller in callers:
            caller.result()
        until(lambda: sandbox.counts.waiting == 0 and len(decoders()) == 2)
        assert sandbox.decode(sounds[0]).duration_seconds == 1.0
        counts = sandbox.counts
    assert set(calls) <= {"right", "invalid_audio", "decode_memory"}
    assert calls["invalid_audio"] + calls["decode_memory"] <= counts.died
    assert decoders() == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"\xff\xff\xff\xff", "invalid_audio"),
        (b"\x04\x00\x00\x00oops", "invalid_audio"),
        (in_json({"frames": -1}), "invalid_audio"),
        (in_json({"frames": 10**12}), "invalid_audio"),
        (in_json({"frames": "2"}), "invalid_audio"),
        (in_json({"frames": 2, "code": 5}), "invalid_audio"),
        (in_json({"frames": 2}) + b"\0\0\xc0\x7f" * 2, "invalid_samples"),
    ],
)
def test_a_decoder_that_a_sound_has_taken_over_is_not_believed(
    answer: bytes, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with liar(tmp_path, monkeypatch, answer) as sandbox:
        assert refusal(sandbox, wav()) == code


def test_a_decoder_that_speaks_out_of_turn_gets_no_further_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken = in_json({"frames": 1}) + bytes(4)
    with liar(tmp_path, monkeypatch, spoken + spoken) as sandbox:
        assert len(sandbox.decode(wav()).samples) == 1
        assert len(sandbox.decode(wav()).samples) == 1
        assert sandbox.counts.died == 1


def traces() -> set[Path]:
    return {*Path("/dev/shm").iterdir(), *Path(tempfile.gettempdir()).glob("whisperlab-decoder-*")}


def test_closing_leaves_no_process_file_or_shared_memory() -> None:
    before = traces()
    descriptors = psutil.Process().num_fds()
    with one_decoder() as (sandbox, child):
        sandbox.decode(wav())
        sandbox.decode(wav())
        assert traces() <= before
    assert gone(child)
    assert traces() <= before
    assert psutil.Process().num_fds() == descriptors


def test_a_parent_killed_outright_takes_idle_and_busy_decoders_with_it() -> None:
    program = """
import sys, threading
from whisperlab.audio.sandbox import DecodeSandbox
sandbox = DecodeSandbox(2)
print("open", flush=True)
sandbox.decode(sys.stdin.buffer.read())
"""
    before = traces()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"open\n"
        found = decoders(parent.pid)
        assert len(found) == 2
        for child in found:
            child.suspend()  # the first sound keeps one of them busy for ever
        parent.stdin.write(wav())
        parent.stdin.close()
        parent.kill()
    until(lambda: all(ended(child) for child in found))
    assert traces() <= before


def test_a_script_without_a_main_guard_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import sys\n"
        "from whisperlab.audio.sandbox import DecodeSandbox\n"
        "print('ran')\n"
        "with DecodeSandbox(1) as sandbox:\n"
        "    print(sandbox.decode(sys.stdin.buffer.read()).duration_seconds)\n"
    )
    finished = subprocess.run(
        [sys.executable, str(script)], input=wav(), capture_output=True, cwd=tmp_path, check=True
    )
    assert finished.stdout == b"ran\n0.5\n"


def test_a_thread_may_end_without_taking_the_processes_it_asked_for() -> None:
    # The kernel's "die with your parent" means the thread that started the process.
    with ThreadPoolExecutor(1) as short_lived:
        sandbox = short_lived.submit(DecodeSandbox, 1).result()
    with sandbox:
        assert isinstance(sandbox.decode(wav()), Waveform)
        assert sandbox.counts.started == 1


def test_an_honest_sound_may_get_a_quarter_of_a_core() -> None:
    limits = SandboxLimits()
    assert limits.wall_seconds == 4 * limits.cpu_seconds
