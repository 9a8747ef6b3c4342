"""Running a document as its reader would: files written, lines typed, servers started, in one folder.

A ``sh`` block is run line by line, a ``python`` block in the document's one namespace; a block with
``title="PATH"`` is written as a file. A server's line starts it in the background, and its address
in later blocks is the free port that it got. Left out is a line whose comment says ``needs``
(``# needs the network``), and nothing else.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from serve_process import running_server

CHECKOUT = Path(__file__).parents[1]
FENCE = re.compile(
    r'^```(?P<language>\w+)?(?: title="(?P<title>[^"]+)")?[^\n]*\n(?P<content>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
NEEDS = re.compile(r"#.*\bneeds\b")
SERVER = re.compile(r"python -m (whisperlab\.(?:serve|app))(?: (?P<overrides>.*))?$")
ADDRESSES = {
    "whisperlab.serve": "http://127.0.0.1:8000",
    "whisperlab.app": "http://127.0.0.1:7860",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that it is (if it is one), its text and first line."""

    language: str
    title: str | None
    content: str
    line: int


def blocks(document: Path) -> list[Block]:
    """Returns the fenced blocks of a document in their order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(
            found["language"] or "",
            found["title"],
            found["content"],
            text.count("\n", 0, found.start()) + 1,
        )
        for found in FENCE.finditer(text)
    ]


def lines(content: str) -> Iterator[str]:
    """Yields the commands of a shell block, continued lines joined."""
    for line in content.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line


def typed(line: str) -> str:
    """Returns a line without the comment behind it."""
    return re.split(r"\s{2,}#|\s#\s", line)[0].strip()


def run(document: Path, folder: Path) -> list[str]:
    """Runs a document in ``folder``; returns the lines that were typed.

    Raises:
        AssertionError: a line or a block failed; says which, and what it printed.
    """
    done: list[str] = []
    addresses: dict[str, str] = {}
    python: list[str] = []
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(CHECKOUT),
        "MPLBACKEND": "agg",
    }
    with ExitStack() as servers:
        for block in blocks(document):
            where = f"{document.name}:{block.line}"
            content = block.content
            for written, listening in addresses.items():
                content = content.replace(written, listening)
            if block.title is not None:
                path = folder / block.title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
            elif block.language == "python" and not NEEDS.search(content.partition("\n")[0]):
                python.append(content)
                _check([sys.executable, "-c", "\n".join(python)], folder, environment, where)
                python = [_without_effects(part) for part in python]
                done.append(content)
            elif block.language == "sh":
                for line in lines(content):
                    if NEEDS.search(line):
                        continue
                    server = SERVER.match(typed(line))
                    if server is not None:
                        overrides = [
                            word
                            for word in shlex.split(server["overrides"] or "")
                            if not word.startswith("port=")
                        ]
                        started = servers.enter_context(
                            running_server(folder, *overrides, module=server[1])
                        )
                        addresses[ADDRESSES[server[1]]] = started.base_url
                    elif line.startswith("export "):
                        name, _, value = typed(line).removeprefix("export ").partition("=")
                        environment[name] = value
                    else:
                        _check(["bash", "-c", line], folder, environment, where)
                    done.append(typed(line))
    return done


def _without_effects(content: str) -> str:
    """Returns the imports of a block, which later blocks may use."""
    kept = [line for line in content.splitlines() if re.match(r"(import|from) ", line)]
    return "\n".join(kept)


def _check(command: list[str], folder: Path, environment: dict[str, str], where: str) -> None:
    finished = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    said = f"{where}: {command[-1]}\n{finished.stdout}\n{finished.stderr}"
    assert finished.returncode == 0, said
