"""How a command names the scoring profile: --profile, --lexicon, --substitutions, --set.

Owns these arguments and what they compose. It is light to import.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whisperlab.normalize.profile import Profile


def add_profile_arguments(parser: ArgumentParser, default: str | None = "basic") -> None:
    """Adds the arguments that name a profile; without a default it is the runs' own."""
    parser.add_argument(
        "--profile",
        default=default,
        metavar="P",
        help=f"a profile of conf/profile (default: {default or 'the one of the runs'})",
    )
    parser.add_argument("--lexicon", type=Path, metavar="FILE", help="the word list of the profile")
    parser.add_argument(
        "--substitutions",
        type=Path,
        metavar="FILE",
        help="a word list of yours (JSON), applied last",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another setting, e.g. profile.optional_words=forgiven (repeatable)",
    )


def profile_overrides(given: Namespace) -> list[str]:
    """Returns the overrides of the configuration that the arguments stand for."""
    overrides = [f"profile={given.profile}"]
    if given.lexicon is not None:
        overrides.append(f"++profile.lexicon={_quoted(given.lexicon)}")
    if given.substitutions is not None:
        overrides.append(f"++profile.substitutions={_quoted(given.substitutions)}")
    return overrides + list(given.overrides)


def _quoted(path: Path) -> str:
    """Returns a path as Hydra reads any characters."""
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def chosen_profile(given: Namespace) -> Profile:
    """Returns the profile that the arguments name.

    Raises:
        ConfigError: there is no such profile, or a setting is wrong.
    """
    from whisperlab.config.build import build_profile
    from whisperlab.config.compose import compose

    return build_profile(compose("eval", profile_overrides(given)))
