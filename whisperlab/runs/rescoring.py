"""The rescore command's work: profile, scores, report, tables."""

from __future__ import annotations

import gc
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from whisperlab.config.build import build_profile
from whisperlab.config.compose import compose
from whisperlab.experiment.attribution import RuleShare
from whisperlab.experiment.rescoring import ATTRIBUTION, Rescored, rescore
from whisperlab.experiment.scoring import PRIMARY_METRIC, slice_scores
from whisperlab.metric.bootstrap import RESAMPLES
from whisperlab.report import notation
from whisperlab.report.html import write_report
from whisperlab.report.published import published_lines
from whisperlab.runs.profile_choice import profile_overrides
from whisperlab.runs.transcript_scores import METRICS


def rescore_run(given: Namespace) -> None:
    """Scores the run anew, writes its report and prints both scores and every rule's share."""
    config = compose("eval", profile_overrides(given))
    with _without_collector():
        rescored = rescore(given.run_dir, build_profile(config), METRICS, config["profile"])
        result = rescored.result
        report = write_report(
            result,
            {item.outcome.id: item.edits for item in rescored.scored if item.outcome.state.scored},
            slice_scores(
                rescored.scored,
                resamples=int(result.card.config.get("resamples", RESAMPLES)),
                seed=result.card.seed,
            ),
            rescored.findings,
        )
    console = Console()
    console.print(_scores_table(rescored))
    console.print(_shares_table(rescored.shares))
    for line in published_lines(result):
        print(line)
    print(f"examples: {result.folder / ATTRIBUTION}")
    print(f"report: {report}")


@contextmanager
def _without_collector() -> Iterator[None]:
    """Leaves the garbage collector off: it walks millions of edits again and again and finds no cycle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _scores_table(rescored: Rescored) -> Table:
    table = Table(title=f"{rescored.result.folder}: before and after")
    for heading in ("profile", "WER", "95 %", "S", "D", "I", "words"):
        table.add_column(heading, justify="left" if heading == "profile" else "right")
    for scores in (rescored.before, rescored.result.scores):
        rate = scores.scores.get(PRIMARY_METRIC)
        name = f"{scores.profile.get('name', notation.DASH)} {scores.profile.get('hash', '')}"
        if rate is None:
            table.add_row(name)
            continue
        counts = (rate.substitutions, rate.deletions, rate.insertions, rate.reference_words)
        table.add_row(
            name,
            notation.percent(rate.value),
            notation.interval(rate.low, rate.high),
            *(f"{number:,}" for number in counts),
        )
    return table


def _shares_table(shares: Sequence[RuleShare]) -> Table:
    table = Table(
        title="Word errors, rule by rule (cumulative, in the profile's order)",
        caption="errors, words and WER are those with the rules so far",
        box=SIMPLE,  # millions fit into 80 columns
    )
    table.add_column("rule", no_wrap=True)
    for heading in ("erased", "created", "errors", "words", "WER %"):
        table.add_column(heading, justify="right")
    for share in shares:
        table.add_row(
            share.rule,
            *(f"−{share.erased:,}", f"+{share.created:,}"),
            *(
                f"{share.errors:,}",
                f"{share.words:,}",
                notation.percent(share.rate).removesuffix(" %"),
            ),
        )
    return table
