from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, get_args

import psutil
import pydantic
import pytest
import torch

from whisperlab import device
from whisperlab.device import (
    CPU_BATCH_SIZE,
    CUDA_BATCH_SIZE,
    MPS_BATCH_SIZE,
    Device,
    Quantization,
    QuantizationName,
    ResolvedKind,
    default_batch_size,
    give_back_memory,
    gpu_clocks_mhz,
    hardware,
    has_amx,
    has_bfloat16,
    peak_allocated_bytes,
    precisions,
    require,
    resolve,
    synchronise,
)
from whisperlab.errors import ConfigError, UnsupportedOptionError

KINDS: tuple[ResolvedKind, ...] = get_args(ResolvedKind)
NAMES: tuple[QuantizationName, ...] = get_args(QuantizationName)


def test_auto_takes_the_first_of_cuda_mps_cpu() -> None:
    expected = "cpu"
    if torch.backends.mps.is_available():
        expected = "mps"
    if torch.cuda.is_available():
        expected = "cuda"
    assert resolve("auto") == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_an_absent_cuda_is_refused_with_what_is_there() -> None:
    with pytest.raises(
        ConfigError, match=r"device\.kind=cuda .* this machine has: .*cpu"
    ) as caught:
        resolve("cuda")
    assert caught.value.code == "device_not_available"
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_the_batch_sizes_are_4_16_and_2() -> None:
    assert (MPS_BATCH_SIZE, CUDA_BATCH_SIZE, CPU_BATCH_SIZE) == (4, 16, 2)
    assert [default_batch_size(kind) for kind in ("mps", "cuda", "cpu")] == [4, 16, 2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_device_takes_exactly_the_precisions_it_lists(
    kind: ResolvedKind, name: QuantizationName
) -> None:
    quantization = Quantization(name)
    if name in precisions(kind):
        require(kind, quantization)
        return
    with pytest.raises(UnsupportedOptionError) as caught:
        require(kind, quantization)
    message = str(caught.value)
    assert name in message
    assert all(able in message for able in precisions(kind))


def test_every_device_computes_in_float32_and_only_the_cpu_quantises_dynamically() -> None:
    assert all("none" in precisions(kind) for kind in KINDS)
    assert [kind for kind in KINDS if "dynamic_int8" in precisions(kind)] == ["cpu"]


def test_an_outlier_threshold_belongs_to_bnb_int8() -> None:
    assert Quantization("bnb_int8", outlier_threshold=6.0).outlier_threshold == 6.0
    with pytest.raises(UnsupportedOptionError, match="bnb_int8"):
        Quantization("bnb_nf4", outlier_threshold=6.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "int4"},
        {"name": "bnb_int8", "outlier_threshold": 0.0},
        {"name": "bnb_int8", "outlier_threshold": float("nan")},
        {"name": "bnb_int8", "outlier_threshold": "6"},
        {"name": "none", "bits": 8},
    ],
)
def test_a_wrong_quantisation_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        Quantization(**settings)


def test_an_unknown_device_is_refused() -> None:
    unknown: dict[str, Any] = {"kind": "cuda:1"}
    with pytest.raises(pydantic.ValidationError):
        Device(**unknown)


def test_the_cpu_has_nothing_to_wait_for_and_keeps_no_peak() -> None:
    synchronise("cpu")
    assert peak_allocated_bytes("cpu") is None
    assert peak_allocated_bytes("mps") is None


@pytest.mark.gpu
def test_cuda_counts_its_peak() -> None:
    block = torch.ones(1 << 20, device="cuda")
    synchronise("cuda")
    peak = peak_allocated_bytes("cuda")
    assert peak is not None
    assert peak >= block.nbytes


def test_hardware_is_json_and_agrees_with_the_system() -> None:
    found = hardware()
    assert json.loads(json.dumps(found)) == found
    assert found["logical_cores"] == os.cpu_count()
    assert 1 <= found["usable_cores"] <= found["logical_cores"]
    assert found["architecture"] == platform.machine()
    assert found["processor"]
    assert found["torch_threads"] == torch.get_num_threads()


@pytest.mark.skipif(not os.path.exists("/proc/cpuinfo"), reason="needs Linux's /proc/cpuinfo")
def test_the_processor_s_clock_is_what_the_kernel_says() -> None:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        told = any(line.startswith("cpu MHz") for line in file)
    clock = hardware()["processor_mhz"]
    assert (clock is not None) == told
    assert clock is None or 100 < clock < 10_000


class NoNvidiaPackage:
    """torch with a GPU, without the package by which it asks NVIDIA's driver."""

    version = SimpleNamespace(cuda="13.0")

    class cuda:  # noqa: N801 - torch's own name
        @staticmethod
        def device_count() -> int:
            return 1

        @staticmethod
        def clock_rate(_: int) -> int:
            raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")


def test_gpus_that_do_not_tell_their_clock_have_none() -> None:
    assert gpu_clocks_mhz(NoNvidiaPackage) == []


@pytest.mark.gpu
def test_each_gpu_tells_its_clock() -> None:
    pytest.importorskip("pynvml", reason="the extra energy is not installed")
    torch.ones(1, device="cuda")
    clocks = hardware()["gpu_mhz"]
    assert len(clocks) == torch.cuda.device_count()
    assert all(100 < clock < 10_000 for clock in clocks)


@pytest.mark.skipif(not os.path.exists("/proc/meminfo"), reason="needs Linux's /proc/meminfo")
def test_the_memory_is_what_the_kernel_says() -> None:
    with open("/proc/meminfo", encoding="ascii") as file:
        kilobytes = int(file.readline().split()[1])  # MemTotal:       24567890 kB
    memory = hardware()["memory_bytes"]
    assert memory is not None
    assert memory == pytest.approx(kilobytes * 1024, rel=0.01)  # the kernel rounds to pages


def test_describing_the_machine_and_resolving_the_cpu_import_no_torch() -> None:
    code = (
        "import sys\n"
        "from whisperlab.device import hardware, precisions, resolve, synchronise\n"
        "assert resolve('cpu') == 'cpu' and precisions('cuda')\n"
        "synchronise('cpu')\n"
        "assert hardware()['torch_threads'] is None and hardware()['gpus'] == []\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("flags", "expected"), [
    ("fpu avx512_bf16 amx_bf16 amx_tile amx_int8", True),
    ("fpu avx512_bf16 avx512_vnni", False),
    (None, False),
])  # fmt: skip
def test_amx_is_told_by_the_processor_s_flags(
    monkeypatch: pytest.MonkeyPatch, flags: str | None, expected: bool
) -> None:
    described = [("model name", "One"), *([] if flags is None else [("flags", flags)])]
    monkeypatch.setattr(device, "_processor", lambda: described)
    assert has_amx() is expected


@pytest.mark.parametrize(("described", "expected"), [
    (("flags", "fpu avx512_bf16 avx512_vnni"), True),
    (("flags", "fpu avx2 avx_vnni"), False),
    (("Features", "fp asimd i8mm bf16"), True),
    (("Features", "fp asimd"), False),
])  # fmt: skip
def test_bfloat16_is_told_by_the_flags_of_x86_and_arm(
    monkeypatch: pytest.MonkeyPatch, described: tuple[str, str], expected: bool
) -> None:
    monkeypatch.setattr(device, "_processor", lambda: [("processor", "0"), described])
    assert has_bfloat16() is expected


@pytest.mark.skipif(sys.platform != "linux", reason="the C library's own limits: Linux")
def test_blocks_are_given_back_after_a_larger_one_was_freed() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from whisperlab.device import keep_block_size\n"
        "if sys.argv[1] == 'kept': keep_block_size()\n"
        "def mebibytes(): return int(Path('/proc/self/statm').read_text().split()[1]) * 4 / 1024\n"
        "bytearray(30 << 20)\n"  # the largest block freed
        "blocks = [(bytearray(b'1') * (1 << 20), bytearray(5000)) for _ in range(50)]\n"
        "before = mebibytes()\n"
        "blocks = [small for _, small in blocks]\n"
        "print(before - mebibytes())\n"
    )
    back = {
        way: float(subprocess.run([sys.executable, "-c", code, way], capture_output=True, text=True,
                                  check=True).stdout)
        for way in ("kept", "not kept")
    }  # fmt: skip
    assert back["kept"] > 45 > back["not kept"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_between_what_is_kept_goes_back_to_the_system() -> None:
    def resident() -> int:
        return int(psutil.Process().memory_info().rss)

    blocks = [bytearray(b"x" * 60_000) for _ in range(2000)]  # below what glibc maps by itself
    kept = blocks[::50]
    del blocks
    before = resident()
    give_back_memory()
    assert before - resident() > 50e6
    assert kept[0][:1] == b"x"
