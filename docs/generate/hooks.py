"""What MkDocs does beside its plug-ins: pages of the checkout, generated pages, links between them.

README.md, CONTRIBUTING.md, CHANGELOG.md and the findings are pages of the site where they lie;
links are written as on GitHub, relative to the file, and rewritten here. A link to a file that is
no page (a test, a yaml) becomes its text; a link to nothing ends the build.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

import command_page
import option_page
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

CHECKOUT: Final = Path(__file__).parents[2]
DOCS: Final = CHECKOUT / "docs"
PAGES: Final = (
    "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "benchmarks/README.md",
)  # fmt: skip
GENERATED: Final = {
    "<!-- generated: options -->": option_page.page,
    "<!-- generated: commands -->": command_page.page,
}

_LINK: Final = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_FENCE: Final = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_BLOCK_NAME: Final = re.compile(r"^(```\w+) \w+$", re.MULTILINE)
"""The second word behind a fence is for the tests (`tests/doc_blocks.py`); superfences takes none."""


def on_files(files: Any, config: Any) -> Any:
    """Adds the checkout's own pages and the pictures that they show."""
    for name in repository_pages():
        path = CHECKOUT / name
        files.append(
            File.generated(config, name, content=path.read_text(encoding="utf-8"))
            if path.suffix == ".md"
            else File.generated(config, name, abs_src_path=str(path))
        )
    return files


def repository_pages() -> list[str]:
    """Returns the files outside docs/ that the site shows, relative to the checkout."""
    findings = [
        path.relative_to(CHECKOUT).as_posix()
        for suffix in ("md", "svg", "png")
        for path in sorted((CHECKOUT / "experiments").rglob(f"*.{suffix}"))
    ]
    return [*(name for name in PAGES if (CHECKOUT / name).is_file()), *findings]


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Fills in what is generated and leads links to where they stand on the site."""
    for mark, generate in GENERATED.items():
        if mark in markdown:
            markdown = markdown.replace(mark, generate())
    markdown = _BLOCK_NAME.sub(r"\1", markdown)
    own = page.file.src_uri
    source = CHECKOUT / own if own in repository_pages() else DOCS / own
    parts = _FENCE.split(markdown)
    parts[::2] = [
        _LINK.sub(lambda link: _led(link, source, own, files), part) for part in parts[::2]
    ]
    return "".join(parts)


def _led(link: re.Match[str], source: Path, own: str, files: Any) -> str:
    picture, text, address = link.groups()
    path, _, anchor = address.partition("#")
    if not path or re.match(r"[a-z]+:", address):
        return link[0]
    target = (source.parent / path).resolve()
    if not target.exists():
        raise PluginError(f"{own}: link to {address}, which is not there")
    folder = DOCS if target.is_relative_to(DOCS) else CHECKOUT
    uri = target.relative_to(folder).as_posix()
    if target.is_dir():
        uri = f"{uri}/README.md"
    if files.get_file_from_path(uri) is None:
        return text
    way = os.path.relpath(uri, Path(own).parent)
    return f"{picture}[{text}]({way}{'#' + anchor if anchor else ''})"
