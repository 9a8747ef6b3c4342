"""`python -m whisperlab.eval`: compose, run, show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whisperlab.config.arguments import end_with
from whisperlab.config.command import run_command

KEPT_ENGINES = 2
"""Engines that stay loaded between the jobs of a sweep."""


def main() -> int:
    """Returns the exit code; imports the heavy half only when a job really runs."""
    finished: list[Any] = []
    rows: list[Any] = []
    engines: list[Any] = []

    def job(config: Mapping[str, Any]) -> int:
        from whisperlab.eval.evaluate import evaluate
        from whisperlab.eval.mode import mode_of

        mode = mode_of(config)
        if mode.variants:
            from whisperlab.eval.variants import run_variants

            row, code = run_variants(config, mode)
            rows.append(row)
            return code
        if not engines:
            from whisperlab.experiment.loaded_engines import LoadedEngines

            engines.append(LoadedEngines(KEPT_ENGINES))
        result, code = evaluate(config, engines[0])
        finished.append(result)
        return code

    def conclude() -> None:
        if len(finished) > 1:
            from whisperlab.eval.evaluate import show_sweep

            show_sweep(finished)
        if len(rows) > 1 and rows[0].mode.name == "robustness":
            from whisperlab.eval.variants import show_rows

            show_rows(rows)

    return run_command("eval", job, conclude)


if __name__ == "__main__":
    end_with(main)
