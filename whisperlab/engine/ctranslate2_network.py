"""A Whisper checkpoint in CTranslate2: converted once, then asked for whole texts.

Owns the conversion's cache and the calls of ``ctranslate2.models.Whisper``. CTranslate2 has its own
copy of the decoding rules and gives no logits, so a window is written in one call.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from whisperlab.device import ResolvedKind
from whisperlab.engine.checkpoint import weight_files
from whisperlab.engine.decoding.network import Beginning, Floats, Manner, free_numbers
from whisperlab.engine.decoding.single import SAMPLED_FROM
from whisperlab.engine.decoding.start import Start
from whisperlab.engine.decoding.text import Text
from whisperlab.engine.decoding.vocabulary import Vocabulary
from whisperlab.engine.whisper_loading import quiet_transformers
from whisperlab.errors import InferenceError, ModelError, OutOfMemoryError, UnsupportedOptionError

LAST_TIMESTAMP = 1500
"""The index of <|30.00|>: no limit to where the first segment begins."""

ONE_BEAM: Mapping[str, Any] = {"beam_size": 1, "length_penalty": 0.0}
"""Without a rival the penalty chooses nothing, and its score is the sum also of an empty text."""

SEEDS = 1 << 32
"""CTranslate2's seeds are unsigned integers of 32 bits."""


def converted(checkpoint: Path, cache: Path) -> Path:
    """Returns the folder in ``cache`` with ``checkpoint`` in CTranslate2's form, made once.

    The weights keep their type; CTranslate2 computes in another one when it loads them. The name
    holds what the conversion depends on, so that a changed checkpoint is converted anew.

    Raises:
        ModelError: CTranslate2 cannot convert it, or the cache cannot be written.
    """
    files = [(path.name, path.stat()) for path in weight_files(checkpoint)]
    identity = [ctranslate2.__version__, str(checkpoint.resolve())]
    identity += [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in files]
    folder = cache / hashlib.sha256("\n".join(identity).encode()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    from ctranslate2.converters import TransformersConverter

    try:
        cache.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=cache))
        with quiet_transformers():
            TransformersConverter(str(checkpoint)).convert(str(made), force=True)
        _mark_multilingual(made)
        try:
            made.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(made)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(
            f"model in {checkpoint}: CTranslate2 cannot convert it into {cache}: "
            f"{' '.join(str(error).split())[:300]}; choose engine=hf, or set engine.cache_dir"
        ) from error
    return folder


def _mark_multilingual(folder: Path) -> None:
    """Puts the empty token, by which CTranslate2 knows a vocabulary with languages, before the specials.

    openai's vocabularies have it there. Token names are nowhere else used: we give and take ids.
    """
    path = folder / "vocabulary.json"
    names = json.loads(path.read_text(encoding="utf-8"))
    if "<|transcribe|>" in names and "" not in names:
        names[names.index("<|endoftext|>") - 1] = ""
        path.write_text(json.dumps(names), encoding="utf-8")


class Ctranslate2Network:
    """The network of one checkpoint's folder in CTranslate2's form.

    Raises:
        UnsupportedOptionError: the device cannot compute in ``compute_type``.
        ModelError: CTranslate2 cannot load the folder.
    """

    def __init__(
        self,
        folder: Path,
        vocabulary: Vocabulary,
        *,
        kind: ResolvedKind,
        compute_type: str,
        threads: int | None,
    ) -> None:
        able = sorted(ctranslate2.get_supported_compute_types(kind))
        if compute_type not in able:
            raise UnsupportedOptionError(
                f"engine=ctranslate2 cannot compute in {compute_type} on this {kind}, it can in: "
                f"{', '.join(able)}; choose quantization=none or int8"
            )
        self._vocabulary = vocabulary
        self._size = len(json.loads((folder / "vocabulary.json").read_text(encoding="utf-8")))
        # 0 takes OMP_NUM_THREADS, and four threads where that is not set.
        free = 0 if "OMP_NUM_THREADS" in os.environ else os.cpu_count() or 0
        try:
            self._model = ctranslate2.models.Whisper(
                str(folder),
                device=kind,
                compute_type=compute_type,
                intra_threads=free if threads is None else threads,
            )
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"model in {folder}: CTranslate2 cannot load it: "
                f"{' '.join(str(error).split())[:300]}; remove the folder to convert again"
            ) from error
        self._heard: dict[int, Floats] = {}
        """Encoded windows by number, shape ``(n_positions, width)``."""

    def hear(self, windows: Sequence[Floats], kept: Sequence[int] = ()) -> list[int]:
        """Encodes log-mel windows, shape ``(n_mels, n_frames)`` each, beside those ``kept``."""
        features = ctranslate2.StorageView.from_array(np.stack(windows))
        encoded = self._try(self._model.encode, features, to_cpu=True)
        numbers = free_numbers(len(windows), kept)
        found = np.array(encoded.to(ctranslate2.DataType.float32))
        old = {number: self._heard[number] for number in kept}
        self._heard = old | dict(zip(numbers, found, strict=True))
        return numbers

    def begin(
        self, heard: Sequence[int], prompts: Sequence[Sequence[int]], from_end: int
    ) -> Beginning:
        """Returns the languages' log probabilities in their places, -inf for all other tokens."""
        logits = np.full((len(heard), self._size), -np.inf, np.float32)
        languages = self._vocabulary.languages or {}
        for row, found in enumerate(self._try(self._model.detect_language, self._chosen(heard))):
            for name, chance in found:
                place = languages.get(name.strip("<|>"))
                if place is not None:
                    logits[row, place] = np.log(max(chance, np.finfo(np.float32).tiny))
        return Beginning(logits, logits)

    def write(self, starts: Sequence[Start], manner: Manner) -> list[Text]:
        """Returns a text for each start.

        Among beams CTranslate2 scores an empty text with minus infinity, so that silence would say
        something: where a text without timestamps most likely begins with its end, that is it.
        """
        ctranslate2.set_random_seed(manner.seed % SEEDS)
        may_be_empty = starts[0].prompt[-1] == self._vocabulary.no_timestamps
        if manner.n_beams == 1 or manner.temperature > 0 or not may_be_empty:
            return self._write(starts, manner)
        first = [replace(start, room=1) for start in starts]
        texts = self._write(first, manner._replace(n_beams=1))
        spoken = [place for place, text in enumerate(texts) if text.tokens]
        searched = self._write([starts[place] for place in spoken], manner)
        for place, text in zip(spoken, searched, strict=True):
            texts[place] = text
        return texts

    def _write(self, starts: Sequence[Start], manner: Manner) -> list[Text]:
        """Returns a text for each start, as CTranslate2 chooses it.

        It takes prompts of one length at a time, and stops at half of ``max_length`` or
        at what the prompt, less its last token, leaves of it.
        """
        texts: dict[int, Text] = {}

        def alike(place: int) -> tuple[int, int]:
            return len(starts[place].prompt), starts[place].room

        options = self._options(manner)
        for (length, room), group in groupby(sorted(range(len(starts)), key=alike), key=alike):
            places = list(group)
            results = self._try(
                self._model.generate,
                self._chosen([starts[place].heard for place in places]),
                [list(starts[place].prompt) for place in places],
                max_length=max(2 * room, room + length - 1),
                **options,
            )
            for place, result in zip(places, results, strict=True):
                texts[place] = _text(result, room, options["length_penalty"])
        return [texts[place] for place in range(len(starts))]

    def _options(self, manner: Manner) -> dict[str, Any]:
        vocabulary = self._vocabulary
        first = vocabulary.last_initial_timestamp
        options: dict[str, Any] = {
            "return_scores": True,
            "return_no_speech_prob": True,
            "suppress_blank": bool(vocabulary.suppressed_at_begin),
            "suppress_tokens": list(vocabulary.suppressed),
            "max_initial_timestamp_index": LAST_TIMESTAMP if first is None else first,
        }
        if manner.temperature > 0:
            drawn = {"sampling_topk": SAMPLED_FROM, "sampling_temperature": manner.temperature}
            return {**options, **ONE_BEAM, **drawn}
        if manner.n_beams == 1:
            return {**options, **ONE_BEAM}
        return {**options, "beam_size": manner.n_beams, "length_penalty": 1.0}

    def _chosen(self, heard: Sequence[int]) -> Any:
        return ctranslate2.StorageView.from_array(np.stack([self._heard[one] for one in heard]))

    def _try(self, call: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except RuntimeError as error:
            line = " ".join(str(error).split())[:300]
            if "out of memory" in line:
                raise OutOfMemoryError(f"CTranslate2: {line}; lower batch_size") from error
            raise InferenceError(f"CTranslate2 failed: {line}") from error


def _text(result: Any, room: int, length_penalty: float) -> Text:
    """Returns CTranslate2's best text; its score leaves the end out of the length, not of the sum."""
    tokens = tuple(result.sequences_ids[0])
    mean = result.scores[0] * len(tokens) ** length_penalty / (len(tokens) + 1)
    return Text(tokens, len(tokens) < room, (), mean, result.no_speech_prob)
