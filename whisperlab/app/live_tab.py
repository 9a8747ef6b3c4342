"""The tab Live: speak, and read along; what is settled stays, what is not is grey.

Owns the tab's layout and the endpoint ``/live``. Nothing waits here: a piece of sound that arrives
while a decoding runs is added, and the next decoding hears it.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from time import perf_counter
from typing import Final

import gradio as gr

from whisperlab.app.live import Recording
from whisperlab.app.settings import AppSettings
from whisperlab.app.speech import Heard, Speech, caller_of, sentence, status_line
from whisperlab.serve.problems import ApiError

EVERY_SECONDS: Final = 0.5
"""How often the browser hands over sound (it may send smaller pieces all the same)."""

NEW_SECONDS: Final = 0.4
"""New sound that makes another decoding worth while."""

LIMIT_SECONDS: Final = 3600

EMPTY: Final = '<p class="wl-empty">Press record and speak; the text comes while you do.</p>'


@dataclass(slots=True)
class Session:
    """One recording in one browser, and the decoding that runs for it."""

    recording: Recording = field(default_factory=Recording)
    running: Future[Heard] | None = None
    running_seconds: float = 0.0
    decoded_seconds: float = 0.0
    began: float | None = None
    first_partial_seconds: float | None = None


def build(speech: Speech, settings: AppSettings) -> None:
    """Lays the tab out."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280):
            configuration = speech.chooser(value=speech.names[0], label="Configuration")
            microphone = gr.Audio(
                type="filepath", sources=["microphone"], streaming=True, label="Microphone"
            )
        with gr.Column(scale=2, min_width=320):
            status = gr.HTML(status_line("Ready."), label="State")
            view = gr.HTML(EMPTY, label="Text so far")
            final = gr.Textbox(label="The whole recording, transcribed at its end", lines=3)
    session = gr.State(None)

    def live(
        path: str | None, name: str, session: Session | None, request: gr.Request
    ) -> tuple[str, str, Session]:
        """Returns the text so far after one more piece of sound."""
        session = session or Session()
        if path is None:
            return _text(session.recording), status_line("Listening ..."), session
        try:
            session.recording.add(Path(path).read_bytes())
            Path(path).unlink(missing_ok=True)
            _follow(speech, session, name, caller_of(request))
        except ApiError as error:
            raise sentence(error) from error
        return _text(session.recording), status_line(_state(session)), session

    def finish(name: str, session: Session | None, request: gr.Request) -> tuple[str, str, None]:
        """Returns the text of the whole recording, transcribed like any other sound."""
        if session is None or not session.recording.samples:
            return "", status_line("Nothing was recorded."), None
        try:
            waveform = speech.sound_of(session.recording.whole_wav())
            heard = speech.transcribe(waveform, speech.wanted(name), caller_of(request))
        except ApiError as error:
            raise sentence(error) from error
        said = f"{waveform.duration_seconds:.1f} s recorded."
        return heard.transcript.text, status_line(said), None

    microphone.stream(
        live,
        [microphone, configuration, session],
        [view, status, session],
        stream_every=EVERY_SECONDS,
        time_limit=LIMIT_SECONDS,
        concurrency_limit=settings.concurrency,
        api_name="live",
        show_progress="hidden",
    )
    microphone.stop_recording(
        finish, [configuration, session], [final, status, session], api_visibility="private"
    )
    microphone.start_recording(
        lambda: (EMPTY, "", None), None, [view, final, session], api_visibility="private"
    )


def _follow(speech: Speech, session: Session, name: str, caller: str) -> None:
    """Takes a decoding that is done; begins another when there is enough new sound."""
    now, recording = perf_counter(), session.recording
    if session.began is None:
        session.began = now
    if session.running is not None and session.running.done():
        done, session.running = session.running, None
        _take(session, done)
    grown = recording.seconds - session.decoded_seconds
    if session.running is None and grown >= NEW_SECONDS and recording.open_seconds > NEW_SECONDS:
        wanted = speech.wanted(name, timestamp_granularities=("word", "segment"))
        session.running_seconds = recording.open_seconds
        session.decoded_seconds = recording.seconds
        session.running = speech.begin(recording.open_wav(), wanted, caller)


def _take(session: Session, done: Future[Heard]) -> None:
    try:
        heard = done.result()
    except ApiError:  # a stretch that the door or the engine refused: the next one may do
        return
    transcript = heard.transcript
    words = [word for segment in transcript.segments for word in segment.words]
    session.recording.heard(words, transcript.text, session.running_seconds)
    if session.first_partial_seconds is None and transcript.text and session.began is not None:
        session.first_partial_seconds = perf_counter() - session.began


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
    if session.first_partial_seconds is not None:
        said += f"; first words after {session.first_partial_seconds:.1f} s"
    return said + "."
