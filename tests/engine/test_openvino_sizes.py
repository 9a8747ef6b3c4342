"""engine=openvino against engine=hf at real sizes, with random weights and varied output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from random_whisper import save_random_whisper

from whisperlab.audio import Waveform, decode
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose

pytest.importorskip("openvino", reason="the extra openvino is not installed")

pytestmark = pytest.mark.slow

CASES = {
    "greedy": ("timestamps=none",),
    "segments, language detected": ("timestamps=segment", "language=null"),
    "beams": ("timestamps=segment", "beam_size=3"),
    "translation": ("timestamps=none", "language=de", "task=translate"),
}


@pytest.fixture(scope="module", params=["tiny", "base"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    size: str = request.param
    return save_random_whisper(tmp_path_factory.mktemp("random") / size, size)


def tokens(
    engine: str, folder: Path, sounds: list[Waveform], decoding: tuple[str, ...]
) -> list[list[int]]:
    overrides = [f"engine={engine}", f"model.source={folder}", "model.revision=null", "device=cpu"]
    options = {"language": "en", "max_new_tokens": "24"} | dict(
        option.split("=") for option in decoding
    )
    decodings = [f"decode.{name}={value}" for name, value in options.items()]
    built = build_transcriber(compose("transcriber", [*overrides, *decodings]))
    heard = [recognition.transcript for recognition in built.recognise(list(sounds))]
    return [
        [token for segment in said.segments for token in segment.tokens] for said in heard if said
    ]


@pytest.mark.parametrize("case", CASES)
def test_tokens_equal_transformers(checkpoint: Path, test_data: Path, case: str) -> None:
    paths = sorted((test_data / "english_dev" / "audio").glob("ls-*.flac"))[:3]
    sounds = [decode(path) for path in paths]
    expected = tokens("hf", checkpoint, sounds, CASES[case])
    assert tokens("openvino", checkpoint, sounds, CASES[case]) == expected
    assert len({tuple(row) for row in expected}) == len(sounds)  # a constant would prove nothing


def test_long_form_tokens_equal_transformers(checkpoint: Path, test_data: Path) -> None:
    paths = sorted((test_data / "english_dev" / "audio").glob("ls-*.flac"))[:4]
    whole = Waveform(np.concatenate([decode(path).samples for path in paths]))
    assert whole.duration_seconds > 31
    decoding = ("timestamps=segment",)
    expected = tokens("hf", checkpoint, [whole], decoding)
    assert tokens("openvino", checkpoint, [whole], decoding) == expected
    assert len(set(expected[0])) > 10
