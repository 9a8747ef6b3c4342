"""mode=invariance finds a padding bug and clears a sound engine; mode=robustness gives the matrix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ENGINES = '''
"""Counts half seconds of sound: one by what is heard, one by what the batch was padded to."""

from dataclasses import field

import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.device import Device, Quantization
from whisperlab.engine.model import ModelSpec
from whisperlab.transcript import Transcript


class Counter:
    sample_rate = 16_000

    def __init__(self, hears_padding):
        self.hears_padding = hears_padding

    def transcribe(self, batch, options, watch):
        longest = max(len(waveform.samples) for waveform in batch)
        counted = [longest if self.hears_padding else len(one.samples) for one in batch]
        loud = [float(np.abs(one.samples).max()) > 0.05 for one in batch]
        return [
            Transcript(" ".join(["one" if is_loud else "two"] * (count // 8_000)))
            for count, is_loud in zip(counted, loud)
        ]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class CounterSettings:
    hears_padding: bool
    model: ModelSpec
    device: Device
    quantization: Quantization

    def check(self, options):
        pass

    def load(self):
        return Counter(self.hears_padding)
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A third party's package with the two engines, and the folder of their yaml."""
    folder = tmp_path_factory.mktemp("plugin")
    package = folder / "counting_engines"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "engines.py").write_text(ENGINES, encoding="utf-8")
    (folder / "conf" / "engine").mkdir(parents=True)
    for name, hears_padding in (("sound", "false"), ("padding_bug", "true")):
        (folder / "conf" / "engine" / f"{name}.yaml").write_text(
            f"_target_: counting_engines.engines.CounterSettings\nhears_padding: {hears_padding}\n",
            encoding="utf-8",
        )
    (folder / "conf" / "mode").mkdir()
    (folder / "conf" / "mode" / "pairs.yaml").write_text(
        "name: invariance\nvariants: {alone: [batch_size=1], pairs: [batch_size=2]}\n",
        encoding="utf-8",
    )
    return folder


def evaluate(plugin: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-m", "whisperlab.eval", "--config-dir", str(plugin / "conf"), *arguments,
            "model=none", "latency_utterances=0", "resamples=200", "dataset.subset=10",
        ],
        capture_output=True, text=True, timeout=300, check=False,
        env={
            **os.environ,
            "WHISPERLAB_TRUSTED_PACKAGES": "counting_engines",
            "PYTHONPATH": os.pathsep.join([str(plugin), os.environ.get("PYTHONPATH", "")]),
        },
    )  # fmt: skip


def circumstances(folder: Path) -> dict[str, dict[str, Any]]:
    content = json.loads((folder / "invariance.json").read_text(encoding="utf-8"))
    return {one["name"]: one for one in content["circumstances"]}


def test_a_padding_bug_is_found_and_named(plugin: Path, tmp_path: Path) -> None:
    finished = evaluate(plugin, "mode=invariance", "engine=padding_bug", f"run_dir={tmp_path}")
    assert finished.returncode == 10, finished.stderr
    found = circumstances(tmp_path)
    verdicts = {name: one["verdict"] for name, one in found.items() if one["must_equal"]}
    assert verdicts == {
        "again": "invariant", "batch_8": "violated", "batch_32": "violated",
        "shuffled": "invariant", "shuffled_batch_8": "violated", "flac": "invariant",
    }  # fmt: skip
    for one in found["batch_32"]["changed"]:  # padded to the longest: only longer texts
        assert len(one["after"]) > len(one["before"])
    assert found["batch_32"]["changed_share"] > 0.5
    assert "Texts changed that must not: batch_8 (" in finished.stdout


def test_a_sound_engine_is_cleared_and_a_second_call_runs_nothing(
    plugin: Path, tmp_path: Path
) -> None:
    command = ("mode=invariance", "engine=sound", f"run_dir={tmp_path}")
    finished = evaluate(plugin, *command)
    assert finished.returncode == 0, finished.stderr
    found = circumstances(tmp_path)
    assert {one["verdict"] for one in found.values() if one["must_equal"]} == {"invariant"}
    assert found["padded_1s"]["changed_share"] == 1.0  # it counts what it hears: two more
    assert found["quieter_20db"]["changed_share"] > 0
    assert "No text changed that must not" in finished.stdout
    card = json.loads((tmp_path / "batch_8" / "run.json").read_text(encoding="utf-8"))
    assert card["config"]["batch_size"] == 8
    assert card["config"]["mode"]["name"] == "single"
    assert "batch_size=8" in card["command"]
    assert "mode=" not in card["command"]
    again = evaluate(plugin, *command)
    assert again.stdout.splitlines()[1:] == finished.stdout.splitlines()[1:]
    after = json.loads((tmp_path / "batch_8" / "run.json").read_text(encoding="utf-8"))
    assert len(after["attempts"]) == 1


def test_one_command_gives_the_matrix_of_a_sweep(plugin: Path, tmp_path: Path) -> None:
    finished = evaluate(
        plugin, "-m", "mode=robustness", "engine=sound,padding_bug", "batch_size=1",
        f"run_dir={tmp_path}",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    content = json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))
    assert len(content["rows"]) == 2
    assert content["conditions"][:3] == ["clean", "white noise 20 dB", "white noise 10 dB"]
    assert len(content["conditions"]) == 10
    for row in content["rows"]:
        assert list(row["cells"]) == content["conditions"]
        differences = {name: cell["difference"] for name, cell in row["cells"].items()}
        assert differences["clean"] is None
        assert differences["white noise 20 dB"]["value"] == 0.0  # it only counts time
        assert differences["speed 1.1"]["value"] != 0.0
    assert (tmp_path / "matrix.html").exists()
    assert (tmp_path / "0" / "telephone" / "report.html").exists()


def test_every_variant_is_run_by_the_executor(plugin: Path, tmp_path: Path) -> None:
    scores = {}
    for name, executor in (("here", []), ("local", ["executor=local", "executor.workers=2"])):
        folder = tmp_path / name
        finished = evaluate(
            plugin, "mode=pairs", "engine=padding_bug", f"run_dir={folder}", *executor
        )
        assert finished.returncode == 0, finished.stderr
        scores[name] = [
            json.loads((folder / variant / "scores.json").read_text("utf-8"))["scores"]
            for variant in ("alone", "pairs")
        ]
    assert scores["local"] == scores["here"]
    assert scores["here"][0] != scores["here"][1]  # what the two variants say differs
    for variant in ("alone", "pairs"):
        parts = tmp_path / "local" / variant / "parts"
        assert sorted(path.name for path in parts.iterdir()) == ["0", "1"]
    assert not (tmp_path / "here" / "alone" / "parts").exists()
