"""The page as a user's program meets it: a real process, called through gradio_client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serve_process import Running, running_server


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A page of the replay engine, which loads nothing, and the baseline; its runs are beside its log."""
    folder = tmp_path_factory.mktemp("page")
    runs = f"app.runs_dir={folder / 'runs'}"
    with running_server(
        folder, runs, "serve.presets=[baseline]", module="whisperlab.app"
    ) as server:
        yield server


@pytest.fixture
def runs_dir(page: Running) -> Path:
    return page.log.parent / "runs"
