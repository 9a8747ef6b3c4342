"""The odd and hostile files of the test recordings, ``weird/`` and ``badaudio/``, and decoding them apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHILD = Path(__file__).with_name("decode_child.py")
MOST_SECONDS = 30.0


@dataclass(frozen=True)
class Case:
    """One row of a manifest: what is expected of a file, ``accept`` or ``reject``, and the code."""

    name: str
    family: str
    path: Path
    row: dict[str, Any]

    @property
    def upload_name(self) -> str:
        """Under which a browser would send it."""
        return (
            str(self.row.get("upload_name") or self.path.name).encode("utf-8", "replace").decode()
        )

    def allows(self, came: str | None) -> bool:
        """Whether a verdict, a code or ``None`` for accepted, is the manifest's."""
        if self.row["expected"] == "accept":
            return came is None
        return self.row["expected"] != "reject" or (
            came is not None and self.row["code"] in (None, came)
        )


def cases(test_data: Path) -> list[Case]:
    """Returns every file of both folders."""
    found = []
    for folder in ("weird", "badaudio"):
        for line in (test_data / folder / "manifest.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            path = test_data / folder / row["audio_filepath"]
            found.append(Case(row["id"], row.get("family", folder), path, row))
    assert len(found) > 200
    return found


def decoded(batch: Sequence[Case]) -> list[dict[str, Any]]:
    """What one child says of the files (`decode_child`); a child that dies or hangs fails the test."""
    done = subprocess.run(
        [sys.executable, str(CHILD)],
        input=json.dumps([str(case.path) for case in batch]),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # libmpg123 prints there
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=MOST_SECONDS * len(batch),
        check=False,
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"the child died of {batch[len(results)].name}"
    return results
