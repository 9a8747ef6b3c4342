"""`python -m whisperlab.runs compare` on run folders: files, refusals, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from compared_runs import SAID, folder, outcome, runs, wrong


def demo_pair(where: Path) -> tuple[Path, Path]:
    """Two runs over utterances of the embedded demo set, whose recordings can be found."""
    ids = [f"digits-{number:02}" for number in range(8)]
    return (
        folder(where / "a", [outcome(id_, wrong(1)) for id_ in ids]),
        folder(where / "b", [outcome(id_, wrong(3)) for id_ in ids], "quantization=dynamic_int8"),
    )


def test_a_comparison_leaves_json_and_a_page_that_plays(tmp_path: Path) -> None:
    first, second = demo_pair(tmp_path)
    finished = runs("compare", first, second, "--output-dir", tmp_path / "out", "--worst", "2")
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    (found,) = content["differences"]
    assert round(found["scores"]["wer"]["value"], 6) == 0.2
    assert len(found["worst"]) == 2
    assert content["runs"][1]["folder"] == str(second)
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert page.count("data:audio/ogg;base64,") == 8
    assert "A quantization=none vs B quantization=dynamic_int8" in page
    # the table on stdout: the verdict, the worst, where the page is
    assert "B has a WER 20.00 points higher than A" in " ".join(finished.stdout.split())
    assert f"report: {tmp_path / 'out' / 'comparison.html'}" in finished.stdout


def test_linked_recordings_lead_from_the_page_to_the_files(tmp_path: Path) -> None:
    first, second = demo_pair(tmp_path)
    finished = runs("compare", first, second, "--audio", "link", "--output-dir", tmp_path / "out")
    assert finished.returncode == 0, finished.stderr
    page = (tmp_path / "out" / "comparison.html").read_text()
    data = page.partition('id="data">')[2].partition("</script>")[0]
    clips = [row["clip"] for row in json.loads(data)["rows"]]
    assert len(clips) == 8
    assert all((tmp_path / "out" / clip).resolve().is_file() for clip in clips)


def test_without_a_folder_the_files_go_under_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = demo_pair(tmp_path)
    assert runs("compare", first, second).returncode == 0
    (written,) = (tmp_path / "outputs" / "comparisons").iterdir()
    assert {path.name for path in written.iterdir()} == {"comparison.html", "comparison.json"}


def test_a_dataset_that_is_gone_costs_the_sound_and_nothing_else(tmp_path: Path) -> None:
    gone = ("dataset=manifest", f"dataset.path={tmp_path}/gone.jsonl")
    first = folder(tmp_path / "a", [outcome("x", wrong(1)), outcome("y", SAID)], *gone)
    second = folder(tmp_path / "b", [outcome("x", wrong(2)), outcome("y", SAID)], *gone)
    finished = runs("compare", first, second, "--output-dir", tmp_path / "out")
    assert finished.returncode == 0, finished.stderr
    assert "(no audio: " in finished.stdout
    assert "gone.jsonl" in finished.stdout


def test_different_utterances_are_one_line_and_exit_2(tmp_path: Path) -> None:
    first = folder(tmp_path / "a", [outcome("x", SAID), outcome("y", SAID)])
    second = folder(tmp_path / "b", [outcome("y", SAID), outcome("z", SAID)])
    finished = runs("compare", first, second, "--output-dir", tmp_path / "out")
    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert "1 only in A, 1 only in B" in line
    assert "--shared" in line
    assert not (tmp_path / "out").exists()
    shared = runs("compare", first, second, "--shared", "--output-dir", tmp_path / "out")
    assert shared.returncode == 0, shared.stderr


def test_runs_scored_under_two_profiles_need_one_named(tmp_path: Path) -> None:
    outcomes = [outcome("x", "One, two"), outcome("y", SAID)]
    first = folder(tmp_path / "a", outcomes, "profile=basic")
    second = folder(tmp_path / "b", outcomes, "profile=raw")
    finished = runs("compare", first, second, "--output-dir", tmp_path / "out")
    assert finished.returncode == 2
    assert "under basic" in finished.stderr
    assert "--profile P" in finished.stderr
    named = ("--profile", "raw", "--output-dir", tmp_path / "out")
    assert runs("compare", first, second, *named).returncode == 0
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert written["profile"]["name"] == "raw"


def test_a_setting_of_no_named_profile_is_refused(tmp_path: Path) -> None:
    first, second = demo_pair(tmp_path)
    finished = runs("compare", first, second, "--set", "profile.version=2")
    assert finished.returncode == 2
    assert "name the profile too" in finished.stderr


def test_an_unknown_profile_is_one_line_and_exit_2(tmp_path: Path) -> None:
    first, second = demo_pair(tmp_path)
    finished = runs("compare", first, second, "--profile", "nonsense")
    assert finished.returncode == 2
    assert len(finished.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_exit_74(tmp_path: Path) -> None:
    first, second = demo_pair(tmp_path)
    (tmp_path / "file").write_text("")
    finished = runs("compare", first, second, "--output-dir", tmp_path / "file" / "out")
    assert finished.returncode == 74
    assert "cannot write there" in finished.stderr
