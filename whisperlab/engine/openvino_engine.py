"""Any Whisper-family checkpoint on a processor, through graphs that we write for OpenVINO.

Owns the settings. In float32 its tokens are those of transformers' ``generate``; int8 and bfloat16 are faster and may differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.device import Device, Quantization, QuantizationName, has_bfloat16
from whisperlab.engine.decoding.vocabulary import read_vocabulary
from whisperlab.engine.model import ModelSpec, require_known_language
from whisperlab.engine.model import resolve as resolve_model
from whisperlab.engine.network_engine import NetworkEngine, Rows
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.whisper_shape import read_shape
from whisperlab.errors import MissingExtraError, UnsupportedOptionError

if TYPE_CHECKING:
    from whisperlab.engine.openvino_layers import Storage

STORAGE: Mapping[QuantizationName, Storage] = {
    "none": "float32",
    "bfloat16": "float32",
    "int8": "int8",
}
"""How linear weights are held in each quantisation that this engine does."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class OpenvinoSettings:
    """The ``openvino`` engine: which checkpoint, in which precision, on how many threads.

    ``threads`` ``None`` leaves the number to OpenVINO (one a core). ``trim`` lets the encoder hear
    windows no longer than their sound: faster for short sounds, and the text may differ; a window
    that loops is decoded again at full width. ``rows`` as for `NetworkEngine`.

    Raises:
        UnsupportedOptionError: this engine cannot do the quantisation, or is asked for a GPU.
    """

    model: ModelSpec
    device: Device
    quantization: Quantization
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    trim: bool = False
    rows: Rows = None

    def __post_init__(self) -> None:
        if self.quantization.name not in STORAGE:
            raise UnsupportedOptionError(
                f"engine=openvino cannot do quantization={self.quantization.name}; "
                f"it can do: {', '.join(STORAGE)}"
            )
        if self.device.kind not in ("cpu", "auto"):
            raise UnsupportedOptionError(
                f"engine=openvino runs on the processor, got device.kind={self.device.kind}; "
                "add device=cpu, or choose engine=hf"
            )

    def check(self, options: DecodeOptions) -> None:
        """Raises ``UnsupportedOptionError`` for what this model cannot honour."""
        require_known_language(self.model, options)

    def load(self) -> NetworkEngine:
        """Returns the engine with its graphs compiled.

        Raises:
            MissingExtraError: OpenVINO is not installed.
            ModelError: the checkpoint cannot be found, read or trusted.
            UnsupportedOptionError: the processor has no bfloat16; OpenVINO would take float32 instead.
        """
        if self.quantization.name == "bfloat16" and not has_bfloat16():
            raise UnsupportedOptionError(
                "engine=openvino quantization=bfloat16: this processor does not multiply bfloat16; "
                "choose quantization=none or int8"
            )
        try:
            from whisperlab.engine.openvino_network import OpenvinoNetwork
        except ImportError as error:
            raise MissingExtraError("openvino", "openvino", "engine=openvino") from error
        from whisperlab.engine.whisper_weights import Weights

        folder = resolve_model(self.model)
        vocabulary = read_vocabulary(folder)
        shape = read_shape(folder)
        network = OpenvinoNetwork(
            Weights(folder),
            shape,
            STORAGE[self.quantization.name],
            half=self.quantization.name != "none",
            threads=self.threads,
            n_frames=None if self.trim else shape.window_frames,
            heads=vocabulary.alignment_heads,
        )
        return NetworkEngine(
            network,
            folder,
            shape,
            vocabulary,
            multilingual=self.model.multilingual,
            rows=self.rows,
            trim=self.trim,
            independent=True,  # OpenVINO scales and multiplies row by row
        )
