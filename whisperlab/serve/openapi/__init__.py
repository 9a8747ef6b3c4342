"""The description of the API: for programs at /openapi.json, for people at /docs.

Owns what is said about the routes, not the routes. Names and bounds come from the code that checks
them; a test asks a running server whether all of it is true.
"""

from __future__ import annotations

from importlib.resources import files

from whisperlab.serve.openapi.document import openapi_document

__all__ = ["docs_page", "openapi_document"]


def docs_page() -> str:
    """Returns the page that shows /openapi.json: one file, nothing loaded from elsewhere."""
    return files(__name__).joinpath("docs.html").read_text(encoding="utf-8")
