"""What the tabs ask of the server: sounds through the sandboxed door, transcripts through the pool.

Owns the way from a tab's inputs to a Reply, with the same parameters, checks and models as the HTTP
routes. Its errors are sentences for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, Final

import gradio as gr
from anyio import from_thread

from whisperlab.app.layout import choice, status_line
from whisperlab.audio import AudioLimits, Waveform
from whisperlab.engine.options import Task
from whisperlab.errors import WhisperlabError
from whisperlab.report.markup import Markup, element, joined
from whisperlab.serve.configurations import Configuration
from whisperlab.serve.keys import Caller
from whisperlab.serve.lane import Lane
from whisperlab.serve.messages import Reply
from whisperlab.serve.parameters import Wanted, read_parameters
from whisperlab.serve.problems import ApiError, draining, from_error
from whisperlab.serve.queueing import Ticket
from whisperlab.serve.service import Service
from whisperlab.serve.transcriptions import checked
from whisperlab.stopwatch import Stopwatch
from whisperlab.transcript import Segment, Transcript

MAX_BEGUN: Final = 16
"""Decodings that live recordings have under way at a time, over all browsers."""


TICK_SECONDS: Final = 0.25
"""How often an action that waits can be stopped: a generator of Gradio's only between its yields."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing new yet: what goes on, and for how long."""

    doing: str
    seconds: float

    def by(self, name: str) -> Waiting:
        """Returns the same with the configuration's name before it."""
        return Waiting(f"{name}: {self.doing[0].lower()}{self.doing[1:]}", self.seconds)

    @property
    def shown(self) -> str:
        """The state line; the seconds are not read out each time that they change."""
        so_far = element("div", f"{self.seconds:.0f} s so far", class_="wl-status")
        return joined(Markup(status_line(f"{self.doing} ...")), so_far)


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
            ConfigError: another configuration has that name, it cannot be built, or it is a run's
                that was measured on another kind of device.
        """
        _ = configuration.transcriber  # every value is checked before anybody can choose it
        kind = self.service.pool.kind
        if kind is not None or not configuration.chooses_device:
            configuration.check_measured(kind)
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

    @contextmanager
    def turn(self, request: gr.Request) -> Iterator[Caller]:
        """One action of a caller: counted in the rates, holding one of the caller's places.

        To be entered in a thread of Gradio's: the rates live on the event loop.

        Raises:
            ApiError: the caller asks for too much, or the server is shutting down.
        """
        if self.service.draining:
            raise draining()
        caller: Caller = request.state.page_caller  # the door has set it
        from_thread.run(self.service.rates.admit, caller)
        with self.service.rates.in_flight(caller):
            yield caller

    def charge(self, caller: Caller, audio_seconds: float) -> None:
        """Counts sound in the caller's rate.

        Raises:
            ApiError: it is too much for this minute.
        """
        from_thread.run(self.service.rates.charge, caller, audio_seconds)

    def sound(
        self,
        path: str | Path,
        configuration: Configuration,
        caller: Caller,
        stopwatch: Stopwatch | None = None,
    ) -> Waveform:
        """Returns the sound of an uploaded file as ``configuration`` takes it, and charges for it.

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
        waveform = self.sound_of(Path(path).read_bytes(), configuration, stopwatch)
        self.charge(caller, waveform.duration_seconds)
        return waveform

    def sounds(
        self,
        path: str | Path,
        configurations: Sequence[Configuration],
        caller: Caller,
        stopwatch: Stopwatch,
    ) -> list[Waveform]:
        """Returns the sound of an uploaded file for each configuration, decoded once for equal limits.

        Raises:
            ApiError: one of them does not take it; the message is a sentence.
        """
        decoded: dict[AudioLimits, Waveform] = {}
        found = []
        for configuration in configurations:
            limits = self.service.audio_limits(configuration)
            if limits not in decoded:
                decoded[limits] = self.sound(path, configuration, caller, stopwatch)
            found.append(decoded[limits])
        return found

    def sound_of(
        self, encoded: bytes, configuration: Configuration, stopwatch: Stopwatch | None = None
    ) -> Waveform:
        """Returns the sound of encoded bytes, decoded in a sandboxed process.

        Raises:
            ApiError: the sound was refused.
        """
        try:
            return self.service.decode(encoded, stopwatch or Stopwatch(), configuration)
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
        self,
        waveform: Waveform,
        wanted: Wanted,
        caller: Caller,
        stopwatch: Stopwatch | None = None,
    ) -> Iterator[Segment | Waiting | Heard]:
        """Yields final segments as they are decoded, then what was heard; a tick in between.

        Closing the iterator stops the work within one decode step.

        Raises:
            ApiError: the sound could not be transcribed; the message is a sentence.
        """
        events: SimpleQueue[Segment | None] = SimpleQueue()
        watch = stopwatch or Stopwatch()
        began = perf_counter()
        with self.service.pool.lease(wanted.configuration) as lane:
            ticket = lane.submit(waveform, wanted.recipe, caller.name, events.put)
            ticket.result.add_done_callback(lambda _: events.put(None))
            try:
                yield from self._events(events, lane, ticket, began)
                reply = ticket.result.result()
            finally:
                if not ticket.result.done():
                    lane.cancel(ticket)
        transcript = checked(reply, wanted.recipe.options.timeout_seconds or 0.0)
        watch.add("queue", ticket.queue_seconds)
        for stage, seconds in reply.timings.items():
            watch.add(stage, seconds)
        yield Heard(transcript, reply, dict(watch.seconds))

    def _events(
        self, events: SimpleQueue[Segment | None], lane: Lane, ticket: Ticket, began: float
    ) -> Iterator[Segment | Waiting]:
        """Yields segments and ticks until the ticket's reply is there."""
        most = self.service.settings.limits.queue_seconds
        loaded = began
        while True:
            try:
                segment = events.get(timeout=TICK_SECONDS)
            except Empty:
                now = perf_counter()
                if not lane.loaded.done():
                    loaded = now
                    yield Waiting("The model is being loaded", now - began)
                elif ticket.started is not None:
                    yield Waiting("Decoding", now - began)
                elif now - loaded > most:
                    text = f"Waited {most:g} s for a turn; send this again later."
                    raise ApiError("overloaded", text) from None
                else:
                    yield Waiting("Waiting for a turn", now - began)
            else:
                if segment is None:
                    return
                yield segment

    def transcribe(
        self,
        waveform: Waveform,
        wanted: Wanted,
        caller: Caller,
        stopwatch: Stopwatch | None = None,
    ) -> Heard:
        """Returns what was heard, once it is complete.

        Raises:
            ApiError: the sound could not be transcribed.
        """
        heard = [one for one in self.hear(waveform, wanted, caller, stopwatch) if isinstance(one, Heard)]  # fmt: skip
        if not heard:
            raise ApiError("internal_error", "The transcription ended without a result.")
        return heard[0]

    def load(self, name: str) -> None:
        """Begins to load a configuration unless it is in memory.

        Raises:
            ApiError: it is not offered, or cannot be loaded.
        """
        (configuration,) = self.find([name])
        with self.service.pool.lease(configuration):
            """Who leases first begins the load; it goes on without them."""

    def begin(self, encoded: bytes, wanted: Wanted, caller: Caller) -> Future[Heard]:
        """Returns what will be heard in encoded bytes; its result raises ApiError."""

        def hear() -> Heard:
            waveform = self.sound_of(encoded, wanted.configuration)
            return self.transcribe(waveform, wanted, caller)

        return self._work.submit(hear)
