"""What the commands print and write: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from whisperlab.conformance.check import Finding, Verdict
from whisperlab.errors import WriteError

SCHEMA: Final = 1
_COLOURS: Final = {
    Verdict.PASS: "[green]pass[/green]",
    Verdict.FAIL: "[bold red]fail[/bold red]",
    Verdict.NOT_OFFERED: "[yellow]not offered[/yellow]",
}


def findings_table(findings: Sequence[Finding], title: str) -> Table:
    """Returns a row a check: topic, claim, verdict, and what came instead."""
    table = Table(title=title, show_lines=False)
    for heading in ("topic", "check", "verdict", "what came"):
        table.add_column(heading, overflow="fold")
    before = ""
    for finding in findings:
        check = finding.check
        topic, before = ("" if check.topic == before else check.topic), check.topic
        table.add_row(topic, check.name, _COLOURS[finding.verdict], escape(finding.detail[:200]))
    return table


def tally(findings: Sequence[Finding]) -> dict[str, int]:
    """Returns how many checks ended in each verdict."""
    counts = Counter(finding.verdict for finding in findings)
    return {verdict.value: counts[verdict] for verdict in Verdict}


def findings_document(findings: Sequence[Finding], base_url: str, model: str) -> Mapping[str, Any]:
    """Returns the JSON document of a run of the checks."""
    return {
        "schema": SCHEMA,
        "base_url": base_url,
        "model": model,
        "tally": tally(findings),
        "checks": [
            {
                "topic": finding.check.topic,
                "check": finding.check.name,
                "rule": finding.check.rule,
                "verdict": finding.verdict.value,
                "detail": finding.detail,
                "seconds": round(finding.seconds, 3),
            }
            for finding in findings
        ],
    }


def write_document(document: Mapping[str, Any], path: Path) -> None:
    """Writes a document as JSON.

    Raises:
        WriteError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise WriteError(f"--output {path}: cannot write ({error.strerror})") from error
