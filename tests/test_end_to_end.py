"""The main job on real recordings: true scores, every state, sweeps side by side."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jiwer
import pytest
from transformers.models.whisper.english_normalizer import (
    BasicTextNormalizer,
    EnglishTextNormalizer,
)

from whisperlab.experiment.folder import RUN_CARD, read_run


def evaluate(*arguments: str, code: int = 0, cwd: Path | None = None) -> str:
    finished = subprocess.run(
        [sys.executable, "-m", "whisperlab.eval", *arguments],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        cwd=cwd,
    )
    assert finished.returncode == code, finished.stderr
    assert "Traceback" not in finished.stderr
    return finished.stdout


def independent_normalisers(test_data: Path) -> dict[str, Callable[[str], str]]:
    """Each profile's rules as somebody else wrote them."""
    path = test_data / "normalizers" / "openai-whisper-2025-06.json"
    content: Any = json.loads(path.read_text(encoding="utf-8"))
    spelling = content.get("english_spelling", content)
    spelling = {**spelling, "archaeology": "archeology"}  # openai's one damaged entry, mended
    return {
        "raw": lambda text: text,
        "basic": BasicTextNormalizer(),
        "whisper-english": EnglishTextNormalizer(spelling),
    }


def test_wer_equals_jiwer_on_the_ledger_s_raw_texts_under_every_profile(
    test_data: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    manifest = test_data / "english_dev" / "manifest.jsonl"
    command = (
        "engine=pocketsphinx", "dataset=manifest", f"dataset.path={manifest}", "dataset.subset=6",
        "latency_utterances=1", "resamples=200", f"run_dir={run_dir}",
    )  # fmt: skip
    for name, normalise in independent_normalisers(test_data).items():
        evaluate(*command, f"profile={name}")  # the second and third rescore without inference
        result = read_run(run_dir)
        assert len(result.card.attempts) == 1
        assert result.scores.profile["name"] == name
        scored = [outcome for outcome in result.outcomes if outcome.state.scored]
        assert len(scored) == 6
        measured = jiwer.process_words(
            reference=[normalise(outcome.reference) for outcome in scored],
            hypothesis=[normalise(outcome.text) for outcome in scored],
        )
        wer = result.scores.scores["wer"]
        assert wer.value == pytest.approx(measured.wer, abs=1e-9)
        assert wer.reference_words == measured.hits + measured.substitutions + measured.deletions
        characters = jiwer.cer(
            reference=[normalise(outcome.reference) for outcome in scored],
            hypothesis=[normalise(outcome.text) for outcome in scored],
        )
        assert result.scores.scores["cer"].value == pytest.approx(characters, abs=1e-9)


@pytest.mark.parametrize("folder", ["weird", "badaudio"])
def test_every_hostile_or_odd_file_gets_its_state_and_the_run_ends(
    folder: str, test_data: Path, tmp_path: Path
) -> None:
    manifest = test_data / folder / "manifest.jsonl"
    output = evaluate(
        "engine=replay", "engine.default_text=something", "dataset=manifest",
        f"dataset.path={manifest}", "latency_utterances=0", f"run_dir={tmp_path / 'run'}",
        code=3,
    )  # fmt: skip
    result = read_run(tmp_path / "run")
    expected = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    assert len(result.outcomes) == len(expected)
    states = {outcome.id: outcome for outcome in result.outcomes}
    for item in expected:
        outcome = states[item["id"]]
        if item["expected"] == "accept":
            assert outcome.state.scored, (item["id"], outcome.error)
        elif item["expected"] == "reject":
            assert outcome.error is not None, item["id"]
            if item["code"] is not None:
                assert outcome.error.code == item["code"], item["id"]
    assert "failed" in output


def test_a_sweep_over_preprocessing_stands_side_by_side(test_data: Path, tmp_path: Path) -> None:
    manifest = test_data / "english_dev" / "manifest.jsonl"
    output = evaluate(
        "-m", "preprocess=[],[trim],[loudness,trim]", "engine=replay",
        "engine.default_text=the quick brown fox", "dataset=manifest", f"dataset.path={manifest}",
        "dataset.subset=40", "latency_utterances=2", "resamples=200",
        f"run_dir={tmp_path / 'sweep'}",
    )  # fmt: skip
    runs = [read_run(tmp_path / "sweep" / str(index)) for index in range(3)]
    chains = [list(run.card.config["preprocess"]) for run in runs]
    assert chains == [[], ["trim"], ["loudness", "trim"]]
    assert len({run.card.configuration_hash for run in runs}) == 3
    ids = [sorted(outcome.id for outcome in run.outcomes) for run in runs]
    assert ids[0] == ids[1] == ids[2]
    assert len(ids[0]) == 40
    for run in runs:
        assert run.card.configuration_hash[:8] in re.sub(r"\s", "", output)


def test_a_finished_run_prints_its_result_again_and_another_dataset_is_refused(
    tmp_path: Path,
) -> None:
    command = ("engine=replay", "engine.default_text=hello", "dataset.subset=4",
               "latency_utterances=0", f"run_dir={tmp_path / 'run'}")  # fmt: skip
    first, second = evaluate(*command), evaluate(*command)
    assert "WER" in first
    assert first == second
    finished = subprocess.run(
        [sys.executable, "-m", "whisperlab.eval", *command, "dataset.seed=1"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 2
    assert "seed" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"audio": "a.wav"}'], "manifest.jsonl:1"),
        (['{"audio": "a.wav", "text": "x"}', "{not json"], "manifest.jsonl:2"),
        ([], "manifest.jsonl"),
    ],
)
def test_a_wrong_manifest_ends_with_4_and_names_file_and_line(
    lines: list[str], said: str, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(lines), encoding="utf-8")
    finished = subprocess.run(
        [sys.executable, "-m", "whisperlab.eval", "dataset=manifest", f"dataset.path={manifest}",
         "model=large-v3", f"run_dir={tmp_path / 'run'}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert finished.returncode == 4, finished.stderr
    assert said in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert not (tmp_path / "run" / RUN_CARD).exists()
