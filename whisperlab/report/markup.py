"""HTML that is safe by construction: text is escaped unless it was built here.

Owns escaping. It does not know what a report shows.
"""

from __future__ import annotations

from html import escape

VOID = frozenset({"meta", "input"})
"""Elements of this report that have no content and no end tag (HTML Standard, 13.1.2)."""


class Markup(str):
    """A piece of finished HTML; only this module's functions and our own page files make one."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str) -> Markup:
    """Returns ``<name ...>children</name>``; children that are not ``Markup`` are escaped.

    A trailing underscore of an attribute is dropped (``class_``), inner ones become hyphens.

    >>> element("td", "1 < 2", class_="count", data_id='"x"')
    '<td class="count" data-id="&quot;x&quot;">1 &lt; 2</td>'
    >>> element("p", element("b", "bold"), " & plain")
    '<p><b>bold</b> &amp; plain</p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    start = f"<{name}{written}>"
    return Markup(start) if name in VOID else Markup(f"{start}{joined(*children)}</{name}>")


def scrolled(name: str, *children: str, class_: str = "scroll") -> Markup:
    """Returns children that may be larger than their place: a named region, scrolled by keyboard too.

    >>> scrolled("Rates", element("table"))
    '<div class="scroll" tabindex="0" role="region" aria-label="Rates"><table></table></div>'
    """
    return element("div", *children, class_=class_, tabindex="0", role="region", aria_label=name)


def joined(*children: str) -> Markup:
    """Returns the children one after the other, escaped unless they are ``Markup``."""
    return Markup(
        "".join(child if isinstance(child, Markup) else escape(child) for child in children)
    )
