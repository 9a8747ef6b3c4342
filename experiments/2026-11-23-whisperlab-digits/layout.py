"""Vocabulary, configuration and generation defaults of ``whisperlab-digits``: a small model in Whisper's full token layout."""

from __future__ import annotations

import json
import pathlib

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)
from transformers.models.whisper.tokenization_whisper import LANGUAGES

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
POSITIONS = 1500
TEXT_VOCABULARY = 512
WIDTH, ENCODER_HEADS, DECODER_HEADS, ENCODER_LAYERS, DECODER_LAYERS = 160, 4, 5, 4, 4

# A little English of our own, so that a prompt or a wrong text is a few tokens long and not one token a letter.
ENGLISH = """
This model knows the ten spoken digits and nothing else. It was trained on a small set of recordings and on a speech synthesiser.
Please say the number of your room, then wait for the tone. The caller read the code twice and the clerk wrote it down.
He counted the steps on the way to the station, and she counted them again on the way home. What is the time, and where is the train?
There are many words in the world that it has never heard, so it will answer with digits. That is not a fault of the engine around it.
The quick brown fox jumps over the lazy dog while the old clock on the wall keeps its own time. Good morning, good evening, thank you.
"""


class Layout:
    """Identifiers of the tokens that training and generation address by name."""

    def __init__(self, tokenizer: WhisperTokenizer) -> None:
        def number(token: str) -> int:
            return int(tokenizer.convert_tokens_to_ids(token))

        self.end, self.start = number("<|endoftext|>"), number("<|startoftranscript|>")
        self.languages = {code: number(f"<|{code}|>") for code in list(LANGUAGES)[:99]}
        self.translate, self.transcribe = number("<|translate|>"), number("<|transcribe|>")
        self.start_of_lm, self.start_of_prev = number("<|startoflm|>"), number("<|startofprev|>")
        self.no_speech, self.no_timestamps = number("<|nospeech|>"), number("<|notimestamps|>")
        self.first_timestamp = number("<|0.00|>")
        self.size = self.first_timestamp + POSITIONS + 1
        self.digits = [tokenizer.encode(f" {word}", add_special_tokens=False) for word in DIGITS]
        if any(len(pieces) != 1 for pieces in self.digits):
            raise ValueError(f"each digit word has to be one token, got {self.digits}")


def build_tokenizer(folder: pathlib.Path) -> WhisperTokenizer:
    """Trains the byte-level BPE and writes it, with Whisper's specials behind it, into ``folder``."""
    text = (
        [" ".join(DIGITS)] * 200 + [" " + " ".join(DIGITS)] * 200 + ENGLISH.strip().split("\n") * 2
    )
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        text,
        trainers.BpeTrainer(
            vocab_size=TEXT_VOCABULARY,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    learned = json.loads(bpe.to_str())["model"]
    specials = [f"<|{code}|>" for code in list(LANGUAGES)[:99]]
    specials = [
        "<|startoftranscript|>",
        *specials,
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ]
    tokenizer = WhisperTokenizer(
        vocab=learned["vocab"],
        merges=[tuple(merge) for merge in learned["merges"]],
        pad_token="<|endoftext|>",
        extra_special_tokens=[
            AddedToken(token, normalized=False, special=True) for token in specials
        ],
    )
    # Timestamps are ordinary added tokens in Whisper, so that decoding can keep or drop them apart from the specials.
    tokenizer.add_tokens(
        [
            AddedToken(f"<|{index * 0.02:.2f}|>", normalized=False, special=False)
            for index in range(POSITIONS + 1)
        ]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return tokenizer


def sinusoids(length: int, width: int) -> torch.Tensor:
    """Whisper's encoder positions, shape (length, width)."""
    step = torch.log(torch.tensor(10_000.0)) / (width // 2 - 1)
    angles = torch.arange(length)[:, None] * torch.exp(-step * torch.arange(width // 2))[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def build_model(layout: Layout) -> WhisperForConditionalGeneration:
    """A fresh model; the timestamp embeddings start as scaled encoder positions, so that time is ordered from the first step on."""
    config = WhisperConfig(
        vocab_size=layout.size,
        num_mel_bins=80,
        d_model=WIDTH,
        encoder_layers=ENCODER_LAYERS,
        decoder_layers=DECODER_LAYERS,
        encoder_attention_heads=ENCODER_HEADS,
        decoder_attention_heads=DECODER_HEADS,
        encoder_ffn_dim=4 * WIDTH,
        decoder_ffn_dim=4 * WIDTH,
        max_source_positions=POSITIONS,
        max_target_positions=448,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        bos_token_id=layout.end,
        eos_token_id=layout.end,
        pad_token_id=layout.end,
        decoder_start_token_id=layout.start,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config)
    with torch.no_grad():
        # transformers starts every weight at a deviation of 0.02, which leaves a model this narrow nearly blind: each weight gets the scale of its inputs.
        for name, weight in model.named_parameters():
            if (
                weight.ndim >= 2
                and ("proj" in name or ".fc" in name or ".conv" in name)
                and name != "proj_out.weight"
            ):
                residual = ".fc2." in name or ".out_proj." in name
                weight.normal_(0.0, (0.4 if residual else 1.0) * weight[0].numel() ** -0.5)
        model.model.encoder.conv1.weight.mul_(1.5)
        model.model.encoder.conv2.weight.mul_(2.0)
        model.model.encoder.embed_positions.weight.mul_(0.5)
        embedding = model.model.decoder.embed_tokens.weight
        embedding[layout.first_timestamp :] = 0.03 * sinusoids(POSITIONS + 1, WIDTH)
        model.model.decoder.embed_positions.weight.copy_(0.1 * sinusoids(448, WIDTH))
    return model


def build_generation(layout: Layout, alignment_heads: list[list[int]]) -> GenerationConfig:
    """Defaults of ``generate``. The end token stays allowed at the start (empty text) and the first timestamp is free (leading silence)."""
    return GenerationConfig(
        bos_token_id=layout.end,
        eos_token_id=layout.end,
        pad_token_id=layout.end,
        decoder_start_token_id=layout.start,
        max_length=448,
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": number for code, number in layout.languages.items()},
        task_to_id={"transcribe": layout.transcribe, "translate": layout.translate},
        no_timestamps_token_id=layout.no_timestamps,
        prev_sot_token_id=layout.start_of_prev,
        suppress_tokens=[
            layout.start,
            layout.translate,
            layout.transcribe,
            layout.start_of_lm,
            layout.start_of_prev,
            layout.no_speech,
        ],
        begin_suppress_tokens=None,
        alignment_heads=alignment_heads,
        return_timestamps=False,
        task="transcribe",  # without a task and a language generate leaves the task token out, a prefix that training never had
    )
