"""Loading a Whisper checkpoint in a precision, through transformers, bitsandbytes and accelerate.

Owns what each name of the ``quantization`` group means for the ``hf`` engine. It does not know
decoding.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whisperlab.device import Quantization, QuantizationName, ResolvedKind
from whisperlab.errors import MissingExtraError, ModelError, UnsupportedOptionError

FLOAT_TYPES: Mapping[QuantizationName, str] = {
    "none": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "dynamic_int8": "float32",
    # bitsandbytes multiplies outliers, and stores what it does not quantise, in float16.
    "bnb_int8": "float16",
    "bnb_nf4": "float32",
    "bnb_fp4": "float32",
}
"""torch's type of what is not quantised, for each quantisation that ``hf`` does."""

_REASON_FOR_NO_INT8 = (
    "engine=hf has no int8 of its own: choose quantization=bnb_int8 (any device) or "
    "dynamic_int8 (cpu)"
)


def check_precision(name: QuantizationName) -> None:
    """Raises ``UnsupportedOptionError`` unless ``hf`` can do the quantisation ``name``."""
    if name == "int8":
        raise UnsupportedOptionError(_REASON_FOR_NO_INT8)
    if name not in FLOAT_TYPES:
        raise UnsupportedOptionError(
            f"engine=hf cannot do quantization={name}; it can do: {', '.join(FLOAT_TYPES)}"
        )


def load_model(
    model_class: Any, folder: Path, quantization: Quantization, kind: ResolvedKind
) -> Any:
    """Returns ``model_class`` from ``folder`` on ``kind``, quantised; ready for ``generate``.

    On cuda accelerate places the layers: what does not fit one GPU goes to the next, then to memory.

    Raises:
        MissingExtraError: bitsandbytes is not installed.
        ModelError: transformers cannot load the checkpoint, or its weights are incomplete.
    """
    import torch

    options: dict[str, Any] = {"dtype": getattr(torch, FLOAT_TYPES[quantization.name])}
    if quantization.name.startswith("bnb_"):
        options["quantization_config"] = _bitsandbytes(quantization)
        options["device_map"] = {"": kind}
    if kind == "cuda":
        options["device_map"] = "auto"
    try:
        with quiet_transformers():
            model, found = model_class.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(
            f"model in {folder}: transformers cannot load it: {' '.join(str(error).split())[:300]}"
        ) from error
    missing = [*found["missing_keys"], *(str(key) for key in found["mismatched_keys"])]
    if missing:
        raise ModelError(
            f"model in {folder}: {len(missing)} weights are missing or of another shape, the first "
            f"is {missing[0]}; fetch the checkpoint again"
        )
    model.eval()
    if "device_map" not in options:
        model.to(kind)
    if quantization.name == "dynamic_int8":
        model = _dynamic_int8(model)
    if quantization.name in ("bnb_nf4", "bnb_fp4"):
        _leave_the_packed_path(model)
    return model


BNB_BLOCK = 64
"""Weights that share one scale in bitsandbytes' 4-bit layers (its default)."""


def _leave_the_packed_path(model: Any) -> None:
    """Keeps layers whose rows are no whole number of blocks off bitsandbytes' packed CPU product.

    That path (processors with avx512_bf16) reshapes the scales by row and fails on them; the
    layer's ordinary path does not.
    """
    for layer in model.modules():
        packs = getattr(layer, "support_avx512bf16_for_cpu", False)
        if packs and layer.in_features % BNB_BLOCK:
            layer.support_avx512bf16_for_cpu = False


def _bitsandbytes(quantization: Quantization) -> Any:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtraError("bitsandbytes", "bnb", f"quantization={quantization.name}")
    import torch
    from transformers import BitsAndBytesConfig

    if quantization.name == "bnb_int8":
        return BitsAndBytesConfig(
            load_in_8bit=True, llm_int8_threshold=quantization.outlier_threshold
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization.name.removeprefix("bnb_"),
        bnb_4bit_compute_dtype=torch.float32,
    )


def _dynamic_int8(model: Any) -> Any:
    """Returns the model with int8 linear layers; activations are quantised as they come."""
    import torch

    with warnings.catch_warnings():
        # torch.ao.quantization is deprecated in favour of torchao, which has no wheel of the CPU
        # kernels used here; the class of the model stays, so generate works on.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        quantize: Any = torch.ao.quantization.quantize_dynamic
        return quantize(model, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keeps transformers' bars and its lines about max_length off the terminal of a command."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    kernels = logging.getLogger("bitsandbytes")
    level = kernels.level
    kernels.setLevel(logging.ERROR)  # it names an optional package at the first 4-bit product
    try:
        yield
    finally:
        kernels.setLevel(level)
        transformers_logging.set_verbosity(verbosity)
        if shown:
            transformers_logging.enable_progress_bar()
