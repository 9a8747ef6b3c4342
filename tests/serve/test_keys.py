from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from key_files import ADDRESS, COMMAND, REFUSALS, add, refusal, stored, write

from whisperlab.errors import ConfigError
from whisperlab.serve.keys import Caller, KeyRing
from whisperlab.serve.keys.key_file import change_keys, new_key, read_keys


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    file = write(
        tmp_path / "keys.json",
        stored("alice", "wl_alice", requests_per_minute=60, in_flight=2),
        stored("bob", "wl_bob", audio_seconds_per_minute=90.5),
        stored("old", "wl_old", expires="2026-01-02T00:00:00Z"),
        stored("new", "wl_new", expires="9999-01-01T00:00:00Z"),
        stored("long", "k" * 300),
    )
    return KeyRing(file)


# Recognising


def test_a_key_says_who_calls_and_with_which_limits(ring: KeyRing) -> None:
    assert ring.identify(["Bearer wl_alice"], ADDRESS) == Caller("alice", False, 60, None, 2)
    assert ring.identify(["Bearer wl_bob"], ADDRESS) == Caller("bob", False, None, 90.5, None)
    assert ring.identify(["Bearer wl_new"], ADDRESS).name == "new"


@pytest.mark.parametrize("value", ["bearer wl_bob", "BEARER wl_bob", "Bearer   wl_bob "])
def test_the_scheme_is_written_in_any_case(ring: KeyRing, value: str) -> None:
    assert ring.identify([value], ADDRESS).name == "bob"


@pytest.mark.parametrize(
    "value",
    [
        "", "Bearer", "Bearer ", "wl_alice", "Basic wl_alice", "Basic YWxpY2U6", "Bearer wl_ALICE",
        "Bearer wl_alic", "Bearer wl_alice2", "Bearer wl_alice,", "Bearer wl_alice wl_alice",
        "Bearer\twl_alice", "Bearer " + sha256(b"wl_alice").hexdigest(), "Bearer w\u0000l",
        "Bearer \udcff", "Bearer null", "Bearer wl_old",
    ],
)  # fmt: skip
def test_whatever_is_no_valid_key_is_a_401_that_does_not_repeat_it(
    ring: KeyRing, value: str
) -> None:
    error = refusal(ring, value)
    assert (error.status, error.code) == (401, "invalid_api_key")
    assert error.body()["error"]["type"] == "authentication_error"
    assert error.all_headers()["WWW-Authenticate"] == "Bearer"
    assert error.message in REFUSALS


@pytest.fixture(scope="module")
def one_key(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return KeyRing(write(tmp_path_factory.mktemp("keys") / "one.json", stored("a", "wl_a")))


@given(st.text())
def test_no_other_text_is_a_key(one_key: KeyRing, text: str) -> None:
    if text.strip() != "wl_a":
        error = refusal(one_key, f"Bearer {text}")
        assert error.code == "invalid_api_key"
        assert error.message in REFUSALS


def test_no_header_is_a_401_that_says_how_to_send_a_key(ring: KeyRing) -> None:
    error = refusal(ring)
    assert (error.status, error.code) == (401, "invalid_api_key")
    assert "Authorization: Bearer" in error.message


def test_two_headers_are_a_400_even_if_both_are_right(ring: KeyRing) -> None:
    for one in (ring, KeyRing(None)):
        error = refusal(one, "Bearer wl_alice", "Bearer wl_alice")
        assert (error.status, error.code) == (400, "invalid_request")


def test_of_a_very_long_key_only_the_beginning_is_looked_at(ring: KeyRing) -> None:
    # Its digest is in the file: whoever hashed all of it would accept it.
    assert refusal(ring, "Bearer " + "k" * 300).code == "invalid_api_key"
    assert refusal(ring, "Bearer " + "x" * 10_240).code == "invalid_api_key"


def test_a_key_is_refused_from_its_expiry_on(tmp_path: Path) -> None:
    def ring(expires: datetime) -> KeyRing:
        return KeyRing(write(tmp_path / "k", stored("a", "wl_a", expires=expires.isoformat())))

    moment = datetime.now(UTC)
    assert ring(moment + timedelta(minutes=1)).identify(["Bearer wl_a"], ADDRESS).name == "a"
    assert "expired" in refusal(ring(moment - timedelta(seconds=1)), "Bearer wl_a").message


@pytest.mark.parametrize("authorization", [[], ["Bearer sk-anything"], ["Basic x"]])
def test_without_a_file_everyone_calls_by_their_address(authorization: list[str]) -> None:
    caller = KeyRing(None).identify(authorization, ADDRESS)
    assert caller == Caller("192.0.2.7", anonymous=True)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", "unknown"),
        ("no\naddress", "unknown"),
        ("x" * 100_000, "unknown"),
    ],
)
def test_an_anonymous_caller_cannot_choose_its_name(address: str, name: str) -> None:
    assert KeyRing(None).identify([], address).name == name


# The file


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_a_file_that_others_can_touch_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    file = write(tmp_path / "keys.json", stored("a", "wl_a"), mode=mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {file}"):
        KeyRing(file)
    with pytest.raises(ConfigError, match="chmod 600"):
        change_keys(file, lambda keys: keys)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", "object"),
        ('{"schema": 2, "keys": []}', "schema"),
        ('{"schema": 1, "keys": [], "more": 1}', "more"),
        ('{"schema": 1, "keys": [{"name": "a"}]}', "keys.0.sha256"),
        (json.dumps({"schema": 1, "keys": [stored("a", "wl_a", sha256="wl_canary")]}), "sha256"),
        (json.dumps({"schema": 1, "keys": [stored("wl_canary", "x")]}), "keys.0.name"),
        (json.dumps({"schema": 1, "keys": [stored("a", "x", in_flight=0)]}), "in_flight"),
        (json.dumps({"schema": 1, "keys": [stored("a", "x", in_flight="1")]}), "in_flight"),
        (json.dumps({"schema": 1, "keys": [stored("a", "x", expires="2027-01-01T00:00:00")]}), "expires"),
        (json.dumps({"schema": 1, "keys": [stored("a", "x"), stored("a", "y")]}), "same name"),
        (json.dumps({"schema": 1, "keys": [stored("a", "x"), stored("b", "x")]}), "same sha256"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_a_plain_error_that_does_not_quote_it(
    tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(ConfigError) as refused:
        KeyRing(file)
    message = str(refused.value)
    assert message.startswith(f"{file}: ")
    assert said in message
    assert "canary" not in message
    assert "\n" not in message
    assert refused.value.__cause__ is None


def test_a_missing_file_is_a_plain_error_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"whisperlab\.serve\.keys create NAME --file"):
        KeyRing(tmp_path / "keys.json")


def test_keys_are_random_and_long_enough() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert {len(key) for key in keys} == {3 + 43}  # 32 bytes in base64url, unpadded
    assert all(key.startswith("wl_") for key in keys)


def test_a_reader_sees_a_whole_file_while_it_is_written(tmp_path: Path) -> None:
    file = write(tmp_path / "keys.json")
    done = threading.Event()

    def change() -> None:
        for number in range(30):
            add(file, f"k{number}", f"wl_{number}")
        done.set()

    writer = threading.Thread(target=change)
    writer.start()
    counts = []
    while not done.is_set():
        counts.append(len(read_keys(file).keys))
    writer.join()
    assert counts == sorted(counts)
    assert len(read_keys(file).keys) == 30
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_many_writers_lose_no_key(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    writers = [
        subprocess.Popen(
            [*COMMAND, "create", f"k{number}", "--file", str(file)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for number in range(4)
    ]  # fmt: skip
    keys = [writer.communicate(timeout=60)[0].strip() for writer in writers]
    ring = KeyRing(file)
    names = [ring.identify([f"Bearer {key}"], ADDRESS).name for key in keys]
    assert names == [f"k{number}" for number in range(4)]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = write(tmp_path / "keys.json", stored("alice", "wl_alice"))
    before = file.read_bytes()
    # No file may have a byte: a write fails as on a full disk.
    finished = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; ulimit -f 0; exec {sys.executable} -B -m whisperlab.serve.keys create bob --file {file}"],
        capture_output=True, text=True, check=False,
        # coverage would want to write a file of its own
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
    )  # fmt: skip
    assert finished.returncode == 74, finished.stderr
    assert finished.stderr == f"error: {file}: cannot write (File too large)\n"
    assert finished.stdout == ""
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    target = write(tmp_path / "real.json")
    link = tmp_path / "keys.json"
    link.symlink_to(target)
    add(link, "a", "wl_a")
    assert link.is_symlink()
    assert KeyRing(target).identify(["Bearer wl_a"], ADDRESS).name == "a"


# Reading again


def test_reading_again_brings_new_keys_and_forgets_revoked_ones(
    ring: KeyRing, tmp_path: Path
) -> None:
    write(tmp_path / "keys.json", stored("bob", "wl_bob"), stored("carol", "wl_carol"))
    assert ring.identify(["Bearer wl_alice"], ADDRESS).name == "alice"  # not yet
    ring.reload()
    assert refusal(ring, "Bearer wl_alice").code == "invalid_api_key"
    assert ring.identify(["Bearer wl_carol"], ADDRESS).name == "carol"


@pytest.mark.parametrize("fault", ["broken", "missing", "open"])
def test_a_wrong_file_leaves_the_keys_as_they_were_and_is_logged(
    ring: KeyRing, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    file = tmp_path / "keys.json"
    match fault:
        case "broken":
            file.write_text('{"schema": 1, "keys": [')
        case "missing":
            file.unlink()
        case "open":
            file.chmod(0o644)
    ring.reload()
    assert ring.identify(["Bearer wl_alice"], ADDRESS).name == "alice"
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_reading_again_without_a_file_changes_nothing() -> None:
    ring = KeyRing(None)
    ring.reload()
    assert ring.identify([], ADDRESS).anonymous
