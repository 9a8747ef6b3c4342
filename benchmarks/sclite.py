"""Does `python -m whisperlab.runs score` count as NIST's sclite does?

    git clone https://github.com/usnistgov/SCTK
    (cd SCTK/src/sclite && sh config.sh && make sclite)
    python benchmarks/sclite.py SCTK/src/sclite SCTK/src/sclite/sclite [--pairs 120] [--seed 1]

Compares words, S, D and I by speaker: on sclite's own test cases with the tables that lie beside them,
then on random transcripts (trn with nested alternatives, fragments and optional words; stm with ctm,
gaps, overlaps, ignored segments) with what the program itself prints. Prints what differs.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import tempfile
from pathlib import Path

from whisperlab.config.build import build_profile
from whisperlab.config.compose import compose
from whisperlab.runs.transcript_scores import score_transcripts
from whisperlab.runs.transcripts import Format

Counts = dict[str, tuple[int, ...]]
STRICT, FORGIVING = ("profile=sclite",), ("profile=sclite-forgiving",)
FRAGMENTS = (*FORGIVING, "profile.optional_words=literal")
CHARACTERS = (*STRICT, "profile.unit=character")
MISSING = (
    "missall", "missfile1", "missfile1chanA", "missfile1chanb", "missfile2", "missfile2chanA", "missfile2chanB"
)  # fmt: skip
CASES: list[tuple[str, str, str, tuple[str, ...], str | None]] = [
    ("1", "csrnab.ref", "csrnab.hyp", STRICT, None),
    ("3", "lvc_ref.stm", "lvc_hyp.ctm", STRICT, None),
    ("3a", "lvc_refe.stm", "lvc_hyp.ctm", STRICT, None),
    ("7", "tests.ref", "tests.hyp", FORGIVING, None),
    ("7_r", "tests.hyp", "tests.ref", FORGIVING, None),
    ("7_noD", "tests.ref", "tests.hyp", FRAGMENTS, None),
    *[(f"7-utf8-{n}bytes", f"tests.ref.utf8-{n}bytes", f"tests.hyp.utf8-{n}bytes", FORGIVING, None) for n in (2, 3, 4)],
    ("8", "csrnab1.ref", "csrnab1.hyp", CHARACTERS, None),
    ("9", "mand_ref.stm", "mand_hyp.ctm", CHARACTERS, "gb18030"),
    ("15_a", "test.cantonese.stm", "test.cantonese.ctm", STRICT, None),
    ("15_c", "test.turkish.ref", "test.turkish.hyp", STRICT, None),
    ("15_d", "test.ukranian.ref", "test.ukranian.hyp", STRICT, None),
    *[(f"16_{n}", "stm2ctm_missing.ref.stm", f"stm2ctm_missing.hyp-{name}.ctm", STRICT, None) for n, name in enumerate(MISSING, 2)],
    ("16_9", "stm2ctm_missing.ref.stm", "stm2ctm_missing.hyp.ctm", STRICT, None),
    ("17", "test.vietnamese.ref.trn", "test.vietnamese.hyp.trn", STRICT, None),
]  # fmt: skip
ROW = re.compile(r"\s*\|\s*(\S+)\s*\|\s*\d+\s+(\d+)\s*\|\s*-?\d+\s+(\d+)\s+(\d+)\s+(\d+)\s+\d+")
WORDS = (
    "a b c d e fi- -ng fi fish ring (the) (uh) UH Uh x;tag y* \\;z hm- - -- don't 1,000 (a-) a/b"
)


def theirs(table: str) -> Counts:
    """Returns words, S, D and I by speaker of sclite's raw table."""
    rows = (match for match in map(ROW.match, table.splitlines()) if match)
    return {
        match[1].lower(): tuple(int(match[place]) for place in (2, 3, 4, 5))
        for match in rows
        if match[1] not in ("Sum", "Mean", "Median", "S.D.")
    }


def ours(
    reference: Path,
    hypothesis: Path,
    profile: tuple[str, ...],
    encoding: str | None = None,
) -> Counts:
    """Returns the same of our score."""
    named: Format | None = None if reference.suffix == ".stm" else "trn"
    scores = score_transcripts(
        reference,
        hypothesis,
        build_profile(compose("eval", list(profile))),
        named,
        encoding=encoding,
        resamples=1,
        seed=0,
    )
    rates = {name: part["scores"]["wer"] for name, part in scores["speakers"].items()}
    names = ("reference_words", "substitutions", "deletions", "insertions")
    return {speaker: tuple(rate[name] for name in names) for speaker, rate in rates.items()}


def text(chance: random.Random, depth: int = 0) -> str:
    """Returns a few words, some of them alternatives."""
    parts = []
    for _ in range(chance.choice((0, 1, 2, 3, 4, 6))):
        if chance.random() < 0.15 and depth < 2:
            some = [text(chance, depth + 1) or "@" for _ in range(chance.randint(1, 3))]
            parts.append(f"{{ {' / '.join(some)} }}")
        else:
            parts.append(chance.choice(WORDS.split()))
    return " ".join(parts)


def write_trn(folder: Path, chance: random.Random) -> tuple[Path, Path]:
    """Writes twelve utterances of twelve speakers, half of them heard as said."""
    said = [text(chance) for _ in range(12)]
    heard = [one if chance.random() < 0.5 else text(chance) for one in said]
    files = folder / "r.trn", folder / "h.trn"
    for file, texts in zip(files, (said, heard), strict=True):
        file.write_text("".join(f"{one} (s{n:02d}-1)\n" for n, one in enumerate(texts)))
    return files


def write_timed(folder: Path, chance: random.Random) -> tuple[Path, Path]:
    """Writes segments of two files and channels, and words near them."""
    said, heard = [], []
    for channel in ("F1 A", "F1 B", "f2 A"):
        end, words = 0.0, []
        for _ in range(chance.randint(1, 5)):
            start = max(0.0, end + chance.choice((0, 0, 0, 0.3, -0.2)))
            length = chance.choice((0.5, 1, 2, 3))
            end += length
            spoken = [
                chance.choice(["a", "b", "c", "d", "uh", "fi-", "fish", "UH"]) for _ in range(4)
            ]
            label = chance.choice(("", "<O,M>", "<o,f0,female>"))
            content = (
                "ignore_time_segment_in_scoring" if chance.random() < 0.1 else " ".join(spoken)
            )
            speaker = f"spk{chance.randint(1, 2)}{channel[-1]}"
            said.append(f"{channel} {speaker} {start:.2f} {end:.2f} {label} {content}")
            for place, word in enumerate(spoken):
                at = start + length * (place + chance.random()) / 4.5
                words.append((at, f"{chance.choice((0.05, 0.1, 0.3))} {word}"))
        heard += [f"{channel} {at:.2f} {rest}" for at, rest in sorted(words)]
    files = folder / "r.stm", folder / "h.ctm"
    for file, lines in zip(files, (said, heard), strict=True):
        file.write_text("\n".join(lines) + "\n")
    return files


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("source", type=Path, help="SCTK's src/sclite")
    parser.add_argument("program", type=Path, help="the sclite that was built")
    parser.add_argument("--pairs", type=int, default=120, help="random pairs of files of each kind")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    data = given.source / "testdata"
    for name, reference, hypothesis, profile, encoding in CASES:
        expected = theirs((data / "base" / f"test{name}.raw").read_text("utf-8", "replace"))
        equal = expected == ours(data / reference, data / hypothesis, profile, encoding)
        print(f"test{name}: {'equal' if equal else 'DIFFERS'}, {len(expected)} speakers")
    chance, compared, differ = random.Random(given.seed), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(2 * given.pairs):
            timed = number % 2 == 1
            files = (write_timed if timed else write_trn)(Path(folder), chance)
            kinds = [part for file in files for part in (file, file.suffix[1:])]
            options = ["-r", *kinds[:2], "-h", *kinds[2:], "-i", "spu_id", "-o", "rsum", "stdout"]
            for profile, flags in ((STRICT, ()), (FORGIVING, ("-F", "-D"))):
                command = [given.program, *options, *flags]
                table = subprocess.run(command, capture_output=True, check=True, text=True).stdout
                compared += 1
                if theirs(table) != ours(*files, profile):
                    differ += 1
                    print(f"pair {number} of seed {given.seed}, {profile}: DIFFERS")
    print(f"random pairs of files: {differ} of {compared} scores differ")


if __name__ == "__main__":
    main()
