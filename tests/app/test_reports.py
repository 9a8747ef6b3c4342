"""The route of reports: a run that is there right now, nothing else of the machine, a page without powers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from compared_runs import SAID, folder, outcome
from raw_http import RawAnswer, exchange
from serve_process import Running

from whisperlab.app.reports import report_address


@pytest.fixture
def made(runs_dir: Path) -> Callable[[str], Path]:
    """Makes a finished run of that name whose report says its name."""

    def make(name: str) -> Path:
        run = runs_dir / name
        if not (run / "run.json").exists():
            folder(run, [outcome("a", SAID)])
        (run / "report.html").write_text(f"<!doctype html><p>{name}</p>", "utf-8")
        return run

    return make


def get(page: Running, path: str) -> RawAnswer:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    return exchange(("127.0.0.1", page.port), request.encode("latin-1"), method="GET")


@pytest.mark.parametrize("name", ["first", "sweep/0", "50 % off & <b>", "läuft", "a/b/c"])
def test_a_report_is_served_by_the_name_of_its_run(
    page: Running, made: Callable[[str], Path], name: str
) -> None:
    made(name)
    answer = get(page, report_address(name))
    assert answer.status == 200
    assert name in answer.body.decode("utf-8")
    policy = answer.headers["content-security-policy"]
    assert "sandbox allow-scripts" in policy
    assert "default-src 'none'" in policy
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_run_that_has_gone_is_not_found(page: Running, made: Callable[[str], Path]) -> None:
    run = made("gone")
    assert get(page, report_address("gone")).status == 200
    (run / "run.json").unlink()
    assert get(page, report_address("gone")).status == 404


HOSTILE = [
    "..",
    "../runs",
    "../outside",
    "first/../../outside",
    "./first",
    "first/",
    "first/.",
    "/first",
    "//",
    "/etc",
    "first\0",
    "\0",
    "a/b/c/d",
    ".hidden",
    "linked",
    "first\\..",
    "FIRST",
    "x" * 10_240,
    "%2e%2e/outside",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("quoting", ["plain", "quoted", "everything"])
def test_no_other_name_leads_anywhere(
    page: Running, made: Callable[[str], Path], runs_dir: Path, name: str, quoting: str
) -> None:
    for one in ("first", "../outside", "a/b/c/d", ".hidden"):
        made(one)
    if not (runs_dir / "linked").exists():
        (runs_dir / "linked").symlink_to(runs_dir.parent / "outside")
    shown = {
        "plain": name.replace("\0", "%00"),
        "quoted": quote(name, safe=""),
        "everything": "".join(f"%{byte:02x}" for byte in name.encode()),
    }[quoting]
    answer = get(page, f"/runs/{shown}/report.html")
    assert answer.status in (400, 404)
    assert b"<p>" not in answer.body


def test_a_report_that_is_a_link_is_not_followed(
    page: Running, made: Callable[[str], Path], runs_dir: Path
) -> None:
    run = made("pointing")
    (run / "report.html").unlink()
    (run / "report.html").symlink_to("/etc/hostname")
    assert get(page, report_address("pointing")).status == 404


def test_only_reports_are_served(page: Running, made: Callable[[str], Path]) -> None:
    made("first")
    for file in ("run.json", "ledger.jsonl", "scores.json", "report.html/", "report.htm", ""):
        assert b"fingerprint" not in get(page, f"/runs/first/{file}").body
