"""A Whisper checkpoint's tensors as numpy arrays, read from safetensors as they are needed.

Owns the reading of files and the widening of half precisions to float32. It does not
know layers. Format: see ``engine/checkpoint.py``, which has looked at the files before.
"""

from __future__ import annotations

import json
import struct
import weakref
from dataclasses import dataclass
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from whisperlab.engine import checkpoint
from whisperlab.errors import ModelError

Floats = npt.NDArray[np.float32]

_STORED: Final = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "F64": np.float64}
_LENGTH: Final = struct.Struct("<Q")
_BFLOAT16_SHIFT: Final = 16
"""bfloat16 is the upper half of a float32."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where a tensor lies in a file that is open, its shape, and the type it was written in.

    It is read, not mapped: pages that are looked at through a mapping stay in memory.
    """

    file: BufferedReader
    offset: int
    shape: tuple[int, ...]
    kind: str

    def whole(self) -> Floats:
        return self._read(0, prod(self.shape)).reshape(self.shape)

    def rows(self, indices: npt.NDArray[np.intp]) -> Floats:
        width = prod(self.shape[1:])
        found = np.empty((indices.size, width), np.float32)
        for row, index in enumerate(indices.flat):
            found[row] = self._read(int(index) * width, width)
        return found.reshape(*indices.shape, *self.shape[1:])

    def _read(self, first: int, count: int) -> Floats:
        """Returns ``count`` numbers from number ``first`` on, in float32."""
        kind = np.dtype(_STORED[self.kind])
        stored = np.empty(count, kind)
        self.file.seek(self.offset + first * kind.itemsize)
        if self.file.readinto(stored.data) != stored.nbytes:
            raise ModelError(
                f"{self.file.name}: the file ends within a tensor; fetch the checkpoint again",
                code="damaged_checkpoint",
            )
        if self.kind == "BF16":
            return (stored.astype(np.uint32) << _BFLOAT16_SHIFT).view(np.float32)
        return stored.astype(np.float32, copy=False)


class Weights:
    """The tensors of a checkpoint's folder; names are without the leading ``model.``.

    Nothing is read before it is asked for, and nothing that was read is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tensors: dict[str, _Stored] = {}
        for path in checkpoint.weight_files(folder):
            self._open(path)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def tensor(self, name: str) -> Floats:
        """Returns a copy of a tensor in float32.

        Raises:
            ModelError: there is no such tensor, or its type is none of floating point.
        """
        return self._find(name).whole()

    def rows(self, name: str, indices: npt.NDArray[np.intp]) -> Floats:
        """Returns rows of a tensor in float32, shape ``(*indices.shape, n_columns)``."""
        return self._find(name).rows(indices)

    def _find(self, name: str) -> _Stored:
        if name not in self._tensors:
            raise ModelError(
                f"model in {self._folder}: the weight {name} is missing; fetch the checkpoint again",
                code="damaged_checkpoint",
            )
        return self._tensors[name]

    def _open(self, path: Path) -> None:
        file = path.open("rb")
        weakref.finalize(self, file.close)
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        header = json.loads(file.read(length))
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            kind = entry["dtype"]
            if kind not in _STORED:
                raise ModelError(
                    f"{path}: expected weights in float16, bfloat16 or float32, got {name} in {kind}; "
                    "give the unquantised checkpoint"
                )
            begin, _ = entry["data_offsets"]
            offset = _LENGTH.size + length + begin
            self._tensors[name.removeprefix("model.")] = _Stored(
                file, offset, tuple(entry["shape"]), kind
            )
