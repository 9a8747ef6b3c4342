"""The tab Transcribe: a sound in, its text out while it is decoded."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr

from whisperlab.app.settings import AppSettings
from whisperlab.app.speech import Heard, Speech
from whisperlab.serve.problems import ApiError


def build(speech: Speech, settings: AppSettings) -> None:
    """Lays the tab out and names its endpoint ``/transcribe``."""

    def transcribe(path: str | None, configuration: str, request: gr.Request) -> Iterator[str]:
        if path is None:
            raise gr.Error("Record or upload a sound first.")
        said = ""
        try:
            wanted = speech.wanted(configuration)
            for one in speech.hear(speech.sound(path), wanted, request.session_hash or "page"):
                said = one.transcript.text if isinstance(one, Heard) else said + one.text
                yield said.strip()
        except ApiError as error:
            raise gr.Error(error.message) from error

    sound = gr.Audio(type="filepath", sources=["microphone", "upload"], label="Sound")
    configuration = gr.Dropdown(speech.names, value=speech.names[0], label="Configuration")
    button = gr.Button("Transcribe", variant="primary")
    text = gr.Textbox(label="Text", lines=3)
    button.click(transcribe, [sound, configuration], [text], api_name="transcribe")
