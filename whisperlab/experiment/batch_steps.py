"""What is done with a batch of utterances, and what the ledger is told of each.

Owns the two steps of a batch. It does not know which batches there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from whisperlab.audio import Source
from whisperlab.jobs import Job
from whisperlab.transcriber import Recognition, Transcriber
from whisperlab.transcript import Finish
from whisperlab.utterance import Failure, Outcome, State, Utterance


class _Ready(NamedTuple):
    """A batch whose sounds wait for the engine."""

    batch: Sequence[Utterance]
    jobs: Sequence[Job]


@dataclass(frozen=True, slots=True)
class BatchSteps:
    """The two steps of a batch: made ready without the engine, then recognised by it.

    ``elsewhere`` makes sounds ready in place of the transcriber.
    """

    transcriber: Transcriber
    attempt: int
    elsewhere: Callable[[Sequence[Source]], list[Job]] | None = None

    def prepare(self, batch: Sequence[Utterance]) -> _Ready:
        """Returns the batch with its sounds read, decoded, preprocessed and cut."""
        prepare = self.elsewhere or self.transcriber.prepare
        return _Ready(batch, prepare([utterance.audio for utterance in batch]))

    def recognise(self, ready: _Ready) -> list[Outcome]:
        """Returns what became of each utterance of the batch, in order."""
        recognitions = self.transcriber.recognise_prepared(ready.jobs)
        return [
            outcome_of(utterance, recognition, self.attempt)
            for utterance, recognition in zip(ready.batch, recognitions, strict=True)
        ]


def outcome_of(utterance: Utterance, recognition: Recognition, attempt: int) -> Outcome:
    """Returns the ledger's view of one recognition: its state, raw text and times."""
    transcript = recognition.transcript
    error = recognition.error
    if transcript is None or error is not None:
        state, failure = State.FAILED, Failure("internal_error", "no transcript and no error")
        if error is not None:
            failure = Failure(error.code, str(error))
    else:
        failure = None
        if recognition.timed_out:
            state = State.TIMED_OUT
            failure = Failure("inference_timeout", "stopped by decode.timeout_seconds")
        elif transcript.finish is Finish.TRUNCATED:
            state = State.TRUNCATED
        else:
            state = State.OK if transcript.text.strip() else State.EMPTY
    return Outcome(
        id=utterance.id,
        state=state,
        reference=utterance.reference,
        text="" if transcript is None else transcript.text,
        language=None if transcript is None else transcript.language,
        segments=() if transcript is None else transcript.segments,
        audio_seconds=recognition.audio_seconds,
        timings=recognition.timings,
        batch_size=recognition.batch_size,
        attempt=attempt,
        slices=utterance.slices,
        error=failure,
        reference_words=utterance.words,
    )
