"""Plain command lines whose errors say what was probably meant, and how every command ends.

Light: it imports nothing but the standard library and the tree of errors, so that ``--help`` comes at once.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

from whisperlab.errors import WriteError

CLOSE_ENOUGH: Final = 0.7
"""difflib's ratio from which a name counts as mistyped; its own 0.6 joins names that differ by half."""

EXIT_READER_GONE: Final = 128 + 13  # SIGPIPE, which Windows lacks
"""What a shell says of a program whose output nobody reads any more, as in ``COMMAND | head -1``."""


def end_with(main: Callable[[], int]) -> NoReturn:
    """Ends the process with the exit code of ``main``; without a word where its reader has gone."""
    try:
        try:
            code = main()
        finally:
            if not sys.stdout.closed:  # as by a command that must know whether it was read
                sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        code = EXIT_READER_GONE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _discard_output()
        sys.stderr.write(f"error: {error}; free space there\n")
        code = WriteError.exit_code
    sys.exit(code)


def _discard_output() -> None:
    """Lets go of what is still buffered: it would raise once more as Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that is spelled most like ``name``, ``None`` if none is close.

    >>> nearest("beem_size", ["batch_size", "beam_size"])
    'beam_size'
    >>> nearest("entirely_other", ["beam_size"]) is None
    True
    """
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=CLOSE_ENOUGH)
    return found[0] if found else None


class ArgumentParser(argparse.ArgumentParser):
    """argparse's parser; a mistyped option or choice is answered with the nearest one."""

    def error(self, message: str) -> NoReturn:
        """Ends the command with 2, its usage and one line."""
        option = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        choice = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        close = None
        if option is not None:
            close = nearest(option[1], self._options())
        elif choice is not None:
            close = nearest(choice[1], re.findall(r"[\w.-]+", choice[2]))
        super().error(message + (f"; did you mean {close}?" if close else ""))

    def _options(self) -> set[str]:
        """Returns the options of this parser and of its subcommands."""
        parsers: list[argparse.ArgumentParser] = [self]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
        return {name for parser in parsers for name in parser._option_string_actions}
