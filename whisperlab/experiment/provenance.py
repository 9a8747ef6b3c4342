"""Where a number came from: code version, package versions, machine, moment.

Owns the facts that a run card records about its surroundings. It does not know what was measured.
"""

from __future__ import annotations

import datetime
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import whisperlab

RECORDED_PACKAGES = (
    "accelerate",
    "av",
    "bitsandbytes",
    "hydra-core",
    "jiwer",
    "librosa",
    "numpy",
    "pocketsphinx",
    "pydantic",
    "scipy",
    "soundfile",
    "soxr",
    "torch",
    "transformers",
    "whisper-normalizer",
)
"""Packages whose version can change a text, a score or a time."""

GIT_TIMEOUT_SECONDS = 5


def versions() -> Mapping[str, str]:
    """Returns installed versions by package name, Python and whisperlab included."""
    found = {"python": platform.python_version(), "whisperlab": whisperlab.__version__}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> Mapping[str, str | bool | None]:
    """Returns ``commit`` and ``dirty`` of the checkout that runs; both ``None`` outside a checkout."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return {"commit": None, "dirty": None}
    try:
        commit = _git(checkout, "rev-parse", "HEAD")
        dirty = _git(checkout, "status", "--porcelain")
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(dirty)}


def _git(checkout: Path, *arguments: str) -> str:
    # No lock of the index: a run that is stopped here would leave it behind in the user's repository.
    finished = subprocess.run(  # noqa: S603 - a fixed program with fixed arguments
        ["git", "--no-optional-locks", "-C", str(checkout), *arguments],  # noqa: S607 - the user's own git
        capture_output=True,
        text=True,
        check=True,
        timeout=GIT_TIMEOUT_SECONDS,
    )
    return finished.stdout.strip()


def utc_now() -> str:
    """Returns the moment in ISO 8601, UTC, to the second; for people, never for durations."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
