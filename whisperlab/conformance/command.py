"""The two runs of the command: every check against a server, and parity with this process."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from whisperlab.conformance.check import all_checks, run_checks
from whisperlab.conformance.parity import (
    compare,
    differences_table,
    parity_document,
    parity_table,
)
from whisperlab.conformance.report import (
    findings_document,
    findings_table,
    tally,
    write_document,
)
from whisperlab.conformance.server import Server
from whisperlab.errors import ConfigError, MissingExtraError, WhisperlabError

EXIT_PASSED = 0
EXIT_NOT_PASSED = 10


def check_server(
    base_url: str, model: str, key_variable: str | None, check_seconds: float, output: Path | None
) -> int:
    """Returns 0 when no check failed, else 10; prints the table and writes ``output``."""
    try:
        server = _server(base_url, model, key_variable, check_seconds)
        console = Console()
        chosen = all_checks()
        findings = []
        with console.status("asking") as status:
            for finding in run_checks(server, chosen):
                findings.append(finding)
                status.update(f"{len(findings)} of {len(chosen)}: {escape(finding.check.name)}")
        console.print(findings_table(findings, f"{server.base_url}, model {server.model}"))
        counts = tally(findings)
        console.print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
        if output is not None:
            write_document(findings_document(findings, server.base_url, server.model), output)
    except WhisperlabError as error:
        return _fail(error)
    return EXIT_NOT_PASSED if counts["fail"] else EXIT_PASSED


def check_parity(
    base_url: str,
    model: str,
    key_variable: str | None,
    check_seconds: float,
    output: Path | None,
    overrides: Sequence[str],
) -> int:
    """Returns 0 when every text is equal, else 10; prints the tables and writes ``output``."""
    try:
        server = _server(base_url, model, key_variable, check_seconds)
        parity = compare(server, key_variable, overrides)
        console = Console()
        console.print(parity_table(parity))
        if parity.differing:
            console.print(differences_table(parity))
        if output is not None:
            write_document(parity_document(parity, server), output)
    except WhisperlabError as error:
        return _fail(error)
    return EXIT_NOT_PASSED if parity.differing or not parity.pairs else EXIT_PASSED


def _server(base_url: str, model: str, key_variable: str | None, check_seconds: float) -> Server:
    if importlib.util.find_spec("openai") is None:
        raise MissingExtraError("openai", "remote", "whisperlab.conformance")
    if not base_url.startswith(("http://", "https://")):
        raise ConfigError(f"--base-url {base_url}: expected http://HOST:PORT/v1")
    bare = base_url.rstrip("/")
    if bare.count("/") == 2:  # noqa: PLR2004 - the two of http://
        bare += "/v1"
    key = None if key_variable is None else os.environ.get(key_variable)
    if key_variable is not None and not key:
        raise ConfigError(f"--api-key-env {key_variable}: this environment variable is not set")
    return Server(bare, model, key, check_seconds)


def _fail(error: WhisperlabError) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return error.exit_code
