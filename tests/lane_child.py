"""A process of its own: a lane whose worker is busy for an hour; prints the worker's process id."""

from __future__ import annotations

from time import sleep

from serve_replay import replay, tone

from whisperlab.engine.options import DecodeOptions
from whisperlab.serve.lane import Lane, LaneObserver, LaneSettings
from whisperlab.serve.messages import Recipe

if __name__ == "__main__":
    configuration = replay("x", "engine.default_text=late", "engine.seconds_per_utterance=3600")
    settings = LaneSettings(1, 0.0, queue_size=1, inference_seconds=3600.0)
    lane = Lane("x", configuration.config, settings, LaneObserver())
    lane.start()
    ticket = lane.submit(tone(1), Recipe(DecodeOptions()), "a")
    while ticket.started is None:
        sleep(0.01)
    print(lane.worker_pid, flush=True)  # noqa: T201 - the test reads it
    ticket.result.result()
