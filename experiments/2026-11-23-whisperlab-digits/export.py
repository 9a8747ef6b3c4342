"""Writes the finished checkpoint: averaged weights in float16, configuration, generation defaults, tokenizer and notices.

python export.py --work $WORK/run --output ../../whisperlab/engine/embedded/whisperlab-digits
"""

from __future__ import annotations

import argparse
import json
import pathlib

import torch
from layout import Layout, build_generation, build_model
from safetensors.torch import load_file, save_file
from transformers import WhisperFeatureExtractor, WhisperProcessor, WhisperTokenizer

NOTICE = """whisperlab-digits

Weights: licensed under CC BY-SA 4.0 (https://creativecommons.org/licenses/by-sa/4.0/), because they were trained on the Free Spoken Digit Dataset.
Code around them: Apache-2.0.

Free Spoken Digit Dataset (FSDD), https://github.com/Jakobovski/free-spoken-digit-dataset
Copyright Zohar Jackson, Cesar Souza, Jason Flaks, Yuxin Pan, Hereman Nicolas, Adhish Thite and the speakers of the recordings
(george, jackson, lucas, nicolas, theo, yweweler).
Licensed under Creative Commons Attribution-ShareAlike 4.0 International (CC BY-SA 4.0). Provided without warranty.
Changes: recordings were resampled to 16 kHz, changed in speed and level, joined to strings, mixed with noise, and used, together with renderings of
the espeak-ng speech synthesiser, to train the weights in this folder. No recording is contained in them. The weights are an adaptation and are
shared under the same licence.
"""
# Layer and head, chosen on validation scenes by the median error of word ends. Guided heads of later layers place words as well, but at the step
# that predicts the end of the text they look at leading silence, which drags transformers' time warping through the whole string.
ALIGNMENT_HEADS = ((1, 0), (1, 1), (1, 3))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--weights", choices=("average", "last"), default="average")
    arguments = parser.parse_args()
    state = torch.load(arguments.work / "state.pt", weights_only=True)
    tokenizer = WhisperTokenizer.from_pretrained(arguments.work)
    layout = Layout(tokenizer)
    model = build_model(layout)
    model.load_state_dict(state["model"])
    if arguments.weights == "average":
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in state["average"]:
                    parameter.copy_(state["average"][name])
    heads = [list(pair) for pair in ALIGNMENT_HEADS]
    model.generation_config = build_generation(layout, heads)
    arguments.output.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(arguments.output)
    # Half the bytes on disk: stored as float16, loaded as float32 because config.json says so.
    weights = load_file(arguments.output / "model.safetensors")
    half = {name: tensor.to(torch.float16).contiguous() for name, tensor in weights.items()}
    if not all(bool(torch.isfinite(tensor).all()) for tensor in half.values()):
        raise ValueError("a weight does not fit into float16")
    save_file(half, arguments.output / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((arguments.output / "config.json").read_text())
    config["dtype"] = "float32"
    (arguments.output / "config.json").write_text(
        json.dumps(config, indent=2, sort_keys=True) + "\n"
    )
    WhisperProcessor(WhisperFeatureExtractor(), tokenizer).save_pretrained(arguments.output)
    WhisperFeatureExtractor().save_pretrained(arguments.output)
    tokenizer.save_pretrained(arguments.output)
    specials = {
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    }
    (arguments.output / "special_tokens_map.json").write_text(json.dumps(specials, indent=2) + "\n")
    (arguments.output / "NOTICE").write_text(NOTICE)
    print(
        f"step {state['step']}: {sum(f.stat().st_size for f in arguments.output.iterdir()) / 1e6:.2f} MB in {arguments.output}"
    )


if __name__ == "__main__":
    main()
