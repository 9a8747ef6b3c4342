"""Notebooks run from top to bottom, are short, and are stored without outputs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jupytext
import pytest

from whisperlab.dataset.demo import FOLDER

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def run(notebook: Path, folder: Path) -> str:
    """Returns what the cells print, run in their order in one fresh Python."""
    code = "\n".join("".join(cell["source"]) for cell in code_cells(notebook))
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_there_are_notebooks() -> None:
    assert [notebook.stem[:2] for notebook in NOTEBOOKS] == [f"0{n}" for n in range(1, 9)]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(notebook: Path) -> None:
    cells = code_cells(notebook)
    assert cells
    assert [(cell["outputs"], cell["execution_count"]) for cell in cells] == [([], None)] * len(
        cells
    )


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_what_its_source_makes_of_it(notebook: Path) -> None:
    source = jupytext.read(notebook.with_suffix(".py"))
    stored = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert [(cell["cell_type"], cell["source"]) for cell in source.cells] == [
        (cell["cell_type"], "".join(cell["source"])) for cell in stored
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_how_to_begin_in_colab(notebook: Path) -> None:
    first = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"]
    line = re.search(r'%pip install "whisperlab(?:\[(\w+)\])? @ git\+', "".join(first))
    assert line is not None
    project = tomllib.loads((NOTEBOOKS[0].parents[1] / "pyproject.toml").read_text("utf-8"))
    assert line[1] is None or line[1] in project["project"]["optional-dependencies"]


def test_from_file_to_transcript_takes_ten_lines_and_gives_what_was_said(tmp_path: Path) -> None:
    notebook = next(path for path in NOTEBOOKS if path.stem == "01_transcribe")
    code = "\n".join("".join(cell["source"]) for cell in code_cells(notebook))
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    rows = map(json.loads, (FOLDER / "manifest.jsonl").read_text(encoding="utf-8").splitlines())
    (said,) = (row["text"] for row in rows if row["audio_filepath"] in code)
    printed = run(notebook, tmp_path).splitlines()
    assert printed[0] == said
    assert any(" --> " in line for line in printed)
    assert list(tmp_path.iterdir()) == []
