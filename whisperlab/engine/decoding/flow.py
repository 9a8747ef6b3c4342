"""Many sounds through one running batch: a row that ends makes room for the next window at once.

Owns whose wish is served when: which windows are encoded together, which texts are written side by
side, and each row's share of the time. It does not know what a row wishes for or why.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import Protocol, TypeVar

import numpy as np

from whisperlab.engine.decoding import beams
from whisperlab.engine.decoding.language import detect_languages
from whisperlab.engine.decoding.network import Manner, Network, WritingNetwork
from whisperlab.engine.decoding.rules import Rules
from whisperlab.engine.decoding.sequential import (
    Hear,
    Listener,
    Plan,
    Row,
    Sound,
    Wish,
    listen,
    poll,
)
from whisperlab.engine.decoding.single import Batch, Writing

FREE_SHARE = 16
"""Windows are encoded when one row in so many is free: a GPU's encoder wants several at a time."""

NOTHING = np.zeros((0, 0), np.float32)
"""The features of a sound that is done."""

Kind = TypeVar("Kind", Hear, Writing)


def transcribe(
    network: Network | WritingNetwork,
    sounds: Sequence[Sound],
    plan: Plan,
    listener: Listener,
    n_rows: int | None = None,
    arrivals: Callable[[], Sequence[Sound]] = tuple,
) -> None:
    """Decodes sounds, at most ``n_rows`` at a time, and those that ``arrivals`` gives between steps.

    Where not all fit at once the longest go first, so that the last rows end together. A sound that
    had to wait, or that arrived, is asked for cancelling before it begins.
    """
    room = n_rows or sys.maxsize
    waiting = deque(enumerate(sounds))
    if len(sounds) > room:
        waiting = deque(sorted(waiting, key=lambda one: -one[1].sound_frames))
    flow = _Flow(network, plan, listener)
    numbers, begun = count(len(sounds)), 0
    while True:
        waiting.extend((next(numbers), sound) for sound in arrivals())
        if not waiting and not flow.active:
            return
        while waiting and len(flow.active) < room:
            number, sound = waiting.popleft()
            flow.admit(number, sound, late=begun >= room or number >= len(sounds))
            begun += 1
        flow.hear()
        flow.write()


@dataclass(slots=True)
class _Active:
    """A sound on its way, and what it waits for."""

    row: Row
    script: Generator[Wish, None, None]
    wish: Wish | None = None


class _Flow:
    """The sounds on their way through one network."""

    def __init__(self, network: Network | WritingNetwork, plan: Plan, listener: Listener) -> None:
        self.active: list[_Active] = []
        self._network = network
        self._plan = plan
        self._listener = listener
        self._width = 0
        self._pen: _Pen = (
            _Dictating(network, plan)
            if isinstance(network, WritingNetwork)
            else _Writing(network, plan)
        )

    def admit(self, number: int, sound: Sound, *, late: bool) -> None:
        """Begins a sound."""
        started = perf_counter()
        features = sound.features()
        own = min(sound.sound_frames, features.shape[1])
        condition = self._plan.condition
        timed = sound.timestamps
        row = Row(number, own, features, sound.widen, timed, started, condition=condition)
        row.stages.features = perf_counter() - started
        if late:
            poll(row, self._listener)
        one = _Active(row, listen(row, self._plan, self._listener, self._network))
        self.active.append(one)
        self._resume(one)

    def hear(self) -> None:
        """Encodes the windows that are wished for, where they can lie beside the present ones."""
        waiting = self._wishing(Hear)
        holding = self._wishing(Writing)
        if waiting and not holding:
            self._width = waiting[0][1].window.shape[1]
        suiting = [one for one in waiting if one[1].window.shape[1] == self._width]
        if not suiting or (holding and len(suiting) * FREE_SHARE < len(self.active)):
            return
        started = perf_counter()
        kept = [writing.start.heard for _, writing in holding]
        numbers = self._network.hear([hear.window for _, hear in suiting], kept)
        encoded = perf_counter()
        for (_, hear), number in zip(suiting, numbers, strict=True):
            hear.heard = number
        unknown = [hear for _, hear in suiting if hear.detect]
        found = self._pen.languages([hear.heard for hear in unknown]) if unknown else None
        for hear, language in zip(unknown, found or (), strict=False):
            hear.language = language
        detected = perf_counter()
        for one, _ in suiting:
            one.row.stages.encode += (encoded - started) / len(suiting)
            one.row.stages.decode += (detected - encoded) / len(suiting)
            self._resume(one)

    def write(self) -> None:
        """Goes on with the texts that are wished for, and with the rows whose text is done."""
        holding = self._wishing(Writing)
        if not holding:
            return
        started = perf_counter()
        self._pen.write([writing for _, writing in holding])
        share = (perf_counter() - started) / len(holding)
        for one, writing in holding:
            one.row.stages.decode += share
            if writing.text is not None:
                self._resume(one)

    def _wishing(self, kind: type[Kind]) -> list[tuple[_Active, Kind]]:
        return [(one, one.wish) for one in self.active if isinstance(one.wish, kind)]

    def _resume(self, one: _Active) -> None:
        started = perf_counter()
        one.wish = next(one.script, None)
        one.row.stages.decode += perf_counter() - started
        if one.wish is None:
            self.active.remove(one)
            one.row.features = NOTHING
            self._listener.on_end(one.row)


class _Pen(Protocol):
    """What writes the texts of the rows that are on their way."""

    def languages(self, heard: Sequence[int]) -> list[int] | None:
        """Returns the language of each window."""
        ...

    def write(self, writings: Sequence[Writing]) -> None:
        """Brings the texts on: all by a token, or some to their end."""
        ...


class _Writing:
    """Writes by our rules: beams of one batch from beginning to end, other texts in a running batch."""

    def __init__(self, network: Network, plan: Plan) -> None:
        vocabulary = plan.vocabulary
        self._network = network
        self._vocabulary = vocabulary
        self._rules = {timed: Rules(vocabulary, timestamps=timed) for timed in (False, True)}
        self._contest = beams.BeamRules(
            plan.n_beams, vocabulary.end, vocabulary.length_penalty, vocabulary.early_stopping
        )
        self._batch = Batch(network, self._rules, vocabulary.end)

    def languages(self, heard: Sequence[int]) -> list[int] | None:
        return self._batch.detect_languages(self._vocabulary, heard)

    def write(self, writings: Sequence[Writing]) -> None:
        single = [one for one in writings if self._contest.n_beams == 1 or one.temperature > 0]
        new = [one for one in single if not one.tokens]
        if new:
            self._batch.join(_alike(new))
        elif single:
            self._batch.step()
        else:
            self._search(_alike(writings))

    def _search(self, writings: Sequence[Writing]) -> None:
        starts = [one.start for one in writings]
        texts = beams.decode(
            self._network,
            starts,
            self._rules[writings[0].timestamps],
            self._contest,
            lambda position: writings[position].is_stopped(),
        )
        for writing, text in zip(writings, texts, strict=True):
            writing.text = text


def _alike(writings: Sequence[Writing]) -> list[Writing]:
    """Returns those that can begin together: with timestamps, or without, as the first."""
    return [one for one in writings if one.timestamps == writings[0].timestamps]


class _Dictating:
    """Leaves whole texts to a network that writes by itself, those of one temperature at a time."""

    def __init__(self, network: WritingNetwork, plan: Plan) -> None:
        self._network = network
        self._plan = plan

    def languages(self, heard: Sequence[int]) -> list[int] | None:
        return detect_languages(self._network.begin, self._plan.vocabulary, heard)

    def write(self, writings: Sequence[Writing]) -> None:
        number = min(one.try_number for one in writings)
        some = _alike([one for one in writings if one.try_number == number])
        manner = Manner(self._plan.n_beams, some[0].temperature, self._plan.seed + number)
        for writing, text in zip(
            some, self._network.write([one.start for one in some], manner), strict=True
        ):
            writing.text = text
            writing.is_stopped()
