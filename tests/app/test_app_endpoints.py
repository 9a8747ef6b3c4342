"""Every action of the tabs as a program calls it: through gradio_client, of a real page's process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_calls import CLIP, DEMO, TEXT, no_traceback, pieces, served, transcribe
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from serve_process import Running

from whisperlab.audio import decode

OURS = {"/transcribe", "/export", "/live", "/live_end", "/compare", "/preprocess"}


def test_every_action_has_a_name_and_types(client: Client) -> None:
    described: Any = client.view_api(return_format="dict", print_info=False)
    assert described["unnamed_endpoints"] == {}
    endpoints = described["named_endpoints"]
    assert set(endpoints) >= OURS
    for name, endpoint in endpoints.items():
        for value in endpoint["parameters"] + endpoint["returns"]:
            assert value["python_type"]["type"] not in ("", "Any"), (name, value)


@pytest.mark.parametrize("name", ["default", "baseline"])
def test_texts_are_the_servers(page: Running, client: Client, name: str) -> None:
    expected = served(page, CLIP, model=name).json()["text"]
    sound = handle_file(CLIP)
    text, _, details, _, _ = transcribe(client, CLIP, name)
    assert text == expected
    assert details["configuration"] == name
    _, compared, _ = client.predict(sound, [name], "five two", "basic", api_name="/compare")
    assert compared["configurations"][name]["text"] == expected
    _, facts, _ = client.predict(sound, ["trim"], name, api_name="/preprocess")
    assert facts["source_text"] == expected
    for piece in pieces(decode(CLIP).samples):
        client.predict(piece, name, api_name="/live")
    final, _, _ = client.predict(name, api_name="/live_end")
    assert final == expected


def test_words_and_segments_are_the_servers(page: Running, client: Client) -> None:
    asked = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    answer = served(page, CLIP, **asked).json()
    _, table, details, _, _ = transcribe(client, CLIP, words=True)
    (segment,) = details["segments"]
    assert [row[2] for row in table["data"]] == [segment["text"].strip()]
    heard = [(w["text"], w["start"], w["end"]) for w in segment["words"]]
    words = [(w["word"], w["start"], w["end"]) for w in answer["words"]]
    assert [w[0] for w in heard] == [w[0] for w in words]
    assert np.ravel([w[1:] for w in heard]) == pytest.approx(
        np.ravel([w[1:] for w in words]), abs=1e-3
    )


@pytest.mark.parametrize("kind", ["srt", "vtt", "txt"])
def test_an_unchanged_transcript_is_exported_as_the_server_writes_it(
    page: Running, client: Client, kind: str
) -> None:
    _, table, details, _, _ = transcribe(client, CLIP)
    written = Path(client.predict(table, details, kind, api_name="/export"))
    served_as = "text" if kind == "txt" else kind
    assert written.name == f"transcript.{kind}"
    assert written.read_text("utf-8") == served(page, CLIP, response_format=served_as).text


def test_a_correction_is_exported(client: Client) -> None:
    table = {"headers": ["start", "end", "text"], "data": [[0.25, 1.5, "zwölf & <b>"]]}
    written = Path(client.predict(table, None, "srt", api_name="/export"))
    assert written.read_text("utf-8") == "1\n00:00:00,250 --> 00:00:01,500\nzwölf & <b>\n\n"


def test_the_comparison_counts_as_the_evaluation_does(client: Client) -> None:
    sound = handle_file(CLIP)
    shown, details, _ = client.predict(sound, ["default"], "five six", "basic", api_name="/compare")
    assert details["configurations"]["default"]["wer"] == 0.5
    assert details["configurations"]["default"]["substitutions"] == 1
    assert "<del>six</del><ins>two</ins>" in shown


def test_a_file_that_is_cut_is_said_to_be(client: Client, tmp_path: Path) -> None:
    cut = tmp_path / "cut.flac"
    cut.write_bytes(CLIP.read_bytes()[:-2000])
    for path, truncated in ((cut, True), (CLIP, False)):
        _, _, details, _, state = transcribe(client, path)
        assert ("only its readable part was heard" in state) == truncated
        assert details["audio_truncated"] == truncated


def test_two_recordings_at_a_time_do_not_see_each_other(page: Running) -> None:
    one, other, silent = (Client(page.base_url, verbose=False) for _ in range(3))
    sounds = [decode(DEMO / f"digits-0{n}.flac").samples for n in (2, 3)]
    for first, second in zip(*map(pieces, sounds), strict=False):
        heard = one.predict(first, "default", api_name="/live")[0]
        other.predict(second, "default", api_name="/live")
    assert heard["recorded_seconds"] <= len(sounds[0]) / 16_000
    assert "Nothing was recorded." in silent.predict("default", api_name="/live_end")[1]
    assert one.predict("default", api_name="/live_end")[0] == TEXT
    assert other.predict("default", api_name="/live_end")[0] == "eight zero"


REFUSALS: Mapping[str, tuple[str, tuple[Any, ...], str]] = {
    "no sound": ("/transcribe", (None, "default"), "Record or upload a sound first."),
    "no configuration": ("/compare", (handle_file(CLIP), [], "", "basic"), "at least one"),
    "unknown configuration": ("/transcribe", (handle_file(CLIP), "other"), "does not exist"),
    "unknown language": ("/transcribe", (handle_file(CLIP), "default", "klingon"), "ISO 639-1"),
    "unknown task": ("/transcribe", (handle_file(CLIP), "default", "", "sing"), "Expected the task"),
    "unknown profile": ("/compare", (handle_file(CLIP), ["default"], "", "../x"), "Expected one of"),
    "unknown step": ("/preprocess", (handle_file(CLIP), ["reverb"], "default"), "Expected steps"),
    "a step twice": ("/preprocess", (handle_file(CLIP), ["trim", "trim"], "default"), "each step once"),
    "no base64": ("/live", ("?", "default"), "base64"),
    "no WAV": ("/live", ("AAAA", "default"), "WAV"),
    "unknown format": ("/export", ({"headers": ["start", "end", "text"], "data": [[0, 1, "a"]]}, None, "exe"), "Expected one of"),
    "an empty table": ("/export", ({"headers": ["start", "end", "text"], "data": []}, None, "txt"), "nothing to keep"),
    "times that are none": ("/export", ({"headers": ["start", "end", "text"], "data": [["x", 1, "a"]]}, None, "txt"), "times in seconds"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_done_is_said_in_a_sentence(
    page: Running, client: Client, case: str
) -> None:
    name, given, said = REFUSALS[case]
    with no_traceback(page), pytest.raises(AppError, match=said):
        client.predict(*given, api_name=name)


@pytest.mark.slow
def test_texts_are_the_evaluations(page: Running, client: Client, runs_dir: Path) -> None:
    for name in ("default", "baseline"):
        _, _, details = client.predict("demo_digits", [name], 4, 3, "basic", api_name="/evaluate")
        (run,) = details["runs"]
        lines = (runs_dir / run["name"] / "ledger.jsonl").read_text("utf-8").splitlines()
        records = [json.loads(line)["record"] for line in lines]
        assert len(records) == 4
        for row in records:
            (path,) = DEMO.glob(f"{row['id']}.*")
            assert transcribe(client, path, name)[0] == row["text"]
