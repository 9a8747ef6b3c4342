"""What axe says of a page in a real browser."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]


def serious(page: Any) -> list[str]:
    """Returns what axe calls serious or worse."""
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in Axe().run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
