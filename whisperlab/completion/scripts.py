"""The completion scripts: every word is inside, so that completing starts no Python.

Owns which words follow which command, and how bash, zsh and fish are told. It does not know what
the words mean.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from whisperlab.__main__ import COMMANDS
from whisperlab.config.compose import CONF_DIR
from whisperlab.config.suggestions import choices, known_keys

HYDRA_OPTIONS: Final = ("--help", "--cfg", "--resolve", "--config-dir", "--multirun", "--debug")

_BASH: Final = """\
_whisperlab() {{
    local line=${{COMP_LINE:0:$COMP_POINT}} module known current prefix word
    current=${{line##* }}
    module=$(printf '%s' "$line" | sed -nE 's/.* -m +(whisperlab[a-z.]*) .*/\\1/p')
    case $module in
{cases}
        *) [[ $line == *" -m "* ]] && known="{modules}" ;;
    esac
    COMPREPLY=()
    for word in $(printf '%s' "$known"); do
        case $word in "$current"*) COMPREPLY+=("$word") ;; esac
    done
    [[ -n $ZSH_VERSION ]] && return 0
    # bash takes what stands before "=" for a word of its own
    if [[ $current == *=* && $COMP_WORDBREAKS == *=* ]]; then
        prefix=${{current%"${{current##*=}}"}}
        COMPREPLY=("${{COMPREPLY[@]#"$prefix"}}")
    fi
    [[ ${{COMPREPLY[0]-}} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}}
complete -o default -F _whisperlab python python3
"""

_ZSH: Final = "autoload -U compinit bashcompinit\ncompinit -u\nbashcompinit\n"


def script(shell: str) -> str:
    """Returns the script for ``bash``, ``zsh`` or ``fish``."""
    words = {name: sorted(words_of(name)) for name in COMMANDS}
    if shell == "fish":
        return "".join(_fish(words))
    cases = "\n".join(
        f'        {name}) known="{" ".join(found)}" ;;' for name, found in words.items()
    )
    written = _BASH.format(cases=cases, modules=" ".join(["whisperlab", *words]))
    return _ZSH + written if shell == "zsh" else written


def _fish(words: Mapping[str, list[str]]) -> Iterator[str]:
    typed = "string match -qr -- '-m +{} ' (commandline -cp)"
    for python in ("python", "python3"):
        modules = " ".join(["whisperlab", *words])
        yield f"complete -c {python} -n \"string match -qr -- '-m *\\S*\\$' (commandline -cp)\" -f -a '{modules}'\n"
        for name, found in words.items():
            after = typed.format(name.replace(".", "\\."))
            yield f"complete -c {python} -n \"{after}\" -a '{' '.join(found)}'\n"


def words_of(command: str) -> set[str]:
    """Returns everything that can follow ``python -m COMMAND``."""
    if (CONF_DIR / f"{command.rpartition('.')[2]}.yaml").is_file():
        groups = [path.name for path in CONF_DIR.iterdir() if path.is_dir()]
        chosen = {f"{group}={choice}" for group in groups for choice in choices(group)}
        return {*HYDRA_OPTIONS, *chosen, *(f"{key}=" for key in known_keys())}
    found: set[str] = set()
    for parser in parsers(command):
        found |= {name for name in parser._option_string_actions if name.startswith("--")}
        for action in parser._actions:
            found |= {str(choice) for choice in _choices(action)}
    return found


def _choices(action: argparse.Action) -> list[Any]:
    return list(action.choices) if action.choices is not None else []


def parsers(command: str) -> Iterator[argparse.ArgumentParser]:
    """Yields the parser of a plain command and those of its subcommands."""
    for module in (f"{command}.__main__", f"{command}.commands"):
        try:
            made = importlib.import_module(module)
        except ModuleNotFoundError:
            continue
        if hasattr(made, "arguments"):
            parser: argparse.ArgumentParser = made.arguments()
            yield parser
            for action in parser._actions:
                if isinstance(action, argparse._SubParsersAction):
                    yield from action.choices.values()
            return
