"""An examination in words, a line a fact."""

from __future__ import annotations

from collections.abc import Iterator

from whisperlab.doctor.examination import Attempt, Examination, Extra


def lines(found: Examination) -> Iterator[str]:
    """Yields the lines that people paste into issues."""
    yield "whisperlab.doctor"
    yield "versions    " + ", ".join(f"{name} {number}" for name, number in found.versions.items())
    memory = "" if found.memory_gib is None else f", {found.memory_gib} GiB of memory"
    yield f"system      {found.system}, {found.cores} cores{memory}"
    for device in found.devices:
        yield f"device      {device}"
    yield f"            device=auto is {found.device}"
    for name, value in found.variables.items():
        yield f"variable    {name}={value}"
    for attempt in found.precisions:
        yield f"precision   {attempt.quantization:<13}{_attempt(attempt)}"
    for extra in found.extras:
        yield f"extra       {extra.name:<13}{_extra(extra)}"
    models = ", ".join(f"{name} ({size} MB)" for name, size in found.cache.models)
    others = f", {found.cache.others} others" if found.cache.others else ""
    yield f"cache       {models or 'none of our models of the Hub (the one inside the package needs no cache)'}{others}"
    test = found.self_test
    got = test.attempt.problem or f"got {test.attempt.text!r}"
    yield f"self-test   {'passed' if test.passed else 'FAILED'}: expected {test.expected!r}, {got}"


def _attempt(attempt: Attempt) -> str:
    if attempt.problem is not None:
        return f"no: {attempt.problem}"
    return f"works: loaded in {attempt.load_seconds:.2f} s, one clip in {attempt.transcribe_seconds:.2f} s"


def _extra(extra: Extra) -> str:
    if not extra.missing:
        return "installed"
    return f"not installed ({', '.join(extra.missing)}): pip install 'whisperlab[{extra.name}]'"
