"""A run over real parts: states, resume, batch plan, rescoring, refusal of another run's folder."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from whisperlab.audio import Waveform
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import Watch
from whisperlab.engine.replay import ReplayEngine, digest
from whisperlab.errors import (
    ConfigError,
    InferenceError,
    OutOfMemoryError,
    RunInUseError,
    WriteError,
)
from whisperlab.experiment.event_log import log_event, run_log
from whisperlab.experiment.folder import RunFolder, differences, fingerprint, read_run
from whisperlab.experiment.ledger import Ledger, read_ledger
from whisperlab.experiment.result import RunCard, RunResult
from whisperlab.experiment.runner import Experiment, run_experiment
from whisperlab.metric.cer import CharacterErrorRate
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.normalize.whisper_basic import WhisperBasic
from whisperlab.segmentation.whole import WholeUtterance
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import Finish, Segment, Transcript
from whisperlab.utterance import Outcome, State, Utterance

BASIC = Profile(name="basic", version="1", steps=(WhisperBasic(),))
RAW = Profile(name="raw", version="1")


def tone(index: int) -> Waveform:
    times = np.arange(8_000, dtype=np.float32) / 16_000
    return Waveform((0.5 * np.sin(2 * np.pi * (200 + 10 * index) * times)).astype(np.float32))


@dataclasses.dataclass(frozen=True)
class Tones:
    """``count`` tones as files; ``broken`` ones are text files."""

    folder: Path
    count: int = 10
    broken: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[Utterance]:
        self.folder.mkdir(exist_ok=True)
        for index in range(self.count):
            path = self.folder / f"{index}.wav"
            if not path.exists():
                if index in self.broken:
                    path.write_text("this is no sound at all")
                else:
                    levels = np.rint(tone(index).samples * 32_768).astype(np.int16)
                    soundfile.write(path, levels, 16_000)
            slices = {"parity": "odd" if index % 2 else "even"}
            yield Utterance(f"u{index}", path, f"Tone number {index}.", slices)

    def __len__(self) -> int:
        return self.count

    def identity(self) -> Mapping[str, str | int | None]:
        return {"count": self.count}


@dataclasses.dataclass
class Recogniser:
    """Settings and engine in one: answers by tone, counts calls, fails where it is told to."""

    answers: dict[str, Transcript]
    fails_on: frozenset[str] = frozenset()
    largest_batch: int = 1_000
    dies_after_batches: int | None = None
    sample_rate: int = 16_000
    heard: list[list[str]] = dataclasses.field(default_factory=list)

    def load(self) -> Recogniser:
        return self

    def check(self, options: DecodeOptions) -> None:
        return None

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        if len(batch) > self.largest_batch:
            raise OutOfMemoryError("too large")
        if self.dies_after_batches == len(self.heard):
            raise KeyboardInterrupt
        names = [digest(waveform) for waveform in batch]
        if self.fails_on & set(names):
            raise InferenceError("this one never works", code="raised")
        self.heard.append(names)
        return ReplayEngine(self.answers).transcribe(batch, options, watch)


def answers(count: int = 10) -> dict[str, Transcript]:
    said = {
        digest(tone(index)): Transcript(
            f"tone number {index}", segments=(Segment(0.0, 0.5, f" tone number {index}"),)
        )
        for index in range(count)
    }
    said[digest(tone(3))] = Transcript("")
    said[digest(tone(4))] = Transcript("tone number", finish=Finish.TRUNCATED)
    return said


class Silent:
    def started(self, total: int, already_done: int) -> None: ...

    def advanced(self, outcomes: Sequence[Outcome]) -> None: ...

    def stage(self, name: str) -> None: ...


def experiment(engine: Recogniser, dataset: Tones, **changes: object) -> Experiment:
    identity = dict(dataset.identity())
    card = RunCard(
        fingerprint=fingerprint("hash", identity, {"batch_size": 4, "seed": 0}),
        configuration_hash="hash",
        config={"engine": {"name": "recogniser"}},
        dataset=identity,
        seed=0,
        command="",
        git={},
        versions={},
        model={},
        hardware={},
    )
    made = Experiment(
        transcriber=Transcriber(engine=engine, segmentation=WholeUtterance()),
        dataset=dataset,
        profile=BASIC,
        metrics=(WordErrorRate(), CharacterErrorRate()),
        card=card,
        batch_size=4,
        latency_utterances=2,
        resamples=100,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type] # one helper for every field


def content(result: RunResult) -> tuple[object, ...]:
    """What must be identical between an uninterrupted and a resumed run (INTERFACES)."""
    records = [
        dataclasses.replace(outcome, timings={}, attempt=0)
        for outcome in sorted(result.outcomes, key=lambda outcome: outcome.id)
    ]
    return (result.scores.utterances, result.scores.scores, records)


def test_states_counts_and_coverage_are_true(tmp_path: Path) -> None:
    dataset = Tones(tmp_path / "audio", broken=(7,))
    engine = Recogniser(answers(), fails_on=frozenset({digest(tone(1))}))
    result = run_experiment(experiment(engine, dataset), tmp_path / "run", Silent())
    states = {outcome.id: outcome.state for outcome in result.outcomes}
    assert states["u1"] is State.FAILED
    assert states["u3"] is State.EMPTY
    assert states["u4"] is State.TRUNCATED
    assert states["u7"] is State.FAILED
    tally = result.scores.utterances
    assert (tally.total, tally.ok, tally.empty, tally.failed, tally.truncated) == (10, 6, 1, 2, 1)
    assert tally.coverage == 0.8
    wer = result.scores.scores["wer"]
    # 8 scored references of 3 words; u3 lost all 3, u4 lost 1.
    assert (wer.deletions, wer.substitutions, wer.insertions, wer.reference_words) == (4, 0, 0, 24)
    assert wer.value == pytest.approx(4 / 24)
    # The two failed ones count 3 deleted words each here, and only here.
    assert wer.value_failed_as_deleted == pytest.approx(10 / 30)
    codes = {outcome.id: outcome.error.code for outcome in result.outcomes if outcome.error}
    assert codes == {"u1": "raised", "u7": "unsupported_format"}


def test_a_failing_neighbour_changes_nobody_s_text(tmp_path: Path) -> None:
    calm = run_experiment(
        experiment(Recogniser(answers()), Tones(tmp_path / "audio")), tmp_path / "calm", Silent()
    )
    engine = Recogniser(answers(), fails_on=frozenset({digest(tone(2))}))
    rough = run_experiment(
        experiment(engine, Tones(tmp_path / "audio")), tmp_path / "rough", Silent()
    )
    texts = {outcome.id: outcome.text for outcome in calm.outcomes}
    assert {o.id: o.text for o in rough.outcomes if o.id != "u2"} == {
        id_: text for id_, text in texts.items() if id_ != "u2"
    }


def test_out_of_memory_halves_the_batch_and_leaves_no_hole(tmp_path: Path) -> None:
    engine = Recogniser(answers(), largest_batch=1)
    result = run_experiment(
        experiment(engine, Tones(tmp_path / "audio")), tmp_path / "run", Silent()
    )
    assert result.scores.utterances.failed == 0
    assert [len(batch) for batch in engine.heard[:10]] == [1] * 10


def test_a_resumed_run_is_identical_and_transcribes_nothing_twice(tmp_path: Path) -> None:
    dataset = Tones(tmp_path / "audio")
    whole = run_experiment(experiment(Recogniser(answers()), dataset), tmp_path / "whole", Silent())
    dying = Recogniser(answers(), dies_after_batches=1)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment(dying, dataset), tmp_path / "run", Silent())
    again = Recogniser(answers())
    result = run_experiment(
        experiment(again, dataset, latency_utterances=0), tmp_path / "run", Silent()
    )
    assert content(result) == content(whole)
    assert [len(batch) for batch in again.heard] == [4, 2]
    assert result.scores.speed.resumed
    assert result.scores.speed.rtfx is None
    assert [attempt["end_reason"] for attempt in result.card.attempts] == ["stopped", "finished"]


def test_a_batch_that_was_recorded_in_part_is_transcribed_whole_and_recorded_once(
    tmp_path: Path,
) -> None:
    dataset = Tones(tmp_path / "audio")
    run = tmp_path / "run"
    whole = run_experiment(experiment(Recogniser(answers()), dataset), run, Silent())
    lines = (run / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (run / "ledger.jsonl").write_bytes(b"".join(lines[:6]) + lines[6][:10])
    (run / "scores.json").unlink()
    again = Recogniser(answers())
    result = run_experiment(experiment(again, dataset, latency_utterances=0), run, Silent())
    assert content(result) == content(whole)
    assert [len(batch) for batch in again.heard] == [4, 2]
    assert len(list(read_ledger(run / "ledger.jsonl"))) == 10


def test_a_finished_run_is_read_not_run(tmp_path: Path) -> None:
    dataset = Tones(tmp_path / "audio")
    first = run_experiment(experiment(Recogniser(answers()), dataset), tmp_path / "run", Silent())
    again = Recogniser({})
    second = run_experiment(experiment(again, dataset), tmp_path / "run", Silent())
    assert again.heard == []
    assert second == first == read_run(tmp_path / "run")


def test_another_profile_rescores_a_finished_run_without_inference(tmp_path: Path) -> None:
    dataset = Tones(tmp_path / "audio")
    first = run_experiment(experiment(Recogniser(answers()), dataset), tmp_path / "run", Silent())
    again = Recogniser({})
    second = run_experiment(experiment(again, dataset, profile=RAW), tmp_path / "run", Silent())
    assert again.heard == []
    assert second.scores.profile["name"] == "raw"
    # "Tone number 0." against "tone number 0": case and full stop count now.
    assert second.scores.scores["wer"].substitutions == 2 * 8 + 1
    assert second.scores.speed == first.scores.speed


def test_another_run_s_folder_is_refused_with_the_keys_that_differ(tmp_path: Path) -> None:
    run_experiment(
        experiment(Recogniser(answers()), Tones(tmp_path / "audio")), tmp_path / "run", Silent()
    )
    with pytest.raises(ConfigError, match=r"dataset identity\.count: 10 -> 9"):
        run_experiment(
            experiment(Recogniser(answers()), Tones(tmp_path / "audio", count=9)),
            tmp_path / "run",
            Silent(),
        )


def test_an_edited_table_is_said_in_words_and_not_in_digests(tmp_path: Path) -> None:
    tones = Tones(tmp_path / "audio", count=1)
    card = run_experiment(experiment(Recogniser(answers()), tones), tmp_path / "run", Silent()).card
    before, after = (
        dataclasses.replace(card, dataset={"rows_sha256": rows, "utterances_sha256": "1"})
        for rows in ("a", "b")
    )
    assert differences(before, after) == ["the dataset's table was edited"]


@pytest.mark.parametrize("name", ["run.json", "scores.json"])
def test_a_folder_with_somebody_else_s_files_is_refused(name: str, tmp_path: Path) -> None:
    dataset, run = Tones(tmp_path / "audio"), tmp_path / "run"
    run_experiment(experiment(Recogniser(answers()), dataset), run, Silent())
    (run / name).write_text('{"a": 1}')
    with pytest.raises(ConfigError, match=f"{name}: expected a file of whisperlab"):
        run_experiment(experiment(Recogniser(answers()), dataset), run, Silent())


def test_a_finished_run_without_its_ledger_is_not_shown_as_whole(tmp_path: Path) -> None:
    dataset, run = Tones(tmp_path / "audio"), tmp_path / "run"
    run_experiment(experiment(Recogniser(answers()), dataset), run, Silent())
    (run / "ledger.jsonl").unlink()
    with pytest.raises(ConfigError, match="expected 10 records"):
        run_experiment(experiment(Recogniser(answers()), dataset), run, Silent())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_a_log_on_a_full_disk_is_an_error_of_the_run_not_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(WriteError, match="free space"), run_log(Path("/dev/full")):
        log_event("something")
    assert capsys.readouterr().err == ""


def test_scores_never_outlive_the_records_that_they_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut keeps what was synced: the whole ledger before the scores."""
    synced: dict[str, int] = {}
    before_scores: list[tuple[int, int]] = []
    real = os.fsync

    def fsync(file: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{file}")).name
        if name == ".scores.json.tmp":
            size = (tmp_path / "run" / "ledger.jsonl").stat().st_size
            before_scores.append((synced.get("ledger.jsonl", 0), size))
        real(file)
        synced[name] = os.fstat(file).st_size

    monkeypatch.setattr(os, "fsync", fsync)
    run_experiment(
        experiment(Recogniser(answers()), Tones(tmp_path / "tones")), tmp_path / "run", Silent()
    )
    [(durable, written)] = before_scores
    assert durable == written


def test_a_run_in_use_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    RunFolder(run)
    with Ledger(run / "ledger.jsonl"), pytest.raises(RunInUseError):
        run_experiment(experiment(Recogniser(answers()), Tones(tmp_path / "audio")), run, Silent())


def test_the_log_names_ids_and_codes_and_no_text(tmp_path: Path) -> None:
    dataset = Tones(tmp_path / "audio", broken=(7,))
    run_experiment(experiment(Recogniser(answers()), dataset), tmp_path / "run", Silent())
    log = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8")
    assert '"id": "u7"' in log
    assert "unsupported_format" in log
    assert "one number" not in log.lower()


def test_the_cold_batch_stands_apart_and_a_resumed_run_has_no_throughput(tmp_path: Path) -> None:
    dataset = Tones(tmp_path / "audio", count=8)
    whole = run_experiment(
        experiment(Recogniser(answers(8)), dataset), tmp_path / "whole", Silent()
    ).scores.speed
    assert whole.first_batch_seconds is not None
    assert whole.rtfx is not None
    assert whole.rtfx_warm is not None
    # 8 tones of 0.5 s in two batches: both parts make up the wall time of the whole
    wall = whole.first_batch_seconds + 2.0 / whole.rtfx_warm
    assert wall == pytest.approx(4.0 / whole.rtfx)
    dying = experiment(Recogniser(answers(8), dies_after_batches=1), dataset)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(dying, tmp_path / "resumed", Silent())
    resumed = run_experiment(
        experiment(Recogniser(answers(8)), dataset), tmp_path / "resumed", Silent()
    ).scores.speed
    assert (resumed.rtfx, resumed.rtfx_warm, resumed.resumed) == (None, None, True)


def test_one_batch_has_no_warm_throughput_and_its_machine_is_described_at_the_end(
    tmp_path: Path,
) -> None:
    dataset = Tones(tmp_path / "audio", count=3)
    result = run_experiment(experiment(Recogniser(answers(3)), dataset), tmp_path / "run", Silent())
    assert result.scores.speed.rtfx is not None
    assert result.scores.speed.rtfx_warm is None
    assert result.scores.energy is not None
    assert result.scores.energy.reason == "the run used no NVIDIA device"
    assert result.card.hardware["logical_cores"] >= 1
