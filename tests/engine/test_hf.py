"""The hf engine gives generate's own tokens, through the whole Transcriber."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from random_whisper import save_random_whisper
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from whisperlab.audio import Samples, Waveform
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.device import Device, Quantization
from whisperlab.engine.hf import HfSettings
from whisperlab.engine.model import ModelSpec
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import SilentWatch
from whisperlab.errors import InferenceError, ModelError, UnsupportedOptionError
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import Finish, Segment, Transcript

END_OF_TEXT = 50_257
CAP = 12
"""Tokens a window: enough to vary and to loop, few enough for a test."""


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whisper")
    return {size: save_random_whisper(folder / size, size) for size in ("tiny", "base")}


@pytest.fixture(scope="session")
def tiny(checkpoints: dict[str, Path]) -> Path:
    return checkpoints["tiny"]


@pytest.fixture(scope="session")
def recordings(test_data: Path) -> list[Path]:
    return sorted((test_data / "english_dev" / "audio").glob("ls-*.flac"))[:4]


@pytest.fixture(scope="session")
def long_recording(recordings: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.flac"
    joined = np.concatenate([samples(recording) for recording in recordings])
    assert len(joined) > 31 * 16_000
    soundfile.write(path, joined, 16_000)
    return path


def samples(path: Path) -> Samples:
    read: Samples = soundfile.read(path, dtype="float32")[0]
    return read


def transcriber(folder: Path, *overrides: str) -> Transcriber:
    source = [f"model.source={folder}", "model.revision=null", "device=cpu"]
    cap = f"decode.max_new_tokens={CAP}"
    return build_transcriber(compose("transcriber", [*source, cap, *overrides]))


def independent_tokens(folder: Path, batch: Sequence[Samples], **options: Any) -> list[list[int]]:
    """What ``generate`` gives when it is called as transformers' documentation says."""
    model = WhisperForConditionalGeneration.from_pretrained(folder)
    processor = WhisperProcessor.from_pretrained(folder)
    long_form = max(len(row) for row in batch) > 30 * 16_000
    extra: dict[str, Any] = {}
    if long_form:
        extra = {"truncation": False, "padding": "longest", "return_attention_mask": True}
    inputs = processor(list(batch), sampling_rate=16_000, return_tensors="pt", **extra)
    with torch.no_grad():
        rows = model.generate(**inputs, max_new_tokens=CAP, **options)
    found = []
    for row in rows.tolist():
        while row and row[-1] == END_OF_TEXT:
            row.pop()
        found.append(row)
    return found


def tokens(transcript: Transcript) -> list[int]:
    return [token for segment in transcript.segments for token in segment.tokens]


def said(built: Transcriber, paths: Sequence[Path]) -> list[Transcript]:
    transcripts = [recognition.transcript for recognition in built.recognise(list(paths))]
    assert all(transcript is not None for transcript in transcripts)
    return [transcript for transcript in transcripts if transcript is not None]


@pytest.mark.parametrize("timestamps", ["none", "segment"])
@pytest.mark.parametrize(
    ("size", "batch"),
    [("tiny", 1), ("tiny", 4), ("base", 1), pytest.param("base", 4, marks=pytest.mark.slow)],
)
def test_short_form_tokens_equal_an_independent_generate_call(
    checkpoints: dict[str, Path], recordings: list[Path], size: str, batch: int, timestamps: str
) -> None:
    checkpoint = checkpoints[size]
    chosen = recordings[:batch]
    expected = independent_tokens(
        checkpoint,
        [samples(path) for path in chosen],
        language="en",
        task="transcribe",
        return_timestamps=timestamps == "segment",
    )
    built = transcriber(checkpoint, "decode.language=en", f"decode.timestamps={timestamps}")
    got = said(built, chosen)
    assert [tokens(transcript) for transcript in got] == expected
    assert len({tuple(row) for row in expected}) == batch  # a constant output would prove nothing
    processor = WhisperProcessor.from_pretrained(checkpoint)
    texts = processor.batch_decode(
        [[token for token in row if token < END_OF_TEXT] for row in expected]
    )
    assert [transcript.text for transcript in got] == [text.strip() for text in texts]


@pytest.mark.parametrize("batch", [1, 4])
def test_long_form_tokens_equal_an_independent_generate_call(
    tiny: Path, long_recording: Path, recordings: list[Path], batch: int, tmp_path: Path
) -> None:
    whole = samples(long_recording)
    cuts = [whole, whole[16_000:], whole[: 31 * 16_000], whole[8_000 : 33 * 16_000]][:batch]
    paths = []
    for index, cut in enumerate(cuts):
        paths.append(tmp_path / f"{index}.flac")
        soundfile.write(paths[-1], cut, 16_000)
    expected = independent_tokens(
        tiny,
        [samples(path) for path in paths],
        language="en",
        task="transcribe",
        return_timestamps=True,
    )
    got = said(transcriber(tiny, "decode.language=en"), paths)
    assert [tokens(transcript) for transcript in got] == expected
    for transcript, cut in zip(got, cuts, strict=True):
        ends = [segment.end for segment in transcript.segments]
        assert all(end <= len(cut) / 16_000 for end in ends)


def test_the_language_is_detected_as_transformers_detects_it(
    tiny: Path, recordings: list[Path]
) -> None:
    model = WhisperForConditionalGeneration.from_pretrained(tiny)
    processor = WhisperProcessor.from_pretrained(tiny)
    inputs = processor(samples(recordings[0]), sampling_rate=16_000, return_tensors="pt")
    found = processor.tokenizer.convert_ids_to_tokens(model.detect_language(**inputs).tolist())
    transcript = said(transcriber(tiny), recordings[:1])[0]
    assert f"<|{transcript.language}|>" == found[0]
    expected = independent_tokens(
        tiny, [samples(recordings[0])], task="transcribe", return_timestamps=True
    )
    assert [tokens(transcript)] == expected


def test_translate_and_beam_search_reach_generate(tiny: Path, recordings: list[Path]) -> None:
    expected = independent_tokens(
        tiny,
        [samples(path) for path in recordings[:2]],
        language="de",
        task="translate",
        num_beams=3,
        return_timestamps=False,
    )
    built = transcriber(
        tiny,
        "decode.language=de",
        "decode.task=translate",
        "decode.beam_size=3",
        "decode.timestamps=none",
    )
    assert [tokens(transcript) for transcript in said(built, recordings[:2])] == expected


def test_a_short_sound_s_text_does_not_depend_on_a_long_neighbour(
    tiny: Path, recordings: list[Path], long_recording: Path
) -> None:
    built = transcriber(tiny, "decode.language=en")
    alone = said(built, recordings[:1])[0]
    beside = said(built, [long_recording, recordings[0]])[1]
    assert tokens(beside) == tokens(alone)


def test_a_long_sound_s_text_does_not_depend_on_a_longer_neighbour(
    tiny: Path, long_recording: Path
) -> None:
    built = transcriber(tiny, "decode.language=en")
    whole = samples(long_recording)
    half_a_frame_more = Waveform(whole[: 30 * 16_000 + 240])
    alone, beside = (
        built.recognise([half_a_frame_more, *others])[0].transcript
        for others in ([], [Waveform(whole[: 31 * 16_000])])
    )
    assert alone is not None
    assert beside is not None
    assert tokens(beside) == tokens(alone)
    averages = [[one.avg_logprob for one in said.segments] for said in (beside, alone)]
    assert averages[0] == pytest.approx(averages[1], abs=1e-3)


class Listening(SilentWatch):
    """Counts the segments of each row, and how often each is asked whether it goes on."""

    def __init__(self) -> None:
        self.heard: Counter[int] = Counter()
        self.asked: Counter[int] = Counter()

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        self.heard[index] += 1

    def cancelled(self, index: int) -> bool:
        self.asked[index] += 1
        return False


def test_a_row_whose_best_tokens_tie_is_decoded_again_alone_and_told_once(
    tiny: Path, recordings: list[Path], tmp_path: Path
) -> None:
    indifferent = WhisperForConditionalGeneration.from_pretrained(tiny)
    torch.nn.init.zeros_(indifferent.model.decoder.embed_tokens.weight)  # every logit is 0
    folder = tmp_path / "indifferent"
    shutil.copytree(tiny, folder)
    indifferent.save_pretrained(folder)
    asked = {}
    for name, checkpoint in (("sure", tiny), ("tied", folder)):
        built = transcriber(checkpoint, "decode.language=en", "decode.timestamps=none")
        watch = Listening()
        batch = [item.transcript for item in built.recognise(recordings[:2], watch)]
        alone = [said(built, [recording])[0] for recording in recordings[:2]]
        assert [said_together and tokens(said_together) for said_together in batch] == [
            tokens(one) for one in alone
        ]
        assert watch.heard == {0: 1, 1: 1}
        asked[name] = watch.asked
    assert all(asked["tied"][row] >= 2 * CAP > asked["sure"][row] for row in (0, 1))


def test_the_token_cap_is_told_as_truncated(tiny: Path, recordings: list[Path]) -> None:
    built = transcriber(tiny, "decode.language=en", "decode.timestamps=none")
    transcript = said(built, recordings[:1])[0]
    assert len(tokens(transcript)) == CAP
    assert transcript.finish is Finish.TRUNCATED


class StopFirst(SilentWatch):
    """Cancels row 0 at its third question and hears all segments."""

    def __init__(self) -> None:
        self.asked = 0
        self.heard: list[tuple[int, Segment]] = []

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        self.heard.append((index, segment))

    def cancelled(self, index: int) -> bool:
        if index == 0:
            self.asked += 1
        return index == 0 and self.asked > 2


@pytest.mark.parametrize("beams", [1, 3])
def test_a_cancelled_row_stops_within_a_step_and_its_neighbour_does_not_notice(
    tiny: Path, recordings: list[Path], beams: int
) -> None:
    built = transcriber(
        tiny, "decode.language=en", "decode.timestamps=none", f"decode.beam_size={beams}"
    )
    calm = said(built, recordings[:2])
    watch = StopFirst()
    first, second = (item.transcript for item in built.recognise(recordings[:2], watch))
    assert first is not None
    assert second is not None
    assert first.finish is Finish.CANCELLED
    assert len(tokens(first)) == 3
    assert tokens(second) == tokens(calm[1])
    assert {index for index, _ in watch.heard} == {0, 1}


def test_a_time_out_ends_long_form_and_says_so(tiny: Path, long_recording: Path) -> None:
    built = transcriber(tiny, "decode.language=en", "decode.timeout_seconds=0.001")
    recognition = built.recognise([long_recording])[0]
    assert recognition.timed_out
    with pytest.raises(InferenceError, match="timeout_seconds") as caught:
        built.transcribe(long_recording)
    assert caught.value.code == "inference_timeout"


def test_stages_are_measured_and_add_up(tiny: Path, recordings: list[Path]) -> None:
    timings = transcriber(tiny, "decode.language=en").recognise(recordings[:2])[0].timings
    stages = {"features", "encode", "decode_tokens", "detokenise"}
    assert stages | {"read", "decode", "preprocess", "total"} <= timings.keys()
    assert all(seconds >= 0 for seconds in timings.values())
    assert timings["total"] >= sum(timings[stage] for stage in stages)


def test_weights_that_are_not_numbers_are_found_at_the_first_utterance(
    tiny: Path, recordings: list[Path], tmp_path: Path
) -> None:
    model = WhisperForConditionalGeneration.from_pretrained(tiny)
    with torch.no_grad():
        model.model.decoder.layers[0].fc1.weight.fill_(float("nan"))
    model.save_pretrained(tmp_path / "nan")
    WhisperProcessor.from_pretrained(tiny).save_pretrained(tmp_path / "nan")
    recognition = transcriber(tmp_path / "nan", "decode.language=en").recognise(recordings[:1])[0]
    assert recognition.error is not None
    assert recognition.error.code == "non_finite_logits"


def settings(folder: Path, **model: Any) -> HfSettings:
    spec = ModelSpec(name="test", source=str(folder), **model)
    return HfSettings(model=spec, device=Device("cpu"), quantization=Quantization("none"))


def test_an_english_only_model_refuses_other_languages_and_translation(tmp_path: Path) -> None:
    english = settings(tmp_path, multilingual=False)
    english.check(DecodeOptions(language="en"))
    with pytest.raises(UnsupportedOptionError, match="English only"):
        english.check(DecodeOptions(language="de"))
    with pytest.raises(UnsupportedOptionError, match="English only"):
        english.check(DecodeOptions(task="translate"))


def test_a_model_that_transformers_cannot_load_is_a_model_error(tiny: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny / name).read_bytes())
    with pytest.raises(ModelError, match="cannot load"):
        settings(tmp_path).load()


def test_bfloat16_loads_in_bfloat16(tiny: Path) -> None:
    spec = ModelSpec(name="test", source=str(tiny))
    engine = HfSettings(spec, Device("cpu"), Quantization("bfloat16")).load()
    said = engine.transcribe(
        [Waveform(np.zeros(16_000, dtype=np.float32))],
        DecodeOptions(language="en", max_new_tokens=4, timestamps="none"),
        SilentWatch(),
    )
    assert engine.precision == "bfloat16"
    assert len(tokens(said[0])) <= 4
