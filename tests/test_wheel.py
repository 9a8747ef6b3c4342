"""The wheel works in a venv of its own, outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of a new venv with the wheel; dependencies come from this venv by path."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    wheel = next(folder.glob("whisperlab-*.whl"))
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    target = next((folder / "venv" / "lib").glob("python*/site-packages"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    (target / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [str(python), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_it_is_the_wheel_that_runs_and_it_carries_its_configuration(
    installed: Path, tmp_path: Path
) -> None:
    code = (
        "import whisperlab; from whisperlab.config.compose import CONF_DIR;"
        "print(whisperlab.__file__, CONF_DIR)"
    )
    finished = run(installed, "-c", code, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    module, conf = finished.stdout.split()
    assert str(CHECKOUT / "whisperlab") not in module
    assert Path(conf).parent == Path(module).parent


def test_the_main_job_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    finished = run(
        installed, "-m", "whisperlab.eval", "engine=replay", "engine.default_text=hello",
        "latency_utterances=1", "run_dir=run", cwd=tmp_path,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    assert "WER" in finished.stdout


def test_files_are_transcribed_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    demo = next((CHECKOUT / "whisperlab" / "dataset").rglob("*.flac"))
    finished = run(
        installed, "-m", "whisperlab.transcribe", str(demo), "--set", "engine=replay",
        "--set", "engine.default_text=hello", "--output-dir", "out",
        "--format", "txt,srt,vtt,tsv,json", cwd=tmp_path,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    written = sorted(path.suffix for path in (tmp_path / "out").iterdir())
    assert written == [".json", ".srt", ".tsv", ".txt", ".vtt"]
    assert (tmp_path / "out" / f"{demo.stem}.txt").read_text(encoding="utf-8") == "hello\n"


@pytest.mark.slow
@pytest.mark.network
def test_the_wheel_and_all_that_it_needs_install_in_a_clean_venv(
    installed: Path, tmp_path: Path
) -> None:
    wheel = next(installed.parents[2].glob("whisperlab-*.whl"))
    venv.create(tmp_path / "clean", with_pip=True)
    python = tmp_path / "clean" / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "-q", str(wheel)], check=True)
    examined = run(python, "-m", "whisperlab.doctor", "--quick", cwd=tmp_path)
    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert "pip install 'whisperlab[vad]'" in examined.stdout
    finished = run(
        python, "-m", "whisperlab.eval", "dataset.subset=4", "latency_utterances=1", "run_dir=run",
        cwd=tmp_path,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
