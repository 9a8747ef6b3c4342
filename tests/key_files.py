"""Key files made without the package, as an oracle for the format, and what a ring says to callers."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from whisperlab.serve.keys import KeyRing
from whisperlab.serve.keys.key_file import StoredKey, change_keys, now
from whisperlab.serve.problems import ApiError

COMMAND = [sys.executable, "-m", "whisperlab.serve.keys"]
ADDRESS = "192.0.2.7"
REFUSALS = {
    "You didn't provide an API key. Send it as a header: Authorization: Bearer YOUR_KEY",
    "Incorrect API key provided.",
    "This API key has expired; ask for a new one.",
}


def stored(name: str, key: str, **fields: Any) -> dict[str, Any]:
    """An entry as it stands in the file, made without the package: an oracle for the format."""
    return {
        "name": name,
        "sha256": sha256(key.encode()).hexdigest(),
        "created": "2026-01-01T00:00:00Z",
        "expires": None,
        "requests_per_minute": None,
        "audio_seconds_per_minute": None,
        "in_flight": None,
        **fields,
    }


def write(path: Path, *entries: dict[str, Any], mode: int = 0o600) -> Path:
    path.write_text(json.dumps({"schema": 1, "keys": entries}), encoding="utf-8")
    path.chmod(mode)
    return path


def refusal(ring: KeyRing, *authorization: str) -> ApiError:
    with pytest.raises(ApiError) as refused:
        ring.identify(authorization, ADDRESS)
    return refused.value


def add(file: Path, name: str, key: str) -> None:
    made = StoredKey(name=name, sha256=sha256(key.encode()).hexdigest(), created=now())
    change_keys(file, lambda keys: keys.with_key(made))
