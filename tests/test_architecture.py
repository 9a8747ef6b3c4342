"""The house's walls: import directions, file sizes, names, light imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PACKAGE = CHECKOUT / "whisperlab"
MAX_LINES = 400
TOP_LEVEL = {
    ".ci", ".gitattributes", ".github", ".gitignore", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md",
    "LICENSE", "Makefile", "README.md", "SECURITY.md", "benchmarks", "conf", "docs", "experiments",
    "mkdocs.yml", "notebooks", "pyproject.toml", "tests", "whisperlab",
}  # fmt: skip
VAGUE_NAMES = {"utils", "helpers", "common", "base", "manager", "handler", "processor", "misc"}


def test_import_directions_hold() -> None:
    finished = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_no_file_is_longer_than_400_lines() -> None:
    sizes = {
        str(path.relative_to(CHECKOUT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in (PACKAGE, CHECKOUT / "tests", CHECKOUT / "benchmarks")
        for path in folder.rglob("*.py")
    }
    assert sizes
    assert {name: size for name, size in sizes.items() if size > MAX_LINES} == {}


def test_nothing_lies_at_the_top_that_has_no_place_there() -> None:
    if not (CHECKOUT / ".git").exists():
        pytest.skip("not a git checkout")
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert {name.partition("/")[0] for name in tracked.stdout.split("\0") if name} == TOP_LEVEL


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [path for path in PACKAGE.rglob("*.py") if path.stem in VAGUE_NAMES] == []


def test_every_module_says_what_it_owns() -> None:
    silent = [
        path
        for path in PACKAGE.rglob("*.py")
        if not path.read_text(encoding="utf-8").lstrip().startswith(('"""', 'r"""'))
    ]
    assert silent == []


@pytest.mark.parametrize("module", ["whisperlab", "whisperlab.config", "whisperlab.config.command"])
def test_importing_stays_light(module: str) -> None:
    heavy = "torch transformers gradio scipy librosa pandas matplotlib datasets jiwer av"
    hydra = " hydra omegaconf" if module == "whisperlab" else ""
    code = f"import sys, {module}; print(*[m for m in {(heavy + hydra).split()!r} if m in sys.modules])"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == ""
