"""Deltas: whatever the segments, their sum is the text."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from whisperlab.serve.events import DeltaWriter, event

PIECES = st.lists(st.text(alphabet="ab \n今", max_size=5), max_size=8)


@given(PIECES)
def test_the_deltas_together_are_the_stripped_text(pieces: list[str]) -> None:
    writer = DeltaWriter()
    deltas = [writer.add(piece) for piece in pieces]
    text = "".join(pieces).strip()
    assert "".join(deltas) + writer.finish(text) == text


@given(PIECES, st.text(alphabet="ab ", min_size=1, max_size=5))
def test_text_beyond_the_segments_is_the_last_delta(pieces: list[str], more: str) -> None:
    writer = DeltaWriter()
    deltas = [writer.add(piece) for piece in pieces]
    text = ("".join(pieces) + more).strip()
    assert "".join(deltas) + writer.finish(text) == text


def test_an_event_is_one_data_line_whatever_the_text_holds() -> None:
    wire = event({"type": "transcript.text.delta", "delta": 'a\n\ndata: "b"\r\u2028ü'}).decode()
    assert wire.startswith("data: ")
    assert wire.endswith("\n\n")
    assert wire.count("\n") == 2
    assert json.loads(wire.removeprefix("data: "))["delta"] == 'a\n\ndata: "b"\r\u2028ü'
