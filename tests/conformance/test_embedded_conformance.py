"""The default server, as it starts without any setting, by every rule; its texts by parity."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from serve_process import Running, running_server

from whisperlab.conformance.check import Verdict, all_checks, run_check
from whisperlab.conformance.parity import compare
from whisperlab.conformance.server import Server

pytestmark = pytest.mark.slow

NOT_OFFERED = {
    "a wrong key is unauthorised": "no key was given",
    "diarized json is answered or refused": "speakers",
    "known speakers are used or refused": "speakers",
}


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_server(tmp_path_factory.mktemp("default")) as running:
        yield running


def test_the_default_server_passes_everything_but_speakers(default: Running) -> None:
    server = Server(f"{default.base_url}/v1", "whisper-1", check_seconds=120.0)
    odd = {
        check.name: (finding.verdict, finding.detail)
        for check in all_checks()
        if (finding := run_check(server, check)).verdict is not Verdict.PASS
    }
    assert {name: what for name, what in odd.items() if what[0] is Verdict.FAIL} == {}
    assert set(odd) == set(NOT_OFFERED)
    assert all(NOT_OFFERED[name] in detail for name, (_, detail) in odd.items())


def test_the_default_server_says_what_this_process_says(default: Running) -> None:
    parity = compare(Server(f"{default.base_url}/v1", "whisper-1"), None, [])
    assert parity.hash_here == parity.hash_there
    assert len(parity.pairs) == 24
    assert [(pair.id, pair.here, pair.there) for pair in parity.differing] == []
