"""A mistyped key, choice or argument is answered with what was meant; an unlike one with nothing."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from whisperlab.config.arguments import ArgumentParser
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import CONF_DIR, compose
from whisperlab.config.suggestions import nearest_key
from whisperlab.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("decode.beem_size=5", "did you mean decode.beam_size?"),
        ("modell=tiny", "did you mean model?"),
        ("model=tinny", "did you mean tiny?"),
        ("engine=hff", "did you mean hf?"),
        ("preprocess=[trimm]", "did you mean trim?"),
        ("preset=turob", "did you mean turbo?"),
        ("dataset.sbset=3", "did you mean dataset.subset?"),
        (
            "dataset.path=x",
            "dataset.path: no such key in what was chosen for dataset; choose another",
        ),
        ("run_dir", "expected key=value, got 'run_dir'; --help lists the keys"),
    ],
)
def test_a_mistyped_override_says_what_was_meant(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose("eval", [override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_choice_that_is_like_none_lists_them_all() -> None:
    with pytest.raises(
        ConfigError,
        match=r"there are: ctranslate2, hf, openvino, pocketsphinx, remote, replay, torch .--config-dir DIR",
    ) as caught:
        compose("eval", ["engine=zzzzzz"])
    assert "did you mean" not in str(caught.value)


def test_an_appended_key_that_is_mistyped_says_what_was_meant() -> None:
    config = compose("eval", ["preprocess=[trim]", "+preprocess.trim.treshold_db=3"])
    with pytest.raises(ConfigError, match=r"did you mean preprocess\.trim\.threshold_db\?"):
        build_transcriber(config)


@pytest.mark.parametrize(
    ("written", "said"),
    [("english", "write en"), ("German", "write de"), ("de-AT", "write a code")],
)
def test_a_language_that_is_no_code_is_answered_with_one(written: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"decode.language: .*got '{written}'; {said}"):
        build_transcriber(compose("eval", [f"decode.language={written}"]))


def test_a_key_that_is_like_none_is_not_guessed() -> None:
    assert nearest_key("entirely.other") is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prest=x"], "did you mean --preset?"),
        (["comapre"], "did you mean compare?"),
        (["compare", "--metrics", "x"], "did you mean --metric?"),
    ],
)
def test_a_mistyped_argument_says_what_was_meant(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = ArgumentParser(prog="x")
    parser.add_argument("--preset")
    commands = parser.add_subparsers()
    commands.add_parser("compare", allow_abbrev=False).add_argument("--metric")
    commands.add_parser("gate")
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_an_option_before_the_overrides_is_guessed_too() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "whisperlab.eval", "--confg-dir"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 2
    assert "did you mean --config-dir?" in finished.stderr


@pytest.mark.parametrize(
    ("override", "quoted"),
    [
        ("run_dir=a=b", "'run_dir=\"a=b\"'"),
        ("run_dir=rec (1).jsonl", "'run_dir=\"rec (1).jsonl\"'"),
        ("+dataset.text_column=größe", "'+dataset.text_column=\"größe\"'"),
        ('run_dir=a"b(', '\'run_dir="a\\"b("\''),
        ("run_dir=(C:\\", "'run_dir=\"(C:\\\\\"'"),
    ],
)
def test_a_value_that_hydra_cannot_read_is_shown_in_quotes(override: str, quoted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose("eval", [override])
    assert str(caught.value) == (
        f"{override}: Hydra cannot read the value; in quotes it is taken as it stands: {quoted}"
    )
    (read_back,) = shlex.split(quoted)
    value = OverridesParser.create().parse_override(read_back).value()
    assert str(value) == override.partition("=")[2]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("run_dir=~/runs/a", 'write the folder out: run_dir="$HOME/runs/a"'),
        ("run_dir=~anna/runs", "write the folder out"),
        ("preprocess=[trim", "close the brackets"),
        ("preprocess={a:", "close the brackets"),
    ],
)
def test_a_tilde_and_an_open_bracket_are_told_apart(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{re.escape(override)}: .*{re.escape(said)}"):
        compose("eval", [override])


@pytest.mark.parametrize(
    ("override", "step"),
    [
        ("preprocess=[trim,trim]", "trim"),
        ("preprocess=[trim, loudness, trim]", "trim"),
        ("perturb=[noise,gain,noise]", "noise"),
    ],
)
def test_a_step_that_is_named_twice_is_refused(override: str, step: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{re.escape(override)}: expected .* {step} twice"):
        compose("eval", [override])


def test_a_second_copy_of_a_step_under_another_name_is_heard(tmp_path: Path) -> None:
    (tmp_path / "preprocess").mkdir()
    own = (CONF_DIR / "preprocess/trim.yaml").read_text().replace("\ntrim:", "\ntrim_again:")
    (tmp_path / "preprocess/trim_again.yaml").write_text(own)
    chain = compose("eval", ["preprocess=[trim,loudness,trim_again]"], tmp_path)["preprocess"]
    assert list(chain) == ["trim", "loudness", "trim_again"]


def test_a_step_that_is_named_twice_in_a_sweep_is_refused() -> None:
    sweep = "preprocess=[],[trim],[trim,loudness,trim]"
    finished = subprocess.run(
        [sys.executable, "-m", "whisperlab.eval", "-m", sweep],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 2
    assert f"error: {sweep}: expected each step once, got trim twice" in finished.stderr
