"""Searching: compose, race, report. The function `search` is the command's and the notebook's.

Owns the order of the parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from whisperlab.config.build import build_executor
from whisperlab.config.command import raise_if_stopped
from whisperlab.config.compose import compose
from whisperlab.config.parts import PARTS, parts_of
from whisperlab.executor.protocol import BlockExecutor, Executor
from whisperlab.experiment.checked_lines import RecordCount
from whisperlab.experiment.folder import RunFolder
from whisperlab.experiment.loaded_engines import LoadedEngines
from whisperlab.experiment.race_hearing import OUTCOMES, Hands
from whisperlab.experiment.race_plan import RacePlan
from whisperlab.experiment.race_run import run_race
from whisperlab.experiment.race_summary import RESULT, SearchResult, summarise
from whisperlab.experiment.shard import WHOLE
from whisperlab.report.bar import StderrBar
from whisperlab.report.race import race_table, sentences, write_race_report
from whisperlab.search.candidates import plan_of
from whisperlab.search.crew import LoadedCrew
from whisperlab.search.preset import write_preset
from whisperlab.search.progress import RaceBar


def search(*overrides: str, config_dir: Path | None = None) -> SearchResult:
    """Returns the finished search that the command with these overrides would do.

    ``search("dataset=manifest", "dataset.path=my.jsonl", "space=none",
    "+space.preprocess=[[],[trim]]", "search_dir=searches/first")``: the same ``search_dir`` resumes.

    Raises:
        ConfigError: a setting or a candidate is wrong, or the folder holds another search.
        DatasetError, ModelError, WriteError, RunInUseError: as the parts raise them.
    """
    return search_configured(compose("search", overrides, config_dir), overrides, config_dir)


def search_configured(
    config: Mapping[str, Any], overrides: Sequence[str], config_dir: Path | None
) -> SearchResult:
    """Returns the finished search of a composed configuration; leaves report and preset behind.

    One part of a search (``shard.count`` above 1) leaves its race alone behind: the whole reports.
    """
    plan, run, settings = plan_of(config, overrides, config_dir)
    folder = Path(run.search_dir)
    engines = LoadedEngines(settings.keep_loaded)
    if run.shard != WHOLE:
        hands = Hands(engines, run.shard, beside=lambda: _other_parts(folder))
        with RaceBar(plan, raise_if_stopped) as progress:
            race = run_race(plan, folder, hands, progress)
        return summarise(race, resamples=1, seed=run.seed)  # nobody looks at its intervals
    executor = build_executor(config)
    if isinstance(executor, Executor) and executor.parts > 1 and not (folder / RESULT).exists():
        run_in_parts(plan, folder, executor, overrides, config_dir)
    hands = Hands(engines, beside=lambda: sorted((folder / PARTS).glob("*")))
    with RaceBar(plan, raise_if_stopped) as progress, ExitStack() as hired:
        if isinstance(executor, BlockExecutor):
            crew = LoadedCrew(executor, plan, settings.keep_loaded, raise_if_stopped)
            hired.callback(crew.end)
            hands = replace(hands, crew=crew)
        race = run_race(plan, folder, hands, progress)
    result = summarise(race, resamples=run.resamples, seed=run.seed)
    if race.recommended is not None:
        chosen = plan.candidates[race.recommended]
        result = replace(result, serve=write_preset(chosen, folder))
    RunFolder(folder).write_json(RESULT, result.to_json())
    write_race_report(result)
    return result


def run_in_parts(
    plan: RacePlan,
    folder: Path,
    executor: Executor,
    overrides: Sequence[str],
    config_dir: Path | None,
) -> None:
    """Returns when the parts of the search in ``folder`` have raced to the end.

    Raises:
        ConfigError: the folder holds another search.
        ExecutorError: a part does not finish.
    """
    plan.check_folder(RunFolder(folder))
    parts = parts_of(
        "whisperlab.search", "search_dir", folder, executor.parts, overrides, config_dir
    )
    outcomes, count = [part.log.parent / OUTCOMES for part in parts], RecordCount()
    with StderrBar(raise_if_stopped, left="left at most") as bar:
        bar.show(total=len(plan.utterances) * len(plan.candidates), description="parts race")
        executor.run(parts, lambda: bar.show(completed=count.of(_ledgers(outcomes))))


def _other_parts(folder: Path) -> list[Path]:
    """Returns the race folders beside a part's, and the whole's: it may have begun in one piece."""
    others = [one for one in sorted(folder.parent.glob("*")) if one != folder]
    return [folder.parent.parent, *others]


def _ledgers(outcomes: Sequence[Path]) -> list[Path]:
    return [ledger for folder in outcomes for ledger in folder.glob("*.jsonl")]


def show(result: SearchResult) -> None:
    """Prints the table, what it means and the command that serves the recommended configuration."""
    console = Console(soft_wrap=True)
    Console().print(race_table(result))
    for sentence in sentences(result):
        console.print(sentence, highlight=False, markup=False)
