"""Whatever happens to a ledger in whatever order, it is a plain list's equal."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from whisperlab.errors import DatasetError, RunInUseError, WriteError
from whisperlab.experiment.ledger import Ledger, read_ledger
from whisperlab.utterance import Outcome, State

WORDS = st.text(st.characters(codec=None, exclude_categories=[]), max_size=8)


class LedgerMachine(RuleBasedStateMachine):
    """``kept`` is the model: what was written, in order, and not torn off since."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.jsonl"
        self.ledger: Ledger | None = None
        self.kept: list[Outcome] = []
        self.made = 0

    @initialize()
    def begin(self) -> None:
        self.ledger = Ledger(self.path)

    @precondition(lambda self: self.ledger is None)
    @rule()
    def open(self) -> None:
        self.ledger = Ledger(self.path)
        assert self.ledger.recorded == {one.id for one in self.kept}

    @precondition(lambda self: self.ledger is not None)
    @rule(texts=st.lists(WORDS, min_size=1, max_size=10), failed=st.booleans())
    def append(self, texts: list[str], failed: bool) -> None:
        assert self.ledger is not None
        state = State.FAILED if failed else State.OK
        new = [Outcome(f"u{self.made + n}", state, text, text) for n, text in enumerate(texts)]
        self.made += len(new)
        self.ledger.append(new)
        self.kept += new

    @precondition(lambda self: self.ledger is not None)
    @rule()
    def a_second_writer_is_refused(self) -> None:
        with pytest.raises(RunInUseError):
            Ledger(self.path)

    @precondition(lambda self: self.ledger is not None)
    @rule()
    def close(self) -> None:
        assert self.ledger is not None
        self.ledger.close()
        self.ledger.close()  # again: nothing happens
        self.ledger = None

    @precondition(lambda self: self.ledger is not None)
    @rule()
    def kill(self) -> None:
        """The process goes without a word: what was written stays, and the lock goes."""
        assert self.ledger is not None
        self.ledger._file.close()
        self.ledger = None

    @precondition(lambda self: self.ledger is None and self.kept)
    @rule(data=st.data())
    def tear(self, data: st.DataObject) -> None:
        """A kill in the middle of the last line."""
        last = len(self.path.read_bytes().splitlines(keepends=True)[-1])
        cut = data.draw(st.integers(1, last), "bytes cut")
        os.truncate(self.path, self.path.stat().st_size - cut)
        self.kept.pop()
        # What is left of the line is no line, so only a writer may come: it cuts it.
        self.open()

    @precondition(lambda self: self.ledger is None and self.kept)
    @rule(data=st.data())
    def litter(self, data: st.DataObject) -> None:
        """Bytes of nobody behind the last line."""
        with self.path.open("ab") as file:
            file.write(data.draw(st.binary(min_size=1, max_size=40)).replace(b"\n", b" "))
        self.open()

    @precondition(lambda self: self.ledger is None and len(self.kept) > 1)
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        """A bit that flips before the last line is found by readers and writers; then it is mended.

        Not the end of the last line but one: without it the two are one torn line, which is cut.
        """
        before = self.path.read_bytes()
        inside = len(before) - len(before.splitlines(keepends=True)[-1])
        at = data.draw(st.integers(0, inside - 2), "byte")
        flipped = bytes([before[at] ^ (1 << data.draw(st.integers(0, 7), "bit"))])
        self.path.write_bytes(before[:at] + flipped + before[at + 1 :])
        with pytest.raises(DatasetError):
            list(read_ledger(self.path))
        with pytest.raises(WriteError):
            Ledger(self.path)
        self.path.write_bytes(before)

    @invariant()
    def a_reader_sees_what_was_kept(self) -> None:
        if self.path.exists():
            assert list(read_ledger(self.path)) == self.kept

    def teardown(self) -> None:
        if self.ledger is not None:
            self.ledger.close()
        self.folder.cleanup()


def test_whatever_happens_in_whatever_order_the_ledger_is_its_models_equal() -> None:
    run_state_machine_as_test(
        LedgerMachine, settings=settings(max_examples=40, stateful_step_count=20, deadline=None)
    )
