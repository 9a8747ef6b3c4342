"""Parquet corpora: a local file, a local repository, and a Hub that cannot be reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from pydantic import ValidationError

from whisperlab.dataset.hub import HubDataset
from whisperlab.dataset.manifest import ManifestDataset
from whisperlab.dataset.protocol import Dataset
from whisperlab.errors import DatasetError
from whisperlab.utterance import Utterance

COMMIT = "71cacbfb7e2354c4226d01e70d77d5fca3d04ba1"


def parquet(path: Path, columns: dict[str, list[Any]], row_group: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pa.table(columns), path, row_group_size=row_group)
    return path


def corpus(count: int) -> dict[str, list[Any]]:
    return {
        "key": [f"u{n:02d}" for n in range(count)],
        "audio": [{"bytes": f"sound {n}".encode(), "path": f"{n}.flac"} for n in range(count)],
        "sentence": [f"text {n}" for n in range(count)],
        "speaker_id": list(range(100, 100 + count)),
    }


def local(path: Path, **settings: Any) -> HubDataset:
    chosen: dict[str, Any] = {
        "audio_column": "audio",
        "text_column": "sentence",
        "id_column": "key",
        **settings,
    }
    return HubDataset(**{"parquet": path, "split": "test", **chosen})


def test_a_local_file_gives_utterances_with_their_bytes(tmp_path: Path) -> None:
    dataset = local(parquet(tmp_path / "t.parquet", corpus(10)))
    assert isinstance(dataset, Dataset)
    assert list(dataset) == [
        Utterance(f"u{n:02d}", f"sound {n}".encode(), f"text {n}", {"speaker_id": str(100 + n)})
        for n in range(10)
    ]
    assert len(dataset) == 10


def test_without_an_id_column_rows_are_numbered(tmp_path: Path) -> None:
    dataset = local(parquet(tmp_path / "t.parquet", corpus(3)), id_column=None)
    assert [one.id for one in dataset] == ["00000000", "00000001", "00000002"]
    assert next(iter(dataset)).slices == {"key": "u00", "speaker_id": "100"}


def test_a_downloaded_repository_works_through_the_same_code(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    parquet(repository / "clean" / "test-0.parquet", corpus(3))
    parquet(repository / "clean" / "test-1.parquet", {k: v[3:] for k, v in corpus(5).items()})
    (repository / "README.md").write_text(
        "---\nconfigs:\n- config_name: clean\n  data_files:\n  - split: test\n"
        "    path: clean/test*.parquet\ndataset_info:\n- config_name: clean\n  features:\n"
        "  - name: key\n    dtype: string\n  - name: audio\n    dtype:\n      audio:\n"
        "        sampling_rate: 16000\n  - name: sentence\n    dtype: string\n"
        "  - name: speaker_id\n    dtype: int64\n---\n"
    )
    dataset = local(repository, config="clean")
    assert [one.id for one in dataset] == [f"u{n:02d}" for n in range(5)]
    assert [one.audio for one in dataset][4] == b"sound 4"
    with pytest.raises(DatasetError, match="other"):
        len(local(repository, config="other"))
    with pytest.raises(DatasetError, match="Available splits"):
        len(local(repository, config="clean", split="dev"))


def test_subsets_are_drawn_as_in_a_manifest_of_the_same_ids(tmp_path: Path) -> None:
    table = corpus(40)
    listed = tmp_path / "m.jsonl"
    listed.write_text(
        "".join(json.dumps({"id": k, "path": k, "text": ""}) + "\n" for k in table["key"])
    )
    part = local(parquet(tmp_path / "t.parquet", table), subset=7, seed=5)
    assert [one.id for one in part] == [one.id for one in ManifestDataset(listed, subset=7, seed=5)]
    assert len(part) == 7


def test_the_identity_sees_texts_and_subset(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", corpus(6))
    first = local(path).identity()
    assert json.loads(json.dumps(first)) == first
    assert local(path).identity() == first
    assert first["source"] == "parquet"
    assert local(path, subset=2, seed=0).identity() != first
    parquet(path, {**corpus(6), "sentence": ["other"] * 6})
    assert local(path).identity() != first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sentence": ["a", None, "c"]}, ":2: expected a string in 'sentence', got null"),
        ({"sentence": [1, 2, 3]}, ":1: expected a string in 'sentence', got int"),
        ({"key": ["a", "b", "a"]}, ":3: expected a new id, got 'a' for the second time"),
        ({"key": ["a", None, "c"]}, ":2: expected a name in 'key'"),
    ],
)
def test_a_bad_row_is_found_before_any_audio_is_read(
    tmp_path: Path, change: dict[str, list[Any]], message: str
) -> None:
    path = parquet(tmp_path / "t.parquet", {**corpus(3), **change})
    with pytest.raises(DatasetError) as caught:
        len(local(path))
    assert str(caught.value).startswith(f"{path}{message}")


def test_a_row_that_only_names_its_file_points_to_manifests(tmp_path: Path) -> None:
    names = [{"bytes": None, "path": "/etc/passwd"}] * 3
    path = parquet(tmp_path / "t.parquet", {**corpus(3), "audio": names})
    with pytest.raises(
        DatasetError, match=r"t\.parquet:1: expected the recording's bytes .*manifest"
    ):
        list(local(path))


def test_an_unknown_column_names_those_that_are_there(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", corpus(3))
    for settings in ({"text_column": "text"}, {"id_column": "id"}, {"audio_column": "sound"}):
        with pytest.raises(DatasetError, match="found 'key', 'audio', 'sentence', 'speaker_id'"):
            list(local(path, **settings))


def test_what_is_no_parquet_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"no parquet at all")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "data.csv").write_text("key,sentence\na,b\n")
    for path in (tmp_path / "t.parquet", tmp_path / "missing.parquet", tmp_path / "folder"):
        with pytest.raises(DatasetError, match=str(path)) as caught:
            len(local(path))
        assert len(str(caught.value).splitlines()) == 1


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    schema = pa.table(corpus(1)).schema
    pyarrow.parquet.write_table(schema.empty_table(), tmp_path / "t.parquet")
    with pytest.raises(DatasetError, match="found none"):
        len(local(tmp_path / "t.parquet"))


def hub(**settings: Any) -> HubDataset:
    named: dict[str, Any] = {
        "name": "openslr/librispeech_asr",
        "revision": COMMIT,
        "config": "clean",
        **settings,
    }
    return HubDataset(**{"split": "test", "audio_column": "audio", "text_column": "text", **named})


def test_a_hub_out_of_reach_names_cache_offline_switch_and_the_way_out() -> None:
    with pytest.raises(DatasetError) as caught:
        len(hub())
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in ("openslr/librispeech_asr", "cache: ", "HF_HUB_OFFLINE", "dataset=manifest"):
        assert part in message


@pytest.mark.parametrize(
    "settings",
    [
        {"revision": None},
        {"revision": "main"},
        {"revision": COMMIT[:7]},
        {"name": None},
        {"name": "csv"},
        {"name": "../elsewhere"},
        {"name": "https://example.org/x"},
        {"parquet": Path("x.parquet")},
        {"trust_remote_code": True},
        {"subset": 5},
    ],
)
def test_an_unpinned_or_doubtful_source_fails_at_build(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        hub(**settings)


def test_a_folder_named_like_the_corpus_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet(tmp_path / "openslr" / "librispeech_asr" / "test.parquet", corpus(3))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="here is a folder of that name"):
        len(hub())
