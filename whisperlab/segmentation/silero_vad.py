"""Cutting sound where nobody speaks, as Silero VAD hears it.

Owns the voice detector and the way from its probabilities to pieces. The engine hears the stretches
of speech alone; silence and noise between them never reach it.

The model is the one in the wheel of the package silero-vad (MIT licence), run by onnxruntime; nothing is downloaded.
The package itself is never imported: doing so sets torch to one thread for the whole process
(6.2.3), and its TorchScript model needs ``torch.jit.load``, which torch 2.13 deprecates.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import SAMPLE_RATE_HZ, Samples, Waveform
from whisperlab.errors import AudioError, MissingExtraError, ModelError
from whisperlab.segmentation.seam import join_pieces, settled_text
from whisperlab.transcript import Transcript

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODEL_FILE: Final = "data/silero_vad_16k_sequence.onnx"
"""The variant of the model that takes many frames in one call (silero-vad 6.2 on)."""

FRAME_SAMPLES: Final = 512
"""The model judges 32 ms at a time ..."""
CONTEXT_SAMPLES: Final = 64
"""... and hears the last 4 ms of the frame before."""
FRAMES_PER_CALL: Final = 512
"""16.4 s: bounds the memory of one call; the state is carried on (``silero_vad.sequence_vad``)."""
LEAD_FRAMES: Final = 16
"""Half a second of silence is put before and after the sound for the detector alone: without it a
word that begins with the recording is missed (11 of 180 single digits of FSDD, 1 with it)."""
STATE_SHAPE: Final = (1, 1, 128)
"""Hidden and cell state of the model's LSTM."""

EXIT_MARGIN: Final = 0.15
"""Speech ends this far below the threshold at which it begins (``get_speech_timestamps``'s own)."""

Probabilities = NDArray[np.float32]
"""Probability of speech a frame, shape ``(n_frames,)``, in [0, 1]."""

Span = tuple[int, int]
"""First (in) and last (out) sample or frame."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class SileroVad:
    """Stretches of speech, padded, cut at ``max_seconds`` and merged up to it.

    Speech begins at a frame with probability ``threshold`` and ends where it stays 0.15 below for
    ``min_silence_seconds``; stretches shorter than ``min_speech_seconds`` are dropped and the others
    get ``padding_seconds`` at each end, as far as there is sound and no neighbour. A stretch longer than
    ``max_seconds`` is cut at the frame least likely to be speech, between half and the whole of it;
    neighbours are then merged, the silence between them included, while they fit ``max_seconds``.
    Sound without speech gives no piece.

    Sources: Silero Team 2024, Silero VAD (github.com/snakers4/silero-vad); Bain et al. 2023,
    WhisperX, "VAD Cut & Merge" (arXiv 2303.00747).
    """

    threshold: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
    min_speech_seconds: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
    min_silence_seconds: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
    padding_seconds: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
    max_seconds: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)]

    def cut(self, waveform: Waveform) -> list[Waveform]:
        """Returns the pieces in which someone speaks, none longer than ``max_seconds``.

        Raises:
            MissingExtraError: silero-vad or onnxruntime is not installed.
            ModelError: the model cannot be read.
            AudioError: ``invalid_sample_rate`` for sound that is not at 16 kHz.
        """
        if waveform.sample_rate != SAMPLE_RATE_HZ:
            raise AudioError(
                f"expected {SAMPLE_RATE_HZ} Hz for segmentation=silero_vad, got "
                f"{waveform.sample_rate} Hz; resample first",
                code="invalid_sample_rate",
            )
        probabilities = speech_probabilities(self._session, waveform.samples)
        frames = speech_stretches(
            probabilities,
            self.threshold,
            min_speech=self.min_speech_seconds * SAMPLE_RATE_HZ / FRAME_SAMPLES,
            min_silence=self.min_silence_seconds * SAMPLE_RATE_HZ / FRAME_SAMPLES,
        )
        longest = int(self.max_seconds * SAMPLE_RATE_HZ)
        stretches = padded(
            [(first * FRAME_SAMPLES, last * FRAME_SAMPLES) for first, last in frames],
            round(self.padding_seconds * SAMPLE_RATE_HZ),
            len(waveform.samples),
        )
        spans = [part for span in stretches for part in divided(span, probabilities, longest)]
        return [waveform.cut(first, last) for first, last in merged(spans, longest)]

    def join(self, pieces: Sequence[Waveform], transcripts: Sequence[Transcript]) -> Transcript:
        """Returns one transcript in source time, the pieces' one after the other."""
        return join_pieces(pieces, transcripts)

    def settled(
        self,
        pieces: Sequence[Waveform],
        transcripts: Sequence[Transcript],
        upcoming: Waveform | None,
    ) -> str:
        """Returns the text so far: stretches of speech share no sound."""
        return settled_text(pieces, transcripts, upcoming)

    def __getstate__(self) -> dict[str, Any]:
        """Says what is sent to another process: not the loaded model, it loads its own."""
        return {name: value for name, value in vars(self).items() if name != "_session"}

    @cached_property
    def _session(self) -> InferenceSession:
        """The loaded model; read on first use, so that building the settings loads nothing."""
        return load_detector()


def is_installed() -> bool:
    """Whether the packages of the extra ``vad`` are there."""
    return all(importlib.util.find_spec(name) for name in ("silero_vad", "onnxruntime"))


def speech_probabilities(session: InferenceSession, samples: Samples) -> Probabilities:
    """Returns the probability of speech a 32 ms frame, ``(ceil(n_samples / 512),)``."""
    count = -(-len(samples) // FRAME_SAMPLES)
    total = LEAD_FRAMES + count + LEAD_FRAMES
    lead = CONTEXT_SAMPLES + LEAD_FRAMES * FRAME_SAMPLES
    heard_samples = np.zeros(CONTEXT_SAMPLES + total * FRAME_SAMPLES, dtype=np.float32)
    heard_samples[lead : lead + len(samples)] = samples
    # (total, 576): every frame behind the end of the one before
    frames = np.lib.stride_tricks.sliding_window_view(
        heard_samples, CONTEXT_SAMPLES + FRAME_SAMPLES
    )[::FRAME_SAMPLES]
    hidden = cell = np.zeros(STATE_SHAPE, dtype=np.float32)
    probabilities = np.zeros(total, dtype=np.float32)
    for first in range(0, total, FRAMES_PER_CALL):
        block = np.ascontiguousarray(frames[first : first + FRAMES_PER_CALL])
        heard, hidden, cell = session.run(
            ["speech_probs", "hn", "cn"], {"input": block, "h": hidden, "c": cell}
        )
        probabilities[first : first + len(block)] = np.reshape(heard, -1)
    return probabilities[LEAD_FRAMES : LEAD_FRAMES + count]


def speech_stretches(
    probabilities: Probabilities, threshold: float, min_speech: float, min_silence: float
) -> list[Span]:
    """Returns the stretches of speech in frames; ``min_speech`` and ``min_silence`` are frames too.

    >>> heard = np.array([0.1, 0.9, 0.4, 0.9, 0.1, 0.1, 0.1, 0.6], dtype=np.float32)
    >>> speech_stretches(heard, 0.5, min_speech=2, min_silence=2)
    [(1, 4)]
    """
    stretches: list[Span] = []
    start: int | None = None
    silent_since: int | None = None
    for frame, probability in enumerate(probabilities):
        if probability >= threshold:
            start = frame if start is None else start
            silent_since = None
        elif start is not None and (probability < threshold - EXIT_MARGIN or silent_since):
            silent_since = frame if silent_since is None else silent_since
            if frame + 1 - silent_since >= min_silence:
                stretches.append((start, silent_since))
                start = silent_since = None
    if start is not None:
        stretches.append((start, silent_since or len(probabilities)))
    return [(first, last) for first, last in stretches if last - first >= min_speech]


def padded(spans: Sequence[Span], padding: int, length: int) -> list[Span]:
    """Returns the spans ``padding`` longer at both ends; neighbours meet halfway.

    >>> padded([(100, 200), (210, 300), (900, 990)], padding=20, length=1000)
    [(80, 205), (205, 320), (880, 1000)]
    """
    wider: list[Span] = []
    for k, (first, last) in enumerate(spans):
        before = 0 if k == 0 else (spans[k - 1][1] + first) // 2
        after = length if k == len(spans) - 1 else (last + spans[k + 1][0]) // 2
        wider.append((max(first - padding, before), min(last + padding, after, length)))
    return wider


def divided(span: Span, probabilities: Probabilities, longest: int) -> list[Span]:
    """Returns the span in parts of at most ``longest`` samples, cut where speech is least likely.

    Each cut lies between half and the whole of ``longest``, so that no part is a sliver.
    """
    first, last = span
    parts: list[Span] = []
    while last - first > longest:
        earliest, latest = first + longest // 2, first + longest
        low = -(-earliest // FRAME_SAMPLES)
        candidates = probabilities[low : latest // FRAME_SAMPLES + 1]
        # the middle of the quietest frame
        cut = (low + int(np.argmin(candidates))) * FRAME_SAMPLES + FRAME_SAMPLES // 2
        parts.append((first, min(cut, latest)))
        first = parts[-1][1]
    return [*parts, (first, last)]


def merged(spans: Sequence[Span], longest: int) -> list[Span]:
    """Returns neighbours put together while they fit ``longest``, the gap between them included.

    >>> merged([(0, 10), (12, 20), (25, 40)], longest=25)
    [(0, 20), (25, 40)]
    """
    together: list[Span] = []
    for first, last in spans:
        if together and last - together[-1][0] <= longest:
            together[-1] = (together[-1][0], last)
        else:
            together.append((first, last))
    return together


def load_detector() -> InferenceSession:
    """Returns the loaded model; the first time in a process its libraries take most of 0.4 s.

    Raises:
        MissingExtraError: silero-vad or onnxruntime is not installed.
        ModelError: the model cannot be read.
    """
    found = importlib.util.find_spec("silero_vad")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("silero-vad", "vad", "segmentation=silero_vad")
    # From 1.32 on it reports sessions to its maker and leaves a file in the temporary folder.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "vad", "segmentation=silero_vad") from error
    path = Path(found.submodule_search_locations[0]) / MODEL_FILE
    if not path.is_file():
        raise ModelError(
            f"expected the model of silero-vad at {path}, found none; "
            "run: pip install --upgrade 'whisperlab[vad]'"
        )
    options = onnxruntime.SessionOptions()
    # Utterances are short and cores are the engine's: the model's own package runs it so as well.
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(path), sess_options=options, providers=["CPUExecutionProvider"]
    )
