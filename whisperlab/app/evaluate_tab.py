"""The tab Evaluate: a dataset and configurations in, scores and a report out, in a process of its own.

Owns the tab's layout and its endpoint ``/evaluate``. One evaluation runs at a time, so that times mean
something; others wait. Stopping it leaves a run that can be resumed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from time import perf_counter, sleep
from typing import Any, Final

import gradio as gr

from whisperlab.app.evaluation import (
    POLL_SECONDS,
    PROFILES,
    Choices,
    EvaluationProcess,
    Moment,
    Plan,
    names_only,
)
from whisperlab.app.layout import (
    INPUTS_WIDTH,
    RESULTS_WIDTH,
    buttons,
    choice,
    state_line,
    status_line,
    told,
)
from whisperlab.app.leaderboard import Line, read_line
from whisperlab.app.reports import report_address
from whisperlab.app.settings import AppSettings
from whisperlab.app.speech import Speech
from whisperlab.eval.progress import STAGE_NAMES
from whisperlab.report import notation
from whisperlab.report.markup import Markup, element, joined
from whisperlab.serve.configurations import Configuration
from whisperlab.serve.problems import ApiError

EMPTY: Final = (
    '<p class="wl-empty">Choose a dataset and configurations: their scores stand here, with what is '
    "known of their uncertainty.</p>"
)

FEW_UTTERANCES: Final = 40
"""What is asked for at first: a minute's work for a small model, and an interval that warns."""

Shown = tuple[str, str, dict[str, Any]]
"""State, table, details."""


def build(speech: Speech, settings: AppSettings) -> None:
    """Lays the tab out."""
    choices = Choices(settings)
    before: deque[EvaluationProcess] = deque(maxlen=1)
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=INPUTS_WIDTH):
            dataset = choice(
                choices.datasets,
                value=next(iter(choices.datasets), None),
                label="Dataset",
                info="Your own: start with 'app.manifests=[FILE]'",
            )
            names = speech.chooser(value=speech.names[:1], label="Configurations")
            utterances = gr.Number(
                FEW_UTTERANCES,
                precision=0,
                label="Utterances, drawn at random",
                info="Empty: all of them",
            )
            with gr.Row():
                seed = gr.Number(0, precision=0, label="Seed of the draw", min_width=120)
                profile = choice(PROFILES, value=PROFILES[0], label="Scored under", min_width=140)
            start, stop = buttons("Evaluate")
        with gr.Column(scale=2, min_width=RESULTS_WIDTH):
            status = state_line()
            view = gr.HTML(EMPTY, label="Scores")
            with gr.Accordion("Details", open=False):
                details = gr.JSON(label="Scores, and the command that repeats each run")

    @told(outputs=3, state=0)
    def evaluate(
        dataset: str,
        names: list[str],
        utterances: int | None,
        seed: int,
        profile: str,
        request: gr.Request,
    ) -> Iterator[Shown]:
        """Yields state, scores so far and details while the configurations are evaluated in turn."""
        lines: list[Line] = []
        runs: list[dict[str, Any]] = []
        with speech.turn(request), names_only(choices.runs_dir):
            for configuration in speech.find(names):
                plan = choices.plan(
                    configuration,
                    dataset=dataset,
                    profile=profile,
                    utterances=utterances,
                    seed=seed,
                )
                runs.append(_described(configuration, plan))
                for state in _states(speech, configuration.name, plan, before):
                    yield state, _table(lines), {"runs": runs}
                lines.append(_finished(plan))
                runs[-1] = {**runs[-1], **asdict(lines[-1]), "state": "finished"}
        yield status_line("Done."), _table(lines), {"runs": runs}

    job = start.click(
        evaluate,
        [dataset, names, utterances, seed, profile],
        [status, view, details],
        api_name="evaluate",
        concurrency_limit=1,
        concurrency_id="evaluation",
    )
    stop.click(_stopped, [details], [status], cancels=[job], api_visibility="private")


def _finished(plan: Plan) -> Line:
    line = read_line(plan.folder, plan.name)
    if line is None:
        raise ApiError("internal_error", f"The evaluation {plan.name} ended without scores.")
    return line


def _described(configuration: Configuration, plan: Plan) -> dict[str, Any]:
    return {
        "configuration": configuration.name,
        "name": plan.name,
        "state": "running",
        "resume": plan.resume_line,
        "report": report_address(plan.name),
    }


def _states(
    speech: Speech, name: str, plan: Plan, before: deque[EvaluationProcess]
) -> Iterator[str]:
    """Yields how the evaluation stands until it has finished; closing the iterator stops it.

    It begins when the process ``before`` it has gone, which may still be finishing a batch, so that
    two never share the machine; then it is the one.
    """
    while before and before[0].alive:
        yield status_line("An evaluation that was stopped finishes its batch ...")
        sleep(POLL_SECONDS)
    process = EvaluationProcess(plan)
    before.append(process)
    began, moment = perf_counter(), Moment("begin")
    main_pass: tuple[float, int] | None = None
    try:
        for news in process.moments():
            if speech.service.draining:
                raise ApiError("draining", f"The server is shutting down. Go on later with: {plan.resume_line}")  # fmt: skip
            if news is not None:
                moment = news
                if main_pass is None and moment.stage == "transcribe":
                    main_pass = perf_counter(), moment.done
            yield _state(name, moment, perf_counter() - began, _seconds_left(moment, main_pass))
    finally:
        process.stop()


def _seconds_left(moment: Moment, main_pass: tuple[float, int] | None) -> float | None:
    """Returns the seconds that the rest of the main pass takes at its speed so far."""
    if main_pass is None or moment.stage != "transcribe":
        return None
    began, already = main_pass
    done = moment.done - already
    return (perf_counter() - began) / done * (moment.total - moment.done) if done else None


def _state(name: str, moment: Moment, elapsed: float, left: float | None) -> str:
    """Returns what goes on, a bar, and the counts; only the first is announced to screen readers."""
    known = moment.total and moment.stage == "transcribe"
    doing = "transcribing" if known else STAGE_NAMES.get(moment.stage, "starting")
    facts = [f"{moment.done:,} of {notation.plural(moment.total, 'utterance')}"] if known else []
    facts += [f"{count:,} {state.replace('_', ' ')}" for state, count in moment.states.items()]
    facts.append(f"{_whole_seconds(elapsed)} so far")
    if left is not None:
        facts.append(f"about {_whole_seconds(max(1.0, left))} left")
    # Without a value the bar says that something goes on, not how far it is.
    reached = {"value": str(moment.done), "max": str(moment.total)} if known else {}
    return joined(
        Markup(status_line(joined(f"{name}: {doing} ..."))),
        element("progress", class_="wl-progress", aria_label=f"Progress of {name}", **reached),
        element("div", ", ".join(facts), class_="wl-status"),
    )


def _whole_seconds(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < notation.SECONDS_PER_MINUTE else notation.seconds(whole)


def _stopped(details: Mapping[str, Any] | None) -> str:
    """Returns the state after Stop: how the run that was stopped goes on."""
    runs = (details or {}).get("runs") or [{}]
    if runs[-1].get("state") != "running":
        return status_line("Stopped.")
    said = joined("Stopped. Go on with: ", element("code", str(runs[-1].get("resume"))))
    return status_line(said)


def _table(lines: Sequence[Line]) -> str:
    if not lines:
        return EMPTY
    heads = ("Run", "WER", "95 % interval", "CER", "Coverage", "RTFx", "p95", "Report")
    rows = [
        element(
            "tr", element("th", line.name, scope="row"), *map(_cell, _values(line)), _link(line)
        )
        for line in lines
    ]
    head = element("tr", *[element("th", text, scope="col") for text in heads])
    table = element("table", element("thead", head), element("tbody", *rows), class_="wl-table")
    return element(
        "div", table, class_="wl-scroll", tabindex="0", role="region", aria_label="Scores"
    )


def _values(line: Line) -> list[str]:
    return [
        notation.percent(line.wer),
        notation.interval(line.wer_low, line.wer_high),
        notation.percent(line.cer),
        notation.percent(line.coverage),
        notation.factor(line.rtfx),
        notation.seconds(line.p95_seconds),
    ]


def _cell(value: str) -> Markup:
    return element("td", value)


def _link(line: Line) -> Markup:
    address = report_address(line.name)
    label = f"Report of {line.name}"
    return element("td", element("a", "open", href=address, target="_blank", aria_label=label))
