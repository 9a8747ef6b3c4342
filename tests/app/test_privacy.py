"""Words that callers send and hear, each of its own kind, are nowhere but in their own answers.

One server with the page takes them by every route, well and badly, through time-outs and deaths; then its
log, output, metrics, errors and every file below its temporary folder are searched.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from decoder_processes import decoders, long_sound, until
from key_files import stored, write
from raw_http import RawClient
from serve_calls import ROUTE, kill, wav, workers
from serve_process import Running, running_server
from serve_replay import recording, spoken, tone

from whisperlab.engine.replay import record

KEY = "wl_" + "k" * 43
SAID, PROMPT, FILE_NAME, FIELD, VALUE = "sesquipedalian", "perspicacious", "grandiloquent", "obstreperous", "tergiversation"  # fmt: skip
WRONG_KEY, QUERY, SOUND, JSON_KEY, AGENT = "wl_callipygian", "antediluvian", "mellifluous", "pulchritude", "lugubrious"  # fmt: skip
CANARIES = (SAID, PROMPT, FILE_NAME, FIELD, VALUE, WRONG_KEY, QUERY, SOUND, JSON_KEY, AGENT, KEY)
QUOTED = (VALUE, FIELD, JSON_KEY, QUERY)
PATIENCE_SECONDS = 90.0
TOO_LONG_SECONDS = 8.0
"""Of sound: with the delay below more than the engine's time."""


@dataclass
class Told:
    """A running server, what it answered with an error, and where its temporary files are."""

    running: Running
    temporary: Path
    errors: list[str] = field(default_factory=list)

    def keep(self, answer: httpx.Response) -> int:
        """Keeps the body of an error."""
        if answer.status_code >= 400:
            self.errors.append(answer.text)
        return answer.status_code

    def ask(self, sound: bytes, path: str = ROUTE, **fields: str) -> int:
        """Sends a form full of canaries and returns the status."""
        return self.keep(
            httpx.post(
                self.running.base_url + path,
                headers={"Authorization": f"Bearer {KEY}", "User-Agent": AGENT},
                data={"model": "whisper-1", "prompt": PROMPT, FIELD: VALUE, **fields},
                files={"file": (f"{FILE_NAME}.wav", sound, f"audio/{FILE_NAME}")},
                timeout=PATIENCE_SECONDS,
            )
        )

    def send(self, content: bytes | str, kind: str, path: str = ROUTE, method: str = "POST") -> int:
        """Sends a body as it is."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": kind, "User-Agent": AGENT}
        address = self.running.base_url + path
        return self.keep(
            httpx.request(method, address, content=content, headers=headers, timeout=60.0)
        )


def searched(told: Told) -> Iterator[tuple[str, bytes]]:
    """Yields all that somebody else could read: names and contents."""
    yield "log", told.running.log.read_bytes()
    metrics = httpx.get(
        f"{told.running.base_url}/metrics", headers={"Authorization": f"Bearer {KEY}"}
    )
    assert metrics.status_code == 200
    yield "metrics", metrics.content
    for number, error in enumerate(told.errors):
        yield f"error {number}", error.encode()
    for path in sorted(told.temporary.rglob("*")):
        yield "a name", str(path).encode()
        if path.is_file():
            yield f"temporary file {path.name}", path.read_bytes()


def nowhere(_place: str, _word: str) -> bool:
    return False


def hits(told: Told, allowed: Callable[[str, str], bool] = nowhere) -> list[tuple[str, str]]:
    """An error may quote the parameter or address that is wrong to who sent it, as OpenAI's do."""
    return [
        (place, word)
        for place, content in searched(told)
        for word in CANARIES
        if word.lower().encode() in content.lower()
        and not (place.startswith("error") and word in QUOTED)
        and not allowed(place, word)
    ]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("private")
    temporary = folder / "temporary"
    temporary.mkdir(mode=0o755)
    known = recording(folder / "recording.jsonl", {1: spoken([SAID, "is", "said"])})
    with known.open("a", encoding="utf-8") as more:
        more.write(record(tone(2, TOO_LONG_SECONDS), spoken([SAID], TOO_LONG_SECONDS)) + "\n")
    keys = write(folder / "keys.json", stored("alice", KEY))
    with running_server(
        folder,
        "engine=replay", f"engine.path={known}", "engine.seconds_per_audio_second=0.5",
        "serve.limits.inference_seconds=2.0", "serve.limits.idle_seconds=1.0",
        "serve.limits.decoders=1", "serve.batch.mode=off", f"serve.keys_file={keys}",
        "serve.log_level=debug", f"app.runs_dir={folder / 'runs'}",
        module="whisperlab.app", environment={"TMPDIR": str(temporary)},
    ) as running:  # fmt: skip
        yield Told(running, temporary)


def test_the_search_would_find_a_word(told: Told) -> None:
    (told.temporary / "left").write_text(PROMPT)
    assert hits(told) == [("temporary file left", PROMPT)]
    (told.temporary / "left").unlink()
    assert hits(told) == []


@pytest.mark.parametrize("path", [ROUTE, "/v1/audio/translations"])
@pytest.mark.parametrize(
    "fields",
    [
        {}, {"stream": "true"}, {"response_format": "verbose_json"}, {"response_format": VALUE},
        {"language": VALUE}, {"temperature": VALUE}, {"temperature": "9"}, {"include[]": VALUE},
        {"timestamp_granularities[]": VALUE}, {"chunking_strategy": VALUE}, {"stream": VALUE},
        {f"{FIELD} {FIELD}": VALUE}, {"prompt": PROMPT * 1000}, {"known_speaker_references[]": VALUE},
    ],
)  # fmt: skip
def test_forms_leave_no_word(told: Told, path: str, fields: dict[str, str]) -> None:
    status = told.ask(wav(1), path, **fields)
    assert status < 500
    assert hits(told) == []


def test_sounds_leave_no_word(told: Told) -> None:
    cut = wav(1)[:60]
    tagged = b"ID3\x04\0\0\0\0\0\x20" + SOUND.encode().ljust(32) + b"\xff\xfb\x90\0" * 40
    chunk = wav(1) + b"LIST" + (len(SOUND)).to_bytes(4, "little") + SOUND.encode()
    for sound in (SOUND.encode(), b"", cut, tagged, chunk, b"RIFF\0\0\0\0WAVE" + SOUND.encode()):
        told.ask(sound)
    assert told.errors
    assert hits(told) == []


def test_json_leaves_no_word(told: Told) -> None:
    good = base64.b64encode(wav(1)).decode()
    body = json.dumps({"audio": good, "model": "whisper-1", "prompt": PROMPT, JSON_KEY: VALUE})
    bad = json.dumps({"audio": SOUND, "model": "whisper-1", JSON_KEY: {JSON_KEY: [VALUE]}})
    assert told.send(body, "application/json") == 200
    for content in (bad, body[:-2], f'{{"{JSON_KEY}": {VALUE}}}', f'{{"{JSON_KEY}": 1, "{JSON_KEY}": 2}}',
                    f'"{VALUE}"', body.replace(good, f"data:audio/{FILE_NAME};base64,{SOUND}"), "{" * 5000 + VALUE):  # fmt: skip
        assert 400 <= told.send(content, "application/json") < 500
    for kind in (f"application/json; charset={VALUE}", f"text/{VALUE}", f"multipart/form-data; boundary={VALUE}",
                 f'multipart/form-data; {FIELD}="{VALUE}; {VALUE}'):  # fmt: skip
        assert 400 <= told.send(body, kind) < 500
    assert hits(told) == []


def test_addresses_keys_and_methods_leave_no_word(told: Told) -> None:
    for path in (f"/{QUERY}", f"/v1/models?{QUERY}={QUERY}", f"/health?{QUERY}", f"/metrics?{QUERY}", f"/v1/config?x={QUERY}",
                 f"/gradio_api/{QUERY}", f"/runs/{QUERY}/report.html", f"/gradio_api/file={QUERY}"):  # fmt: skip
        told.send(b"", "text/plain", path, "GET")
        told.send(VALUE, "text/plain", path, QUERY.upper())
    for authorization in (f"Bearer {WRONG_KEY}", f"Basic {WRONG_KEY}", WRONG_KEY, f"Bearer {KEY}x"):
        for path in ("/v1/models", "/metrics", "/"):
            answer = httpx.get(told.running.base_url + path, headers={"Authorization": authorization})  # fmt: skip
            assert told.keep(answer) == 401
    told.keep(httpx.post(f"{told.running.base_url}/login", data={"key": WRONG_KEY}))
    assert hits(told) == []


def test_a_body_that_stops_leaves_no_word(told: Told) -> None:
    head = (
        f"POST {ROUTE} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000\r\n\r\n--b\r\n"
        f'Content-Disposition: form-data; name="prompt"\r\n\r\n{PROMPT}\r\n--b\r\n'
        f'Content-Disposition: form-data; name="file"; filename="{FILE_NAME}"\r\n\r\n{SOUND}'
    )
    with RawClient(("127.0.0.1", told.running.port)) as client:
        client.send(head.encode())
        answer = client.answer()
    assert answer.status == 408
    with RawClient(("127.0.0.1", told.running.port)) as client:
        client.send(head.encode())  # and is gone
    assert hits(told) == []


def test_a_time_out_leaves_no_word(told: Told) -> None:
    assert told.ask(wav(2, TOO_LONG_SECONDS)) == 504
    assert hits(told) == []


@pytest.mark.parametrize("who", ["worker", "decoder"])
def test_a_death_leaves_no_word(told: Told, who: str) -> None:
    sound = wav(2, TOO_LONG_SECONDS) if who == "worker" else long_sound(60)
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(told.ask, sound)
        if who == "worker":
            until(lambda: b'in_engine{configuration="default"} 1.0' in dict(searched(told))["metrics"])  # fmt: skip
            [process] = workers(told.running)
        else:
            until(lambda: b'decoders{state="busy"} 1.0' in dict(searched(told))["metrics"])
            [process] = decoders(told.running.process.pid)
        kill(process)
        assert asked.result() == (500 if who == "worker" else 400)
    assert hits(told) == []
    assert told.ask(wav(1)) == 200


def test_the_page_keeps_an_upload_in_a_private_folder_and_nothing_else(told: Told) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "User-Agent": AGENT}
    with httpx.Client(base_url=told.running.base_url, headers=headers, timeout=60.0) as page:
        sound = {"files": (f"{FILE_NAME}.wav", wav(1), "audio/wav")}
        (path,) = page.post("/gradio_api/upload", files=sound).json()
        named = {"path": path, "meta": {"_type": "gradio.FileData"}}
        for data in ([named, "default", PROMPT, "transcribe", False], [named, VALUE, PROMPT, VALUE, False],
                     [{"path": f"/{FILE_NAME}", "meta": {"_type": "gradio.FileData"}}, "default", PROMPT, "transcribe", False]):  # fmt: skip
            begun = page.post("/gradio_api/call/transcribe", json={"data": data})
            if told.keep(begun) == 200:
                said = page.get(f"/gradio_api/call/transcribe/{begun.json()['event_id']}").text
                assert "event: " in said

    def own_upload(place: str, word: str) -> bool:
        return word == FILE_NAME and (place == "a name" or place.startswith("temporary file"))

    assert hits(told, own_upload) == []
    uploads = Path(path).parents[1]
    assert uploads.is_relative_to(told.temporary)
    assert stat.S_IMODE(uploads.stat().st_mode) == 0o700
    assert uploads.stat().st_uid == os.getuid()
    outside = [one for one in told.temporary.rglob("*") if not one.is_relative_to(uploads)]
    assert outside == []


def test_at_the_end_nothing_is_left(told: Told) -> None:
    told.running.process.terminate()
    assert told.running.process.wait(60) == 0
    assert list(told.temporary.iterdir()) == []
    assert told.running.process.stdout is not None
    said = told.running.process.stdout.read() + told.running.log.read_text("utf-8")
    assert [word for word in CANARIES if word in said] == []


def test_no_library_keeps_or_reports_anything_of_its_own(tmp_path: Path) -> None:
    """onnxruntime writes a session file when its telemetry is on, which is its default."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("silero_vad")
    code = "from whisperlab.segmentation.silero_vad import load_detector; load_detector()"
    subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    assert list(tmp_path.iterdir()) == []
