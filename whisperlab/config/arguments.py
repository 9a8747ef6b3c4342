"""Plain command lines whose errors say what was probably meant.

Light: it imports nothing but the standard library, so that ``--help`` comes at once.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable
from typing import Final, NoReturn

CLOSE_ENOUGH: Final = 0.7
"""difflib's ratio from which a name counts as mistyped; its own 0.6 joins names that differ by half."""


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
