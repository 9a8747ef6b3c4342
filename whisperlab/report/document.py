"""A page in one file: its head, its content security policy and its way to disk.

Owns what every page of ours has in common. It does not know what a page shows.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from whisperlab.errors import WriteError
from whisperlab.report.markup import Markup, element

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; media-src file: data:"
)
"""Nothing is loaded from anywhere: a text in the report cannot call home even if escaping failed."""


def document(title: str, body: Markup, *, styles: tuple[str, ...]) -> str:
    """Returns the whole page; ``styles`` are files in ``page/``, later ones win."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} · whisperlab"),
        *[element("style", page_file(name)) for name in styles],
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def page_file(name: str) -> Markup:
    """Returns a style or script of ``page/``, to be written into the page."""
    return Markup(resources.files("whisperlab.report").joinpath("page", name).read_text("utf-8"))


def write_pages(folder: Path, page: str, html: str, json_name: str, content: Any) -> Path:
    """Writes a page and its figures as JSON into ``folder``, made if need be; returns the page's path.

    Raises:
        WriteError: the folder cannot be made or written.
    """
    make_folder(folder)
    write(folder / json_name, f"{json.dumps(content, indent=2, ensure_ascii=False)}\n")
    write(folder / page, html)
    return folder / page


def make_folder(folder: Path) -> None:
    """Makes the folder and those above it.

    Raises:
        WriteError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            f"{folder}: cannot write there ({error.strerror}); choose another folder"
        ) from error


def write(path: Path, content: str) -> None:
    """Replaces the file in one step.

    Raises:
        WriteError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        # a lone surrogate of a damaged transcript cannot be encoded; it becomes a question mark
        temporary.write_bytes(content.encode("utf-8", errors="replace"))
        temporary.replace(path)
    except OSError as error:
        raise WriteError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another folder"
        ) from error
