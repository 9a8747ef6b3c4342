"""The tab Preprocess: each step heard and seen, and what the chain did to the transcript.

Owns the tab's layout, the drawing of a step and the endpoint ``/preprocess``. The steps are those of
``conf/preprocess`` with their own settings, run in the order chosen.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any, Final

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from whisperlab.app.layout import (
    INPUTS_WIDTH,
    RESULTS_WIDTH,
    choice,
    controls,
    sound_input,
    status_line,
    told,
)
from whisperlab.app.player import waveform_drawing
from whisperlab.app.settings import AppSettings
from whisperlab.app.speech import Heard, Speech, Waiting
from whisperlab.audio import Waveform
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import CONF_DIR, compose
from whisperlab.preprocess.protocol import Preprocessor
from whisperlab.report.markup import Markup, element, joined
from whisperlab.serve.problems import ApiError

EMPTY: Final = '<p class="wl-empty">Choose steps and a sound: each is shown before and after.</p>'

HEARD_SECONDS: Final = 60.0
"""Longer sounds are drawn, not embedded: a minute of 16-bit samples is 2 MB."""

WINDOW_SECONDS, HOP_SECONDS = 0.025, 0.010
"""Whisper's own analysis window and hop (Radford et al. 2022, section 2.2)."""

COLUMNS: Final = 600
"""Columns of a drawn spectrogram."""

FLOOR_DB: Final = -80.0
"""What lies this far below the loudest point is black."""


def build(speech: Speech, settings: AppSettings) -> None:
    """Lays the tab out."""
    steps = sorted(path.stem for path in (CONF_DIR / "preprocess").glob("*.yaml"))
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=INPUTS_WIDTH):
            sound = sound_input()
            chain = choice(
                steps,
                value=["trim", "loudness"],
                multiselect=True,
                label="Steps, in the order in which they run",
            )
            configuration = speech.chooser(
                value=speech.names[0], label="Configuration that listens"
            )
            ready = controls("Show")
        with gr.Column(scale=2, min_width=RESULTS_WIDTH):
            view = gr.HTML(EMPTY, label="Steps")
            with gr.Accordion("Details", open=False):
                details = gr.JSON(label="Levels and durations by step, texts")

    @told(outputs=3, state=2)
    def preprocess(
        path: str | None, chain: list[str], name: str, request: gr.Request
    ) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Yields the steps as they are done, then the two transcripts."""
        if path is None:
            raise ApiError("missing_file", "Record or upload a sound first.")
        yield EMPTY, {}, status_line("Reading the sound ...")
        with speech.turn(request) as caller:
            wanted = speech.wanted(name)
            before = after = speech.sound(path, wanted.configuration, caller)
            shown = [_shown("As it came", before)]
            facts: dict[str, Any] = {"steps": {"source": _facts(before)}}
            for step, run in _steps(chain, steps).items():
                after = run(after)
                shown.append(_shown(step, after))
                facts["steps"][step] = _facts(after)
                yield joined(*shown), facts, status_line(f"{step} is done.")
            texts = []
            for label, waveform in (("source", before), ("processed", after)):
                for one in speech.hear(waveform, wanted, caller):
                    if isinstance(one, Heard):
                        texts.append(one.transcript.text)
                        facts[f"{label}_text"] = one.transcript.text
                    elif isinstance(one, Waiting):
                        yield gr.skip(), gr.skip(), one.by(name).shown
        yield joined(*shown, _texts(*texts)), facts, status_line("Done.")

    job = ready.start.click(
        preprocess,
        [sound, chain, configuration],
        [view, details, ready.status],
        api_name="preprocess",
        concurrency_limit=settings.concurrency,
    )
    ready.stops(job)


def _steps(chain: list[str], known: list[str]) -> dict[str, Preprocessor]:
    """Returns the steps of a chain by name, in its order."""
    for name in chain:
        if name not in known:
            raise ApiError("invalid_value", f"Expected steps of {', '.join(known)}.", "chain")
    if len(set(chain)) != len(chain):
        raise ApiError("invalid_value", "Expected each step once.", "chain")
    composed = compose("transcriber", ["engine=replay", f"preprocess=[{','.join(chain)}]"])
    return dict(zip(chain, build_transcriber(composed).preprocessors, strict=True))


def _facts(waveform: Waveform) -> dict[str, float]:
    samples = waveform.samples
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
    return {
        "seconds": round(waveform.duration_seconds, 3),
        "starts_at_seconds": round(waveform.start, 3),
        "peak": round(float(np.abs(samples).max(initial=0.0)), 4),
        "rms_db": round(20 * float(np.log10(max(level, 1e-10))), 1),
    }


def _shown(name: str, waveform: Waveform) -> Markup:
    """Returns a step's result: heard, its waveform and its spectrogram."""
    facts = _facts(waveform)
    said = f"{facts['seconds']} s, peak {facts['peak']}, level {facts['rms_db']} dB"
    drawn = Markup(f'<div class="wl-wave">{waveform_drawing(waveform.samples)}</div>')
    return element(
        "section",
        element("h2", name),
        element("p", said, class_="wl-status"),
        drawn,
        Markup(
            f'<img class="wl-spectrum" alt="Spectrogram of {name}: time to the right, 0 to 8 kHz '
            f'upwards" src="{_data("image/png", spectrogram_png(waveform))}">'
        ),
        _listen(name, waveform),
        class_="wl-card",
    )


def _listen(name: str, waveform: Waveform) -> Markup:
    if waveform.duration_seconds > HEARD_SECONDS:
        return element("p", f"Sounds over {HEARD_SECONDS:g} s are shown only.", class_="wl-status")
    import soundfile

    written = io.BytesIO()
    loud = np.clip(waveform.samples, -1.0, 1.0)
    soundfile.write(written, loud, waveform.sample_rate, format="FLAC", subtype="PCM_16")
    source = _data("audio/flac", written.getvalue())
    label = f"Sound of {name}"
    return element("audio", controls="", preload="none", aria_label=label, src=source)


def _data(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _texts(before: str, after: str) -> Markup:
    same = "The transcript did not change." if before == after else "The transcript changed."
    nothing = "(no speech was heard)"
    return element(
        "section",
        element("h2", same),
        element("p", "As it came: ", element("span", before or nothing, class_="wl-words")),
        element("p", "Processed: ", element("span", after or nothing, class_="wl-words")),
        class_="wl-card",
    )


def power_db(waveform: Waveform) -> NDArray[np.float32]:
    """Returns the spectrogram in dB below its loudest point, shape ``(n_frequencies, n_frames)``."""
    size, hop = (round(s * waveform.sample_rate) for s in (WINDOW_SECONDS, HOP_SECONDS))
    padded = np.pad(waveform.samples, (0, max(0, size - len(waveform.samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)
    # No more frames than are drawn: an hour costs what a minute costs.
    stride = max(hop, len(frames) // COLUMNS)
    power = np.abs(np.fft.rfft(frames[::stride] * np.hanning(size), axis=1)) ** 2
    decibels = 10 * np.log10(np.maximum(power.T, 1e-12))
    below: NDArray[np.float32] = np.maximum(decibels - decibels.max(), FLOOR_DB).astype(np.float32)
    return below


def spectrogram_png(waveform: Waveform) -> bytes:
    """Returns the spectrogram as PNG, low frequencies at the bottom."""
    from matplotlib.image import imsave

    drawn = io.BytesIO()
    imsave(drawn, power_db(waveform), origin="lower", cmap="magma", vmin=FLOOR_DB, vmax=0.0, format="png")  # fmt: skip
    return drawn.getvalue()
