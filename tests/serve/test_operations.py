"""docs/operations.md says what the settings and the metrics are."""

from __future__ import annotations

import re
from pathlib import Path

from settings_table import CONF, table

from whisperlab.serve import metrics
from whisperlab.serve.problems import STATUS_OF_CODE

TEXT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def test_the_table_of_settings_is_current() -> None:
    shown = TEXT.partition("<!-- python tests/settings_table.py -->\n")[2].partition("\n<!-- end")[
        0
    ]
    assert shown == table(), "run: python tests/settings_table.py"


def test_the_table_has_every_setting_of_the_file() -> None:
    group = CONF.read_text(encoding="utf-8").partition("\nserve:\n")[2].partition("\nhydra:")[0]
    lines = group.splitlines()
    keys = [line for line in lines if re.match(r" +[\w-]+:", line)]
    groups = {"batch:", "pool:", "rates:", "limits:"}
    alone = [key for key in keys if key.strip() not in groups and "whisper-1" not in key]
    assert len(re.findall(r"^\| `serve\.", table(), re.MULTILINE)) == len(alone)


def test_the_table_of_metrics_has_those_of_the_module() -> None:
    shown = set(re.findall(r"^\| `(whisperlab_\w+)`", TEXT, re.MULTILINE))
    known = set(re.findall(r"^whisperlab_\w+", metrics.__doc__ or "", re.MULTILINE))
    assert shown == known | {"whisperlab_in_engine"}  # two in one row there


def test_codes_that_are_named_exist() -> None:
    named = set(re.findall(r'50[0-9] `(\w+)`|429 `(\w+)`|code="(\w+)"', TEXT))
    assert {code for codes in named for code in codes if code} <= set(STATUS_OF_CODE)
