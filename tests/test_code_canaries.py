"""Files that would run code when they are loaded the usual way: refused or ignored, never run.

Each would make a file, the canary; that it would is shown first.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from whisperlab.audio import decode
from whisperlab.dataset.hub import HubDataset
from whisperlab.errors import AudioError, DatasetError


class Canary:
    """Unpickling it creates the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.path,)


def object_array(path: Path) -> bytes:
    """An .npy file of Python objects."""
    written = io.BytesIO()
    np.save(written, np.array([Canary(path)], dtype=object), allow_pickle=True)
    return written.getvalue()


def script(path: Path) -> str:
    """A dataset script as older versions of ``datasets`` ran them."""
    return f"open({str(path)!r}, 'w').close()\nimport datasets\nclass Evil(datasets.GeneratorBasedBuilder): pass\n"


def test_the_files_would_make_the_canary(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for run in (
        lambda: pickle.loads(pickle.dumps(Canary(canary))),
        lambda: np.load(io.BytesIO(object_array(canary)), allow_pickle=True),
        lambda: exec(script(canary), {}),
    ):
        run()
        assert canary.exists()
        canary.unlink()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_no_sound(tmp_path: Path, protocol: int) -> None:
    with pytest.raises(AudioError) as refused:
        decode(pickle.dumps(Canary(tmp_path / "canary"), protocol))
    assert refused.value.code == "unsupported_format"
    assert not (tmp_path / "canary").exists()


def test_an_array_of_objects_is_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(object_array(tmp_path / "canary"))
    with pytest.raises(AudioError, match="a NumPy array"):
        decode(path)
    assert not (tmp_path / "canary").exists()


def corpus(folder: Path) -> HubDataset:
    return HubDataset(
        parquet=folder, split="train", audio_column="audio", text_column="text", id_column=None
    )


@pytest.mark.parametrize("name", ["data.pkl", "data.pt", "data.npy", "data.bin", "train.tar"])
def test_a_corpus_of_pickles_is_refused_unread(tmp_path: Path, name: str) -> None:
    canary, folder = tmp_path / "canary", tmp_path / "corpus"
    folder.mkdir()
    content = pickle.dumps(Canary(canary))
    if name == "data.npy":
        content = object_array(canary)
    if name == "train.tar":  # a web archive, whose members datasets would unpickle by their names
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w") as archive:
            for inner in ("0.pkl", "0.pth", "0.npy"):
                member = tarfile.TarInfo(inner)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        content = written.getvalue()
    (folder / name).write_bytes(content)
    with pytest.raises(DatasetError):
        len(corpus(folder))
    assert not canary.exists()


@pytest.mark.parametrize("beside", ["dataset.py", "__init__.py", "conftest.py"])
def test_a_script_beside_a_corpus_is_not_run(tmp_path: Path, beside: str) -> None:
    canary, folder = tmp_path / "canary", tmp_path / "corpus"
    folder.mkdir()
    rows = {"audio": [{"bytes": b"x", "path": "a"}], "text": ["said"]}
    pyarrow.parquet.write_table(pa.table(rows), folder / "train-00000-of-00001.parquet")
    (folder / beside).write_text(script(canary))
    assert [one.reference for one in corpus(folder)] == ["said"]
    assert not canary.exists()


@pytest.mark.parametrize("rows", [{}, {"audio": [{"bytes": b"x", "path": "a"}], "text": ["said"]}])
def test_a_script_named_like_its_folder_is_refused(tmp_path: Path, rows: dict[str, Any]) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "corpus.py").write_text(script(tmp_path / "canary"))
    if rows:
        pyarrow.parquet.write_table(pa.table(rows), folder / "train-00000-of-00001.parquet")
    with pytest.raises(DatasetError):
        len(corpus(folder))
    assert not (tmp_path / "canary").exists()
