"""The campaigns of benchmarks/faults against the server in their short form: each runs, and finds what it should."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fault_campaign import campaign


def test_mutated_requests_get_no_5xx() -> None:
    [[requests, server_errors, no_http, *_, healthy]], _ = campaign("hostile.py", "mutated", "--requests", "200")  # fmt: skip
    assert (requests, server_errors, no_http, healthy) == ("200", "0", "0", "True")


@pytest.mark.slow
def test_hostile_requests_among_good_ones_leave_nothing_behind(test_data: Path) -> None:
    rows, said = campaign("hostile.py", "mixed", "--requests", "300", "--data", str(test_data))
    first, last = rows[1], rows[-1]
    assert int(last[3]) <= int(first[3]) + 4  # threads: pools that fill
    assert last[4:] == rows[0][4:]  # files, and files in the temporary folder
    assert "good ones answered wrongly: 0; the next good one: 200" in said
    assert not re.search(r"'5\d\d'", said)


@pytest.mark.slow
def test_overload_is_refused_with_a_time_to_wait_and_nothing_else_goes_wrong() -> None:
    [row], _ = campaign("load.py", "overload", "--seconds", "5", "--factors", "[3]")
    sent, heard, mine, full, other = map(int, row[1:6])
    assert heard + mine + full == sent
    assert other == 0
    assert mine + full > 0
    assert row[9] == "True"


@pytest.mark.slow
def test_a_quiet_key_is_answered_beside_a_flood() -> None:
    rows, _ = campaign("load.py", "fairness", "--seconds", "5")
    answered, sent = rows[1][1].split(" / ")
    assert answered == sent


@pytest.mark.slow
def test_more_connections_than_files_do_not_end_the_server() -> None:
    [row], _ = campaign("limits.py", "files")
    assert row[3:5] == ["True", "200"]
    before, after = row[6].split(" / ")
    assert int(after) <= int(before) + 1


@pytest.mark.slow
def test_uploads_beyond_the_budget_of_bytes_are_refused_and_it_frees_itself() -> None:
    [row], _ = campaign("limits.py", "bytes")
    assert "'503'" in row[2] or "refused while sending" in row[2]
    assert row[4] == "200"


@pytest.mark.slow
def test_sigterm_loses_no_accepted_request() -> None:
    [row], _ = campaign("limits.py", "drain")
    assert row[2:5] == ["{'200': 40}", "503", "0"]
    assert float(row[5]) < 30


@pytest.mark.slow
def test_slow_clients_are_closed_and_good_ones_answered() -> None:
    [row], _ = campaign("limits.py", "slow", "--count", "30")
    assert row[1] == row[2]
    assert row[4] == "30"


@pytest.mark.slow
def test_a_place_is_free_again_soon_after_its_client_has_left() -> None:
    rows, _ = campaign("limits.py", "leave", "--count", "1")
    assert len(rows) == 6
