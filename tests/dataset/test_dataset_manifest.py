"""Manifests: every row of CASES that a manifest owns, and the real ones."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from whisperlab.dataset.manifest import ManifestDataset
from whisperlab.dataset.protocol import Dataset
from whisperlab.errors import DatasetError
from whisperlab.utterance import Utterance

GOOD: Mapping[str, object] = {"id": "u", "audio_filepath": "a.wav", "text": "yes"}


def manifest(path: Path, rows: Iterable[Mapping[str, object] | str]) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def numbered(count: int) -> list[dict[str, object]]:
    return [
        {"id": f"u{n:03d}", "audio_filepath": f"{n}.wav", "text": f"t{n}"} for n in range(count)
    ]


def test_a_nemo_manifest_gives_its_utterances_with_slices(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").write_bytes(b"1234")
    row = {"audio_filepath": "audio/a.wav", "text": "The law.", "duration": 7.5, "speaker": "s1"}
    dataset = ManifestDataset(manifest(tmp_path / "m.json", [row, {**row, "id": 2, "text": ""}]))
    assert isinstance(dataset, Dataset)
    audio = tmp_path / "audio" / "a.wav"
    assert list(dataset) == [
        Utterance("audio/a", audio, "The law.", {"speaker": "s1"}, 7.5),
        Utterance("2", audio, "", {"speaker": "s1"}, 7.5),
    ]
    assert len(dataset) == 2


def test_csv_and_tsv_say_the_same_as_json_lines(tmp_path: Path) -> None:
    json_lines = manifest(
        tmp_path / "m.jsonl",
        [{"path": "a.mp3", "sentence": "Oh, no", "duration": 1.5, "accent": "welsh"}],
    )
    as_csv = tmp_path / "m.csv"
    as_csv.write_text('path,sentence,duration,accent\na.mp3,"Oh, no",1.5,welsh\n')
    as_tsv = tmp_path / "m.tsv"
    as_tsv.write_text("path\tsentence\tduration\taccent\na.mp3\tOh, no\t1.5\twelsh\n")
    expected = [Utterance("a", tmp_path / "a.mp3", "Oh, no", {"accent": "welsh"}, 1.5)]
    for path in (json_lines, as_csv, as_tsv):
        assert list(ManifestDataset(path)) == expected


def test_building_reads_nothing_and_takes_what_yaml_writes() -> None:
    written: dict[str, Any] = {"path": "nowhere/m.jsonl", "root": "elsewhere"}
    dataset = ManifestDataset(**written)
    assert dataset.path == Path("nowhere/m.jsonl")


@pytest.mark.parametrize(
    "settings",
    [
        {"subset": 0, "seed": 0},
        {"subset": 10},
        {"subset": 1.5, "seed": 0},
        {"on_error": "ignore"},
        {"format": "xml"},
        {"text_column": ""},
        {"max_line_bytes": 10},
        {"allow_outside_root": "yes"},
        {"colums": 1},
        {"path": 3},
    ],
)
def test_a_wrong_setting_fails_at_build(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ManifestDataset(**{"path": Path("m.jsonl"), **settings})


@pytest.mark.parametrize("content", ["", "\n\n  \n"])
def test_an_empty_manifest_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(content)
    with pytest.raises(DatasetError, match=r"m\.jsonl:1: expected at least one utterance"):
        len(ManifestDataset(path))


@pytest.mark.parametrize("offset", [1.5, "0.25", "later"])
def test_a_part_of_a_file_is_refused_not_taken_for_the_whole(
    tmp_path: Path, offset: float | str
) -> None:
    path = tmp_path / "m.jsonl"
    row = {"audio_filepath": "a.wav", "text": "yes", "offset": offset}
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DatasetError, match=r"m\.jsonl:1: expected a whole file, got a part of one"):
        len(ManifestDataset(path))
    for start in (0, 0.0, "0", "0.00", " 0.000 ", "", None):
        path.write_text(json.dumps({**row, "offset": start}) + "\n")
        assert len(ManifestDataset(path)) == 1


def test_a_header_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("path,text\n")
    with pytest.raises(DatasetError, match=r"m\.csv:1: expected at least one utterance"):
        len(ManifestDataset(path))


def test_a_missing_manifest_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    for name in ("missing.jsonl", "folder.jsonl"):
        with pytest.raises(DatasetError, match=name) as caught:
            ManifestDataset(tmp_path / name).identity()
        assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"id": "v", "audio_filepath": "b.wav", "te', "one JSON object"),
        ({"id": "v", "audio_filepath": "b.wav"}, "a column 'text'"),
        ({"id": "v", "text": "t"}, "a column 'audio_filepath'"),
        ({"id": "v", "audio_filepath": "b.wav", "text": None}, "got null"),
        ({"id": "v", "audio_filepath": "b.wav", "text": 7}, "got a number"),
        ({"id": "u", "audio_filepath": "b.wav", "text": "t"}, "for the second time"),
        ({"id": "v", "audio_filepath": "/etc/passwd", "text": "t"}, "lies outside"),
        ({"id": "v", "audio_filepath": "../b.wav", "text": "t"}, "lies outside"),
        ({"id": "v", "audio_filepath": "b\0.wav", "text": "t"}, "zero byte"),
        ({"id": "v", "audio_filepath": "b" * 4096, "text": "t"}, "4096 characters"),
        ({"id": "v", "audio_filepath": "b.wav", "text": "x" * (1 << 20)}, "at most 1048576 bytes"),
        ({"id": "v", "audio_filepath": "b.wav", "text": "t", "duration": -1}, "seconds"),
    ],
)
def test_a_bad_row_stops_with_its_line_or_is_left_out_and_counted(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    bad: Mapping[str, object] | str,
    message: str,
) -> None:
    last = {**GOOD, "id": "w"}
    path = manifest(tmp_path / "m.jsonl", ["", GOOD, bad, last])
    with pytest.raises(DatasetError) as caught:
        len(ManifestDataset(path))
    assert str(caught.value).startswith(f"{path}:3: ")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1

    skipping = ManifestDataset(path, on_error="skip")
    with caplog.at_level(logging.WARNING):
        assert [one.id for one in skipping] == ["u", "w"]
    assert len(skipping) == 2
    assert skipping.identity()["skipped"] == 1
    assert f"1 rows left out; the first: {path}:3: " in caplog.text


def test_skipping_in_csv_keeps_rows_and_counting_in_step(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(
        'path,text,speaker\na.wav,one,s1\nb.wav,two\n\nc.wav,"th"ree,s1\nd.wav,"fo\nur",s2\ne.wav,five,s2\n'
    )
    dataset = ManifestDataset(path, on_error="skip")
    assert [(one.id, one.reference) for one in dataset] == [
        ("a", "one"),
        ("d", "fo\nur"),
        ("e", "five"),
    ]
    assert dataset.identity()["skipped"] == 2
    assert {one.id for one in ManifestDataset(path, on_error="skip", subset=2, seed=1)} < set("ade")


def test_a_manifest_of_bad_rows_alone_is_refused_even_when_skipping(tmp_path: Path) -> None:
    path = manifest(tmp_path / "m.jsonl", ["{", "["])
    with pytest.raises(DatasetError, match=r"m\.jsonl:1: "):
        len(ManifestDataset(path, on_error="skip"))


def test_a_bad_last_row_is_found_before_the_first_utterance(tmp_path: Path) -> None:
    path = manifest(tmp_path / "m.jsonl", [*numbered(50), "{"])
    with pytest.raises(DatasetError, match=r"m\.jsonl:51: "):
        next(iter(ManifestDataset(path)))


def test_two_recordings_that_share_a_stem_need_ids(tmp_path: Path) -> None:
    rows = [{"path": "a.wav", "text": "1"}, {"path": "a.flac", "text": "2"}]
    with pytest.raises(DatasetError, match=r"m\.jsonl:2: .*'a' for the second time"):
        len(ManifestDataset(manifest(tmp_path / "m.jsonl", rows)))


def test_what_no_file_is_comes_through_for_the_audio_door_to_refuse(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    written = [
        "https://example.org/a.wav",
        "concat:a|b",
        "pipe:0",
        "/dev/zero",
        "fifo",
        ".",
        "no.wav",
    ]
    rows = [{"id": str(n), "path": one, "text": ""} for n, one in enumerate(written)]
    audio = [one.audio for one in ManifestDataset(manifest(tmp_path / "m.jsonl", rows))]
    assert audio[:4] == [Path(one) for one in written[:4]]
    assert audio[4:] == [tmp_path / "fifo", tmp_path, tmp_path / "no.wav"]


def test_outside_paths_are_allowed_on_request_and_root_moves_them(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    path = manifest(folder / "m.jsonl", [{"path": "../a.wav", "text": "t"}])
    (allowed,) = ManifestDataset(path, allow_outside_root=True)
    assert allowed.audio == folder / ".." / "a.wav"
    path = manifest(folder / "m.jsonl", [{"path": "a.wav", "text": "t"}])
    (moved,) = ManifestDataset(path, root=tmp_path)
    assert moved.audio == tmp_path / "a.wav"


def test_relative_manifests_give_absolute_audio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest(tmp_path / "m.jsonl", [GOOD])
    (one,) = ManifestDataset(Path("m.jsonl"))
    assert one.audio == tmp_path / "a.wav"


def test_a_subset_is_seeded_and_keeps_the_order(tmp_path: Path) -> None:
    path = manifest(tmp_path / "m.jsonl", numbered(100))
    whole = list(ManifestDataset(path))
    part = ManifestDataset(path, subset=10, seed=1)
    chosen = list(part)
    assert len(part) == len(chosen) == 10
    assert [one for one in whole if one in chosen] == chosen
    assert chosen != whole[:10]
    assert list(part) == chosen == list(ManifestDataset(path, subset=10, seed=1))
    assert chosen != list(ManifestDataset(path, subset=10, seed=2))
    assert len(ManifestDataset(path, subset=1000, seed=1)) == 100


def test_the_identity_sees_the_manifest_the_sizes_and_the_subset(tmp_path: Path) -> None:
    path = manifest(tmp_path / "m.jsonl", numbered(5))
    (tmp_path / "3.wav").write_bytes(b"123")

    def identity(**settings: Any) -> Mapping[str, str | int | None]:
        return ManifestDataset(**{"path": path, **settings}).identity()

    first = identity()
    assert identity() == first
    assert json.loads(json.dumps(first)) == first
    assert first["utterances"] == 5
    # A seed that draws nothing makes no other data.
    assert identity(seed=7) == first
    different = [first, identity(subset=3, seed=0), identity(subset=3, seed=1)]
    different.append(identity(text_column="id"))
    (tmp_path / "3.wav").write_bytes(b"1234")
    different.append(identity())
    manifest(path, [*numbered(4), {**numbered(5)[4], "speaker": "s"}])
    different.append(identity())
    assert len({json.dumps(one, sort_keys=True) for one in different}) == len(different)


def test_a_moved_corpus_is_the_same_data(tmp_path: Path) -> None:
    identities = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.wav").write_bytes(b"1")
        path = manifest(tmp_path / name / "m.jsonl", [GOOD])
        identities.append(ManifestDataset(path).identity())
    assert identities[0] == identities[1]


def test_a_manifest_rewritten_after_the_check_is_noticed(tmp_path: Path) -> None:
    path = manifest(tmp_path / "m.jsonl", numbered(5))
    dataset = ManifestDataset(path)
    assert len(dataset) == 5
    manifest(path, numbered(6))
    with pytest.raises(DatasetError, match="changed since it was checked"):
        next(iter(dataset))


def peak_kilobytes(path: Path, count: int, subset: int | None) -> int:
    """Peak memory of a new process that checks a manifest and reads it through."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs Linux: /proc/self/status tells a process's own peak")
    # Not getrusage: its peak starts at that of the process which forked, here pytest.
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from whisperlab.dataset.manifest import ManifestDataset\n"
        "subset = int(sys.argv[2]) or None\n"
        "data = ManifestDataset(Path(sys.argv[1]), subset=subset, seed=0)\n"
        "data.identity()\n"
        "print(len(data), sum(1 for one in data))\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path), str(subset or 0)],
        check=True,
        capture_output=True,
        text=True,
    )
    length, yielded, peak = map(int, ran.stdout.split())
    assert length == yielded == (subset or count)
    return peak


def write_long(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for n in range(count):
            file.write(
                f'{{"id": "utt-{n:07d}", "audio_filepath": "audio/{n % 1000:03d}/utt-{n:07d}.flac", '
                f'"text": "the quick brown fox number {n}", "duration": 3.25, "speaker": "s{n % 99}"}}\n'
            )


def test_100_000_lines_are_streamed(tmp_path: Path) -> None:
    write_long(tmp_path / "m.jsonl", 100_000)
    # Measured 41 MB, of which 31 are the interpreter and pydantic; a list of all takes 126 MB.
    assert peak_kilobytes(tmp_path / "m.jsonl", 100_000, None) < 80_000


@pytest.mark.slow
@pytest.mark.parametrize("subset", [None, 100])
def test_a_million_lines_stay_under_300_mb(tmp_path: Path, subset: int | None) -> None:
    write_long(tmp_path / "m.jsonl", 1_000_000)
    assert peak_kilobytes(tmp_path / "m.jsonl", 1_000_000, subset) < 300_000


def test_the_english_recordings_are_265_by_147_speakers(test_data: Path) -> None:
    utterances = list(ManifestDataset(test_data / "english_dev" / "manifest.jsonl"))
    assert len(utterances) == 265
    assert len({one.slices["speaker"] for one in utterances}) == 147
    assert all(isinstance(one.audio, Path) and one.audio.is_file() for one in utterances)
    # 42 minutes, says their README.
    assert round(sum(one.declared_seconds or 0 for one in utterances) / 60) == 42
    domains = Counter(one.slices["domain"] for one in utterances)
    assert domains["librispeech-train-clean-100"] == 126


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("english_dev/longform.jsonl", 3),
        ("fsdd/train.jsonl", 2700),
        ("fsdd/test.jsonl", 180),
        ("fsdd/test_strings.jsonl", 140),
        ("multilingual/manifest.jsonl", 70),
        ("weird/manifest.jsonl", 56),
        ("badaudio/manifest.jsonl", 177),
    ],
)
def test_every_real_manifest_is_read_whole(test_data: Path, name: str, count: int) -> None:
    dataset = ManifestDataset(test_data / name)
    assert sum(1 for _ in dataset) == len(dataset) == count


def test_speechless_recordings_have_an_empty_reference_and_no_nested_slice(test_data: Path) -> None:
    strings = list(ManifestDataset(test_data / "fsdd" / "test_strings.jsonl"))
    kinds = Counter((one.slices["kind"], one.reference == "") for one in strings)
    assert kinds == {("short", False): 100, ("long", False): 20, ("nospeech", True): 20}
    assert all("words" not in one.slices for one in strings)
