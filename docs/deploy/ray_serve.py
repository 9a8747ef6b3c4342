"""The server as replicas of Ray Serve: ``serve run ray_serve:app`` where this file lies.

Needs ``pip install 'whisperlab[ray-serve,redis]'`` on every node. See docs/scale.md.
"""

from __future__ import annotations

import os

from fastapi import FastAPI
from ray import serve

OVERRIDES = os.environ.get("WHISPERLAB_SERVE", "serve.rates.storage=redis://127.0.0.1:6379/0")
"""What ``python -m whisperlab.serve`` would be given, separated by spaces."""


def build() -> FastAPI:
    """Called in every replica: the same application as the server's."""
    from whisperlab.serve.asgi import asgi_app

    return asgi_app("default", *OVERRIDES.split())


@serve.deployment(
    num_replicas=int(os.environ.get("WHISPERLAB_REPLICAS", "2")),
    ray_actor_options={"num_cpus": 1},
    max_ongoing_requests=32,  # more wait at Ray's proxy
    graceful_shutdown_timeout_s=60,
)
@serve.ingress(build)
class Server:
    """One replica: its own worker process with the loaded model, its own decoders."""


app = Server.bind()
