"""The rules of decoding on a device: what may not be said next, and the likeliest of the rest.

Owns the arithmetic over whole batches of logits. What is forbidden is ``engine/decoding/rules.py``'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from whisperlab.engine.decoding.rules import Ban, Rules
from whisperlab.engine.torch_features import to_device

NOTHING = (0, 0)
"""A span without tokens, where a row has fewer than the others."""


def likeliest(logits: Tensor, rules: Rules, bans: Sequence[Ban]) -> Tensor:
    """Returns the likeliest allowed token of each row and its log probability, ``(2, n_rows)``.

    ``logits`` ``(n_rows, vocabulary)`` are written to; ``bans`` are those of the rows. The result
    is in float64, which holds every token id.
    """
    device, impossible = logits.device, -torch.inf
    logits[:, to_device(torch.as_tensor(rules.suppressed), device)] = impossible
    if any(ban.at_begin for ban in bans):
        beginning = to_device(torch.tensor([ban.at_begin for ban in bans]), device)
        forbidden = torch.zeros(logits.shape[1], dtype=torch.bool, device=device)
        forbidden[to_device(torch.as_tensor(rules.suppressed_at_begin), device)] = True
        logits.masked_fill_(beginning[:, None] & forbidden, impossible)
    most = max((len(ban.spans) for ban in bans), default=0)
    if most:
        ids = torch.arange(logits.shape[1], device=device)
        filled = [[*ban.spans, *[NOTHING] * (most - len(ban.spans))] for ban in bans]
        spans = to_device(torch.tensor(filled), device)  # shape (n_rows, n_spans, 2)
        for number in range(most):
            begin, end = spans[:, number, :1], spans[:, number, 1:]
            logits.masked_fill_((ids >= begin) & (ids < end), impossible)
    if any(ban.weighed for ban in bans):
        first = rules.first_timestamp
        weighed = to_device(torch.tensor([ban.weighed for ban in bans]), device)
        timed = logits[:, first:].logsumexp(1) > logits[:, :first].amax(1)
        text = torch.arange(logits.shape[1], device=device) < first
        logits.masked_fill_((weighed & timed)[:, None] & text, impossible)
    tokens = logits.argmax(1)
    logprobs = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(1)
    return torch.stack((tokens.double(), logprobs.double()))
