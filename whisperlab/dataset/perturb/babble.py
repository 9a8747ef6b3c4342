"""Adding the babble of other people, all talking at once.

Owns how a crowd is made of the demo set's sentences, which are inside the package: the same crowd on
every machine and for every shard of a dataset. Its voices are synthetic (espeak-ng).
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.audio import AudioLimits, Samples, Waveform, waveform_of
from whisperlab.dataset.demo import DemoDataset
from whisperlab.dataset.perturb.mixing import mixed, speech_power
from whisperlab.stopwatch import Stopwatch


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class AddBabble:
    """Adds ``talkers`` voices, each equally loud, at ``snr_db`` together (`mixing` says against what).

    Each talker says the demo set's sentences in an order of its own, from a random moment on.
    """

    talkers: Annotated[int, Field(ge=1, le=64)]
    snr_db: Annotated[float, Field(ge=-60, le=100, allow_inf_nan=False)]

    def __call__(self, waveform: Waveform, chance: np.random.Generator) -> Waveform:
        """Returns the recording with the crowd over all of it."""
        count = len(waveform.samples)
        crowd = np.sum([self._talker(count, chance) for _ in range(self.talkers)], axis=0)
        return mixed(waveform, crowd, self.snr_db)

    def label(self) -> str:
        """Returns talkers and SNR."""
        return f"babble of {self.talkers} {self.snr_db:g} dB"

    def _talker(self, count: int, chance: np.random.Generator) -> Samples:
        order = chance.permutation(len(self._sentences))
        said = np.concatenate([self._sentences[number] for number in order])
        return np.resize(np.roll(said, -int(chance.integers(len(said)))), count)

    @cached_property
    def _sentences(self) -> list[Samples]:
        """The sentences at one level of speech, decoded once."""
        sounds = [
            waveform_of(utterance.audio, AudioLimits(), Stopwatch())
            for utterance in DemoDataset(part="sentences")
        ]
        return [
            sound.samples / np.sqrt(np.float32(speech_power(sound.samples, sound.sample_rate)))
            for sound in sounds
        ]
