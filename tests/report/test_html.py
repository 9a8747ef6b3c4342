from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from html_page import HOSTILE, Page
from hypothesis import given
from hypothesis import strategies as st

from whisperlab.errors import WriteError
from whisperlab.experiment.result import Latency, Rate, RunResult, SliceScore, Tally
from whisperlab.metric.alignment import Edit
from whisperlab.report.html import page, write_report
from whisperlab.report.markup import element
from whisperlab.report.rows import embedded
from whisperlab.utterance import Failure, Outcome, State

Alignments = Mapping[str, tuple[Edit, ...]]


def rate(value: float | None, low: float | None, high: float | None) -> Rate:
    return Rate(value, low, high, 1, 2, 3, 1234, 1233, value)


def test_the_summary_shows_every_score_with_its_uncertainty(
    result: RunResult, alignments: Alignments
) -> None:
    text = Page(page(result, alignments)).text["summary"]
    for shown in (
        "Word error rate|40.00 %|95 % interval 0.00 – 66.67 %|1 sub|1 ins|0 del| over 5 words|",
        "57.14 % if failed utterances count as deleted",
        "Character error rate|25.00 %|95 % interval 10.00 – 40.00 %",
        "6.86×|times real time, batch of 4|model loaded in 1.50 s|process peak 512 MiB|",
        "Coverage|75.0 %|3 of 4 utterances scored|2 ok|1 empty|1 failed|invalid_audio: 1|",
        "3 utterances timed one at a time after warm-up|p50|250 ms|p95|475 ms|p99|495 ms|",
    ):
        assert shown in text


def test_what_is_undefined_is_a_dash_with_its_reason_and_never_zero(
    result: RunResult, alignments: Alignments
) -> None:
    scores = replace(
        result.scores,
        scores={
            "wer": Rate(None, None, None, 0, 2, 0, 0, 2, None),
            "cer": Rate(0.5, None, None, 1, 0, 0, 2, 2, 0.5),
        },
        speed=replace(
            result.scores.speed,
            rtfx=None,
            resumed=True,
            load_seconds=None,
            latency_seconds=Latency(None, None, None, 0),
        ),
        memory={},
    )
    text = Page(page(replace(result, scores=scores), alignments)).text["summary"]
    for shown in (
        "Word error rate|–|undefined: no scored utterance has reference words|",
        "Character error rate|50.00 %|no interval: it needs 4 scored utterances",
        "Speed (RTFx)|–|undefined: the run was resumed, its time was not taken in one piece|",
        "undefined: no utterance was timed one at a time|p50|–|p95|–|p99|–|",
    ):
        assert shown in text
    assert re.search(r"(?<!\d)0\.00 %", text) is None


def test_an_empty_run_has_a_page(result: RunResult) -> None:
    scores = replace(
        result.scores,
        utterances=Tally(0, 0, 0, 0, 0, 0),
        scores={"wer": Rate(None, None, None, 0, 0, 0, 0, 0, None)},
        speed=replace(result.scores.speed, rtfx=None, stages={}),
    )
    shown = Page(page(replace(result, scores=scores, outcomes=()), {}))
    assert "Coverage|–|undefined: the dataset is empty|" in shown.text["summary"]
    assert "undefined: no audio was decoded" in shown.text["summary"]
    assert "No utterance has recorded times." in shown.text["time"]
    assert shown.rows == []


def test_a_run_that_decoded_nothing_says_so(result: RunResult, alignments: Alignments) -> None:
    unheard = tuple(replace(outcome, audio_seconds=None) for outcome in result.outcomes)
    source = page(replace(result, outcomes=unheard), alignments)
    assert "no audio decoded · scored under" in source


def test_the_run_card_traces_the_number(result: RunResult, alignments: Alignments) -> None:
    text = Page(page(result, alignments)).text["card"]
    for shown in (
        "python -m whisperlab.eval model=tiny.en 'preprocess=[trim,loudness]'",
        "configuration|0123456789abcdef|",
        "fingerprint|feedfacefeedface|",
        "scoring profile|basic |ba51c|",
        "code|c0ffee with uncommitted changes|",
        "model|tiny.en|model source|openai/whisper-tiny.en|model revision|87c7102|model licence|Apache-2.0|",
        "engine|hf, length_sort false|device|kind cpu|",
        "quantization|none|",
        "language|en|task|transcribe|timestamps|segment|beam_size|1|",
        "name|demo|sha256|d1ce|limit|–|seed|3|",
        "processor|Xeon|memory|2,048 MiB|gpus|none|torch_threads|–|",
        "torch|2.13.0|",
        "2026-11-23T10:00:00+00:00 to 2026-11-23T10:05:00+00:00, finished|",
    ):
        assert shown in text


def test_the_title_names_what_was_measured_on_what(
    result: RunResult, alignments: Alignments
) -> None:
    head = Page(page(result, alignments)).text["head"]
    assert head.strip().startswith("|tiny.en on demo · whisperlab|")
    card = replace(
        result.card,
        config={**result.card.config, "dataset": {"path": "../data/english_dev/manifest.jsonl"}},
        dataset={"source": "manifest"},
    )
    text = Page(page(replace(result, card=card), alignments)).text
    assert text["head"].strip().startswith("|tiny.en on english_dev/manifest.jsonl · whisperlab|")
    assert "path|../data/english_dev/manifest.jsonl|source|manifest|" in text["card"]


def test_a_run_without_a_configuration_is_titled_by_its_dataset(
    result: RunResult, alignments: Alignments
) -> None:
    card = replace(result.card, config={}, model={}, dataset={"name": "mine"})
    text = Page(page(replace(result, card=card), alignments)).text
    assert text["head"].strip().startswith("|mine · whisperlab|")


def test_preprocessing_stands_in_the_order_of_execution(
    result: RunResult, alignments: Alignments
) -> None:
    chain = "trim| |threshold_db 40.0|loudness| |method lufs, target_db -23.0|"
    assert chain in Page(page(result, alignments)).text["card"]
    steps = dict(reversed(list(result.card.config["preprocess"].items())))
    turned = replace(result.card, config={**result.card.config, "preprocess": steps})
    text = Page(page(replace(result, card=turned), alignments)).text["card"]
    assert "loudness| |method lufs, target_db -23.0|trim| |threshold_db 40.0|" in text


def test_slices_stand_worst_first_with_their_counts(
    result: RunResult, alignments: Alignments
) -> None:
    scores = [
        SliceScore("accent", "calm", 7, rate(0.1, 0.05, 0.2)),
        SliceScore("accent", "silent", 1, Rate(None, None, None, 0, 0, 0, 0, 0, None)),
        SliceScore("accent", "broad", 9, rate(0.3, None, None)),
    ]
    text = Page(page(result, alignments, scores)).text["slices"]
    broad = "broad|30.00 %|–|9|1,234|1|2|3|"
    calm = "calm|10.00 %|5.00 – 20.00 %|7|1,234|1|2|3|"
    silent = "silent|–|–|1|0|0|0|0|"
    assert text.index(broad) < text.index(calm) < text.index(silent)


def test_without_slices_there_is_no_empty_section(
    result: RunResult, alignments: Alignments
) -> None:
    shown = Page(page(result, alignments))
    assert "slices" not in shown.text
    links = [attributes["href"] for tag, attributes in shown.elements if tag == "a"]
    assert links == ["#summary", "#time", "#utterances", "#card"]


def test_rows_carry_the_alignment_and_failures_carry_their_reason(
    result: RunResult, alignments: Alignments
) -> None:
    cat, morning, failed, silent = Page(page(result, alignments)).rows
    assert cat["edits"] == [["the", "a"], "cat sat", ["", "down"]]
    assert (cat["errors"], cat["words"], cat["audio"], cat["total"]) == (2, 3, 2.0, 0.5)
    assert morning["edits"] == ["good morning"]
    assert (failed["errors"], failed["words"], failed["edits"]) == (None, None, None)
    assert failed["error"] == ["invalid_audio", "expected a RIFF header, got 4 zero bytes"]
    assert (silent["errors"], silent["words"], silent["edits"]) == (0, 0, [])


def test_nothing_in_the_page_can_be_loaded_from_elsewhere(
    result: RunResult, alignments: Alignments
) -> None:
    shown = Page(page(result, alignments))
    policies = [
        attributes["content"]
        for tag, attributes in shown.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == [
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "img-src data:; media-src file: data:"
    ]
    assert {tag for tag, _ in shown.elements}.isdisjoint(
        {"link", "iframe", "img", "object", "base"}
    )
    for _, attributes in shown.elements:
        assert attributes.get("src") is None
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")


def hostile_run(result: RunResult) -> RunResult:
    outcome = Outcome(
        f"id {HOSTILE}",
        State.OK,
        f"reference {HOSTILE}",
        f"text {HOSTILE}",
        audio_seconds=1.0,
        timings={"total": 1.0, f"stage $x$ {HOSTILE}": 1.0},
        slices={f"column {HOSTILE}": f"value {HOSTILE}"},
        error=Failure(HOSTILE, HOSTILE),
    )
    card = replace(
        result.card,
        command=HOSTILE,
        config={HOSTILE: HOSTILE, "preprocess": {HOSTILE: {HOSTILE: HOSTILE}}},
        dataset={"name": HOSTILE, HOSTILE: HOSTILE},
        git={"commit": HOSTILE, "dirty": True},
        versions={HOSTILE: HOSTILE},
        model={"name": HOSTILE, HOSTILE: HOSTILE},
        hardware={HOSTILE: HOSTILE},
        attempts=({"started": HOSTILE, "ended": HOSTILE, "end_reason": HOSTILE},),
        configuration_hash=HOSTILE,
        fingerprint=HOSTILE,
    )
    scores = replace(
        result.scores,
        scores={**result.scores.scores, HOSTILE: rate(0.1, 0.0, 0.2)},
        profile={"name": HOSTILE, "hash": HOSTILE},
        speed=replace(result.scores.speed, stages={HOSTILE: 1.0}),
    )
    return replace(result, outcomes=(outcome,), card=card, scores=scores)


def test_hostile_text_in_every_field_adds_no_element(
    result: RunResult, alignments: Alignments
) -> None:
    words = HOSTILE.split()
    edits = (Edit("substitution", words[0], words[1]), Edit("equal", words[0], words[0]))
    slices = [SliceScore(HOSTILE, HOSTILE, 1, rate(0.1, 0.0, 0.2))]
    shown = Page(page(hostile_run(result), {f"id {HOSTILE}": edits}, slices))
    assert "img" not in {tag for tag, _ in shown.elements}
    assert len(shown.scripts) == 3  # the data, what both pages share, and the page's own
    assert not any(name.startswith("on") for _, attributes in shown.elements for name in attributes)
    (row,) = shown.rows
    assert row["id"] == f"id {HOSTILE}"
    assert row["edits"] == [[words[0], words[1]], words[0]]
    # shown to the letter, not dropped
    assert all(
        HOSTILE in shown.text[part] for part in ("head", "summary", "slices", "time", "card")
    )


@given(text=st.text() | st.text(alphabet="</script!->&"))
def test_rows_survive_the_script_element_to_the_letter(text: str) -> None:
    outcome, edits = Outcome(text, State.OK, text, text), (Edit("equal", text, text),)
    written = embedded([outcome], {text: edits}, {text: [text]})
    assert "<" not in written
    (row,) = json.loads(written)["rows"]
    assert row["failures"] == [text]
    assert (row["id"], row["reference"], row["text"], row["edits"]) == (text, text, text, [text])


@given(text=st.text().filter(lambda text: "\r" not in text and "\0" not in text))
def test_escaped_text_reads_back_to_the_letter(text: str) -> None:
    parsed = Page(element("section", element("p", text, title=text), id="s"))
    assert parsed.text.get("s", "").replace("|", "") == text.replace("|", "")
    assert parsed.elements[1] == ("p", {"title": text})


def test_a_damaged_character_does_not_stop_the_report(result: RunResult) -> None:
    outcome = Outcome("a", State.OK, "said \ud800", "heard", slices={"\udfff": "\ud800"})
    written = write_report(
        replace(result, outcomes=(outcome,)),
        {},
        [SliceScore("\udfff", "\ud800", 1, rate(0.1, None, None))],
    )
    assert "?" in Page(written.read_text("utf-8")).text["slices"]


def test_the_report_is_written_into_the_run_folder_alone(
    result: RunResult, alignments: Alignments
) -> None:
    assert write_report(result, alignments) == result.folder / "report.html"
    assert [path.name for path in result.folder.iterdir()] == ["report.html"]


def test_the_same_run_gives_the_same_bytes(result: RunResult, alignments: Alignments) -> None:
    assert page(result, alignments) == page(result, alignments)


def test_a_folder_that_cannot_be_written_is_named(
    result: RunResult, alignments: Alignments, tmp_path: Path
) -> None:
    missing = replace(result, folder=tmp_path / "gone")
    with pytest.raises(WriteError, match=re.escape(str(missing.folder))) as caught:
        write_report(missing, alignments)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == os.EX_IOERR
