"""What the documents tell a reader to type works, line by line, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from document_run import CHECKOUT, NEEDS, blocks, lines, run

DOCS = CHECKOUT / "docs"
RUN = ["tutorial.md", "howto.md", "concepts.md", "performance.md", "scoring.md"]
"""Documents whose blocks are executed here; docs/api_reference.md and docs/app.md have their own tests."""


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_every_line_works(name: str, tmp_path: Path) -> None:
    assert run(DOCS / name, tmp_path)


def test_every_page_with_commands_is_executed() -> None:
    typed = {
        path.name
        for path in DOCS.glob("*.md")
        if any(
            not NEEDS.search(line)
            for block in blocks(path)
            if block.language == "sh" and block.title is None
            for line in lines(block.content)
        )
    }
    assert typed - {"api_reference.md", "app.md", "commands.md", "troubleshooting.md"} == set(RUN)


def test_a_line_that_fails_is_named(tmp_path: Path) -> None:
    document = tmp_path / "wrong.md"
    document.write_text("```sh\ntrue\nfalse --this\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"wrong\.md:1: false --this"):
        run(document, tmp_path)


def test_only_a_line_that_says_what_it_needs_is_left_out(tmp_path: Path) -> None:
    document = tmp_path / "some.md"
    document.write_text("```sh\nfalse   # needs a key\ntrue   # no need\n```\n", encoding="utf-8")
    assert run(document, tmp_path) == ["true"]
