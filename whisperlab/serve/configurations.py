"""The configurations that a server offers: their names, what they are, what was measured of them.

Owns the way from settings (overrides, ``serve.presets``, ``run=FOLDER``) to named configurations. A
request only ever picks one by its name. Nothing is loaded here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from whisperlab.config.build import HASHED_GROUPS, build_transcriber, configuration_hash_on
from whisperlab.config.compose import compose
from whisperlab.device import ResolvedKind
from whisperlab.errors import ConfigError
from whisperlab.experiment.folder import read_card, read_scores
from whisperlab.experiment.result import RunCard
from whisperlab.serve.settings import ServeSettings
from whisperlab.transcriber import Transcriber

TRANSCRIBER_KEYS: Final = (*HASHED_GROUPS, "audio")
"""What of a composed configuration a transcriber is built from."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a finished run found: rates are fractions, times seconds, ``None`` is unknown."""

    run: str
    dataset: str
    utterances: int
    profile: str
    wer: float | None
    wer_low: float | None
    wer_high: float | None
    rtfx: float | None
    latency_p95_seconds: float | None
    batch_size: int | None


@dataclass(frozen=True)
class Configuration:
    """A transcriber by its name; ``measured_hash`` is the hash of the run that it comes from."""

    name: str
    config: Mapping[str, Any]
    measured: Measured | None = None
    measured_hash: str | None = None

    @cached_property
    def transcriber(self) -> Transcriber:
        """The transcriber with nothing loaded: its options, and what its engine can honour."""
        return build_transcriber(self.config)

    @property
    def chooses_device(self) -> bool:
        """Whether the machine decides on the device (``device=auto``)."""
        return bool(self.config["device"]["kind"] == "auto")

    def hash(self, automatic: ResolvedKind | None) -> str | None:
        """Returns the configuration hash where ``device=auto`` means ``automatic``.

        ``None`` if it depends on that and that is not known.
        """
        kind = automatic if self.chooses_device else self.config["device"]["kind"]
        return None if kind is None else configuration_hash_on(self.config, kind)

    def check_measured(self, automatic: ResolvedKind | None) -> None:
        """Raises unless this is what a run measured.

        Raises:
            ConfigError: it was measured on another kind of device.
        """
        found = self.hash(automatic)
        if self.measured_hash not in (None, found):
            raise ConfigError(
                f"run={self.measured.run if self.measured else self.name}: was measured as "
                f"{self.measured_hash}, here it would be {found} (device {automatic}); serve it where "
                "it was measured, or evaluate it on this device"
            )


class Offer:
    """The configurations of one server by name, the first one the default, and their aliases."""

    def __init__(
        self, configurations: Sequence[Configuration], aliases: Mapping[str, str | None]
    ) -> None:
        self._adding = threading.Lock()
        self._by_name: dict[str, Configuration] = {}
        for configuration in configurations:
            if configuration.name in self._by_name:
                raise ConfigError(
                    f"two configurations are called {configuration.name}; serve each preset once, "
                    "and runs from folders with different names"
                )
            self._by_name[configuration.name] = configuration
        self.default = configurations[0]
        self.aliases: dict[str, str] = {}
        for alias, name in aliases.items():
            target = self.default.name if name is None else name
            if target not in self._by_name:
                raise ConfigError(
                    f"serve.aliases.{alias}: expected one of {', '.join(self._by_name)}, got {name!r}"
                )
            if alias not in self._by_name:
                self.aliases[alias] = target

    def add(self, configuration: Configuration) -> None:
        """Offers one more configuration; may be called from any thread while others read.

        Raises:
            ConfigError: another configuration has that name.
        """
        with self._adding:
            present = self.find(configuration.name)
            if present is not None and present != configuration:
                raise ConfigError(f"another configuration is called {configuration.name} already")
            # A new mapping: whoever goes through the old one sees it unchanged.
            self._by_name = {**self._by_name, configuration.name: configuration}

    def __iter__(self) -> Iterator[Configuration]:
        return iter(self._by_name.values())

    def find(self, name: str) -> Configuration | None:
        """Returns the configuration of that name or alias; ``None`` if there is none."""
        return self._by_name.get(self.aliases.get(name, name))


def offered(
    config: Mapping[str, Any], settings: ServeSettings, name: str, config_dir: Path | None = None
) -> Offer:
    """Returns what ``config`` and ``settings`` offer; the composed transcriber is called ``name``.

    ``config_dir`` is where presets of one's own are, as ``--config-dir`` says.

    Raises:
        ConfigError: a run has not finished, a preset does not exist, a value is wrong.
    """
    runs = (settings.run,) if isinstance(settings.run, str) else settings.run or ()
    configurations = [from_run(Path(run)) for run in runs] or [
        Configuration(name, {key: config[key] for key in TRANSCRIBER_KEYS})
    ]
    known = {configuration.name for configuration in configurations}
    for preset in settings.presets:
        if preset not in known:
            composed = compose("transcriber", [f"preset={preset}"], config_dir)
            configurations.append(
                Configuration(preset, {key: composed[key] for key in TRANSCRIBER_KEYS})
            )
            known.add(preset)
    for configuration in configurations:
        _ = configuration.transcriber  # every value is checked before anything is loaded
    return Offer(configurations, settings.aliases)


def from_run(folder: Path, name: str | None = None) -> Configuration:
    """Returns exactly the configuration that the finished run in ``folder`` measured.

    It is called ``name``, else as the folder is.

    Raises:
        ConfigError: there is no finished run, or no utterance of it could be scored.
    """
    card, scores = read_card(folder), read_scores(folder)
    if card is None or scores is None:
        raise ConfigError(f"run={folder}: no finished run there; give the folder of one")
    if not scores.utterances.scored:
        # Nothing was measured that could be offered, and most likely its model does not work.
        raise ConfigError(
            f"run={folder}: expected a run with texts, got one without a single one scored; see in "
            "its report what failed, and evaluate again"
        )
    wer = scores.scores.get("wer")
    measured = Measured(
        run=folder.resolve().name,
        dataset=dataset_name(card),
        utterances=scores.utterances.scored,
        profile=str(scores.profile.get("name", "")),
        wer=None if wer is None else wer.value,
        wer_low=None if wer is None else wer.low,
        wer_high=None if wer is None else wer.high,
        rtfx=scores.speed.rtfx,
        latency_p95_seconds=scores.speed.latency_seconds.p95,
        batch_size=scores.speed.batch_size,
    )
    missing = [key for key in TRANSCRIBER_KEYS if key not in card.config]
    if missing:
        raise ConfigError(f"run={folder}: its run.json has no {missing[0]}; evaluate it again")
    return Configuration(
        name or measured.run,
        {key: card.config[key] for key in TRANSCRIBER_KEYS},
        measured,
        card.configuration_hash,
    )


def dataset_name(card: RunCard) -> str:
    """Returns a dataset's name for people: its source, and what was read without its folders."""
    chosen = card.config.get("dataset", {})
    parts = [str(card.dataset.get("source", "dataset"))]
    parts += [Path(str(chosen[key])).name for key in ("name", "part", "path") if chosen.get(key)]
    return " ".join(dict.fromkeys(parts))
