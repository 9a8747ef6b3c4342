"""Runs made by hand for the tests that set runs against each other, in memory and on disk."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from whisperlab.config.compose import compose
from whisperlab.experiment.folder import LEDGER, RunFolder
from whisperlab.experiment.ledger import Ledger
from whisperlab.experiment.result import Latency, RunCard, RunResult, Scores, Speed, Tally
from whisperlab.runs.__main__ import main
from whisperlab.utterance import Failure, Outcome, State

SAID = "one two three four five six seven eight nine ten"
DATASET = {"source": "manifest", "utterances_sha256": "abc", "subset": None}


def outcome(id_: str, text: str | None, said: str = SAID, speaker: str = "anna") -> Outcome:
    """An utterance of two seconds; without a text it has failed."""
    if text is None:
        error = Failure("invalid_audio", "no header")
        return Outcome(id_, State.FAILED, said, "", slices={"speaker": speaker}, error=error)
    return Outcome(id_, State.OK, said, text, audio_seconds=2.0, slices={"speaker": speaker})


def wrong(words: int) -> str:
    """The reference with its first words wrong."""
    return " ".join(["X"] * words + SAID.split()[words:])


def run(
    *outcomes: Outcome,
    dataset: Mapping[str, Any] = DATASET,
    name: str = "run",
    config: Mapping[str, Any] | None = None,
) -> RunResult:
    """A finished run of these utterances."""
    lost = sum(not item.state.scored for item in outcomes)
    return RunResult(
        folder=Path(name),
        card=RunCard(
            fingerprint="f" * 16,
            configuration_hash="c" * 16,
            config=config or {},
            dataset=dataset,
            seed=0,
            command="python -m whisperlab.eval",
            git={},
            versions={},
            model={"name": name},
            hardware={},
        ),
        scores=Scores(
            utterances=Tally(len(outcomes), len(outcomes) - lost, 0, lost, 0, 0),
            scores={},
            profile={},
            speed=Speed(None, 1, Latency(None, None, None, 0), None, {}, resumed=False),
            memory={},
            fingerprint="f" * 16,
        ),
        outcomes=outcomes,
    )


def folder(path: Path, outcomes: Sequence[Outcome], *overrides: str) -> Path:
    """The folder of a finished run of these utterances under eval's configuration."""
    config = compose("eval", ["dataset=demo", *overrides])
    made = run(*outcomes, config={**config, "run_dir": str(path)})
    written = RunFolder(path)
    written.write_card(replace(made.card, model=config["model"]))
    written.write_scores(made.scores)
    with Ledger(path / LEDGER) as ledger:
        ledger.append(outcomes)
    return path


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def runs(*arguments: str | Path) -> Finished:
    """`python -m whisperlab.runs` in this process: a new one for every call would cost seconds."""
    said, complained = StringIO(), StringIO()
    with (
        patch.object(sys, "argv", ["runs", *map(str, arguments)]),
        redirect_stdout(said),
        redirect_stderr(complained),
    ):
        try:
            code = main()
        except SystemExit as stop:  # argparse ends a usage error this way
            code = int(stop.code or 0)
    return Finished(code, said.getvalue(), complained.getvalue())
