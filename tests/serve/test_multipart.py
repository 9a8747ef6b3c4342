"""Rows 16-36 of the hostile cases: forms over bare sockets to the real front."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import openai
import pytest
from front_calls import EDITS, LIMITS, SOUND, Edit, mutated, post, url
from front_server import Front, running, settings
from hypothesis import example, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from raw_http import (
    FILE,
    field,
    form,
    part,
)

from whisperlab.serve.form import RequestForm
from whisperlab.serve.multipart import MultipartReader
from whisperlab.serve.problems import ApiError


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running(settings(limits=LIMITS)) as server:
        yield server


GOOD = {
    "a sound alone": (form(part(FILE, SOUND)), {}),
    "the file first": (form(part(FILE, SOUND), field("model", "m")), {"model": ["m"]}),
    "lists both ways": (
        form(
            field("timestamp_granularities[]", "word"),
            field("timestamp_granularities", "segment"),
            field("include[]", "logprobs"),
            field("tags[]", "a"),
            field("tags[]", "b"),
            part(FILE, SOUND),
        ),
        {
            "timestamp_granularities": ["word", "segment"],
            "include": ["logprobs"],
            "tags": ["a", "b"],
        },
    ),
    "nested names": (
        form(field("chunking_strategy[threshold]", "0.4"), part(FILE, SOUND)),
        {"chunking_strategy[threshold]": ["0.4"]},
    ),
    "empty is absent": (form(field("language", ""), part(FILE, SOUND)), {}),
    "an empty filename": (form(part('form-data; name="file"; filename=""', SOUND)), {}),
    "a path as filename": (
        form(part('form-data; name="file"; filename="../../etc/passwd"', SOUND)),
        {},
    ),
    "a Windows path as filename": (
        form(part('form-data; name="file"; filename="C:\\a\\"', SOUND)),
        {},
    ),
    "an extended filename": (
        form(
            part('form-data; name="file"; filename="a"; filename*=UTF-8\'\'..%2f..%2fevil', SOUND)
        ),
        {},
    ),
    "only an extended filename": (
        form(part("form-data; name=\"file\"; filename*=UTF-8''a.wav", SOUND)),
        {},
    ),
    "NUL and \xff in the filename": (
        form(part('form-data; name="file"; filename="a\0\xff.wav"', SOUND)),
        {},
    ),
    "a quote in the filename": (
        form(part('form-data; name="file"; filename="a\\";b=\\".wav"', SOUND)),
        {},
    ),
    "base64 as transfer encoding is not undone": (
        form(part(FILE, SOUND, "Content-Transfer-Encoding: base64")),
        {},
    ),
    "an epilogue of 1 MB": (form(part(FILE, SOUND)) + b"x" * 1_000_000, {}),
    "no line break after the end": (form(part(FILE, SOUND), end=b"--b--"), {}),
    "a line break before the first boundary": (b"\r\n" + form(part(FILE, SOUND)), {}),
    "padding after a boundary": (
        field("model", "m") + form(part(FILE, SOUND)).replace(b"--b\r\n", b"--b \t\r\n"),
        {"model": ["m"]},
    ),
    "text declared as UTF-8": (
        form(
            part(
                'form-data; name="prompt"', "é".encode(), "Content-Type: text/plain; charset=UTF-8"
            ),
            part(FILE, SOUND),
        ),
        {"prompt": ["é"]},
    ),
    "a prompt of 8 KiB": (
        form(field("prompt", "p" * 8192), part(FILE, SOUND)),
        {"prompt": ["p" * 8192]},
    ),
    "a model of 10 KB goes to the check of models": (
        form(field("model", "m" * 10_000), part(FILE, SOUND)),
        {"model": ["m" * 10_000]},
    ),
    "a model that is not UTF-8 as well": (
        form(field("model", b"\xff\xfe"), part(FILE, SOUND)),
        {"model": ["\ufffd\ufffd"]},
    ),
    "32 fields": (
        form(*(field(f"f{k}", "v") for k in range(32)), part(FILE, SOUND)),
        {f"f{k}": ["v"] for k in range(32)},
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_an_odd_but_valid_form_is_read(name: str, front: Front) -> None:
    body, fields = GOOD[name]
    answer = post(front, body)
    assert (answer.status, json.loads(answer.body)) == (
        200,
        {"bytes": len(SOUND), "fields": fields},
    )


BAD = {
    "no end boundary": (form(part(FILE, SOUND))[:-5], "invalid_multipart", None),
    "cut in the file": (part(FILE, SOUND)[:-50], "invalid_multipart", None),
    "an empty body": (b"", "invalid_multipart", None),
    "only the end": (b"--b--\r\n", "missing_file", "file"),
    "another boundary": (b"--c\r\n\r\n--c--\r\n", "invalid_multipart", None),
    "9 headers in a part": (
        form(part(FILE, SOUND, *(f"X-{k}: a" for k in range(8)))),
        "invalid_multipart",
        None,
    ),
    "a part header of 5 KB": (
        form(part(FILE, SOUND, "X-A: " + "a" * 5000)),
        "invalid_multipart",
        None,
    ),
    "a part header twice": (
        form(part(FILE, SOUND, 'Content-Disposition: form-data; name="model"')),
        "invalid_multipart",
        None,
    ),
    "a preamble": (b"x" * 1_000_000 + b"\r\n" + form(part(FILE, SOUND)), "invalid_multipart", None),
    "a preamble of line breaks": (
        b"\r\n" * 500_000 + form(part(FILE, SOUND)),
        "invalid_multipart",
        None,
    ),
    "1001 fields": (
        form(*(field(f"f{k}", "v") for k in range(1001)), part(FILE, SOUND)),
        "invalid_value",
        None,
    ),
    "1001 files": (form(*[part(FILE, b"a")] * 1001), "duplicate_parameter", "file"),
    "two files": (form(part(FILE, SOUND), part(FILE, b"evil")), "duplicate_parameter", "file"),
    "two models": (
        form(field("model", "A"), field("model", "B"), part(FILE, SOUND)),
        "duplicate_parameter",
        "model",
    ),
    "two models, one as a list": (
        form(field("model", "A"), field("model[]", "B"), part(FILE, SOUND)),
        "duplicate_parameter",
        "model",
    ),
    "two models, one empty": (
        form(field("model", ""), field("model", "B"), part(FILE, SOUND)),
        "duplicate_parameter",
        "model",
    ),
    "a model of 2 MB": (
        form(field("model", "m" * 2_000_000), part(FILE, SOUND)),
        "file_too_large",
        "file",
    ),
    "a model of 900 KB": (
        form(field("model", "m" * 900_000), part(FILE, SOUND)),
        "invalid_value",
        "model",
    ),
    "a format of 5 KB": (
        form(field("response_format", "m" * 5000), part(FILE, SOUND)),
        "invalid_value",
        "response_format",
    ),
    "a prompt over 8 KiB": (
        form(field("prompt", "p" * 8193), part(FILE, SOUND)),
        "invalid_value",
        "prompt",
    ),
    "a prompt that is not UTF-8": (
        form(field("prompt", b"\xff"), part(FILE, SOUND)),
        "invalid_value",
        "prompt",
    ),
    "NUL in a prompt": (
        form(field("prompt", "a\0b"), part(FILE, SOUND)),
        "invalid_value",
        "prompt",
    ),
    "no filename": (form(field("file", SOUND)), "missing_file", "file"),
    "the JSON body's name": (
        form(part('form-data; name="audio"; filename="a.wav"', SOUND)),
        "missing_file",
        "file",
    ),
    "no file": (form(field("model", "m")), "missing_file", "file"),
    "charset utf-7": (
        form(
            part('form-data; name="prompt"', b"+ADw-", "Content-Type: text/plain; charset=utf-7"),
            part(FILE, SOUND),
        ),
        "invalid_value",
        None,
    ),
    "no name": (form(part("form-data", b"x"), part(FILE, SOUND)), "invalid_multipart", None),
    "two names": (
        form(part('form-data; name="model"; name="file"; filename="a"', SOUND)),
        "invalid_multipart",
        None,
    ),
    "a name with a line break": (
        form(field("a\r\nb", "v"), part(FILE, SOUND)),
        "invalid_multipart",
        None,
    ),
    "a name with markup": (form(field("<b>", "v"), part(FILE, SOUND)), "invalid_value", None),
    "an attachment": (
        form(part('attachment; name="file"; filename="a"', SOUND)),
        "invalid_multipart",
        None,
    ),
    "the boundary all over the file": (
        form(part(FILE, b"\r\n--bX" * 2100)),
        "invalid_multipart",
        None,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_an_ambiguous_or_broken_form_is_refused(name: str, front: Front) -> None:
    body, code, param = BAD[name]
    answer = post(front, body)
    assert (answer.code, answer.error["param"]) == (code, param)
    assert answer.status == (413 if code == "file_too_large" else 400)


CONTENT_TYPES = {
    "multipart/form-data": (400, "invalid_multipart"),
    "multipart/form-data; boundary=": (400, "invalid_multipart"),
    "multipart/form-data; boundary=" + "b" * 300: (400, "invalid_multipart"),
    "multipart/form-data; boundary=b; boundary=c": (400, "invalid_multipart"),
    "multipart/form-data; boundary=b; charset=utf-7": (400, "invalid_value"),
    "multipart/form-data; boundary=b; charset=bogus": (400, "invalid_value"),
    "multipart/mixed; boundary=b": (415, "unsupported_media_type"),
    "application/x-www-form-urlencoded": (415, "unsupported_media_type"),
    "audio/wav": (415, "unsupported_media_type"),
    "text/json": (415, "unsupported_media_type"),
    "": (415, "unsupported_media_type"),
    'Multipart/Form-Data; BOUNDARY="b"': (200, ""),
    "multipart/form-data; charset=utf-8; boundary=b": (200, ""),
}


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_the_content_type_decides(content_type: str, front: Front) -> None:
    answer = post(front, form(part(FILE, SOUND)), content_type)
    status, code = CONTENT_TYPES[content_type]
    assert answer.status == status
    assert status == 200 or answer.code == code


def test_two_content_types_are_refused(front: Front) -> None:
    answer = post(front, form(part(FILE, SOUND)), headers="Content-Type: audio/wav\r\n")
    assert (answer.status, answer.code) == (400, "invalid_request")


def test_the_official_clients_form_is_read_whole(front: Front) -> None:
    client = openai.OpenAI(base_url=url(front), api_key="good", max_retries=0)
    with client:
        answer = client.audio.transcriptions.with_raw_response.create(
            model="whisper-1",
            file=SOUND,
            prompt="a prompt",
            temperature=0.0,
            include=["logprobs"],
            timestamp_granularities=["word", "segment"],
            chunking_strategy={"type": "server_vad", "threshold": 0.4},
            extra_body={"extra": ["a", "b"]},
        )
    assert json.loads(answer.text) == {
        "bytes": len(SOUND),
        "fields": {
            "model": ["whisper-1"],
            "prompt": ["a prompt"],
            "temperature": ["0.0"],
            "include": ["logprobs"],
            "timestamp_granularities": ["word", "segment"],
            "chunking_strategy[type]": ["server_vad"],
            "chunking_strategy[threshold]": ["0.4"],
            "extra": ["a", "b"],
        },
    }


def _read(pieces: list[bytes]) -> RequestForm | str:
    try:
        reader = MultipartReader({b"boundary": b"b"}, 4096)
        for piece in pieces:
            reader.feed(piece)
        return reader.finish()
    except ApiError as error:
        return error.code


CONTENT = st.one_of(
    st.binary(max_size=40),
    st.lists(
        st.sampled_from([b"\r\n", b"--b", b"\r", b"\n", b"-", b"b", b"\r\n--", b"\r\n--bX", b"a"]),
        max_size=8,
    ).map(b"".join),
)
BODIES = st.builds(
    lambda fields, sound, tail: (
        form(*(field(name, value) for name, value in fields), part(FILE, sound)) + tail
    ),
    st.lists(
        st.tuples(st.sampled_from(["model", "include[]", "prompt"]), CONTENT),
        max_size=3,
    ),
    CONTENT,
    st.binary(max_size=10),
)


@profile(max_examples=300, deadline=None)
@given(body=BODIES, cuts=st.lists(st.integers(0, 400), max_size=12))
@example(body=form(part(FILE, b"\r\n--b")), cuts=[])
def test_any_split_of_the_bytes_gives_the_same_form(body: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[start:end] for start, end in itertools.pairwise(edges)]
    whole = _read([body])
    assert _read(pieces) == whole
    assert _read([body[k : k + 1] for k in range(len(body))]) == whole


SEEDS = [body for body, _ in GOOD.values() if len(body) < 3000] + [b""]


@profile(max_examples=500, deadline=None)
@given(seed=st.sampled_from(SEEDS), edits=EDITS)
def test_a_mutated_form_is_read_or_refused_with_a_code(seed: bytes, edits: list[Edit]) -> None:
    form_or_code = _read([mutated(seed, edits)])
    assert isinstance(form_or_code, RequestForm) or form_or_code in {
        "invalid_multipart",
        "invalid_value",
        "missing_file",
        "duplicate_parameter",
        "file_too_large",
    }
