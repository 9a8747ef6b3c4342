from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from whisperlab.experiment.result import Latency, Rate, RunResult
from whisperlab.report.table import configuration_differences, run_table, sweep_table
from whisperlab.utterance import Failure


def lines(table: RenderableType, width: int = 200) -> list[str]:
    """The table as a terminal shows it, runs of blanks as one."""
    console = Console(width=width, color_system=None, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return [" ".join(line.replace("│", " ").split()) for line in captured.get().splitlines()]


def run_with(result: RunResult, config: dict[str, Any], name: str) -> RunResult:
    card = replace(
        result.card, config={**result.card.config, **config}, configuration_hash=name * 16
    )
    return replace(result, card=card)


def test_the_run_table_says_what_came_out(result: RunResult) -> None:
    shown = lines(run_table(result))
    for line in (
        "WER 40.00 % 95 % interval 0.00 – 66.67 %",
        "S 1 I 1 D 0 of 5 words",
        "CER 25.00 % 95 % interval 10.00 – 40.00 %",
        "coverage 75.0 % 2 ok, 1 empty, 1 failed",
        "RTFx 6.86× batch of 4",
        "latency 250 ms / 475 ms / 495 ms p50 / p95 / p99 of 3 utterances, one at a time",
        "profile basic ba51c",
        "code c0ffee with uncommitted changes",
    ):
        assert line in shown


def test_the_run_table_says_why_utterances_were_lost(result: RunResult) -> None:
    shown = lines(run_table(result))
    assert "invalid_audio b-1: expected a RIFF header, got 4 zero bytes" in shown
    lost = next(outcome for outcome in result.outcomes if outcome.error is not None)
    codes = ("one", "two", "two", "three", "four", "four", "four", "five")
    many = [replace(lost, id=str(n), error=Failure(code, "m")) for n, code in enumerate(codes)]
    said = [line for line in lines(run_table(replace(result, outcomes=many))) if ": " in line]
    assert said == [
        "four 4: m (and 2 more)",
        "two 1: m (and 1 more)",
        "one 0: m",
        "2 further codes: see the report",
    ]


def test_an_engine_with_its_own_model_is_named_instead_of_a_checkpoint(result: RunResult) -> None:
    card = replace(
        result.card,
        model={"name": "none", "source": None},
        config={"engine": {"_target_": "whisperlab.engine.pocketsphinx.PocketsphinxSettings"}},
    )
    assert lines(run_table(replace(result, card=card)))[0] == "pocketsphinx · 0123456789abcdef"


def test_undefined_values_are_dashes_with_a_reason(result: RunResult) -> None:
    speed = replace(
        result.scores.speed, rtfx=None, resumed=True, latency_seconds=Latency(None, None, None, 0)
    )
    scores = replace(
        result.scores, speed=speed, scores={"wer": Rate(None, None, None, 0, 0, 0, 0, 0, None)}
    )
    shown = lines(run_table(replace(result, scores=scores)))
    assert "WER – no scored utterance has reference words" in shown
    assert "RTFx – the run was resumed, its time was not taken in one piece" in shown
    assert "latency – no utterance was timed one at a time" in shown


@pytest.mark.parametrize(
    ("rtfx_of_shards", "said"),
    [
        (12.34, "one worker alone 12.3×, audio / the sum of the shards' seconds"),
        (None, "one of them has no time of its own"),
    ],
)
def test_a_merged_run_says_why_it_has_no_rtfx(
    result: RunResult, rtfx_of_shards: float | None, said: str
) -> None:
    speed = replace(result.scores.speed, rtfx=None, shards=3, rtfx_of_shards=rtfx_of_shards)
    shown = lines(run_table(replace(result, scores=replace(result.scores, speed=speed))))
    assert f"RTFx – merged from 3 shards, whose times may overlap; {said}" in shown


def test_runs_stand_side_by_side_with_what_differs(result: RunResult) -> None:
    plain = run_with(result, {"preprocess": {}, "run_dir": "runs/0"}, "a")
    steps = result.card.config["preprocess"]
    trimmed = run_with(result, {"preprocess": {"trim": steps["trim"]}, "run_dir": "runs/1"}, "b")
    both = run_with(result, {"run_dir": "runs/2"}, "c")
    shown = [line for line in lines(sweep_table([plain, trimmed, both])) if line]
    assert shown[0] == "preprocess WER CER S/D/I coverage RTFx p50 / p95 hash"
    numbers = "40.00 % [0.00, 66.67] 25.00 % 1/0/1 75.0 % 6.86× 250 ms / 475 ms"
    assert shown[2:] == [
        f"none {numbers} {'a' * 8}",
        f"trim {numbers} {'b' * 8}",
        f"trim → loudness {numbers} {'c' * 8}",
    ]


def test_nothing_is_cut_off_in_a_narrow_terminal(result: RunResult) -> None:
    table = sweep_table([result, run_with(result, {"preprocess": {}}, "d")])
    assert "…" not in "".join(lines(table, width=80))


def test_square_brackets_are_text_and_not_style(result: RunResult) -> None:
    odd = run_with(result, {"decode": {"prompt": "[red]x[/nonsense]"}}, "e")
    shown = "\n".join(lines(sweep_table([result, odd])))
    assert "[red]x[/nonsense]" in shown


def test_the_order_of_preprocessing_is_a_difference() -> None:
    trim, loudness = {"threshold_db": 40.0}, {"method": "rms"}
    assert configuration_differences(
        [
            {"preprocess": {"trim": trim, "loudness": loudness}},
            {"preprocess": {"loudness": loudness, "trim": trim}},
        ]
    ) == {"preprocess": ("trim → loudness", "loudness → trim")}


def test_a_setting_of_the_same_step_is_a_difference() -> None:
    assert configuration_differences(
        [{"preprocess": {"trim": {"threshold_db": db}}} for db in (30.0, 40.0)]
    ) == {"preprocess.trim.threshold_db": ("30.0", "40.0")}


def test_a_setting_that_does_not_follow_from_its_group_is_shown_beside_it() -> None:
    engines = [("x.replay.Replay", 1), ("x.hf.Settings", 1), ("x.hf.Settings", 2)]
    configs = [{"engine": {"_target_": kind, "threads": count}} for kind, count in engines]
    assert configuration_differences(configs) == {
        "engine": ("replay", "hf", "hf"),
        "engine.threads": ("1", "1", "2"),
    }


def test_equal_runs_differ_in_nothing() -> None:
    assert (
        configuration_differences(
            [{"a": {"b": [1, 2]}, "run_dir": name} for name in ("x/0", "x/1")]
        )
        == {}
    )
