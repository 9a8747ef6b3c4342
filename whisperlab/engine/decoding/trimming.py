"""Windows no longer than their sound: what they cost less, and when one is not to be trusted.

Owns the width of a trimmed window and the signs of a loop. Whisper was trained on 30 s windows: a
shorter one is faster, gives another text now and then, and can make a checkpoint loop.

Source: whisper.cpp's ``audio_ctx``; openai/whisper ``transcribe.py`` for the compression ratio.
"""

from __future__ import annotations

from typing import Final

from whisperlab.engine.decoding.text import Text

STEP_FRAMES: Final = 200
"""Widths are whole steps of 2 s, so that sounds of about the same length share a batch."""

SILENCE_FRAMES: Final = 50
"""A trimmed window hears at least 0.5 s of silence, by which the model knows the end."""

LOOPING_RATIO: Final = 2.4
"""Text that compresses better than this most likely loops."""


def trimmed_width(sound_frames: int, window_frames: int) -> int:
    """Returns the frames of a window for ``sound_frames`` of sound, at most ``window_frames``.

    >>> [trimmed_width(frames, 3000) for frames in (1, 1000, 1_000_000)]
    [200, 1200, 3000]
    """
    steps = -(-(sound_frames + SILENCE_FRAMES) // STEP_FRAMES)
    return min(steps * STEP_FRAMES, window_frames)


def loops(text: Text, compression_ratio: float) -> bool:
    """Returns whether a text ran into the token cap or repeats itself.

    >>> endless = Text((7, 7, 7), ended=False, logprobs=(0.0,) * 3, logprob=0.0, no_speech=None)
    >>> loops(endless, compression_ratio=1.0)
    True
    """
    return not text.ended or compression_ratio > LOOPING_RATIO
