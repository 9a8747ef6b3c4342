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
# # Preprocessing, seen and heard
#
# Each step changes the sound before the model hears it. Whether that helps is a question for a
# measurement ([comparing runs](04_comparing_runs.ipynb)); here you see and hear what a step does.
#
# In Colab, first: `%pip install "whisperlab[notebook] @ git+<the address of this repository>"`.

# %%
import numpy as np
from IPython.display import Audio, display
from matplotlib import pyplot as plt

import whisperlab
from whisperlab.audio import Waveform, decode
from whisperlab.dataset.demo import FOLDER

clean = decode(FOLDER / "digits-04.flac")
hum = np.sin(2 * np.pi * 50 * np.arange(clean.samples.size) / clean.sample_rate)
hiss = np.random.default_rng(0).normal(size=clean.samples.size)
noisy = Waveform((0.3 * clean.samples + 0.05 * hum + 0.005 * hiss).astype(np.float32))

# %% [markdown]
# The steps are those of `conf/preprocess`; a chain is a list, in order, as on the command line.

# %%
def look(sound: Waveform, title: str) -> None:
    """Draws the waveform over its spectrogram and offers it to the ear."""
    figure, (wave, spectrum) = plt.subplots(2, 1, figsize=(8, 3.5), sharex=True, layout="constrained")
    wave.plot(np.arange(sound.samples.size) / sound.sample_rate + sound.start, sound.samples, lw=0.5)
    wave.set(title=title, ylim=(-1, 1), ylabel="amplitude")
    spectrum.specgram(sound.samples + 1e-9, NFFT=512, noverlap=384, Fs=sound.sample_rate, vmin=-140)
    spectrum.set(xlabel="seconds", ylabel="Hz")
    plt.show()
    display(Audio(sound.samples, rate=sound.sample_rate))


look(noisy, "as it came")
transcriber = whisperlab.load("default", "preprocess=[highpass,denoise,loudness]")
sound = noisy
for step in transcriber.preprocessors:
    sound = step(sound)
    look(sound, type(step).__name__)

# %% [markdown]
# What the model makes of both:

# %%
plain = whisperlab.load("default")
print("as it came:", plain.transcribe(noisy).text)
print("with chain:", transcriber.transcribe(noisy).text)

# %% [markdown]
# Turn the parameters yourself (needs a running kernel):

# %%
from ipywidgets import FloatSlider, interact


@interact(
    cutoff_hz=FloatSlider(80, min=20, max=1000, step=20, continuous_update=False),
    max_reduction_db=FloatSlider(12, min=0, max=40, step=1, continuous_update=False),
)
def turned(cutoff_hz: float, max_reduction_db: float) -> None:
    """Shows the chain with these values and what is heard through it."""
    chosen = whisperlab.load(
        "default",
        "preprocess=[highpass,denoise]",
        f"preprocess.highpass.cutoff_hz={cutoff_hz}",
        f"preprocess.denoise.max_reduction_db={max_reduction_db}",
    )
    heard = noisy
    for step in chosen.preprocessors:
        heard = step(heard)
    look(heard, f"{cutoff_hz:.0f} Hz, {max_reduction_db:.0f} dB: {plain.transcribe(heard).text}")
