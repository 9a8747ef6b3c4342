"""The engines that peers.py compares: how each is loaded and called, as its own documentation says.

Owns one class an engine and the list of the rows. Every class hears clips of one length in English,
without timestamps, one hypothesis, temperature 0 and no fallback unless its row says otherwise, and
returns a text a clip. Only the calls of ``transcribe`` are timed: features, encoder, decoder, text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
PROMPT_TOKENS = 4
"""<|startoftranscript|>, language, task, <|notimestamps|>."""
Clips = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Checkpoints:
    """One set of weights in every engine's form; ``None`` where it could not be made."""

    transformers: Path
    ctranslate2: Path | None = None
    genai_f32: Path | None = None
    genai_int8: Path | None = None
    ggml_f16: Path | None = None
    ggml_q8_0: Path | None = None


class Engine(Protocol):
    """An engine while it is measured."""

    def load(self, checkpoints: Checkpoints, threads: int) -> None:
        """Reads the weights."""

    def transcribe(self, clips: Clips) -> list[str]:
        """Returns a text a clip."""


@dataclass(frozen=True)
class Row:
    """A line of the table: an engine, and what one has to know to compare it."""

    name: str
    engine: Engine
    precision: str
    batch: int
    needs: str
    beams: int = 1
    work: str = "same"
    prompt_tokens: int = PROMPT_TOKENS


class Transformers:
    """``generate`` on padded features, greedy."""

    def load(self, checkpoints: Checkpoints, threads: int) -> None:  # noqa: D102 # Engine's
        import torch
        from transformers import WhisperForConditionalGeneration, WhisperProcessor
        from transformers.utils import logging

        logging.set_verbosity_error()
        torch.set_num_threads(threads)
        self.model = WhisperForConditionalGeneration.from_pretrained(checkpoints.transformers)
        self.model.eval()
        self.processor = WhisperProcessor.from_pretrained(checkpoints.transformers)

    def transcribe(self, clips: Clips) -> list[str]:  # noqa: D102 # Engine's
        import torch

        inputs = self.processor(list(clips), sampling_rate=RATE_HZ, return_tensors="pt")
        with torch.inference_mode():
            tokens = self.model.generate(**inputs, language="en", task="transcribe", num_beams=1)
        texts: list[str] = self.processor.batch_decode(tokens, skip_special_tokens=True)
        return texts


class Pipeline:
    """transformers' ``pipeline`` as shipped: it detects the language and searches with 5 beams."""

    def load(self, checkpoints: Checkpoints, threads: int) -> None:  # noqa: D102 # Engine's
        import torch
        from transformers import pipeline
        from transformers.utils import logging

        logging.set_verbosity_error()
        torch.set_num_threads(threads)
        self.pipeline = pipeline(
            "automatic-speech-recognition", model=str(checkpoints.transformers), device="cpu"
        )

    def transcribe(self, clips: Clips) -> list[str]:  # noqa: D102 # Engine's
        return [self.pipeline({"raw": clip, "sampling_rate": RATE_HZ})["text"] for clip in clips]


@dataclass
class FasterWhisper:
    """``WhisperModel.transcribe``, one clip after the other."""

    compute_type: str

    def load(self, checkpoints: Checkpoints, threads: int) -> None:  # noqa: D102 # Engine's
        from faster_whisper import WhisperModel

        self.model = WhisperModel(
            str(checkpoints.ctranslate2),
            device="cpu",
            compute_type=self.compute_type,
            cpu_threads=threads,
        )

    def transcribe(self, clips: Clips) -> list[str]:  # noqa: D102 # Engine's
        texts = []
        for clip in clips:
            segments, _ = self.model.transcribe(
                clip,
                language="en",
                beam_size=1,
                temperature=0.0,
                without_timestamps=True,
                condition_on_previous_text=False,
                compression_ratio_threshold=None,
                log_prob_threshold=None,
                no_speech_threshold=None,
            )
            texts.append("".join(segment.text for segment in segments))
        return texts


class FasterWhisperBatched(FasterWhisper):
    """``BatchedInferencePipeline`` over the clips put together, cut where they meet."""

    def transcribe(self, clips: Clips) -> list[str]:  # noqa: D102 # Engine's
        from faster_whisper import BatchedInferencePipeline

        ends = np.cumsum([len(clip) for clip in clips]) / RATE_HZ
        spans = [
            {"start": end - len(clip) / RATE_HZ, "end": end}
            for clip, end in zip(clips, ends.tolist(), strict=True)
        ]
        segments, _ = BatchedInferencePipeline(self.model).transcribe(
            np.concatenate(clips),
            language="en",
            beam_size=1,
            temperature=0.0,
            without_timestamps=True,
            clip_timestamps=spans,
            batch_size=len(clips),
        )
        return [segment.text for segment in segments]


@dataclass
class OpenvinoGenai:
    """``WhisperPipeline.generate``; it takes one clip a call."""

    weights: str
    hints: tuple[tuple[str, Any], ...] = ()

    def load(self, checkpoints: Checkpoints, threads: int) -> None:  # noqa: D102 # Engine's
        import openvino_genai

        folder = getattr(checkpoints, f"genai_{self.weights}")
        self.pipeline = openvino_genai.WhisperPipeline(
            str(folder), "CPU", INFERENCE_NUM_THREADS=threads, **dict(self.hints)
        )

    def transcribe(self, clips: Clips) -> list[str]:  # noqa: D102 # Engine's
        options = {"language": "<|en|>", "task": "transcribe", "return_timestamps": False}
        return [str(self.pipeline.generate(clip.tolist(), **options).texts[0]) for clip in clips]


@dataclass
class WhisperCpp:
    """whisper.cpp through pywhispercpp; ``audio_ctx`` 0 hears the padded 30 s."""

    weights: str
    trims: bool = False

    def load(self, checkpoints: Checkpoints, threads: int) -> None:  # noqa: D102 # Engine's
        from pywhispercpp.model import Model

        self.model = Model(
            str(getattr(checkpoints, f"ggml_{self.weights}")),
            n_threads=threads,
            print_progress=False,
            print_realtime=False,
            redirect_whispercpp_logs_to=None,
        )

    def transcribe(self, clips: Clips) -> list[str]:  # noqa: D102 # Engine's
        positions_a_second = 50
        texts = []
        for clip in clips:
            heard = len(clip) * positions_a_second // RATE_HZ + positions_a_second // 2
            segments = self.model.transcribe(
                clip,
                language="en",
                no_timestamps=True,
                single_segment=True,
                no_context=True,
                temperature_inc=0.0,
                greedy={"best_of": 1},
                audio_ctx=heard if self.trims else 0,
            )
            texts.append(" ".join(segment.text for segment in segments))
        return texts


@dataclass
class Ours:
    """A whisperlab engine, built from its configuration like everywhere else."""

    overrides: tuple[str, ...]

    def load(self, checkpoints: Checkpoints, threads: int) -> None:  # noqa: D102 # Engine's
        from whisperlab.audio import Waveform
        from whisperlab.config.build import build_transcriber
        from whisperlab.config.compose import compose
        from whisperlab.engine.options import DecodeOptions
        from whisperlab.engine.protocol import SilentWatch

        source = [f"model.source={checkpoints.transformers}", "model.revision=null", "device=cpu"]
        if "engine=openvino" in self.overrides:
            source.append(f"engine.threads={threads}")
        composed = compose("transcriber", [*source, *self.overrides])
        self.engine = build_transcriber(composed).settings.load()
        self.options = DecodeOptions(language="en", timestamps="none")
        self.watch = SilentWatch()
        self.waveform = Waveform

    def transcribe(self, clips: Clips) -> list[str]:  # noqa: D102 # Engine's
        batch = [self.waveform(clip) for clip in clips]
        return [one.text for one in self.engine.transcribe(batch, self.options, self.watch)]


def rows() -> list[Row]:
    """Returns every row in the order of the table; the first of ours is the one to beat the others."""
    f32 = (("INFERENCE_PRECISION_HINT", "f32"),)
    ours = ("engine=openvino",)
    trim = (*ours, "quantization=int8", "engine.trim=true")
    return [
        # Its prompt has no <|notimestamps|>, so that a text of the exact length has a word more.
        Row("transformers as shipped", Pipeline(), "f32", 1, "transformers", 5, "5 beams", 3),
        Row("transformers", Transformers(), "f32", 8, "transformers"),
        Row("faster-whisper", FasterWhisper("float32"), "f32", 1, "ctranslate2"),
        Row("faster-whisper", FasterWhisper("int8"), "int8", 1, "ctranslate2"),
        Row("faster-whisper batched", FasterWhisperBatched("int8"), "int8", 8, "ctranslate2"),
        Row("whisper.cpp", WhisperCpp("f16"), "f16", 1, "ggml_f16"),
        Row("whisper.cpp", WhisperCpp("q8_0"), "q8_0", 1, "ggml_q8_0"),
        Row("whisper.cpp audio_ctx", WhisperCpp("q8_0", True), "q8_0", 1, "ggml_q8_0", 1, "trims"),
        Row("OpenVINO GenAI", OpenvinoGenai("f32", f32), "f32", 1, "genai_f32"),
        Row("OpenVINO GenAI", OpenvinoGenai("int8"), "int8", 1, "genai_int8"),
        Row("whisperlab hf", Ours(("engine=hf",)), "f32", 8, "transformers"),
        Row("whisperlab ctranslate2", Ours(("engine=ctranslate2", "quantization=int8")), "int8", 8, "transformers"),
        Row("whisperlab openvino", Ours((*ours, "quantization=none")), "f32", 8, "transformers"),
        Row("whisperlab openvino", Ours((*ours, "quantization=bfloat16")), "bf16", 8, "transformers"),
        Row("whisperlab openvino", Ours((*ours, "quantization=int8")), "int8", 1, "transformers"),
        Row("whisperlab openvino", Ours((*ours, "quantization=int8")), "int8", 8, "transformers"),
        Row("whisperlab openvino trim", Ours(trim), "int8", 8, "transformers", 1, "trims"),
    ]  # fmt: skip
