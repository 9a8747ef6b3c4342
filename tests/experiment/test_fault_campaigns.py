"""The campaigns of benchmarks/faults against an evaluation in their short form."""

from __future__ import annotations

import pytest
from fault_campaign import campaign


def test_a_run_cut_off_in_a_call_of_the_system_ends_up_the_same() -> None:
    rows, _ = campaign("runs.py", "calls", "--step", "24")
    assert [row[1:] for row in rows] == [["2", "2", "2"]] * 2


@pytest.mark.slow
def test_killed_runs_with_torn_tails_end_up_the_same() -> None:
    rows, _ = campaign("runs.py", "kill", "--count", "12")
    assert rows[-1][0] == "12"
    assert rows[-1][2] == rows[-1][3] == "2"  # evaluations, and those that are identical
    assert int(rows[-1][6]) <= 1  # records that a torn tail cost


@pytest.mark.slow
def test_without_room_a_run_says_so_and_goes_on_when_there_is_some() -> None:
    rows, _ = campaign("runs.py", "full", "--step", "16")
    for row in rows:
        tried = row[1]
        assert row[2:] == [f"{{74: {tried}}}", tried, tried]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("stop", "--count", "4"), ("steps", "--step", "150")])
def test_a_stop_signal_ends_a_run_at_any_moment(arguments: tuple[str, ...]) -> None:
    rows, _ = campaign("runs.py", *arguments)
    for row in rows:
        tried, stuck, identical = row[-6], row[-3], row[-1]
        assert stuck == "0"
        assert identical == tried


@pytest.mark.slow
def test_surroundings_that_fail_are_said_in_a_line_and_lose_nothing() -> None:
    rows, _ = campaign("surroundings.py", "--only", "read_only", "writer", "changed", "clock")
    codes = {row[0]: row[1] for row in rows}
    assert codes["a read-only disk"] in ("74", "not run")
    assert codes["a second writer"] == "75"
    assert codes["another batch_size"] == codes["another reference in the manifest"] == "2"
    assert codes["another recording under the same name"] == "2"
    assert codes["all as it was"] == "0"
    assert not any("DIFFERS" in row[3] for row in rows)


@pytest.mark.slow
def test_a_bad_utterance_is_recorded_and_harms_no_other() -> None:
    rows, _ = campaign("utterances.py", "faults", "--only", "raise", "hang", "eat", "segfault")
    found = {row[0].partition(":")[0]: row for row in rows}
    assert found["raise"][2] == found["eat"][2] == "failed, inference_failed"
    assert found["hang"][2] == "timed_out, inference_timeout"
    assert {tuple(row[3:5]) for row in rows} == {("0", "19 of 19")}


@pytest.mark.slow
def test_commands_of_several_processes_leave_none_behind_and_lose_nothing() -> None:
    rows, _ = campaign("commands.py", "--count", "1", "--ways", "SIGINT twice", "SIGKILL",
                       "--only", "search on two", "evaluation on two workers", "sweep")  # fmt: skip
    assert len(rows) == 6
    for row in rows:
        never_gone, no_traceback, lost, identical = row[-4:]
        assert (never_gone, no_traceback, lost, identical) == ("0", "1", "0", "1")
