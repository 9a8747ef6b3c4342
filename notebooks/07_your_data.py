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
# # Your own recordings
#
# A manifest is a file with a row for each recording: where it is, what was said, and any column that
# may matter. Columns become slices of every report.
#
# In Colab, first: `%pip install "whisperlab @ git+<the address of this repository>"`.

# %%
import json
import tempfile
from pathlib import Path

import whisperlab
from whisperlab.dataset.demo import FOLDER as RECORDINGS

FOLDER = Path(tempfile.mkdtemp())
manifest = FOLDER / "mine.jsonl"
rows = [json.loads(line) for line in (RECORDINGS / "manifest.jsonl").read_text().splitlines()]
mine = [row for row in rows if row["kind"] == "digits"][:6]
lines = [
    json.dumps(
        {
            "audio_filepath": str(RECORDINGS / row["audio_filepath"]),
            "text": row["text"],
            "room": ("kitchen", "office")[number % 2],
        }
    )
    for number, row in enumerate(mine)
]
_ = manifest.write_text("\n".join(lines))

# %% [markdown]
# These files lie outside the manifest's folder, which must be allowed; yours beside it need no such line.

# %%
run = whisperlab.evaluate(
    "dataset=manifest", f"dataset.path={manifest}", "+dataset.allow_outside_root=true",
    "latency_utterances=2", run_dir=FOLDER / "run",
)
run

# %%
run.plot("room")

# %% [markdown]
# The Transcriber that was measured is the one you keep; the endpoint serves it with
# `python -m whisperlab.serve run=RUN`.

# %%
run.transcriber().transcribe(RECORDINGS / mine[0]["audio_filepath"])
