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
# # What a smaller number format costs, and what it saves
#
# The same checkpoint in three precisions on the digits demo set: WER with interval, seconds, memory.
#
# In Colab, first: `%pip install "whisperlab @ git+<the address of this repository>"`.

# %%
import tempfile
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt

import whisperlab

FOLDER = Path(tempfile.mkdtemp())
PRECISIONS = ("none", "bfloat16", "dynamic_int8")
SHARED = ("dataset=demo_digits", "dataset.subset=12", "latency_utterances=0", "decode.language=en")

runs = {
    name: whisperlab.evaluate(*SHARED, f"quantization={name}", run_dir=FOLDER / name)
    for name in PRECISIONS
}

# %%
rows = []
for name, run in runs.items():
    wer, stages = run.scores.scores["wer"], run.scores.speed.stages
    rows.append({"precision": name, "WER": wer.value, "low": wer.low, "high": wer.high,
                 "encode, s": stages["encode"], "decode, s": stages["decode_tokens"]})
table = pd.DataFrame(rows).set_index("precision")
table

# %%
table[["encode, s", "decode, s"]].plot.barh(stacked=True, figsize=(7, 2.5), xlabel="seconds")
plt.show()

# %% [markdown]
# Against the full precision, utterance by utterance. The gate of the command line asks the same
# question with an exit code: `python -m whisperlab.runs gate RUN --baseline RUN --max-delta 0.2`.

# %%
whisperlab.compare(*runs.values())
