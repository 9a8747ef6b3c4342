"""The failures of a run: each kind with its share, false text, the worst, calibration, seams, times.

Owns the section and its words. It does not know how a failure is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from whisperlab.experiment.failure_summary import (
    UNITS,
    Failures,
    Finding,
    KindCount,
    SeamErrors,
    WordTimes,
)
from whisperlab.metric.calibration import RiskCoverage
from whisperlab.report import notation
from whisperlab.report.drawing import INK, new_axes, svg
from whisperlab.report.markup import Markup, element, joined, scrolled

LINKED = 3
"""Utterances that a table row names; all of them are marked in the rows below."""

LONGEST_QUOTE = 60
"""Letters of a text that is quoted in a table."""

SIGNAL_INKS = {"avg_logprob": ("#010230", "sub"), "no_speech_prob": ("#010231", "ins")}
"""Placeholder and page colour of each confidence's curve."""

Link = Callable[[str], str]
"""From an utterance's id to the address of its row."""


def failures(found: Failures | None, link: Link) -> Markup:
    """Returns the section; nothing for a run whose failures were not analysed."""
    if found is None:
        return Markup("")
    cards = [
        element(
            "div",
            element("h3", title),
            *[element("p", line, class_="detail") for line in lines],
            class_="card",
        )
        for title, lines in _facts(found)
    ]
    return element(
        "section",
        element("h2", "Failures"),
        scrolled("Failures", _table(found.kinds, link)),
        element("div", *cards, class_="cards spaced"),
        _calibration(found.calibration),
        id="failures",
    )


def failure_lines(found: Failures | None) -> list[str]:
    """Returns the failures in lines for a terminal; kinds of which none was found are left out."""
    if found is None:
        return []
    kinds = [
        f"{kind.kind.value}: {kind.found:,} of {kind.of:,} utterances "
        f"({notation.percent(kind.share)}), worst {kind.worst[0].id}"
        if kind.worst
        else f"{kind.kind.value}: {kind.found:,} of {kind.of:,} utterances"
        for kind in found.kinds
        if kind.found
    ]
    facts = [f"{title}: {lines[0]}" for title, lines in _facts(found)]
    signals = [
        f"calibration of {name}: {_areas(curve)}" for name, curve in found.calibration.items()
    ]
    return [*kinds, *facts, *signals]


def marks(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """Returns the kinds of failure by utterance id."""
    marked: dict[str, list[str]] = {}
    for finding in findings:
        marked.setdefault(finding.id, []).append(finding.kind.value)
    return marked


def _table(kinds: Sequence[KindCount], link: Link) -> Markup:
    head = element(
        "tr",
        *[element("th", name, scope="col") for name in ("failure", "utterances", "share", "worst")],
    )
    return element(
        "table", element("thead", head), element("tbody", *[_row(kind, link) for kind in kinds])
    )


def _row(kind: KindCount, link: Link) -> Markup:
    counted = f"{kind.found:,} of {kind.of:,}" if kind.of else "cannot be known"
    bounds = notation.interval(kind.low, kind.high)
    share = (
        joined(notation.percent(kind.share), element("span", f" {bounds}", class_="detail"))
        if kind.of
        else Markup(notation.DASH)
    )
    return element(
        "tr",
        element("th", kind.kind.value, scope="row"),
        element("td", counted),
        element("td", share),
        element("td", *[_worst(finding, link) for finding in kind.worst[:LINKED]]),
    )


def _worst(finding: Finding, link: Link) -> Markup:
    unit = UNITS[finding.kind]
    quote = finding.detail.strip()
    quote = quote if len(quote) <= LONGEST_QUOTE else f"{quote[:LONGEST_QUOTE]}…"
    return element(
        "p",
        element("a", finding.id, href=link(finding.id)),
        element("span", f" {finding.amount:.3g} {unit}", class_="detail"),
        element("span", f" “{quote}”" if quote else "", class_="detail"),
    )


def _facts(found: Failures) -> list[tuple[str, list[str]]]:
    """Returns title and lines of what is not an utterance's failure but the run's."""
    facts = [
        ("Text where nothing is said", _false_text(found)),
        (f"The worst {100 * found.settings.worst_fraction:g} % of utterances", _worst_share(found)),
        ("Words a second", _speeds(found)),
        ("Errors at seams of long recordings", _seams(found.seams)),
        ("Word times", _word_times(found.word_times)),
    ]
    return [(title, lines) for title, lines in facts if lines]


def _false_text(found: Failures) -> list[str]:
    text = found.false_text
    if text is None:
        return []
    rate = "" if text.words_per_minute is None else f", {text.words_per_minute:.1f} a minute"
    return [
        f"in {text.with_text:,} of {notation.plural(text.utterances, 'speechless utterance')}: "
        f"{notation.plural(text.words, 'word')} in {notation.seconds(text.audio_seconds)}{rate}",
        *[f"“{quote[:LONGEST_QUOTE]}” × {times:,}" for quote, times in text.commonest[:LINKED]],
    ]


def _worst_share(found: Failures) -> list[str]:
    worst = found.worst
    if worst is None or worst.share is None:
        return []
    return [
        f"{notation.plural(worst.utterances, 'utterance')} with {notation.percent(worst.share)} of "
        f"all errors; WER {notation.percent(worst.rate)}, without them "
        f"{notation.percent(worst.rate_without)}"
    ]


def _speeds(found: Failures) -> list[str]:
    speed = found.words_per_second
    if speed is None:
        return []
    return [f"p50 {speed.p50:.2f}, p95 {speed.p95:.2f}, largest {speed.largest:.2f}"]


def _seams(seams: SeamErrors | None) -> list[str]:
    if seams is None:
        return []
    return [
        f"WER {notation.percent(seams.rate_near)} within {seams.seam_seconds:g} s of a seam "
        f"({seams.errors_near:,} of {seams.words_near:,} words), "
        f"{notation.percent(seams.rate_away)} elsewhere",
        f"{notation.plural(seams.seams, 'seam')} in {notation.plural(seams.utterances, 'recording')}",
    ]


def _word_times(times: WordTimes | None) -> list[str]:
    if times is None:
        return []
    return [
        f"{notation.percent(times.in_place)} of {notation.plural(times.words, 'right word')} start "
        f"within {times.collar_seconds:g} s of the truth",
        f"start: p50 {1000 * times.start_p50:.0f} ms, p95 {1000 * times.start_p95:.0f} ms, median "
        f"{1000 * times.start_bias:+.0f} ms (positive is late)",
        f"end: p50 {1000 * times.end_p50:.0f} ms, p95 {1000 * times.end_p95:.0f} ms, median "
        f"{1000 * times.end_bias:+.0f} ms",
    ]


def _calibration(curves: Mapping[str, RiskCoverage]) -> Markup:
    if not curves:
        note = "Calibration: undefined, the engine gives no avg_logprob and no no_speech_prob."
        return element("p", note, class_="detail spaced")
    lines = [
        element("p", f"{name}: {_areas(curve)}", class_="detail") for name, curve in curves.items()
    ]
    note = (
        "Does the recogniser know where it errs? WER of the utterances kept, the surest first. "
        "A confidence that knows nothing stays at the dashed line."
    )
    figure = element(
        "figure", risk_plot(curves), element("figcaption", note), *lines, class_="card"
    )
    return element("div", figure, class_="figures spaced")


def _areas(curve: RiskCoverage) -> str:
    return (
        f"area under risk-coverage {notation.percent(curve.area)} over "
        f"{notation.plural(curve.utterances, 'utterance')} (best order {notation.percent(curve.best)}, "
        f"no order {notation.percent(curve.overall)})"
    )


def risk_plot(curves: Mapping[str, RiskCoverage]) -> Markup:
    """Returns an SVG of the error rate against the share of utterances kept."""
    with new_axes() as axes:
        for name, curve in curves.items():
            axes.plot(
                [100 * point.coverage for point in curve.curve],
                [100 * point.risk for point in curve.curve],
                color=SIGNAL_INKS[name][0],
                linewidth=1.6,
                label=name,
            )
        overall = next(iter(curves.values())).overall
        axes.axhline(100 * overall, color=INK, linewidth=0.8, linestyle="--")
        axes.set_xlabel("utterances kept, %")
        axes.set_ylabel("WER of those kept, %")
        axes.set_xlim(0, 100)
        axes.set_ylim(bottom=0)
        axes.figure.legend(loc="outside upper left", ncols=len(curves), frameon=False)
        return svg(
            axes,
            "Word error rate against the share of utterances kept, the surest first",
            dict(SIGNAL_INKS[name] for name in curves),
        )
