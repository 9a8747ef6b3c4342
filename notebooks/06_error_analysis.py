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
# # What went wrong, and where
#
# From a score to the utterances behind it: worst first, by slice, with the alignment and the sound.
#
# In Colab, first: `%pip install "whisperlab[baseline] @ git+<the address of this repository>"`.

# %%
import tempfile
from pathlib import Path

from IPython.display import Audio, display

import whisperlab
from whisperlab.dataset.demo import FOLDER as RECORDINGS

run = whisperlab.evaluate(
    "dataset=demo", "dataset.subset=16", "engine=pocketsphinx", "model=none", "latency_utterances=0",
    run_dir=Path(tempfile.mkdtemp()) / "run",
)
run

# %%
frame = run.to_pandas()
frame[["id", "state", "reference", "text", "errors", "words"]].head(8)

# %% [markdown]
# Few utterances often hold most of the errors:

# %%
share = frame["errors"].cumsum() / frame["errors"].sum()
axes = share.astype(float).plot(figsize=(6, 3), xlabel="utterances, worst first", ylabel="share of errors")
axes.set_ylim(0, 1);

# %%
run.plot("kind")

# %% [markdown]
# The worst one: its alignment (`=` kept, `S` replaced, `D` lost, `I` invented) and its sound.

# %%
worst = next(item for item in run.scored() if item.outcome.id == frame["id"][0])
for edit in worst.edits:
    print(edit.kind, edit.reference or "–", "→", edit.hypothesis or "–")
display(Audio(str(RECORDINGS / f"{worst.outcome.id}.flac")))

# %% [markdown]
# The page with every utterance, filters and sound is `run.report`; open it in a browser.
