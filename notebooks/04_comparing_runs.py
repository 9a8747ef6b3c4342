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
# # Is that difference real?
#
# Two configurations on the same utterances: the difference, its interval, and how small a difference
# this set could have shown at all.
#
# In Colab, first: `%pip install "whisperlab @ git+<the address of this repository>"`.

# %%
import tempfile
from pathlib import Path

import whisperlab

FOLDER = Path(tempfile.mkdtemp())
SHARED = ("dataset=demo_digits", "latency_utterances=0", "decode.language=en", "batch_size=8")

plain = whisperlab.evaluate(*SHARED, run_dir=FOLDER / "plain")
telephone = whisperlab.evaluate(*SHARED, "preprocess=[telephone]", run_dir=FOLDER / "telephone")
plain

# %%
comparison = whisperlab.compare(plain, telephone)
comparison

# %% [markdown]
# The utterances that changed most, and the difference by voice where a voice has enough utterances:

# %%
comparison.to_pandas().head()

# %%
comparison.plot("voice")

# %% [markdown]
# Voices are clusters: utterances of one voice are alike, so whole voices are drawn when the question
# is "how would it do on other voices?". The interval grows, honestly.

# %%
whisperlab.compare(plain, telephone, clusters="voice").plot()
