"""Whisper on a processor through OpenVINO: windows in, logits out, rows that come and go.

Owns the compiled graphs, the memory of windows and texts, and where each row lies in it. It does
not know which token is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import openvino as ov

from whisperlab.device import give_back_memory, has_amx, has_bfloat16, keep_block_size
from whisperlab.engine import openvino_graph as graph
from whisperlab.engine.decoding.network import NEW, Beginning, Floats, free_numbers
from whisperlab.engine.openvino_layers import Storage
from whisperlab.engine.whisper_shape import Shape
from whisperlab.engine.whisper_weights import Weights

HIDDEN: Final = np.float32(-1e30)
"""Added to the scores of tokens that must not be seen; finite, so that no row is NaN."""

FREE: Final = -1
"""The number of no window."""

FRAMES_LEFT_OUT: Final = 512
"""Frames of silence are left out by so many: OpenVINO keeps the convolutions' weights for each length."""

FRAMES_SEEN: Final = 6
"""Frames that the last two positions of both convolutions see."""

ENCODER_GROUP: Final = 128
DECODER_GROUP: Final = 64
"""Inputs of a linear layer that are quantised together; OpenVINO's own 32 gains nothing over bfloat16."""


@dataclass(slots=True)
class _Texts:
    """The texts being written: which window each heard, and where its tokens stand."""

    heard: list[int] = field(default_factory=list)
    """One a row."""
    hidden: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Padding tokens before each row's prompt, one a row."""
    length: int = 0
    """Tokens that every row holds, padding included."""


class OpenvinoNetwork:
    """A compiled network; see ``engine/decoding/network.py`` for what its methods promise."""

    def __init__(
        self,
        weights: Weights,
        shape: Shape,
        storage: Storage,
        *,
        half: bool,
        threads: int | None,
        n_frames: int | None,
        heads: Sequence[tuple[int, int]],
    ) -> None:
        keep_block_size()
        self._weights = weights
        self._shape = shape
        self._heads = list(heads)
        self._trims = n_frames is None
        # Where the processor lacks bfloat16, OpenVINO would convert the memory in every step.
        self._memory = ov.Type.bf16 if half and has_bfloat16() else ov.Type.f32
        halved = storage == "float32" and self._memory == ov.Type.bf16
        self._core = ov.Core()
        self._settings = _settings(half=half, threads=threads)
        # AMX multiplies bfloat16 faster than the others int8: its weights are rounded alone.
        amx = has_amx()
        self._encoder = self._request(
            graph.encoder(
                weights,
                shape,
                storage,
                self._memory,
                n_frames,
                halved=halved or (storage == "int8" and amx),
            ),
            _as_int8(ENCODER_GROUP) if storage == "int8" and not amx else {},
        )
        self._decoder = self._request(
            graph.decoder(weights, shape, storage, self._memory, halved=halved),
            _as_int8(DECODER_GROUP) if storage == "int8" else {},
        )
        self._aligner: ov.InferRequest | None = None
        self._positions = weights.tensor("decoder.embed_positions.weight")
        self._windows: dict[str, ov.Tensor] = {}
        self._slots: list[int] = []
        """The window that lies in each slot of the memory, or `FREE`."""
        self._seen: slice | None = None
        """The slots that the decoder's inputs are."""
        self._texts = _Texts()
        self._no_mask = np.zeros((1, 1, 1, 2 * shape.target_positions), np.float32)
        give_back_memory()  # what the building of the graphs has freed

    def hear(self, windows: Sequence[Floats], kept: Sequence[int] = ()) -> list[int]:
        """Encodes each window straight into a free slot of the decoder's memory."""
        numbers = free_numbers(len(windows), kept)
        self._make_room(len(windows) + len(kept), windows[0].shape[-1] // 2, kept)
        free = [slot for slot, number in enumerate(self._slots) if number not in kept]
        for slot, number, window in zip(free, numbers, windows, strict=False):
            self._slots[slot] = number
            for name, whole in self._windows.items():
                self._encoder.set_tensor(name, _part(whole, slot, slot + 1))
            part = window if self._trims else _beginning(window)
            self._encoder.set_tensor("features", ov.Tensor(np.ascontiguousarray(part[None])))
            if not self._trims:
                spread = self._encoder.get_tensor("spread").data
                spread[:] = _spread(part.shape[1] // 2, window.shape[1] // 2, len(spread))
            _run(self._encoder)
        for slot in free[len(windows) :]:
            self._slots[slot] = FREE
        return numbers

    def begin(
        self,
        heard: Sequence[int],
        prompts: Sequence[Sequence[int]],
        from_end: int,
        beside: Sequence[int] = (),
    ) -> Beginning:
        """Feeds the prompts, the shorter ones padded at their left and the padding hidden."""
        kept = self._kept(beside)
        new = _Texts(list(heard), np.array([0] * len(prompts)), max(map(len, prompts)))
        new.hidden = np.array([new.length - len(prompt) for prompt in prompts])
        ids = np.zeros((len(prompts), new.length), np.intp)
        for row, prompt in enumerate(prompts):
            ids[row, new.hidden[row] :] = prompt
        places = np.maximum(np.arange(new.length) - new.hidden[:, None], 0)
        mask = _causal(new.length)[None, None] + _hide(new.hidden, new.length)
        self._texts = new
        self._decoder.reset_state()
        read = [new.length - from_end, new.length - 1]
        logits = self._infer(ids, places, mask, np.arange(len(prompts)), read)
        beginning = Beginning(logits[:, 0], logits[:, 1])
        if kept:
            beginning = Beginning(logits[:, 0].copy(), logits[:, 1].copy())
            self._rejoin(kept, beside)
        return beginning

    def step(self, tokens: Sequence[int], sources: Sequence[int]) -> Floats:
        """Appends one token a row."""
        texts = self._texts
        chosen = np.asarray(sources)
        texts.heard = [texts.heard[source] for source in sources]
        texts.hidden = texts.hidden[chosen]
        places = (texts.length - texts.hidden)[:, None]
        texts.length += 1
        mask = (
            _hide(texts.hidden, texts.length)
            if texts.hidden.any()
            else self._no_mask[..., : texts.length]
        )
        ids = np.asarray(tokens)[:, None]
        return self._infer(ids, places, mask, chosen, [0])[:, 0]

    def attend(self, heard: int, tokens: Sequence[int]) -> Floats:
        """Runs the text once more as a whole, with float32 weights."""
        if self._aligner is None:
            model = graph.aligner(self._weights, self._shape, self._memory, self._heads)
            self._aligner = self._request(model, {})
        ids = np.asarray(tokens)
        slot = self._slots.index(heard)
        for name, whole in self._windows.items():
            if self._aligner_hears(name):
                self._aligner.set_tensor(name, _part(whole, slot, slot + 1))
        embedded = self._embed(ids[None], np.arange(len(ids))[None])
        self._aligner.set_tensor("embedded", ov.Tensor(embedded))
        self._aligner.set_tensor("mask", ov.Tensor(_causal(len(ids))[None, None]))
        _run(self._aligner)
        attention: Floats = self._aligner.get_tensor("attention").data
        return attention

    def _aligner_hears(self, name: str) -> bool:
        depth = 1 + max(layer for layer, _ in self._heads)
        return int(name.partition(".")[2]) < depth

    def _infer(
        self,
        ids: npt.NDArray[np.intp],
        places: npt.NDArray[np.intp],
        mask: Floats,
        sources: npt.NDArray[np.intp],
        read: Sequence[int],
    ) -> Floats:
        """Returns logits, shape ``(n_rows, n_read, vocabulary)``, of one pass of the decoder."""
        self._arrange()
        request = self._decoder
        request.set_tensor("embedded", ov.Tensor(self._embed(ids, places)))
        request.set_tensor("mask", ov.Tensor(np.ascontiguousarray(mask)))
        request.set_tensor("sources", ov.Tensor(sources.astype(np.int32)))
        request.set_tensor("read", ov.Tensor(np.array(read, np.int32)))
        _run(request)
        logits: Floats = request.get_tensor("logits").data
        return logits

    def _embed(self, ids: npt.NDArray[np.intp], places: npt.NDArray[np.intp]) -> Floats:
        table = self._weights.rows("decoder.embed_tokens.weight", ids)
        return table + self._positions[places]

    def _kept(self, beside: Sequence[int]) -> tuple[_Texts, list[Floats]] | None:
        """Returns the running texts that go on and what the decoder remembers of them."""
        rows = [row for row in beside if row != NEW]
        if not rows:
            return None
        texts = self._texts
        hidden = texts.hidden[rows]
        first = int(hidden.min())  # padding of all rows is let go of
        states = [
            np.array(state.state.data[rows, :, first:]) for state in self._decoder.query_state()
        ]
        heard = [texts.heard[row] for row in rows]
        return _Texts(heard, hidden - first, texts.length - first), states

    def _rejoin(self, kept: tuple[_Texts, list[Floats]], beside: Sequence[int]) -> None:
        """Lays the running texts beside the ones just begun, all ending at the same place."""
        old, states = kept
        new = self._texts
        length = max(old.length, new.length)
        is_new = np.array(beside) == NEW
        hidden = np.empty(len(beside), np.int64)
        hidden[is_new] = new.hidden + length - new.length
        hidden[~is_new] = old.hidden + length - old.length
        heard = [iter(old.heard), iter(new.heard)]
        for state, before in zip(self._decoder.query_state(), states, strict=True):
            begun = state.state.data
            whole = np.zeros((len(beside), begun.shape[1], length, begun.shape[3]), np.float32)
            whole[is_new, :, length - new.length :] = begun
            whole[~is_new, :, length - old.length :] = before
            state.state = ov.Tensor(whole, shared_memory=True)  # it is copied there
        self._texts = _Texts([next(heard[int(one)]) for one in is_new], hidden, length)

    def _arrange(self) -> None:
        """Lets the decoder see the windows of the running texts, side by side in their order."""
        wanted = list(dict.fromkeys(self._texts.heard))
        first = self._slots.index(wanted[0])
        if self._slots[first : first + len(wanted)] != wanted:
            first = 0
            for slot, window in enumerate(wanted):
                other = self._slots.index(window)
                if other != slot:
                    for whole in self._windows.values():
                        _swap(whole, slot, other)
                    self._slots[slot], self._slots[other] = window, self._slots[slot]
        slots = slice(first, first + len(wanted))
        if slots == self._seen:
            return
        for name, whole in self._windows.items():
            self._decoder.set_tensor(name, _part(whole, slots.start, slots.stop))
        self._seen = slots

    def _make_room(self, n_windows: int, n_positions: int, kept: Sequence[int]) -> None:
        """Makes the memory large enough; the windows ``kept`` stay where they lie."""
        sizes = [n_windows, self._shape.decoder_heads, self._shape.head_width, n_positions]
        known = next(iter(self._windows.values()), None)
        if known is not None and known.shape[0] >= n_windows and known.shape[-1] == n_positions:
            return
        old, slots = self._windows, self._slots
        self._seen = None
        self._windows = {
            f"{kind}.{layer}": ov.Tensor(self._memory, sizes)
            for layer in range(self._shape.decoder_layers)
            for kind in ("key", "value")
        }
        self._slots = [*slots, *[FREE] * n_windows][:n_windows] if kept else [FREE] * n_windows
        for slot, number in enumerate(self._slots):
            if number in kept:
                for name, whole in self._windows.items():
                    _part(old[name], slot, slot + 1).copy_to(_part(whole, slot, slot + 1))

    def _request(self, model: ov.Model, further: Mapping[str, str]) -> ov.InferRequest:
        settings = {**self._settings, **further}
        return self._core.compile_model(model, "CPU", settings).create_infer_request()


def _run(request: ov.InferRequest) -> None:
    """Infers; unless told to share, the binding would copy every output into new memory besides."""
    request.infer(share_outputs=True)


def _beginning(window: Floats) -> Floats:
    """Returns the frames of ``window`` behind which all are like the last, and some of those.

    So many that one position of the convolutions sees nothing else, beside the one at the edge.
    """
    n_frames = window.shape[1]
    while n_frames > FRAMES_LEFT_OUT + FRAMES_SEEN:
        fewer = n_frames - FRAMES_LEFT_OUT
        if (window[:, fewer - FRAMES_SEEN : n_frames] != window[:, -1:]).any():
            break
        n_frames = fewer
    return window[:, :n_frames]


def _spread(n_heard: int, n_positions: int, size: int) -> npt.NDArray[np.intp]:
    """Returns which of ``n_heard`` positions of a beginning each of the window is like."""
    spread = np.minimum(np.arange(size), n_heard - 2)
    spread[n_positions - 1 :] = n_heard - 1  # the convolutions see the edge there
    return spread


def _settings(*, half: bool, threads: int | None) -> Mapping[str, Any]:
    chosen: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "KV_CACHE_PRECISION": "bf16" if half else "f32",
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
    }
    if threads is not None:
        chosen["INFERENCE_NUM_THREADS"] = threads
    return chosen


def _as_int8(group: int) -> Mapping[str, str]:
    """Returns the settings under which OpenVINO multiplies int8 weights as int8.

    It does so with float32 inputs alone, which it quantises; in bfloat16 it would unpack the weights
    in every call, the vocabulary's for longer than their product takes. What is read from the
    windows' memory is multiplied in its own type.
    """
    return {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(group)}


def _causal(length: int) -> Floats:
    return np.triu(np.full((length, length), HIDDEN, np.float32), k=1)


def _hide(hidden: npt.NDArray[np.int64], length: int) -> Floats:
    """Returns what hides the first ``hidden[row]`` tokens, shape ``(n_rows, 1, 1, length)``."""
    return np.where(np.arange(length) < hidden[:, None], HIDDEN, np.float32(0))[:, None, None]


def _part(whole: ov.Tensor, first: int, end: int) -> ov.Tensor:
    """Returns rows of ``whole`` that share its memory."""
    sizes = list(whole.shape)
    return ov.Tensor(whole, [first, 0, 0, 0], [end, *sizes[1:]])


def _swap(whole: ov.Tensor, one: int, other: int) -> None:
    kept = ov.Tensor(whole.element_type, [1, *list(whole.shape)[1:]])
    _part(whole, one, one + 1).copy_to(kept)
    _part(whole, other, other + 1).copy_to(_part(whole, one, one + 1))
    kept.copy_to(_part(whole, other, other + 1))
