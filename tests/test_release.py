"""One version everywhere; workflows whose every line can run; forms that ask for the doctor."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import whisperlab
from whisperlab.__main__ import COMMANDS

CHECKOUT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((CHECKOUT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PROGRAMS = {"make", "test", "sudo", "apt-get", "python", "pip"}
"""What a runner has; everything else in a run line must come from a venv that an earlier line made."""


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            yield f"{path.stem}.{name}", job


def commands(job: dict[str, Any]) -> Iterator[str]:
    for step in job["steps"]:
        yield from (part.strip() for part in re.split(r"&&|\n", step.get("run", "")) if part.strip())  # fmt: skip


def test_the_version_is_the_same_everywhere() -> None:
    cited = read(CHECKOUT / "CITATION.cff")
    assert PROJECT["project"]["version"] == whisperlab.__version__ == cited["version"]


def test_the_citation_has_what_its_format_demands() -> None:
    cited = read(CHECKOUT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["authors"]


def test_the_changelog_begins_with_what_is_not_released_or_with_the_version() -> None:
    first = re.search(r"^## (.*)$", (CHECKOUT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert first is not None
    assert first[1].split()[0] in ("Unreleased", whisperlab.__version__)


def test_there_are_the_three_workflows() -> None:
    assert {path.stem for path in WORKFLOWS} == {"docs", "release", "tests"}


@pytest.mark.parametrize(("name", "job"), list(jobs()), ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_a_job_is_bounded_and_its_actions_are_pinned(name: str, job: dict[str, Any]) -> None:
    assert job["runs-on"]
    assert "timeout-minutes" in job or name.endswith(".publish")
    for step in job["steps"]:
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", step["uses"])


@pytest.mark.parametrize(("name", "job"), list(jobs()), ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_every_run_line_s_command_exists(name: str, job: dict[str, Any]) -> None:
    targets = re.findall(r"^([\w-]+):", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE)
    places: set[str] = set()
    for command in commands(job):
        words = command.split()
        program = words[0]
        if program == "make":
            assert words[1] in targets, command
            places.add(".venv")
        elif program == "python" and words[1:3] == ["-m", "venv"]:
            places.add(words[3])
        elif "/bin/" in program:
            assert program.partition("/bin/")[0] in places, command
        else:
            assert program in PROGRAMS, command
        module = re.search(r"-m (whisperlab[\w.]*)", command)
        assert module is None or module[1] in COMMANDS, command


def test_every_job_that_another_needs_is_there() -> None:
    for path in WORKFLOWS:
        found = read(path)["jobs"]
        for job in found.values():
            assert job.get("needs") in (None, *found)


def test_only_publishing_jobs_may_write_and_no_secret_is_stored() -> None:
    for path in WORKFLOWS:
        content = read(path)
        assert content["permissions"] == {"contents": "read"}
        assert "secrets." not in path.read_text(encoding="utf-8")
        for name, job in content["jobs"].items():
            assert ("permissions" in job) == (name == "publish")


def test_the_tested_pythons_are_the_declared_ones() -> None:
    matrix = read(CHECKOUT / ".github" / "workflows" / "tests.yml")["jobs"]["test"]["strategy"]
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"
    assert matrix["matrix"]["python-version"] == ["3.11", "3.12", "3.13"]


def test_a_report_of_a_bug_must_bring_the_doctor_s_words() -> None:
    (bug,) = (read(path) for path in FORMS if path.stem == "bug")
    required = {part["id"] for part in bug["body"] if part.get("validations", {}).get("required")}
    assert required == {"command", "expected", "doctor"}
    for path in FORMS:
        if path.stem != "config":
            form = read(path)
            assert form["name"]
            assert form["description"]
            assert all(part["attributes"]["label"] for part in form["body"])


def test_the_sdist_has_what_building_and_testing_need(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    wanted = {
        "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "mkdocs.yml",
        "conf/eval.yaml", "docs/generate/hooks.py", "tests/test_release.py",
        "whisperlab/engine/embedded/whisperlab-digits/model.safetensors",
    }  # fmt: skip
    assert wanted <= names
    assert not [name for name in names if ".venv" in name or "__pycache__" in name]
