"""What a tracker gets of a run, and the two calls that give it.

Owns the names of parameters and metrics. Texts, ids and references never leave the run folder.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from whisperlab.errors import ConfigError, MissingExtraError
from whisperlab.experiment.result import RunCard, Scores

MODULES = {"trackio": "trackio", "mlflow": "mlflow"}


def send(name: str, card: RunCard, scores: Scores, tracker: str, project: str) -> None:
    """Gives the run's parameters and metrics to ``tracker``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        module = importlib.import_module(MODULES[tracker])
    except ImportError as error:
        raise MissingExtraError(tracker, tracker, f"--to {tracker}") from error
    given, measured = dict(parameters(card)), dict(metrics(scores))
    if tracker == "trackio":
        module.init(project=project, name=name, config=given, auto_log_gpu=False)
        module.log(measured)
        module.finish()
        return
    module.set_experiment(project)
    with module.start_run(run_name=name):
        module.log_params(given)
        module.log_metrics(measured)


def parameters(card: RunCard) -> Iterator[tuple[str, str]]:
    """Yields the resolved settings by dotted key, and what names the run's code and data."""
    yield "configuration_hash", card.configuration_hash
    yield "fingerprint", card.fingerprint
    yield "git_commit", str(card.git.get("commit"))
    yield from _flat("", card.config)


def metrics(scores: Scores) -> Iterator[tuple[str, float]]:
    """Yields every number of scores.json by dotted key; what is undefined is left out."""
    for name, value in _flat("", asdict(scores)):
        if value not in ("None", "True", "False") and not name.startswith(
            ("profile", "fingerprint")
        ):
            yield name, float(value)


def _flat(key: str, node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _flat(f"{key}.{name}" if key else str(name), value)
    elif isinstance(node, (list, tuple)):
        for number, value in enumerate(node):
            yield from _flat(f"{key}.{number}", value)
    else:
        yield key, str(node)


def no_finished_run(path: Path) -> ConfigError:
    """Returns the error of a folder that holds no finished run."""
    return ConfigError(f"{path}: no finished run (expected run.json and scores.json there)")
