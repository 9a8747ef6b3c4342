"""Reading a page of ours back: its elements, its text by section, its rows; and a text that attacks it."""

from __future__ import annotations

import base64
import gzip
import json
from html.parser import HTMLParser
from typing import Any

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&<!--"


class Page(HTMLParser):
    """Reads a page as a browser would: elements with attributes, text by section, script contents."""

    VOID = ("meta", "input")

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.scripts: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "script":
            self.scripts.append("")
        if tag not in self.VOID:
            self.open.append((tag, attributes))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self.open.pop()
        assert opened == tag

    def handle_data(self, data: str) -> None:
        if any(tag == "script" for tag, _ in self.open):
            self.scripts[-1] += data
            return
        section = next((a["id"] for t, a in self.open if t == "section"), "head")
        self.text[str(section)] = f"{self.text.get(str(section), '')}{data}|"

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What the page's script draws."""
        written = self.scripts[0].encode()
        if ("script", {"type": "application/gzip", "id": "data"}) in self.elements:
            written = gzip.decompress(base64.b64decode(written, validate=True))
        found: list[dict[str, Any]] = json.loads(written)["rows"]
        return found
