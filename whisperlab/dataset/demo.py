"""The demo set inside the package: synthetic English speech with transcripts, for a first run.

Owns which part of it is wanted. The recordings lie in the folder ``demo`` beside this module; a row
of its manifest::

    {"id": "digits-00", "audio_filepath": "digits-00.flac", "text": "one four six", "duration": 1.9,
     "voice": "en-us+f3", "kind": "digits"}

They were made by ``experiments/2026-11-23-demo-set/make_demo.py`` with espeak-ng: numbers measured
on them show that a recogniser works, not how well it hears people.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from pydantic.dataclasses import dataclass

from whisperlab.dataset.columns import Columns
from whisperlab.dataset.listed import STRICT, ListedDataset
from whisperlab.dataset.listing import Listing
from whisperlab.dataset.rows import open_rows

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


@dataclass(frozen=True, config=STRICT)
class DemoDataset(ListedDataset):
    """Utterances of the demo set, offline; ``part`` says which.

    ``speech`` is everything with words, ``nospeech`` the silent and the noisy recording, whose text
    is empty; ``long`` are those over 30 s.
    """

    source: ClassVar[str] = "demo"

    part: Part

    def identity(self) -> Mapping[str, str | int | None]:
        """Returns the digests, and which part they are of."""
        return {**super().identity(), "part": self.part}

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
