"""The tab Transcribe: a sound in, its text out while it is decoded, to be corrected and kept.

Owns the tab's layout and its endpoints ``/transcribe`` and ``/export``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any, Final, get_args

import gradio as gr

from whisperlab.app.layout import (
    INPUTS_WIDTH,
    RESULTS_WIDTH,
    choice,
    controls,
    sentence,
    sound_input,
    status_line,
    told,
)
from whisperlab.app.player import EMPTY, SCRIPT, Player
from whisperlab.app.settings import AppSettings
from whisperlab.app.speech import Heard, Speech
from whisperlab.audio import Waveform
from whisperlab.engine.options import Task
from whisperlab.languages import ENGLISH_NAMES
from whisperlab.report import notation
from whisperlab.serve.problems import ApiError
from whisperlab.stopwatch import Stopwatch
from whisperlab.subtitles import FORMATS
from whisperlab.transcript import Finish, Segment, Transcript

Row = list[float | str]
"""Start and end in seconds, text."""

Shown = tuple[str, list[Row], dict[str, Any], str, str]
"""Text, segments, details, player, state."""

TASKS: Final[tuple[Task, ...]] = get_args(Task)

COLUMNS: Final = ["start", "end", "text"]

EXAMPLES: Final = Path(__file__).parents[1] / "dataset" / "demo"

PRESS: Final = "() => document.querySelector('#transcript-file').click()"
"""Gradio prepares a file first; a person asked for it once."""

SHOW_SECONDS: Final = 1.0
"""New segments are shown as often as this: a long sound has thousands, each with all before it."""

SHOWN_DETAILS: Final = """details => {
  const { segments } = details ?? {};
  if (!segments || segments.length <= 100) return details;
  return { ...details, segments: [...segments.slice(0, 100), `and ${segments.length - 100} more: the table has them`] };
}"""
"""A tree of all that is known of an hour's segments has 100,000 nodes."""

COPY: Final = "text => { navigator.clipboard.writeText(text); }"

LANGUAGES: Final = [
    ("detect", ""),
    *((f"{name} ({code})", code) for code, name in ENGLISH_NAMES.items()),
]


def build(speech: Speech, settings: AppSettings) -> None:
    """Lays the tab out."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=INPUTS_WIDTH):
            sound = sound_input()
            gr.Examples(
                [[str(path)] for path in sorted(EXAMPLES.glob("digits-0[0-3].flac"))],
                [sound],
                label="Examples (spoken digits)",
            )
            configuration = speech.chooser(value=speech.names[0], label="Configuration")
            language = choice(LANGUAGES, value="", label="Language")
            task = choice(list(TASKS), value="transcribe", label="Task")
            words = gr.Checkbox(label="Times of words")
            ready = controls("Transcribe")
        with gr.Column(scale=2, min_width=RESULTS_WIDTH):
            view = gr.HTML(EMPTY, js_on_load=SCRIPT, label="Player")
            text = gr.Textbox(label="Text", lines=3, max_lines=12)
            table = gr.Dataframe(
                headers=COLUMNS,
                datatype=["number", "number", "str"],
                interactive=True,
                wrap=True,
                column_widths=["90px", "90px", "auto"],
                max_height=320,
                label="Segments (correct the text here)",
            )
            with gr.Row(equal_height=False, elem_classes="wl-keep"):
                kind = choice(list(FORMATS), value="txt", label="Format", min_width=120)
                keep = gr.Button("Save transcript", min_width=160)
                copy = gr.Button("Copy the text", min_width=160)
                file = gr.DownloadButton("File", visible="hidden", elem_id="transcript-file")
            with gr.Accordion("Details", open=False):
                shown_details = gr.JSON(label="What was heard, and what it took")
            details = gr.JSON(label="What was heard, and what it took", visible=False)

    @told(outputs=5, state=4)
    def transcribe(
        path: str | None,
        name: str,
        language: str,
        task: str,
        words: bool,
        request: gr.Request,
    ) -> Iterator[Shown]:
        """Yields text, segments, details, player and state as the sound is decoded."""
        if path is None:
            raise ApiError("missing_file", "Record or upload a sound first.")
        watch = Stopwatch()
        yield "", [], {}, EMPTY, status_line("Reading the sound ...")
        with speech.turn(request) as caller:
            wanted = speech.wanted(
                name,
                _task(task),
                language=language,
                timestamp_granularities=("word", "segment") if words else ("segment",),
            )
            waveform = speech.sound(path, wanted.configuration, caller, watch)
            drawn = Player.of(waveform, path)
            yield "", [], {}, drawn.shown(()), status_line("Decoding ...")
            segments: list[Segment] = []
            shown, when = 0, perf_counter()
            for one in speech.hear(waveform, wanted, caller, watch):
                if isinstance(one, Heard):
                    yield _finished(speech, name, one, waveform, drawn)
                    return
                if isinstance(one, Segment):
                    segments.append(one)
                elif shown == len(segments):
                    yield *[gr.skip()] * 4, one.shown
                if shown < len(segments) and perf_counter() - when >= SHOW_SECONDS:
                    shown, when = len(segments), perf_counter()
                    yield _so_far(segments, drawn)

    job = ready.start.click(
        transcribe,
        [sound, configuration, language, task, words],
        [text, table, details, view, ready.status],
        api_name="transcribe",
        concurrency_limit=settings.concurrency,
    )
    ready.stops(job)
    job.then(None, [details], [shown_details], js=SHOWN_DETAILS, api_visibility="private")
    table.input(_joined, [table], [text], api_visibility="private")
    kept = keep.click(export, [table, details, kind], [file], api_name="export")
    kept.success(None, js=PRESS, api_visibility="private")
    copy.click(None, [text], js=COPY, api_visibility="private")


def export(rows: Any, details: dict[str, Any] | None, kind: str) -> str:
    """Returns the file with the corrected segments, in the format ``kind``."""
    table = _table(rows)
    if kind not in FORMATS:
        raise sentence(ApiError("invalid_value", f"Expected one of {', '.join(FORMATS)}.", "kind"))
    if not table:
        raise sentence(ApiError("invalid_value", "There is nothing to keep yet."))
    try:
        segments = tuple(Segment(float(r[0]), float(r[1]), f" {str(r[2]).strip()}") for r in table)
        language = (details or {}).get("language")
        text = " ".join(str(row[2]).strip() for row in table)
        content = FORMATS[kind](Transcript(text, language, segments))
    except (ValueError, TypeError) as error:
        raise sentence(
            ApiError("invalid_value", "Expected times in seconds, 0 or later, in every row.")
        ) from error
    folder = Path(tempfile.mkdtemp(dir=gr.utils.get_upload_folder()))
    target = folder / f"transcript.{kind}"
    target.write_text(content, encoding="utf-8")
    return str(target)


def _task(given: str) -> Task:
    for task in TASKS:
        if given == task:
            return task
    raise ApiError("invalid_value", f"Expected the task {' or '.join(TASKS)}.", "task")


def _so_far(segments: Sequence[Segment], drawn: Player) -> Shown:
    said = "".join(segment.text for segment in segments).strip()
    until = f"Decoding ... {segments[-1].end:.0f} of {drawn.duration_seconds:.0f} s"
    return said, _rows(segments), {}, drawn.shown(segments), status_line(until)


def _finished(speech: Speech, name: str, heard: Heard, waveform: Waveform, drawn: Player) -> Shown:
    transcript = heard.transcript
    configuration = speech.service.offer.find(name)
    details = {
        "configuration": name,
        "configuration_hash": None
        if configuration is None
        else speech.service.hash_of(configuration),
        "language": transcript.language,
        "finish": transcript.finish.value,
        "audio_seconds": waveform.duration_seconds,
        "audio_truncated": waveform.truncated,
        "seconds_by_stage": {stage: round(s, 4) for stage, s in heard.timings.items()},
        "segments": [asdict(segment) for segment in transcript.segments],
    }
    spent = sum(s for stage, s in heard.timings.items() if stage != "total")
    state = (
        f"{notation.plural(len(transcript.segments), 'segment')}, {waveform.duration_seconds:.1f} s of sound in "
        f"{spent:.1f} s."
        if transcript.text
        else "No speech was heard."
    )
    if waveform.truncated:
        state += " The file is cut or damaged: only its readable part was heard."
    if transcript.finish is Finish.TRUNCATED:
        state += " The model stopped at its token limit: text is missing."
    return (
        transcript.text,
        _rows(transcript.segments),
        details,
        drawn.shown(transcript.segments),
        status_line(state),
    )


def _rows(segments: Sequence[Segment]) -> list[Row]:
    return [[round(s.start, 3), round(s.end, 3), s.text.strip()] for s in segments]


def _table(rows: Any) -> list[list[Any]]:
    """Returns the rows of a table as Gradio hands it over: a pandas frame, or lists."""
    values = rows.values.tolist() if hasattr(rows, "values") else (rows or {}).get("data", rows)
    return [list(row) for row in values if len(row) == len(COLUMNS) and str(row[2]).strip()]


def _joined(rows: Any) -> str:
    """Returns the corrected segments' text."""
    return " ".join(str(row[2]).strip() for row in _table(rows))
