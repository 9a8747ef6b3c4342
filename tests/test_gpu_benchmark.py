"""benchmarks/gpu.py: a row that fails, dies or takes too long is a line of the table, not its end."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ASKED = {"device": "cpu", "rounds": 1, "tokens": 4, "limit": 120.0}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = util.spec_from_file_location("gpu", BENCHMARKS / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu", module)
    spec.loader.exec_module(module)
    return module


def test_a_row_that_fails_says_why_and_one_that_hangs_is_ended(
    gpu: ModuleType, tmp_path: Path
) -> None:
    failed = gpu.run_row("torch", tmp_path / "absent", "tiny", 1, ASKED)
    hung = gpu.run_row("torch", tmp_path / "absent", "tiny", 1, {**ASKED, "limit": 0.01})
    assert "absent" in failed.reason
    assert hung.reason == "not finished within 0.01 s"
    content = gpu.table([failed, hung], {})
    assert content.count("| not run |") == 2


def test_the_table_has_speed_memory_floor_and_stages(gpu: ModuleType) -> None:
    stages = {"features": 0.01, "encode": 0.5, "decode_tokens": 0.4}
    cell = gpu.Cell("small", "torch", 128, 1.0, 0.05, 3 * 2**30, stages)
    content = gpu.table([cell], {("small", 128): gpu.Floor(0.3, 0.2)})
    assert "| small | torch | 128 | 3,840 | 50% | 50 | 3,072 |" in content
    assert "| small | torch | 128 | 10 | 500 | 300 | 400 | 200 |" in content


def test_the_floor_is_the_encoder_s_products_and_the_decoder_s_bytes(
    gpu: ModuleType, tmp_path: Path
) -> None:
    config = {"d_model": 10, "max_source_positions": 5, "encoder_layers": 2, "decoder_layers": 1, "vocab_size": 7}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    floor = gpu.floor_of(tmp_path, 3, 4, gpu.Rates(operations=1.0, bytes=1.0), 2)
    # 2 operations * 3 windows * 5 positions * (2 layers * (12 * 10^2 + 2 * 5 * 10) + 2 * 10^2)
    assert floor.encoder == 2 * 3 * 5 * (2 * 1300 + 200)
    # 4 tokens * 2 bytes * (14 * 10^2 + 7 * 10 weights + 3 windows * 2 * 5 * 10 keys and values)
    assert floor.decoder == 4 * 2 * (1400 + 70 + 300)


@pytest.mark.slow
def test_the_command_ends_with_its_table_on_a_processor(tmp_path: Path) -> None:
    command = [
        sys.executable, str(BENCHMARKS / "gpu.py"), "--device", "cpu", "--sizes", "tiny",
        "--batches", "2", "--rows", "torch", "--tokens", "4", "--rounds", "1", "--output", str(tmp_path),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    [cell] = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["cells"]
    assert cell["seconds"] > cell["stages"]["encode"] > 0
    assert "its floor" in (tmp_path / "gpu.md").read_text(encoding="utf-8")
