"""Where a row's recording lies, and whether a dataset may point there.

Owns the rule that a manifest names files under its root only. It opens nothing; whether a file is
sound is `whisperlab.audio`'s question.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from whisperlab.dataset.rows import RowError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""``https:``, ``concat:``, ``pipe:``; two letters at least, so that no drive letter is one."""


class Located(NamedTuple):
    """A recording's path and its bytes; ``None`` where there is no regular file."""

    path: str
    size: int | None


class AudioPaths:
    """Resolves the paths of one dataset against its root.

    A path that leads out of the root (absolute, ``../`` or a link) is refused. What is no file at
    all is handed on untouched for `whisperlab.audio.decode` to refuse, utterance by utterance:
    a URL, ``concat:``, a device, a FIFO, a folder; so is a file that is missing. Names are taken
    byte for byte: "é" composed and "é" decomposed are two files.
    """

    def __init__(self, root: Path, *, allow_outside_root: bool) -> None:
        # Absolute, so that a file called "concat:a" can never be read as a protocol later.
        self._root = os.path.abspath(root)
        self._inside = os.path.realpath(root).rstrip(os.sep) + os.sep
        self._allow_outside_root = allow_outside_root
        # A folder's links are resolved once for all the recordings in it: 10^6 rows stay quick.
        self._folder = lru_cache(maxsize=1024)(self._resolve_folder)

    def locate(self, written: str) -> Located:
        """Returns the path to open and the file's size.

        Raises:
            RowError: the path leads out of the root or cannot be a path at all.
        """
        joined, inside = self._joined(written)
        found: os.stat_result | None = None
        try:
            found = os.lstat(joined)
            if stat.S_ISLNK(found.st_mode):
                inside = os.path.realpath(joined).startswith(self._inside)
                found = os.stat(joined)
        except OSError as error:
            if _SCHEME.match(written):
                return Located(written, None)
            if error.errno == errno.ENAMETOOLONG:
                raise RowError(
                    f"expected a path, got a name of {len(written)} characters, more than a file "
                    "can have; mend the path"
                ) from error
            found = None
        if found is not None and not stat.S_ISREG(found.st_mode):
            return Located(joined, None)
        if not inside and not self._allow_outside_root:
            raise RowError(
                f"expected a recording under {self._root}, got {written[:200]!r}, which lies "
                "outside; move it there, set dataset.root, or allow it: "
                "+dataset.allow_outside_root=true"
            )
        return Located(joined, None if found is None else found.st_size)

    def check(self, written: str) -> None:
        """Refuses what `locate` would, without asking for the file where its folder is inside.

        Raises:
            RowError: as `locate`.
        """
        if not self._joined(written)[1]:
            self.locate(written)

    def _joined(self, written: str) -> tuple[str, bool]:
        """Returns the path under the root and whether its folder lies inside."""
        if "\0" in written:
            raise RowError("expected a path, got one with a zero byte; mend the path")
        folder, _, name = written.rpartition("/")
        if name in (".", ".."):
            folder, name = written, ""
        prefix, inside = self._folder(folder if folder or name == written else "/")
        return prefix + name, inside

    def _resolve_folder(self, folder: str) -> tuple[str, bool]:
        """Returns the folder's path with a separator, and whether it really lies in the root."""
        joined = os.path.join(self._root, folder).rstrip(os.sep) + os.sep
        return joined, (os.path.realpath(joined) + os.sep).startswith(self._inside)
