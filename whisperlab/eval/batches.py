"""A run whose batches go to workers elsewhere that hold the loaded model.

Owns what a worker loads and checks. It does not know which engine of workers it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from whisperlab.config.build import build_transcriber
from whisperlab.config.parts import settle_in
from whisperlab.device import resolve
from whisperlab.executor.protocol import BlockExecutor
from whisperlab.experiment.batch_steps import BatchSteps
from whisperlab.experiment.provenance import versions
from whisperlab.utterance import Outcome, Utterance


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers of ``executor``, each with the Transcriber of ``config``."""

    executor: BlockExecutor
    config: Mapping[str, Any]
    watch: Callable[[], None]

    def outcomes(
        self, batches: Iterable[Sequence[Utterance]], attempt: int
    ) -> Iterator[list[Outcome]]:
        """Yields the outcomes of every batch, in the order in which they are done."""
        kind = resolve(self.config["device"]["kind"])
        config = {**self.config, "device": {**self.config["device"], "kind": kind}}
        load = partial(loaded_steps, config, attempt, dict(versions()), os.getcwd())
        return self.executor.each(load, batches, self.watch)


def loaded_steps(
    config: Mapping[str, Any], attempt: int, wanted: Mapping[str, str], folder: str
) -> Sequence[Callable[[Any], Any]]:
    """Returns what a worker does with a batch: make it ready, then recognise it. Loads the model.

    ``folder`` is where the command was called: relative paths mean the same where the node has it.

    Raises:
        ConfigError: the worker has other versions than the command.
        ModelError: the model cannot be loaded there.
    """
    settle_in(wanted, folder)
    transcriber = build_transcriber(config)
    transcriber.load()
    steps = BatchSteps(transcriber, attempt)
    return steps.prepare, steps.recognise
