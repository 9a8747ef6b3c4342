"""The tab Compare: one sound, several configurations, what each heard and how they differ.

Owns the tab's layout and its endpoint ``/compare``. Words are aligned and counted by the same code as
in an evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gradio as gr

from whisperlab.app.evaluation import PROFILES
from whisperlab.app.layout import (
    INPUTS_WIDTH,
    RESULTS_WIDTH,
    choice,
    controls,
    sound_input,
    status_line,
    told,
)
from whisperlab.app.settings import AppSettings
from whisperlab.app.speech import Heard, Speech, Waiting
from whisperlab.config.build import build_profile
from whisperlab.config.compose import compose
from whisperlab.metric.alignment import Edit
from whisperlab.metric.counts import ErrorCounts
from whisperlab.metric.score import score_pair
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.report.markup import Markup, element, joined
from whisperlab.serve.problems import ApiError
from whisperlab.stopwatch import Stopwatch

EMPTY: Final = '<p class="wl-empty">Choose two configurations or more, and a sound.</p>'

STAGES: Final = ("decode", "preprocess", "queue", "features", "encode", "decode_tokens")
"""Stages shown as bars, in the order in which they happen."""

SHOWN_SECONDS: Final = 0.005
"""Half of the last digit that is shown."""


@dataclass(frozen=True, slots=True)
class Column:
    """What one configuration heard; ``counts`` and ``edits`` are against what it is compared with."""

    name: str
    heard: Heard
    counts: ErrorCounts | None
    edits: tuple[Edit, ...]


def build(speech: Speech, settings: AppSettings) -> None:
    """Lays the tab out."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=INPUTS_WIDTH):
            sound = sound_input()
            names = speech.chooser(
                value=speech.names[:2],
                label="Configurations",
                info="More of them: start with 'serve.presets=[...]'",
            )
            reference = gr.Textbox(label="What was said (optional)", lines=2)
            profile = choice(list(PROFILES), value=PROFILES[0], label="Words are compared under")
            ready = controls("Compare")
        with gr.Column(scale=2, min_width=RESULTS_WIDTH):
            view = gr.HTML(EMPTY, label="Comparison")
            with gr.Accordion("Details", open=False):
                details = gr.JSON(label="Texts, counts and seconds by configuration")

    @told(outputs=3, state=2)
    def compare(
        path: str | None,
        names: list[str],
        reference: str,
        profile: str,
        request: gr.Request,
    ) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Yields the comparison, its details and the state, one configuration after the other."""
        if path is None:
            raise ApiError("missing_file", "Record or upload a sound first.")
        chosen = speech.find(names)
        scoring = _profile(profile)
        yield EMPTY, {}, status_line("Reading the sound ...")
        with speech.turn(request) as caller:
            door = Stopwatch()
            sounds = speech.sounds(path, chosen, caller, door)
            columns: list[Column] = []
            for name, waveform in zip([one.name for one in chosen], sounds, strict=True):
                yield _view(columns, reference), {}, status_line(f"{name} is listening ...")
                wanted, watch = speech.wanted(name), Stopwatch()
                for stage, seconds in door.seconds.items():  # decoded once, for all of them
                    watch.add(stage, seconds)
                for one in speech.hear(waveform, wanted, caller, watch):
                    if isinstance(one, Heard):
                        first = columns[0].heard if columns else one
                        columns.append(_column(name, one, first, reference, scoring))
                    elif isinstance(one, Waiting):
                        yield gr.skip(), gr.skip(), one.by(name).shown
        yield _view(columns, reference), _details(columns, profile), status_line("Done.")

    job = ready.start.click(
        compare,
        [sound, names, reference, profile],
        [view, details, ready.status],
        api_name="compare",
        concurrency_limit=settings.concurrency,
    )
    ready.stops(job)


def _profile(name: str) -> Profile:
    if name not in PROFILES:
        raise ApiError("invalid_value", f"Expected one of {', '.join(PROFILES)}.", "profile")
    return build_profile(compose("eval", [f"profile={name}"]))


def _column(name: str, heard: Heard, first: Heard, reference: str, profile: Profile) -> Column:
    """Returns what a configuration heard against the reference, or against the ``first`` one."""
    against = reference.strip() or first.transcript.text
    score = score_pair(profile, [WordErrorRate()], against, heard.transcript.text)
    counts = score.counts["wer"] if reference.strip() else None
    return Column(name, heard, counts, score.edits)


def _details(columns: Sequence[Column], profile: str) -> dict[str, Any]:
    return {
        "profile": profile,
        "configurations": {
            column.name: {
                "text": column.heard.transcript.text,
                "language": column.heard.transcript.language,
                "wer": None if column.counts is None else column.counts.rate,
                "substitutions": None if column.counts is None else column.counts.substitutions,
                "insertions": None if column.counts is None else column.counts.insertions,
                "deletions": None if column.counts is None else column.counts.deletions,
                "seconds_by_stage": {k: round(v, 4) for k, v in column.heard.timings.items()},
            }
            for column in columns
        },
    }


def _view(columns: Sequence[Column], reference: str) -> str:
    if not columns:
        return EMPTY
    longest = max(sum(_stages(column).values()) for column in columns) or 1.0
    against = "what was said" if reference.strip() else columns[0].name
    cards = [_card(column, longest) for column in columns]
    legend = element(
        "p",
        f"Against {against}: ",
        element("del", "missing"),
        " ",
        element("ins", "added"),
        " ",
        element("span", element("del", "was"), element("ins", "became"), class_="wl-pair"),
        class_="wl-status",
    )
    return joined(legend, *cards)


def _card(column: Column, longest: float) -> Markup:
    rate = Markup("")
    if column.counts is not None:
        value = column.counts.rate
        shown = "no words were said" if value is None else f"WER {100 * value:.1f} %"
        errors = (
            f" ({column.counts.substitutions} substituted, {column.counts.insertions} inserted, "
            f"{column.counts.deletions} deleted of {column.counts.reference_length})"
        )
        rate = element("p", element("b", shown), errors)
    words = joined(*(_word(edit) for edit in column.edits)) or element("i", "No speech was heard.")
    return element(
        "section",
        element("h2", column.name),
        rate,
        element(
            "div",
            words,
            class_="wl-words wl-long",
            tabindex="0",
            role="region",
            aria_label=f"What {column.name} heard",
        ),
        _bars(column, longest),
        class_="wl-card",
    )


def _word(edit: Edit) -> Markup:
    match edit.kind:
        case "equal":
            return joined(edit.hypothesis or edit.reference, " ")
        case "deletion":
            return joined(element("del", edit.reference), " ")
        case "insertion":
            return joined(element("ins", edit.hypothesis), " ")
        case _:
            pair = joined(element("del", edit.reference), element("ins", edit.hypothesis))
            return joined(element("span", pair, class_="wl-pair"), " ")


def _stages(column: Column) -> dict[str, float]:
    return {stage: column.heard.timings.get(stage, 0.0) for stage in STAGES}


def _bars(column: Column, longest: float) -> Markup:
    """Returns the stages' seconds as one bar, to the scale of the slowest configuration."""
    stages = _stages(column)
    parts = [
        element(
            "span",
            title=f"{stage}: {seconds:.3f} s",
            class_=f"wl-stage wl-stage-{number}",
            style=f"width:{100 * seconds / longest:.2f}%",
        )
        for number, (stage, seconds) in enumerate(stages.items())
    ]
    keys = [
        element(
            "span",
            element("span", class_=f"wl-key wl-stage-{number}"),
            f"{stage.replace('_', ' ')} {seconds:.2f} s",
        )
        for number, (stage, seconds) in enumerate(stages.items())
        if seconds >= SHOWN_SECONDS
    ]
    total = element("span", f"{sum(stages.values()):.2f} s in all")
    return element(
        "figure",
        element("div", *parts, class_="wl-bar", aria_hidden="true"),
        element("figcaption", total, *keys, class_="wl-keys"),
    )
