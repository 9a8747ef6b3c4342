"""The device a model runs on: which there is, which precisions it can do, when it has finished.

Owns ``Device`` and ``Quantization``, the two settings of every engine, and the questions asked of
torch about hardware. It does not know engines or models. torch is imported inside the functions,
and only for ``auto``, ``cuda`` and ``mps``.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Final, Literal, TypedDict

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.errors import ConfigError, UnsupportedOptionError

# torch's waiting threads spin by default: on two shared cores that made the default evaluation eleven
# times slower. OpenMP reads this once, when torch is first imported, which happens below.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

Kind = Literal["auto", "cpu", "cuda", "mps"]
ResolvedKind = Literal["cpu", "cuda", "mps"]
QuantizationName = Literal[
    "none", "float16", "bfloat16", "int8", "bnb_int8", "bnb_nf4", "bnb_fp4", "dynamic_int8"
]

MPS_BATCH_SIZE: Final = 4
CUDA_BATCH_SIZE: Final = 16
CPU_BATCH_SIZE: Final = 2
"""Utterances a batch: the reviewed predecessor server's sizes by device (ARCHITECTURE.md)."""

GIVE_BACK_SECONDS: Final = 10.0
"""Between two times that freed memory goes back to the system: it takes some milliseconds."""

OWN_PAGES_BYTES: Final = 2**19
"""From here on a block has pages of its own.

What holds a text grows with it, and would leave gaps of ever other lengths behind; what comes and goes
in every step is mostly smaller.
"""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""From glibc's ``malloc.h``."""

_BATCH_SIZES: Final[dict[ResolvedKind, int]] = {
    "cpu": CPU_BATCH_SIZE,
    "cuda": CUDA_BATCH_SIZE,
    "mps": MPS_BATCH_SIZE,
}

_PRECISIONS: Final[dict[ResolvedKind, tuple[QuantizationName, ...]]] = {
    # Every one of them ran on a CPU with torch 2.13 and bitsandbytes 0.50 (STACK.md).
    "cpu": (
        "none",
        "float16",
        "bfloat16",
        "int8",
        "bnb_int8",
        "bnb_nf4",
        "bnb_fp4",
        "dynamic_int8",
    ),
    # torch's dynamic quantisation has CPU kernels alone.
    "cuda": ("none", "float16", "bfloat16", "int8", "bnb_int8", "bnb_nf4", "bnb_fp4"),
    # What torch itself computes there; int8 kernels and bfloat16 depend on the macOS version.
    "mps": ("none", "float16"),
}


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Device:
    """Where to compute; ``auto`` is decided by ``resolve`` when the model is loaded."""

    kind: Kind


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Quantization:
    """The precision of weights and arithmetic; ``none`` is float32.

    ``outlier_threshold`` belongs to ``bnb_int8`` alone: activations beyond it are multiplied in
    float16 (Source: Dettmers et al. 2022, arXiv 2208.07339, section 3).

    >>> Quantization("bnb_int8", outlier_threshold=6.0).name
    'bnb_int8'
    """

    name: QuantizationName
    outlier_threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    def __post_init__(self) -> None:
        if self.outlier_threshold is not None and self.name != "bnb_int8":
            raise UnsupportedOptionError(
                f"quantization.outlier_threshold belongs to bnb_int8, got name={self.name}; "
                "leave it out or choose quantization=bnb_int8"
            )


def resolve(kind: Kind) -> ResolvedKind:
    """Returns the device that ``kind`` means on this machine: ``auto`` is cuda, else mps, else cpu.

    Raises:
        ConfigError: ``cuda`` or ``mps`` is asked for and absent; names what there is.

    >>> resolve("cpu")
    'cpu'
    """
    if kind == "cpu":
        return "cpu"
    present = _present()
    if kind == "auto":
        return present[0]
    if kind not in present:
        import torch

        raise ConfigError(
            f"device.kind={kind} was asked for, but torch {torch.__version__} sees no {kind} device; "
            f"this machine has: {', '.join(present)}; choose device={present[0]} or device=auto",
            code="device_not_available",
        )
    return kind


def _present() -> list[ResolvedKind]:
    """Returns this machine's devices, the one that ``auto`` takes first."""
    import torch

    present: list[ResolvedKind] = []
    if torch.cuda.is_available():
        present.append("cuda")
    if torch.backends.mps.is_available():
        present.append("mps")
    present.append("cpu")
    return present


def default_batch_size(kind: ResolvedKind) -> int:
    """Returns the utterances a batch that suit ``kind``.

    >>> default_batch_size("cuda")
    16
    """
    return _BATCH_SIZES[kind]


def default_prepare_processes(kind: ResolvedKind) -> int:
    """Returns the processes that make sounds ready: a GPU outruns one core's decoding, others do not.

    >>> default_prepare_processes("cpu")
    0
    """
    return min(8, (os.cpu_count() or 1) - 1) if kind == "cuda" else 0


def give_back_memory() -> None:
    """Hands memory that was freed back to the system where the C library keeps it (glibc).

    Buffers of windows and texts of ever other lengths leave gaps, which would stay resident.
    """
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


class GivingBack:
    """Does `give_back_memory` when it is called ``GIVE_BACK_SECONDS`` after the last time, else nothing."""

    def __init__(self) -> None:
        self._last = perf_counter()

    def __call__(self) -> None:
        """To be called as often as something large may have been freed."""
        if perf_counter() - self._last > GIVE_BACK_SECONDS:
            give_back_memory()
            self._last = perf_counter()


def precisions(kind: ResolvedKind) -> tuple[QuantizationName, ...]:
    """Returns the quantisations that ``kind`` can do; an engine may know fewer.

    >>> precisions("mps")
    ('none', 'float16')
    """
    return _PRECISIONS[kind]


def require(kind: ResolvedKind, quantization: Quantization) -> None:
    """Checks that ``kind`` can do ``quantization``.

    Raises:
        UnsupportedOptionError: it cannot; the message names what it can.
    """
    able = precisions(kind)
    if quantization.name not in able:
        raise UnsupportedOptionError(
            f"quantization={quantization.name} does not run on {kind}, "
            f"which can do: {', '.join(able)}; choose one of them or another device"
        )


def synchronise(kind: ResolvedKind) -> None:
    """Waits until the device has done all its work; call it before reading a clock."""
    if kind == "cpu":
        return
    import torch

    if kind == "cuda":
        torch.cuda.synchronize()
    else:
        torch.mps.synchronize()


def peak_allocated_bytes(kind: ResolvedKind) -> int | None:
    """Returns the most device memory that torch has held in bytes; ``None`` where torch keeps no peak."""
    if kind != "cuda":
        return None
    import torch

    return int(torch.cuda.max_memory_allocated())


class Hardware(TypedDict):
    """What a timing depends on, as ``run.json`` keeps it; ``None`` is unknown."""

    processor: str
    processor_mhz: float | None
    architecture: str
    system: str
    logical_cores: int
    usable_cores: int
    memory_bytes: int | None
    gpus: list[str]
    gpu_mhz: list[int]
    torch_threads: int | None


def hardware() -> Hardware:
    """Describes this machine: processor, cores, memory, GPUs, their clocks and torch's threads.

    ``usable_cores`` are those this process may run on. ``processor_mhz``, the fastest core's, and
    ``gpu_mhz``, one a GPU, are the clocks at this moment: a run card has those at the end of the run. GPUs and torch's threads are known only
    where something has imported torch already: describing a machine must not cost an import.
    """
    torch = sys.modules.get("torch")
    gpus: list[str] = []
    clocks: list[int] = []
    if torch is not None and torch.cuda.is_available():
        gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        clocks = gpu_clocks_mhz(torch)
    described = _processor()
    logical = os.cpu_count() or 1
    return {
        "processor": _name(described),
        "processor_mhz": max(
            (float(value) for key, value in described if key == "cpu MHz"), default=None
        ),
        "architecture": platform.machine(),
        "system": platform.platform(),
        "logical_cores": logical,
        # Linux alone tells which cores a process is bound to.
        "usable_cores": len(os.sched_getaffinity(0))
        if sys.platform.startswith("linux")
        else logical,
        "memory_bytes": _memory_bytes(),
        "gpus": gpus,
        "gpu_mhz": clocks,
        "torch_threads": int(torch.get_num_threads()) if torch is not None else None,
    }


def gpu_clocks_mhz(torch: Any) -> list[int]:
    """Returns the clock of each GPU at this moment; none where NVIDIA's driver does not tell it.

    torch asks the driver through the package of the extra ``energy``.
    """
    silent: tuple[type[Exception], ...] = (ImportError, RuntimeError)
    nvml: Any = sys.modules.get("pynvml")
    if nvml is not None:
        silent += (nvml.NVMLError,)
    if torch.version.cuda is None:
        return []
    try:
        return [int(torch.cuda.clock_rate(n)) for n in range(torch.cuda.device_count())]
    except silent:
        return []


def _processor() -> list[tuple[str, str]]:
    r"""Returns what ``/proc/cpuinfo`` says of all cores (``cpu MHz\t\t: 2100.000``), nothing elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    pairs = (line.partition(":") for line in text.splitlines())
    return [(key.strip(), value.strip()) for key, _, value in pairs if value.strip()]


def has_amx() -> bool:
    """Returns whether the processor multiplies bfloat16 by AMX: Intel's servers from Sapphire Rapids on."""
    return "amx_bf16" in _features()


def has_bfloat16() -> bool:
    """Returns whether the processor multiplies bfloat16 at all: x86's AVX-512 or AMX, or ARM's."""
    return not _features().isdisjoint(("avx512_bf16", "amx_bf16", "bf16"))


def _features() -> frozenset[str]:
    """Returns what the first core can do, in Linux's words; nothing where Linux does not tell."""
    names = ("flags", "Features")  # x86's and ARM's
    return frozenset(next((value for key, value in _processor() if key in names), "").split())


def keep_block_size() -> None:
    """Lets the C library give freed blocks of ``OWN_PAGES_BYTES`` and more back, for good.

    Without it glibc raises that size to the largest block ever freed (mallopt(3)), and what smaller
    ones leave behind stays in the process: 15 MB of a Whisper tiny's 420. As much is kept at the
    end of its memory as glibc keeps beside such a size: twice that. Nothing elsewhere.
    """
    if _is_glibc():
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, OWN_PAGES_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, 2 * OWN_PAGES_BYTES)


def _is_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def _name(described: list[tuple[str, str]]) -> str:
    named = (value for key, value in described if key == "model name")
    return next(named, platform.processor() or platform.machine())


def _memory_bytes() -> int | None:
    """Returns the machine's memory in bytes where the system tells it through ``sysconf``."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def device_bytes() -> int | None:
    """Returns what torch has allocated on the GPU; ``None`` where it runs on none.

    Main memory is no substitute: what one engine frees the next one fills, and nothing grows.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return int(torch.cuda.memory_allocated())
