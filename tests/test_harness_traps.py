"""Ordinary mistakes of ASR harnesses (EVALUATION.md, traps), each ruled out by a test.

Elsewhere: normalising twice (tests/normalize), "first N" subsets (tests/dataset), text that depends
on the batch (tests/engine), API time with retries (tests/engine/test_remote_engine.py), memory by name
(tests/experiment/test_timing.py). Nothing sorts by duration: no option does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from transformers import WhisperFeatureExtractor

from whisperlab.audio import Waveform, decode
from whisperlab.config.build import build_profile, build_transcriber
from whisperlab.config.compose import compose
from whisperlab.engine.model import EMBEDDED_FOLDER
from whisperlab.engine.options import DecodeOptions
from whisperlab.metric.score import score_pair
from whisperlab.metric.wer import WordErrorRate
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import Finish

DIGITS = EMBEDDED_FOLDER / "whisperlab-digits"
DEMO = Path(str(EMBEDDED_FOLDER)).parents[1] / "dataset" / "demo"


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    return build_transcriber(compose("transcriber", ["device=cpu", "decode.language=en"]))


@pytest.fixture(scope="module")
def clips() -> list[Path]:
    found = sorted(DEMO.rglob("digits-0*.flac"))[:4]
    assert len(found) == 4
    return found


def test_sound_is_padded_not_features(transcriber: Transcriber, clips: list[Path]) -> None:
    """Padding features with zeros puts a loud plateau after the speech (26.0 against 14.5 WER)."""
    sound = decode(clips[0])
    engine = transcriber.load()
    given = engine._inputs([sound], words=False)["input_features"][0].numpy()  # type: ignore[attr-defined] # what the model is given
    silence = np.zeros(30 * 16_000 - len(sound.samples), dtype=np.float32)
    padded = np.concatenate([sound.samples, silence])
    extractor = WhisperFeatureExtractor.from_pretrained(DIGITS)
    expected = extractor(padded, sampling_rate=16_000, return_tensors="np").input_features[0]
    np.testing.assert_allclose(
        given, expected, atol=5e-5
    )  # float32 spectra, one kernel or the other; 1.6e-5 was seen on an Intel, a plateau is 1


def test_the_batch_and_its_order_do_not_change_a_text(
    transcriber: Transcriber, clips: list[Path]
) -> None:
    alone = [transcriber.transcribe(clip).text for clip in clips]
    together = transcriber.recognise(list(clips))
    backwards = transcriber.recognise(list(reversed(clips)))
    assert [item.transcript.text for item in together if item.transcript] == alone
    assert [item.transcript.text for item in backwards if item.transcript] == alone[::-1]


def test_conditioning_on_previous_text_has_one_default_that_is_handed_on(
    transcriber: Transcriber,
) -> None:
    assert DecodeOptions().condition_on_previous_text is False
    handed = transcriber.load()._generate_options(DecodeOptions(), long_form=True)  # type: ignore[attr-defined] # what generate is given
    assert handed["condition_on_prev_tokens"] is False


def test_the_checkpoint_s_own_suppression_survives_a_call(
    transcriber: Transcriber, clips: list[Path]
) -> None:
    config = transcriber.load()._model.generation_config  # type: ignore[attr-defined] # the checkpoint's own
    before = (config.suppress_tokens, config.begin_suppress_tokens, config.max_length)
    transcriber.transcribe(clips[0])
    assert (config.suppress_tokens, config.begin_suppress_tokens, config.max_length) == before


def test_glued_digit_words_change_the_denominator_and_basic_keeps_them_apart() -> None:
    words = {}
    for name in ("basic", "whisper-english"):
        profile = build_profile(compose("eval", [f"profile={name}"]))
        score = score_pair(profile, [WordErrorRate()], "one two three", "one two three")
        words[name] = score.counts["wer"].reference_length
    assert words == {"basic": 3, "whisper-english": 1}


def test_text_cut_by_the_token_cap_is_told(clips: list[Path]) -> None:
    capped = build_transcriber(
        compose("transcriber", ["device=cpu", "decode.language=en", "decode.max_new_tokens=1"])
    )
    recognition = capped.recognise([clips[0]])[0]
    assert recognition.transcript is not None
    assert recognition.transcript.finish is Finish.TRUNCATED


def test_durations_are_not_rounded(transcriber: Transcriber, tmp_path: Path) -> None:
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.zeros(23_457, dtype=np.int16), 16_000)
    assert transcriber.recognise([path])[0].audio_seconds == 23_457 / 16_000


def test_a_sound_in_memory_and_its_file_have_one_text(
    transcriber: Transcriber, clips: list[Path]
) -> None:
    waveform: Waveform = decode(clips[1])
    texts = {
        transcriber.transcribe(clips[1]).text,
        transcriber.transcribe(clips[1].read_bytes()).text,
        transcriber.transcribe(waveform).text,
    }
    assert len(texts) == 1
