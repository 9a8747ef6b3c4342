"""Requests to an OpenAI-compatible server: side by side, asked again where worth it, timed.

Owns what is asked of a server, how often, and how long it took. ``remote_wire.py`` knows what sound
and answers look like on the wire, ``remote_failure.py`` what a refusal means.

The seconds of the request that was answered are the stage ``remote``; those of tries that failed
before it, with the waiting between them, are the stage ``retry_wait``, which no latency contains.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import openai

from whisperlab.audio import SAMPLE_RATE_HZ, Waveform
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import RowsFailedError, Watch
from whisperlab.engine.remote_failure import failure, retry_seconds
from whisperlab.engine.remote_wire import packed, read_answer
from whisperlab.errors import (
    AudioError,
    ConfigError,
    InferenceError,
    ModelError,
    UnsupportedOptionError,
    WhisperlabError,
)
from whisperlab.transcript import RETRY_WAIT, Finish, Transcript

if TYPE_CHECKING:
    from whisperlab.engine.remote import RemoteSettings

POLL_SECONDS: Final = 0.02
"""How often the watch is asked while answers are awaited."""
STOP_SECONDS: Final = 2.0
"""How long connections may take to close when the engine is given up."""
TRUNCATED: Final = ("x-whisperlab-warning", "text_truncated")
"""The header and the word by which our own server says that the token cap cut a text."""

_logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class _Answered(Generic[Answer]):
    """What a server gave, the seconds of that request, and those spent on tries before it."""

    answer: Answer
    seconds: float
    waited_seconds: float


class RemoteEngine:
    """Sends the sounds of a batch side by side; ``timeout_seconds`` reaches it through the watch.

    A cancelled row's connection is closed, which tells the server to stop. ``retried_requests``
    counts the requests that were sent again since loading.
    """

    sample_rate = SAMPLE_RATE_HZ

    def __init__(
        self, settings: RemoteSettings, client: openai.AsyncOpenAI, key: str | None
    ) -> None:
        self.retried_requests = 0
        self._settings = settings
        self._client = client
        self._key = key
        # A loop of our own, in a thread of its own: a notebook's loop is already running.
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_run, args=(self._loop, client), daemon=True)
        thread.start()
        weakref.finalize(self, _stop, self._loop, thread)
        self._places = asyncio.Semaphore(settings.concurrency)

    def look_for_model(self) -> None:
        """Asks for the model's description; a server without that route is taken at its word later.

        Raises:
            ModelError: the server cannot be reached, refuses the key or has no such model.
        """

        async def retrieve() -> None:
            await self._client.models.retrieve(
                self._settings.model.name, extra_headers=self._headers()
            )

        try:
            asyncio.run_coroutine_threadsafe(self._persist(retrieve), self._loop).result()
        except ModelError as error:
            if error.code != "http_404":  # no such route, which says nothing of the model
                raise
        except (InferenceError, UnsupportedOptionError) as error:
            if not isinstance(error.__cause__, openai.APIStatusError):
                raise ModelError(str(error), code="server_unreachable") from error

    def transcribe(
        self, batch: Sequence[Waveform], options: DecodeOptions, watch: Watch
    ) -> list[Transcript]:
        """Returns one transcript a waveform, in order.

        Raises:
            UnsupportedOptionError: an option cannot be honoured, or the server says so.
            AudioError: ``invalid_sample_rate`` for sound that is not at 16 kHz.
            ModelError: the server refuses the key or does not have the model.
            RowsFailedError: some rows failed; it holds what became of each.
        """
        self._settings.check(options)
        for waveform in batch:
            if waveform.sample_rate != self.sample_rate:
                raise AudioError(
                    f"expected {self.sample_rate} Hz, got {waveform.sample_rate} Hz; resample first",
                    code="invalid_sample_rate",
                )
        futures = [
            asyncio.run_coroutine_threadsafe(self._ask(waveform, options), self._loop)
            for waveform in batch
        ]
        try:
            results = _gather(futures, watch)
        finally:
            for future in futures:
                future.cancel()
        transcripts = [result for result in results if isinstance(result, Transcript)]
        if len(transcripts) < len(results):
            raise RowsFailedError(results)
        return transcripts

    async def _ask(self, waveform: Waveform, options: DecodeOptions) -> Transcript:
        audio = self._client.audio
        route = audio.translations if options.task == "translate" else audio.transcriptions
        create: Callable[..., Awaitable[Any]] = route.with_raw_response.create
        async with self._places:
            started = perf_counter()
            sound = packed(waveform, self._settings.sample_format)
            pack_seconds = perf_counter() - started
            given = await self._persist(
                lambda: create(
                    file=sound, extra_headers=self._headers(), **self._parameters(options)
                )
            )
        transcript = read_answer(given.answer.text, waveform.duration_seconds, options)
        header, word = TRUNCATED
        if word in given.answer.headers.get(header, ""):
            transcript = replace(transcript, finish=Finish.TRUNCATED)
        return replace(
            transcript,
            stages={
                "pack": pack_seconds,
                "remote": given.seconds,
                RETRY_WAIT: given.waited_seconds,
            },
        )

    def _parameters(self, options: DecodeOptions) -> dict[str, Any]:
        """Returns the parameters of a request; what stands at our default is the server's to choose."""
        settings = self._settings
        parameters: dict[str, Any] = {
            "model": settings.model.name,
            "response_format": settings.response_format,
        }
        if options.language is not None:
            parameters["language"] = options.language
        if options.prompt is not None:
            parameters["prompt"] = options.prompt
        if options.temperatures != DecodeOptions().temperatures:
            parameters["temperature"] = options.temperatures[0]
        if options.timestamps == "word":
            parameters["timestamp_granularities"] = ["segment", "word"]
        if settings.include:
            parameters["include"] = list(settings.include)
        return parameters

    def _headers(self) -> dict[str, Any]:
        return {} if self._key else {"Authorization": openai.Omit()}

    async def _persist(self, send: Callable[[], Awaitable[Answer]]) -> _Answered[Answer]:
        """Returns the server's answer, asking again where that is worth it.

        Raises:
            WhisperlabError: the last refusal, typed.
        """
        began = perf_counter()
        retry = 0
        while True:
            started = perf_counter()
            try:
                async with asyncio.timeout(self._settings.request_seconds):
                    answer = await send()
            except (openai.APIError, TimeoutError) as error:
                pause = retry_seconds(error, retry)
                if pause is None or retry == self._settings.retries:
                    raise failure(error, self._key, self._settings) from error
            else:
                return _Answered(answer, perf_counter() - started, started - began)
            retry += 1
            self.retried_requests += 1
            event = {"seconds": round(pause, 3), "retry": retry}
            _logger.info("request is sent again", extra={"fields": event})
            await asyncio.sleep(pause)


def _gather(
    futures: Sequence[Future[Transcript]], watch: Watch
) -> list[Transcript | WhisperlabError]:
    """Returns what became of each row; hands over segments as answers come, asks who should stop.

    Raises:
        ConfigError, ModelError: as soon as one row meets them, for they hold for all.
    """
    rows = {future: index for index, future in enumerate(futures)}
    results: dict[int, Transcript | WhisperlabError] = {}
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            index = rows[future]
            try:
                transcript = future.result()
            except CancelledError:
                results[index] = Transcript("", finish=Finish.CANCELLED)
            except (ConfigError, ModelError):
                raise
            except WhisperlabError as error:
                results[index] = error
            else:
                results[index] = transcript
                for segment in transcript.segments:
                    watch.segment(index, segment, final=True)
        for future in pending:
            if watch.cancelled(rows[future]):
                future.cancel()
    return [results[index] for index in range(len(futures))]


def _run(loop: asyncio.AbstractEventLoop, client: openai.AsyncOpenAI) -> None:
    """Runs the loop until it is stopped, then closes the connections and the loop."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(client.close())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    if threading.current_thread() is not thread:  # the collector may run in any thread
        thread.join(STOP_SECONDS)
