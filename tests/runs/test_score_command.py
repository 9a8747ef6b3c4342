"""`python -m whisperlab.runs score` on NIST's own files, and its output's shape."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jiwer
import pytest

from whisperlab.config.build import build_profile
from whisperlab.config.compose import compose
from whisperlab.experiment.folder import scores_from_json
from whisperlab.runs.__main__ import main
from whisperlab.runs.transcript_scores import score_transcripts

PROFILES = ("raw", "basic", "basic-marks", "whisper-english", "sclite")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["runs", "score", *map(str, arguments)])
    return main()


def nist(test_data: Path, name: str, *overrides: str) -> dict[str, Any]:
    folder = test_data / "sclite"
    return score_transcripts(
        folder / f"{name}.ref",
        folder / f"{name}.hyp",
        build_profile(compose("eval", ["profile=sclite", *overrides])),
        resamples=10,
        seed=0,
    )


def counts(part: Mapping[str, Any]) -> tuple[int, ...]:
    """Utterances, words, correct, S, D, I, errors: the columns of sclite's raw summary."""
    wer = part["scores"]["wer"]
    wrong = [wer[kind] for kind in ("substitutions", "deletions", "insertions")]
    correct = wer["reference_words"] - wrong[0] - wrong[1]
    return (part["utterances"]["total"], wer["reference_words"], correct, *wrong, sum(wrong))


def published(test_data: Path, name: str) -> dict[str, tuple[int, ...]]:
    """NIST's table: counts by speaker and, under ``Sum``, in all."""
    text = (test_data / "sclite" / name).read_text()
    row = re.compile(r"\| (\S+) *\| *(\d+) +(\d+) \|" + r" *(\d+)" * 6 + r" \|")
    return {found[0]: tuple(map(int, found[1:8])) for found in row.findall(text)}


def test_csrnab_has_nists_counts_by_speaker_and_in_all(test_data: Path) -> None:
    scores = nist(test_data, "csrnab")
    expected = published(test_data, "expected_test1.raw")
    assert expected["Sum"] == (51, 1406, 1263, 131, 12, 26, 169)
    assert counts(scores) == expected.pop("Sum")
    assert {speaker: counts(part) for speaker, part in scores["speakers"].items()} == expected


def test_csrnab_has_169_errors_in_1406_words_at_unit_costs_too(test_data: Path) -> None:
    scores = nist(test_data, "csrnab", "profile.cost_model=unit")
    assert (counts(scores)[1], counts(scores)[-1]) == (1406, 169)
    assert {name: counts(part)[-1] for name, part in scores["speakers"].items()} == {
        "4t0": 85,
        "4t1": 39,
        "4t2": 45,
    }


# Speaker i: what sclite 2.9 prints without options. NIST's table, made with inferred word
# boundaries (-S algo1 and a lexicon that lies elsewhere), has other counts for it alone.
PLAIN_I = (5, 34, 16, 10, 8, 11, 29)


def test_nists_own_test_cases_have_its_counts(test_data: Path) -> None:
    scores = nist(test_data, "tests")
    expected = published(test_data, "expected_tests_test7_1.raw")
    assert expected.pop("Sum")[:2] == (58, 266) == counts(scores)[:2]
    found = {speaker: counts(part) for speaker, part in scores["speakers"].items()}
    assert found == {**expected, "i": PLAIN_I}
    assert counts(scores) == tuple(map(sum, zip(*found.values(), strict=True)))


# sclite 2.9 on the same files: total of S, D, I.
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("profile.optional_words=forgiven",), (76, 20, 40)),  # -D
        (("profile.fragments=prefix",), (81, 41, 33)),  # -F
        (("profile.fragments=prefix", "profile.optional_words=forgiven"), (75, 13, 33)),
    ],
)
def test_optional_words_and_fragments_are_counted_as_sclites_options_do(
    overrides: tuple[str, ...], expected: tuple[int, int, int], test_data: Path
) -> None:
    assert counts(nist(test_data, "tests", *overrides))[3:6] == expected


def test_the_file_has_the_shape_of_scores_json(
    monkeypatch: pytest.MonkeyPatch, test_data: Path, tmp_path: Path
) -> None:
    folder, output = test_data / "sclite", tmp_path / "scores.json"
    files = (folder / "csrnab.ref", folder / "csrnab.hyp")
    assert run(monkeypatch, *files, "--profile", "sclite", "--output", output) == 0
    content = json.loads(output.read_text())
    assert content["schema"] == 1
    assert content["scores"]["wer"]["value"] == pytest.approx(169 / 1406)
    assert content["scores"]["wer"]["low"] < 169 / 1406 < content["scores"]["wer"]["high"]
    scores = scores_from_json(content)
    assert scores.utterances.total == scores.utterances.ok == 51
    assert content["speakers"]["4t1"]["scores"]["wer"]["substitutions"] == 32
    assert run(monkeypatch, *files, "--profile", "sclite", "--output", tmp_path / "again.json") == 0
    assert (tmp_path / "again.json").read_text() == output.read_text()


@pytest.mark.parametrize("profile", PROFILES)
def test_alternatives_are_read_under_every_profile(profile: str, test_data: Path) -> None:
    folder = test_data / "sclite"
    chosen = build_profile(compose("eval", [f"profile={profile}"]))
    reference, hypothesis = folder / "csrnab.ref", folder / "csrnab.hyp"
    scores = score_transcripts(reference, hypothesis, chosen, resamples=2, seed=0)
    # The same texts with the first of every two alternatives: which one suits best is a word or two.
    first = re.sub(r"\{ ([^/]*) /[^}]*\}", r"\1", reference.read_text())
    texts = [line.rpartition("(")[0] for line in first.splitlines()]
    assert abs(counts(scores)[1] - sum(len(chosen.words(text)) for text in texts)) <= 8


# jiwer 4.0, tests/test_measures.py (Apache-2.0): reference, hypothesis, WER, CER.
JIWER = [
    ("This is a short Sentence with a few Words with upper and Lower cases",) * 2,
    ("This is a short sentence", "This is a short sentence with more words"),
    ("this is the reference", "this is the other one"),
]


def test_jsonl_scores_are_jiwers(tmp_path: Path) -> None:
    said, heard = tmp_path / "r.jsonl", tmp_path / "h.jsonl"
    pairs = list(enumerate(JIWER))
    said.write_text("".join(json.dumps({"id": str(n), "text": r}) + "\n" for n, (r, _) in pairs))
    heard.write_text("".join(json.dumps({"id": str(n), "text": h}) + "\n" for n, (_, h) in pairs))
    raw = build_profile(compose("eval", ["profile=raw"]))
    scores = score_transcripts(said, heard, raw, resamples=2, seed=0)["scores"]
    references, hypotheses = ([pair[side] for pair in JIWER] for side in (0, 1))
    assert scores["wer"]["value"] == pytest.approx(jiwer.wer(references, hypotheses))
    assert scores["cer"]["value"] == pytest.approx(jiwer.cer(references, hypotheses))


def test_an_id_that_does_not_match_is_one_line_and_exit_code_4(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.trn").write_text("a (s-1)\n")
    (tmp_path / "h.trn").write_text("a (s-2)\n")
    assert run(monkeypatch, tmp_path / "r.trn", tmp_path / "h.trn") == 4
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_files_without_an_utterance_are_exit_code_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    assert run(monkeypatch, empty, empty) == 4
    assert "expected at least one utterance" in capsys.readouterr().err


def test_an_unknown_profile_is_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.trn").write_text("a (s-1)\n")
    assert run(monkeypatch, tmp_path / "r.trn", tmp_path / "r.trn", "--profile", "nist") == 2
    assert "nist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--resamples", "0"), "--resamples: expected at least 1, got 0"),
        (("--seed", "-1"), "--seed: expected at least 0, got -1"),
        (("--profile", "open-asr-leaderboard"), "profile.lexicon: expected a value, got none"),
        (("--encoding", "klingon"), "--encoding: expected a name such as"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(
    arguments: tuple[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "r.trn").write_text("a (s-1)\n")
    assert run(monkeypatch, tmp_path / "r.trn", tmp_path / "r.trn", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")


def test_an_output_that_cannot_be_written_is_exit_code_74(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.trn").write_text("a (s-1)\n")
    output = tmp_path / "no" / "scores.json"
    assert run(monkeypatch, tmp_path / "r.trn", tmp_path / "r.trn", "--output", output) == 74
    assert "cannot write" in capsys.readouterr().err


def test_a_lexicon_and_a_list_of_ones_own_are_named_by_arguments(
    monkeypatch: pytest.MonkeyPatch, test_data: Path, tmp_path: Path
) -> None:
    lexicon = test_data / "normalizers" / "open-asr-leaderboard-2026-08.json"
    own = tmp_path / "it's mine, [really].json"
    own.write_text('{"nyc": "newyork"}')
    (tmp_path / "r.trn").write_text("Alan met Gregg in NYC (s-1)\n")
    (tmp_path / "h.trn").write_text("Allen met Greg in New York (s-1)\n")
    output = tmp_path / "s.json"
    assert (
        run(
            monkeypatch,
            *(tmp_path / "r.trn", tmp_path / "h.trn"),
            *("--profile", "open-asr-leaderboard", "--lexicon", lexicon),
            *("--substitutions", own, "--output", output),
        )
        == 0
    )
    wer = json.loads(output.read_text())["scores"]["wer"]
    assert (wer["value"], wer["reference_words"], wer["hypothesis_words"]) == (0.0, 5, 6)
