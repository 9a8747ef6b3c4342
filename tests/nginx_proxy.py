"""A real nginx for tests: docs/deploy/nginx.conf on a free port, without TLS and without what only root may do."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from decoder_processes import until

CONF = Path(__file__).parents[1] / "docs" / "deploy" / "nginx.conf"
INSTALL = "needs nginx (apt-get install nginx-light)"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def local_conf(folder: Path, port: int) -> str:
    text = CONF.read_text(encoding="utf-8")
    text = re.sub(r"listen 443 ssl http2;", f"listen 127.0.0.1:{port};", text)
    text = re.sub(r"^ *ssl_.*\n", "", text, flags=re.MULTILINE)
    text = text.replace("/var/log/nginx", str(folder))
    folders = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {\n", f"http {{\n{folders}", 1)
    return f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n{text}"


def served_by(text: str, *ports: int) -> str:
    """The configuration with one server a port behind it."""
    lines = "\n        ".join(f"server 127.0.0.1:{port};" for port in ports)
    assert "server 127.0.0.1:8000;" in text
    return text.replace("server 127.0.0.1:8000;", lines)


@contextmanager
def nginx(folder: Path, changed: Callable[[str], str]) -> Iterator[str]:
    """Yields the URL of the proxy that runs the configuration as ``changed`` gives it."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip(INSTALL)
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(changed(local_conf(folder, port)), encoding="utf-8")
    with subprocess.Popen([program, "-c", str(conf), "-p", str(folder)]) as proxy:
        try:
            until(lambda: listens(port))
            yield f"http://127.0.0.1:{port}"
        finally:
            proxy.terminate()
