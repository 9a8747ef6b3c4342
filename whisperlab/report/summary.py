"""The head of a report: error rates with their uncertainty, coverage, speed, latency.

Owns what stands first and why a number may be undefined. It does not know where the rows are.
"""

from __future__ import annotations

from whisperlab.experiment.result import Latency, Rate, RunResult, Scores
from whisperlab.report import notation
from whisperlab.report.markup import Markup, element, joined
from whisperlab.utterance import State

METRIC_TITLES = {"wer": ("Word error rate", "words"), "cer": ("Character error rate", "characters")}
"""Title and unit of the metrics that most readers know; any other shows its own name."""


def summary(result: RunResult) -> Markup:
    """Returns the summary section."""
    scores = result.scores
    rates = [
        _rate_card(name, rate, scores, "hero" if index == 0 else "")
        for index, (name, rate) in enumerate(primary_first(scores))
    ]
    return element(
        "section",
        element("h2", "Summary"),
        element("div", *rates, _speed_card(scores), _coverage_card(scores), class_="cards"),
        element("div", _latency_card(scores.speed.latency_seconds), class_="cards wide"),
        id="summary",
    )


def primary_first(scores: Scores) -> list[tuple[str, Rate]]:
    """Returns the rates by metric name, WER before the others."""
    return sorted(scores.scores.items(), key=lambda item: item[0] != "wer")


def _card(title: str, value: str, *details: str, kind: str = "") -> Markup:
    return element(
        "div",
        element("h3", title),
        element("p", value, class_="value"),
        *[element("p", detail, class_="detail") for detail in details if detail],
        class_=f"card {kind}".strip(),
    )


def _rate_card(name: str, rate: Rate, scores: Scores, kind: str) -> Markup:
    title, unit = METRIC_TITLES.get(name, (name, "units"))
    if rate.value is None:
        bounds = f"undefined: no scored utterance has reference {unit}"
    elif rate.low is None:
        bounds = f"no interval: it needs two scored utterances with {unit}"
    else:
        bounds = f"95 % interval {notation.interval(rate.low, rate.high)}"
    failed = scores.utterances.failed + scores.utterances.timed_out
    pessimistic = (
        f"{notation.percent(rate.value_failed_as_deleted)} if failed utterances count as deleted"
        if failed
        else ""
    )
    return _card(
        title, notation.percent(rate.value), bounds, _edits(rate, unit), pessimistic, kind=kind
    )


def _edits(rate: Rate, unit: str) -> Markup:
    """Returns the three kinds of error in the marks that the rows use."""
    kinds = (
        ("sub", rate.substitutions, "substitutions"),
        ("ins", rate.insertions, "insertions"),
        ("del", rate.deletions, "deletions"),
    )
    marks = [
        element("span", f"{notation.count(number)} {kind}", class_=f"mark {kind}", title=noun)
        for kind, number, noun in kinds
    ]
    return joined(*marks, f" over {notation.count(rate.reference_words)} {unit}")


def _speed_card(scores: Scores) -> Markup:
    speed = scores.speed
    if speed.rtfx is not None:
        what = f"times real time, batch of {speed.batch_size}"
    elif speed.resumed:
        what = "undefined: the run was resumed, its time was not taken in one piece"
    else:
        what = "undefined: no audio was decoded"
    load = (
        ""
        if speed.load_seconds is None
        else f"model loaded in {notation.seconds(speed.load_seconds)}"
    )
    memory = scores.memory.get("process_peak_rss")
    peak = "" if memory is None else f"process peak {notation.mebibytes(memory)}"
    device = scores.memory.get("device_allocated_peak")
    on_device = "" if device is None else f"device peak {notation.mebibytes(device)}"
    return _card("Speed (RTFx)", notation.factor(speed.rtfx), what, load, peak, on_device)


def _coverage_card(scores: Scores) -> Markup:
    tally = scores.utterances
    if not tally.total:
        return _card("Coverage", notation.DASH, "undefined: the dataset is empty")
    numbers = {state: int(getattr(tally, state.value)) for state in State}
    bar = [
        element("span", class_=f"state-{state.value}", style=f"flex:{number} 0 3px")
        for state, number in numbers.items()
        if number
    ]
    legend = [
        element(
            "span", f"{notation.count(number)} {spoken(state)}", class_=f"badge state-{state.value}"
        )
        for state, number in numbers.items()
        if number
    ]
    return _card(
        "Coverage",
        notation.coverage(tally.scored, tally.total),
        f"{notation.count(tally.scored)} of {notation.plural(tally.total, 'utterance')} scored",
        element("span", *bar, class_="states"),
        joined(*legend),
    )


def spoken(state: State) -> str:
    """Returns the state in words."""
    return state.value.replace("_", " ")


def _latency_card(latency: Latency) -> Markup:
    timed = (
        f"{notation.plural(latency.utterances, 'utterance')} timed one at a time after warm-up"
        if latency.utterances
        else "undefined: no utterance was timed one at a time"
    )
    percentiles = [
        element(
            "div",
            element("span", name, class_="detail"),
            element("span", notation.seconds(value), class_="value"),
            class_="percentile",
        )
        for name, value in (("p50", latency.p50), ("p95", latency.p95), ("p99", latency.p99))
    ]
    return element(
        "div",
        element("div", element("h3", "Latency"), element("p", timed, class_="detail")),
        *percentiles,
        class_="card latency",
    )
