"""How a report writes numbers: one notation for page and terminal.

Owns rounding and units. An undefined number is a dash, never 0; why it is undefined is said by
whoever shows it.
"""

from __future__ import annotations

DASH = "–"
"""An undefined number."""

SMALLEST_P = 0.001
"""Below it the exact p says nothing more."""

SECONDS_PER_MINUTE = 60
SECONDS_PER_HOUR = 3600
MIB = 2**20


def percent(fraction: float | None) -> str:
    """Returns a fraction as per cent with two decimals.

    >>> percent(0.12345), percent(0.0), percent(None)
    ('12.35 %', '0.00 %', '–')
    """
    return DASH if fraction is None else f"{100 * fraction:.2f} %"


def interval(low: float | None, high: float | None) -> str:
    """Returns both bounds in per cent.

    >>> interval(0.101, 0.149), interval(None, None)
    ('10.10 – 14.90 %', '–')
    """
    return DASH if low is None or high is None else f"{100 * low:.2f} – {100 * high:.2f} %"


def points(difference: float | None) -> str:
    """Returns a difference of two rates in percentage points, always with its sign.

    >>> points(0.00421), points(-0.012), points(0.0), points(None)
    ('+0.42', '−1.20', '0.00', '–')
    """
    if difference is None:
        return DASH
    size = f"{abs(100 * difference):.2f}"
    if not float(size):
        return size
    return f"{'+' if difference > 0 else '−'}{size}"


def p_value(p: float | None) -> str:
    """Returns a p as people quote it: three decimals, "<" below what matters.

    >>> p_value(0.0342), p_value(0.0004), p_value(1.0), p_value(None)
    ('p 0.034', 'p < 0.001', 'p 1.000', 'p –')
    """
    if p is None:
        return f"p {DASH}"
    return f"p {p:.3f}" if p >= SMALLEST_P else f"p < {SMALLEST_P}"


def coverage(scored: int, total: int) -> str:
    """Returns scored / total in per cent with one decimal, cut and not rounded: 100.0 means all.

    >>> coverage(9_999, 10_000), coverage(5, 5), coverage(0, 0)
    ('99.9 %', '100.0 %', '–')
    """
    return f"{(1000 * scored // total) / 10:.1f} %" if total else DASH


def factor(value: float | None) -> str:
    """Returns a speed as so many times real time, three digits.

    >>> factor(23.456), factor(0.5), factor(1234.5), factor(None)
    ('23.5×', '0.500×', '1,234×', '–')
    """
    return DASH if value is None else f"{_three_digits(value)}×"


def seconds(value: float | None) -> str:
    """Returns seconds in the unit that reads best, three digits.

    >>> seconds(0.01234), seconds(1.5), seconds(75.0), seconds(4000.0), seconds(None)
    ('12.3 ms', '1.50 s', '1 min 15 s', '1 h 07 min', '–')
    """
    if value is None:
        return DASH
    if value < 1:
        return f"{_three_digits(value * 1000)} ms"
    whole = round(value)
    if whole < SECONDS_PER_MINUTE:
        return f"{_three_digits(value)} s"
    if whole < SECONDS_PER_HOUR:
        return f"{whole // SECONDS_PER_MINUTE} min {whole % SECONDS_PER_MINUTE:02d} s"
    minutes = round(value / SECONDS_PER_MINUTE)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(value: int) -> str:
    """Returns a whole number with its thousands apart.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{value:,}"


def mebibytes(value: int | None) -> str:
    """Returns bytes as MiB.

    >>> mebibytes(3 * 2**20), mebibytes(None)
    ('3 MiB', '–')
    """
    return DASH if value is None else f"{value / MIB:,.0f} MiB"


def plural(number: int, noun: str) -> str:
    """Returns a count with its noun.

    >>> plural(1, "utterance"), plural(2000, "utterance")
    ('1 utterance', '2,000 utterances')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _three_digits(value: float) -> str:
    for decimals, limit in ((3, 0.9995), (2, 9.995), (1, 99.95)):
        if value < limit:
            return f"{value:.{decimals}f}"
    return f"{value:,.0f}"
