"""What tests of the front send to it: requests with a body, and bodies that were tampered with."""

from __future__ import annotations

from front_server import Front
from hypothesis import strategies as st
from raw_http import MULTIPART, RawAnswer, exchange, request

CAP = 1 << 20
SOUND = bytes(range(256)) * 20
LIMITS = {"max_file_bytes": CAP}

Edit = tuple[int, int, bytes]
EDITS = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, 20), st.binary(max_size=6)), max_size=6
)
"""Where bytes are replaced, how many, and by what."""


def post(front: Front, body: bytes, content_type: str = MULTIPART, headers: str = "") -> RawAnswer:
    return exchange(front.address, request(body, content_type, headers=headers))


def url(front: Front) -> str:
    """The address that an OpenAI client is given."""
    return f"http://localhost:{front.address[1]}/v1"


def mutated(body: bytes, edits: list[Edit]) -> bytes:
    for start, length, replacement in edits:
        at = start % (len(body) + 1)
        body = body[:at] + replacement + body[at + length :]
    return body
