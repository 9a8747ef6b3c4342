"""The embedded checkpoint: a real Whisper, token-equal to transformers, in every precision."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from whisperlab.audio import Samples, Waveform, decode
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.engine.model import EMBEDDED_FOLDER
from whisperlab.engine.protocol import SilentWatch
from whisperlab.errors import UnsupportedOptionError
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import Transcript

FOLDER = EMBEDDED_FOLDER / "whisperlab-digits"
MAX_BYTES = 12_000_000
OPENAI = ("temperatures=[0.0,0.4,1.0]", "compression_ratio_threshold=2.0", "logprob_threshold=-0.3")


@cache
def independent() -> tuple[Any, Any]:
    model = WhisperForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32)
    return model, WhisperProcessor.from_pretrained(FOLDER)


def transcriber(*decode_options: str, quantization: str = "none") -> Transcriber:
    overrides = [f"decode.{option}" for option in decode_options]
    return build_transcriber(
        compose("transcriber", ["device=cpu", f"quantization={quantization}", *overrides])
    )


def expected_tokens(batch: Sequence[Samples], **options: Any) -> list[list[int]]:
    model, processor = independent()
    extra: dict[str, Any] = {}
    if max(len(row) for row in batch) > 30 * 16_000:
        extra = {"truncation": False, "padding": "longest", "return_attention_mask": True}
    inputs = processor(list(batch), sampling_rate=16_000, return_tensors="pt", **extra)
    with torch.no_grad():
        torch.manual_seed(0)
        rows = model.generate(**inputs, **options)
    if not isinstance(rows, torch.Tensor):
        rows = rows["sequences"]
    end = model.generation_config.eos_token_id
    found = []
    for row in rows.tolist():
        while row and row[-1] == end:
            row.pop()
        found.append(row)
    return found


def tokens(transcript: Transcript | None) -> list[int]:
    assert transcript is not None
    return [token for segment in transcript.segments for token in segment.tokens]


def rows_of(test_data: Path, name: str) -> list[dict[str, Any]]:
    lines = (test_data / "fsdd" / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def sounds(test_data: Path, name: str, count: int, **where: str) -> list[Waveform]:
    """Evenly spaced rows of a manifest of FSDD, decoded."""
    rows = [row for row in rows_of(test_data, name) if all(row[key] == where[key] for key in where)]
    chosen = rows[:: max(1, len(rows) // count)][:count]
    return [decode(test_data / "fsdd" / row["audio_filepath"]) for row in chosen]


def english(test_data: Path, count: int) -> list[Waveform]:
    """Speech that the model does not know: it loops, which is what is wanted here."""
    paths = sorted((test_data / "english_dev" / "audio").glob("*.flac"))
    return [decode(path) for path in paths[:: len(paths) // count][:count]]


def check_equality(
    waveforms: Sequence[Waveform], batch_size: int, timestamps: str, beams: int
) -> None:
    built = transcriber("language=en", f"timestamps={timestamps}", f"beam_size={beams}")
    for first in range(0, len(waveforms), batch_size):
        batch = waveforms[first : first + batch_size]
        wanted = expected_tokens(
            [waveform.samples for waveform in batch],
            language="en",
            task="transcribe",
            num_beams=beams,
            return_timestamps=timestamps == "segment",
        )
        got = [tokens(recognition.transcript) for recognition in built.recognise(list(batch))]
        assert got == wanted


@pytest.mark.parametrize(("batch_size", "timestamps"), [(1, "none"), (8, "segment")])
def test_tokens_equal_an_independent_generate_call(
    test_data: Path, batch_size: int, timestamps: str
) -> None:
    waveforms = [
        *sounds(test_data, "test.jsonl", 4),
        *sounds(test_data, "test_strings.jsonl", 4),
    ]
    check_equality(waveforms, batch_size, timestamps, 1)


@pytest.mark.slow
@pytest.mark.parametrize("beams", [1, 5])
@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("timestamps", ["none", "segment"])
def test_tokens_equal_generate_on_many_recordings(
    test_data: Path, beams: int, batch_size: int, timestamps: str
) -> None:
    waveforms = [
        *sounds(test_data, "test.jsonl", 12),
        *sounds(test_data, "test_strings.jsonl", 12),
    ]
    check_equality(waveforms, batch_size, timestamps, beams)


@pytest.mark.slow
def test_tokens_equal_generate_on_speech_that_makes_it_loop(test_data: Path) -> None:
    check_equality([w for w in english(test_data, 6) if w.duration_seconds < 30], 2, "segment", 1)


def joined(test_data: Path, count: int) -> Waveform:
    strings = sounds(test_data, "test_strings.jsonl", count, kind="short")
    return Waveform(np.concatenate([string.samples for string in strings]))


def test_long_form_tokens_equal_an_independent_generate_call(test_data: Path) -> None:
    check_equality([joined(test_data, 10)], 1, "segment", 1)


@pytest.mark.slow
def test_minutes_of_long_form_equal_generate_in_a_batch(test_data: Path) -> None:
    check_equality([joined(test_data, 40), joined(test_data, 25)], 2, "segment", 1)


def test_fallback_takes_generate_s_tokens_and_tells_its_trail(test_data: Path) -> None:
    batch = english(test_data, 2)
    assert all(waveform.duration_seconds < 30 for waveform in batch)
    wanted = expected_tokens(
        [waveform.samples for waveform in batch],
        language="en",
        task="transcribe",
        return_timestamps=False,
        temperature=(0.0, 0.4, 1.0),
        compression_ratio_threshold=2.0,
        logprob_threshold=-0.3,
        max_new_tokens=40,
    )
    built = transcriber("language=en", "timestamps=none", "max_new_tokens=40", *OPENAI)
    transcripts = [recognition.transcript for recognition in built.recognise(list(batch))]
    assert [tokens(transcript) for transcript in transcripts] == wanted
    segments = [s for transcript in transcripts if transcript for s in transcript.segments]
    trails = [[one.temperature for one in segment.tries] for segment in segments]
    assert any(len(trail) > 1 for trail in trails)
    for segment in segments:
        assert [one.temperature for one in segment.tries] == [0.0, 0.4, 1.0][: len(segment.tries)]
        assert [one.accepted for one in segment.tries][-1]
        assert not any(one.accepted for one in segment.tries[:-1])
        assert segment.temperature == segment.tries[-1].temperature
        assert segment.avg_logprob == segment.tries[-1].avg_logprob


def test_a_prompt_and_previous_text_reach_generate(test_data: Path) -> None:
    _, processor = independent()
    whole = joined(test_data, 8)
    wanted = expected_tokens(
        [whole.samples],
        language="en",
        task="transcribe",
        return_timestamps=True,
        prompt_ids=processor.get_prompt_ids("one two", return_tensors="pt"),
        condition_on_prev_tokens=True,
    )
    built = transcriber("language=en", "prompt=one two", "condition_on_previous_text=true")
    assert [tokens(built.transcribe(whole))] == wanted


def test_a_prompt_that_does_not_fit_or_holds_markers_is_refused(test_data: Path) -> None:
    sound = sounds(test_data, "test.jsonl", 1)[0]
    with pytest.raises(UnsupportedOptionError, match="223 tokens"):
        transcriber(f"prompt={'one ' * 300}").transcribe(sound)
    with pytest.raises(UnsupportedOptionError, match="special token"):
        transcriber("prompt='<|endoftext|>'").transcribe(sound)


@pytest.mark.parametrize("beams", [1, 5])
def test_log_probabilities_are_the_model_s(test_data: Path, beams: int) -> None:
    """Against one forward pass over the finished text, with the rules' suppression left out."""
    sound = sounds(test_data, "test_strings.jsonl", 1)[0]
    transcript = transcriber("language=en", "timestamps=none", f"beam_size={beams}").transcribe(
        sound
    )
    segment = transcript.segments[0]
    model, processor = independent()
    config = model.generation_config
    inputs = processor(sound.samples, sampling_rate=16_000, return_tensors="pt")
    prompt = [
        config.decoder_start_token_id,
        config.lang_to_id["<|en|>"],
        config.task_to_id["transcribe"],
        config.no_timestamps_token_id,
    ]
    whole = torch.tensor([[*prompt, *segment.tokens, config.eos_token_id]])
    with torch.no_grad():
        logits = model(**inputs, decoder_input_ids=whole).logits[0]
    chances = logits.log_softmax(dim=-1)
    predicted = [
        float(chances[position - 1, whole[0, position]])
        for position in range(len(prompt), whole.shape[1])
    ]
    assert segment.token_logprobs == pytest.approx(predicted[:-1], abs=2e-3)
    assert segment.avg_logprob == pytest.approx(sum(predicted) / len(predicted), abs=2e-3)
    no_speech = logits[0].softmax(dim=-1)[config.no_timestamps_token_id - 1]
    assert segment.no_speech_prob == pytest.approx(float(no_speech), abs=1e-4)


@pytest.mark.parametrize("beams", [1, 2])
def test_words_stand_in_order_inside_their_segment_and_the_sound(
    test_data: Path, beams: int
) -> None:
    built = transcriber("language=en", "timestamps=word", f"beam_size={beams}")
    strings = sounds(test_data, "test_strings.jsonl", 3, kind="short")
    for sound, recognition in zip(strings, built.recognise(list(strings)), strict=True):
        transcript = recognition.transcript
        assert transcript is not None
        words = [word for segment in transcript.segments for word in segment.words]
        assert " ".join(word.text for word in words).split() == transcript.text.split()
        cursor = 0.0
        for word in words:
            assert cursor <= word.start <= word.end <= sound.duration_seconds
            assert word.probability is not None
            assert 0 <= word.probability <= 1
            cursor = word.end


def test_word_times_ask_the_encoder_for_no_attention_weights(test_data: Path) -> None:
    """They would cost three times the whole decoding: 1,500 by 1,500 a head and layer, never read."""
    built = transcriber("language=en", "timestamps=word")
    engine: Any = built.settings.load()
    weights: list[Any] = []
    for layer in engine._model.get_encoder().layers:
        layer.self_attn.register_forward_hook(lambda *given: weights.append(given[-1][1]))
    string = sounds(test_data, "test_strings.jsonl", 1, kind="short")[0]
    [transcript] = engine.transcribe([string], built.options, SilentWatch())
    assert word_times(transcript)
    assert weights
    assert all(one is None for one in weights)


def word_times(transcript: Transcript) -> list[tuple[str, float, float]]:
    words = (word for segment in transcript.segments for word in segment.words)
    return [(word.text, word.start, word.end) for word in words]


@pytest.mark.parametrize(
    ("beams", "fallback"),
    [(1, ()), (5, ()), (1, ("temperatures=[0.0,0.0]", "logprob_threshold=-0.65"))],
)
def test_word_times_do_not_depend_on_the_neighbours(
    test_data: Path, beams: int, fallback: tuple[str, ...]
) -> None:
    """transformers aligns a row with its padding, and fails on the rows of a fallback."""
    built = transcriber("language=en", "timestamps=word", f"beam_size={beams}", *fallback)
    strings = sounds(test_data, "test_strings.jsonl", 4, kind="short")
    together = built.recognise(list(strings))
    tries = set()
    for sound, recognition in zip(strings, together, strict=True):
        assert recognition.batch_size == len(strings)  # none was tried again alone
        transcript = recognition.transcript
        assert transcript is not None
        assert transcript.segments[0].words
        tries.add(len(transcript.segments[0].tries))
        assert word_times(transcript) == word_times(built.transcribe(sound))
    assert tries == ({1, 2} if fallback else {1})  # some rows fell back, some did not


def test_a_segment_begins_where_its_first_timestamp_says(test_data: Path) -> None:
    """transformers gives a window's only segment the window's start, whatever its silence."""
    rows = [row for row in rows_of(test_data, "test_strings.jsonl") if row["kind"] == "short"][:4]
    built = transcriber("language=en")
    model, _ = independent()
    first_timestamp = model.generation_config.no_timestamps_token_id + 1
    for row in rows:
        segment = built.transcribe(test_data / "fsdd" / row["audio_filepath"]).segments[0]
        assert segment.start == pytest.approx(0.02 * (segment.tokens[0] - first_timestamp))
        assert segment.start == pytest.approx(row["words"][0]["start"], abs=0.5)


def test_word_times_do_not_change_what_is_decoded_afterwards(test_data: Path) -> None:
    sound = sounds(test_data, "test_strings.jsonl", 1)[0]
    built = transcriber("language=en", "timestamps=word")
    attention = built.load()._model.config._attn_implementation  # type: ignore[attr-defined] # the engine's own
    built.transcribe(sound)
    assert built.load()._model.config._attn_implementation == attention  # type: ignore[attr-defined] # the engine's own


PRECISIONS = ("none", "bfloat16", "float16", "dynamic_int8", "bnb_int8", "bnb_nf4", "bnb_fp4")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("quantization", PRECISIONS)
def test_every_precision_runs_here_and_hears_most_digits(
    test_data: Path, quantization: str
) -> None:
    rows = rows_of(test_data, "test.jsonl")[::30]
    built = transcriber("language=en", quantization=quantization)
    heard = built.recognise([test_data / "fsdd" / row["audio_filepath"] for row in rows])
    right = sum(
        recognition.transcript is not None and recognition.transcript.text == row["text"]
        for recognition, row in zip(heard, rows, strict=True)
    )
    assert right >= len(rows) - 2


def test_it_is_small_safe_and_says_where_it_comes_from() -> None:
    assert (FOLDER / "model.safetensors").stat().st_size <= MAX_BYTES
    assert {path.suffix for path in FOLDER.iterdir()} <= {".json", ".safetensors", ""}
    notice = (FOLDER / "NOTICE").read_text(encoding="utf-8")
    assert "Free Spoken Digit Dataset" in notice
    assert "CC BY-SA 4.0" in notice


def test_silence_is_empty_and_not_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(3 * 16_000, dtype=np.float32), 16_000)
    assert transcriber("language=en").transcribe(path).text == ""


@pytest.mark.slow
def test_word_times_are_near_the_true_ones(test_data: Path) -> None:
    """Report: median absolute error of word starts and ends on strings heard without an error."""
    built = transcriber("language=en", "timestamps=word")
    starts: list[float] = []
    ends: list[float] = []
    for row in rows_of(test_data, "test_strings.jsonl"):
        if row["kind"] != "short":
            continue
        transcript = built.transcribe(test_data / "fsdd" / row["audio_filepath"])
        words = [word for segment in transcript.segments for word in segment.words]
        if [word.text for word in words] == [word["word"] for word in row["words"]]:
            for word, true in zip(words, row["words"], strict=True):
                starts.append(abs(word.start - true["start"]))
                ends.append(abs(word.end - true["end"]))
    assert len(ends) > 400
    assert median(ends) <= 0.1
    # A word begins where the one before it ends, so that a start is off by the gap between them.
    assert median(starts) <= 0.25


def test_the_first_token_comes_after_the_encoder_and_before_the_text(test_data: Path) -> None:
    recognitions = transcriber().recognise(sounds(test_data, "test_strings.jsonl", 2, kind="short"))
    for recognition in recognitions:
        first, timings = recognition.first_token_seconds, recognition.timings
        assert first is not None
        # a batch of two: each has half of the engine's seconds for its share
        assert 2 * timings["encode"] < first < 2 * timings["total"]
