"""A command cut into parts: the same command with a folder and a number of its own each.

Owns how a part's command is written, and what a worker elsewhere checks before it loads anything. It does not
know what the commands do.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from whisperlab.errors import ConfigError, WriteError
from whisperlab.executor.protocol import Part
from whisperlab.experiment.provenance import versions

PARTS = "parts"


def parts_of(
    module: str,
    folder_key: str,
    folder: Path,
    count: int,
    overrides: Sequence[str],
    config_dir: Path | None,
) -> list[Part]:
    """Returns ``count`` parts of ``module`` with ``overrides``, in ``folder/parts/INDEX``.

    Each is given ``folder_key``, ``shard`` and ``executor`` anew.

    Raises:
        WriteError: a folder cannot be made.
    """
    own_keys = (folder_key, "shard", "executor")
    kept = [one for one in overrides if _key(one) not in own_keys]
    own_dir = () if config_dir is None else ("--config-dir", str(config_dir))
    parts = []
    for index in range(count):
        place = folder / PARTS / str(index)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"{place}: cannot be made ({error.strerror}); choose another {folder_key}"
            ) from error
        command = (
            *(sys.executable, "-m", module, *own_dir, *kept, f"{folder_key}={place}"),
            *(f"shard.index={index}", f"shard.count={count}", "executor=here"),
        )
        parts.append(Part(index, command, place / "worker.log"))
    return parts


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].partition(".")[0]


def settle_in(wanted: Mapping[str, str], folder: str) -> None:
    """Checks a worker's packages against the command's, and goes to the command's folder where there is one.

    Relative paths mean the same there then.

    Raises:
        ConfigError: the worker has other versions than the command.
    """
    found = versions()
    differing = [
        f"{name} {found.get(name, 'absent')} (command: {wanted.get(name, 'absent')})"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]
    if differing:
        raise ConfigError(
            f"a worker on {os.uname().nodename} has {', '.join(differing)}; install the same there",
            code="versions_differ",
        )
    with contextlib.suppress(OSError):
        os.chdir(folder)
