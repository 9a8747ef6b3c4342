"""What is installed: not below the floors, under licences that are allowed, and all of it in the bill of materials."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import licence_page
import pytest
import sbom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from installed import ALLOWED, BUNDLED, DEVELOPMENT, Package, packages, parts
from packaging.requirements import Requirement
from packaging.version import Version

CHECKOUT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
FLOORS = re.findall(
    r"^\| ([\w-]+) \| (\d[\d.]*) \| \S", (CHECKOUT / "SECURITY.md").read_text("utf-8"), re.MULTILINE
)

NVIDIA = ("nvidia-", "cuda-")
"""What torch's builds for GPUs bring, under NVIDIA's own licence."""


@pytest.fixture(scope="module")
def found() -> dict[str, Package]:
    return packages()


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    return sbom.bill()


def test_every_row_of_the_floors_is_read() -> None:
    assert len(FLOORS) == 8


@pytest.mark.parametrize(("name", "floor"), FLOORS)
def test_nothing_is_required_or_installed_below_its_floor(name: str, floor: str) -> None:
    (declared,) = (one for one in map(Requirement, PROJECT["dependencies"]) if one.name == name)
    lowest = [Version(one.version) for one in declared.specifier if one.operator == ">="]
    assert lowest
    assert lowest[0] >= Version(floor)
    assert Version(version(name)) >= lowest[0]


def test_every_requirement_has_a_floor() -> None:
    for written in PROJECT["dependencies"]:
        assert any(one.operator == ">=" for one in Requirement(written).specifier), written


def test_extras_are_runtime_s_or_development_s() -> None:
    """A new extra is in the bill of materials unless it is named as a developer's."""
    assert set(PROJECT["optional-dependencies"]) >= DEVELOPMENT


def test_the_bill_of_materials_is_cyclonedx(bill: dict[str, Any]) -> None:
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))
    assert wrong is None, str(wrong)[:1000]


def test_the_validator_would_tell(bill: dict[str, Any]) -> None:
    damaged = {**bill, "components": [{"type": "libary", "name": "x"}]}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(damaged)) is not None


def test_the_bill_has_every_requirement_once_and_what_it_depends_on(
    bill: dict[str, Any], found: dict[str, Package]
) -> None:
    names = [one["name"] for one in bill["components"]]
    assert len(names) == len(set(names)) == len(found) - 1
    assert bill["metadata"]["component"]["name"] == "whisperlab"
    required = {Requirement(one).name.lower() for one in PROJECT["dependencies"]}
    assert required <= set(names)
    assert not {"pytest", "ruff", "mypy", "hypothesis"} & set(names)
    references = {one["bom-ref"] for one in bill["components"]}
    for one in bill["dependencies"]:
        assert set(one["dependsOn"]) <= references
    soundfile = next(one for one in bill["dependencies"] if one["ref"].startswith("pkg:pypi/soundfile@"))  # fmt: skip
    assert any(one.startswith("pkg:pypi/cffi@") for one in soundfile["dependsOn"])


@pytest.mark.skipif(sys.platform != "linux", reason="the libraries are those of Linux wheels")
@pytest.mark.parametrize("bundled", BUNDLED, ids=lambda one: f"{one.distribution}-{one.name}")
def test_the_bill_names_the_libraries_inside_wheels(bundled: Any, bill: dict[str, Any]) -> None:
    package = next((one for one in bill["components"] if one["name"] == bundled.distribution), None)
    if package is None:
        pytest.skip(f"{bundled.distribution} is not installed")
    (library,) = (one for one in package["components"] if one["name"] == bundled.name)
    assert re.fullmatch(r"[0-9a-f]{64}", library["hashes"][0]["content"])
    assert ("version" in library) is (bundled.version is not None)


@pytest.mark.skipif(sys.platform != "linux", reason="the libraries are those of Linux wheels")
def test_libraries_say_their_own_versions(bill: dict[str, Any]) -> None:
    import av
    import soundfile

    inside = {
        (package["name"], one["name"]): one.get("version")
        for package in bill["components"]
        for one in package.get("components", [])
    }
    assert inside["soundfile", "libsndfile"] == soundfile.__libsndfile_version__
    assert inside["av", "FFmpeg"] == av.ffmpeg_version_info
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    assert inside["av", "libavcodec"] == codec
    assert all(("av", name) in inside for name in ("libavformat", "libavutil", "libswresample"))


def test_every_package_has_a_licence_that_is_allowed(found: dict[str, Package]) -> None:
    wrong = {
        one.name: one.licence
        for one in found.values()
        if not set(parts(one.licence)) <= ALLOWED and not one.name.startswith(NVIDIA)
    }
    assert wrong == {}


def test_the_page_of_licences_is_current(found: dict[str, Package]) -> None:
    """What packages require in turn differs by platform; what we require is listed, all with its licence."""
    text = licence_page.PAGE.read_text("utf-8")
    listed = dict(re.findall(r"^\| ([a-z][\w-]*) \| ([^|]*) \| (?:always|`)", text, re.MULTILINE))
    ours = found["whisperlab"].requires
    here = {name: one.licence for name, one in found.items() if name in listed or name in ours}
    assert len(here) > 50
    assert {name: listed.get(name) for name in here} == here, "run: python docs/generate/licence_page.py"  # fmt: skip
