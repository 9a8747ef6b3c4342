"""Evaluates a checkpoint through plain ``WhisperForConditionalGeneration.generate``, independently of the package.

python evaluate.py --checkpoint ../../whisperlab/engine/embedded/whisperlab-digits --fsdd ../../../shared/data/fsdd --output results.json
python evaluate.py --checkpoint ... --validation --fsdd ... --synthetic $WORK/synthetic.npz     # indices 5 and 6 of the training split
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import re
import statistics
from typing import Any

import jiwer
import numpy as np
import soundfile
import soxr
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor
from transformers.utils import logging as transformers_logging

RATE = 16_000
Item = dict[str, Any]
Results = dict[str, dict[str, Any]]
ENGLISH = {"language": "en", "task": "transcribe", "max_new_tokens": 100}


def read_items(manifest: pathlib.Path) -> list[Item]:
    items = []
    for line in manifest.read_text().splitlines():
        entry = json.loads(line)
        samples, rate = soundfile.read(manifest.parent / entry["audio_filepath"], dtype="float32")
        entry["samples"] = soxr.resample(samples, rate, RATE) if rate != RATE else samples
        entry.setdefault("kind", "single")
        items.append(entry)
    return items


def validation_items(fsdd: pathlib.Path, synthetic: pathlib.Path, count: int) -> list[Item]:
    """Strings made of the training recordings that training leaves out, by the training's own scene generator with another seed."""
    from layout import DIGITS  # only this mode needs the training material
    from scenes import Recordings, build_scene

    pool = Recordings(fsdd, synthetic, validation=True)
    random = np.random.default_rng(99)
    items = []
    for number in range(count):
        kind = ("single", "short", "short", "long", "nospeech")[number % 5]
        digits = {
            "single": 1,
            "short": int(random.integers(3, 8)),
            "long": int(random.integers(10, 17)),
            "nospeech": 0,
        }[kind]
        scene = build_scene(random, pool, kind, digits, 3.0, synthetic=False)
        words: list[Item] = [{"word": DIGITS[d], "start": s, "end": e} for d, s, e in scene.words]
        items.append(
            {
                "id": f"{kind}-{number}",
                "kind": kind,
                "text": " ".join(w["word"] for w in words),
                "words": words,
                "samples": scene.audio,
            }
        )
    return items


def held_out_items(count: int) -> list[Item]:
    """Strings of 1 to 7 digits spoken by the espeak-ng voices that training never rendered, at the synthesiser's own rate and pitch range."""
    from synthetic_voices import DIGITS, Synthesiser  # needs libespeak-ng

    voices = json.loads(pathlib.Path(__file__).with_name("held_out_voices.json").read_text())[
        "voices"
    ]
    random, synthesiser, items = np.random.default_rng(7), Synthesiser(), []
    for number in range(count):
        text = " ".join(DIGITS[d] for d in random.integers(0, 10, random.integers(1, 8)))
        spoken, _ = synthesiser.speak(
            text, voices[number % len(voices)], int(random.integers(120, 180)), 50, 50
        )
        samples = soxr.resample(spoken.astype(np.float32) / 32768, synthesiser.rate, RATE)
        items.append(
            {
                "id": f"voice-{number}-{voices[number % len(voices)]}",
                "kind": "voice",
                "text": text,
                "samples": samples,
            }
        )
    return items


def normalise(text: str) -> str:
    """Profile ``basic`` where only unaccented words are spoken: lower case, everything but letters and digits to spaces."""
    return " ".join(re.sub(r"[^\w]+", " ", text.lower()).split())


def interval(pairs: list[tuple[int, int]], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of errors / words over utterances."""
    random, counts = np.random.default_rng(seed), np.array(pairs, float)
    rates = [
        drawn[:, 0].sum() / max(1.0, drawn[:, 1].sum())
        for drawn in (counts[random.integers(0, len(counts), len(counts))] for _ in range(1000))
    ]
    return float(np.quantile(rates, 0.025)), float(np.quantile(rates, 0.975))


def score(items: list[Item], texts: list[str]) -> dict[str, Any]:
    pairs, exact = [], 0
    totals = {"substitutions": 0, "insertions": 0, "deletions": 0}
    for item, text in zip(items, texts, strict=True):
        found = jiwer.process_words(reference=item["text"], hypothesis=normalise(text))
        pairs.append(
            (found.substitutions + found.insertions + found.deletions, len(item["text"].split()))
        )
        for key in totals:
            totals[key] += getattr(found, key)
        exact += item["text"] == normalise(text)
    errors, words = sum(e for e, _ in pairs), sum(w for _, w in pairs)
    low, high = interval(pairs)
    return {
        "wer": errors / words,
        "low": low,
        "high": high,
        "errors": errors,
        "words": words,
        "utterances": len(items),
        "exact": exact,
        **totals,
    }


def run(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    items: list[Item],
    batch: int,
    **settings: Any,
) -> list[dict[str, Any]]:
    """Texts, token ids and, where asked for, word times of every item, in order."""
    outputs = []
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        features = processor(
            [item["samples"] for item in part], sampling_rate=RATE, return_tensors="pt"
        ).input_features
        with torch.no_grad():
            found = model.generate(features.to(model.dtype), **settings)
        tokens = found["sequences"] if isinstance(found, dict) else found
        for number, row in enumerate(tokens):
            entry: dict[str, Any] = {
                "tokens": row.tolist(),
                "text": processor.tokenizer.decode(row, skip_special_tokens=True),
            }
            if isinstance(found, dict) and "token_timestamps" in found:
                entry["times"] = found["token_timestamps"][number].tolist()
            outputs.append(entry)
    return outputs


def score_kinds(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    items: list[Item],
    batch: int,
) -> tuple[Results, list[dict[str, str]]]:
    """Every kind without and with timestamps, and the utterances whose text is wrong."""
    first = processor.tokenizer.convert_tokens_to_ids("<|0.00|>")
    results: Results = {}
    wrong: list[dict[str, str]] = []
    for kind, timed in itertools.product(
        ("single", "short", "long", "nospeech", "digits"), (False, True)
    ):
        chosen = [item for item in items if item["kind"] == kind]
        if not chosen:
            continue
        found = run(model, processor, chosen, batch, return_timestamps=timed, **ENGLISH)
        name = f"{kind}{'_timestamps' if timed else ''}"
        if kind == "nospeech":
            results[name] = {
                "empty": sum(not normalise(entry["text"]) for entry in found),
                "utterances": len(chosen),
            }
        else:
            results[name] = score(chosen, [entry["text"] for entry in found])
        for item, entry in zip(chosen, found, strict=True):
            if normalise(entry["text"]) != item["text"]:
                wrong.append(
                    {
                        "id": item["id"],
                        "mode": name,
                        "reference": item["text"],
                        "hypothesis": normalise(entry["text"]),
                    }
                )
        if timed and kind in ("short", "long"):
            results[name] |= segment_errors(chosen, found, first)
        print(name, json.dumps(results[name]), flush=True)
    return results, wrong


def segment_errors(items: list[Item], found: list[dict[str, Any]], first: int) -> dict[str, float]:
    """Median distance of the first timestamp from the first word's start, and of the last one from the last word's end, in seconds."""
    starts, ends = [], []
    for item, entry in zip(items, found, strict=True):
        stamps = [(token - first) * 0.02 for token in entry["tokens"] if token >= first]
        if stamps:
            starts.append(abs(stamps[0] - item["words"][0]["start"]))
            ends.append(abs(stamps[-1] - item["words"][-1]["end"]))
    return {
        "median_end_error": statistics.median(ends),
        "median_start_error": statistics.median(starts),
        "timed": len(ends),
    }


def word_end_errors(
    model: WhisperForConditionalGeneration, processor: WhisperProcessor, items: list[Item]
) -> dict[str, float]:
    """Median distance of word ends in strings whose text is right.

    With timestamps on: without them transformers 5.23 leaves off the row that predicts the first word, which then ends at 0.0.
    """
    found = []
    for item in items:
        heard = processor(
            item["samples"], sampling_rate=RATE, return_tensors="pt", return_attention_mask=True
        )
        out = model.generate(
            **heard,
            return_timestamps=True,
            return_token_timestamps=True,
            return_dict_in_generate=True,
            **ENGLISH,
        )
        row = out["sequences"][0].tolist()
        text = processor.tokenizer.decode(row, skip_special_tokens=True)
        found.append({"tokens": row, "text": text, "times": out["token_timestamps"][0].tolist()})
    errors = []
    for item, entry in zip(items, found, strict=True):
        if normalise(entry["text"]) == item["text"]:
            ends = [
                time
                for token, time in zip(entry["tokens"], entry["times"], strict=True)
                if token < processor.tokenizer.eos_token_id
            ]
            errors += [
                abs(end - word["end"]) for end, word in zip(ends, item["words"], strict=True)
            ]
    return {"median": statistics.median(errors), "words": len(errors)}


def score_further(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    short: list[Item],
    batch: int,
) -> Results:
    """Held-out voices, word times, a prompt of other digits and one of English in front, beam search, language detection."""
    results: Results = {}
    found = run(model, processor, voices := held_out_items(108), batch, **ENGLISH)
    results["held_out_voices"] = score(voices, [entry["text"] for entry in found])
    results["word_end_error"] = word_end_errors(model, processor, short)
    for name, text in (
        ("digits_prompt", "two seven one"),
        ("english_prompt", "please wait for the train"),
    ):
        prompt = processor.get_prompt_ids(text, return_tensors="pt")
        found = run(model, processor, short, batch, prompt_ids=prompt, **ENGLISH)
        results[f"short_{name}"] = score(short, [entry["text"] for entry in found])
    found = run(model, processor, short, batch, num_beams=5, **ENGLISH)
    results["short_beam5"] = score(short, [entry["text"] for entry in found])
    features = processor(
        [item["samples"] for item in short], sampling_rate=RATE, return_tensors="pt"
    ).input_features
    detected = [model.detect_language(features[n : n + 8]) for n in range(0, len(short), 8)]
    code = processor.tokenizer.convert_tokens_to_ids("<|en|>")
    results["language_en"] = {
        "right": int(sum((row == code).sum() for row in detected)),
        "utterances": len(short),
    }
    for name, entry in results.items():
        print(name, json.dumps(entry), flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", type=pathlib.Path, required=True)
    parser.add_argument("--fsdd", type=pathlib.Path, required=True)
    parser.add_argument(
        "--demo", type=pathlib.Path, help="manifest of the demo set, for its digits part"
    )
    parser.add_argument("--validation", action="store_true")
    parser.add_argument(
        "--speaker", help="only this one, its training recordings too: for a training without it"
    )
    parser.add_argument("--synthetic", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=200, help="validation items")
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="only the kinds, nothing further")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers_logging.set_verbosity_error()  # generate logs two lines a call
    model = (
        WhisperForConditionalGeneration.from_pretrained(arguments.checkpoint, local_files_only=True)
        .float()
        .eval()
    )
    processor = WhisperProcessor.from_pretrained(arguments.checkpoint, local_files_only=True)
    if arguments.validation:
        items = validation_items(arguments.fsdd, arguments.synthetic, arguments.count)
    else:
        items = read_items(arguments.fsdd / "test.jsonl") + read_items(
            arguments.fsdd / "test_strings.jsonl"
        )
    if arguments.speaker:
        items += read_items(arguments.fsdd / "train.jsonl")
        items = [item for item in items if item["speaker"] == arguments.speaker]
    if arguments.demo:
        items += [item for item in read_items(arguments.demo) if item["kind"] == "digits"]
    results, wrong = score_kinds(model, processor, items, arguments.batch)
    if not arguments.quick:
        results |= score_further(
            model, processor, [item for item in items if item["kind"] == "short"], arguments.batch
        )
    if arguments.output:
        arguments.output.write_text(
            json.dumps({"results": results, "wrong": wrong}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
