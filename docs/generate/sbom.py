"""Writes the bill of materials of this environment: CycloneDX 1.6 as JSON on standard output.

    python docs/generate/sbom.py > sbom.json

In it is what whisperlab requires and is installed, extras included and development tools left out, with the
C libraries inside wheels as components of their package. A package with its libraries::

    {"type": "library", "name": "soundfile", "version": "0.14.0", "purl": "pkg:pypi/soundfile@0.14.0",
     "licenses": [{"license": {"name": "BSD"}}], "components": [{"type": "library", "name": "libsndfile", ...}]}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from installed import ROOT, Library, Package, packages

NOT_SPDX = ("BSD", "unknown", "Intel Simplified Software License")


def bill() -> dict[str, Any]:
    """Returns the document; two calls differ in serial number and time alone."""
    found = packages()
    written = {name: _component(one) for name, one in found.items()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {**written.pop(ROOT), "type": "application"},
        },
        "components": list(written.values()),
        "dependencies": [
            {"ref": _purl(one), "dependsOn": [_purl(found[name]) for name in one.requires]}
            for one in found.values()
        ],
    }


def _component(one: Package) -> dict[str, Any]:
    inside = [*map(_library, one.libraries), *one.components]
    return {
        "type": "library",
        "bom-ref": _purl(one),
        "name": one.name,
        "version": one.version,
        "scope": "required" if one.always else "optional",
        "purl": _purl(one),
        "licenses": _licences(one.licence),
        **({"components": _different(inside)} if inside else {}),
    }


def _library(one: Library) -> dict[str, Any]:
    return {
        "type": "library",
        "name": one.name,
        **({"version": one.version} if one.version else {}),
        **({"hashes": [{"alg": "SHA-256", "content": one.sha256}]} if one.sha256 else {}),
        **({"licenses": _licences(one.licence)} if one.licence else {}),
    }


def _licences(expression: str) -> list[Mapping[str, Any]]:
    if expression in NOT_SPDX:
        return [{"license": {"name": expression}}]
    return [{"expression": expression}]


def _different(components: list[Any]) -> list[Any]:
    """Returns the components once each: wheels name a library once for each of its files."""
    return list({json.dumps(one, sort_keys=True): one for one in components}.values())


def _purl(one: Package) -> str:
    return f"pkg:pypi/{one.name}@{one.version.replace('+', '%2B')}"


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1)
    print()  # noqa: T201 - the file's last line
