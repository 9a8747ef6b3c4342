"""Any Whisper-family checkpoint through CTranslate2, the engine behind faster-whisper.

Owns the settings: which precisions and options CTranslate2 can honour. The rules of a text are
CTranslate2's; windows, fallback, languages and segments are those of every engine of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.device import Device, Quantization, QuantizationName, resolve
from whisperlab.engine.decoding.vocabulary import read_vocabulary
from whisperlab.engine.model import ModelSpec, require_known_language
from whisperlab.engine.model import resolve as resolve_model
from whisperlab.engine.network_engine import NetworkEngine
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.whisper_shape import read_shape
from whisperlab.errors import MissingExtraError, UnsupportedOptionError

COMPUTE_TYPES: Mapping[QuantizationName, str] = {
    "none": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "int8": "int8",
}
"""CTranslate2's name of each quantisation; its int8 leaves everything but matrices in float32."""

CACHE = Path("~/.cache/whisperlab/ctranslate2")


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Ctranslate2Settings:
    """The ``ctranslate2`` engine: which checkpoint, where, in which precision.

    The checkpoint is converted when it is loaded for the first time, into ``cache_dir`` (``None``:
    ``~/.cache/whisperlab/ctranslate2``). ``threads`` ``None`` takes one a core.

    Raises:
        UnsupportedOptionError: CTranslate2 cannot do the quantisation, or not on this device.
    """

    model: ModelSpec
    device: Device
    quantization: Quantization
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    cache_dir: Annotated[str, Field(min_length=1, max_length=4096)] | None = None

    def __post_init__(self) -> None:
        if self.quantization.name not in COMPUTE_TYPES:
            raise UnsupportedOptionError(
                f"engine=ctranslate2 cannot do quantization={self.quantization.name}; "
                f"it can do: {', '.join(COMPUTE_TYPES)}"
            )
        if self.device.kind == "mps":
            raise UnsupportedOptionError(
                "engine=ctranslate2 runs on the processor and on cuda, got device.kind=mps; "
                "add device=cpu, or choose engine=hf"
            )

    def check(self, options: DecodeOptions) -> None:
        """Raises ``UnsupportedOptionError`` for what CTranslate2 or this model cannot honour."""
        require_known_language(self.model, options)
        if options.timestamps == "word":
            raise UnsupportedOptionError(
                "decode.timestamps=word: CTranslate2 gives no attention to place words by; "
                "choose segment, or engine=hf or engine=openvino"
            )

    def load(self) -> NetworkEngine:
        """Returns the engine with its weights in memory, converting the checkpoint if need be.

        Raises:
            MissingExtraError: CTranslate2 is not installed.
            ModelError: the checkpoint cannot be found, read, trusted or converted.
            UnsupportedOptionError: this device cannot compute in the precision.
        """
        try:
            from whisperlab.engine.ctranslate2_network import Ctranslate2Network, converted
        except ImportError as error:
            raise MissingExtraError("ctranslate2", "ctranslate2", "engine=ctranslate2") from error
        folder = resolve_model(self.model)
        vocabulary = read_vocabulary(folder)
        cache = CACHE if self.cache_dir is None else Path(self.cache_dir)
        network = Ctranslate2Network(
            converted(folder, cache.expanduser()),
            vocabulary,
            kind=resolve(self.device.kind),
            compute_type=COMPUTE_TYPES[self.quantization.name],
            threads=self.threads,
        )
        multilingual = self.model.multilingual
        return NetworkEngine(
            network, folder, read_shape(folder), vocabulary, multilingual=multilingual
        )
