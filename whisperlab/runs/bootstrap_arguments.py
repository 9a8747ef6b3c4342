"""The arguments of every subcommand that resamples: how often, and from which seed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from whisperlab.errors import ConfigError


def add_bootstrap_arguments(parser: ArgumentParser) -> None:
    """Adds ``--resamples`` and ``--seed``."""
    parser.add_argument(
        "--resamples", type=int, default=10_000, metavar="N", help="of the bootstrap (10000)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (0)")


def check_bootstrap(given: Namespace) -> None:
    """Raises unless both can be used.

    Raises:
        ConfigError: fewer than one resample, or a negative seed.
    """
    for name, least in (("resamples", 1), ("seed", 0)):
        if (value := getattr(given, name)) < least:
            raise ConfigError(f"--{name}: expected at least {least}, got {value}")
