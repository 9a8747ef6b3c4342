"""Real shells complete groups, choices, keys and options with the scripts, without starting Python."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from whisperlab.__main__ import COMMANDS
from whisperlab.completion.scripts import script, words_of

TYPED = {
    "python -m whisperlab.eval model=ti": {"model=tiny", "model=tiny.en"},
    "python -m whisperlab.eval decode.be": {"decode.beam_size="},
    "python -m whisperlab.eval --conf": {"--config-dir"},
    "python -m whisperlab.runs det": {"detectable"},
    "python3 -m whisperlab.transcribe --form": {"--format"},
    "python -m whisperlab.conf": {"whisperlab.conformance"},
    "python script.py mod": set(),
}


def asked(shell: str, line: str, folder: Path) -> set[str]:
    """Returns what a shell offers at the end of ``line``; skips where there is no such shell."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here: apt-get install {shell}")
    (folder / "script").write_text(script(shell), encoding="utf-8")
    commands = {
        "bash": f'source ./script; COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}; _whisperlab; printf "%s\\n" "${{COMPREPLY[@]}}"',
        "zsh": f'source ./script; COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}; _whisperlab; print -l -- $COMPREPLY',
        "fish": f"source ./script; complete -C '{line}'",
    }
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}
    finished = subprocess.run(
        [program, *options[shell], "-c", commands[shell]],
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stderr == ""
    return {word.partition("\t")[0] for word in finished.stdout.split("\n") if word}


@pytest.mark.parametrize("line", TYPED)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_offers_what_fits(shell: str, line: str, tmp_path: Path) -> None:
    offered = asked(shell, line, tmp_path)
    wanted = TYPED[line]
    if shell == "bash":  # there "=" ends a word
        wanted = {word.removeprefix("model=") for word in wanted}
    assert offered == wanted


def test_every_command_has_words() -> None:
    assert all(words_of(command) for command in COMMANDS)


def test_every_group_s_choices_and_keys_are_words_of_the_commands_that_compose() -> None:
    words = words_of("whisperlab.eval")
    assert {"engine=hf", "preprocess.trim.threshold_db=", "batch_size=", "model="} <= words
