"""What is raced: configurations, utterances in a random order, rules; and a budget.

Owns the plan and its identity. It does not know how a race goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from whisperlab.errors import ConfigError, DatasetError
from whisperlab.experiment.folder import RunFolder
from whisperlab.experiment.racing import Extent, RaceRules
from whisperlab.metric.alignment import count
from whisperlab.metric.protocol import Metric
from whisperlab.metric.score import align_pair
from whisperlab.normalize.profile import Profile
from whisperlab.transcriber import Transcriber
from whisperlab.utterance import Utterance

SCHEMA: Final = 1
"""Number of search.json's schema."""

PLAN: Final = "search.json"
FEWEST: Final = 2


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so much is transcribed; ``None`` is no limit. ``minutes`` are of transcribing alone."""

    audio_hours: float | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration in the race: its hash, the overrides that tell it from the others, the whole."""

    name: str
    overrides: tuple[str, ...]
    config: Mapping[str, Any]
    transcriber: Transcriber


@dataclass(frozen=True, slots=True)
class RacePlan:
    """A race before it begins; ``utterances`` in the dataset's order, drawn in blocks by ``seed``.

    Raises:
        ConfigError: fewer than two configurations, or the same one twice.
    """

    candidates: tuple[Candidate, ...]
    utterances: tuple[Utterance, ...]
    dataset: Mapping[str, Any]
    profile: Profile
    metrics: Sequence[Metric]
    rules: RaceRules
    budget: Budget
    block_size: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        if len(self.candidates) < FEWEST:
            raise ConfigError(
                f"expected {FEWEST} configurations to race or more, got {len(self.candidates)}; set space or "
                "search.candidates"
            )
        names: dict[str, Candidate] = {}
        for candidate in self.candidates:
            twin = names.setdefault(candidate.name, candidate)
            if twin is not candidate:
                raise ConfigError(
                    f"{' '.join(candidate.overrides)}: the same configuration as "
                    f"{' '.join(twin.overrides) or 'the one without overrides'}; leave one out"
                )

    def blocks(self) -> Iterator[tuple[Utterance, ...]]:
        """Yields all utterances once, in an order that depends on the seed and the ids alone."""
        drawn = sorted(self.utterances, key=lambda utterance: self._rank(utterance.id))
        for start in range(0, len(drawn), self.block_size):
            yield tuple(drawn[start : start + self.block_size])

    def extent(self) -> Extent:
        """Returns how much there is to hear, by the references' words.

        Raises:
            DatasetError: a reference breaks the profile's notation; names the utterance.
        """
        longest = 0
        for utterance in self.utterances:
            try:
                edits = align_pair(self.profile, utterance.reference, "").edits
            except DatasetError as error:
                raise DatasetError(f"utterance {utterance.id}: {error}") from error
            longest = max(longest, count(edits).reference_length)
        return Extent(len(self.utterances), longest)

    def _rank(self, name: str) -> bytes:
        return hashlib.blake2b(f"{self.seed}:{name}".encode(), digest_size=16).digest()

    def check_folder(self, folder: RunFolder) -> None:
        """Writes the plan into a new folder; raises when the folder holds another one.

        Raises:
            ConfigError: names what differs.
        """
        wanted = json.loads(json.dumps(self._content(), default=str))
        path = folder.path / PLAN
        if not path.exists():
            folder.write_json(PLAN, wanted)
            return
        present = json.loads(path.read_text(encoding="utf-8"))
        differing = [key for key in wanted if present.get(key) != wanted[key]]
        if differing:
            raise ConfigError(
                f"search_dir={folder.path}: holds another search; these differ: "
                f"{', '.join(differing)}; choose another search_dir, or repeat the first one's settings",
                code="fingerprint_differs",
            )

    def shares_data_with(self, folder: Path) -> bool:
        """True when the race in ``folder`` is over the same data: a configuration's outcomes count for both."""
        try:
            present = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False  # it has not begun
        return bool(
            present.get("dataset") == json.loads(json.dumps(dict(self.dataset), default=str))
        )

    def _content(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "candidates": {
                candidate.name: list(candidate.overrides) for candidate in self.candidates
            },
            "dataset": dict(self.dataset),
            "profile": {"name": self.profile.name, "hash": self.profile.hash},
            "rules": asdict(self.rules),
            "budget": asdict(self.budget),  # it decides who is set aside
            "block_size": self.block_size,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }
