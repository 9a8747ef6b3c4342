"""A perturbed copy of any dataset: the same utterances, their sound changed on the way.

Owns the stacking and whose chance is whose. It does not know what the perturbations do.

Every utterance has its own stream of chance, from the seed, its id and the perturbation's place in
the list: its sound does not depend on the order of the dataset, on the batch, on a shard or on a
resume; and the same noise is louder at 0 dB than at 10 dB, not another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from whisperlab.audio import AudioLimits, Sound, Waveform, waveform_of
from whisperlab.dataset.perturb.protocol import Perturbation
from whisperlab.dataset.protocol import Dataset
from whisperlab.stopwatch import Stopwatch
from whisperlab.utterance import Utterance

PERTURBATIONS = "perturbations"
"""Key of a dataset's identity under which its perturbations stand, in words."""

PERTURBATION_KEYS = (PERTURBATIONS, "perturbation_seed")


@dataclass(frozen=True, slots=True)
class PerturbedSound:
    """``original`` with ``steps`` applied in order; ``key`` is what its chance comes from."""

    original: Path | bytes | Sound
    steps: tuple[Perturbation, ...]
    key: str

    def waveform(self, limits: AudioLimits, stopwatch: Stopwatch) -> Waveform:
        """Returns the changed sound; the original passes ``limits`` as it would by itself."""
        waveform = waveform_of(self.original, limits, stopwatch)
        for place, step in enumerate(self.steps):
            waveform = step(waveform, self._chance(place))
        return waveform

    def _chance(self, place: int) -> np.random.Generator:
        digest = hashlib.blake2b(f"{place}:{self.key}".encode(), digest_size=16).digest()
        return np.random.default_rng(int.from_bytes(digest))


@dataclass(frozen=True, slots=True)
class PerturbedDataset:
    """The utterances of ``original``, perturbed when their sound is asked for."""

    original: Dataset
    steps: tuple[Perturbation, ...]
    seed: int

    def __iter__(self) -> Iterator[Utterance]:
        """Yields the utterances in the original's order; durations and word times may be others now."""
        for utterance in self.original:
            sound = PerturbedSound(utterance.audio, self.steps, f"{self.seed}:{utterance.id}")
            yield replace(utterance, audio=sound, declared_seconds=None, words=())

    def __len__(self) -> int:
        """Returns the original's number of utterances."""
        return len(self.original)

    def identity(self) -> Mapping[str, str | int | None]:
        """Returns the original's identity with the perturbations in words and their seed."""
        said = ", then ".join(step.label() for step in self.steps)
        return {
            **self.original.identity(),
            **dict(zip(PERTURBATION_KEYS, (said, self.seed), strict=True)),
        }
