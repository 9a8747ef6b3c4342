"""Random-weight Whisper checkpoints at the real sizes, for tests without a hub.

The weights are seeded and scaled so that the output varies from sound to sound, ends by itself
some of the time, and loops some of the time; the tokenizer has Whisper's real layout (50,257
text tokens, then the specials) over made-up words.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)
from transformers.models.whisper.tokenization_whisper import LANGUAGES

TEXT_TOKENS = 50_257
FIRST_LANGUAGE = TEXT_TOKENS + 2
LANGUAGE_CODES = list(LANGUAGES)[:99]
TRANSLATE = FIRST_LANGUAGE + len(LANGUAGE_CODES)
TIMESTAMPS = [f"<|{index * 0.02:.2f}|>" for index in range(1501)]
SPECIALS = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{code}|>" for code in LANGUAGE_CODES),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
    *TIMESTAMPS,
]
SIZES = {
    "tiny": (384, 4, 6), "base": (512, 6, 8), "small": (768, 12, 12),
    "large-v3": (1280, 32, 20), "large-v3-turbo": (1280, 32, 20),
}  # fmt: skip
"""d_model, layers, heads (Radford et al. 2022, table 1)."""
DECODER_LAYERS = {"large-v3-turbo": 4}
"""Where the decoder has fewer layers than the encoder."""
MELS = {"large-v3": 128, "large-v3-turbo": 128}
"""Where there are more than 80."""


def save_random_whisper(
    folder: Path, size: str = "tiny", *, seed: int = 0, end_bias: float = 0.0
) -> Path:
    """Writes a checkpoint of ``size``; ``end_bias`` raises the logit of <|endoftext|>."""
    torch.manual_seed(seed)
    width, layers, heads = SIZES[size]
    mels = MELS.get(size, 80)
    config = WhisperConfig(
        vocab_size=TEXT_TOKENS + len(SPECIALS),
        num_mel_bins=mels,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=DECODER_LAYERS.get(size, layers),
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        pad_token_id=TEXT_TOKENS,
        bos_token_id=TEXT_TOKENS,
        eos_token_id=TEXT_TOKENS,
        decoder_start_token_id=TEXT_TOKENS + 1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "layers" in name and weight.ndim > 1:
                weight.mul_(8.0)  # attention that looks at its input, unlike a fresh one
        decoder = model.model.decoder
        decoder.embed_positions.weight.normal_(0, 0.1)
        decoder.embed_tokens.weight.normal_(0, 0.05)
    model.generation_config = _generation_config()
    model.save_pretrained(folder)
    _processor(mels).save_pretrained(folder)
    return folder


def _generation_config() -> GenerationConfig:
    return GenerationConfig(
        max_length=448,
        pad_token_id=TEXT_TOKENS,
        bos_token_id=TEXT_TOKENS,
        eos_token_id=TEXT_TOKENS,
        decoder_start_token_id=TEXT_TOKENS + 1,
        lang_to_id={f"<|{code}|>": FIRST_LANGUAGE + n for n, code in enumerate(LANGUAGE_CODES)},
        task_to_id={"translate": TRANSLATE, "transcribe": TRANSLATE + 1},
        no_timestamps_token_id=TRANSLATE + 5,
        prev_sot_token_id=TRANSLATE + 3,
        is_multilingual=True,
        max_initial_timestamp_index=50,
        suppress_tokens=list(range(TEXT_TOKENS + 1, TRANSLATE + 6)),
        begin_suppress_tokens=[220, TEXT_TOKENS],
        return_timestamps=False,
        alignment_heads=[[1, 0], [2, 1], [3, 2]],
    )


def _processor(mels: int) -> WhisperProcessor:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [f"Ġw{number}" for number in range(TEXT_TOKENS - len(letters))]
    vocabulary = {token: number for number, token in enumerate([*letters, *words])}
    tokenizer = WhisperTokenizer(
        vocab=vocabulary, merges=[], extra_special_tokens=SPECIALS, pad_token="<|endoftext|>"
    )
    return WhisperProcessor(WhisperFeatureExtractor(feature_size=mels), tokenizer)
