"""Every odd and hostile file of ``weird/`` and ``badaudio/`` in child processes.

The default run gives each family one child; ``slow`` gives every file its own, as RELIABILITY.md asks.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hostile_files import MOST_SECONDS, Case, cases, decoded

MOST_MB = 600.0
CHILDREN_AT_ONCE = 2
KNOWN_CODES = {
    *("empty_file", "file_too_large", "audio_too_short", "audio_too_long", "invalid_audio"),
    *("invalid_samples", "invalid_sample_rate", "too_many_channels", "no_audio_stream"),
    *("unsupported_format", "unsupported_codec"),
}


def complaint(case: Case, result: dict[str, Any]) -> str | None:
    """What is wrong with a verdict, None for nothing."""
    came = result["code"]
    if came is not None and came not in KNOWN_CODES:
        return f"{case.name}: unknown code {came}"
    if result["cpu"] > MOST_SECONDS or result["grown_mb"] > MOST_MB:
        return f"{case.name}: {result['cpu']:.0f} s, {result['grown_mb']:.0f} MB"
    if not case.allows(came):
        return f"{case.name}: {came} instead of {case.row['code'] or case.row['expected']}"
    return None


def test_every_verdict_and_code_is_the_manifests_with_one_child_a_family(test_data: Path) -> None:
    batches = [list(group) for _, group in groupby(cases(test_data), key=lambda case: case.family)]
    with ThreadPoolExecutor(CHILDREN_AT_ONCE) as pool:
        results = list(pool.map(decoded, batches))
    complaints = [
        complaint(case, result)
        for batch, answers in zip(batches, results, strict=True)
        for case, result in zip(batch, answers, strict=True)
    ]
    assert [line for line in complaints if line] == []


@pytest.mark.slow
def test_every_verdict_and_code_is_the_manifests_with_one_child_a_file(test_data: Path) -> None:
    everything = cases(test_data)
    with ThreadPoolExecutor(CHILDREN_AT_ONCE) as pool:
        results = list(pool.map(lambda case: decoded([case])[0], everything))
    complaints = [complaint(*pair) for pair in zip(everything, results, strict=True)]
    assert [line for line in complaints if line] == []


def test_accepted_odd_files_last_as_long_as_their_manifest_says(test_data: Path) -> None:
    accepted = [
        case
        for case in cases(test_data)
        if case.family == "weird" and case.row["expected"] == "accept"
    ]
    results = decoded(accepted)
    # Tolerance: one AAC or MP3 frame (1152 samples) at the file's rate; manifests round to 1 ms.
    wrong = [
        (case.name, case.row["duration"], result["seconds"])
        for case, result in zip(accepted, results, strict=True)
        if abs(result["seconds"] - case.row["duration"]) > 1152 / case.row["sample_rate"] + 0.001
    ]
    assert wrong == []


def test_files_that_were_cut_say_so_and_whole_ones_do_not(test_data: Path) -> None:
    cut = {
        "jfk-truncated-opus",
        "data_too_long",
        "m4a_truncated",
        "mp3_truncated",
        "data_2gb_claim",
    }
    chosen = [
        case
        for case in cases(test_data)
        if case.row["expected"] == "accept"
        and (case.name in cut or case.family in {"weird", "control", "name", "values"})
    ]
    said = {
        case.name
        for case, result in zip(chosen, decoded(chosen), strict=True)
        if result["truncated"]
    }
    assert said == cut
