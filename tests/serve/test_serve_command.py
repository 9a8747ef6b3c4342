"""Settings, environment and exposure: every wrong value is named by its key before anything starts."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serve_settings import settings_of

from whisperlab.config.compose import compose
from whisperlab.errors import ConfigError
from whisperlab.serve.command import check_exposure
from whisperlab.serve.configurations import Configuration, Offer, from_run, offered
from whisperlab.serve.environment import environment_overrides, with_environment
from whisperlab.serve.settings import serve_settings


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "::1", "[::1]", "localhost", "asr.example.org", "0.0.0.0", "fe80::1"]
)
def test_addresses_and_names_are_hosts(host: str) -> None:
    assert settings_of(f"host='{host}'").host == host.strip("[]")


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("host='10.0.0.300'", "host"),
        ("host='a b'", "host"),
        ("host='-x'", "host"),
        ("port=65536", "port"),
        ("port=-1", "port"),
        ("port='80'", "port"),
        ("serve.log_level=loud", "serve.log_level"),
        ("serve.cors_origins=['*']", "serve.cors_origins"),
        ("serve.cors_origins=['https://a.org/path']", "serve.cors_origins"),
        ("serve.trusted_hosts=['a/b']", "serve.trusted_hosts"),
        ("serve.trusted_proxies=['10.0.0.0/99']", "serve.trusted_proxies"),
        ("serve.rates.storage=mysql://x", "serve.rates.storage"),
        ("serve.rates.requests_per_minute=0", "serve.rates.requests_per_minute"),
        ("serve.limits.queue_size=0", "serve.limits.queue_size"),
        ("serve.limits.queue_seconds=.nan", "serve.limits.queue_seconds"),
        ("serve.limits.max_file_bytes=1", "serve.limits.max_file_bytes"),
        ("serve.batch.mode=sometimes", "serve.batch.mode"),
        ("serve.batch.window_ms=-1", "serve.batch.window_ms"),
        ("serve.pool.max_loaded=true", "serve.pool.max_loaded"),
        ("serve.presets=default", "serve.presets"),
        ("+serve.beem=1", "serve.beem"),
    ],
)
def test_a_wrong_value_is_named_by_its_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key}\b(?!.*Value error)"):
        settings_of(override)


def test_an_address_of_the_network_needs_keys_or_a_word() -> None:
    with pytest.raises(ConfigError, match=r"serve\.keys_file"):
        check_exposure(settings_of("host=0.0.0.0"))
    check_exposure(settings_of("host=0.0.0.0", "serve.allow_keyless=true"))
    check_exposure(settings_of("host=0.0.0.0", "serve.keys_file=keys.json"))
    check_exposure(settings_of("host=127.3.2.1"))
    check_exposure(settings_of("host=::1"))


def test_environment_variables_are_overrides_that_the_command_line_beats() -> None:
    environment = {
        "WHISPERLAB_SERVE_PORT": "9000",
        "WHISPERLAB_SERVE_LIMITS__QUEUE_SIZE": "16",
        "WHISPERLAB_SERVE_TRUSTED_HOSTS": "[a.org, b.org]",
        "WHISPERLAB_SERVE_KEYS_FILE": "/etc/my keys.json",
        "OTHER": "1",
    }
    written = with_environment(["--config-dir", "x", "port=9001"], environment)
    assert written[:2] == ["--config-dir", "x"]
    assert written[-1] == "port=9001"
    settings = serve_settings(compose("serve", written[2:]))
    assert settings.port == 9001
    assert settings.limits.queue_size == 16
    assert settings.trusted_hosts == ("a.org", "b.org")
    assert settings.keys_file == "/etc/my keys.json"


def test_an_unknown_variable_is_an_error_not_a_shrug() -> None:
    with pytest.raises(ConfigError, match="beem"):
        compose("serve", environment_overrides({"WHISPERLAB_SERVE_BEEM": "1"}))


def offer_of(*overrides: str, config_dir: Path | None = None) -> Offer:
    config = compose("serve", overrides)
    return offered(config, serve_settings(config), "default", config_dir)


def test_presets_are_offered_once_each_the_composed_one_first() -> None:
    offer = offer_of("serve.presets=[baseline,default]")
    assert [one.name for one in offer] == ["default", "baseline"]
    assert offer.find("whisper-1") is offer.default


@pytest.mark.parametrize("module", ["whisperlab.serve", "whisperlab.app"])
def test_a_preset_of_ones_own_folder_is_offered(tmp_path: Path, module: str) -> None:
    (tmp_path / "preset").mkdir()
    (tmp_path / "preset" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /engine: replay\nengine:\n  default_text: own words\n"
    )
    offer = offer_of("serve.presets=[mine]", config_dir=tmp_path)
    assert [one.config["engine"].get("default_text") for one in offer] == [None, "own words"]
    command = [sys.executable, "-m", module, "--config-dir", str(tmp_path), "serve.presets=[mine]", "host=0.0.0.0"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "serve.keys_file" in done.stderr  # what is asked once everything offered is known


def test_aliases_point_at_what_is_offered() -> None:
    offer = offer_of("serve.presets=[baseline]", "+serve.aliases.old=baseline")
    found = offer.find("old")
    assert found is not None
    assert found.name == "baseline"
    with pytest.raises(ConfigError, match=r"serve\.aliases\.old"):
        offer_of("+serve.aliases.old=nothing")


def test_a_folder_without_a_finished_run_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no finished run"):
        from_run(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["host=0.0.0.0"], 2, "serve.keys_file"),
        (["port=70000"], 2, "port"),
        (["engine=replay", "engine.path=/nowhere.jsonl", "port=0"], 5, "expected a recording"),
        (["serve.presets=[nothing]"], 2, "nothing"),
    ],
)
def test_a_server_that_cannot_start_says_why_in_one_line(
    arguments: list[str], code: int, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "whisperlab.serve", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    complaints = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == code, done.stderr
    assert len(complaints) == 1
    assert said in complaints[0]
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_said_before_a_model_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, started(taken.getsockname()[1]) as server:
        _, said = server.communicate(timeout=60)
    assert server.returncode == 2
    assert said.startswith("error: cannot listen on 127.0.0.1:")
    assert len(said.splitlines()) == 1  # nothing was begun that had to be stopped


def test_a_stop_signal_while_the_model_loads_is_a_good_end() -> None:
    with started(0) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith("listening"):
                break
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=60)
    assert server.returncode == 0, said
    assert "error" not in said


@contextmanager
def started(port: int) -> Iterator[subprocess.Popen[str]]:
    server = subprocess.Popen(
        [sys.executable, "-m", "whisperlab.serve", f"port={port}", "engine=replay"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield server
    finally:
        if server.poll() is None:
            server.kill()
            server.communicate()


def test_a_device_that_was_chosen_is_the_one_in_the_hash_whatever_others_run_on() -> None:
    config = compose("transcriber", ["device=cpu"])
    chosen = Configuration("chosen", config)
    automatic = Configuration("automatic", {**config, "device": {"kind": "auto"}})
    assert chosen.hash("cuda") == chosen.hash("cpu") == automatic.hash("cpu")
    assert automatic.hash("cuda") != automatic.hash("cpu")


def test_a_run_from_another_device_is_recognised_by_its_hash() -> None:
    config = compose("transcriber", [])
    hash_on_gpu = Configuration("x", config).hash("cuda")
    measured = Configuration("x", config, measured_hash=hash_on_gpu)
    measured.check_measured("cuda")
    with pytest.raises(ConfigError, match="serve it where it was measured"):
        measured.check_measured("cpu")
