from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from whisperlab.audio.sandbox import SandboxCounts
from whisperlab.serve import metrics as names
from whisperlab.serve.metrics import Load, Metrics
from whisperlab.serve.problems import STATUS_OF_CODE

ROUTES = ("/v1/audio/transcriptions", "/v1/models/{model}")


def new_metrics(load: Load | None = None) -> Metrics:
    state = load or Load()
    return Metrics("1.2.3", ROUTES, ("default", "turbo"), lambda: state)


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = metrics.render("")[0].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((f"whisperlab_{name}", frozenset(labels.items())))


def test_an_answer_counts_once_by_route_method_status_and_configuration() -> None:
    metrics = new_metrics()
    for seconds in (0.3, 0.4):
        metrics.request("/v1/audio/transcriptions", "POST", 200, "default", seconds)
    metrics.request("/v1/audio/transcriptions", "POST", 429, None, 0.001)
    labels = {"route": "/v1/audio/transcriptions", "method": "POST"}
    assert (
        value(metrics, "http_requests_total", **labels, status="200", configuration="default") == 2
    )
    assert value(metrics, "http_requests_total", **labels, status="429", configuration="none") == 1
    timed = {"route": "/v1/audio/transcriptions", "configuration": "default"}
    assert value(metrics, "http_request_seconds_sum", **timed) == 0.7
    assert value(metrics, "http_request_seconds_bucket", **timed, le="0.25") == 0
    assert value(metrics, "http_request_seconds_bucket", **timed, le="0.5") == 2


def test_a_batch_counts_its_time_its_sound_and_its_size() -> None:
    metrics = new_metrics()
    metrics.inference("turbo", seconds=0.8, audio_seconds=9.5, batch_size=3)
    metrics.inference("turbo", seconds=0.2, audio_seconds=0.5, batch_size=1)
    metrics.queue_wait("turbo", 0.02)
    of = {"configuration": "turbo"}
    assert value(metrics, "inference_seconds_sum", **of) == 1.0
    assert value(metrics, "audio_seconds_total", **of) == 10.0
    assert value(metrics, "batch_size_sum", **of) == 4
    assert value(metrics, "batch_size_count", **of) == 2
    assert value(metrics, "queue_wait_seconds_bucket", **of, le="0.025") == 1


def test_refusals_are_counted_by_code() -> None:
    metrics = new_metrics()
    metrics.rejected("rate_limit_exceeded")
    metrics.rejected("made up")
    metrics.decoded(0.01, "ok")
    metrics.decoded(0.02, "unsupported_format")
    metrics.decoded(0.02, "made up")
    assert value(metrics, "rejected_total", code="rate_limit_exceeded") == 1
    assert value(metrics, "rejected_total", code="other") == 1
    outcomes = ("ok", "unsupported_format", "other")
    assert [value(metrics, "decode_seconds_count", outcome=one) for one in outcomes] == [1, 1, 1]


def test_pool_events_and_storage_failures_are_counted() -> None:
    metrics = new_metrics()
    metrics.pool("default", "load")
    metrics.pool("default", "hit")
    metrics.pool("default", "hit")
    metrics.rate_storage_failure()
    assert value(metrics, "pool_events_total", configuration="default", event="hit") == 2
    assert value(metrics, "pool_events_total", configuration="default", event="load") == 1
    assert value(metrics, "rate_storage_failures_total") == 1


def test_the_state_is_the_one_at_the_moment_of_asking() -> None:
    now = Load()
    metrics = Metrics("1.2.3", ROUTES, ("default", "turbo"), lambda: now)
    assert value(metrics, "loaded", configuration="default") == 0
    now = Load(
        requests_in_flight=7,
        queue_depth={"default": 3},
        in_engine={"default": 2},
        loaded=["default"],
        decoders=SandboxCounts(alive=2, busy=1, waiting=4, started=5, killed=1, died=1, recycled=1),
    )
    assert value(metrics, "requests_in_flight") == 7
    assert value(metrics, "queue_depth", configuration="default") == 3
    assert value(metrics, "queue_depth", configuration="turbo") == 0
    assert value(metrics, "in_engine", configuration="default") == 2
    assert value(metrics, "loaded", configuration="default") == 1
    assert value(metrics, "loaded", configuration="turbo") == 0
    assert value(metrics, "decoders", state="waiting") == 4
    assert value(metrics, "decoder_events_total", event="started") == 5
    assert value(metrics, "build_info", version="1.2.3") == 1


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.text(), st.sampled_from(ROUTES)),
            st.one_of(st.text(), st.sampled_from(["GET", "POST"])),
            st.sampled_from([200, 404, 429]),
            st.one_of(st.none(), st.text(), st.just("default")),
        ),
        max_size=20,
    )
)
def test_no_client_can_make_series_without_end(
    asked: list[tuple[str | None, str, int, str | None]],
) -> None:
    metrics = new_metrics()
    for route, method, status, configuration in asked:
        metrics.request(route, method, status, configuration, 0.1)
        metrics.rejected(method)
        metrics.decoded(0.1, method)
        metrics.queue_wait(configuration or "", 0.1)
        metrics.inference(configuration or "", 0.1, 1.0, 1)
    shown: dict[str, set[str]] = {}
    for _, labels in samples(metrics):
        for name, label in labels:
            shown.setdefault(name, set()).add(label)
    assert shown.get("route", set()) <= {*ROUTES, "none"}
    assert shown.get("method", set()) <= names.METHODS | {"other"}
    assert shown["configuration"] <= {"default", "turbo", "none"}
    assert shown.get("code", set()) <= {*STATUS_OF_CODE, "other"}
    assert shown.get("outcome", set()) <= {*STATUS_OF_CODE, "other", "ok"}


def test_two_servers_in_one_process_count_apart() -> None:
    first, second = new_metrics(), new_metrics()
    first.rejected("not_found")
    assert value(first, "rejected_total", code="not_found") == 1
    assert value(second, "rejected_total", code="not_found") is None


def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    metrics = new_metrics()
    metrics.request("/v1/models/{model}", "GET", 200, "default", 0.1)
    # Prometheus 3's own header
    accept = (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
        "text/plain;version=1.0.0;q=0.5,*/*;q=0.1"
    )
    body, content_type = metrics.render(accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    parse = openmetrics_parser.text_string_to_metric_families
    families = list(parse(body.decode()))  # type: ignore[no-untyped-call]
    assert {"whisperlab_http_requests", "process_resident_memory_bytes"} <= {
        family.name for family in families
    }
    assert body.endswith(b"# EOF\n")


def test_any_other_accept_header_gets_the_plain_text_and_is_not_sent_back() -> None:
    metrics = new_metrics()
    for accept in ("", "*/*", "text/html", "text/plain;version=9canary", "\x00,;;=,q"):
        body, content_type = metrics.render(accept)
        assert content_type == "text/plain; version=0.0.4; charset=utf-8"
        assert b"whisperlab_build_info" in body
    odd = "application/openmetrics-text;version=canary"
    assert "canary" not in metrics.render(odd)[1]


def test_the_buckets_reach_as_far_as_the_limits() -> None:
    conf = Path(__file__).parents[2] / "conf" / "serve.yaml"
    limits = yaml.safe_load(conf.read_text(encoding="utf-8"))["serve"]["limits"]
    assert names.WAIT_BUCKETS[-1] == limits["queue_seconds"]
    assert names.INFERENCE_BUCKETS[-1] == limits["inference_seconds"]
    assert names.REQUEST_BUCKETS[-1] >= limits["body_seconds"]
    for buckets in (names.REQUEST_BUCKETS, names.WAIT_BUCKETS, names.DECODE_BUCKETS):
        assert list(buckets) == sorted(set(buckets))


def test_the_docstring_lists_every_metric() -> None:
    text = new_metrics().render("")[0].decode()
    for family in text_string_to_metric_families(text):
        name = family.name.removesuffix("_created")
        if name.startswith("process_"):
            continue
        listed = {name, f"{name}_total", f"_{name.removeprefix('whisperlab_')}"}
        assert any(one in (names.__doc__ or "") for one in listed), name
