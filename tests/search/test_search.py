"""A search over real parts: it ends, it resumes to the same decisions, it serves what it raced."""

from __future__ import annotations

import html
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import whisperlab
from whisperlab.config.build import configuration_hash
from whisperlab.config.compose import compose
from whisperlab.errors import ConfigError
from whisperlab.experiment.checked_lines import read_records
from whisperlab.experiment.ledger import read_ledger
from whisperlab.report.race import sentences
from whisperlab.search.searching import search

TEXTS = "one two three,one,three three three three three three three three three,six seven"
SPACE = (
    "engine=replay", "space=none", f"+space.engine.default_text=[{TEXTS}]", "dataset=demo_digits",
    "resamples=200", "batch_size=2",
)  # fmt: skip
"""Four recognisers that always say the same; each error count can be told from the references."""


def errors_of(text: str, reference: str) -> int:
    """Word edit distance by the textbook's recursion: an oracle of its own."""
    said, heard = reference.lower().replace(".", "").split(), text.split()
    row = list(range(len(heard) + 1))
    for count, word in enumerate(said, start=1):
        last, row[0] = row[0], count
        for place, other in enumerate(heard, start=1):
            last, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, last + (word != other)),
            )
    return row[-1]


def decisions(folder: Path) -> list[dict[str, Any]]:
    return [
        record for record in read_records(folder / "decisions.jsonl") if record["event"] != "loaded"
    ]


def without_seconds(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in one.items() if key != "spent_seconds"} for one in records]


def test_a_search_ends_with_the_lowest_error_rate_and_counts_right(tmp_path: Path) -> None:
    result = whisperlab.search(*SPACE, f"search_dir={tmp_path}")  # the package can be called
    chosen = result.recommended
    assert chosen is not None
    assert result.rows[0] is chosen
    for row in result.rows:
        ledger = list(read_ledger(tmp_path / "outcomes" / f"{row.name}.jsonl"))
        text = row.overrides[0].partition("=")[2].strip("'")
        assert len(ledger) == row.utterances
        assert row.errors == sum(errors_of(text, outcome.reference) for outcome in ledger)
    assert chosen.wer == min(row.wer for row in result.kept if row.wer is not None)
    dropped = [row for row in result.rows if row.drop is not None]
    assert [row.overrides[0] for row in dropped] != []
    assert all(row.drop is not None and row.drop.e_value >= 20 for row in dropped)
    assert result.share < 1


def test_the_frame_the_report_and_the_file_say_the_same(tmp_path: Path) -> None:
    result = search(*SPACE, f"search_dir={tmp_path}")
    frame = result.to_pandas()
    assert list(frame["configuration"]) == [row.name for row in result.rows]
    assert list(frame["errors"]) == [row.errors for row in result.rows]
    assert next(iter(frame["state"])) == "recommended"
    stored = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert [row["errors"] for row in stored["rows"]] == list(frame["errors"])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(row.name[:8] in page for row in result.rows)


def test_the_same_command_again_transcribes_nothing_and_decides_the_same(tmp_path: Path) -> None:
    first = search(*SPACE, f"search_dir={tmp_path}")
    before = {path.name: path.read_bytes() for path in (tmp_path / "outcomes").iterdir()}
    said = (tmp_path / "decisions.jsonl").read_bytes()
    again = search(*SPACE, f"search_dir={tmp_path}")
    assert again == first
    assert {path.name: path.read_bytes() for path in (tmp_path / "outcomes").iterdir()} == before
    assert (tmp_path / "decisions.jsonl").read_bytes() == said


def test_a_search_killed_in_mid_race_comes_to_the_same_decisions(tmp_path: Path) -> None:
    slow = (*SPACE, "engine.seconds_per_utterance=0.03")
    whole = search(*slow, f"search_dir={tmp_path / 'whole'}")
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "whisperlab.search", *slow, f"search_dir={folder}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while not (folder / "decisions.jsonl").exists() or not decisions(folder):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert len(decisions(folder)) < len(decisions(tmp_path / "whole"))
    resumed = search(*slow, f"search_dir={folder}")
    assert without_seconds(decisions(folder)) == without_seconds(decisions(tmp_path / "whole"))
    assert [(row.name, row.errors, row.state) for row in resumed.rows] == [
        (row.name, row.errors, row.state) for row in whole.rows
    ]
    for path in (folder / "outcomes").iterdir():
        names = [outcome.id for outcome in read_ledger(path)]
        assert len(names) == len(set(names))


def test_a_search_among_equals_ends_when_the_tolerance_is_shown(tmp_path: Path) -> None:
    equals = (
        *SPACE[:2],
        "engine.default_text=one",
        "+space.preprocess=[[],[trim],[denoise]]",
        *SPACE[3:],
    )
    wide = (*equals, "search.tolerance=30", f"search_dir={tmp_path}")
    result = search(*wide)
    assert result.reason == "settled"
    assert len(result.kept) == 3
    assert result.share < 1
    last = decisions(tmp_path)[-1]
    assert last["event"] == "settled"
    assert result.recommended is not None
    assert last["candidate"] == result.recommended.name
    assert last["e_value"] >= 1 / result.alpha
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "shown to be within the tolerance of 30.00" in page
    assert search(*wide) == result
    assert decisions(tmp_path)[-1] == last


def test_a_budget_is_kept_and_who_is_set_aside_is_said_to_be(tmp_path: Path) -> None:
    result = search(
        *SPACE, f"search_dir={tmp_path}", "search.audio_hours=0.02", "search.alpha=0.000001"
    )
    assert result.audio_seconds <= 0.02 * 3600
    assert {row.state for row in result.rows} <= {"recommended", "kept", "unaffordable"}
    assert any(row.state == "unaffordable" for row in result.rows)


def test_another_search_s_folder_is_refused_with_what_differs(tmp_path: Path) -> None:
    search(*SPACE, f"search_dir={tmp_path}")
    with pytest.raises(ConfigError, match=r"these differ: rules;") as refused:
        search(*SPACE, f"search_dir={tmp_path}", "search.alpha=0.01")
    assert refused.value.code == "fingerprint_differs"


def test_the_written_preset_is_the_configuration_that_was_raced(tmp_path: Path) -> None:
    result = search(
        *SPACE, "+space.preprocess=[[loudness,trim]]", f"search_dir={tmp_path}", "seed=1"
    )
    assert result.recommended is not None
    served = compose("serve", ["preset=recommended"], tmp_path / "conf")
    assert configuration_hash(served) == result.recommended.name
    assert list(served["preprocess"]) == ["loudness", "trim"]
    assert "preset=recommended" in result.serve


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("space=none",), "2 configurations to race or more, got 0"),
        (("space=none", "search.candidates=['seed=1']"), "2 configurations .*, got 1"),
        (("search.objectives=[rtfx]",), "expected wer first"),
        (("search.objectives=[wer,p95]", "batch_size=4"), "set batch_size=1"),
        (("search.objectives=[wer,memory]", "device=cpu"), "on cuda alone"),
        (("space=none", "+space.decode.beam_size=[0]"), r"decode\.beam_size=0: decode\.beam_size"),
        (
            ("space=none", "search.candidates=['seed=1','seed=2']"),
            "the same configuration as seed=1",
        ),
        (("search.samples=3",), "ranges and samples together"),
    ],
)
def test_a_wrong_search_is_refused_before_anything_is_loaded(
    tmp_path: Path, overrides: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        search(*overrides, f"search_dir={tmp_path / 'search'}")


def test_the_command_prints_table_evidence_and_the_command_that_serves(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "whisperlab.search", *SPACE, f"search_dir={tmp_path}"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "Recommended: engine.default_text=" in finished.stdout
    assert f"--config-dir {tmp_path}/conf preset=recommended" in finished.stdout
    assert "errs with probability at most 5 %" in finished.stdout
    assert "out, " in finished.stderr


def recordings(folder: Path, missing: Sequence[str]) -> str:
    """A manifest of eight tones, of which some are not there."""
    names = [f"{number}.wav" for number in range(8)]
    for name in sorted({*names} - {*missing}):
        soundfile.write(folder / name, np.full(1_600, 0.1), 16_000)
    rows = [json.dumps({"audio_filepath": name, "text": "one two"}) for name in names]
    (folder / "m.jsonl").write_text("\n".join(rows))
    return f"dataset.path={folder / 'm.jsonl'}"


STEPS = (
    "engine=replay", "engine.default_text=one two", "space=none", "dataset=manifest", "resamples=50",
    "+space.preprocess=[[],[trim]]",
)  # fmt: skip


def test_utterances_without_a_text_are_told_beside_the_recommendation(tmp_path: Path) -> None:
    manifest = recordings(tmp_path, ["3.wav", "5.wav"])
    result = search(*STEPS, manifest, f"search_dir={tmp_path / 'search'}")
    chosen = result.recommended
    assert chosen is not None
    assert (chosen.failed, chosen.errors, chosen.words) == (2, 4, 16)
    said = next(one for one in sentences(result) if "without a text" in one)
    assert "2 of 8" in said
    assert "file_not_found" in said
    assert "all their words count as errors" in said
    assert said in html.unescape((result.folder / "report.html").read_text())
    assert list(result.to_pandas()["failed"]) == [2, 2]
    silent, wordy = (replace(row, recommended=False) for row in result.rows)
    hopeless = replace(result, rows=(replace(silent, failed=silent.utterances), wordy))
    assert next(sentences(hopeless)) == (
        "Nothing can be recommended: the one with the fewest errors has no text at all."
    )
    assert "without a text" not in " ".join(
        sentences(search(*SPACE, f"search_dir={tmp_path / 'whole'}"))
    )


def test_nothing_is_recommended_where_no_utterance_has_a_text(tmp_path: Path) -> None:
    manifest = recordings(tmp_path, [f"{number}.wav" for number in range(8)])
    command = [
        sys.executable,
        "-m",
        "whisperlab.search",
        *STEPS,
        manifest,
        f"search_dir={tmp_path}",
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 3, finished.stderr
    assert "Nothing can be recommended: no utterance has a text" in finished.stdout
    assert "file_not_found" in finished.stdout
    assert "Serve it" not in finished.stdout
    stored = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert [row["recommended"] for row in stored["rows"]] == [False, False]
    assert stored["serve"] == ""
