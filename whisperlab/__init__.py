"""Which Whisper configuration should I run, how sure is that, and how do I serve exactly that?

Importing this package loads neither torch nor gradio nor hydra; :func:`load` and the names of
:mod:`whisperlab.study` do when they are first used.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whisperlab.search.searching import search
    from whisperlab.study import Run, RunComparison, compare, evaluate, open_run
    from whisperlab.transcriber import Transcriber

# onnxruntime 1.32 reports to its maker from the moment it is imported, and leaves files for it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

__all__ = ["Run", "RunComparison", "compare", "evaluate", "load", "open_run", "search"]


def load(preset: str = "default", *overrides: str) -> Transcriber:
    """Returns the Transcriber of a preset, the same that every command builds from it.

    ``preset`` is a name of ``conf/preset``; ``overrides`` are those of the command line, as
    ``"segmentation=fixed"`` or ``"decode.language=de"``. The model is read when it first
    transcribes, or by ``Transcriber.load()``.

    Raises:
        ConfigError: no such preset, or an override is wrong; the message names the key.

    >>> turbo = load("turbo", "decode.beam_size=5")
    >>> turbo.settings.quantization.name, turbo.options.beam_size
    ('bfloat16', 5)
    """
    from whisperlab.config.build import build_transcriber
    from whisperlab.config.compose import compose

    return build_transcriber(compose("transcriber", [f"preset={preset}", *overrides]))


def __getattr__(name: str) -> object:
    """Returns what `whisperlab.study` and `whisperlab.search` offer, imported only now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "search":  # a package that can be called
        return import_module("whisperlab.search")
    return getattr(import_module("whisperlab.study"), name)
