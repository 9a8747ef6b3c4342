"""WER of the same texts under every profile: finished runs, and NIST's transcripts in other styles.

    python experiments/2026-11-30-scoring-profiles/rescore.py RUN... --trn csrnab.ref csrnab.hyp --lexicon open-asr-leaderboard.json

A style changes how words are written (and adds fillers, in one); what a profile makes of it is the
profile's doing. Prints the runs' WER, that of every style, and how often two styles or two runs change places.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

from whisperlab.config.build import build_profile
from whisperlab.config.compose import compose
from whisperlab.experiment.folder import read_run
from whisperlab.experiment.scoring import rates, score_outcomes
from whisperlab.metric.wer import WordErrorRate
from whisperlab.normalize.profile import Profile
from whisperlab.runs.transcript_scores import score_transcripts
from whisperlab.utterance import Outcome

PROFILES = (
    "raw", "basic", "basic-marks", "characters", "sclite", "sclite-forgiving",
    "whisper-english", "hf-english", "open-asr-leaderboard",
)  # fmt: skip
BASE = "whisper-english"
Table = dict[str, dict[str, float]]
"""WER in percent by profile and column."""
NUMBERS = {w: str(n) for n, w in enumerate("zero one two three four five six seven eight nine ten".split())}
SHORT = {r"\b(it|he|that) is\b": r"\1's", r"\bdo not\b": "don't", r"\bi am\b": "i'm", r"\bcannot\b": "can't"}


def contracted(text: str) -> str:
    """Returns the text with a few contractions."""
    for long, short in SHORT.items():
        text = re.sub(long, short, text)
    return text


STYLES: Mapping[str, Callable[[str], str]] = {
    "as heard": str,
    "sentence": lambda text: text.capitalize() + "." * bool(text),
    "CAPITALS": str.upper,
    "digits": lambda text: " ".join(NUMBERS.get(word, word) for word in text.split()),
    "contracted": contracted,
    "fillers": lambda text: re.sub(r"^(\w+)", r"uh \1 um", text),
}


def main() -> None:
    """Scores and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--trn", nargs=2, type=Path, metavar=("REFERENCE", "HYPOTHESIS"), required=True)
    parser.add_argument("--lexicon", type=Path, required=True)
    given = parser.parse_args()
    runs = {path.name: read_run(path).outcomes for path in given.runs}
    by_run: Table = {}
    by_style: Table = {}
    for name in PROFILES:
        own = [f"profile.lexicon={given.lexicon.resolve()}"] if name == "open-asr-leaderboard" else []
        profile = build_profile(compose("eval", [f"profile={name}", *own]))
        by_run[name] = {run: run_wer(outcomes, profile) for run, outcomes in runs.items()}
        by_style[name] = {style: style_wer(*given.trn, style, profile) for style in STYLES}
    show(by_run)
    show(by_style)


def run_wer(outcomes: Sequence[Outcome], profile: Profile) -> float:
    """Returns the WER of a run in percent."""
    scored = score_outcomes(outcomes, profile, [WordErrorRate()])
    return percent(rates(scored, [WordErrorRate()], resamples=2, seed=0)["wer"].value)


def style_wer(reference: Path, hypothesis: Path, style: str, profile: Profile) -> float:
    """Returns the WER of trn transcripts whose hypotheses are written in ``style``, in percent."""
    lines = hypothesis.read_text(encoding="utf-8").splitlines()
    with TemporaryDirectory() as folder:
        written = Path(folder) / "written.hyp"
        texts = (re.fullmatch(r"(.*?)\s*(\([^()]*\))", line) for line in lines)
        pairs = ((STYLES[style](found[1].lower()), found[2]) for found in texts if found)
        written.write_text("".join(f"{text} {name}\n" for text, name in pairs), encoding="utf-8")
        scores = score_transcripts(reference, written, profile, resamples=2, seed=0)
    return percent(scores["scores"]["wer"]["value"])


def percent(fraction: float | None) -> float:
    """Returns a fraction that must be known, in percent."""
    assert fraction is not None
    return 100 * fraction


def show(table: Table) -> None:
    """Prints a profile a row, and its pairs in another order than the base's (ties are no order)."""
    columns = list(table[BASE])
    pairs = list(combinations(columns, 2))
    print("| profile |", " | ".join(columns), f"| of {len(pairs)} pairs in another order than {BASE} |")
    for name, found in table.items():
        flips = sum((found[a] - found[b]) * (table[BASE][a] - table[BASE][b]) < 0 for a, b in pairs)
        print(f"| {name} |", " | ".join(f"{found[column]:.1f}" for column in columns), f"| {flips} |")
    print()


if __name__ == "__main__":
    main()
