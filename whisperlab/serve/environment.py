"""Settings from the environment: ``WHISPERLAB_SERVE_PORT=9000`` is ``port=9000``.

Owns the way from variables to overrides. They stand before the command line's own, which therefore
wins; Hydra checks their keys as it checks those.

======================================================  ==================================
``WHISPERLAB_SERVE_HOST``, ``_PORT``, ``_RUN``          ``host``, ``port``, ``run``
``WHISPERLAB_SERVE_KEYS_FILE=/etc/wl/keys.json``        ``serve.keys_file=...``
``WHISPERLAB_SERVE_LIMITS__QUEUE_SIZE=16``              ``serve.limits.queue_size=16``
``WHISPERLAB_SERVE_TRUSTED_HOSTS=[asr.example.org]``    ``serve.trusted_hosts=[...]``
======================================================  ==================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from whisperlab.config.overrides import written

PREFIX: Final = "WHISPERLAB_SERVE_"
TOP_LEVEL: Final = frozenset({"host", "port", "run"})

_PLAIN: Final = re.compile(r"[\w.:/@+-]*|\[.*\]|\{.*\}")
"""Values that Hydra's grammar reads as they stand: words, numbers, addresses, lists."""


def environment_overrides(environment: Mapping[str, str]) -> list[str]:
    """Returns the overrides that the environment asks for, in the order of their names.

    >>> environment_overrides({"WHISPERLAB_SERVE_PORT": "9000", "HOME": "/"})
    ['port=9000']
    >>> environment_overrides({"WHISPERLAB_SERVE_LIMITS__QUEUE_SIZE": "16"})
    ['serve.limits.queue_size=16']
    """
    overrides = []
    for variable in sorted(environment):
        if not variable.startswith(PREFIX):
            continue
        key = variable.removeprefix(PREFIX).lower().replace("__", ".")
        overrides.append(
            f"{key if key in TOP_LEVEL else f'serve.{key}'}={_written(environment[variable])}"
        )
    return overrides


def with_environment(arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Returns the command line with the environment's overrides before its first own one."""
    own = [n for n, word in enumerate(arguments) if "=" in word and not word.startswith("-")]
    first = own[0] if own else len(arguments)
    return [*arguments[:first], *environment_overrides(environment), *arguments[first:]]


def _written(value: str) -> str:
    """Returns the value as Hydra's grammar wants it: quoted unless it reads as it stands."""
    if _PLAIN.fullmatch(value):
        return value
    return written(value)
