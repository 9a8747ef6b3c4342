"""Rows that end make room for further sounds: what is said is what each sound alone would say."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import pytest

from whisperlab import device
from whisperlab.audio import Source, Waveform, decode
from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.engine.options import DecodeOptions
from whisperlab.engine.protocol import SilentWatch
from whisperlab.errors import ConfigError
from whisperlab.transcriber import Recognition, Transcriber
from whisperlab.transcript import Finish, Segment

pytest.importorskip("openvino", reason="the extra openvino is not installed")

OURS = ("openvino", "torch")
ENGLISH = DecodeOptions(language="en", max_new_tokens=30)
CASES = {
    "greedy": replace(ENGLISH, timestamps="none"),
    "segments, language detected": replace(ENGLISH, language=None),
    "prompt": replace(ENGLISH, prompt="one two"),
    "conditioned": replace(ENGLISH, condition_on_previous_text=True),
    "beams": replace(ENGLISH, beam_size=2),
    "beams, no times but of the long": replace(ENGLISH, beam_size=2, timestamps="none"),
    "drawn again, no times but of the long": replace(
        ENGLISH, temperatures=(0.0, 0.6), logprob_threshold=-0.05, seed=3, timestamps="none"
    ),
    "drawn again": replace(ENGLISH, temperatures=(0.0, 0.4, 0.8), logprob_threshold=-0.05, seed=3),
    "words": replace(ENGLISH, timestamps="word"),
}


@cache
def loaded(*overrides: str) -> Transcriber:
    built = build_transcriber(compose("transcriber", ["device=cpu", *overrides]))
    built.load()
    return built


@pytest.fixture(scope="module")
def sounds(test_data: Path) -> list[Waveform]:
    """Six sounds of unequal length; the third has two windows."""
    lines = (test_data / "fsdd" / "test_strings.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    short = [row["audio_filepath"] for row in rows if row["kind"] == "short"]
    found = [decode(test_data / "fsdd" / path) for path in short[:11]]
    long = Waveform(np.concatenate([sound.samples for sound in found[5:]]))
    assert 31 < long.duration_seconds < 60
    return [*found[:2], long, *found[2:5]]


def told(built: Transcriber, options: DecodeOptions, batch: Sequence[Waveform]) -> list[Any]:
    """Texts, tokens, times and tries; of words, which are attention, to a position."""
    found = built.variant(options).recognise(list(batch))
    assert [one.error for one in found] == [None] * len(batch)
    return [
        (
            one.transcript.text,
            one.transcript.language,
            one.transcript.finish,
            [(part.tokens, part.start, part.end, part.temperature) for part in one.transcript.segments],
            [[word.text for word in part.words] for part in one.transcript.segments],
        )
        for one in found
        if one.transcript is not None
    ]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("engine", OURS)
def test_what_is_said_in_two_rows_is_what_each_sound_says_alone(
    sounds: list[Waveform], engine: str, case: str
) -> None:
    options = CASES[case]
    few = loaded(f"engine={engine}", "engine.rows=2")
    plain = loaded(f"engine={engine}")
    alone = [told(plain, options, [sound])[0] for sound in sounds]
    assert len({text for text, *_ in alone}) > 4
    assert told(few, options, sounds) == alone


def test_trimmed_windows_of_many_widths_share_two_rows(sounds: list[Waveform]) -> None:
    trimmed = ("engine=openvino", "engine.trim=true")
    alone = [told(loaded(*trimmed), ENGLISH, [sound])[0] for sound in sounds]
    assert told(loaded(*trimmed, "engine.rows=2"), ENGLISH, sounds) == alone


class Listening(SilentWatch):
    """Notes who is heard and asked for; stops the sounds in ``stopped``."""

    def __init__(self, stopped: frozenset[int] = frozenset()) -> None:
        self.stopped = stopped
        self.heard: list[int] = []
        self.asked: list[int] = []

    def segment(self, index: int, segment: Segment, final: bool) -> None:
        self.heard.append(index)

    def cancelled(self, index: int) -> bool:
        self.asked.append(index)
        return index in self.stopped


@pytest.mark.parametrize("times", ["segment", "none"])
@pytest.mark.parametrize("engine", OURS)
def test_a_sound_begins_when_another_has_ended_and_the_longest_is_first(
    sounds: list[Waveform], engine: str, times: Literal["segment", "none"]
) -> None:
    watch, options = Listening(), replace(ENGLISH, timestamps=times)
    loaded(f"engine={engine}", "engine.rows=2").variant(options).recognise(list(sounds), watch)
    begun = list(dict.fromkeys(watch.asked))
    lengths = [len(sounds[index].samples) for index in begun]
    assert lengths == sorted(lengths, reverse=True)
    for place, index in enumerate(begun[2:], 2):
        asked = watch.asked.index(index)
        running = [one for one in begun[:place] if one in watch.asked[asked:]]
        assert len(running) <= 1  # the other of the two rows
    # The long one is still on its way when short ones begin and end beside it.
    assert watch.heard.index(begun[2]) < len(watch.heard) - 1 - watch.heard[::-1].index(2)


@pytest.mark.parametrize("engine", OURS)
def test_a_sound_that_is_cancelled_while_it_waits_never_begins(
    sounds: list[Waveform], engine: str
) -> None:
    calm = told(loaded(f"engine={engine}"), ENGLISH, sounds)
    shortest = min(range(len(sounds)), key=lambda index: len(sounds[index].samples))
    watch = Listening(frozenset({shortest}))
    found = loaded(f"engine={engine}", "engine.rows=2").variant(ENGLISH).recognise(sounds, watch)
    transcripts = [one.transcript for one in found if one.transcript is not None]
    assert transcripts[shortest].finish is Finish.CANCELLED
    assert transcripts[shortest].segments == ()
    assert transcripts[shortest].stages["encode"] == 0
    assert watch.asked.count(shortest) == 1
    others = [index for index in range(len(sounds)) if index != shortest]
    assert [transcripts[index].text for index in others] == [calm[index][0] for index in others]


class Guests(Listening):
    """Sounds that come one by one, every third time somebody asks; notes who has left."""

    def __init__(self, coming: Sequence[Source]) -> None:
        super().__init__()
        self.coming = list(coming)
        self.questions = 0
        self.left: dict[int, Recognition] = {}

    def arrivals(self) -> list[Source]:
        self.questions += 1
        return [self.coming.pop(0)] if self.coming and self.questions % 3 == 0 else []

    def done(self, index: int, recognition: Recognition) -> None:
        self.left[index] = recognition


@pytest.mark.parametrize("rows", ["null", "2"])
@pytest.mark.parametrize("engine", OURS)
def test_sounds_that_join_say_what_they_say_alone(
    sounds: list[Waveform], engine: str, rows: str
) -> None:
    calm = told(loaded(f"engine={engine}"), ENGLISH, sounds)
    guests = Guests([sounds[1], b"no sound", *sounds[2:]])
    built = loaded(f"engine={engine}", f"engine.rows={rows}").variant(ENGLISH)
    found = built.recognise(sounds[:1], guests)
    assert [one.error and one.error.code for one in found][2] is not None
    texts = [one.transcript.text for one in found if one.transcript is not None]
    assert texts == [text for text, *_ in calm]
    assert list(guests.left) != sorted(guests.left)  # some overtook the long one
    assert [guests.left[index] for index in range(len(found))] == found


@pytest.mark.parametrize("engine", OURS)
def test_a_sound_that_is_cancelled_before_it_joins_never_begins(
    sounds: list[Waveform], engine: str
) -> None:
    short = [sounds[0], *sounds[3:5]]
    calm = told(loaded(f"engine={engine}"), ENGLISH, short)
    watch = Guests([short[1], short[2]])
    watch.stopped = frozenset({1})
    found = loaded(f"engine={engine}").variant(ENGLISH).recognise([short[0]], watch)
    transcripts = [one.transcript for one in found if one.transcript is not None]
    assert transcripts[1].finish is Finish.CANCELLED
    assert transcripts[1].stages["encode"] == 0
    assert watch.asked.count(1) == 1
    assert [transcripts[index].text for index in (0, 2)] == [calm[index][0] for index in (0, 2)]


def test_pieces_of_a_cut_sound_join_and_keep_their_order(sounds: list[Waveform]) -> None:
    cut = ("segmentation=fixed", "segmentation.window_seconds=5", "segmentation.overlap_seconds=0")
    built = loaded("engine=openvino", *cut)
    calm = told(built, ENGLISH, sounds[:3])
    guests = Guests(sounds[1:3])
    found = built.variant(ENGLISH).recognise(sounds[:1], guests)
    assert [one.transcript and one.transcript.text for one in found] == [text for text, *_ in calm]


def test_who_listens_hears_the_first_piece_alone_and_then_as_many_as_there_are_rows(
    sounds: list[Waveform],
) -> None:
    settled: list[str] = []

    class Telling:
        def segment(self, index: int, segment: Segment, final: bool) -> None:
            if final:
                settled.append(segment.text.strip())

        def cancelled(self, index: int) -> bool:
            return False

    cut = ("segmentation=fixed", "segmentation.window_seconds=5", "segmentation.overlap_seconds=0")
    built = loaded("engine=openvino", "engine.rows=2", *cut)
    pieces = built.segmentation.cut(sounds[2])
    [found] = built.variant(ENGLISH).recognise([sounds[2]], Telling())
    [(text, *_)] = told(loaded("engine=openvino", *cut), ENGLISH, [sounds[2]])
    assert found.batch_size == 2
    assert settled[0] == told(loaded("engine=openvino"), ENGLISH, pieces[:1])[0][0]
    assert len(settled) == 1 + len(pieces) // 2
    assert found.transcript is not None
    assert " ".join(settled) == found.transcript.text == text


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_goes_back_while_a_call_goes_on(
    sounds: list[Waveform], monkeypatch: pytest.MonkeyPatch
) -> None:
    resident: list[int] = []

    class Leaving(SilentWatch):
        """Frees many small blocks, between which some stay, before the first segment is done."""

        def segment(self, index: int, segment: Segment, final: bool) -> None:
            if not resident:
                blocks = [bytearray(b"x" * 60_000) for _ in range(2000)]
                self.kept = blocks[::50]
            resident.append(psutil.Process().memory_info().rss)

    engine = loaded("engine=openvino", "engine.rows=2").load()
    monkeypatch.setattr(device, "GIVE_BACK_SECONDS", 0.0)
    engine.transcribe(sounds[:3], ENGLISH, Leaving())
    assert resident[0] - resident[1] > 50e6


@pytest.mark.parametrize("rows", [0, 5000])
def test_rows_out_of_range_are_refused(rows: int) -> None:
    with pytest.raises(ConfigError, match=r"engine\.rows|rows"):
        build_transcriber(compose("transcriber", ["engine=openvino", f"engine.rows={rows}"]))
