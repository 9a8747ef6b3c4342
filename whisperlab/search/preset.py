"""The recommended configuration as a preset of its own, and the command that serves it.

Owns the file. It is complete: every group of the transcriber with its resolved values, so that what
is served is what was raced, whatever the shipped defaults become.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

import yaml

from whisperlab.config.build import HASHED_GROUPS
from whisperlab.errors import WriteError
from whisperlab.experiment.race_plan import Candidate

CONFIG_FOLDER: Final = "conf"
PRESET: Final = "recommended"
GROUPS: Final = (*HASHED_GROUPS, "audio")


def write_preset(candidate: Candidate, folder: Path) -> str:
    """Writes ``conf/preset/recommended.yaml`` below ``folder``; returns the command that serves it.

    Raises:
        WriteError: it cannot be written.
    """
    path = folder / CONFIG_FOLDER / "preset" / f"{PRESET}.yaml"
    command = shlex.join(
        [
            *("python", "-m", "whisperlab.serve"),
            *("--config-dir", str(folder / CONFIG_FOLDER), f"preset={PRESET}"),
        ]
    )
    content = {name: candidate.config[name] for name in GROUPS}
    text = (
        "# @package _global_\n"
        f"# Configuration {candidate.name}, found by whisperlab.search: {command}\n"
        f"{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror})") from error
    return command
