"""What a check is, what can come of it, and running all of them.

A check is a public function of a module in ``checks/``: it takes the ``Server``, its name is a claim,
its docstring the rule. It returns when the rule holds and raises ``Deviation`` or ``NotOffered``
otherwise. Modules and functions are found, there is no list of them.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter

from whisperlab.conformance import checks
from whisperlab.conformance.server import Deviation, NotOffered, Server

Rule = Callable[[Server], None]


class Verdict(StrEnum):
    """What a check found."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOT_OFFERED = "not offered"
    """The server refuses the feature in the proper way, or has it not at all where it need not."""


@dataclass(frozen=True, slots=True)
class Check:
    """A rule by its topic and name."""

    topic: str
    name: str
    rule: str
    function: Rule


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a check; ``detail`` says what came instead, empty when it passed."""

    check: Check
    verdict: Verdict
    detail: str
    seconds: float


def all_checks() -> list[Check]:
    """Returns every check, topics by name, the checks of a topic as they stand in their file."""
    found: list[Check] = []
    for module in sorted(pkgutil.iter_modules(checks.__path__), key=lambda one: one.name):
        topic = importlib.import_module(f"{checks.__name__}.{module.name}")
        found += [
            Check(
                module.name.replace("_", " "),
                name.replace("_", " "),
                " ".join((inspect.getdoc(function) or "").split()),
                function,
            )
            for name, function in vars(topic).items()
            if inspect.isfunction(function)
            and function.__module__ == topic.__name__
            and not name.startswith("_")
        ]
    return found


def run_checks(server: Server, chosen: list[Check]) -> Iterator[Finding]:
    """Yields what each check finds, one after the other, each within the server's time limit."""
    for check in chosen:
        yield run_check(server, check)


def run_check(server: Server, check: Check) -> Finding:
    """Returns what one check finds; a check that takes too long has failed and is left behind."""
    findings: list[tuple[Verdict, str]] = []

    def judge() -> None:
        findings.append(_judged(server, check))

    thread = threading.Thread(target=judge, daemon=True)
    started = perf_counter()
    thread.start()
    thread.join(server.check_seconds)
    seconds = perf_counter() - started
    verdict, detail = (
        findings[0]
        if findings
        else (Verdict.FAIL, f"no verdict within {server.check_seconds:g} s (--timeout)")
    )
    return Finding(check, verdict, " ".join(detail.split()), seconds)


def _judged(server: Server, check: Check) -> tuple[Verdict, str]:
    try:
        check.function(server)
    except NotOffered as reason:
        return Verdict.NOT_OFFERED, str(reason)
    except Deviation as deviation:
        return Verdict.FAIL, str(deviation)
    except Exception as error:  # noqa: BLE001 - a server's oddity that no check foresaw is a finding
        return Verdict.FAIL, f"{type(error).__name__}: {error}"
    return Verdict.PASS, ""
