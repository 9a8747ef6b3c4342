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
# # Calling the endpoint and the page
#
# The server and the page run the same Transcriber. Started here as processes of their own, as
# `python -m whisperlab.app` in a terminal would: the page, with OpenAI's API beside it.
#
# In Colab, first: `%pip install "whisperlab[remote] @ git+<the address of this repository>"`.

# %%
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing

from whisperlab.dataset.demo import FOLDER as RECORDINGS

with closing(socket.socket()) as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
address = f"http://127.0.0.1:{port}"
app = subprocess.Popen([sys.executable, "-m", "whisperlab.app", f"port={port}"])
for _ in range(240):
    try:
        urllib.request.urlopen(f"{address}/health/ready", timeout=1)
        break
    except OSError:
        time.sleep(0.5)

# %% [markdown]
# OpenAI's own client needs another address and nothing else:

# %%
from openai import OpenAI

client = OpenAI(base_url=f"{address}/v1", api_key="any")
with open(RECORDINGS / "digits-04.flac", "rb") as sound:
    answer = client.audio.transcriptions.create(
        model="whisper-1", file=sound, response_format="verbose_json"
    )
print(answer.text)
for segment in answer.segments:
    print(f"{segment.start:6.2f} to {segment.end:6.2f} s: {segment.text}")

# %% [markdown]
# What it serves is measured or says that it is not:

# %%
client.models.list().data[0].to_dict()

# %% [markdown]
# As it comes, word by word:

# %%
with open(RECORDINGS / "digits-04.flac", "rb") as sound:
    for event in client.audio.transcriptions.create(model="whisper-1", file=sound, stream=True):
        print(event.type, getattr(event, "delta", ""))

# %% [markdown]
# Every action of the page is an endpoint for `gradio_client`:

# %%
from gradio_client import Client, handle_file

page = Client(address, verbose=False)
text, segments, details, *_ = page.predict(
    handle_file(RECORDINGS / "digits-04.flac"), "default", "", "transcribe", False,
    api_name="/transcribe",
)
text

# %%
app.terminate()
app.wait(timeout=60)
