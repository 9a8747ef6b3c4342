"""Docstrings of the package as Markdown: doctests become code blocks, Sphinx's roles plain code."""

from __future__ import annotations

import re
from typing import Any

import griffe

_DOCTEST = re.compile(r"(?:^ *>>> .*\n?(?:^ *\S.*\n?)*)+", re.MULTILINE)
_ROLE = re.compile(r":(?:func|mod|class|meth|data|attr):(?=`)")


class MarkdownDocstrings(griffe.Extension):
    """Rewrites every docstring that is loaded."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Wraps each run of doctest lines in a fence and drops the roles."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(docstring: str) -> str:
    r"""Returns a docstring for Markdown.

    >>> markdown("Adds; see :func:`len`.\n\n>>> 1 + 1\n2")
    'Adds; see `len`.\n\n```pycon\n>>> 1 + 1\n2\n```\n'
    """
    fenced = _DOCTEST.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", docstring)
    return _ROLE.sub("", fenced)
