"""Coverage-guided fuzzing of what reads bytes from outside, with atheris (libFuzzer).

    pip install 'whisperlab[fuzz]'
    python benchmarks/fuzz/fuzz.py run riff --seconds 600 --corpus CORPUS   # one target; CORPUS keeps what it finds
    python benchmarks/fuzz/fuzz.py keep riff --corpus CORPUS                # its shortest inputs into seeds.json
    python benchmarks/fuzz/fuzz.py replay                                   # every kept seed, without atheris
    python benchmarks/fuzz/fuzz.py mutate riff --seconds 60                 # seeds mutated blindly, without atheris: faster, blinder

A run ends with 77 and a ``crash-...`` file at the first broken promise; what it found becomes a seed and a
test. libFuzzer's last lines tell executions and coverage.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
from pathlib import Path
from time import perf_counter

SEEDS = Path(__file__).with_name("seeds.json")
LONGEST_SEED = 1024
LONGEST_INPUT = 4096
SEED = 20261130
EDGES = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\r\n",
    b"\n",
    b'"',
    b"{",
    b"[",
    b"\\",
    b";",
    b"--b",
)
"""What parsers stumble over."""
SEEDS_KEPT = 60
"""A target's seeds that stay in the project."""


def kept() -> dict[str, list[bytes]]:
    """Returns the seeds of every target."""
    written = json.loads(SEEDS.read_text("utf-8"))
    return {name: [base64.b64decode(one) for one in seeds] for name, seeds in written.items()}


def fuzz(target: str, seconds: int, corpus: Path) -> None:
    """Fuzzes one target; never returns."""
    import atheris

    with atheris.instrument_imports(include=["whisperlab", "python_multipart", "json"]):
        import targets
    corpus.mkdir(parents=True, exist_ok=True)
    for n, seed in enumerate(kept().get(target, [])):
        (corpus / f"seed-{n}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", "-timeout=300", "-rss_limit_mb=2048",
        "-print_final_stats=1", f"-artifact_prefix={corpus.parent}/", str(corpus),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], targets.TARGETS[target])
    atheris.Fuzz()


def keep(target: str, corpus: Path) -> None:
    """Adds the shortest inputs of a corpus to seeds.json."""
    seeds = kept()
    before = seeds.get(target, [])
    found = {path.read_bytes() for path in corpus.iterdir()} - set(before)
    short = sorted((one for one in found if len(one) <= LONGEST_SEED), key=lambda one: (len(one), one))  # fmt: skip
    seeds[target] = [*before, *short[: max(0, SEEDS_KEPT - len(before))]]
    written = {name: [base64.b64encode(one).decode() for one in all_] for name, all_ in seeds.items()}  # fmt: skip
    SEEDS.write_text(json.dumps(written, indent=0) + "\n", "utf-8")


def replay() -> None:
    """Runs every kept seed once; a table of how many, or the first broken promise."""
    import targets

    print("| target | seeds | seconds |\n|---|---|---|")
    for name, seeds in kept().items():
        began = perf_counter()
        for seed in seeds:
            targets.TARGETS[name](seed)
        print(f"| {name} | {len(seeds)} | {perf_counter() - began:.2f} |")


def mutate(target: str, seconds: int) -> None:
    """Mutates and joins seeds at random for so long; the input of the first broken promise is printed."""
    import targets

    chance, seeds = random.Random(SEED), kept()[target]
    broken, tried, end = targets.TARGETS[target], 0, perf_counter() + seconds
    while perf_counter() < end:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(data) + 1)
            other = chance.choice(seeds)
            piece = other[chance.randrange(len(other) + 1) :][: chance.randint(0, 64)]
            replacement = chance.choice([b"", chance.randbytes(1), chance.randbytes(4), chance.choice(EDGES), piece])  # fmt: skip
            data[at : at + chance.choice([0, 1, 1, 4, 40])] = replacement
        try:
            broken(bytes(data))
        except BaseException:
            print(f"broken by {base64.b64encode(data).decode()}")
            raise
        tried += 1
    print(f"| {target} | {tried} | {seconds} s |")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("run", "keep"):
        one = commands.add_parser(command)
        one.add_argument("target")
        one.add_argument("--corpus", type=Path, required=True)
        one.add_argument("--seconds", type=int, default=600)
    commands.add_parser("replay")
    one = commands.add_parser("mutate")
    one.add_argument("target")
    one.add_argument("--seconds", type=int, default=60)
    chosen = parser.parse_args()
    match chosen.command:
        case "replay":
            replay()
        case "mutate":
            mutate(chosen.target, chosen.seconds)
        case "keep":
            keep(chosen.target, chosen.corpus)
        case _:
            fuzz(chosen.target, chosen.seconds, chosen.corpus)


if __name__ == "__main__":
    main()
