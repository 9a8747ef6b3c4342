"""Presets: named, complete transcribers, the same from every face."""

from __future__ import annotations

import subprocess
import sys

import pytest

import whisperlab
from whisperlab.config.build import build_transcriber, configuration_hash
from whisperlab.config.compose import CONF_DIR, compose
from whisperlab.dataset.demo import FOLDER
from whisperlab.errors import ConfigError
from whisperlab.transcriber import Transcriber

PRESETS = sorted(path.stem for path in (CONF_DIR / "preset").glob("*.yaml"))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_composes_and_builds_the_same_from_every_face(preset: str) -> None:
    lab = whisperlab.load(preset)
    assert isinstance(lab, Transcriber)
    assert lab.load_seconds is None
    for face in ("transcriber", "eval"):
        built = build_transcriber(compose(face, [f"preset={preset}"]))
        assert (built.settings, built.options) == (lab.settings, lab.options)
        assert (built.segmentation, built.preprocessors) == (lab.segmentation, lab.preprocessors)


@pytest.mark.parametrize(
    ("preset", "model", "quantization"),
    [
        ("turbo", "large-v3-turbo", "bfloat16"),
        ("large", "large-v3", "bfloat16"),
        ("distil", "distil-large-v3", "bfloat16"),
        ("baseline", "none", "none"),
    ],
)
def test_what_a_preset_means(preset: str, model: str, quantization: str) -> None:
    config = compose("transcriber", [f"preset={preset}", "device=cpu"])
    assert (config["model"]["name"], config["quantization"]["name"]) == (model, quantization)


def test_the_default_preset_changes_nothing() -> None:
    assert compose("transcriber", ["preset=default"]) == compose("transcriber", ["~preset"])


def test_an_override_of_the_user_s_wins_over_the_preset() -> None:
    config = compose("transcriber", ["preset=turbo", "model=base", "decode.beam_size=5"])
    assert config["model"]["name"] == "base"
    assert config["quantization"]["name"] == "bfloat16"
    assert config["decode"]["beam_size"] == 5


def test_a_preset_is_hashed_as_what_it_chooses() -> None:
    preset = compose("transcriber", ["preset=turbo", "device=cpu"])
    chosen = compose("transcriber", ["model=large-v3-turbo", "quantization=bfloat16", "device=cpu"])
    assert configuration_hash(preset) == configuration_hash(chosen)


def test_an_unknown_preset_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"preset=turbot: .*did you mean turbo"):
        whisperlab.load("turbot")


def test_load_transcribes() -> None:
    assert whisperlab.load("baseline").transcribe(FOLDER / "silence.flac").text == ""


def test_the_command_takes_a_preset_by_name() -> None:
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "whisperlab.transcribe"),
            *(str(FOLDER / "silence.flac"), "--preset", "baseline", "--format", "json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert '"text": ""' in finished.stdout
