"""A model that accelerate has spread over places gives the tokens of one that lies in one place."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import WhisperTokenizer

from whisperlab.audio import decode
from whisperlab.device import Device, Quantization
from whisperlab.engine.decoding.vocabulary import read_vocabulary
from whisperlab.engine.hf import HfEngine, HfSettings
from whisperlab.engine.log_mel import LogMel
from whisperlab.engine.model import EMBEDDED_FOLDER, ModelSpec
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import SilentWatch
from whisperlab.engine.watched_whisper import WatchedWhisper

FOLDER = EMBEDDED_FOLDER / "whisperlab-digits"
SPREAD = {
    "model.encoder": "cpu",
    "model.decoder.embed_tokens": "cpu",
    "model.decoder.embed_positions": "cpu",
    "model.decoder.layer_norm": "cpu",
    "model.decoder.layers": "disk",
    "proj_out": "cpu",
}
"""As on a card that is too small: the decoder's layers are fetched when they are needed."""


@pytest.mark.parametrize("timestamps", ["segment", "word"])
def test_layers_on_disk_and_in_memory_decode_as_one(
    test_data: Path, tmp_path: Path, timestamps: str
) -> None:
    names = ("short-000", "short-001")
    batch = [decode(test_data / "fsdd" / "test_strings" / f"{name}.flac") for name in names]
    options = DecodeOptions(language="en", timestamps=timestamps)  # type: ignore[arg-type]
    whole = HfSettings(
        ModelSpec(name="digits", source=str(FOLDER)), Device("cpu"), Quantization("none")
    ).load()
    model = WatchedWhisper.from_pretrained(
        FOLDER, device_map=SPREAD, offload_folder=tmp_path, local_files_only=True
    )
    model.generation_config.max_length = model.config.max_target_positions
    model.watch()
    assert set(model.hf_device_map.values()) == {"cpu", "disk"}
    tokenizer = WhisperTokenizer.from_pretrained(FOLDER)
    spread = HfEngine(model, tokenizer, read_vocabulary(FOLDER), LogMel(80), multilingual=True)
    expected = whole.transcribe(batch, options, SilentWatch())
    got = spread.transcribe(batch, options, SilentWatch())
    assert [one.segments for one in got] == [one.segments for one in expected]
    assert all(one.text for one in expected)
