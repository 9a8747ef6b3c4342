"""Routes: which there are and what they answer to a GET."""

from __future__ import annotations

from http.client import NOT_FOUND, OK
from urllib.parse import quote

from whisperlab.conformance.server import Deviation, NotOffered, Reply, Server, expect

_MISSING = "no-such/model"


def _listed(server: Server) -> list[str]:
    models = server.get("/models").ok().json()
    return [str(one["id"]) for one in models["data"]]


def _extension(server: Server, path: str) -> Reply:
    reply = server.send("GET", server.root + path)
    if reply.status == NOT_FOUND:
        raise NotOffered(f"{path} is not OpenAI's and not here")
    return reply


def models_are_listed(server: Server) -> None:
    """``GET /v1/models`` is ``{"object": "list", "data": [...]}``, each entry OpenAI's ``Model``."""
    from openai.types import Model

    body = server.get("/models").ok().json()
    expect(body.get("object") == "list", f"expected object list, got {body.get('object')!r}")
    expect(body.get("data"), "expected at least one model, got none")
    for one in body["data"]:
        Model.model_validate(one, strict=True)


def the_requested_model_is_listed_or_known(server: Server) -> None:
    """``GET /v1/models/{model}`` knows the model of the request, an alias included."""
    body = server.get(f"/models/{quote(server.model, safe='')}").ok().json()
    expect(body.get("object") == "model", f"expected object model, got {body.get('object')!r}")


def every_listed_model_can_be_retrieved(server: Server) -> None:
    """Each id of the list answers ``GET /v1/models/{model}``, a slash written as ``%2F``."""
    for name in _listed(server):
        reply = server.get(f"/models/{quote(name, safe='')}")
        expect(reply.status == OK, f"{name}: expected 200, got {reply.shown}")
        expect(reply.json()["id"] == name, f"{name}: got the id {reply.json()['id']!r}")


def the_official_client_lists_models(server: Server) -> None:
    """The official client's ``models.list`` and ``models.retrieve`` agree."""
    with server.client() as client:
        names = [one.id for one in client.models.list()]
        expect(names, "expected at least one model, got none")
        expect(client.models.retrieve(names[0]).id == names[0], "retrieve gave another model")


def an_unknown_model_is_not_found(server: Server) -> None:
    """``GET /v1/models/{unknown}`` is a 404 ``model_not_found`` in the envelope."""
    for written in (quote(_MISSING, safe=""), "no-such-model"):
        error = server.get(f"/models/{written}").refusal(NOT_FOUND)
        expect(error["code"] == "model_not_found", f"expected model_not_found, got {error['code']}")


def health_is_healthy(server: Server) -> None:
    """``GET /health`` is ``{"status": "healthy"}`` (the predecessor's)."""
    reply = _extension(server, "/health").ok()
    if not reply.body:
        raise NotOffered("/health answers 200 without a body")
    expect(reply.json() == {"status": "healthy"}, f"got {reply.shown}")


def liveness_and_readiness_answer(server: Server) -> None:
    """``GET /health/live`` is 200 always, ``/health/ready`` once a clip has been transcribed."""
    _extension(server, "/health/live").ok()
    _extension(server, "/health/ready").ok()


def metrics_are_prometheus_text(server: Server) -> None:
    """``GET /metrics`` is Prometheus' text format."""
    reply = _extension(server, "/metrics").ok()
    expect(reply.headers.get("content-type", "").startswith(("text/plain", "application/openmetrics-text")), f"got {reply.headers.get('content-type')}")  # fmt: skip
    samples = [line for line in reply.text.splitlines() if line and not line.startswith("#")]
    expect(samples, "expected samples, got none")
    for line in samples:
        try:
            float(line.rsplit(" ", 1)[-1])
        except ValueError:
            raise Deviation(f"not a sample: {line[:80]!r}") from None


def the_configuration_can_be_read(server: Server) -> None:
    """``GET /v1/config`` is the resolved configuration, without the caller's key."""
    reply = server.get("/config")
    if reply.status == NOT_FOUND:
        raise NotOffered("/config is not OpenAI's and not here")
    expect(isinstance(reply.ok().json(), dict), f"expected an object, got {reply.shown}")
    expect(server.key is None or server.key not in reply.text, "the key stands in the answer")


def the_documentation_is_a_page(server: Server) -> None:
    """``GET /docs`` is an HTML page."""
    reply = _extension(server, "/docs").ok()
    expect("text/html" in reply.headers.get("content-type", ""), f"got {reply.shown}")
