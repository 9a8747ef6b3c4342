"""The bar gives the terminal back, also where it is stopped in mid start."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from whisperlab.report.bar import StderrBar


@pytest.mark.parametrize("step", ["set_live", "show_cursor", "push_render_hook"])
def test_a_stop_in_the_bar_s_start_comes_through_and_the_cursor_is_back(
    step: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    real, calls = getattr(Console, step), []

    def stopped(console: Console, *given: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return real(console, *given)

    monkeypatch.setattr(Console, step, stopped)
    with pytest.raises(KeyboardInterrupt), StderrBar(lambda: None):
        pass
    assert capsys.readouterr().err.rpartition("\x1b[?25")[2].startswith("h")
