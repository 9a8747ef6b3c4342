"""What is done to a sound before an engine hears it: read, decoded, preprocessed, cut.

Owns the order of these steps and what becomes of a sound that fails in one of them. It does not know
engines, and it can be sent to another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whisperlab.audio import SAMPLE_RATE_HZ, AudioLimits, Source, Waveform, waveform_of
from whisperlab.errors import AudioError, ConfigError, ModelError, WhisperlabError
from whisperlab.jobs import Job
from whisperlab.preprocess.protocol import Preprocessor
from whisperlab.segmentation.protocol import Segmentation

ISOLATED_FAILURES = (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
"""What a plug-in may raise on one sound without ending a run of ten thousand others."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """The steps before the engine, of one configuration."""

    preprocessors: Sequence[Preprocessor]
    segmentation: Segmentation
    limits: AudioLimits

    def __call__(self, source: Source) -> Job:
        """Returns the job with its pieces, or with the error that the door or a step raised.

        Raises:
            ConfigError, ModelError: a step cannot be done for any sound.
        """
        job = Job()
        try:
            waveform = waveform_of(source, self.limits, job.stopwatch)
            job.audio_seconds = waveform.duration_seconds
            with job.stopwatch.stage("preprocess"):
                for step in self.preprocessors:
                    if len(waveform.samples):  # filters and levels of nothing are undefined
                        waveform = step(waveform)
                _require_rate(waveform)
                job.pieces = self.segmentation.cut(waveform)
        except (ConfigError, ModelError):
            raise
        except WhisperlabError as error:
            job.error = error
        except ISOLATED_FAILURES as error:
            job.error = AudioError(
                f"a preprocessing step failed: {type(error).__name__}: {error}",
                code="preprocess_failed",
            )
            job.error.__cause__ = error
        return job


def _require_rate(waveform: Waveform) -> None:
    if waveform.sample_rate != SAMPLE_RATE_HZ:
        raise AudioError(
            f"expected {SAMPLE_RATE_HZ} Hz, got a waveform at {waveform.sample_rate} Hz; resample "
            "it first, or pass the file",
            code="invalid_sample_rate",
        )
