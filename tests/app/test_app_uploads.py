"""What is uploaded to the page: the server's verdict on each file, no file of ours for anybody."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from app_calls import (
    CLIP,
    PATIENCE_SECONDS,
    ROUTE,
    in_engine,
    no_traceback,
    pieces,
    transcribe,
    until,
)
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from hostile_files import cases
from serve_process import Running, running_server

from whisperlab.audio import decode
from whisperlab.engine.replay import record
from whisperlab.transcript import Segment, Transcript


@pytest.mark.parametrize("path", ["/etc/passwd", str(CLIP), "server.log", "../server.log"])
def test_no_file_of_the_server_is_handed_out(page: Running, path: str) -> None:
    for route in ("file=", "file/"):
        answer = httpx.get(f"{page.base_url}/gradio_api/{route}{path}")
        assert answer.status_code in (403, 404)
        assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("http://192.0.2.1/sound.wav", "Expected an uploaded file, not an address."),
        ("/etc/passwd", "Expected an uploaded file"),
        (str(CLIP), "Expected an uploaded file"),
        ("a\0b", "Expected an uploaded file"),
        ("UPLOADS", "Expected an uploaded file"),
    ],
)
def test_no_caller_names_an_address_or_a_file_of_the_server(
    page: Running, path: str, said: str
) -> None:
    if path == "UPLOADS":  # the folder that they lie in
        uploaded = upload(page, b"x", "x.bin")
        assert isinstance(uploaded, dict)
        path = str(Path(uploaded["path"]).parent)
    named = {"path": path, "meta": {"_type": "gradio.FileData"}}
    for data in ([named, "default", "", "transcribe", False], [None, named, "", "transcribe", False]):  # fmt: skip
        address = f"{page.base_url}/gradio_api/call/transcribe"
        with no_traceback(page):
            begun = httpx.post(address, json={"data": data}).json()
            answer = httpx.get(f"{address}/{begun['event_id']}", timeout=30.0)
        assert "event: error" in answer.text
        assert said in answer.text
        assert "root:" not in answer.text


def upload(running: Running, content: bytes, name: str) -> dict[str, Any] | str:
    """Returns what Gradio calls the file, or why it did not take it."""
    files = {"files": (name, content, "application/octet-stream")}
    answer = httpx.post(f"{running.base_url}/gradio_api/upload", files=files, timeout=60.0)
    if answer.status_code != 200:
        return answer.text
    return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}


def uploaded_text(running: Running, client: Client, content: bytes, name: str) -> str:
    """Returns the text of an uploaded file, or why there is none."""
    uploaded = upload(running, content, name)
    if isinstance(uploaded, str):
        return uploaded
    try:
        text: str = client.predict(uploaded, "default", api_name="/transcribe")[0]
    except AppError as error:
        return str(error)
    return text


def check_files(running: Running, test_data: Path, step: int) -> None:
    """Uploads files of ``weird`` and ``badaudio`` and compares verdict and message with the route's."""
    client = Client(running.base_url, verbose=False)
    wrong = []
    with no_traceback(running):
        for case in cases(test_data)[::step]:
            content = case.path.read_bytes()
            answer = httpx.post(running.base_url + ROUTE, data={"model": "default"}, files={"file": content}, timeout=60.0)  # fmt: skip
            body = answer.json()
            expected = body["text"] if answer.status_code == 200 else body["error"]["message"]
            came = uploaded_text(running, client, content, case.upload_name)
            if came != expected:
                wrong.append((case.name, came, expected))
    assert wrong == []


def test_a_file_of_each_kind_gets_the_servers_verdict(page: Running, test_data: Path) -> None:
    check_files(page, test_data, step=24)


@pytest.mark.slow
def test_every_file_gets_the_servers_verdict_and_none_is_left(
    tmp_path: Path, test_data: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with running_server(
        tmp_path, "engine=replay", "engine.default_text=heard", f"app.runs_dir={tmp_path / 'runs'}",
        module="whisperlab.app", environment={"TMPDIR": str(temporary)},
    ) as running:  # fmt: skip
        check_files(running, test_data, step=1)
        (uploads,) = temporary.glob("whisperlab-app-*")
        assert stat.S_IMODE(uploads.stat().st_mode) == 0o700
        assert any(uploads.iterdir())
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_an_hour_with_a_thousand_segments_leaves_the_page_responsive(tmp_path: Path) -> None:
    """Silence with digits in it; while it is decoded others are served, and every segment arrives."""
    hour = np.zeros(3590 * 16_000, dtype=np.float32)
    for at in range(0, 3500, 100):
        clip = decode(CLIP).samples
        hour[at * 16_000 : at * 16_000 + len(clip)] = clip
    path = tmp_path / "hour.flac"
    soundfile.write(path, hour, 16_000, "PCM_16")
    segments = tuple(Segment(n * 3.5, n * 3.5 + 3.0, f" five two {n}") for n in range(1000))
    said = Transcript("".join(s.text for s in segments).strip(), "en", segments)
    (tmp_path / "recording.jsonl").write_text(record(decode(path), said) + "\n", "utf-8")
    with running_server(
        tmp_path,
        "engine=replay", f"engine.path={tmp_path / 'recording.jsonl'}", "engine.default_text=heard",
        "engine.seconds_per_audio_second=0.003", "serve.presets=[baseline]",
        f"app.runs_dir={tmp_path / 'runs'}",
        module="whisperlab.app",
    ) as running:  # fmt: skip
        client, other = (Client(running.base_url, verbose=False) for _ in range(2))
        job = client.submit(handle_file(path), "default", api_name="/transcribe")
        until(lambda: in_engine(running), PATIENCE_SECONDS, "never began")
        assert transcribe(other, CLIP, "baseline")[4]
        assert not job.done()
        text, table, details, player, _ = job.result(PATIENCE_SECONDS)
    assert text == said.text
    assert len(table["data"]) == len(details["segments"]) == 1000
    assert len(player) < 100_000
    assert player.count('class="wl-place"') == 100
    assert 'data-end="3499.500"' in player


def test_a_sound_is_held_against_the_limits_of_the_configuration_that_hears_it(
    tmp_path: Path,
) -> None:
    with running_server(
        tmp_path, "engine=replay", "audio.max_seconds=1", "serve.presets=[baseline]",
        f"app.runs_dir={tmp_path / 'runs'}",
        module="whisperlab.app",
    ) as running:  # fmt: skip
        client, sound = Client(running.base_url, verbose=False), handle_file(CLIP)
        calls: dict[str, Callable[[str], tuple[Any, ...]]] = {
            "/transcribe": lambda name: (sound, name),
            "/compare": lambda name: (sound, ["baseline", name], "", "basic"),
            "/preprocess": lambda name: (sound, ["loudness"], name),
        }
        for endpoint, given in calls.items():
            client.predict(*given("baseline"), api_name=endpoint)
            with pytest.raises(AppError, match="at most 1"):
                client.predict(*given("default"), api_name=endpoint)


def test_the_folder_of_uploads_is_the_users_alone(page: Running) -> None:
    uploaded = upload(page, CLIP.read_bytes(), CLIP.name)
    assert isinstance(uploaded, dict)
    folder = Path(uploaded["path"]).parents[1]
    assert folder.name.startswith("whisperlab-app-")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_browsers_last_recordings_do_not_pile_up(page: Running, client: Client) -> None:
    """What the microphone of Live sends is never a file."""
    folder = Path(str(upload(page, b"x", "x.bin")["path"])).parents[1]  # type: ignore[index]
    before = len(list(folder.iterdir()))
    for piece in pieces(np.zeros(16_000, dtype=np.float32)):
        client.predict(piece, "default", api_name="/live")
    assert len(list(folder.iterdir())) == before
