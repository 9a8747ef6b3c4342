from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

from whisperlab.experiment.result import RunResult
from whisperlab.report.time_figures import LARGEST_SCATTER, scatter, stage_bars, time_figures
from whisperlab.utterance import Outcome, State


def timed(count: int, state: State = State.OK) -> list[Outcome]:
    return [
        Outcome(
            f"{state}-{index}", state, "", "", audio_seconds=1.0 + index, timings={"total": 0.5}
        )
        for index in range(count)
    ]


def marks(svg: str) -> int:
    """Number of plotted points: matplotlib writes one ``use`` a marker inside a clipped group."""
    parsed = ET.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    clipped = [group for group in parsed.iter(f"{space}g") if "clip-path" in group.attrib]
    return sum(1 for group in clipped for _ in group.iter(f"{space}use"))


def test_every_timed_utterance_is_a_point() -> None:
    assert marks(scatter(timed(7))) == 7


def test_each_state_has_its_own_colour_and_is_named() -> None:
    svg = scatter([outcome for state in State for outcome in timed(2, state)])
    for state, name in zip(State, ("ok", "empty", "failed", "truncated", "timed out"), strict=True):
        assert f"var(--{state.value.replace('_', '-')})" in svg
        assert f">{name}</text>" in svg


def test_the_drawing_takes_its_colours_and_font_from_the_page() -> None:
    svg = scatter(timed(3))
    assert "<style" not in svg
    assert "font-family" not in svg
    # no literal colour is left that would be wrong on a dark ground
    assert re.findall(r"(?:fill|stroke): #[0-9a-f]+", svg) == []


def test_a_large_run_is_drawn_by_an_even_subset(result: RunResult) -> None:
    many = replace(result, outcomes=timed(LARGEST_SCATTER + 2))
    drawn = str(time_figures(many))
    assert "An even subset of 5,000 is drawn." in drawn
    svg = drawn[drawn.index("<svg") : drawn.index("</svg>") + len("</svg>")]
    assert marks(svg) == (LARGEST_SCATTER + 2) // 2


def test_stages_are_ordered_by_time_and_total_is_not_a_stage() -> None:
    bars = str(stage_bars({"read": 1.0, "total": 4.0, "encode": 3.0}, {"encode": 1.5}))
    assert re.findall(r"<span>(\w+)</span>", bars) == ["encode", "read"]
    assert re.findall(r"width:([\d.]+)%", bars) == ["100.00", "50.00", "33.33"]
    assert re.findall(r"([\d.]+) %", bars) == ["75.0", "25.0"]


def test_no_stage_is_no_bar() -> None:
    assert stage_bars({}, {}) == ""
    assert stage_bars({"total": 1.0}, {}) == ""
