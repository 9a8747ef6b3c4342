"""Whisper on torch with a fixed memory: windows in, logits out, rows that come and go.

Owns the buffers of windows and texts, where each row lies in them, and on a GPU the recorded graphs
of a step. It does not know which token is chosen.

A row's keys and values stay where they are while it is written; a row that ended is overwritten by
a new one, or by the last, so that a batch that shrinks copies one row and not all. On a GPU a step
of one token is recorded once for each number of rows and played back, which takes the launching of
some hundred kernels out of every token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor

from whisperlab.engine import torch_choice
from whisperlab.engine.decoding.network import (
    NEW,
    Beginning,
    Choice,
    Features,
    Floats,
    free_numbers,
)
from whisperlab.engine.decoding.rules import Ban, Rules
from whisperlab.engine.torch_features import to_device
from whisperlab.engine.torch_layers import Decoder, Encoder, Format
from whisperlab.engine.whisper_shape import Shape
from whisperlab.engine.whisper_weights import Weights

ENCODED_TOGETHER: Final = {"cpu": 1, "cuda": 32, "mps": 4}
"""Windows in one pass of the encoder: a processor's cache holds one, a GPU is full with some."""

FREE: Final = -1
"""The number of no window."""

SMALLEST_BETWEEN: Final = 8
"""Above this many windows there are two recorded sizes for each doubling."""

FEWEST_PLACES: Final = 64
"""A recorded step looks at so many places of each text, or at twice as many, and so on."""


@dataclass(slots=True)
class _Texts:
    """The texts being written: which window each heard, and how many tokens it holds."""

    heard: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Inputs:
    """What a step of the decoder reads beside its memory."""

    ids: Tensor
    """Shape ``(n_rows, n_tokens)``."""
    at: Tensor
    """Shape ``(n_rows, n_tokens)``: the positions, where keys and values are written as well."""
    mask: Tensor
    """Shape ``(n_rows, 1, n_tokens, n_places)``: what may be looked at."""

    def copy_from(self, other: _Inputs) -> None:
        self.ids.copy_(other.ids)
        self.at.copy_(other.at)
        self.mask.copy_(other.mask)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A step of one size: the tensors that it reads, the logits that it leaves."""

    inputs: _Inputs
    logits: Tensor
    replay: Callable[[], None]


class TorchNetwork:
    """See ``engine/decoding/network.py`` for what the methods promise."""

    def __init__(
        self, weights: Weights, shape: Shape, to: Format, heads: Sequence[tuple[int, int]]
    ) -> None:
        self._shape = shape
        self._format = to
        self._heads = list(heads)
        self._encoder = Encoder(weights, shape, to)
        self._decoder = Decoder(weights, shape, to)
        self._windows = torch.empty(0)
        """Shape ``(layers, 2, n_windows, heads, n_positions, head_width)``."""
        self._own = torch.empty(0)
        """Shape ``(layers, 2, n_rows, heads, n_places, head_width)``."""
        self._slots: list[int] = []
        """The window that lies in each slot of the memory, or `FREE`."""
        self._texts = _Texts()
        self._records = to.device.type == "cuda"
        self._recorded: dict[tuple[int, int, int], _Recorded] = {}
        """By rows, windows and places."""

    @torch.inference_mode()
    def hear(self, windows: Sequence[Features], kept: Sequence[int] = ()) -> list[int]:
        """Encodes the windows, some at a time, into free slots of the decoder's memory."""
        numbers = free_numbers(len(windows), kept)
        self._make_window_room(len(windows) + len(kept), windows[0].shape[-1] // 2, kept)
        free = [slot for slot, number in enumerate(self._slots) if number not in kept]
        together = ENCODED_TOGETHER[self._format.device.type]
        for first in range(0, len(windows), together):
            batch = torch.stack(
                [torch.as_tensor(window) for window in windows[first : first + together]]
            )
            encoded = self._encoder(self._moved(batch).to(self._format.dtype))
            slots = self._moved(torch.tensor(free[first : first + len(batch)]))
            for number, layer in enumerate(self._decoder.layers):
                for kind, part in enumerate(layer.heard(encoded)):
                    self._windows[number, kind].index_copy_(0, slots, part)
        for slot, window in zip(free, [*numbers, *[FREE] * len(free)], strict=False):
            self._slots[slot] = window
        if self._format.device.type == "cuda":
            torch.cuda.synchronize()  # else a GPU's encoder would be counted as decoding
        return numbers

    @torch.inference_mode()
    def begin(
        self,
        heard: Sequence[int],
        prompts: Sequence[Sequence[int]],
        from_end: int,
        beside: Sequence[int] = (),
    ) -> Beginning:
        """Feeds the prompts, the shorter ones padded at their right."""
        sources = list(beside) or [NEW] * len(prompts)
        before = self._texts if beside else _Texts()
        joining = iter(zip(heard, map(len, prompts), strict=True))
        rows = [
            next(joining) if source == NEW else (before.heard[source], before.lengths[source])
            for source in sources
        ]
        running = [place for place, source in enumerate(sources) if source != NEW]
        if self._rounded(len(sources)) > self._capacity():
            self._make_own_room(sources, before)
        else:
            self._move([(place, sources[place]) for place in running], before)
        self._texts = _Texts([window for window, _ in rows], [length for _, length in rows])
        new = [place for place, source in enumerate(sources) if source == NEW]
        ids = [list(prompt) for prompt in prompts]
        longest = max(map(len, ids))
        padded = torch.tensor([prompt + [0] * (longest - len(prompt)) for prompt in ids])
        at = torch.arange(longest).expand(len(new), longest)
        lengths = torch.tensor([len(prompt) for prompt in ids])
        read = torch.stack((lengths - from_end, lengths - 1), 1)
        logits = self._prompted(self._inputs(padded, at, longest), new, self._moved(read))
        return Beginning(logits[:, 0], logits[:, 1])

    def _prompted(self, inputs: _Inputs, rows: Sequence[int], read: Tensor) -> Floats:
        """Returns logits ``(n_rows, n_read, vocabulary)`` of the new ``rows``, and remembers them."""
        slots = [self._slots.index(self._texts.heard[row]) for row in rows]
        own = self._memory(len(rows), inputs.at.shape[1])
        windows = self._windows[:, :, slots[0] : slots[0] + len(rows)]
        if slots != list(range(slots[0], slots[0] + len(rows))):
            windows = self._windows[:, :, self._moved(torch.tensor(slots))]
        logits = self._pass(inputs, own, windows, read)
        places = self._moved(torch.tensor(list(rows)))
        self._own[:, :, :, :, : own.shape[4]].index_copy_(2, places, own)
        return np.asarray(logits.cpu().numpy())

    @torch.inference_mode()
    def step(self, tokens: Sequence[int], sources: Sequence[int]) -> Floats:
        """Appends one token a row."""
        return np.asarray(self._step(tokens, sources).cpu().numpy())

    @torch.inference_mode()
    def choose(
        self,
        tokens: Sequence[int],
        sources: Sequence[int],
        rules: Rules,
        bans: Sequence[Ban],
    ) -> Choice:
        """Appends one token a row and chooses the next on the device: two numbers a row come back."""
        logits = self._step(tokens, sources)
        chosen = torch_choice.likeliest(logits, rules, bans)
        likely, logprobs = chosen.double().cpu().tolist()
        return Choice([int(token) for token in likely], logprobs)

    def _step(self, tokens: Sequence[int], sources: Sequence[int]) -> Tensor:
        """Returns logits ``(n_rows, vocabulary)`` on the device."""
        before = self._texts
        windows = len({before.heard[source] for source in sources})
        # A recorded step runs further rows along: there must be memory for these as well.
        if self._rounded(windows) * (len(sources) // windows) > self._capacity():
            self._make_own_room(sources, before)
        else:
            self._move(list(enumerate(sources)), before)
        lengths = [before.lengths[source] for source in sources]
        self._texts = _Texts(
            [before.heard[source] for source in sources], [length + 1 for length in lengths]
        )
        n_rows, n_windows = len(tokens), self._arranged()
        n_places = max(lengths) + 1
        if self._records:  # few sizes, so that few steps are recorded
            n_places = recorded_places(n_places, self._own.shape[4])
        inputs = self._inputs(
            torch.tensor(tokens)[:, None], torch.tensor(lengths)[:, None], n_places
        )
        if self._records:
            return self._played(inputs, n_rows, n_windows)
        own = self._own[:, :, :n_rows, :, :n_places]
        return self._pass(inputs, own, self._windows[:, :, :n_windows])[:, 0]

    @torch.inference_mode()
    def attend(self, heard: int, tokens: Sequence[int]) -> Floats:
        """Runs the text once more as a whole and keeps the attention of the alignment heads."""
        slot = self._slots.index(heard)
        windows = self._windows[:, :, slot : slot + 1]
        own = self._memory(1, len(tokens))
        at = torch.arange(len(tokens))[None]
        inputs = self._inputs(torch.tensor([list(tokens)]), at, len(tokens))
        x = self._decoder.embed(inputs.ids, inputs.at)
        attention = []
        for number in range(1 + max(layer for layer, _ in self._heads)):
            layer = self._decoder.layers[number]
            x, chances = layer.attended(x, own[number], windows[number], inputs.at, inputs.mask)
            attention.append(chances)
        found = torch.stack([attention[layer][head] for layer, head in self._heads])
        return np.asarray(found.cpu().numpy())

    def _inputs(self, ids: Tensor, at: Tensor, n_places: int) -> _Inputs:
        """Returns the inputs on the device; a token may look at what stands before it and at itself."""
        at = self._moved(at)
        seen = torch.arange(n_places, device=at.device) <= at[..., None]
        return _Inputs(self._moved(ids), at, seen[:, None])

    def _pass(
        self, inputs: _Inputs, own: Tensor, windows: Tensor, read: Tensor | None = None
    ) -> Tensor:
        """Returns logits ``(n_rows, n_read, vocabulary)`` of one pass; ``None`` reads all tokens.

        ``read`` ``(n_rows, n_read)`` are the tokens whose logits are wanted.
        """
        x = self._decoder.embed(inputs.ids, inputs.at)
        x = self._decoder(x, own, windows, inputs.at, inputs.mask)
        if read is not None:
            x = x.gather(1, read[..., None].expand(*read.shape, x.shape[-1]))
        return self._decoder.logits(x)

    def _played(self, inputs: _Inputs, n_rows: int, n_windows: int) -> Tensor:
        """Returns logits ``(n_rows, vocabulary)`` of a recorded step; further rows idle along."""
        windows = self._rounded(n_windows)
        rows = windows * (n_rows // n_windows)
        filled = _Inputs(*(_padded(part, rows) for part in (inputs.ids, inputs.at, inputs.mask)))
        size = rows, windows, inputs.mask.shape[-1]
        known = self._recorded.get(size)
        if known is None:
            known = self._recorded[size] = self._record(filled, windows)
        known.inputs.copy_from(filled)
        known.replay()
        return known.logits[:n_rows]

    def _record(self, inputs: _Inputs, n_windows: int) -> _Recorded:
        """Records the step; running it more than once writes the same keys to the same place."""
        own = self._own[:, :, : len(inputs.ids), :, : inputs.mask.shape[-1]]
        windows = self._windows[:, :, :n_windows]
        return _Recorded(inputs, *recorded(lambda: self._pass(inputs, own, windows)[:, 0]))

    def _move(self, moves: Sequence[tuple[int, int]], before: _Texts) -> None:
        """Brings rows to a place from a source; copies what moves, as far as it is written."""
        moves = [(place, source) for place, source in moves if place != source]
        if not moves:
            return
        written = self._own[:, :, :, :, : max(before.lengths[source] for _, source in moves)]
        places, sources = self._moved(torch.tensor(moves)).unbind(1)
        written[:, :, places] = written[:, :, sources]

    def _arranged(self) -> int:
        """Brings the windows of the running texts to the front, in order; returns how many."""
        wanted = list(dict.fromkeys(self._texts.heard))
        if self._slots[: len(wanted)] == wanted:
            return len(wanted)
        for slot, window in enumerate(wanted):
            other = self._slots.index(window)
            if other != slot:
                swapped = self._windows[:, :, [other, slot]]
                self._windows[:, :, [slot, other]] = swapped
                self._slots[slot], self._slots[other] = window, self._slots[slot]
        return len(wanted)

    def _rounded(self, n_windows: int) -> int:
        """Returns the batch that is run for ``n_windows``: on a GPU one of few sizes."""
        return recorded_size(n_windows) if self._records else n_windows

    def _make_window_room(self, n_windows: int, n_positions: int, kept: Sequence[int]) -> None:
        """Makes the memory large enough; the windows ``kept`` stay where they lie."""
        rows = self._rounded(n_windows)
        if self._windows.ndim > 1 and self._windows.shape[2] >= rows and (
            self._windows.shape[4] == n_positions
        ):  # fmt: skip
            return
        self._recorded.clear()
        old, self._windows = self._windows, self._memory(rows, n_positions)
        if kept:
            self._windows[:, :, : old.shape[2]] = old
        slots = self._slots if kept else []
        self._slots = [*slots, *[FREE] * (rows - len(slots))]

    def _capacity(self) -> int:
        """Returns how many texts there is room for."""
        return self._own.shape[2] if self._own.ndim > 1 else 0

    def _make_own_room(self, sources: Sequence[int], before: _Texts) -> None:
        """Makes room for the rows; what was written at ``sources`` is taken along."""
        old = self._own
        taken = [(place, source) for place, source in enumerate(sources) if source != NEW]
        n_windows = len({before.heard[source] for _, source in taken}) or len(sources)
        beams = max(1, len(taken) // n_windows)
        self._recorded.clear()
        self._own = self._memory(
            beams * self._rounded(-(-len(sources) // beams)), self._shape.target_positions
        )
        if taken:
            places, froms = self._moved(torch.tensor(taken)).unbind(1)
            self._own[:, :, places] = old[:, :, froms]

    def _memory(self, n_rows: int, n_places: int) -> Tensor:
        shape = self._shape
        sizes = (shape.decoder_layers, 2, n_rows, shape.decoder_heads, n_places, shape.head_width)
        return torch.zeros(sizes, dtype=self._format.dtype, device=self._format.device)

    def _moved(self, tensor: Tensor) -> Tensor:
        return to_device(tensor, self._format.device)


def recorded(step: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """Returns what ``step`` leaves, and what does it again on a GPU, in the same memory."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch types it not
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()  # libraries make their buffers ready, which cannot be recorded
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        left = step()
    return left, graph.replay


def recorded_size(n_windows: int) -> int:
    """Returns the next of 1, 2, 4, 8, 12, 16, 24, 32, 48, ...: few graphs, little idling.

    >>> [recorded_size(n) for n in (1, 3, 9, 17, 128)]
    [1, 4, 12, 24, 128]
    """
    power = 1 << (n_windows - 1).bit_length()
    between = power * 3 // 4
    return between if power > SMALLEST_BETWEEN and n_windows <= between else power


def recorded_places(n_places: int, most: int) -> int:
    """Returns the next of 64, 128, 256, ..., ``most``: a short text's step reads little memory.

    >>> [recorded_places(n, 448) for n in (5, 64, 65, 300, 448)]
    [64, 64, 128, 448, 448]
    """
    return min(most, max(FEWEST_PLACES, 1 << (n_places - 1).bit_length()))


def _padded(tensor: Tensor, n_rows: int) -> Tensor:
    """Returns a tensor of its own with ``n_rows`` rows, the last repeated."""
    missing = n_rows - len(tensor)
    last = tensor[-1:].expand(missing, *tensor.shape[1:])
    return torch.cat((tensor, last))
