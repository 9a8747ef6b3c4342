from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def runs(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "whisperlab.runs", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_folder_without_a_finished_run_is_one_line_and_exit_2(tmp_path: Path) -> None:
    finished = runs("compare", str(tmp_path), str(tmp_path))
    assert finished.returncode == 2
    assert finished.stderr.splitlines() == [
        f"error: {tmp_path}: no finished run (expected run.json and scores.json there)"
    ]


def test_no_subcommand_is_a_usage_error() -> None:
    assert runs().returncode == 2


def test_parsing_the_command_line_stays_light() -> None:
    heavy = "torch transformers gradio scipy pandas matplotlib numpy pydantic hydra rich"
    code = (
        "import sys, whisperlab.runs.__main__ as face; face.arguments(); "
        f"print(*[name for name in {heavy.split()!r} if name in sys.modules])"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == ""
