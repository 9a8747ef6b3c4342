"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

collect_ignore = ["conftest.py"]
"""Two rooms have a conftest too: pytest would take this one, looked at for doctests, for theirs."""

# How long one example takes says how busy the machine is, and nothing else.
hypothesis.settings.register_profile("whisperlab", deadline=None)
hypothesis.settings.load_profile("whisperlab")


def pytest_configure(config: pytest.Config) -> None:
    """Keeps every test off the network and off the user's caches."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real recordings and hostile audio; skips with the reason where it is absent."""
    named = os.environ.get("WHISPERLAB_TEST_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir() and os.environ.get("WHISPERLAB_REQUIRE_TEST_DATA"):
        pytest.fail(f"test recordings are required here but not found at {folder}")
    if not folder.is_dir():
        pytest.skip(f"test recordings not found at {folder}; set WHISPERLAB_TEST_DATA")
    return folder
