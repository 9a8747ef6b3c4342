"""Turns scenes into padded batches: token sequences in Whisper's form, labels, attention spans and frame targets."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from layout import Layout
from scenes import Recordings, Scene, draw_scene

MOST_WORDS = 40
SCENES_PER_POOL = 96


@dataclasses.dataclass
class Batch:
    """A batch; ``spans`` holds for each token step the first and the last encoder position to attend to (-1: none)."""

    audio: torch.Tensor
    tilt: torch.Tensor
    length: int
    tokens: torch.Tensor
    labels: torch.Tensor
    spans: torch.Tensor
    frame_digits: torch.Tensor
    frame_counts: torch.Tensor


def prompt_tokens(random: np.random.Generator, layout: Layout) -> list[int]:
    """Previous text: digits with or without timestamps, or pieces of English; mostly short, now and then long."""
    count = int(random.integers(1, 14)) if random.random() < 0.8 else int(random.integers(14, 120))
    if random.random() < 0.2:
        return [int(t) for t in random.integers(256, 512, count)]
    tokens: list[int] = []
    timed, place = random.random() < 0.5, int(random.integers(0, 100))
    while len(tokens) < count:
        group = [layout.digits[d][0] for d in random.integers(0, 10, random.integers(1, 8))]
        stop = min(1500, place + 30 * len(group))
        tokens += (
            [layout.first_timestamp + place, *group, layout.first_timestamp + stop]
            if timed
            else group
        )
        place = min(1500, stop + int(random.integers(20, 100)))
    return tokens


def sequence(
    random: np.random.Generator, layout: Layout, scene: Scene, prompts: float
) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Input tokens, labels (-100: none) and the attention span of each step."""
    timed = random.random() < 0.5
    other_language = random.random() < 0.04
    codes = list(layout.languages.values())
    language = codes[random.integers(len(codes))] if other_language else layout.languages["en"]
    task = layout.translate if random.random() < 0.03 else layout.transcribe
    before = (
        [layout.start_of_prev, *prompt_tokens(random, layout)] if random.random() < prompts else []
    )
    tokens = [*before, layout.start, language, task]
    labels = [-100] * len(tokens)
    labels[len(before)] = (
        layout.no_speech if not scene.words else -100 if other_language else language
    )
    spans = [(-1, -1)] * len(tokens)
    if not timed:
        tokens.append(layout.no_timestamps)
        labels.append(-100)
        spans.append((-1, -1))
    steps: list[tuple[int, tuple[int, int]]] = []  # what to predict, and where to look for it

    def near(time: float, before: int, after: int) -> tuple[int, int]:
        centre = round(time * 50)
        return max(0, centre - before), min(1499, centre + after)

    if not scene.words and timed:
        steps.append((layout.first_timestamp, (-1, -1)))
    first = 0
    for count in scene.groups:
        group = scene.words[first : first + count]
        first += count
        if timed:
            steps.append(
                (
                    layout.first_timestamp + min(1500, round(group[0][1] * 50)),
                    near(group[0][1], 3, 4),
                )
            )
        steps += [
            (layout.digits[digit][0], (max(0, int(start * 50)), min(1499, int(end * 50))))
            for digit, start, end in group
        ]
        if timed:
            steps.append(
                (
                    layout.first_timestamp + min(1500, round(group[-1][2] * 50)),
                    near(group[-1][2], 4, 3),
                )
            )
    steps.append((layout.end, (-1, -1)))
    for target, span in steps:  # the step that reads the token before predicts the target
        labels[-1] = target
        spans[-1] = span
        tokens.append(target)
        labels.append(-100)
        spans.append((-1, -1))
    return tokens[:-1], labels[:-1], spans[:-1]


def channel(random: np.random.Generator) -> np.ndarray:
    """A smooth random channel in log10 power, now and then a telephone band, now and then a masked band of mels."""
    tilt = np.zeros(80, np.float32)
    if random.random() < 0.7:
        knots = random.normal(0, 0.35, 5)
        tilt += np.interp(np.linspace(0, 4, 80), np.arange(5), knots).astype(np.float32)
    if random.random() < 0.25:
        tilt[random.integers(56, 66) :] = -9
    if random.random() < 0.4:
        low = random.integers(0, 76)
        tilt[low : low + random.integers(1, 8)] -= random.uniform(0.5, 4)
    return tilt


def collate(
    random: np.random.Generator, layout: Layout, scenes: list[Scene], prompts: float
) -> Batch:
    length = min(1500, max(-(-len(scene.audio) // 320) for scene in scenes) + 1)
    audio = np.zeros((len(scenes), (length + 4) * 320), np.float32)
    frame_digits = np.full((len(scenes), length), 10)
    frame_counts = np.zeros((len(scenes), length), np.int64)
    rows = []
    for number, scene in enumerate(scenes):
        audio[number, : len(scene.audio)] = scene.audio
        for digit, start, end in scene.words:
            frame_digits[
                number, round(start * 50) : max(round(start * 50) + 1, round(end * 50))
            ] = digit
            frame_counts[number, round(start * 50) :] += 1
        frame_counts[number, -(-len(scene.audio) // 320) + 2 :] = -100
        rows.append(sequence(random, layout, scene, prompts))
    longest = max(len(tokens) for tokens, _, _ in rows)
    tokens = torch.full((len(rows), longest), layout.end)
    labels = torch.full((len(rows), longest), -100)
    spans = torch.full((len(rows), longest, 2), -1)
    for number, (row, label, span) in enumerate(rows):
        tokens[number, : len(row)] = torch.tensor(row)
        labels[number, : len(row)] = torch.tensor(label)
        spans[number, : len(row)] = torch.tensor(span)
    tilt = torch.tensor(np.stack([channel(random) for _ in scenes]))
    counts = torch.tensor(frame_counts.clip(max=MOST_WORDS))
    return Batch(
        torch.tensor(audio), tilt, length, tokens, labels, spans, torch.tensor(frame_digits), counts
    )


def batches_of_pool(
    seed: int,
    number: int,
    step: int,
    layout: Layout,
    pool: Recordings,
    positions: int,
    padding: int,
) -> list[Batch]:
    """All batches of pool ``number``: scenes of like length lie together, so that little is padded; the order is shuffled."""
    random = np.random.default_rng((seed, number))
    scenes = [draw_scene(random, pool, step) for _ in range(SCENES_PER_POOL)]
    scenes.sort(key=lambda scene: len(scene.audio))
    batches, current = [], list[Scene]()
    for scene in scenes:
        if current and (len(current) + 1) * (len(scene.audio) // 320 + padding) > positions:
            batches.append(current)
            current = []
        current.append(scene)
    batches.append(current)
    order = random.permutation(len(batches))
    prompts = 0.0 if step <= 1200 else 0.1 if step < 2207 else 0.15
    return [collate(random, layout, batches[index], prompts) for index in order]
