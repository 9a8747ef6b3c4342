# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Tuning decoding, with the uncertainty beside it
#
# Every configuration is a run of `whisperlab.evaluate`, scored on the same utterances. Runs that
# exist are opened, not measured again: stop and go on as you like.

# %%
import tempfile
from itertools import product
from pathlib import Path

import pandas as pd

import whisperlab

FOLDER = Path(tempfile.mkdtemp())
SHARED = ("dataset=demo_digits", "dataset.subset=8", "latency_utterances=0", "decode.language=en")
GRID = {
    "decode.beam_size": (1, 5),
    "decode.timestamps": ("none", "segment"),
}

# %%
runs = {}
for values in product(*GRID.values()):
    overrides = [f"{key}={value}" for key, value in zip(GRID, values)]
    name = " ".join(overrides)
    runs[name] = whisperlab.evaluate(*SHARED, *overrides, run_dir=FOLDER / name)

# %% [markdown]
# One row a configuration. The interval says how far the eight utterances can tell them apart: not far.

# %%
rows = []
for name, run in runs.items():
    wer = run.scores.scores["wer"]
    decode = run.scores.speed.stages["decode_tokens"]
    rows.append({"configuration": name, "WER": wer.value, "low": wer.low, "high": wer.high,
                 "decoding, s": decode})
pd.DataFrame(rows).set_index("configuration").style.format("{:.3f}")

# %%
comparison = whisperlab.compare(*runs.values())
comparison

# %%
comparison.plot()
