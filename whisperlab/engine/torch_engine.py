"""Any Whisper-family checkpoint through torch layers of our own: the fast path of a GPU.

Owns the settings. Decoding by rule is `engine/decoding`'s, as for every engine of ours; in float32
its tokens are those of transformers' ``generate``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from whisperlab.device import Device, Quantization, require, resolve
from whisperlab.engine.decoding.vocabulary import read_vocabulary
from whisperlab.engine.model import ModelSpec, require_known_language
from whisperlab.engine.model import resolve as resolve_model
from whisperlab.engine.network_engine import NetworkEngine, Rows
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.whisper_shape import read_shape
from whisperlab.errors import UnsupportedOptionError

if TYPE_CHECKING:
    import torch

PRECISIONS = ("none", "float16", "bfloat16", "int8")
"""What this engine does; int8 holds the weights of linear layers, products are bfloat16's."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class TorchSettings:
    """The ``torch`` engine: which checkpoint, where, in which precision; ``rows`` as for `NetworkEngine`.

    Raises:
        UnsupportedOptionError: this engine cannot do the quantisation.
    """

    model: ModelSpec
    device: Device
    quantization: Quantization
    rows: Rows = None

    def __post_init__(self) -> None:
        if self.quantization.name not in PRECISIONS:
            raise UnsupportedOptionError(
                f"engine=torch cannot do quantization={self.quantization.name}; "
                f"it can do: {', '.join(PRECISIONS)}; engine=hf does the others"
            )
        if self.device.kind != "auto":
            require(self.device.kind, self.quantization)

    def check(self, options: DecodeOptions) -> None:
        """Raises ``UnsupportedOptionError`` for what this model cannot honour."""
        require_known_language(self.model, options)

    def load(self) -> NetworkEngine:
        """Returns the engine with its weights on the device.

        Raises:
            ConfigError: this machine has no such device.
            UnsupportedOptionError: the device cannot do the quantisation.
            ModelError: the checkpoint cannot be found, read or trusted.
        """
        import torch

        from whisperlab.engine.torch_features import TorchLogMel
        from whisperlab.engine.torch_layers import Format
        from whisperlab.engine.torch_network import TorchNetwork
        from whisperlab.engine.whisper_weights import Weights

        kind = resolve(self.device.kind)
        require(kind, self.quantization)
        folder = resolve_model(self.model)
        shape, vocabulary = read_shape(folder), read_vocabulary(folder)
        to = Format(torch.device(kind), self._dtype(), self.quantization.name == "int8")
        network = TorchNetwork(Weights(folder), shape, to, vocabulary.alignment_heads)
        # On a processor numpy's is faster, and Apple's GPUs have no float64.
        features = TorchLogMel(shape.n_mels, to.device) if kind == "cuda" else None
        return NetworkEngine(
            network,
            folder,
            shape,
            vocabulary,
            multilingual=self.model.multilingual,
            rows=self.rows,
            features=features,
        )

    def _dtype(self) -> torch.dtype:
        import torch

        half = {"none": torch.float32, "float16": torch.float16}
        return half.get(self.quantization.name, torch.bfloat16)
