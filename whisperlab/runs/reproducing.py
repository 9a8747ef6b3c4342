"""The reproduce command's work: the run issued again, both compared, the differences printed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from whisperlab.config.compose import compose
from whisperlab.config.experiment import build_experiment, report_of, run_settings
from whisperlab.experiment.folder import RunFolder, read_run
from whisperlab.experiment.reproduction import (
    REPRODUCTION,
    Changed,
    Figure,
    Reproduction,
    compare_runs,
    reproduction_json,
)
from whisperlab.experiment.runner import run_experiment
from whisperlab.report import notation
from whisperlab.utterance import Outcome


def reproduce(path: Path, output: Path) -> bool:
    """Runs the run in ``path`` again in ``output``, prints what differs, returns whether it is the same."""
    before = read_run(path)
    # A run of before a setting existed had what is that setting's default now.
    config = {**compose("eval", []), **before.card.config, "run_dir": str(output)}
    experiment = build_experiment(config, run_settings(config), [])
    experiment = replace(experiment, card=replace(experiment.card, command=before.card.command))
    print(
        f"run folder {output}; resume with: "
        + shlex.join(
            ["python", "-m", "whisperlab.runs", "reproduce", str(path), "--output", str(output)]
        )
    )
    after = run_experiment(experiment, output, _Lines())
    report = report_of(after, experiment)
    found = compare_runs(before, after)
    RunFolder(output).write_json(REPRODUCTION, reproduction_json(found, before))
    console = Console()
    for table in _tables(found):
        console.print(table)
    for line in verdict(found):
        print(line)
    print(f"report: {report}")
    return found.reproduced


class _Lines:
    """Says on stderr what goes on; a bar is the evaluation command's."""

    def started(self, total: int, already_done: int) -> None:
        """Says how much there is."""
        self.stage(f"transcribing {total - already_done} of {total} utterances")

    def advanced(self, outcomes: Sequence[Outcome]) -> None:
        """Says nothing."""

    def stage(self, name: str) -> None:
        """Names what begins."""
        print(name, file=sys.stderr)


def verdict(found: Reproduction) -> Iterator[str]:
    """Yields the result in lines: texts, the utterances that differ, one sentence."""
    same = [name for name, changed in _sections(found).items() if not changed]
    if same:
        yield f"the same: {', '.join(same)}"
    texts = found.texts
    yield (
        f"texts: {texts.equal:,} of {texts.utterances:,} utterances equal "
        f"({notation.coverage(texts.equal, texts.utterances)})"
    )
    for example in texts.examples:
        yield f"  {example.id}: {example.before!r} became {example.after!r}"
    others = [figure.name for figure in found.scores if figure.before != figure.after]
    if found.reproduced:
        yield "reproduced: every text, state and score is the same"
    elif others:
        yield f"not reproduced: {', '.join(others)} differ"
    else:
        yield "not reproduced: texts differ, scores do not"


def _tables(found: Reproduction) -> Iterator[Table]:
    for name, changed in _sections(found).items():
        if changed:
            yield _table(name, [_changed_row(entry) for entry in changed])
    yield _table("scores and times", [_figure_row(entry) for entry in _figures(found)])


def _sections(found: Reproduction) -> dict[str, tuple[Changed, ...]]:
    return {
        "configuration": found.configuration,
        "dataset": found.dataset,
        "code": found.code,
        "versions": found.versions,
        "machine": found.machine,
    }


def _figures(found: Reproduction) -> list[Figure]:
    return [*(entry for entry in found.scores if "." not in entry.name), *found.times]


def _table(title: str, rows: Sequence[tuple[str, str, str]]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for heading in ("", "before", "after"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _changed_row(entry: Changed) -> tuple[str, str, str]:
    return entry.key, entry.before, entry.after


def _figure_row(entry: Figure) -> tuple[str, str, str]:
    shown = [
        notation.DASH if value is None else f"{value:.4g}" for value in (entry.before, entry.after)
    ]
    return entry.name, shown[0], shown[1]
