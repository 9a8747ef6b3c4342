from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml
from small_checkpoint import write_checkpoint, write_json

from whisperlab.device import Device, Quantization
from whisperlab.engine.model import EMBEDDED, EMBEDDED_FOLDER, NO_MODEL, ModelSpec, resolve
from whisperlab.errors import ConfigError, ModelError

CONF = Path(__file__).parents[2] / "conf"
REVISION = "169d4a4341b33bc18d8881c4b69c2e104e1cc0af"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "checkpoint")


def refusal(source: Path | str, **changed: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        resolve(ModelSpec(name="mine", source=str(source), **changed))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 5
    return caught.value


def test_a_local_folder_is_returned_as_it_is(folder: Path) -> None:
    assert resolve(ModelSpec(name="mine", source=str(folder))) == folder


def test_a_folder_relative_to_here_needs_no_absolute_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert resolve(ModelSpec(name="mine", source="checkpoint")).samefile(folder)


# --- sources ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    ["../x", "models/../x", "tiny", "https://example.org/x", "a/b/c", "openai/", "x\0y", "-a/b"],
)
def test_what_is_neither_a_folder_nor_a_hub_id_is_refused(source: str) -> None:
    refusal(source)
    refusal(source, revision=REVISION)


def test_a_parent_folder_is_not_followed_even_if_it_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = folder / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    assert "'..'" in str(refusal("../../checkpoint"))


def test_an_absent_folder_and_a_file_are_named(folder: Path) -> None:
    assert "found nothing there" in str(refusal(folder / "absent"))
    assert "found a file there" in str(refusal(folder / "config.json"))


def test_a_local_folder_takes_no_revision(folder: Path) -> None:
    assert "add model.revision=null" in str(refusal(folder, revision=REVISION))


def test_a_hub_id_must_be_pinned() -> None:
    assert "40 hex digits" in str(refusal("openai/whisper-tiny"))


@pytest.mark.parametrize("revision", ["main", "169d4a4", REVISION.upper(), REVISION + "\n"])
def test_a_revision_is_a_whole_commit(revision: str) -> None:
    with pytest.raises(pydantic.ValidationError):
        ModelSpec(name="tiny", source="openai/whisper-tiny", revision=revision)


def test_an_engine_that_needs_a_checkpoint_says_so() -> None:
    with pytest.raises(ConfigError, match="choose one, such as model=tiny"):
        resolve(NO_MODEL)


def resolve_elsewhere(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Resolves whisper-tiny in a process of its own: the Hub reads its settings once, at import."""
    code = (
        "from whisperlab.engine.model import ModelSpec, resolve\n"
        "from whisperlab.errors import WhisperlabError\n"
        f"spec = ModelSpec(name='tiny', source='openai/whisper-tiny', revision='{REVISION}',"
        " size_megabytes=155.0)\n"
        "try:\n    print(resolve(spec))\n"
        "except WhisperlabError as error:\n    print(error.code, error)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize(
    "switches",
    [
        {"HF_HUB_OFFLINE": "1"},
        {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"},  # nobody listens there
    ],
)
def test_a_model_that_cannot_be_fetched_ends_in_one_line(
    tmp_path: Path, switches: dict[str, str]
) -> None:
    done = resolve_elsewhere({"HF_HUB_CACHE": str(tmp_path / "cache"), **switches})
    (line,) = done.stdout.splitlines()
    assert done.stderr == ""
    assert line.startswith("model_not_found model openai/whisper-tiny")
    for part in (
        str(tmp_path / "cache"),
        "HF_HUB_OFFLINE",
        "155 MB",
        f"hf download openai/whisper-tiny --revision {REVISION}",
        "model.source=/path/to/folder model.revision=null",
    ):
        assert part in line


@pytest.mark.parametrize("offline", ["0", "1"])
def test_a_checkpoint_in_the_cache_is_used_without_asking_the_network(
    folder: Path, tmp_path: Path, offline: str
) -> None:
    snapshot = tmp_path / "cache" / "models--openai--whisper-tiny" / "snapshots" / REVISION
    snapshot.parent.mkdir(parents=True)
    write_json(folder / "preprocessor_config.json", {"feature_size": 80})
    write_json(folder / "tokenizer.json", {})
    folder.rename(snapshot)
    environment = {
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": offline,
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    assert resolve_elsewhere(environment).stdout.strip() == str(snapshot)
    (snapshot / "tokenizer.json").unlink()  # a download that was broken off
    assert resolve_elsewhere(environment).stdout.startswith("model_not_found")


# --- conf ------------------------------------------------------------------------------------


def documents(group: str) -> list[Path]:
    return sorted((CONF / group).glob("*.yaml"))


@pytest.mark.parametrize("path", documents("model"), ids=lambda path: path.stem)
def test_every_model_file_is_a_pinned_checkpoint_under_its_own_name(path: Path) -> None:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    spec = ModelSpec(**content)
    assert spec.name == path.stem
    if path.stem == "none":
        assert (spec.source, spec.revision) == (None, None)
        return
    assert spec.source is not None
    if spec.source.startswith(EMBEDDED):  # pinned by the commit of this project itself
        assert resolve(spec) == EMBEDDED_FOLDER / path.stem
        return
    assert spec.revision is not None
    assert spec.licence in ("Apache-2.0", "MIT")
    assert spec.size_megabytes is not None
    assert spec.multilingual == (not path.stem.endswith(".en") and "distil" not in path.stem)


def test_no_two_models_share_a_revision() -> None:
    contents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in documents("model")]
    pinned = [content["revision"] for content in contents if content["revision"]]
    assert len(pinned) == len(set(pinned)) == 13


def test_every_device_and_quantisation_file_builds_under_its_own_name() -> None:
    for path in documents("device"):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert Device(**content).kind == path.stem
    for path in documents("quantization"):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert Quantization(**content).name == path.stem
