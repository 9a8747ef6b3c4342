"""Requests from first to last byte, against a real server process with the replay engine."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import pytest
from serve_calls import ROUTE, ask, code, wav
from serve_process import Running, running_server
from serve_replay import recording, spoken, tone

from whisperlab.engine.replay import record
from whisperlab.serve.transcriptions import server_timing


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("quick")
    known = recording(
        folder / "recording.jsonl",
        {n: spoken([f"sound{n}", "is", "here"]) for n in range(40)},
    )
    with running_server(
        folder, "engine=replay", f"engine.path={known}", "serve.batch.max_size=8"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Three seconds a sound, one at a time, two may wait, for two seconds; 504 after four."""
    folder = tmp_path_factory.mktemp("slow")
    known = recording(
        folder / "recording.jsonl", {n: spoken(["a", "b", "c", "d", "e", "f"]) for n in range(9)}
    )
    with known.open("a", encoding="utf-8") as more:
        more.write(record(tone(1, seconds=5.0), spoken(["late"], seconds=5.0)) + "\n")
        more.write(record(tone(2, seconds=5.0), spoken(list("abcd"), seconds=5.0)) + "\n")
    with running_server(
        folder,
        "engine=replay",
        f"engine.path={known}",
        "engine.seconds_per_utterance=3",
        "engine.seconds_per_audio_second=1",
        "serve.batch.max_size=1",
        "serve.limits.queue_size=2",
        "serve.limits.queue_seconds=2",
        "serve.limits.inference_seconds=4",
    ) as running:
        yield running


def test_answers_carry_id_timing_and_configuration(quick: Running) -> None:
    answered = ask(quick, wav(1))
    assert answered.status_code == 200
    assert answered.json() == {
        "text": "sound1 is here",
        "usage": {"type": "duration", "seconds": 1},
    }
    assert len(answered.headers["x-whisperlab-config"]) == 16
    assert {"decode", "queue", "decode-tokens", "format"} <= {
        part.partition(";")[0] for part in answered.headers["server-timing"].split(", ")
    }
    assert answered.headers["x-request-id"]


def test_an_errors_answer_carries_them_too(quick: Running) -> None:
    refused = ask(quick, b"no sound at all")
    assert (refused.status_code, code(refused)) == (400, "unsupported_format")
    assert refused.json()["error"]["param"] == "file"
    assert refused.headers["x-whisperlab-config"]
    assert "decode;dur=" in refused.headers["server-timing"]


def test_what_the_engine_cannot_tell_is_refused_under_the_name_of_what_asked(
    quick: Running,
) -> None:
    error = ask(quick, wav(1), **{"include[]": "logprobs"}).json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_value", "include")


def test_the_predecessors_json_body_gives_the_same_answer(quick: Running) -> None:
    import base64

    body = {"audio": base64.b64encode(wav(2)).decode(), "model": "whisper-1"}
    answered = httpx.post(quick.base_url + ROUTE, json=body)
    assert answered.json()["text"] == "sound2 is here"


def test_ignored_fields_are_named_in_a_header(quick: Running) -> None:
    answered = ask(quick, wav(1), evil="1")
    assert answered.headers["x-whisperlab-warning"] == "ignored fields: evil"


def test_parallel_requests_share_batches_and_keep_their_texts(quick: Running) -> None:
    async def all_at_once() -> list[str]:
        async with httpx.AsyncClient(timeout=60.0) as client:
            asked = [
                client.post(
                    quick.base_url + ROUTE,
                    data={"model": "default"},
                    files={"file": wav(number)},
                )
                for number in range(40)
            ]
            return [answered.json()["text"] for answered in await asyncio.gather(*asked)]

    assert asyncio.run(all_at_once()) == [f"sound{n} is here" for n in range(40)]


def events(response: httpx.Response) -> list[tuple[float, dict[str, Any]]]:
    found = []
    for line in response.iter_lines():
        if line:
            assert line.startswith("data: ")
            found.append((perf_counter(), json.loads(line.removeprefix("data: "))))
    return found


def test_deltas_come_while_the_engine_decodes_and_are_the_text(slow: Running) -> None:
    with httpx.stream(
        "POST",
        slow.base_url + ROUTE,
        data={"model": "whisper-1", "stream": "true"},
        files={"file": wav(1)},
        timeout=60.0,
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        heard = events(response)
    *deltas, (ended, done) = heard
    assert done["type"] == "transcript.text.done"
    assert "".join(event["delta"] for _, event in deltas) == done["text"] == "a b c d e f"
    assert len(deltas) == 6
    assert ended - deltas[0][0] > 1.5  # of the 3.5 s that the engine takes


def test_a_stream_of_silence_is_one_event(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, "engine=replay", "engine.default_text=''") as running,
        httpx.stream(
            "POST",
            running.base_url + ROUTE,
            data={"model": "whisper-1", "stream": "true"},
            files={"file": wav(1)},
        ) as response,
    ):
        heard = events(response)
    assert [(event["type"], event["text"]) for _, event in heard] == [("transcript.text.done", "")]


def test_an_error_before_the_first_delta_is_an_ordinary_answer(slow: Running) -> None:
    refused = ask(slow, wav(100), stream="true")
    assert refused.status_code == 500
    assert code(refused) == "internal_error"
    assert "stored transcript" not in refused.text


def test_a_sound_over_its_time_is_504_and_not_to_be_retried(slow: Running) -> None:
    started = perf_counter()
    refused = ask(slow, wav(1, seconds=5.0))
    assert (refused.status_code, code(refused)) == (504, "inference_timeout")
    assert refused.headers["x-should-retry"] == "false"
    assert perf_counter() - started < 8.0  # what the engine would have taken


def test_a_stream_that_an_error_ends_is_counted_and_logged(slow: Running) -> None:
    counted = 'whisperlab_rejected_total{code="inference_timeout"} '

    def count() -> float:
        found = [x for x in httpx.get(f"{slow.base_url}/metrics").text.splitlines() if counted in x]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    before = count()
    ended = ask(
        slow, wav(2, seconds=5.0), stream="true"
    )  # its first word after two seconds of eight
    assert ended.status_code == 200
    last = json.loads(ended.text.split("data: ")[-1])
    assert last["error"]["code"] == "inference_timeout"
    until = perf_counter() + 5.0
    while count() == before:
        assert perf_counter() < until
    lines = [json.loads(x) for x in slow.log.read_text().splitlines() if x.startswith("{")]
    assert [x["code"] for x in lines if x.get("request_id") == ended.headers["x-request-id"]] == [
        "inference_timeout"
    ]


def test_a_full_queue_and_a_long_wait_are_refused_with_a_time_to_wait(slow: Running) -> None:
    async def burst() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=60.0) as client:
            asked = [
                client.post(
                    slow.base_url + ROUTE,
                    data={"model": "default"},
                    files={"file": wav(number)},
                )
                for number in range(8)
            ]
            return list(await asyncio.gather(*asked))

    answers = asyncio.run(burst())
    statuses = sorted(answered.status_code for answered in answers)
    assert statuses[0] == 200
    assert set(statuses) <= {200, 429, 503}
    refused = [answered for answered in answers if answered.status_code != 200]
    assert {code(answered) for answered in refused} == {"queue_full", "overloaded"}
    assert all(int(answered.headers["retry-after"]) >= 1 for answered in refused)


def test_a_client_that_hangs_up_takes_its_work_with_it(slow: Running) -> None:
    content = wav(3)
    head = (
        b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\n'
    )
    body = head + content + b"\r\n--b--\r\n"
    with socket.create_connection(("127.0.0.1", slow.port)) as connection:
        connection.sendall(
            b"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: multipart/form-data; boundary=b\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body
        )
        until = perf_counter() + 30
        while "in_engine" not in (shown := httpx.get(f"{slow.base_url}/metrics").text) or (
            'in_engine{configuration="default"} 1.0' not in shown
        ):
            assert perf_counter() < until, shown
        assert "whisperlab_requests_in_flight 1.0" in shown
    started = perf_counter()
    until = started + 30
    while 'in_engine{configuration="default"} 1.0' in httpx.get(f"{slow.base_url}/metrics").text:
        assert perf_counter() < until
    assert perf_counter() - started < 2.0  # of the three that it takes


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("runs") / "replayed"
    subprocess.run(
        [
            sys.executable, "-m", "whisperlab.eval", "engine=replay", "engine.default_text=zero",
            f"run_dir={folder}", "latency_utterances=2", "resamples=100",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return folder


def test_a_finished_run_is_served_with_what_was_measured(run: Path, tmp_path: Path) -> None:
    card = json.loads((run / "run.json").read_text())
    scores = json.loads((run / "scores.json").read_text())
    with running_server(tmp_path, f"run={run}") as running:
        listed = httpx.get(f"{running.base_url}/v1/models").json()["data"]
        answered = ask(running, wav(1), model="replayed")
        shown = httpx.get(f"{running.base_url}/v1/config").json()
    assert [model["id"] for model in listed] == ["replayed", "whisper-1"]
    for model in listed:
        assert model["configuration_hash"] == card["configuration_hash"]
        assert model["measured"]["wer"] == scores["scores"]["wer"]["value"]
        assert model["measured"]["wer_low"] == scores["scores"]["wer"]["low"]
        assert model["measured"]["rtfx"] == scores["speed"]["rtfx"]
        assert model["measured"]["dataset"] == "demo digits"
        assert model["measured"]["utterances"] == 24
    assert answered.headers["x-whisperlab-config"] == card["configuration_hash"]
    assert answered.json()["text"] == "zero"
    assert str(tmp_path) not in json.dumps(shown)


def test_a_run_in_which_every_utterance_failed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recording.jsonl").touch()
    run = tmp_path / "run"
    for module, *arguments in (
        ("eval", f"engine.path={tmp_path / 'recording.jsonl'}", f"run_dir={run}", "resamples=100"),
        ("serve", f"run={run}", "port=0"),
    ):
        command = [sys.executable, "-m", f"whisperlab.{module}", *arguments]
        command += ["engine=replay"] if module == "eval" else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "without a single one scored" in done.stderr


def test_a_run_that_was_measured_elsewhere_is_not_served_beside_others(
    run: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(run, elsewhere)
    card = json.loads((elsewhere / "run.json").read_text())
    card["configuration_hash"] = "0123456789abcdef"
    (elsewhere / "run.json").write_text(json.dumps(card))
    served = subprocess.run(
        [sys.executable, "-m", "whisperlab.serve", "port=0", f"run=[{run},{elsewhere}]"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert served.returncode == 2, served.stderr
    assert "error: run=elsewhere: was measured as 0123456789abcdef" in served.stderr


def test_a_run_is_served_alone(run: Path) -> None:
    served = subprocess.run(
        [sys.executable, "-m", "whisperlab.serve", f"run={run}", "decode.language=de"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert served.returncode == 2, served.stderr
    assert "error: decode.language=de: run= serves exactly what was measured" in served.stderr


def test_server_timing_sums_stages_under_their_public_names() -> None:
    seconds = {"read": 0.001, "decode": 0.002, "decode_tokens": 0.1, "detokenise": 0.01}
    assert server_timing(seconds) == "decode;dur=3.0, decode-tokens;dur=110.0"
