"""A Whisper checkpoint's tensors as numpy arrays, read from safetensors as they are needed.

Owns the mapping of files into memory and the widening of half precisions to float32. It does not
know layers. Format: see ``engine/checkpoint.py``, which has looked at the files before.
"""

from __future__ import annotations

import json
import mmap
import struct
from dataclasses import dataclass
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
    """Where a tensor lies, the type it was written in, and the array over the mapped file.

    A whole tensor is read from the file: read through the mapping, its pages would stay in memory.
    """

    path: Path
    offset: int
    array: npt.NDArray[np.generic]
    kind: str

    def whole(self) -> Floats:
        stored = self.array
        read = np.fromfile(self.path, stored.dtype, count=stored.size, offset=self.offset)
        return self._widened(read.reshape(stored.shape))

    def rows(self, indices: npt.NDArray[np.intp]) -> Floats:
        return self._widened(self.array[indices])

    def _widened(self, stored: npt.NDArray[np.generic]) -> Floats:
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
            self._map(path)

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

    def _map(self, path: Path) -> None:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        (length,) = _LENGTH.unpack_from(mapped)
        first = _LENGTH.size + length
        header = json.loads(mapped[_LENGTH.size : first])
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            kind = entry["dtype"]
            if kind not in _STORED:
                raise ModelError(
                    f"{path}: expected weights in float16, bfloat16 or float32, got {name} in {kind}; "
                    "give the unquantised checkpoint"
                )
            begin, end = entry["data_offsets"]
            stored = np.dtype(_STORED[kind])
            array = np.frombuffer(
                mapped, stored, count=(end - begin) // stored.itemsize, offset=first + begin
            )
            self._tensors[name.removeprefix("model.")] = _Stored(
                path, first + begin, array.reshape(entry["shape"]), kind
            )
