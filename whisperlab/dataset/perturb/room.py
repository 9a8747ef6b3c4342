"""What a room does with a recording: convolution that keeps level, length and place in time.

It does not know where an impulse response comes from.
"""

from __future__ import annotations

import numpy as np

from whisperlab.audio import Samples, Waveform
from whisperlab.dataset.perturb.mixing import within_full_scale


def in_room(waveform: Waveform, impulse_response: Samples) -> Waveform:
    """Returns the recording as the room answers it, as long and on average as strong as it was.

    The response's largest sample is the direct sound: what is said stays where it is in time. Sound
    that rings on behind the end is cut off.
    """
    from scipy import signal

    direct = int(np.abs(impulse_response).argmax())
    ringing = signal.fftconvolve(
        waveform.samples.astype(np.float64), impulse_response.astype(np.float64)
    )[direct : direct + len(waveform.samples)]
    before, after = (np.square(each).mean() for each in (waveform.samples.astype(float), ringing))
    if not after:
        return waveform.with_samples(np.zeros_like(waveform.samples))
    return within_full_scale(waveform, ringing * np.sqrt(before / after))
