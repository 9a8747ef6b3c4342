"""Writes the tables of docs/licences.md from what is installed.

    python docs/generate/licence_page.py        # the page, current

Owns the part between the page's two marks. Versions are left to the bill of materials (sbom.py): a
table without them is right for longer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from installed import ROOT, Package, packages

PAGE: Final = Path(__file__).parents[1] / "licences.md"
BEGIN: Final = "<!-- python docs/generate/licence_page.py -->\n"
END: Final = "<!-- end -->"


def rows(found: dict[str, Package]) -> list[str]:
    """Returns the rows of packages, then those of libraries inside wheels."""
    return [
        f"| {one.name} | {one.licence} | {_needed(one)} |"
        for one in sorted(found.values(), key=lambda one: one.name)
        if one.name != ROOT
    ]


def library_rows(found: dict[str, Package]) -> list[str]:
    """Returns the rows of the libraries inside wheels whose licence is known here."""
    return [
        f"| {one.name} | {library.name} | {library.licence} |"
        for one in sorted(found.values(), key=lambda one: one.name)
        for library in one.libraries
        if library.licence is not None
    ]


def _needed(one: Package) -> str:
    return "always" if one.always else ", ".join(f"`{extra}`" for extra in sorted(one.extras))


def tables(found: dict[str, Package]) -> str:
    """Returns both tables."""
    return "\n".join([
        "| package | licence | needed |", "|---|---|---|", *rows(found), "",
        "| wheel | library in it | licence |", "|---|---|---|", *dict.fromkeys(library_rows(found)), "",
    ])  # fmt: skip


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(before + BEGIN + tables(packages()) + END + rest.partition(END)[2], "utf-8")
