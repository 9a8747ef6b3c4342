"""The Grafana dashboard of docs/deploy, made from the metrics that the server has.

``python tests/dashboard.py > docs/deploy/grafana.json``
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

RATE: Final = "[$__rate_interval]"
WIDTH, HEIGHT, COLUMNS = 8, 7, 3
"""Of a panel, in Grafana's units; a row has 24."""


def rate(metric: str, by: str, labels: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{_of(labels)}}}{RATE}))"


def quantile(share: float, metric: str, by: str, labels: str = "") -> str:
    inner = rate(f"{metric}_bucket", f"{by}, le", labels)
    return f"histogram_quantile({share:g}, {inner})"


def _of(labels: str) -> str:
    return ", ".join(filter(None, ('instance=~"$instance"', labels)))


AUDIO = 'route=~"/v1/audio/.*"'
PANELS: Final[list[tuple[str, str, dict[str, str]]]] = [
    ("Answers a second", "reqps", {"{{status}}": rate("whisperlab_http_requests_total", "status", AUDIO)}),
    ("Refusals a second", "reqps", {"{{code}}": rate("whisperlab_rejected_total", "code")}),
    ("Requests under way", "short", {"{{instance}}": "whisperlab_requests_in_flight{" + _of("") + "}"}),
    (
        "Time of a request",
        "s",
        {f"p{share * 100:g}": quantile(share, "whisperlab_http_request_seconds", "route", AUDIO) for share in (0.5, 0.95, 0.99)},
    ),
    (
        "Wait for the engine",
        "s",
        {f"p{share * 100:g} {{{{configuration}}}}": quantile(share, "whisperlab_queue_wait_seconds", "configuration") for share in (0.5, 0.95)},
    ),
    (
        "One batch in the engine",
        "s",
        {f"p{share * 100:g} {{{{configuration}}}}": quantile(share, "whisperlab_inference_seconds", "configuration") for share in (0.5, 0.95)},
    ),
    (
        "Seconds of sound transcribed a second",
        "short",
        {"{{configuration}}": rate("whisperlab_audio_seconds_total", "configuration")},
    ),
    (
        "Sounds a batch",
        "short",
        {"{{configuration}}": rate("whisperlab_batch_size_sum", "configuration") + " / " + rate("whisperlab_batch_size_count", "configuration")},
    ),
    (
        "Waiting and in the engine",
        "short",
        {
            "waiting {{configuration}}": "whisperlab_queue_depth{" + _of("") + "}",
            "in the engine {{configuration}}": "whisperlab_in_engine{" + _of("") + "}",
        },
    ),
    ("Models in memory", "short", {"{{configuration}}": "whisperlab_loaded{" + _of("") + "}"}),
    (
        "Models loaded, left, started again",
        "short",
        {"{{event}}": rate("whisperlab_pool_events_total", "event")},
    ),
    (
        "Decoding an upload",
        "s",
        {"p95 {{outcome}}": quantile(0.95, "whisperlab_decode_seconds", "outcome")},
    ),
    ("Decoders", "short", {"{{state}}": "whisperlab_decoders{" + _of("") + "}"}),
    ("Ends of decoders", "short", {"{{event}}": rate("whisperlab_decoder_events_total", "event")}),
    (
        "Redis lost",
        "short",
        {"{{instance}}": "increase(whisperlab_rate_storage_failures_total{" + _of("") + "}[10m])"},
    ),
    ("Resident memory of the server", "bytes", {"{{instance}}": "process_resident_memory_bytes{" + _of("") + "}"}),
    ("CPU of the server", "short", {"{{instance}}": "rate(process_cpu_seconds_total{" + _of("") + "}" + RATE + ")"}),
    (
        "Open files",
        "short",
        {"open": "process_open_fds{" + _of("") + "}", "allowed": "process_max_fds{" + _of("") + "}"},
    ),
]  # fmt: skip


def dashboard() -> dict[str, Any]:
    """Returns the dashboard as Grafana imports it."""
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "title": "whisperlab",
        "uid": "whisperlab",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "type": "datasource", "query": "prometheus"},
                {
                    "name": "instance",
                    "type": "query",
                    "datasource": source,
                    "query": "label_values(whisperlab_build_info, instance)",
                    "includeAll": True,
                    "multi": True,
                },
            ]
        },
        "panels": [
            {
                "id": number + 1,
                "title": title,
                "type": "timeseries",
                "datasource": source,
                "gridPos": {
                    "x": number % COLUMNS * WIDTH,
                    "y": number // COLUMNS * HEIGHT,
                    "w": WIDTH,
                    "h": HEIGHT,
                },
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [
                    {"refId": chr(ord("A") + k), "expr": expression, "legendFormat": legend}
                    for k, (legend, expression) in enumerate(targets.items())
                ],
            }
            for number, (title, unit, targets) in enumerate(PANELS)
        ],
    }


def written() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(written())
