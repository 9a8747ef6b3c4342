"""The site builds strictly, fetches nothing, and knows every option, command and error code."""

from __future__ import annotations

import argparse
import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import option_page
import pytest
import yaml
from app_browser import PATIENCE_MS, open_browser
from axe_findings import serious

import whisperlab
from whisperlab.__main__ import COMMANDS
from whisperlab.completion.scripts import parsers
from whisperlab.config.compose import CONF_DIR, compose
from whisperlab.config.targets import known_targets, locate
from whisperlab.serve.problems import STATUS_OF_CODE

CHECKOUT = Path(__file__).parents[1]
PACKAGE = CHECKOUT / "whisperlab"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    finished = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=CHECKOUT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return folder


class Assets(HTMLParser):
    """Collects what a page loads and the local pages that it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("script", "img", "iframe", "source", "audio", "video"):
            self.loaded.append(given.get("src", ""))
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loaded.append(given.get("href", ""))
        if tag == "a":
            self.linked.append(given.get("href", ""))


def read(page: Path) -> Assets:
    found = Assets()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    elsewhere = re.compile(r"(https?:)?//")
    assert [(page.name, x) for page in pages for x in read(page).loaded if elsewhere.match(x)] == []
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles
    assert [found for css in styles for found in re.findall(r"url\(['\"]?(?:https?:)?//\S+", css)] == []  # fmt: skip


def test_every_local_link_leads_to_a_file(site: Path) -> None:
    missing = []
    for page in site.rglob("*.html"):
        for link in read(page).linked:
            path = link.partition("#")[0].partition("?")[0]
            if path and not re.match(r"[a-z]+:", path) and not path.startswith("/"):
                target = (page.parent / path).resolve()
                if not target.exists():
                    missing.append((page.name, link))
    assert missing == []


def test_every_fenced_block_became_one(site: Path) -> None:
    pages = [path for path in site.rglob("*.html") if "```" in path.read_text(encoding="utf-8")]
    assert [path.name for path in pages] == []


def test_every_name_that_the_package_offers_is_on_the_python_page(site: Path) -> None:
    text = (site / "python.html").read_text(encoding="utf-8")
    for name in whisperlab.__all__:
        assert re.search(rf'id="whisperlab\.(\w+\.)*{name}"', text), name


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_lies_beside_the_page(
    site: Path, scheme: str
) -> None:
    with open_browser() as browser:
        for name in ("index", "python", "api_reference", "beside_others"):
            page = browser.new_page(color_scheme=scheme, viewport={"width": 400, "height": 1000})
            page.set_default_timeout(PATIENCE_MS)
            page.goto((site / f"{name}.html").as_uri())
            page.locator(".md-search[aria-label]").wait_for(state="attached")
            assert serious(page) == [], name
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0, name
            page.close()


def sections() -> Iterator[option_page.Section]:
    yield from option_page.roots()
    for _, _, found in option_page.groups():
        yield from found


def test_every_component_and_every_choice_is_described(site: Path) -> None:
    text = (site / "options.html").read_text(encoding="utf-8")
    for target in known_targets():
        assert f"{locate(target, 'conf').__name__}</" in text or f": {target.rpartition('.')[2]}" in text  # fmt: skip
    for path in CONF_DIR.glob("*/*.yaml"):
        assert f"{path.parent.name}={path.stem}" in text
    for path in CONF_DIR.glob("*.yaml"):
        assert f"conf/{path.name}" in text


def test_every_option_has_a_type_and_a_default_and_a_unit_where_its_name_says_one() -> None:
    found = [option for section in sections() for option in section.options]
    assert len(found) > 120
    for option in found:
        assert option.kind
        assert option.default
        last = option.key.rpartition("_")[2]
        if last in ("seconds", "hz", "db", "bytes", "ms"):
            assert option.unit, option.key


def leaves(node: object, key: str = "") -> Iterator[str]:
    if isinstance(node, dict) and "_target_" not in node and node:
        for name, value in node.items():
            yield from leaves(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, dict) and node:
        yield from (f"{key}.{name}" for name in node if name != "_target_")
    else:
        yield key


@pytest.mark.parametrize("root", sorted(path.stem for path in CONF_DIR.glob("*.yaml")))
def test_every_key_that_is_composed_is_on_the_page(root: str) -> None:
    config = compose(root, ["preprocess=[trim,denoise,highpass,loudness,preemphasis,telephone]"])
    known = {option.key for section in sections() for option in section.options}
    names = {key.rpartition(".")[0] for key in known}
    missing = [
        key
        for key in leaves(dict(config))
        if key not in known
        and key.rpartition(".")[0] not in known
        and key not in names
        and not key.startswith("space.")  # a space's keys are other groups' options
    ]
    # An empty group (perturb) is a leaf here; its choices are on the page.
    assert [key for key in missing if not (CONF_DIR / key).is_dir()] == []


def test_a_range_on_the_page_is_the_one_that_is_enforced() -> None:
    by_key = {option.key: option for section in sections() for option in section.options}
    assert by_key["preprocess.trim.threshold_db"].kind == "number over 0 to 120"
    assert by_key["preprocess.trim.threshold_db"].unit == "dB"
    assert by_key["preprocess.trim.threshold_db"].default == "`40.0`"
    assert by_key["decode.beam_size"].kind == "whole number from 1 to 64"
    assert not by_key["dataset.max_line_bytes"].listed


def test_every_argument_of_every_command_is_on_its_page(site: Path) -> None:
    text = (site / "commands.html").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"python -m {name}" in text
        if (CONF_DIR / f"{name.rpartition('.')[2]}.yaml").is_file():
            continue
        for parser in parsers(name):
            for action in parser._actions:
                if action.help is argparse.SUPPRESS:
                    continue
                for option in action.option_strings:
                    assert option in text, (name, option)


def test_the_list_of_commands_is_complete() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8"):
            parts = path.relative_to(CHECKOUT).with_suffix("").parts
            found.add(".".join(part for part in parts if part != "__main__"))
    inner = {"whisperlab", "whisperlab.audio.sandbox_child", "whisperlab.executor.torchrun_rank"}
    assert found - inner == set(COMMANDS)


def raised_codes() -> set[str]:
    """Returns every code that the source gives an error, and every class's own."""
    found: set[str] = set(STATUS_OF_CODE)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "code":
                found |= {one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant) and isinstance(one.value, str)}  # fmt: skip
            if isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                named = [target.id for target in targets if isinstance(target, ast.Name)]
                if named == ["default_code"] and isinstance(node.value, ast.Constant):
                    found.add(str(node.value.value))
    return {"http_..." if code == "http_" else code for code in found}


def test_every_error_code_has_an_entry_and_every_entry_a_code() -> None:
    text = (CHECKOUT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    entries = {
        code for line in re.findall(r"^### (.*)$", text, re.MULTILINE) for code in line.split("`")[1::2]
    }  # fmt: skip
    over_http = text.partition("## Over HTTP only")[2].partition("\n## ")[0]
    in_table = {
        code
        for row in re.findall(r"^\| (`[^|]*) \|", over_http, re.MULTILINE)
        for code in row.split("`")[1::2]
    }
    assert len(entries) > 40
    assert not entries & in_table
    assert in_table <= set(STATUS_OF_CODE)
    assert entries | in_table == raised_codes()


def test_every_entry_says_what_to_do() -> None:
    text = (CHECKOUT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    own = text.partition("## Over HTTP only")[0]
    for entry in re.split(r"^### ", own, flags=re.MULTILINE)[1:]:
        assert "**Do:**" in entry, entry.partition("\n")[0]


def test_every_page_of_docs_is_in_the_navigation() -> None:
    navigation = (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    named = set(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE))
    assert {path.name for path in (CHECKOUT / "docs").glob("*.md")} <= named
    assert yaml.safe_load("nav:\n" + navigation)["nav"]
