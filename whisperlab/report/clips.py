"""Recordings that a page can play: linked beside it, or embedded in it.

Owns the two ways and how much may be embedded. It does not know datasets.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote

from whisperlab.audio import AudioLimits, Sound, waveform_of
from whisperlab.errors import AudioError
from whisperlab.stopwatch import Stopwatch

Placement = Literal["auto", "link", "embed", "none"]
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)

EMBED_UP_TO_SECONDS = 600.0
"""``auto`` embeds sets of up to ten minutes: about 3 MB of page at Opus' 27 kbit/s."""


@dataclass(frozen=True, slots=True)
class Clips:
    """What a page can play: the address of each utterance's sound by id, and how it got there."""

    addresses: Mapping[str, str]
    note: str


def clips(
    sources: Mapping[str, Path | bytes | Sound], seconds: float, folder: Path, placement: Placement
) -> Clips:
    """Returns addresses for a page in ``folder`` of recordings that last ``seconds`` together.

    ``link``: the path from the page to each file; page and files must stay where they are, and the
    browser must know the format. ``embed``: 16 kHz mono Opus inside the page, which then can be sent
    on by itself. ``auto`` embeds small sets and links others. Bytes without a file cannot be linked;
    sound that cannot be decoded is not embedded.
    """
    if placement == "none":
        return Clips({}, "no audio, as asked")
    if placement == "embed" or (placement == "auto" and seconds <= EMBED_UP_TO_SECONDS):
        found = {id_: _embedded(source) for id_, source in sources.items()}
        playable = {id_: address for id_, address in found.items() if address is not None}
        return Clips(playable, "audio is inside this page")
    linked = {
        id_: quote(Path(os.path.relpath(source, folder)).as_posix())
        for id_, source in sources.items()
        if isinstance(source, Path)
    }
    if not linked:
        return Clips({}, "no audio: it has no files to link to; --audio embed puts it in the page")
    return Clips(linked, "audio is linked by its path from this page: keep both where they are")


def _embedded(source: Path | bytes | Sound) -> str | None:
    import soundfile

    try:
        waveform = waveform_of(source, AudioLimits(), Stopwatch())
    except AudioError:
        return None
    encoded = io.BytesIO()
    soundfile.write(encoded, waveform.samples, waveform.sample_rate, format="OGG", subtype="OPUS")
    return f"data:audio/ogg;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
