from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whisperlab.errors import AudioError
from whisperlab.serve.logs import FIELDS, MAX_CHARACTERS, REQUEST_ID, JsonFormatter

CANARY = "sesquipedalian-canary"


class Log:
    """A logger that writes through the formatter into memory."""

    def __init__(self, name: str) -> None:
        self.logger = logging.Logger(name)  # noqa: LOG001 - outside the process's tree
        self._text = io.StringIO()
        handler = logging.StreamHandler(self._text)
        handler.setFormatter(JsonFormatter())
        self.logger.addHandler(handler)

    def raw(self) -> str:
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return text

    def line(self) -> dict[str, Any]:
        text = self.raw()
        assert text.count("\n") == 1
        line: dict[str, Any] = json.loads(text)
        return line


@pytest.fixture
def log() -> Log:
    return Log("whisperlab.serve.application")


def test_a_line_says_when_how_bad_where_and_what(log: Log) -> None:
    log.logger.warning("worker %d lost", 3)
    line = log.line()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {
        "level": "warning",
        "logger": "whisperlab.serve.application",
        "message": "worker 3 lost",
    }


def test_a_line_carries_the_request_it_belongs_to(log: Log) -> None:
    def in_a_request() -> None:
        REQUEST_ID.set("abc-1")
        log.logger.info("answered")

    copy_context().run(in_a_request)
    assert log.line()["request_id"] == "abc-1"
    log.logger.info("outside")
    assert "request_id" not in log.line()
    log.logger.info("told", extra={"request_id": "abc-2"})
    assert log.line()["request_id"] == "abc-2"


def test_known_fields_are_shown_and_all_others_left_out(log: Log) -> None:
    log.logger.info("answered", extra={**dict.fromkeys(FIELDS, 1), "transcript": 1, "filename_": 1})
    assert set(log.line()) == {"timestamp", "level", "logger", "message", *FIELDS}


def test_a_field_is_a_number_or_a_short_text(log: Log) -> None:
    given = {
        "status": 200,
        "seconds": 0.25,
        "route": "/v1/models",
        "caller": "x" * 5000,
        "count": float("nan"),
        "bytes": b"body",
        "event": ["text"],
        "code": None,
    }
    log.logger.info("answered", extra=given)
    line = log.line()
    assert {name: line.get(name) for name in given} == {
        "status": 200,
        "seconds": 0.25,
        "route": "/v1/models",
        "caller": "x" * MAX_CHARACTERS + "...",
        "count": None,
        "bytes": "<bytes>",
        "event": "<list>",
        "code": None,
    }


@given(st.text(), st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_can_start_a_new_line_or_steer_a_terminal(log: Log, one: str, two: str) -> None:
    log.logger.info("%s", one, extra={"caller": two})
    raw = log.raw()
    assert raw.endswith("\n")
    assert all(" " <= character <= "~" for character in raw[:-1])
    line = json.loads(raw)
    assert line["message"] == one[:MAX_CHARACTERS] + ("..." if len(one) > MAX_CHARACTERS else "")


def test_an_exception_is_its_type_and_place_without_its_words(log: Log) -> None:
    try:
        float(CANARY)
    except ValueError:
        log.logger.exception("failed")
    line = log.line()
    assert CANARY not in json.dumps(line)
    (shown,) = line["exceptions"]
    assert shown["type"] == "builtins.ValueError"
    assert re.fullmatch(
        r"tests/serve/test_serve_logs\.py:\d+:test_an_exception_is_its_type_and_place_without_its_words",
        shown["frames"][-1],
    )


def test_our_own_error_has_its_code_and_where_it_came_from(log: Log) -> None:
    try:
        try:
            float(CANARY)
        except ValueError as error:
            raise AudioError(f"a step failed: {error}", code="preprocess_failed") from error
    except AudioError:
        log.logger.exception("failed")
    line = log.line()
    assert CANARY not in json.dumps(line)
    first, second = line["exceptions"]
    assert first["code"] == "preprocess_failed"
    assert set(second) == {"type", "frames"}


def test_endless_chains_and_deep_stacks_end(log: Log) -> None:
    def deep(level: int) -> None:
        if level:
            deep(level - 1)
        raise ValueError

    error: Exception = ValueError()
    error.__context__ = error  # a circle, which Python itself avoids
    for _ in range(50):
        error = ExceptionGroup("", [error, error])
    log.logger.error("failed", exc_info=error)
    try:
        deep(300)
    except ValueError:
        log.logger.exception("failed")
    assert len(log.raw()) < 20_000


def test_other_libraries_show_the_template_only() -> None:
    log = Log("httpx")
    log.logger.warning("HTTP Request: %s", CANARY)
    assert "HTTP Request: %s" in (message := log.line()["message"])
    assert CANARY not in message
    log.logger.warning(f"quoted {CANARY}")  # noqa: G004 - as libraries do
    message = log.line()["message"]
    assert CANARY not in message
    assert "test_serve_logs.py:" in message


@pytest.fixture(scope="module")
def lines() -> str:
    """What a process with ``configure`` wrote while words were pushed at its log from all sides."""
    child = Path(__file__).parents[1] / "log_child.py"
    finished = subprocess.run(
        [sys.executable, str(child), CANARY],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == ""
    return finished.stderr


def test_no_word_comes_into_the_log_of_a_process(lines: str) -> None:
    assert CANARY not in lines


def test_everything_on_standard_error_is_json_and_each_thing_was_logged(lines: str) -> None:
    parsed = [json.loads(line) for line in lines.splitlines()]
    loggers = [line["logger"] for line in parsed]
    assert loggers.count("whisperlab.serve.child") == 9
    assert loggers.count("httpx") == 1
    assert loggers.count("library") == 1
    assert loggers.count("asyncio") == 2
    assert loggers.count("py.warnings") == 1
    assert "uvicorn.error" in loggers
    assert "uvicorn.access" not in loggers
    messages = [line["message"] for line in parsed]
    assert {"a thread ended", "an error had nowhere to go"} <= set(messages)
    assert any("deprecated" in message for message in messages)
    (request,) = (line for line in parsed if line["message"] == "in a request")
    assert request["request_id"] == "request-1"
    (unforeseen,) = (line for line in parsed if "Exception in ASGI" in line["message"])
    assert unforeseen["exceptions"][0]["frames"][-1].endswith(":app")
    group = next(line for line in parsed if "ExceptionGroup" in json.dumps(line))
    assert [one["type"].split(".")[-1] for one in group["exceptions"]] == [
        "ExceptionGroup", "ValueError", "AudioError",
    ]  # fmt: skip
