"""Log-mel features where the network is: those of numpy, and sounds decoded by them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from whisperlab.audio import Waveform, decode
from whisperlab.dataset.demo import FOLDER as DEMO
from whisperlab.engine import torch_features
from whisperlab.engine.decoding.vocabulary import read_vocabulary
from whisperlab.engine.log_mel import LogMel
from whisperlab.engine.model import EMBEDDED_FOLDER
from whisperlab.engine.network_engine import NetworkEngine
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import SilentWatch
from whisperlab.engine.torch_features import TorchLogMel, to_device
from whisperlab.engine.torch_layers import Format
from whisperlab.engine.torch_network import TorchNetwork
from whisperlab.engine.whisper_shape import read_shape
from whisperlab.engine.whisper_weights import Weights

CPU = torch.device("cpu")
CHECKPOINT = EMBEDDED_FOLDER / "whisperlab-digits"


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("n_samples", [0, 1, 199, 200, 400, 16_000, 479_999, 480_000, 480_161])
def test_features_on_a_device_are_those_of_numpy(n_mels: int, n_samples: int) -> None:
    samples = np.random.default_rng(n_samples).normal(scale=0.1, size=n_samples).astype(np.float32)
    expected = LogMel(n_mels)(samples)
    found = TorchLogMel(n_mels, CPU)(samples).numpy()
    assert found.shape == expected.shape
    # A float32 near 2 has steps of 2.4e-7: the two logarithms may round to neighbours.
    assert np.abs(found - expected).max() <= 5e-7


def test_a_sound_of_several_blocks_is_that_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    whole = TorchLogMel(80, CPU)(samples)
    monkeypatch.setattr(torch_features, "BLOCK_FRAMES", 1000)
    assert torch.equal(TorchLogMel(80, CPU)(samples), whole)


def engine(features: TorchLogMel | None) -> NetworkEngine:
    shape, vocabulary = read_shape(CHECKPOINT), read_vocabulary(CHECKPOINT)
    to = Format(CPU, torch.float32, int8=False)
    network = TorchNetwork(Weights(CHECKPOINT), shape, to, vocabulary.alignment_heads)
    return NetworkEngine(
        network, CHECKPOINT, shape, vocabulary, multilingual=True, rows=2, features=features
    )


def test_sounds_short_and_long_say_the_same_by_either_features() -> None:
    demo = [decode(DEMO / f"digits-0{number}.flac") for number in range(6)]
    long = Waveform(np.concatenate([sound.samples for sound in [*demo, *demo]] * 2))
    assert long.duration_seconds > 30
    sounds, options = [*demo[:2], long], DecodeOptions(language="en")
    found = [
        [part.tokens for one in engine(features).transcribe(sounds, options, SilentWatch()) for part in one.segments]
        for features in (None, TorchLogMel(80, CPU))
    ]  # fmt: skip
    assert found[0] == found[1]
    assert sum(map(len, found[0])) > 30


def test_what_is_on_the_device_already_is_not_copied() -> None:
    tensor = torch.arange(3)
    assert to_device(tensor, CPU) is tensor


@pytest.mark.gpu
def test_pinned_copies_arrive_whole_while_the_gpu_is_busy() -> None:
    gpu = torch.device("cuda")
    busy = torch.randn(4096, 4096, device=gpu)
    sent = []
    for number in range(50):
        busy = busy @ busy / 64
        sent.append(to_device(torch.full((100_000,), float(number)), gpu))
    assert [float(one.mean()) for one in sent] == [float(number) for number in range(50)]
