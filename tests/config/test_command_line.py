"""Wrong commands end in one line on stderr, the right exit code, and without side effects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

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
    ("target", "said"),
    [
        (
            "ownlab.gain.Gian",
            "ownlab.gain has no class Gian of its own; did you mean ownlab.gain.Gain?",
        ),
        ("ownlab.gian.Gain", "no module ownlab.gian is installed or lies in "),
        (
            "ownlab.gain.Plain",
            "Plain is no pydantic dataclass; decorate it with pydantic.dataclasses",
        ),
        ("ownlab.gain.Path", "ownlab.gain has no class Path of its own"),
    ],
)
def test_what_is_wrong_with_a_trusted_component_is_said(
    target: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whisperlab.config.targets import check_targets
    from whisperlab.errors import ConfigError

    (tmp_path / "ownlab").mkdir()
    (tmp_path / "ownlab" / "gain.py").write_text(
        "from pathlib import Path\n"
        "from pydantic.dataclasses import dataclass\n"
        "@dataclass\nclass Gain:\n    gain_db: float\n"
        "class Plain: ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("WHISPERLAB_TRUSTED_PACKAGES", "ownlab")
    check_targets({"preprocess": {"gain": {"_target_": "ownlab.gain.Gain"}}})
    with pytest.raises(ConfigError) as caught:
        check_targets({"preprocess": {"gain": {"_target_": target}}})
    assert f"preprocess.gain._target_: target not allowed: {said}" in str(caught.value)


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
        ("+hydra.job.env_set.WHISPERLAB_TRUSTED_PACKAGES=evil", "hydra.job.env_set"),
        ("--resolve", "--cfg"),
        ("--beem-size", "--beem-size"),
        ("preprocess=null", "override"),
        ("~decode", "decode"),
        ("~dataset", "dataset"),
        ("+x=" + "[" * 3000 + "]" * 3000, "recursion"),
        ("dataset=manifest", "dataset.path"),
        ("+experiment=../../x", "cannot leave"),
        ("preprocess=[../x]", "cannot leave"),
        ("--config-path /tmp", "--config-dir"),
        ("batch_size=7.5", "batch_size: "),
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
        (b"defaults:\n  - /model: ../../elsewhere\n", "defaults list"),
        (b"x: " + b"[" * 100_000 + b"]" * 100_000, "levels"),
        (b"defaults: 5\n", "defaults"),
        (b"# @package _global_\ny: env\nrun_dir: ${oc.${y}:HOME}\n", "inside an interpolation"),
        (b"# @package _global_\nhydra: {job: {env_set: {HF_ENDPOINT: 'http://x'}}}\n", "env_set"),
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


def test_a_linked_folder_in_a_config_dir_is_looked_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.yaml").write_text("a: &a [1]\nb: *a\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "experiment").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "mine")
    finished = run_eval("--config-dir", "mine", "experiment=x", cwd=tmp_path)
    refuse(finished, 2, "anchors")


@pytest.mark.parametrize("override", ["preprocess=null", "+x=" + "[" * 3000 + "]" * 3000])
def test_every_face_s_composition_refuses_what_hydra_cannot_read(override: str) -> None:
    from whisperlab.config.compose import compose
    from whisperlab.errors import ConfigError

    with pytest.raises(ConfigError):
        compose("transcriber", [override])


def test_a_sweep_s_wrong_job_is_named_and_the_others_run(tmp_path: Path) -> None:
    arguments = ("-m", "batch_size=1,0,2", *TORCHLESS, "dataset.subset=2", "latency_utterances=0",
                 "resamples=10", "run_dir=sweep")  # fmt: skip
    finished = run_eval(*arguments, cwd=tmp_path)
    refuse(finished, 2, "job 1: batch_size")
    assert [(tmp_path / "sweep" / name / "scores.json").exists() for name in "012"] == [
        True,
        False,
        True,
    ]
    # The line that resumes a job of a sweep resumes the sweep, in the sweep's own folder.
    resumes = [line for line in finished.stdout.splitlines() if "resume with" in line]
    assert len(resumes) == 2
    assert all(line.endswith(" run_dir=sweep") for line in resumes)


def test_other_limits_of_the_sound_door_are_another_run(tmp_path: Path) -> None:
    arguments = (*TORCHLESS, "dataset.subset=2", "latency_utterances=0", "resamples=10",
                 "run_dir=run")  # fmt: skip
    assert run_eval(*arguments, "audio.max_seconds=0.2", cwd=tmp_path).returncode == 3
    refuse(run_eval(*arguments, cwd=tmp_path), 2, "audio.max_seconds: 0.2 -> 3600.0")


def test_what_a_manifest_got_wrong_and_the_run_went_on_over_is_counted(tmp_path: Path) -> None:
    times = np.arange(16_000) / 16_000
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(2 * np.pi * 220 * times), 16_000)
    rows = [
        '{"id": "right", "audio": "a.wav", "text": "x", "duration": 1.04}',
        '{"id": "wrong", "audio": "a.wav", "text": "x", "duration": 1.06}',
        '{"id": "unsaid", "audio": "a.wav", "text": "x"}',
        "{no row",
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(rows))
    finished = run_eval(
        *TORCHLESS, "dataset=manifest", "dataset.path=m.jsonl", "+dataset.on_error=skip",
        "latency_utterances=0", "resamples=10", "run_dir=run", cwd=tmp_path,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "1 bad rows" in finished.stdout
    assert "1 recordings are not as long" in finished.stdout
    log = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8")
    events = [json.loads(line) for line in log.splitlines()]
    differing = [event for event in events if event["event"] == "duration differs"]
    assert [(event["id"], event["declared"], event["found"]) for event in differing] == [
        ("wrong", 1.06, 1.0)
    ]


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
