"""Whisper on torch with a fixed memory: windows in, logits out, rows that come and go.

Owns the buffers of windows and texts, where each row lies in them, and on a GPU the recorded graphs
of a step. It does not know which token is chosen.

A row's keys and values stay where they are while it is written; a row that ended is overwritten by
the last one, so that a batch that shrinks copies one row and not all. On a GPU a step of one
token is recorded once for each number of rows and played back, which takes the launching of some
hundred kernels out of every token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor

from whisperlab.engine import torch_choice
from whisperlab.engine.decoding.network import Beginning, Choice, Floats
from whisperlab.engine.decoding.rules import Rules
from whisperlab.engine.torch_layers import Decoder, Encoder, Format
from whisperlab.engine.whisper_shape import Shape
from whisperlab.engine.whisper_weights import Weights

ENCODED_TOGETHER: Final = {"cpu": 1, "cuda": 32, "mps": 4}
"""Windows in one pass of the encoder: a processor's cache holds one, a GPU is full with some."""

SMALLEST_BETWEEN: Final = 8
"""Above this many windows there are two recorded sizes for each doubling."""


@dataclass(slots=True)
class _Texts:
    """The texts being written: which window each heard, and where its tokens stand."""

    heard: list[int] = field(default_factory=list)
    hidden: list[int] = field(default_factory=list)
    """Padding tokens before each row's prompt, one a row."""
    length: int = 0
    """Tokens that every row holds, padding included."""


@dataclass(slots=True)
class _Inputs:
    """What a step of the decoder reads beside its memory."""

    ids: Tensor
    """Shape ``(n_rows, n_tokens)``, as are ``places``, the positions that are embedded."""
    places: Tensor
    at: Tensor
    """Shape ``(n_tokens,)``: where keys and values are written."""
    mask: Tensor
    """Shape ``(n_rows, 1, n_tokens, n_places)``: what may be looked at."""

    def copy_from(self, other: _Inputs) -> None:
        self.ids.copy_(other.ids)
        self.places.copy_(other.places)
        self.at.copy_(other.at)
        self.mask.copy_(other.mask)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A step of one size: the tensors that it reads, the logits that it leaves."""

    inputs: _Inputs
    logits: Tensor
    graph: torch.cuda.CUDAGraph


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
        """The window that lies in each slot of the memory."""
        self._texts = _Texts()
        self._recorded: dict[tuple[int, int], _Recorded] = {}

    @torch.inference_mode()
    def hear(self, windows: Sequence[Floats]) -> None:
        """Encodes the windows, some at a time, into the decoder's memory."""
        self._make_window_room(len(windows), windows[0].shape[-1] // 2)
        together = ENCODED_TOGETHER[self._format.device.type]
        for first in range(0, len(windows), together):
            batch = torch.from_numpy(np.stack(windows[first : first + together]))
            encoded = self._encoder(self._moved(batch).to(self._format.dtype))
            for number, layer in enumerate(self._decoder.layers):
                for kind, part in enumerate(layer.heard(encoded)):
                    self._windows[number, kind, first : first + len(batch)] = part
        self._slots = list(range(len(windows)))

    @torch.inference_mode()
    def begin(
        self, heard: Sequence[int], prompts: Sequence[Sequence[int]], from_end: int
    ) -> Beginning:
        """Feeds the prompts, the shorter ones padded at their left and the padding hidden."""
        longest = max(len(prompt) for prompt in prompts)
        hidden = [longest - len(prompt) for prompt in prompts]
        self._texts = _Texts(list(heard), hidden, longest)
        self._make_own_room(self._rounded(len(prompts)), kept=None)
        ids = torch.tensor(
            [[0] * pad + list(prompt) for pad, prompt in zip(hidden, prompts, strict=True)]
        )
        places = (torch.arange(longest) - torch.tensor(hidden)[:, None]).clamp(min=0)
        inputs = self._inputs(ids, places, torch.arange(longest))
        read = [longest - from_end, longest - 1]
        logits = self._pass(inputs, self._arranged(), read).cpu().numpy()
        return Beginning(logits[:, 0], logits[:, 1])

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
        texts: Sequence[Sequence[int]],
    ) -> Choice:
        """Appends one token a row and chooses the next on the device: two numbers a row come back."""
        logits = self._step(tokens, sources)
        chosen = torch_choice.likeliest(logits, rules, [rules.ban(text) for text in texts])
        likely, logprobs = chosen.double().cpu().tolist()
        return Choice([int(token) for token in likely], logprobs)

    def _step(self, tokens: Sequence[int], sources: Sequence[int]) -> Tensor:
        """Returns logits ``(n_rows, vocabulary)`` on the device."""
        self._reorder(sources)
        texts = self._texts
        n_rows, n_windows = len(tokens), self._arranged()
        places = (texts.length - torch.tensor(texts.hidden))[:, None]
        at = torch.tensor([texts.length])
        texts.length += 1
        inputs = self._inputs(torch.tensor(tokens)[:, None], places, at)
        if self._format.device.type == "cuda":
            return self._played(inputs, n_rows, n_windows)
        return self._pass(inputs, n_windows, [0])[:, 0]

    @torch.inference_mode()
    def attend(self, heard: int, tokens: Sequence[int]) -> Floats:
        """Runs the text once more as a whole and keeps the attention of the alignment heads."""
        slot = self._slots.index(heard)
        windows = self._windows[:, :, slot : slot + 1]
        own = self._memory(1, len(tokens))
        at = self._moved(torch.arange(len(tokens)))
        mask = self._moved(torch.ones(len(tokens), len(tokens), dtype=torch.bool).tril())
        x = self._decoder.embed(self._moved(torch.tensor([list(tokens)])), at[None])
        attention = []
        for number in range(1 + max(layer for layer, _ in self._heads)):
            layer = self._decoder.layers[number]
            x, chances = layer.attended(x, own[number], windows[number], at, mask[None, None])
            attention.append(chances)
        found = torch.stack([attention[layer][head] for layer, head in self._heads])
        return np.asarray(found.cpu().numpy())

    def _inputs(self, ids: Tensor, places: Tensor, at: Tensor) -> _Inputs:
        """Returns the inputs on the device, with what each token may look at.

        A recorded step looks at all places of the memory, so that its sizes never change.
        """
        recorded = self._format.device.type == "cuda"
        n_places = self._own.shape[4] if recorded else int(at[-1]) + 1
        place = torch.arange(n_places)
        hidden = torch.tensor(self._texts.hidden)
        seen = (place <= at[:, None]) & (place >= hidden[:, None, None])
        return _Inputs(*map(self._moved, (ids, places, at, seen[:, None])))

    def _pass(self, inputs: _Inputs, n_windows: int, read: Sequence[int]) -> Tensor:
        """Returns logits ``(n_rows, n_read, vocabulary)`` of one pass of the decoder."""
        n_rows, n_places = inputs.ids.shape[0], inputs.mask.shape[-1]
        x = self._decoder.embed(inputs.ids, inputs.places)
        own = self._own[:, :, :n_rows, :, :n_places]
        x = self._decoder(x, own, self._windows[:, :, :n_windows], inputs.at, inputs.mask)
        return self._decoder.logits(x[:, list(read)])

    def _played(self, inputs: _Inputs, n_rows: int, n_windows: int) -> Tensor:
        """Returns logits ``(n_rows, vocabulary)`` of a recorded step; further rows idle along."""
        windows = self._rounded(n_windows)
        rows = windows * (n_rows // n_windows)
        filled = _Inputs(
            _padded(inputs.ids, rows), _padded(inputs.places, rows), inputs.at,
            _padded(inputs.mask, rows),
        )  # fmt: skip
        recorded = self._recorded.get((rows, windows))
        if recorded is None:
            recorded = self._recorded[rows, windows] = self._record(filled, windows)
        recorded.inputs.copy_from(filled)
        recorded.graph.replay()
        return recorded.logits[:n_rows]

    def _record(self, inputs: _Inputs, n_windows: int) -> _Recorded:
        """Records the step; running it more than once writes the same keys to the same place."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch types it not
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._pass(inputs, n_windows, [0])
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self._pass(inputs, n_windows, [0])[:, 0]
        return _Recorded(inputs, logits, graph)

    def _reorder(self, sources: Sequence[int]) -> None:
        """Brings row ``sources[i]`` to place ``i``; copies what moves, as far as it is written."""
        texts = self._texts
        texts.heard = [texts.heard[source] for source in sources]
        texts.hidden = [texts.hidden[source] for source in sources]
        moved = [place for place, source in enumerate(sources) if source != place]
        if not moved:
            return
        if len(sources) > self._own.shape[2]:
            self._make_own_room(len(sources), kept=sources)
            return
        written = self._own[:, :, :, :, : texts.length]
        taken = self._moved(torch.tensor([sources[place] for place in moved]))
        written[:, :, self._moved(torch.tensor(moved))] = written[:, :, taken]

    def _arranged(self) -> int:
        """Brings the windows of the running texts to the front, in order; returns how many."""
        wanted = list(dict.fromkeys(self._texts.heard))
        for slot, window in enumerate(wanted):
            other = self._slots.index(window)
            if other != slot:
                swapped = self._windows[:, :, [other, slot]]
                self._windows[:, :, [slot, other]] = swapped
                self._slots[slot], self._slots[other] = window, self._slots[slot]
        return len(wanted)

    def _rounded(self, n_windows: int) -> int:
        """Returns the batch that is run for ``n_windows``: on a GPU one of few sizes."""
        return recorded_size(n_windows) if self._format.device.type == "cuda" else n_windows

    def _make_window_room(self, n_windows: int, n_positions: int) -> None:
        rows = self._rounded(n_windows)
        if self._windows.ndim == 1 or self._windows.shape[2] < rows or (
            self._windows.shape[4] != n_positions
        ):  # fmt: skip
            self._recorded.clear()
            self._windows = self._memory(rows, n_positions)

    def _make_own_room(self, n_rows: int, kept: Sequence[int] | None) -> None:
        """Makes room for ``n_rows`` texts, which begin as those in ``kept`` stand."""
        if kept is None and self._own.ndim > 1 and self._own.shape[2] >= n_rows:
            return
        rows = n_rows
        if kept is not None:
            n_windows = len(dict.fromkeys(self._texts.heard))
            rows = self._rounded(n_windows) * (n_rows // n_windows)
        self._recorded.clear()
        old, self._own = self._own, self._memory(rows, self._shape.target_positions)
        if kept is not None:
            length = self._texts.length
            taken = old[:, :, self._moved(torch.tensor(list(kept))), :, :length]
            self._own[:, :, :n_rows, :, :length] = taken

    def _memory(self, n_rows: int, n_places: int) -> Tensor:
        shape = self._shape
        sizes = (shape.decoder_layers, 2, n_rows, shape.decoder_heads, n_places, shape.head_width)
        return torch.zeros(sizes, dtype=self._format.dtype, device=self._format.device)

    def _moved(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._format.device, non_blocking=True)


def recorded_size(n_windows: int) -> int:
    """Returns the next of 1, 2, 4, 8, 12, 16, 24, 32, 48, ...: few graphs, little idling.

    >>> [recorded_size(n) for n in (1, 3, 9, 17, 128)]
    [1, 4, 12, 24, 128]
    """
    power = 1 << (n_windows - 1).bit_length()
    between = power * 3 // 4
    return between if power > SMALLEST_BETWEEN and n_windows <= between else power


def _padded(tensor: Tensor, n_rows: int) -> Tensor:
    """Returns a tensor of its own with ``n_rows`` rows, the last repeated."""
    missing = n_rows - len(tensor)
    last = tensor[-1:].expand(missing, *tensor.shape[1:])
    return torch.cat((tensor, last))
