# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a file to a transcript
#
# The model inside the package knows spoken English digits only and needs no download. For everything
# else load another preset: `whisperlab.load("turbo")` runs whisper-large-v3-turbo (a download of
# 1.6 GB on first use), `whisperlab.load("baseline")` PocketSphinx, offline.
#
# In Colab, first: `%pip install "whisperlab @ git+<the address of this repository>"`.

# %%
import whisperlab
from whisperlab.dataset.demo import FOLDER

transcriber = whisperlab.load()
transcript = transcriber.transcribe(FOLDER / "digits-04.flac")
print(transcript.text)
for segment in transcript.segments:
    print(f"{segment.start:6.2f} s to {segment.end:6.2f} s: {segment.text.strip()}")

# %% [markdown]
# Put the path of your own recording in place of the demo's. The same transcript as subtitles (`srt`,
# `vtt`, `tsv`, `txt` and `json` are there):

# %%
from whisperlab.subtitles import FORMATS

print(FORMATS["srt"](transcript))

# %% [markdown]
# What `load` takes besides the preset are the overrides of the command line. One line that cuts an hour
# into overlapping windows for any engine, and one that gives the engine the speech alone:
#
# ```python
# whisperlab.load("turbo", "segmentation=fixed")
# whisperlab.load("turbo", "segmentation=silero_vad")
# ```
