"""What may be asked for, and what a plan says: names, folders, the command that repeats it."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from whisperlab.app.evaluation import Choices, Plan
from whisperlab.app.settings import AppSettings
from whisperlab.config.build import configuration_hash, validate
from whisperlab.config.compose import compose
from whisperlab.config.overrides import overrides_between, written
from whisperlab.errors import ConfigError
from whisperlab.serve.configurations import TRANSCRIBER_KEYS, Configuration
from whisperlab.serve.problems import ApiError

ASKED: dict[str, Any] = {"dataset": "demo", "profile": "basic", "utterances": 5, "seed": 3}


def settings(folder: Path, **changes: Any) -> AppSettings:
    shipped = compose("app")["app"]
    return validate(AppSettings, {**shipped, "runs_dir": str(folder), **changes}, "app")


def configuration(name: str, *overrides: str) -> Configuration:
    composed = compose("transcriber", list(overrides))
    return Configuration(name, {key: composed[key] for key in TRANSCRIBER_KEYS})


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Choices:
    return Choices(settings(tmp_path_factory.mktemp("offered") / "runs"))


def planned(folder: Path, one: Configuration, **asked: Any) -> Plan:
    return Choices(settings(folder)).plan(one, **{**ASKED, **asked})


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["preset=baseline"],
        ["engine=pocketsphinx", "model=none", "device=cpu"],
        ["preprocess=[loudness,trim]", "decode=openai", "quantization=int8"],
        ["segmentation=fixed", "decode.prompt='it\\'s 5 \"o clock\", = {so}'"],
        ["preset=turbo", "decode.language=null", "audio.max_seconds=12.5"],
    ],
)
def test_the_resume_line_composes_to_the_same_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    one = configuration("default", *overrides)
    plan = planned(Path("runs"), one)
    words = shlex.split(plan.resume_line)
    assert words[:3] == ["python", "-m", "whisperlab.eval"]
    again = compose("eval", words[3:])
    assert again == plan.config
    assert list(again["preprocess"]) == list(plan.config["preprocess"])
    assert configuration_hash(again) == configuration_hash(one.config)


def test_the_resume_line_shows_names_in_place_of_the_machines_folders(tmp_path: Path) -> None:
    choices = Choices(settings(tmp_path / "my runs", manifests=["/data/one/dev set.jsonl"]))
    one = configuration("default", "model.source=/models/mine")
    plan = choices.plan(one, **{**ASKED, "dataset": "dev set.jsonl"})
    words = shlex.split(plan.resume_line)
    assert {"++model.source=mine", "dataset.path='dev set.jsonl'", f"run_dir='{plan.name}'"} <= set(
        words
    )
    assert "/" not in plan.resume_line


def test_a_preset_is_resumed_by_its_name(tmp_path: Path) -> None:
    plan = planned(tmp_path, configuration("baseline", "preset=baseline"))
    assert plan.arguments[0] == "preset=baseline"
    assert len(plan.arguments) == 6


def test_a_configuration_that_only_has_a_presets_name_is_written_out(tmp_path: Path) -> None:
    plan = planned(tmp_path, configuration("baseline", "decode.beam_size=3"))
    assert plan.arguments[0] == "++decode.beam_size=3"


@given(st.text(max_size=30) | st.text("./-nulTRE1e0:=,'\"\\ ", max_size=8))
@example("/a b")
@example("\\")
@example("a\\'b\\\\")
@example("../runs/x-1")
def test_any_text_is_read_as_itself_by_hydra(text: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"++key={written(text)}"])
    assert override.value() == text


def test_what_is_missing_is_taken_out() -> None:
    assert overrides_between({"a": 1, "b": {"c": 2}}, {"b": {}}) == ["~a", "++b={}"]


def test_two_plans_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    one = configuration("default")
    choices = Choices(settings(tmp_path))
    folders = {choices.plan(one, **ASKED).folder for _ in range(5)}
    assert len(folders) == 5
    assert all(folder.is_dir() and folder.parent == tmp_path for folder in folders)


def test_no_name_leaves_the_folder_of_runs(tmp_path: Path) -> None:
    plan = planned(tmp_path, replace(configuration("default"), name="../../etc/x y\n"))
    assert plan.folder.parent == tmp_path
    assert plan.name.endswith("-..-..-etc-x-y--demo")


HOSTILE = ["../x", "/etc/passwd", "a\0b", "x" * 10_240, "", "dataset=demo", "demo\n", "DEMO"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("param", ["dataset", "profile"])
def test_names_that_were_not_offered_are_refused(offered: Choices, param: str, name: str) -> None:
    with pytest.raises(ApiError, match=f"Expected {param} to be one of"):
        offered.plan(Configuration("default", {}), **{**ASKED, param: name})
    assert not offered.runs_dir.exists()


@pytest.mark.parametrize(
    "asked",
    [
        *[{"utterances": wrong} for wrong in (0, -1, 2.5, 10**9, True)],
        *[{"seed": wrong} for wrong in (-1, 2**32, None, "1")],
    ],
)
def test_numbers_out_of_range_are_refused(offered: Choices, asked: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match="whole number"):
        offered.plan(Configuration("default", {}), **{**ASKED, **asked})
    assert not offered.runs_dir.exists()


def test_manifests_are_offered_by_file_name(tmp_path: Path) -> None:
    paths = ["/data/a/dev.jsonl", "/data/b/test one.csv"]
    choices = Choices(settings(tmp_path, manifests=paths))
    assert choices.datasets == ("demo_digits", "demo", "dev.jsonl", "test one.csv")
    plan = choices.plan(
        configuration("default"), dataset="test one.csv", profile="raw", utterances=None, seed=0
    )
    assert plan.config["dataset"]["path"] == "/data/b/test one.csv"
    assert plan.config["dataset"]["subset"] is None
    assert compose("eval", list(plan.arguments)) == plan.config


def test_manifests_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    choices = Choices(settings(tmp_path, datasets=[], manifests=["/a/m.jsonl", "/b/m.jsonl"]))
    assert choices.datasets == ("a/m.jsonl", "b/m.jsonl")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"manifests": ["/x/a/m.jsonl", "/y/a/m.jsonl"]}, "same folder and file name"),
        ({"manifests": ["/x/demo"]}, "also a dataset's name"),
        ({"datasets": ["manifest"]}, "manifest cannot be offered"),
        ({"datasets": ["nothing"]}, "nothing cannot be offered"),
    ],
)
def test_what_cannot_be_offered_is_said_at_start(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        Choices(settings(tmp_path, **changes))
