"""What an installation of whisperlab consists of: distributions, licences, libraries inside wheels.

Owns the walk from whisperlab over what it requires, in this environment, and what is known of the
libraries that wheels bring. Development tools are left out. It does not know output formats.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distributions
from typing import Any, Final

from packaging.requirements import Requirement

ROOT: Final = "whisperlab"
DEVELOPMENT: Final = frozenset({"dev", "docs", "benchmarks", "fuzz"})
"""Extras of people who work on the project."""

SPDX: Final[Mapping[str, str]] = {
    "Apache": "Apache-2.0", "Apache 2.0": "Apache-2.0", "Apache 2.0 License": "Apache-2.0",
    "Apache Software License": "Apache-2.0", "OSI Approved :: Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause", "BSD 3-Clause License": "BSD-3-Clause",
    "BSD License": "BSD", "ISC License (ISCL)": "ISC", "ISC license": "ISC", "ISC License": "ISC",
    "MIT License": "MIT", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}  # fmt: skip
"""What older packages write in place of SPDX; ``BSD`` is one of which the number of clauses is not said."""

ALLOWED: Final = frozenset({
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause", "BSD-3-Clause",
    "BSL-1.0", "CC-BY-SA-4.0", "CC0-1.0", "CNRI-Python", "ISC", "LGPL-2.1-or-later", "MIT", "MIT-0",
    "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib",
})  # fmt: skip
"""Licences of Python packages that may be required: none asks that what imports them be published."""


@dataclass(frozen=True)
class Bundled:
    """A library inside a wheel: the file that holds it and what shows its version there."""

    distribution: str
    name: str
    licence: str
    file: str
    version: bytes | None
    """A pattern with one group over the file's bytes; ``None`` where none is written down."""


BUNDLED: Final = (
    Bundled("soundfile", "libsndfile", "LGPL-2.1-or-later", r"libsndfile\w*\.so", rb"libsndfile-(\d+\.\d+\.\d+)"),
    Bundled("soundfile", "FLAC", "BSD-3-Clause", r"libsndfile\w*\.so", rb"reference libFLAC (\d+\.\d+\.\d+)"),
    Bundled("soundfile", "ogg", "BSD-3-Clause", r"libsndfile\w*\.so", None),
    Bundled("soundfile", "vorbis", "BSD-3-Clause", r"libsndfile\w*\.so", rb"libVorbis (\d+\.\d+\.\d+)"),
    Bundled("soundfile", "opus", "BSD-3-Clause", r"libsndfile\w*\.so", rb"libopus (\d+(?:\.\d+)+)"),
    Bundled("soundfile", "mpg123", "LGPL-2.1-only", r"libsndfile\w*\.so", rb"\0(1\.[23]\d\.\d+)\0"),
    Bundled("soundfile", "lame", "LGPL-2.0-or-later", r"libsndfile\w*\.so", rb"LAME(\d+\.\d+)"),
    Bundled("soxr", "libsoxr", "LGPL-2.1-or-later", r"soxr_ext\S*\.so", rb"libsoxr-(\d+\.\d+\.\d+)"),
    Bundled("av", "FFmpeg", "LGPL-3.0-or-later", r"libavutil\S*\.so\S*", rb"FFmpeg version (\d+\.\d+(?:\.\d+)?)"),
    Bundled("torch", "oneDNN", "Apache-2.0", r"libtorch_cpu\.so", None),
    Bundled("torch", "oneMKL", "Intel Simplified Software License", r"libtorch_cpu\.so", None),
    Bundled("openvino", "oneTBB", "Apache-2.0", r"libtbb\.so\S*", rb"oneTBB: VERSION\s+(\d+\.\d+\.\d+)"),
    Bundled("openvino", "hwloc", "BSD-3-Clause", r"libhwloc\.so\S*", None),
    Bundled("openvino", "oneDNN", "Apache-2.0", r"libopenvino_intel_cpu_plugin\.so", None),
    Bundled("ctranslate2", "oneDNN", "Apache-2.0", r"libctranslate2\S*\.so\S*", None),
    Bundled("ctranslate2", "oneMKL", "Intel Simplified Software License", r"libctranslate2\S*\.so\S*", None),
)  # fmt: skip
"""Libraries linked into a file of another name; those in files of their own are found by their names."""

COPYLEFT: Final[Mapping[str, str]] = {
    "libx264": "GPL-2.0-or-later", "libx265": "GPL-2.0-or-later", "libmp3lame": "LGPL-2.0-or-later",
    "libgnutls": "LGPL-2.1-or-later", "libnettle": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "libhogweed": "LGPL-3.0-or-later OR GPL-2.0-or-later", "libasound": "LGPL-2.1-or-later",
    "libgmp": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "libunistring": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "libgomp": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libgfortran": "GPL-3.0-or-later WITH GCC-exception-3.1", "libquadmath": "LGPL-2.1-or-later",
}  # fmt: skip
"""Licences of libraries in files of their own that who passes a wheel on has to know."""

_SHARED: Final = re.compile(r"(lib[\w.+-]*?)(?:-[0-9a-f]{8})*\.(?:so|dylib|dll)(?:\.(\d[\w.]*))?$")


@dataclass(frozen=True)
class Library:
    """A library inside a wheel; ``sha256`` of the file that holds it."""

    name: str
    version: str | None
    licence: str | None
    sha256: str | None


@dataclass(frozen=True)
class Package:
    """A distribution that whisperlab needs, and for what: its extras, or nothing for always."""

    name: str
    version: str
    licence: str
    requires: tuple[str, ...]
    extras: frozenset[str]
    always: bool
    libraries: tuple[Library, ...]
    components: tuple[Mapping[str, Any], ...]
    """What the wheel's own CycloneDX files (PEP 770) say is in it."""


def packages() -> dict[str, Package]:
    """Returns what is installed of what whisperlab requires, itself first, by normalised name."""
    known = _known()
    extras = known[ROOT].metadata.get_all("Provides-Extra") or []
    needed_by: dict[str, set[str]] = {ROOT: {""}}
    for extra in ("", *sorted(set(extras) - DEVELOPMENT)):
        for name in _reached(ROOT, frozenset({extra})):
            needed_by.setdefault(name, set()).add(extra)
    return {
        name: _package(known[name], frozenset(wanted - {""}), "" in wanted)
        for name, wanted in needed_by.items()
    }


def _reached(root: str, extras: frozenset[str]) -> set[str]:
    """Returns the installed distributions that ``root[extras]`` requires, at any depth."""
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(root, extras)]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        found.add(name)
        waiting += [(_normal(one.name), frozenset(one.extras)) for one in _required(name, wanted)]
    return found


def _required(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    for written in _known()[name].requires or []:
        one = Requirement(written)
        choices = [{"extra": extra} for extra in {"", *extras}]
        wanted = one.marker is None or any(one.marker.evaluate(choice) for choice in choices)
        if wanted and _normal(one.name) in _known():
            yield one


@cache
def _known() -> dict[str, Distribution]:
    return {_normal(one.metadata["Name"]): one for one in distributions()}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(found: Distribution, extras: frozenset[str], always: bool) -> Package:
    name = _normal(found.metadata["Name"])
    required = {_normal(one.name) for one in _required(name, extras if name == ROOT else frozenset())}  # fmt: skip
    return Package(
        name=name,
        version=found.version,
        licence=licence(found),
        requires=tuple(sorted(required)),
        extras=extras,
        always=always,
        libraries=tuple(_libraries(name, found)),
        components=tuple(_own_components(found)),
    )


def licence(found: Distribution) -> str:
    """Returns a distribution's licence as an SPDX expression, as near as its metadata allows."""
    for expression in found.metadata.get_all("License-Expression") or []:
        return str(expression)
    written = "\n".join(found.metadata.get_all("License") or []).strip()
    if "\n" not in written and (alternatives := _spdx(written)):
        return alternatives
    classifiers = found.metadata.get_all("Classifier") or []
    named = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::")]
    return " OR ".join(filter(None, map(_spdx, named))) or "unknown"


def _spdx(written: str) -> str | None:
    named = SPDX.get(written, written)
    return named if named and set(parts(named)) <= ALLOWED else None


def parts(expression: str) -> list[str]:
    """Returns the licences that an expression names.

    >>> parts("MPL-2.0 AND (Apache-2.0 OR MIT)")
    ['MPL-2.0', 'Apache-2.0', 'MIT']
    """
    return re.split(r" (?:AND|OR) ", re.sub(r"[()]", "", expression))


def _libraries(name: str, found: Distribution) -> Iterator[Library]:
    files = {one.name: one for one in found.files or [] if _SHARED.fullmatch(one.name)}
    files |= {one.name: one for one in found.files or [] if one.name.startswith("soxr_ext")}
    inside: set[str] = set()
    for bundled in (one for one in BUNDLED if one.distribution == name):
        for file in (file for path, file in files.items() if re.fullmatch(bundled.file, path)):
            version = _found(bundled.version, file)
            yield Library(bundled.name, version, bundled.licence, _sha256(file))
            if bundled.name.removeprefix("one").lower() in file.name.lower():
                inside.add(file.name)  # it is that library, under its own name
    for path, file in sorted(files.items()):
        match = _SHARED.fullmatch(path)
        if match is not None and path not in inside and ".cpython-" not in path:
            yield Library(match[1], match[2], COPYLEFT.get(match[1]), _sha256(file))


def _found(version: bytes | None, file: Any) -> str | None:
    match = re.search(version, file.locate().read_bytes()) if version else None
    return None if match is None else match[1].decode()


def _sha256(file: Any) -> str | None:
    if file.hash is None or file.hash.mode != "sha256":
        return None
    return base64.urlsafe_b64decode(file.hash.value + "==").hex()


def _own_components(found: Distribution) -> Iterator[Mapping[str, Any]]:
    for file in found.files or []:
        if re.search(r"\.dist-info/sboms/.*\.json$", str(file)):
            for one in json.loads(file.read_text()).get("components", []):
                if _normal(one["name"]) != _normal(found.metadata["Name"]):
                    wanted = ("type", "name", "version", "purl", "licenses")
                    yield {key: one[key] for key in wanted if one.get(key)}
