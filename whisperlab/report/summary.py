"""The head of a report: error rates with their uncertainty, coverage, speed, latency.

Owns what stands first and why a number may be undefined. It does not know where the rows are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from whisperlab.experiment.result import Latency, Percentiles, Rate, RunResult, Scores, Speed
from whisperlab.metric.bootstrap import FEWEST_UNITS
from whisperlab.report import notation
from whisperlab.report.markup import Markup, element, joined
from whisperlab.utterance import Outcome, State

METRIC_TITLES = {"wer": ("Word error rate", "words"), "cer": ("Character error rate", "characters")}
"""Title and unit of the metrics that most readers know; any other shows its own name."""


MEMORY_TITLES = {
    "process_peak_rss": "process peak",
    "device_allocated_peak": "device tensors' peak",
    "device_reserved_peak": "device allocator's peak",
    "device_in_use": "device in use by all",
}


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
        element("div", *rates, _speed_card(scores), _coverage_card(result), class_="cards"),
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


def no_interval(unit: str) -> str:
    """Returns why a rate that is known has no interval."""
    return f"no interval: it needs {FEWEST_UNITS} scored utterances with {unit}"


def _rate_card(name: str, rate: Rate, scores: Scores, kind: str) -> Markup:
    title, unit = METRIC_TITLES.get(name, (name, "units"))
    if rate.value is None:
        bounds = f"undefined: no scored utterance has reference {unit}"
    elif rate.low is None:
        bounds = no_interval(unit)
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
    what = (
        f"undefined: {why_no_rtfx(speed)}"
        if speed.rtfx is None
        else f"times real time, batch of {speed.batch_size}"
    )
    load = (
        ""
        if speed.load_seconds is None
        else f"model loaded in {notation.seconds(speed.load_seconds)}"
    )
    return _card("Speed (RTFx)", notation.factor(speed.rtfx), what, load, *_costs(scores))


def why_no_rtfx(speed: Speed) -> str:
    """Returns why a run has no RTFx, and what one worker's is where several shared the work."""
    if speed.shards is not None:
        shards = notation.plural(speed.shards, "shard")
        each = (
            "one of them has no time of its own"
            if speed.rtfx_of_shards is None
            else f"one worker alone {notation.factor(speed.rtfx_of_shards)}, "
            "audio / the sum of the shards' seconds"
        )
        return f"merged from {shards}, whose times may overlap; {each}"
    if speed.resumed:
        return "the run was resumed, its time was not taken in one piece"
    return "no audio was decoded"


def _costs(scores: Scores) -> list[str]:
    """Returns the cold part, seconds by token, memory by name and energy, those that are known."""
    speed = scores.speed
    costs = []
    if speed.first_batch_seconds is not None:
        warm = "" if speed.rtfx_warm is None else f", {notation.factor(speed.rtfx_warm)} without it"
        costs.append(f"first batch {notation.seconds(speed.first_batch_seconds)}{warm}")
    if speed.decode_seconds_per_token is not None:
        costs.append(
            f"decoder {notation.seconds(speed.decode_seconds_per_token)} a token, "
            f"{notation.count(speed.tokens or 0)} tokens"
        )
    costs += [
        f"{title} {notation.mebibytes(size)}"
        for name, title in MEMORY_TITLES.items()
        if (size := scores.memory.get(name)) is not None
    ]
    if scores.energy is not None and scores.energy.joules is not None:
        each = scores.energy.joules_per_audio_second
        rate = "" if each is None else f", {each:.2f} J a second of audio"
        costs.append(f"GPU board {scores.energy.joules:,.0f} J{rate}")
    return costs


def lost_by_code(outcomes: Sequence[Outcome]) -> list[tuple[str, list[Outcome]]]:
    """Returns the utterances that ended in an error by its code, the most frequent code first."""
    by_code: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.error is not None:
            by_code[outcome.error.code].append(outcome)
    return sorted(by_code.items(), key=lambda item: -len(item[1]))


def _coverage_card(result: RunResult) -> Markup:
    tally = result.scores.utterances
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
        *[f"{code}: {notation.count(len(lost))}" for code, lost in lost_by_code(result.outcomes)],
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
    details = [element("p", line, class_="detail") for line in (timed, *latency_details(latency))]
    return element(
        "div",
        element("div", element("h3", "Latency"), *details),
        *percentiles,
        class_="card latency",
    )


def latency_details(latency: Latency) -> list[str]:
    """Returns the lines beside the percentiles: by duration, first token, token, warm-up."""
    lines = []
    for bucket in latency.buckets if len(latency.buckets) > 1 else ():
        up_to = (
            f"{bucket.above:g} to {bucket.up_to:g} s"
            if bucket.up_to
            else f"over {bucket.above:g} s"
        )
        lines.append(f"{up_to} of audio: {_three(bucket.seconds)}")
    if latency.first_token is not None:
        lines.append(f"to the first token: {_three(latency.first_token)}")
    if latency.seconds_per_token is not None:
        lines.append(f"{notation.seconds(latency.seconds_per_token)} a token, everything included")
    if latency.warm_up_seconds is not None:
        lines.append(f"warm-up call {notation.seconds(latency.warm_up_seconds)}, not counted")
    return lines


def _three(seconds: Percentiles) -> str:
    shown = " / ".join(notation.seconds(p) for p in (seconds.p50, seconds.p95, seconds.p99))
    return f"p50 / p95 / p99 {shown} of {notation.plural(seconds.utterances, 'utterance')}"
