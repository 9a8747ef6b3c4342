"""engine=torch: the choice on the device, rows that move, precisions, refusals, recorded sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from joining_rows import check_joining
from torch import Tensor

from whisperlab.audio import Waveform, decode
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.dataset.demo import FOLDER as DEMO
from whisperlab.engine import torch_choice, torch_network
from whisperlab.engine.decoding.network import Floats
from whisperlab.engine.decoding.rules import Rules, log_sum_exp
from whisperlab.engine.decoding.vocabulary import Vocabulary, read_vocabulary
from whisperlab.engine.network_engine import NetworkEngine
from whisperlab.engine.torch_features import TorchLogMel
from whisperlab.engine.torch_layers import Format, Linear
from whisperlab.engine.torch_network import TorchNetwork, recorded_size
from whisperlab.engine.whisper_shape import read_shape
from whisperlab.engine.whisper_weights import Weights
from whisperlab.errors import UnsupportedOptionError
from whisperlab.transcript import Transcript

CHECKPOINT = Path(__file__).parents[2] / "whisperlab" / "engine" / "embedded" / "whisperlab-digits"
PROMPT = (3, 4, 5)
FLOAT32 = Format(torch.device("cpu"), torch.float32, int8=False)
SIZE = 30
SMALL = Vocabulary(
    start=11, end=10, positions=20, no_timestamps=14, suppressed=(2, 7), suppressed_at_begin=(1, 10),
    last_initial_timestamp=5,
)  # fmt: skip
"""Ten text tokens, the end, specials, and timestamps from 15 on."""


@given(
    seed=st.integers(0, 2**32 - 1),
    texts=st.lists(st.lists(st.integers(0, SIZE - 1), max_size=5), min_size=1, max_size=4),
    timestamps=st.booleans(),
)
def test_the_choice_on_the_device_is_that_of_the_rules_row_by_row(
    seed: int, texts: list[list[int]], timestamps: bool
) -> None:
    rules = Rules(SMALL, timestamps=timestamps)
    random = np.random.default_rng(seed)
    logits = random.normal(scale=4, size=(len(texts), SIZE)).astype(np.float32)
    bans = [rules.ban(text) for text in texts]
    tokens, logprobs = torch_choice.likeliest(torch.from_numpy(logits.copy()), rules, bans)
    for row, (scores, text) in enumerate(zip(logits, texts, strict=True)):
        rules.apply(scores, text)
        likeliest = scores.argmax()
        assert tokens[row] == likeliest
        assert logprobs[row] == pytest.approx(scores[likeliest] - log_sum_exp(scores), abs=1e-5)


def network() -> TorchNetwork:
    vocabulary = read_vocabulary(CHECKPOINT)
    return TorchNetwork(
        Weights(CHECKPOINT), read_shape(CHECKPOINT), FLOAT32, vocabulary.alignment_heads
    )


def test_rows_that_are_dropped_repeated_and_reordered_go_on_as_if_alone() -> None:
    random = np.random.default_rng(0)
    windows = [random.normal(size=(80, 3000)).astype(np.float32) for _ in range(3)]
    together = network()
    together.hear(windows)
    together.begin([0, 1, 2], [PROMPT, (9, *PROMPT), PROMPT], 1)
    together.step([20, 21, 22], [0, 1, 2])
    found = together.step([30, 31], [2, 1])  # row 0 has ended
    repeated = together.step([40, 41, 42, 43], [0, 0, 1, 1])  # two beams a window
    alone = network()
    alone.hear(windows[1:])
    for place, (window, prompt, tokens) in enumerate(
        ((1, PROMPT, (22, 30, 41)), (0, (9, *PROMPT), (21, 31, 43)))
    ):
        alone.begin([window], [prompt], 1)
        alone.step(tokens[:1], [0])
        assert found[place] == pytest.approx(alone.step(tokens[1:2], [0])[0], abs=1e-4)
        assert repeated[2 * place + 1] == pytest.approx(alone.step(tokens[2:], [0])[0], abs=1e-4)


def test_texts_join_and_windows_change_while_others_are_written() -> None:
    alone = network()

    def logits_of(window: Floats, text: list[int]) -> Floats:
        alone.hear([window])
        return np.concatenate(alone.begin([0], [text], 2))

    check_joining(network(), 80, logits_of)


def test_a_hidden_prompt_token_changes_nothing() -> None:
    windows = [np.random.default_rng(1).normal(size=(80, 3000)).astype(np.float32)]
    one = network()
    one.hear(windows)
    plain = one.begin([0], [PROMPT], 1)
    padded = one.begin([0, 0], [PROMPT, (9, 9, 9, *PROMPT)], 1)
    assert padded.at_end[0] == pytest.approx(plain.at_end[0], abs=1e-4)
    assert padded.at_start[0] == pytest.approx(plain.at_start[0], abs=1e-4)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_a_smaller_precision_still_hears_the_digits(precision: str) -> None:
    overrides = ["engine=torch", "device=cpu", f"quantization={precision}", "decode.language=en"]
    exact = build_transcriber(compose("transcriber", [overrides[0], *overrides[1:2], overrides[3]]))
    coarse = build_transcriber(compose("transcriber", overrides))
    sound = decode(DEMO / "digits-04.flac")
    assert coarse.transcribe(sound).text == exact.transcribe(sound).text


def test_int8_weights_are_within_half_a_step_of_the_checkpoint_s() -> None:
    weight = torch.randn(24, 32, generator=torch.Generator().manual_seed(0))
    linear = Linear(weight, None, Format(torch.device("cpu"), torch.bfloat16, int8=True))
    got = linear(torch.eye(32, dtype=torch.bfloat16)).float().T
    step = weight.abs().amax(1, keepdim=True) / 127
    assert ((got - weight).abs() <= step / 2 + 0.02 * weight.abs()).all()  # bfloat16: 8 bits


def test_a_precision_of_other_engines_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedOptionError, match="it can do: none, float16, bfloat16, int8"):
        build_transcriber(compose("transcriber", ["engine=torch", "quantization=bnb_nf4"]))


def test_few_sizes_are_recorded_and_none_is_more_than_half_idle() -> None:
    sizes = {recorded_size(n) for n in range(1, 257)}
    assert len(sizes) < 16
    assert all(n <= recorded_size(n) < 2 * n for n in range(1, 257))


def tokens_of(transcript: Transcript | None) -> list[tuple[tuple[int, ...], float, float]]:
    """What was said and when."""
    assert transcript is not None
    return [(tuple(part.tokens), part.start, part.end) for part in transcript.segments]


def played_on_the_processor(step: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """Stands in for a CUDA graph: runs the same step over the same tensors, into the same logits."""
    logits = step()

    def replay() -> None:
        logits.copy_(step())

    return logits, replay


@pytest.mark.parametrize(("rows", "beams"), [("3", 1), ("null", 2)])
def test_recorded_sizes_say_what_each_sound_says_alone(
    monkeypatch: pytest.MonkeyPatch, rows: str, beams: int
) -> None:
    """Idle rows, few places, rows that move, memory that grows: all but the GPU itself."""
    monkeypatch.setattr(torch_network, "recorded", played_on_the_processor)
    monkeypatch.setattr(torch_network, "FEWEST_PLACES", 8)
    chosen = ["engine=torch", "device=cpu", "decode.language=en", f"decode.beam_size={beams}"]
    plain = build_transcriber(compose("transcriber", chosen))
    played = build_transcriber(compose("transcriber", [*chosen, f"engine.rows={rows}"]))
    engine = played.load()
    assert isinstance(engine, NetworkEngine)
    assert isinstance(engine._network, TorchNetwork)
    engine._network._records = True
    sounds = [decode(DEMO / f"digits-{number:02}.flac") for number in range(6)]
    sounds.append(Waveform(np.concatenate([sound.samples for sound in sounds])))
    for batch in (sounds[:2], sounds):  # the second needs more memory than the first
        alone = [plain.transcribe(sound) for sound in batch]
        together = [one.transcript for one in played.recognise(list(batch))]
        assert [tokens_of(one) for one in together] == [tokens_of(one) for one in alone]
    sizes = engine._network._recorded
    assert len({places for _, _, places in sizes}) > 1


@pytest.mark.parametrize("int8", [False, True])
@torch.inference_mode()
def test_nothing_of_a_step_is_left_on_the_processor(
    monkeypatch: pytest.MonkeyPatch, int8: bool
) -> None:
    """Tensors with a device and no numbers: an operation that mixes devices or types raises."""
    elsewhere = torch.device("meta")
    monkeypatch.setattr(torch_network, "recorded", played_on_the_processor)
    monkeypatch.setitem(torch_network.ENCODED_TOGETHER, "meta", 32)
    monkeypatch.setattr(Tensor, "cpu", lambda one: torch.zeros(one.shape))
    vocabulary = read_vocabulary(CHECKPOINT)
    rules = Rules(vocabulary, timestamps=True)
    features = TorchLogMel(80, elsewhere)
    to = Format(elsewhere, torch.bfloat16, int8)
    there = TorchNetwork(
        Weights(CHECKPOINT), read_shape(CHECKPOINT), to, vocabulary.alignment_heads
    )
    there._records = True
    windows = [features(np.ones(16_000 * seconds, np.float32)) for seconds in (1, 30, 31)]
    assert {window.device.type for window in windows} == {"meta"}
    numbers = there.hear([window[:, :3000] for window in windows])
    there.begin(numbers, [PROMPT] * 3, 1)
    logits = there._step([20, 21, 22], [0, 1, 2])
    chosen = torch_choice.likeliest(logits, rules, [rules.ban(text) for text in ([], [20], [20, 21])])  # fmt: skip
    assert (logits.device.type, logits.dtype) == ("meta", torch.float32)
    assert (chosen.device.type, chosen.shape) == ("meta", (2, 3))
    there._step([23, 24], [2, 0])  # one has ended, another takes its row
    there.hear([windows[0]], numbers[::2])
    there.begin([1], [(9, *PROMPT)], 1, [0, -1, 1])
    assert there._step([25, 26, 27], [0, 1, 2]).shape == logits.shape
    there.attend(0, [*PROMPT, 20])


@pytest.mark.gpu
@pytest.mark.parametrize("rows", ["3", "null"])
def test_a_recorded_step_says_what_generate_says(rows: str) -> None:
    sounds = [decode(DEMO / f"digits-{number:02}.flac") for number in range(12)]
    chosen = ["decode.language=en"]
    said = [
        [
            tokens_of(one.transcript)
            for one in build_transcriber(compose("transcriber", [*chosen, *engine])).recognise(
                list(sounds)
            )
        ]
        for engine in (
            ["engine=torch", "device=cuda", f"engine.rows={rows}"],
            ["engine=hf", "device=cpu"],
        )
    ]
    assert said[0] == said[1]


@pytest.mark.gpu
def test_int8_weights_multiply_on_a_gpu_as_on_the_processor() -> None:
    weight = torch.randn(24, 32, generator=torch.Generator().manual_seed(0))
    x = torch.randn(5, 32, generator=torch.Generator().manual_seed(1)).bfloat16()
    here, there = (
        Linear(weight, None, Format(torch.device(name), torch.bfloat16, int8=True))(
            x.to(name)
        ).cpu()
        for name in ("cpu", "cuda")
    )
    assert torch.allclose(here.float(), there.float(), rtol=0.02, atol=0.05)
