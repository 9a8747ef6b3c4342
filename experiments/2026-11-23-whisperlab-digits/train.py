"""Trains ``whisperlab-digits`` on one CPU core (or wherever torch finds itself), by steps, seeded and resumable.

python train.py --fsdd ../../../shared/data/fsdd --synthetic $WORK/synthetic.npz --work $WORK/run --steps 5000 --decay-from 3200
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import time

import torch
import torch.nn.functional as functional
from batches import MOST_WORDS, Batch, batches_of_pool
from forward import Features, decode, encode
from layout import Layout, build_model, build_tokenizer
from scenes import Recordings
from torch import nn
from transformers import WhisperForConditionalGeneration

BATCHES_PER_STEP = 2


class Auxiliary(nn.Module):
    """Two linear heads on the encoder that training needs and the checkpoint does not keep: which digit, and the how-manieth word."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.digit = nn.Linear(width, 11)
        self.count = nn.Linear(width, MOST_WORDS + 1)


def losses(
    model: WhisperForConditionalGeneration,
    auxiliary: Auxiliary,
    features: Features,
    layout: Layout,
    batch: Batch,
    stride: int,
    phase: int,
) -> dict[str, torch.Tensor]:
    """Sums over their elements, with the counts beside them."""
    with torch.no_grad():
        mel = features(batch.audio, batch.tilt)
    if batch.length >= 1500:
        mel = mel[..., :3000]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states, weight = encode(model, mel, batch.length, stride, phase)
        hidden, attention = decode(model, batch.tokens, states, weight)
        wanted = batch.labels >= 0
        logits = functional.linear(hidden[wanted], model.model.decoder.embed_tokens.weight).float()
        frames = states[:, : batch.length]
        digits, counts = auxiliary.digit(frames).float(), auxiliary.count(frames).float()
    labels = batch.labels[wanted]
    chance = logits.log_softmax(dim=-1)
    timed = labels >= layout.first_timestamp
    text_loss = -chance[~timed].gather(1, labels[~timed, None]).sum()
    near = torch.arange(-5, 6)
    shape = torch.exp(-0.5 * (near / 1.5) ** 2)
    around = (labels[timed, None] + near).clamp(layout.first_timestamp, layout.size - 1)
    time_loss = -(chance[timed].gather(1, around) * (shape / shape.sum())).sum()
    looked = batch.spans[..., 0] >= 0
    spans, spread = batch.spans[looked], attention.transpose(1, 2)[looked]
    places = torch.arange(spread.shape[-1])
    inside = (places >= spans[:, :1]) & (places <= spans[:, 1:])
    mass = (spread * inside[:, None]).sum(dim=-1)
    return {
        "text": text_loss,
        "time": time_loss,
        "tokens": torch.tensor(float(len(labels))),
        "text_tokens": (~timed).sum(),
        "time_tokens": timed.sum(),
        "guide": -(mass + 1e-5).log().mean(dim=1).sum(),
        "guided": torch.tensor(float(len(spans))),
        "digit": functional.cross_entropy(
            digits.flatten(0, 1), batch.frame_digits.flatten(), reduction="sum"
        ),
        "count": functional.cross_entropy(
            counts.flatten(0, 1), batch.frame_counts.flatten(), ignore_index=-100, reduction="sum"
        ),
        "frames": torch.tensor(float(batch.frame_digits.numel())),
        "right": (logits.argmax(-1) == labels)[~timed].sum(),
    }


def rate_at(step: int, steps: int, decay_from: int) -> float:
    """Warm-up, plateau, then a decay by the root of the progress: at the plateau the average of the weights is far ahead of the weights."""
    if step < 100:
        return (step + 1) / 100
    return (
        1.0
        if step < decay_from
        else max(0.005, 1.0 - math.sqrt((step - decay_from) / (steps - decay_from)))
    )


def stride_at(step: int) -> int:
    """Every how-manieth position of the padding is kept: coarse in the middle of the training, where scenes count more than an exact padding."""
    return 48 if 1304 <= step < 3900 else 16


def accumulate(
    model: WhisperForConditionalGeneration,
    auxiliary: Auxiliary,
    features: Features,
    layout: Layout,
    part: list[Batch],
    stride: int,
    step: int,
    totals: dict[str, float],
) -> None:
    """Gradients of the batches of one step, each loss averaged over the elements of the whole step."""
    tokens = float(sum((batch.labels >= 0).sum() for batch in part))
    frames = float(sum(batch.frame_digits.numel() for batch in part))
    guided = float(sum((batch.spans[..., 0] >= 0).sum() for batch in part)) + 1.0
    for index, batch in enumerate(part):
        phase = (step * 7 + index * 3) % stride
        found = losses(model, auxiliary, features, layout, batch, stride, phase)
        decoder = (found["text"] + 0.7 * found["time"]) / tokens + 0.3 * found["guide"] / guided
        encoder = (0.3 * found["digit"] + 0.1 * found["count"]) / frames
        (decoder + encoder).backward()
        for key, value in found.items():
            totals[key] = totals.get(key, 0.0) + float(value.detach())
        totals["scenes"] = totals.get("scenes", 0) + len(batch.tokens)


def summary(totals: dict[str, float]) -> dict[str, float]:
    """The line of the log: mean losses since the last one; ``right`` is the share of text tokens predicted right."""
    return {
        "text": totals["text"] / max(1, totals["text_tokens"]),
        "right": totals["right"] / max(1, totals["text_tokens"]),
        "time": totals["time"] / max(1, totals["time_tokens"]),
        "guide": totals["guide"] / max(1, totals["guided"]),
        "digit": totals["digit"] / totals["frames"],
        "count": totals["count"] / totals["frames"],
        "scenes": totals["scenes"],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fsdd", type=pathlib.Path, required=True)
    parser.add_argument("--synthetic", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--decay-from", type=int, required=True)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument(
        "--positions", type=int, default=2000, help="encoder positions of one batch"
    )
    parser.add_argument("--muon-rate", type=float, default=1e-3)
    parser.add_argument("--adam-rate", type=float, default=1e-3)
    parser.add_argument("--leave-out", help="a speaker of FSDD to train without")
    parser.add_argument("--save-every", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    arguments.work.mkdir(parents=True, exist_ok=True)
    layout = Layout(build_tokenizer(arguments.work))
    model, features = build_model(layout), Features()
    auxiliary = Auxiliary(model.config.d_model)
    named = [
        (name, p)
        for name, p in [*model.named_parameters(), *auxiliary.named_parameters()]
        if p.requires_grad and name != "proj_out.weight"
    ]
    matrices = [p for name, p in named if p.ndim == 2 and ".layers." in name]
    others = [p for name, p in named if not (p.ndim == 2 and ".layers." in name)]
    muon = torch.optim.Muon(
        matrices,
        lr=arguments.muon_rate,
        weight_decay=0.05,
        momentum=0.95,
        adjust_lr_fn="match_rms_adamw",
    )
    adam = torch.optim.AdamW(others, lr=arguments.adam_rate, betas=(0.9, 0.98), weight_decay=0.0)
    average = {name: p.detach().clone() for name, p in named}
    step, number = 0, 0
    saved = arguments.work / "state.pt"
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        model.load_state_dict(state["model"])
        auxiliary.load_state_dict(state["auxiliary"])
        muon.load_state_dict(state["muon"])
        adam.load_state_dict(state["adam"])
        average, step, number = state["average"], state["step"], state["pool"]
    pool = Recordings(arguments.fsdd, arguments.synthetic, leave_out=arguments.leave_out)
    print(
        f"start at step {step}, {sum(p.numel() for _, p in named)} parameters, {len(matrices)} matrices, speakers {pool.speakers}",
        flush=True,
    )
    log = (arguments.work / "log.jsonl").open("a")
    totals: dict[str, float] = {}
    since, first = time.monotonic(), step
    while step < arguments.steps:
        stride = stride_at(step)
        batches = batches_of_pool(
            arguments.seed, number, step, layout, pool, arguments.positions, 1500 // stride
        )
        number += 1
        for start in range(0, len(batches), BATCHES_PER_STEP):
            part = batches[start : start + BATCHES_PER_STEP]
            scale = rate_at(step, arguments.steps, arguments.decay_from)
            for optimizer, peak in ((muon, arguments.muon_rate), (adam, arguments.adam_rate)):
                optimizer.param_groups[0]["lr"] = peak * scale
                optimizer.zero_grad(set_to_none=True)
            accumulate(model, auxiliary, features, layout, part, stride, step, totals)
            norm = float(nn.utils.clip_grad_norm_([p for _, p in named], 1.0))
            muon.step()
            adam.step()
            step += 1
            keep = min(0.998, step / (step + 20))
            with torch.no_grad():
                for name, p in named:
                    average[name].lerp_(p, 1 - keep)
            if step % 25 == 0:
                speed = (time.monotonic() - since) / (step - first)
                line = {
                    "step": step,
                    **summary(totals),
                    "norm": norm,
                    "rate": scale,
                    "seconds_a_step": speed,
                }
                log.write(json.dumps({key: round(value, 4) for key, value in line.items()}) + "\n")
                log.flush()
                totals = {}
            if step >= arguments.steps:
                break
        if (
            step % arguments.save_every < len(batches) // BATCHES_PER_STEP + 1
            or step >= arguments.steps
        ):
            state = {
                "model": model.state_dict(),
                "auxiliary": auxiliary.state_dict(),
                "muon": muon.state_dict(),
                "adam": adam.state_dict(),
            }
            torch.save(
                {**state, "average": average, "step": step, "pool": number},
                saved.with_suffix(".part"),
            )
            saved.with_suffix(".part").replace(saved)


if __name__ == "__main__":
    main()
