"""The one door for sound: Waveform, content sniffing, bounded decoding, resampling."""

from whisperlab.audio.waveform import SAMPLE_RATE_HZ, Samples, Waveform

__all__ = ["SAMPLE_RATE_HZ", "Samples", "Waveform"]
