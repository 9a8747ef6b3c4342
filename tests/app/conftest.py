"""The page as a user's program meets it: a real process, called through gradio_client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from serve_process import Running, running_server


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A page of the default configuration and the baseline; its runs are beside its log."""
    folder = tmp_path_factory.mktemp("page")
    runs = f"app.runs_dir={folder / 'runs'}"
    with running_server(
        folder, runs, "serve.presets=[baseline]", module="whisperlab.app"
    ) as server:
        yield server


@pytest.fixture
def client(page: Running) -> Client:
    return Client(page.base_url, verbose=False)


@pytest.fixture
def runs_dir(page: Running) -> Path:
    return page.log.parent / "runs"
