"""Published results beside the measured one: lines for a terminal, a section for the page."""

from __future__ import annotations

from collections.abc import Iterator

from whisperlab.experiment.published import PublishedComparison, compare_with_published
from whisperlab.experiment.result import RunResult
from whisperlab.report import notation
from whisperlab.report.markup import Markup, element


def published_lines(result: RunResult) -> Iterator[str]:
    """Yields what to say of a run on a known set; nothing for any other run."""
    for found in compare_with_published(result):
        yield f"{verdict(found)} Source: {found.published.source}."
        for cause in _shown_causes(found):
            yield f"  - {cause}"


def verdict(found: PublishedComparison) -> str:
    """Returns published and measured in a sentence."""
    published = found.published
    start = (
        f"{published.set}: published {notation.percent(published.value)} ({published.conditions}), "
        f"measured {notation.percent(found.measured)}"
    )
    if found.inside:
        return f"{start}; the published rate lies in the 95 % interval: no gap is shown."
    return f"{start}, {notation.points(found.gap)} points. What differs and may explain it:"


def _shown_causes(found: PublishedComparison) -> list[str]:
    if found.inside:
        return []
    unknown = "nothing in the settings: check the audio, the checkpoint's revision, the references"
    return list(found.causes) or [unknown]


def published(result: RunResult) -> Markup:
    """Returns the section, or nothing for a run whose set or checkpoint has no published result."""
    comparisons = compare_with_published(result)
    if not comparisons:
        return Markup("")
    cards = [element("div", *_card(found), class_="card") for found in comparisons]
    shown = element("div", *cards, class_="cards")
    return element("section", element("h2", "Published results"), shown, id="published")


def _card(found: PublishedComparison) -> Iterator[Markup]:
    yield element("p", verdict(found))
    causes = [element("li", cause) for cause in _shown_causes(found)]
    if causes:
        yield element("ul", *causes)
    yield element("p", f"Source: {found.published.source}", class_="detail")
