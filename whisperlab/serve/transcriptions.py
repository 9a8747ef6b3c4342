"""`POST /v1/audio/transcriptions` and `/translations`: from a request's first byte to its last.

Owns the order of things: who asks, what is asked, the sound, its turn, the answer. Everything that a
request holds (a place in the rates, bytes, a lease on the model) is given back when it ends, however
it ends; a client that goes takes its work with it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from whisperlab.audio import Waveform
from whisperlab.engine.options import Task
from whisperlab.errors import UnsupportedOptionError, WhisperlabError
from whisperlab.serve.answers import answer, logprobs, token_usage, verbose
from whisperlab.serve.body import Lease, read_form
from whisperlab.serve.events import DeltaWriter, event
from whisperlab.serve.keys import Caller
from whisperlab.serve.lane import Lane
from whisperlab.serve.messages import Reply
from whisperlab.serve.parameters import Wanted, read_parameters
from whisperlab.serve.problems import ApiError, from_error, from_failure, inference_timeout
from whisperlab.serve.queueing import Ticket
from whisperlab.serve.service import Service
from whisperlab.stopwatch import Stopwatch
from whisperlab.transcript import Finish, Segment, Transcript

CONFIGURATION_HEADER: Final = "x-whisperlab-config"
WARNING_HEADER: Final = "x-whisperlab-warning"

TIMED_STAGES: Final = (
    ("decode", ("read", "decode", "resample")),
    ("preprocess", ("preprocess",)),
    ("queue", ("queue",)),
    ("features", ("features",)),
    ("encode", ("encode",)),
    ("decode-tokens", ("decode_tokens", "detokenise")),
    ("format", ("format",)),
)
"""Names in ``Server-Timing`` and the stages of ours that each sums."""

_PARAM_OF_OPTION: Final = {
    "prompt": "prompt",
    "language": "language",
    "timestamps": "timestamp_granularities",
    "task": "model",
    "include": "include",
}


@dataclass(slots=True)
class _Exchange:
    """One request on its way: what it holds and what the answer will say beside its body."""

    scope: Scope
    receive: Receive
    send: Send
    caller: Caller
    lease: Lease
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    headers: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def all_headers(self) -> dict[str, str]:
        """Returns the headers of the answer, with the stages measured so far."""
        headers = dict(self.headers)
        timing = server_timing(self.stopwatch.seconds)
        if timing:
            headers["Server-Timing"] = timing
        if self.warnings:
            headers[WARNING_HEADER] = ", ".join(self.warnings)
        return headers

    async def start(self, media_type: str, length: int | None) -> None:
        """Sends status 200 and the headers; ``length`` ``None`` is a stream."""
        headers = self.all_headers() | {"Content-Type": media_type}
        if length is not None:
            headers["Content-Length"] = str(length)
        encoded = [(k.lower().encode(), v.encode("latin-1", "replace")) for k, v in headers.items()]
        await self.send({"type": "http.response.start", "status": 200, "headers": encoded})

    async def body(self, content: bytes, *, more: bool) -> None:
        """Sends a piece of the body; ``more`` says that it is not the last."""
        await self.send({"type": "http.response.body", "body": content, "more_body": more})


def server_timing(seconds: Mapping[str, float]) -> str:
    """Returns the value of a ``Server-Timing`` header, in milliseconds.

    >>> server_timing({"decode": 0.0125, "resample": 0.001, "queue": 0.0})
    'decode;dur=13.5, queue;dur=0.0'
    """
    parts = []
    for name, stages in TIMED_STAGES:
        known = [seconds[stage] for stage in stages if stage in seconds]
        if known:
            parts.append(f"{name};dur={sum(known) * 1000:.1f}")
    return ", ".join(parts)


class TranscriptionRoute:
    """The ASGI endpoint of one task."""

    def __init__(self, service: Service, task: Task) -> None:
        self._service = service
        self._task: Task = task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request.

        Raises:
            ApiError: with the headers of the request's stage; the guard sends it.
            ClientDisconnect: the client hung up; there is nobody to answer.
        """
        service = self._service
        request = Request(scope, receive)
        authorization = request.headers.getlist("authorization")
        caller = service.keys.identify(authorization, request.state.client_address)
        request.state.caller = caller.name
        rates = await service.rates.admit(caller)
        with (
            service.answering(),
            service.rates.in_flight(caller),
            service.budget.lease() as lease,
        ):
            exchange = _Exchange(scope, receive, send, caller, lease, headers=dict(rates))
            try:
                await self._transcribe(exchange, request)
            except ApiError as error:
                error.headers = {**exchange.all_headers(), **error.headers}
                raise

    async def _transcribe(self, exchange: _Exchange, request: Request) -> None:
        service = self._service
        form = await read_form(request, service.settings.limits, exchange.lease)
        wanted = read_parameters(
            form.fields,
            self._task,
            service.offer,
            inference_seconds=service.settings.limits.inference_seconds,
            strict_fields=service.settings.strict_fields,
        )
        exchange.scope["state"]["configuration"] = wanted.configuration.name
        known_hash = service.hash_of(wanted.configuration)
        if known_hash is not None:
            exchange.headers[CONFIGURATION_HEADER] = known_hash
        if wanted.ignored:
            exchange.warnings.append(f"ignored fields: {' '.join(map(_plain, wanted.ignored))}")
        lane = service.pool.lanes.get(wanted.configuration.name)
        if lane is not None:
            lane.check_room(exchange.caller.name)
        gone = asyncio.ensure_future(_gone(exchange.receive))
        try:
            waveform = await self._decode(exchange, wanted, form.file, gone)
            exchange.lease.drop(len(form.file))
            del form  # the sound as it was sent need not wait for its turn
            exchange.lease.hold(waveform.samples.nbytes)
            exchange.headers.update(
                await service.rates.charge(exchange.caller, waveform.duration_seconds)
            )
            async with self._ticket(exchange, wanted, waveform, gone) as (heard, wait):
                if wanted.stream:
                    await _stream(exchange, wanted, heard, wait)
                else:
                    await _answer(exchange, wanted, await wait())
        finally:
            gone.cancel()

    async def _decode(
        self, exchange: _Exchange, wanted: Wanted, encoded: bytes, gone: asyncio.Future[None]
    ) -> Waveform:
        decode = partial(self._service.decode, encoded, exchange.stopwatch, wanted.configuration)
        decoding = asyncio.ensure_future(self._service.decoding.take(exchange.caller.name, decode))
        waiting: set[asyncio.Future[Any]] = {decoding, gone}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not decoding.done():
                raise ClientDisconnect
            waveform = decoding.result()
        except WhisperlabError as error:
            raise from_error(error, "file") from error
        finally:
            decoding.cancel()
        exchange.scope["state"]["audio_seconds"] = waveform.duration_seconds
        if waveform.truncated:
            exchange.warnings.append("audio_truncated")
        return waveform

    @asynccontextmanager
    async def _ticket(
        self, exchange: _Exchange, wanted: Wanted, waveform: Waveform, gone: asyncio.Future[None]
    ) -> AsyncIterator[tuple[_Heard, Callable[[], Awaitable[Reply]]]]:
        """Gives the sound's segments as they come, and a way to wait for its reply."""
        heard = _Heard(asyncio.get_running_loop())
        with self._service.pool.lease(wanted.configuration) as lane:
            ticket = lane.submit(
                waveform,
                wanted.recipe,
                exchange.caller.name,
                heard.add if wanted.stream else None,
            )
            try:
                yield heard, partial(self._wait, exchange, lane, ticket, gone)
            finally:
                if not ticket.result.done():
                    lane.cancel(ticket)

    async def _wait(
        self,
        exchange: _Exchange,
        lane: Lane,
        ticket: Ticket,
        gone: asyncio.Future[None],
    ) -> Reply:
        """Returns the reply, unless the client goes or the sound waits too long for its turn."""
        limits = self._service.settings.limits
        result = asyncio.wrap_future(ticket.result)
        waiting: set[asyncio.Future[Any]] = {result, gone}
        first = asyncio.FIRST_COMPLETED
        done, _ = await asyncio.wait(waiting, timeout=limits.queue_seconds, return_when=first)
        if not done and ticket.started is None:
            loading = not lane.loaded.done()
            raise ApiError(
                "model_loading" if loading else "overloaded",
                "The model is still being loaded; send this again later."
                if loading
                else f"Waited {limits.queue_seconds:g} s for a turn; send this again later.",
                retry_after_seconds=limits.queue_seconds,
            )
        if not done:
            done, _ = await asyncio.wait(waiting, return_when=first)
        if result not in done:
            raise ClientDisconnect
        reply = await result
        exchange.stopwatch.add("queue", ticket.queue_seconds)
        for stage, seconds in reply.timings.items():
            exchange.stopwatch.add(stage, seconds)
        return reply


class _Heard:
    """Segments from the lane's thread, in order; ``None`` behind the last."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.queue: asyncio.Queue[Segment | None] = asyncio.Queue()

    def add(self, segment: Segment) -> None:
        with suppress(RuntimeError):  # the loop has closed: the server is gone
            self._loop.call_soon_threadsafe(self.queue.put_nowait, segment)


async def _gone(receive: Receive) -> None:
    """Returns when the client has hung up; the body has been read before."""
    while (await receive())["type"] != "http.disconnect":
        continue


def checked(reply: Reply, limit_seconds: float) -> Transcript:
    """Returns the transcript of a reply.

    Raises:
        ApiError: there is none, or it is a part of one.
    """
    if reply.timed_out:
        raise inference_timeout(limit_seconds)
    if reply.transcript is None:
        option = re.match(r"(?:decode\.|(?=include=))(\w+)", reply.message)
        param = _PARAM_OF_OPTION.get(option.group(1)) if option is not None else "file"
        raise from_failure(reply.code or "internal_error", reply.message, param)
    if reply.transcript.finish is Finish.CANCELLED:
        raise ClientDisconnect
    return reply.transcript


async def _answer(exchange: _Exchange, wanted: Wanted, reply: Reply) -> None:
    transcript = checked(reply, wanted.recipe.options.timeout_seconds or 0.0)
    if transcript.finish is Finish.TRUNCATED:
        exchange.warnings.append("text_truncated")
    with exchange.stopwatch.stage("format"):
        try:
            content, media_type = answer(reply, transcript, wanted)
        except UnsupportedOptionError as error:
            raise from_error(error, "response_format") from error
    await exchange.start(media_type, len(content))
    await exchange.body(content, more=False)


async def _stream(
    exchange: _Exchange,
    wanted: Wanted,
    heard: _Heard,
    wait: Callable[[], Awaitable[Reply]],
) -> None:
    """Sends deltas while the engine decodes, then the whole text.

    Until the first delta an error is an ordinary answer; after it, an event.
    """
    reply_task = asyncio.ensure_future(wait())
    reply_task.add_done_callback(lambda _: heard.queue.put_nowait(None))
    writer = DeltaWriter()
    begun = False
    try:
        while (segment := await heard.queue.get()) is not None:
            delta = writer.add(segment.text)
            if not delta:
                continue
            if not begun:
                await exchange.start("text/event-stream; charset=utf-8", None)
                begun = True
            await exchange.body(event({"type": "transcript.text.delta", "delta": delta}), more=True)
        reply = await reply_task
        transcript = checked(reply, wanted.recipe.options.timeout_seconds or 0.0)
    except ApiError as error:
        if not begun:
            raise
        exchange.scope["state"]["code"] = error.code  # the status is out already
        await exchange.body(event(error.body()), more=False)
        return
    finally:
        reply_task.cancel()
    if not begun:
        await exchange.start("text/event-stream; charset=utf-8", None)
    rest = writer.finish(transcript.text)
    if rest:
        await exchange.body(event({"type": "transcript.text.delta", "delta": rest}), more=True)
    await exchange.body(event(_last_event(reply, transcript, wanted)), more=False)


def _last_event(reply: Reply, transcript: Transcript, wanted: Wanted) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "transcript.text.done"}
    if wanted.response_format == "verbose_json":
        content |= verbose(reply, transcript, wanted)
    content["text"] = transcript.text
    if wanted.recipe.spell:
        content["logprobs"] = logprobs(reply.tokens)
    content["usage"] = token_usage(reply, transcript)
    return content


def _plain(name: str) -> str:
    """Returns a field's name fit for a header."""
    return re.sub(r"[^\w\[\].-]", "?", name, flags=re.ASCII)[:40]
