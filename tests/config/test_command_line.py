"""Wrong commands end in one line on stderr, the right exit code, and without side effects."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TORCHLESS = ("engine=replay", "engine.default_text=hello")


def run_eval(
    *arguments: str, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "whisperlab.eval", *arguments],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refuse(
    finished: subprocess.CompletedProcess[str], code: int, *said: str, canary: Path | None = None
) -> None:
    lines = finished.stderr.splitlines()
    assert finished.returncode == code, finished.stderr
    assert len(lines) == 1, finished.stderr
    assert lines[0].startswith("error: ")
    assert "Traceback" not in finished.stderr
    for words in said:
        assert words in lines[0]
    if canary is not None:
        assert not canary.exists()


HOSTILE_TARGETS = [
    "os.system",
    "logging.os.system",
    "pip.main",
    "shutil.copyfile",
    "pandas.read_pickle",
    "urllib.request.urlopen",
    "builtins.open",
    "subprocess.run",
    "whisperlab.config.compose.Path",
    "whisperlab.engine.protocol.Sequence",
    "whisperlab.engine.model.Path",
    "whisperlab.preprocess",
    "whisperlab.experiment.ledger.Ledger",
    "hydra.utils.instantiate",
    "hydra._internal.utils._locate",
]


@pytest.mark.parametrize("target", HOSTILE_TARGETS)
def test_a_target_outside_the_plug_in_rooms_is_refused_before_any_side_effect(
    target: str, tmp_path: Path
) -> None:
    from whisperlab.config.targets import check_targets
    from whisperlab.errors import ConfigError

    nested = {
        "steps": [{"_target_": "whisperlab.preprocess.trim.TrimSilence"}, {"_target_": target}]
    }
    with pytest.raises(ConfigError, match="target not allowed") as caught:
        check_targets({"preprocess": nested})
    assert caught.value.exit_code == 2
    assert "preprocess.steps[1]._target_" in str(caught.value)


@pytest.mark.parametrize("directive", ["_args_", "_partial_", "_recursive_", "_convert_"])
def test_hydra_s_instantiate_directives_are_refused(directive: str) -> None:
    from whisperlab.config.targets import check_targets
    from whisperlab.errors import ConfigError

    with pytest.raises(ConfigError, match=directive):
        check_targets({"engine": {directive: [{"_target_": "os.system"}]}})


def test_a_hostile_target_on_the_command_line_ends_with_2_and_touches_nothing(
    tmp_path: Path,
) -> None:
    canary = tmp_path / "canary"
    for override in (
        "engine._target_=os.system",
        f"+preprocess.x={{_target_:os.system,command:'touch {canary}'}}",
        f"+dataset.extra=[{{_target_:os.system,command:'touch {canary}'}}]",
    ):
        refuse(run_eval(override, cwd=tmp_path), 2, "target not allowed", canary=canary)


def test_a_typo_in_a_target_says_what_was_meant(tmp_path: Path) -> None:
    finished = run_eval("engine._target_=whisperlab.engine.hf.HfSetings", cwd=tmp_path)
    refuse(finished, 2, "did you mean whisperlab.engine.hf.HfSettings?")


def test_a_trusted_package_is_trusted_by_the_environment_only(tmp_path: Path) -> None:
    package = tmp_path / "mylab"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "invert.py").write_text(
        "from pydantic.dataclasses import dataclass\n"
        "@dataclass(frozen=True)\n"
        "class Invert:\n"
        "    def __call__(self, waveform):\n"
        "        return waveform.with_samples(-waveform.samples)\n"
    )
    arguments = (
        "+preprocess.invert={_target_:mylab.invert.Invert}", *TORCHLESS, "latency_utterances=0",
        "dataset.subset=2", "run_dir=run",
    )  # fmt: skip
    path = {"PYTHONPATH": str(tmp_path)}
    refuse(run_eval(*arguments, cwd=tmp_path, environment=path), 2, "target not allowed")
    trusted = {**path, "WHISPERLAB_TRUSTED_PACKAGES": "mylab"}
    finished = run_eval(*arguments, cwd=tmp_path, environment=trusted)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("batch_size=0", "batch_size"),
        ("batch_size=-1", "batch_size"),
        ("batch_size=1000000000", "batch_size"),
        ("batch_size='\"8\"'", "batch_size"),
        ("batch_size=true", "batch_size"),
        ("batch_size=null", "batch_size"),
        ("seed=-1", "seed"),
        ("decode.beam_size=1.5", "decode.beam_size"),
        ("decode.timeout_seconds=nan", "decode.timeout_seconds"),
        ("decode.language=../../x", "decode.language"),
        ("max_failed_fraction=.nan", "max_failed_fraction"),
        ("decode.beem_size=5", "beem_size"),
        ("beem_size=5", "beem_size"),
        ("engine=nonesuch", "nonesuch"),
        ("preprocess=[trim,nonesuch]", "nonesuch"),
        ("preprocess=[trim] preprocess.trim.threshold_db=loud", "preprocess.trim.threshold_db"),
        ("+engine.beem_size=5", "engine.beem_size"),
        ("quantization=int8", "int8"),
        ("audio.max_seconds=-1", "audio.max_seconds"),
        ("run_dir=${oc.env:HOME}", "oc.env"),
        ("+a=${b} +b=${a}", "interpolation"),
        ("hydra.searchpath=[/somewhere]", "hydra.searchpath"),
        ("+hydra.callbacks.x._target_=os.system", "hydra.callbacks"),
        ("hydra.sweeper._target_=os.system", "hydra.sweeper"),
        ("--resolve", "--cfg"),
        ("dataset=manifest", "dataset.path"),
    ],
)
def test_a_wrong_setting_is_named_with_its_key(override: str, said: str, tmp_path: Path) -> None:
    finished = run_eval(*override.split(" "), cwd=tmp_path)
    refuse(finished, 2, said)
    assert list(tmp_path.iterdir()) == []


BILLION_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]" for n in range(9)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BILLION_LAUGHS.encode(), "anchors"),
        (b"x: !!python/object/apply:os.system ['touch canary']\n", "tag"),
        (b"batch_size: 1\nbatch_size: 2\n", "duplicate"),
        ("batch_size: 1 # é\n".encode("latin-1"), "UTF-8"),
        (b"x: " + b"y" * (1 << 21), "bytes"),
        (b"x: [1, 2\n", "YAML"),
        (b"# @package _global_\nhydra:\n  callbacks:\n    x: {_target_: os.system}\n", "callbacks"),
    ],
)
def test_a_hostile_file_in_a_config_dir_ends_with_2(
    content: bytes, said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "x.yaml").write_bytes(content)
    finished = run_eval("--config-dir", "mine", "experiment=x", cwd=tmp_path)
    refuse(finished, 2, said, canary=tmp_path / "canary")


def test_a_config_dir_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    refuse(run_eval("--config-dir", "nowhere", cwd=tmp_path), 2, "nowhere")


def test_an_option_of_one_s_own_is_found_in_a_config_dir(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "preprocess"
    folder.mkdir(parents=True)
    (folder / "softer.yaml").write_text(
        "softer:\n  _target_: whisperlab.preprocess.highpass.HighPass\n  cutoff_hz: 50.0\n"
    )
    finished = run_eval(
        "--config-dir", "mine", "preprocess=[softer]", "--cfg", "job", "--resolve", cwd=tmp_path
    )
    assert finished.returncode == 0, finished.stderr
    assert "cutoff_hz: 50.0" in finished.stdout
