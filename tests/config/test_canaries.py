"""However a configuration is written, nothing that it names is run, imported or read.

Each attempt would make a file, the canary, if it got through; what the attempts themselves are worth is
shown by Hydra's own ``instantiate``, which does make it.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import hydra.utils
import pytest
import yaml

from whisperlab.config.build import build_executor, build_transcriber
from whisperlab.config.compose import compose, resolve
from whisperlab.config.experiment import build_experiment, run_settings
from whisperlab.errors import ConfigError

ON_IMPORT = "canary_on_import"
"""A module whose import makes the canary."""

TORCHLESS = ("engine=replay", "engine.default_text=hello", "dataset.subset=2")
COMPONENTS = ("engine", "segmentation", "dataset", "executor", "profile")
LISTS = ("preprocess", "metric", "perturb")
PLAIN = ("model", "device", "quantization", "decode", "audio")


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that must not be; a module that would make it can be imported."""
    path = tmp_path / "canary"
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / f"{ON_IMPORT}.py").write_text(
        f"open({str(path)!r}, 'w').close()\nclass Thing:\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(modules))
    yield path
    assert not path.exists()


def attack(canary: Path) -> dict[str, Any]:
    return {"_target_": "builtins.open", "file": str(canary), "mode": "w"}


def as_override(node: object) -> str:
    """JSON without the quotes of keys is Hydra's grammar."""
    if isinstance(node, Mapping):
        return "{" + ",".join(f"{key}:{as_override(value)}" for key, value in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ",".join(map(as_override, node)) + "]"
    return f"'{node}'" if isinstance(node, str) else json.dumps(node)


def evaluate(*overrides: str, config_dir: Path | None = None) -> None:
    """Everything that the evaluation does with a configuration before it loads an engine."""
    build(compose("eval", [*TORCHLESS, *overrides], config_dir))


def build(config: Mapping[str, Any]) -> None:
    build_experiment(config, run_settings(config), [])
    build_executor(config)


@pytest.fixture(scope="module")
def composed() -> Mapping[str, Any]:
    return compose("eval", list(TORCHLESS))


def shapes(canary: Path) -> dict[str, Any]:
    """The ways to put a target somewhere below a key."""
    bad = attack(canary)
    return {
        "plain": bad,
        "mapping": {"a": {"b": bad}},
        "list": [bad],
        "lists": [[{"a": [bad]}]],
        "args": {"_target_": "builtins.open", "_args_": [str(canary), "w"]},
        "partial": {**bad, "_partial_": True},
        "recursive": {"_recursive_": False, "x": bad},
        "import": {"_target_": f"{ON_IMPORT}.Thing"},
        "inside ours": {"_target_": "whisperlab.preprocess.trim.TrimSilence", "threshold_db": bad},
    }


SHAPES = sorted(shapes(Path("x")))


def test_the_attempts_would_make_the_canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    for name, attempt in shapes(tmp_path / "canary").items():
        if name in ("mapping", "list", "lists", "recursive", "inside ours"):
            continue  # instantiate needs a target at the top
        made = tmp_path / "canary"
        if name == "import":
            (tmp_path / f"{ON_IMPORT}.py").write_text(
                f"open({str(made)!r}, 'w').close()\nclass Thing:\n    pass\n"
            )
            monkeypatch.syspath_prepend(str(tmp_path))
            importlib.invalidate_caches()
        found = hydra.utils.instantiate(attempt)
        if name == "partial":
            found = found()
        if hasattr(found, "close"):
            found.close()
        assert made.exists(), name
        made.unlink()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("group", [*COMPONENTS, *LISTS, *PLAIN])
def test_no_group_runs_what_it_holds(
    group: str, shape: str, canary: Path, composed: Mapping[str, Any]
) -> None:
    config = deepcopy(dict(composed))
    config[group]["extra"] = shapes(canary)[shape]
    with pytest.raises(ConfigError) as refused:
        build(config)
    assert group in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("shape", SHAPES)
def test_no_override_runs_what_it_names(shape: str, canary: Path) -> None:
    with pytest.raises(ConfigError, match="engine"):
        evaluate(f"++engine.extra={as_override(shapes(canary)[shape])}")


@pytest.mark.parametrize("group", COMPONENTS)
@pytest.mark.parametrize(
    "target",
    [
        "builtins.open",
        f"{ON_IMPORT}.Thing",
        f"{ON_IMPORT}.more.Thing",
        "whisperlab.engine.replay.Path",
        "whisperlab.engine.replay.ReplaySettings.load",
        "whisperlab.engine.protocol.Protocol",
        "whisperlab.engine..replay.ReplaySettings",
        "whisperlab.engine.replay.ReplaySettings\n",
        " whisperlab.engine.replay.ReplaySettings",
        "whisperlab.engine.replay.__builtins__",
        "whisperlab.serve.command.serve",
        "whisperlab.executor.local.subprocess.Popen",
        "ｗhisperlab.engine.replay.ReplaySettings",
        "whisperlab.engine.replay:ReplaySettings",
        "",
    ],
)
def test_a_component_s_own_target_is_an_exact_class_of_ours(
    group: str, target: str, canary: Path, composed: Mapping[str, Any]
) -> None:
    config = deepcopy(dict(composed))
    config[group] = {"_target_": target, "file": str(canary), "mode": "w"}
    with pytest.raises(ConfigError, match="target not allowed"):
        build(config)


@pytest.mark.parametrize("value", ["null", "5", "true", "[builtins.open]", "{a:b}"])
def test_a_target_that_is_no_name_is_refused(value: str) -> None:
    with pytest.raises(ConfigError):
        evaluate(f"engine._target_={value}")


FILES = {
    "escaped key": 'engine: {"\\x5ftarget_": builtins.open, file: CANARY, mode: w}',
    "quoted key": "engine: {'_target_': 'builtins.open', file: CANARY, mode: w}",
    "folded value": "engine:\n  _target_: >-\n    builtins.open\n  file: CANARY\n  mode: w",
    "interpolated": "run_dir: builtins.open\nengine: {_target_: '${run_dir}', file: CANARY, mode: w}",
    "joined": "run_dir: open\nengine: {_target_: 'builtins.${run_dir}', file: CANARY, mode: w}",
    "list": "engine: {extra: [{_target_: builtins.open, file: CANARY, mode: w}]}",
    "args": "engine: {extra: {_target_: builtins.open, _args_: [CANARY, w]}}",
    "whole group": "preprocess: {x: {_target_: builtins.open, file: CANARY, mode: w}}",
    "copied group": "engine: {extra: '${decoy}'}\ndecoy: {_target_: builtins.open, file: CANARY, mode: w}",
    "alias": "decoy: &a {_target_: builtins.open, file: CANARY, mode: w}\nengine: {extra: *a}",
    "merge key": "decoy: &a {_target_: builtins.open}\nengine: {<<: *a, file: CANARY, mode: w}",
    "python tag": "engine: {extra: !!python/object/apply:builtins.open [CANARY, w]}",
    "python name": "engine: {extra: !!python/name:builtins.open ''}",
    "python module": "engine: {extra: !!python/module:canary_on_import ''}",
    "long tag": "engine: {extra: !<tag:yaml.org,2002:python/object/apply:builtins.open> [CANARY, w]}",
    "tag prefix": "%TAG !p! tag:yaml.org,2002:python/\n---\nengine: {extra: !p!object/apply:builtins.open [CANARY, w]}",
    "unknown tag": "engine: {extra: !evil [CANARY, w]}",
    "environment": "run_dir: ${oc.env:HOME}",
    "decoded environment": "run_dir: ${oc.decode:'${oc.env:HOME}'}",
    "resolver of hydra": "run_dir: ${hydra:runtime.cwd}",
    "resolver with spaces": "run_dir: ${ oc.env : HOME}",
    "created by resolver": "engine: {extra: '${oc.create:{_target_: builtins.open}}'}",
    "unknown resolver": "run_dir: ${evil:x}",
    "cycle": "run_dir: ${a}\na: ${b}\nb: ${a}",
    "self": "run_dir: ${run_dir}",
    "flow depth": "a: " + "[" * 500 + "]" * 500,
    "block depth": "".join(f"{' ' * n}a:\n" for n in range(500)),
    "merge bomb": "a: &a {x: 1}\nb: {<<: [" + "*a, " * 5000 + "*a]}",
    "set": "engine: {extra: !!set {_target_}}",
    "binary": "engine: {_target_: !!binary YnVpbHRpbnMub3Blbg==, file: CANARY, mode: w}",
    "two documents": "run_dir: a\n---\nengine: {_target_: builtins.open, file: CANARY, mode: w}",
    "no mapping": "- _target_: builtins.open",
    "NUL": "run_dir: a\0b",
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_file_of_a_config_dir_runs_what_it_names(name: str, canary: Path, tmp_path: Path) -> None:  # fmt: skip
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    written = FILES[name].replace("CANARY", str(canary))
    header = "" if written.startswith("%") else "# @package _global_\n"
    (folder / "x.yaml").write_text(header + written + "\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        evaluate("+experiment=x", config_dir=tmp_path / "mine")
    assert refused.value.exit_code == 2
    assert len(str(refused.value).splitlines()) == 1


DEFAULTS = {
    "a second file": ["/decoy/bad@engine"],
    "out of the folder": ["/engine: ../../outside"],
    "an absolute path": ["/engine: /etc/passwd"],
    "an interpolated name": ["/engine: ${run_dir}"],
    "another provider": ["pkg://canary_on_import"],
    "a file scheme": ["file:///decoy/x"],
}


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_a_defaults_list_reaches_nothing_that_was_not_checked(
    name: str, canary: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    (mine / "experiment").mkdir(parents=True)
    (mine / "decoy").mkdir()
    (mine / "decoy" / "bad.yaml").write_text(yaml.safe_dump(attack(canary)))
    (tmp_path / "outside.yaml").write_text(yaml.safe_dump(attack(canary)))
    lines = "".join(f"  - {one}\n" for one in DEFAULTS[name])
    (mine / "experiment" / "x.yaml").write_text(f"# @package _global_\ndefaults:\n{lines}")
    with pytest.raises(ConfigError):
        evaluate("+experiment=x", config_dir=mine)


@pytest.mark.parametrize(
    "override",
    [
        "hydra.searchpath=[pkg://canary_on_import]",
        "+hydra.callbacks.x={_target_:builtins.open}",
        "hydra/sweeper=basic",
        "~hydra.callbacks",
    ],
)
def test_no_face_takes_settings_of_hydra_itself(override: str, canary: Path) -> None:
    """A package that ``hydra.searchpath`` names is imported."""
    with pytest.raises(ConfigError, match="hydra's own settings"):
        evaluate(override)


def test_a_run_folder_s_configuration_is_checked_like_any_other(canary: Path) -> None:
    """Reproducing and serving a run build what its run.json says."""
    config = json.loads(json.dumps(compose("eval", list(TORCHLESS))))
    config["segmentation"]["extra"] = [attack(canary)]
    with pytest.raises(ConfigError, match="target not allowed"):
        build_transcriber(config)


def test_a_whole_file_of_every_resolver_is_named_one_by_one() -> None:
    from omegaconf import OmegaConf

    for resolver in ("oc.env", "oc.decode", "oc.deprecated", "oc.select", "oc.create", "oc.dict.keys", "hydra", "python_version"):  # fmt: skip
        with pytest.raises(ConfigError, match="not allowed"):
            resolve(OmegaConf.create({"a": "x", "b": f"${{{resolver}:a}}"}))
