"""The demo set inside the package: synthetic English speech with transcripts, for a first run.

Owns which part of it is wanted. The recordings lie in the folder ``demo`` beside this module; a row
of its manifest::

    {"id": "digits-00", "audio_filepath": "digits-00.flac", "text": "one four six", "duration": 1.9,
     "voice": "en-us+f3", "kind": "digits"}

They were made by ``experiments/2026-11-23-demo-set/make_demo.py`` with espeak-ng: numbers measured
on them show that a recogniser works, not how well it hears people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass

from whisperlab.dataset.columns import Columns
from whisperlab.dataset.listing import Inspected, Listing
from whisperlab.dataset.rows import open_rows
from whisperlab.dataset.subset import Seed, SubsetSize, require_seed
from whisperlab.utterance import Utterance

FOLDER = Path(__file__).with_name("demo")

Part = Literal["all", "speech", "sentences", "digits", "long", "nospeech"]

_KINDS: Mapping[Part, frozenset[str]] = {
    "all": frozenset({"sentence", "digits", "long", "silence", "noise"}),
    "speech": frozenset({"sentence", "digits", "long"}),
    "sentences": frozenset({"sentence"}),
    "digits": frozenset({"digits"}),
    "long": frozenset({"long"}),
    "nospeech": frozenset({"silence", "noise"}),
}


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class DemoDataset:
    """Utterances of the demo set, offline; ``part`` says which.

    ``speech`` is everything with words, ``nospeech`` the silent and the noisy recording, whose text
    is empty; ``long`` are those over 30 s.
    """

    part: Part
    subset: SubsetSize | None = None
    seed: Seed | None = None

    @model_validator(mode="after")
    def _subset_has_a_seed(self) -> DemoDataset:
        require_seed(self.subset, self.seed)
        return self

    def __iter__(self) -> Iterator[Utterance]:
        """Yields the chosen utterances in the order of the demo's manifest."""
        return self._listing().utterances(self._inspected)

    def __len__(self) -> int:
        """Returns how many utterances iterating yields."""
        return self._inspected.survey.utterances

    def identity(self) -> Mapping[str, str | int | None]:
        """Returns digests of the demo's manifest and of the utterances with their file sizes."""
        return {**self._inspected.identity("demo", self.subset, self.seed), "part": self.part}

    @cached_property
    def _inspected(self) -> Inspected:
        return self._listing().inspect(self.subset, self.seed)

    def _listing(self) -> Listing:
        manifest = FOLDER / "manifest.jsonl"
        kinds = _KINDS[self.part]
        return Listing(
            path=manifest,
            open_rows=partial(open_rows, manifest, "jsonl"),
            settle=lambda _: Columns(audio="audio_filepath", text="text", id_required=True),
            root=FOLDER,
            allow_outside_root=False,
            on_error="strict",
            wanted=lambda row: row["kind"] in kinds,
        )
