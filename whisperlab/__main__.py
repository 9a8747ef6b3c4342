"""`python -m whisperlab`: what there is to run."""

from __future__ import annotations

import sys

from whisperlab.config.arguments import end_with, nearest

COMMANDS = {
    "whisperlab.eval": "measure a configuration on a dataset: WER with interval, speed, a report",
    "whisperlab.search": "race many configurations, recommend one, say how to serve it",
    "whisperlab.runs": "finished runs: compare, detectable, effects, gate, matrix, merge, reproduce, rescore, score, track",
    "whisperlab.transcribe": "transcribe files to txt, srt, vtt, tsv, json",
    "whisperlab.serve": "serve configurations behind OpenAI's audio API",
    "whisperlab.app": "the page: transcribe, compare, evaluate in a browser, with the API beside it",
    "whisperlab.conformance": "check any server against OpenAI's audio API, and its texts against ours",
    "whisperlab.serve.keys": "create, list and revoke the API keys of a server",
    "whisperlab.doctor": "say what works on this machine, for issues",
    "whisperlab.completion": "make bash, zsh or fish complete commands, groups, choices and keys",
}


def main() -> int:
    """Prints the commands, one a line; returns 2 where one of them was given as an argument."""
    if sys.argv[1:] and sys.argv[1] not in ("-h", "--help"):
        close = nearest(f"whisperlab.{sys.argv[1]}", COMMANDS)
        print(
            f"error: expected no argument, got {sys.argv[1]}; the commands have names with a dot: "
            f"python -m {close or 'whisperlab.eval'}",
            file=sys.stderr,
        )
        return 2
    for name, purpose in COMMANDS.items():
        print(f"python -m {name:<24}{purpose}")
    return 0


if __name__ == "__main__":
    end_with(main)
