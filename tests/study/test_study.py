"""Runs and comparisons in a notebook: the same numbers as the commands', shown, tabulated, plotted."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from compared_runs import folder, outcome, runs, wrong
from IPython.core.formatters import DisplayFormatter
from rich.console import Console
from rich.table import Table
from rich.text import Text

import whisperlab
from whisperlab.errors import ConfigError
from whisperlab.study import Run, compare, evaluate, open_run
from whisperlab.study.run import FRAME_COLUMNS
from whisperlab.study.shown import shown
from whisperlab.transcript import Segment, Transcript


class Cells(HTMLParser):
    """The text of a table's cells, row by row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        self.inside = tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return evaluate(
        "dataset=demo_digits", "dataset.subset=4", "latency_utterances=0", "resamples=200",
        run_dir=tmp_path_factory.mktemp("study") / "run",
    )  # fmt: skip


def test_evaluate_leaves_the_run_folder_of_the_command(measured: Run) -> None:
    assert measured.report.is_file()
    reopened = open_run(measured.folder)
    assert reopened.scores == measured.scores
    assert "dataset.subset=4" in measured.card.command
    assert f"run_dir={measured.folder}" in measured.card.command


def test_evaluating_again_into_the_same_folder_measures_nothing_anew(measured: Run) -> None:
    ledger = measured.folder / "ledger.jsonl"
    before = ledger.stat().st_mtime_ns
    again = evaluate(
        "dataset=demo_digits", "dataset.subset=4", "latency_utterances=0", "resamples=200",
        run_dir=measured.folder,
    )  # fmt: skip
    assert ledger.stat().st_mtime_ns == before
    assert again.scores == measured.scores


def test_the_frame_has_every_utterance_and_its_errors_sum_to_the_score(measured: Run) -> None:
    frame = measured.to_pandas()
    rate = measured.scores.scores["wer"]
    assert sorted(frame["id"]) == sorted(item.id for item in measured.outcomes)
    assert frame["errors"].sum() == rate.substitutions + rate.insertions + rate.deletions
    assert frame["words"].sum() == rate.reference_words
    assert list(frame["errors"]) == sorted(frame["errors"], reverse=True)


def test_a_failed_utterance_has_no_number_of_errors(tmp_path: Path) -> None:
    made = folder(tmp_path / "a", [outcome("x", wrong(2)), outcome("y", None)])
    frame = open_run(made).to_pandas().set_index("id")
    assert frame.loc["x", "errors"] == 2
    assert frame["errors"].isna()["y"]
    assert frame.loc["y", "error"] == "invalid_audio"


def test_a_run_without_utterances_is_an_empty_frame(tmp_path: Path) -> None:
    frame = open_run(folder(tmp_path / "a", [])).to_pandas()
    assert (len(frame), list(frame.columns)) == (0, list(FRAME_COLUMNS))


def test_a_slice_does_not_take_the_place_of_a_column(tmp_path: Path) -> None:
    made = folder(
        tmp_path / "a",
        [replace(outcome("x", wrong(2)), slices={"state": "Ohio", "errors": "none"})],
    )
    row = open_run(made).to_pandas().iloc[0]
    assert (row["state"], row["errors"]) == ("ok", 2)
    assert (row["slice_state"], row["slice_errors"]) == ("Ohio", "none")


@pytest.mark.parametrize("override", ["mode=robustness", "executor=local"])
def test_evaluate_refuses_what_it_would_not_do(override: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"python -m whisperlab\.eval"):
        evaluate("engine=replay", "dataset.subset=4", override, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_cell_shows_the_tables_numbers(measured: Run) -> None:
    rows = {row[0]: row[1] for row in Cells(measured._repr_html_()).rows if row[0]}
    rate = measured.scores.scores["wer"]
    assert rate.value is not None
    assert rows["WER"].startswith(f"{100 * rate.value:.2f} %")
    assert "95 % interval" in rows["WER"]


def test_a_plot_names_each_value_of_the_column(tmp_path: Path) -> None:
    said = [
        outcome(f"{speaker}-{number}", wrong(number), speaker=speaker)
        for speaker in ("anna", "bert")
        for number in range(3)
    ]
    figure = open_run(folder(tmp_path / "a", said)).plot("speaker")
    offered, _ = DisplayFormatter().format(figure)  # type: ignore[no-untyped-call]
    assert offered["image/png"].startswith(b"\x89PNG"), "a cell shows it without pyplot"
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["all", "anna", "bert"]
    with pytest.raises(ValueError, match=r"expected one of the run's slices: speaker"):
        open_run(tmp_path / "a").plot("room")


def test_compare_says_what_the_command_says(tmp_path: Path) -> None:
    same = [outcome(name, wrong(0)) for name in ("u", "v", "w")]
    first = folder(tmp_path / "a", [*same, outcome("x", wrong(3))])
    other = folder(tmp_path / "b", [*same, outcome("x", wrong(1))])
    found = compare(first, open_run(other))
    (difference,) = found.differences
    tested = difference.differences["wer"]
    assert tested is not None
    assert tested.value == pytest.approx(-2 / 40)
    assert (difference.better, difference.same, difference.worse) == (1, 3, 0)
    command = runs("compare", first, other, "--output-dir", tmp_path / "page")
    page = re.sub(r"<[^>]+>", " ", found._repr_html_())
    verdict = next(line for line in command.stdout.splitlines() if "between B and A" in line)
    assert " ".join(verdict.split())[:40] in " ".join(page.split())


def test_the_comparisons_frame_begins_with_what_changed_most(tmp_path: Path) -> None:
    first = folder(tmp_path / "a", [outcome("w", wrong(0)), outcome("x", wrong(3))])
    other = folder(tmp_path / "b", [outcome("w", wrong(0)), outcome("x", wrong(1))])
    frame = compare(first, other).to_pandas()
    assert list(frame["id"]) == ["x", "w"]
    assert list(frame["errors_A"]) == [3, 0]
    assert list(frame["errors_B"]) == [1, 0]


def test_a_comparison_is_drawn_by_the_values_of_a_column(tmp_path: Path) -> None:
    ids = [(f"{speaker}-{n}", speaker) for speaker in ("anna", "bert") for n in range(4)]
    first = folder(tmp_path / "a", [outcome(i, wrong(3), speaker=who) for i, who in ids])
    other = folder(tmp_path / "b", [outcome(i, wrong(1), speaker=who) for i, who in ids])
    labels = compare(first, other).plot("speaker").axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["B − A", "B − A, anna", "B − A, bert"]


def test_one_run_alone_is_refused(tmp_path: Path) -> None:
    made = folder(tmp_path / "a", [outcome("x", wrong(0))])
    with pytest.raises(ConfigError, match="expected 2 to"):
        compare(made)


def test_the_transcriber_of_a_run_is_the_one_that_was_measured(measured: Run) -> None:
    heard = measured.outcomes[0]
    from whisperlab.dataset.demo import FOLDER

    assert measured.transcriber().transcribe(FOLDER / f"{heard.id}.flac").text == heard.text


def test_a_table_in_html_has_the_terminals_cells() -> None:
    table = Table("name", "[b]value[/b]", title="two", caption="below")
    table.add_row("<b>", Text("1 & 2", style="bold"))
    assert Cells(shown(table)).rows == [["name", "value"], ["<b>", "1 & 2"]]
    assert "below" in shown(table)
    assert "<caption" in shown(table)
    console = Console(width=60)
    with console.capture() as captured:
        console.print(table)
    assert "1 & 2" in captured.get()


def test_a_transcript_in_a_cell_escapes_what_was_said() -> None:
    said = Transcript("<i>one</i>", segments=(Segment(0.0, 1.5, " <i>one</i>"),))
    page = said._repr_html_()
    assert "<i>" not in page
    assert Cells(page).rows[1] == ["0.00", "1.50", "<i>one</i>"]
    assert "no speech" in Transcript("")._repr_html_()


def test_the_package_offers_the_room_without_loading_it() -> None:
    assert whisperlab.evaluate is evaluate
    code = "import sys, whisperlab; whisperlab.__all__; print('whisperlab.study' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        getattr(whisperlab, "evalute")  # noqa: B009 - a typing error is what is tested
