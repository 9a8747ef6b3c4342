"""The tab Live: speak, and read along; what is settled stays, what is not is grey.

Owns the tab's layout and the endpoints ``/live`` and ``/live_end``; ``microphone.js`` is its
microphone. A piece of sound waits a moment for its decoding; one that arrives while a slow one runs is
added, and the next decoding hears it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import gradio as gr

from whisperlab.app.layout import (
    INPUTS_WIDTH,
    RESULTS_WIDTH,
    failed_line,
    sentences,
    state_line,
    status_line,
    told,
)
from whisperlab.app.live import Recording
from whisperlab.app.settings import AppSettings
from whisperlab.app.speech import MAX_BEGUN, Heard, Speech, Waiting
from whisperlab.serve.keys import Caller
from whisperlab.serve.problems import ApiError

NEW_SECONDS: Final = 0.4
"""New sound that makes another decoding worth while."""

ANSWER_SECONDS: Final = 1.0
"""How long a piece waits for its decoding: one that is done by then is shown at once."""

EMPTY: Final = '<p class="wl-empty">Press Record and speak; the text comes while you do.</p>'

MICROPHONE: Final = (
    '<div class="wl-microphone"><button type="button" class="wl-record"><span>Record</span></button>'
    '<meter min="0" max="1" value="0" aria-label="Loudness"></meter>'
    '<p class="wl-note" role="alert"></p></div>'
)
SCRIPT: Final = Path(__file__).with_name("microphone.js").read_text(encoding="utf-8")

STOPPED: Final = "The recording has ended; what was settled stays. Press Record to begin again."

ANSWERED, FAILED = "", "failed"
"""The microphone's value after an answer: it may send the next piece, or it stops."""


@dataclass(slots=True)
class Session:
    """One recording in one browser, and the decoding that runs for it."""

    recording: Recording = field(default_factory=Recording)
    running: Future[Heard] | None = None
    decoded_seconds: float = 0.0
    began: float | None = None
    first_words_seconds: float | None = None


def build(speech: Speech, settings: AppSettings) -> None:
    """Lays the tab out."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=INPUTS_WIDTH):
            configuration = speech.chooser(value=speech.names[0], label="Configuration")
            microphone = gr.HTML(
                ANSWERED, html_template=MICROPHONE, js_on_load=SCRIPT, label="Microphone"
            )
            status = state_line()
        with gr.Column(scale=2, min_width=RESULTS_WIDTH):
            view = gr.HTML(EMPTY, label="Text so far")
            final = gr.Textbox(label="The whole recording, transcribed at its end", lines=3)
            details = gr.JSON(label="Text so far, for programs", visible=False)
    session = gr.State(None)

    def begin(name: str) -> tuple[str, str, str, str, None]:
        """Begins a recording: the model is loaded while the speaker takes breath."""
        with sentences():
            speech.load(name)
        return EMPTY, "", status_line("Listening ..."), ANSWERED, None

    def live(
        piece: str, name: str, session: Session | None, request: gr.Request
    ) -> tuple[dict[str, Any], str, str, str, Session]:
        """Returns the text so far after one more piece of sound: a 16-bit WAV file in base64."""
        caller: Caller = request.state.page_caller
        with sentences():
            if session is None:
                with speech.turn(request):  # a recording counts as one request, and by its seconds
                    session = Session()
            before = session.recording.seconds
            session.recording.add(_decoded(piece))
            speech.charge(caller, session.recording.seconds - before)
            _follow(speech, session, name, caller)
        text = _text(session.recording)
        return _details(session), text, status_line(_state(session)), ANSWERED, session

    @told(outputs=4, state=1)
    def live_end(
        name: str, session: Session | None, request: gr.Request
    ) -> Iterator[tuple[str, str, str, None]]:
        """Yields the state, then the text of the whole recording, transcribed like any sound."""
        if session is None or not session.recording.samples:
            yield "", status_line("Nothing was recorded."), ANSWERED, None
            return
        with speech.turn(request) as caller:
            wanted = speech.wanted(name)
            waveform = speech.sound_of(session.recording.whole_wav(), wanted.configuration)
            for one in speech.hear(waveform, wanted, caller):
                if isinstance(one, Heard):
                    said = status_line(f"{waveform.duration_seconds:.1f} s recorded.")
                    yield one.transcript.text, said, ANSWERED, None
                elif isinstance(one, Waiting):
                    yield gr.skip(), one.shown, gr.skip(), gr.skip()

    begun = microphone.start_recording(
        begin,
        [configuration],
        [view, final, status, microphone, session],
        api_visibility="private",
        show_progress="hidden",
    )
    heard = microphone.input(
        live,
        [microphone, configuration, session],
        [details, view, status, microphone, session],
        concurrency_limit=MAX_BEGUN,
        api_name="live",
        show_progress="hidden",
        trigger_mode="multiple",  # "once" would lose a piece that follows hard on an answer
    )
    ended = microphone.stop_recording(
        live_end,
        [configuration, session],
        [final, status, microphone, session],
        concurrency_limit=settings.concurrency,
        api_name="live_end",
        show_progress_on=[final],
    )
    for job in (begun, heard):  # a message over the page says why
        job.failure(
            lambda: (FAILED, failed_line(STOPPED)), None, [microphone, status],
            api_visibility="private",
        )  # fmt: skip
    ended.failure(lambda: FAILED, None, [microphone], api_visibility="private")


def _decoded(piece: str) -> bytes:
    try:
        return base64.b64decode(piece, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError("invalid_base64", "Expected a WAV file in base64.", "piece") from error


def _follow(speech: Speech, session: Session, name: str, caller: Caller) -> None:
    """Takes a decoding that is done; begins another when there is enough new sound."""
    now, recording = perf_counter(), session.recording
    if session.began is None:
        session.began = now
    _take_done(session, patience_seconds=0.0)
    grown = recording.seconds - session.decoded_seconds
    if session.running is None and grown >= NEW_SECONDS:
        session.decoded_seconds = recording.seconds
        if (sound := recording.next_wav()) is not None:
            session.running = speech.begin(sound, speech.wanted(name), caller)
    _take_done(session, patience_seconds=ANSWER_SECONDS)


def _take_done(session: Session, patience_seconds: float) -> None:
    """Takes the decoding that runs if it is done within the seconds given."""
    if session.running is None or not wait([session.running], patience_seconds).done:
        return
    done, session.running = session.running, None
    try:
        heard = done.result()
    except ApiError:  # a stretch that the door or the engine refused: the next one may do
        return
    session.recording.heard(heard.transcript.text)
    if (
        session.first_words_seconds is None
        and session.recording.partial
        and session.began is not None
    ):
        session.first_words_seconds = perf_counter() - session.began


def _details(session: Session) -> dict[str, Any]:
    return {
        "settled": " ".join(session.recording.settled),
        "partial": session.recording.partial,
        "recorded_seconds": round(session.recording.seconds, 3),
        "first_words_seconds": session.first_words_seconds,
    }


def _text(recording: Recording) -> str:
    settled = escape(" ".join(recording.settled))
    partial = escape(recording.partial)
    if not settled and not partial:
        return EMPTY
    return (
        f'<p class="wl-words" aria-live="polite"><span class="wl-settled">{settled}</span> '
        f'<span class="wl-partial">{partial}</span></p>'
    )


def _state(session: Session) -> str:
    said = f"{session.recording.seconds:.0f} s recorded"
    if session.first_words_seconds is not None:
        said += f"; first words after {session.first_words_seconds:.1f} s"
    return said + "."
