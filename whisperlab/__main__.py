"""`python -m whisperlab`: what there is to run."""

from __future__ import annotations

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


def main() -> None:
    """Prints the commands, one a line."""
    for name, purpose in COMMANDS.items():
        print(f"python -m {name:<24}{purpose}")


if __name__ == "__main__":
    main()
