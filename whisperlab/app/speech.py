"""What the tabs ask of the server: sounds through the sandboxed door, transcripts through the pool.

Owns the way from a tab's inputs to a Reply, with the same parameters, checks and models as the HTTP
routes. Its errors are sentences for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import gradio as gr

from whisperlab.audio import Waveform
from whisperlab.engine.options import Task
from whisperlab.errors import WhisperlabError
from whisperlab.serve.configurations import Configuration
from whisperlab.serve.parameters import Wanted, read_parameters
from whisperlab.serve.problems import ApiError, from_error
from whisperlab.serve.service import Service
from whisperlab.serve.transcriptions import checked
from whisperlab.serve.worker import Reply
from whisperlab.stopwatch import Stopwatch
from whisperlab.transcript import Segment, Transcript

MAX_BEGUN: Final = 16
"""Decodings that live recordings have under way at a time, over all browsers."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A transcript and what it took: seconds by stage, the door's and the queue's included."""

    transcript: Transcript
    reply: Reply
    timings: Mapping[str, float]


class Speech:
    """The tabs' access to one Service; every method may be called from any thread."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._work = ThreadPoolExecutor(MAX_BEGUN, thread_name_prefix="page")
        self.choosers: list[gr.Dropdown] = []

    @property
    def names(self) -> list[str]:
        """The configurations that can be chosen, the default one first."""
        return [configuration.name for configuration in self.service.offer]

    def chooser(self, *, value: str | list[str], label: str, **settings: Any) -> gr.Dropdown:
        """Returns a dropdown of the configurations, which knows those that are added later."""
        many = isinstance(value, list)
        dropdown = choice(self.names, value=value, multiselect=many, label=label, **settings)
        self.choosers.append(dropdown)
        return dropdown

    def offer(self, configuration: Configuration) -> None:
        """Offers one more configuration in every tab and by the API, from now on.

        Raises:
            ConfigError: another configuration has that name, or it cannot be built.
        """
        _ = configuration.transcriber  # every value is checked before anybody can choose it
        self.service.offer.add(configuration)
        self.service.metrics.add_configuration(configuration.name)

    def chosen_anew(self) -> list[dict[str, Any]]:
        """Returns what makes every chooser show the configurations of this moment."""
        return [gr.update(choices=self.names) for _ in self.choosers]

    def find(self, names: Any) -> list[Configuration]:
        """Returns the configurations of these names, each once.

        Raises:
            ApiError: there is none, or one of them is not offered.
        """
        found = []
        for name in names if isinstance(names, list) else ():
            configuration = self.service.offer.find(name) if isinstance(name, str) else None
            if configuration is None:
                expected = ", ".join(self.names)
                raise ApiError("model_not_found", f"Expected configurations of: {expected}.")
            if configuration not in found:
                found.append(configuration)
        if not found:
            raise ApiError("invalid_value", "Choose at least one configuration.")
        return found

    def sound(self, path: str | Path, stopwatch: Stopwatch | None = None) -> Waveform:
        """Returns the sound of an uploaded file, decoded in a sandboxed process.

        Raises:
            ApiError: the sound was refused; the message is a sentence.
        """
        limit = self.service.settings.limits.max_file_bytes
        size = Path(path).stat().st_size
        if size > limit:
            raise ApiError(
                "file_too_large",
                f"Maximum content size limit ({limit}) exceeded ({size} bytes read)",
                "file",
            )
        return self.sound_of(Path(path).read_bytes(), stopwatch)

    def sound_of(self, encoded: bytes, stopwatch: Stopwatch | None = None) -> Waveform:
        """Returns the sound of encoded bytes, decoded in a sandboxed process.

        Raises:
            ApiError: the sound was refused.
        """
        try:
            return self.service.decode(encoded, stopwatch or Stopwatch())
        except WhisperlabError as error:
            raise from_error(error, "file") from error

    def wanted(
        self, name: str, task: Task = "transcribe", **fields: str | Sequence[str] | None
    ) -> Wanted:
        """Returns what a tab asks for; ``fields`` are the HTTP parameters of the same names.

        Raises:
            ApiError: naming the parameter that is wrong or not to be had.
        """
        given: dict[str, Sequence[str]] = {
            "model": (name,),
            "response_format": ("verbose_json",),
        }
        for key, value in fields.items():
            if value:
                given[key] = (value,) if isinstance(value, str) else tuple(value)
        limits = self.service.settings.limits
        return read_parameters(
            given,
            task,
            self.service.offer,
            inference_seconds=limits.inference_seconds,
            strict_fields=True,
        )

    def hear(
        self, waveform: Waveform, wanted: Wanted, caller: str, stopwatch: Stopwatch | None = None
    ) -> Iterator[Segment | Heard]:
        """Yields final segments as they are decoded, then what was heard.

        Closing the iterator stops the work within one decode step.

        Raises:
            ApiError: the sound could not be transcribed; the message is a sentence.
        """
        events: SimpleQueue[Segment | None] = SimpleQueue()
        watch = stopwatch or Stopwatch()
        with self.service.pool.lease(wanted.configuration) as lane:
            ticket = lane.submit(waveform, wanted.recipe, caller, events.put)
            ticket.result.add_done_callback(lambda _: events.put(None))
            try:
                while (segment := events.get()) is not None:
                    yield segment
                reply = ticket.result.result()
            finally:
                if not ticket.result.done():
                    lane.cancel(ticket)
        transcript = checked(reply, wanted.recipe.options.timeout_seconds or 0.0)
        watch.add("queue", ticket.queue_seconds)
        for stage, seconds in reply.timings.items():
            watch.add(stage, seconds)
        yield Heard(transcript, reply, dict(watch.seconds))

    def transcribe(
        self, waveform: Waveform, wanted: Wanted, caller: str, stopwatch: Stopwatch | None = None
    ) -> Heard:
        """Returns what was heard, once it is complete.

        Raises:
            ApiError: the sound could not be transcribed.
        """
        heard = [one for one in self.hear(waveform, wanted, caller, stopwatch)]
        last = heard[-1]
        if not isinstance(last, Heard):
            raise ApiError("internal_error", "The transcription ended without a result.")
        return last

    def begin(self, encoded: bytes, wanted: Wanted, caller: str) -> Future[Heard]:
        """Returns what will be heard in encoded bytes; its result raises ApiError."""
        return self._work.submit(lambda: self.transcribe(self.sound_of(encoded), wanted, caller))


def choice(names: Sequence[str], **settings: Any) -> gr.Dropdown:
    """Returns a dropdown that leaves refusing to the endpoint: by a sentence, without a traceback."""
    return gr.Dropdown(list(names), allow_custom_value=True, **settings)


def sentence(error: ApiError) -> gr.Error:
    """Returns the error as the page shows it: its message, no traceback anywhere."""
    return gr.Error(error.message, print_exception=False)


def caller_of(request: gr.Request) -> str:
    """Returns who is asking, for fairness: a browser's session, or a program's."""
    return f"page {request.session_hash or 'api'}"


def status_line(text: str) -> str:
    """Returns a line that says how things stand, announced to screen readers."""
    return f'<div class="wl-status" role="status">{text}</div>'
