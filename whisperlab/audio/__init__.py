"""The one door for sound: Waveform, content sniffing, bounded decoding, resampling."""

from whisperlab.audio.decode import decode
from whisperlab.audio.limits import UPLOAD_MAX_BYTES, AudioLimits
from whisperlab.audio.sound import Sound, Source, waveform_of
from whisperlab.audio.waveform import SAMPLE_RATE_HZ, Samples, Waveform

__all__ = [
    "SAMPLE_RATE_HZ",
    "UPLOAD_MAX_BYTES",
    "AudioLimits",
    "Samples",
    "Sound",
    "Source",
    "Waveform",
    "decode",
    "waveform_of",
]
