"""The page of whisperlab.app: its weight, how soon it can be used, its memory after 200 transcriptions.

    python benchmarks/page.py            # needs Chromium and playwright
    python benchmarks/page.py --count 50

Starts a page of the embedded checkpoint on a free loopback port and ends it. Weight is what a browser with an
empty cache is sent (compressed); the page can be used when the button of its first tab can be pressed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from gradio_client import Client, handle_file

CLIP = Path(__file__).parents[1] / "whisperlab" / "dataset" / "demo" / "digits-02.flac"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)
LOADS = 5
STEPS = 4
SETTLE_MS = 3_000
"""Files that come behind the first view; an open page is never without a connection."""

MIB = 2**20

WEIGHT = """() => {
  const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
  return [all.length, all.reduce((sum, one) => sum + one.transferSize, 0),
          all.reduce((sum, one) => sum + one.decodedBodySize, 0)];
}"""


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Starts a page; yields its address and its process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "whisperlab.app", "port=0", "serve.log_level=warning", f"app.runs_dir={folder / 'runs'}"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = next(line for line in process.stdout if line.startswith("listening on ")).split()[
            -1
        ]
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def load_page(driver: Any, address: str) -> tuple[float, list[int]]:
    """Returns the seconds until the page can be used, and its weight, in a browser of its own."""
    browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS.split())
    view = browser.new_page()
    view.set_default_timeout(120_000)
    view.goto(address)
    view.get_by_role("button", name="Transcribe", exact=True).click(trial=True)
    seconds = view.evaluate("performance.now()") / 1000
    view.wait_for_timeout(SETTLE_MS)
    weight = view.evaluate(WEIGHT)
    browser.close()
    return seconds, weight


def memory(process: psutil.Process) -> tuple[float, float]:
    """Returns the resident MiB of the server, and of it with its workers."""
    own = process.memory_info().rss / MIB
    return own, own + sum(one.memory_info().rss for one in process.children(recursive=True)) / MIB


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints two Markdown tables."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--count", type=int, default=200, help="transcriptions")
    count = parser.parse_args(arguments).count
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (address, process):
        client = Client(address, verbose=False)
        client.predict(handle_file(CLIP), "default", api_name="/transcribe")  # the model is loaded
        with sync_playwright() as driver:
            loads = [load_page(driver, address) for _ in range(LOADS)]
        requests, sent, decoded = loads[0][1]
        seconds = [one[0] for one in loads]
        print("| requests | sent MB | unpacked MB | usable after s: median | worst |")
        print("|---|---|---|---|---|")
        print(
            f"| {requests} | {sent / 1e6:.2f} | {decoded / 1e6:.2f} | {statistics.median(seconds):.2f} | {max(seconds):.2f} |"
        )
        print()
        print("| transcriptions | server MiB | with workers MiB |")
        print("|---|---|---|")
        for done in range(0, count + 1, count // STEPS):
            own, whole = memory(process)
            print(f"| {done} | {own:.1f} | {whole:.1f} |")
            for _ in range(count // STEPS if done < count else 0):
                client.predict(handle_file(CLIP), "default", api_name="/transcribe")
    print(f"<!-- load {os.getloadavg()[0]:.1f} -->", file=sys.stderr)


if __name__ == "__main__":
    main()
