"""Rows 3 and 41-48 of the hostile cases: JSON bodies over bare sockets to the real front."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator

import pytest
from front_calls import CAP, EDITS, LIMITS, SOUND, Edit, mutated, post
from front_server import Front, running, settings
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from raw_http import (
    FILE,
    JSON,
    RawAnswer,
    field,
    form,
    part,
)

from whisperlab.serve.form import RequestForm
from whisperlab.serve.json_form import read_json_form
from whisperlab.serve.multipart import MultipartReader
from whisperlab.serve.problems import ApiError


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running(settings(limits=LIMITS)) as server:
        yield server


def post_json(front: Front, value: object) -> RawAnswer:
    return post(front, json.dumps(value).encode(), JSON)


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


GOOD_JSON: dict[str, tuple[bytes, dict[str, list[str]]]] = {
    "audio": (json.dumps({"audio": encoded(SOUND)}).encode(), {}),
    "file": (json.dumps({"file": encoded(SOUND)}).encode(), {}),
    "a data URL": (json.dumps({"audio": "data:audio/wav;base64," + encoded(SOUND)}).encode(), {}),
    "a data URL with a codec": (
        json.dumps({"audio": "data:audio/webm;codecs=opus;base64," + encoded(SOUND)}).encode(),
        {},
    ),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps({"audio": encoded(SOUND)}).encode(), {}),
    "fields of every type": (
        json.dumps(
            {
                "audio": encoded(SOUND),
                "model": "m",
                "temperature": 0.25,
                "stream": True,
                "prompt": None,
                "language": "",
                "include": ["logprobs"],
                "timestamp_granularities[]": ["word", "segment"],
                "chunking_strategy": {"type": "server_vad", "threshold": 0.5},
                "name": "Ünï",
            }
        ).encode(),
        {
            "model": ["m"],
            "temperature": ["0.25"],
            "stream": ["true"],
            "include": ["logprobs"],
            "timestamp_granularities": ["word", "segment"],
            "chunking_strategy[type]": ["server_vad"],
            "chunking_strategy[threshold]": ["0.5"],
            "name": ["Ünï"],
        },
    ),
    "numbers keep their spelling": (
        b'{"temperature": 1e999, "a": -0, "b": 1.50, "audio": "%s"}' % encoded(SOUND).encode(),
        {"temperature": ["1e999"], "a": ["-0"], "b": ["1.50"]},
    ),
    "escapes": (
        rb'{"prompt": "a \"b\" \\\\", "\u006dodel": "m\n", "audio": "%s"}'
        % encoded(SOUND).encode(),
        {"prompt": ['a "b" \\\\'], "model": ["m\n"]},
    ),
}


@pytest.mark.parametrize("name", GOOD_JSON)
def test_a_json_body_gives_the_same_form(name: str, front: Front) -> None:
    body, fields = GOOD_JSON[name]
    answer = post(front, body, JSON)
    assert (answer.status, json.loads(answer.body)) == (
        200,
        {"bytes": len(SOUND), "fields": fields},
    )


BASE64 = {
    "bad padding": "QUJDQ",
    "no padding": "QUI",
    "too much padding": "QUI==",
    "padding in the middle": "QUI=QUJD",
    "junk": "QU!JD",
    "a line break": "QUJD\nQUJD",
    "a line break at the end": "QUJD\n",
    "url-safe letters": "-_-_",
    "white space only": "   ",
    "letters beyond ASCII": "QUJé",
    "full-width letters": "ＱＵＪＤ",
    "data:text/html": "data:text/html;base64,QUJD",
    "data: without base64": "data:audio/wav,QUJD",
    "data: with nothing else": "data:",
    "a number": 5,
    "a list": ["QUJD"],
    "true": True,
}


@pytest.mark.parametrize("name", BASE64)
def test_what_is_not_strict_base64_is_refused(name: str, front: Front) -> None:
    answer = post_json(front, {"audio": BASE64[name]})
    assert (answer.status, answer.code, answer.error["param"]) == (400, "invalid_base64", "file")


def test_padding_at_the_end_of_a_slice_does_not_pass(front: Front) -> None:
    at_the_cut = "A" * ((1 << 20) - 4) + "QUI=" + "QUJD"
    assert post_json(front, {"audio": at_the_cut}).code == "invalid_base64"
    whole = post_json(front, {"audio": "A" * (1 << 20) + "QUI="})
    assert json.loads(whole.body)["bytes"] == (1 << 20) // 4 * 3 + 2


@pytest.mark.parametrize("value", [{}, {"audio": ""}, {"audio": None}, {"model": "m"}])
def test_json_without_a_sound_is_refused(value: object, front: Front) -> None:
    answer = post_json(front, value)
    assert (answer.status, answer.code, answer.error["param"]) == (400, "missing_file", "file")


BAD_JSON = {
    "empty": b"",
    "not an object": b'["audio"]',
    "a string": b'"audio"',
    "100k-deep arrays": b"[" * 100_000,
    "21-deep objects": b'{"a":' * 21 + b"1" + b"}" * 21,
    "an integer of 5000 digits": b'{"a": ' + b"1" * 5000 + b"}",
    "an integer of 100000 digits": b'{"a": ' + b"1" * 100_000 + b"}",
    "a fraction of 5000 digits": b'{"a": 0.' + b"1" * 5000 + b"}",
    "a key twice": b'{"model": "a", "model": "b", "audio": "QUJD"}',
    "a key twice, escaped": rb'{"model": "a", "\u006dodel": "b", "audio": "QUJD"}',
    "a key twice inside": b'{"c": {"a": 1, "a": 2}, "audio": "QUJD"}',
    "NaN": b'{"temperature": NaN, "audio": "QUJD"}',
    "-Infinity": b'{"temperature": -Infinity, "audio": "QUJD"}',
    "UTF-16": json.dumps({"audio": "QUJD"}).encode("utf-16"),
    "UTF-16 without a mark": json.dumps({"audio": "QUJD"}).encode("utf-16-le"),
    "UTF-32": json.dumps({"audio": "QUJD"}).encode("utf-32"),
    "latin-1": '{"prompt": "é"}'.encode("latin-1"),
    "half a surrogate pair": rb'{"prompt": "\ud800", "audio": "QUJD"}',
    "half a surrogate pair as a key": rb'{"\udc00": "a", "audio": "QUJD"}',
    "NUL": rb'{"prompt": "a\u0000b", "audio": "QUJD"}',
    "a raw control character": b'{"prompt": "a\nb", "audio": "QUJD"}',
    "a trailing comma": b'{"audio": "QUJD",}',
    "an open string": b'{"audio": "QUJD',
    "an open string with escapes": b'{"audio": "' + b'\\"' * 1000,
    "two values": b'{"audio": "QUJD"} {}',
    "100 KB of numbers": b'{"a": [' + b"1," * 50_000 + b"1]}",
    "20000 strings": b'{"a": [' + b'"",' * 20_000 + b'""]}',
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_json_that_two_readers_could_read_differently_is_refused(name: str, front: Front) -> None:
    answer = post(front, BAD_JSON[name], JSON)
    assert answer.status == 400
    assert answer.code in ("invalid_json", "invalid_value")
    if "surrogate pair as a key" not in name:
        assert answer.code == "invalid_json"


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"a": [[1]]}, "a"),
        ({"a": {"b": {"c": 1}}}, "a"),
        ({"a": {"b": [1]}}, "a"),
        ({"model": "m" * 20_000}, "model"),
        ({"f": ["v"] * 40}, None),
    ],
)
def test_json_fields_have_the_limits_of_a_form(
    value: dict[str, object], param: str | None, front: Front
) -> None:
    answer = post_json(front, {"audio": "QUJD", **value})
    assert (answer.status, answer.code, answer.error["param"]) == (400, "invalid_value", param)


def test_two_sounds_in_json_are_refused(front: Front) -> None:
    answer = post_json(front, {"audio": "QUJD", "file": "QUJD"})
    assert (answer.code, answer.error["param"]) == ("duplicate_parameter", "file")


def test_base64_over_the_cap_is_refused_by_its_length(front: Front) -> None:
    exact = post_json(front, {"audio": encoded(b"a" * CAP)})
    assert json.loads(exact.body)["bytes"] == CAP
    over = post_json(front, {"audio": encoded(b"a" * (CAP + 1))})
    assert (over.status, over.code) == (413, "file_too_large")
    assert (
        over.error["message"]
        == f"Maximum content size limit ({CAP}) exceeded ({CAP + 1} bytes read)"
    )


def test_eight_megabytes_of_empty_arrays_are_refused_as_too_large() -> None:
    with pytest.raises(ApiError, match="file_too_large"):
        read_json_form(b"[" + b"[]," * 2_700_000 + b"[]]", 25 << 20)


@profile(max_examples=300, deadline=None)
@given(sound=st.binary(max_size=3000), prompt=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=50))  # fmt: skip
def test_what_was_sent_is_what_is_read_both_ways(sound: bytes, prompt: str) -> None:
    expected = RequestForm(sound, {"prompt": (prompt,)})
    if b"\r\n--b" not in b"\r\n" + sound and "\r\n--b" not in "\r\n" + prompt:
        reader = MultipartReader({b"boundary": b"b"}, 4096)
        reader.feed(form(field("prompt", prompt), part(FILE, sound)))
        assert reader.finish() == expected
    if sound:
        value = {"prompt": prompt, "audio": encoded(sound)}
        assert read_json_form(json.dumps(value).encode(), 4096) == expected
        assert read_json_form(json.dumps(value, ensure_ascii=False).encode(), 4096) == expected


JSON_SEEDS = [body for body in BAD_JSON.values() if len(body) < 300] + [
    b'{"audio": "QUJD", "model": ["a"], "c": {"d": 1}, "t": 0.5}'
]


@profile(max_examples=1000, deadline=None)
@given(seed=st.sampled_from(JSON_SEEDS), edits=EDITS)
def test_a_mutated_json_body_is_read_or_refused_with_a_code(seed: bytes, edits: list[Edit]) -> None:
    with contextlib.suppress(ApiError):
        form = read_json_form(mutated(seed, edits), 4096)
        assert form.file
        assert all(isinstance(v, str) for values in form.fields.values() for v in values)
