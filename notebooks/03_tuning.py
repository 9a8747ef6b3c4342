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
# # Tuning decoding by a small search
#
# A search races configurations over the same utterances: those that are shown to be worse leave, the
# rest hear on. The same `search_dir` goes on where it was stopped.
#
# In Colab, first: `%pip install "whisperlab @ git+<the address of this repository>"`.

# %%
import tempfile

import whisperlab

found = whisperlab.search(
    "dataset=demo_digits",
    "dataset.subset=8",
    "decode.language=en",
    "space=none",
    "+space.decode.beam_size=[1,5]",
    "+space.decode.timestamps=[none,segment]",
    # the thresholds of openai/whisper's command, beside the product of the values above
    "search.candidates=['decode=openai decode.language=en']",
    f"search_dir={tempfile.mkdtemp()}",
)

# %% [markdown]
# One row a configuration, the best first. The interval says how far eight utterances can tell them
# apart: not far. `difference` is to the recommended one, over the utterances that both heard.

# %%
table = found.to_pandas().set_index("configuration")
table[["state", "utterances", "wer", "low", "high", "difference_low", "difference_high", "rtfx"]]

# %%
error = [table.wer - table.low, table.high - table.wer]
chart = table.set_index("overrides").wer[::-1].plot.barh(xerr=[side[::-1] for side in error])
chart.set(xlabel="WER with its 95 % interval", ylabel="");

# %% [markdown]
# Why the race ended (`decided`: one is left, `settled`: none that is left is better by more than the
# tolerance, `data`: all was heard, `budget`: its time was up), and the command that serves what it
# recommends:

# %%
print(found.reason, found.serve, sep="\n")
