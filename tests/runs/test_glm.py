"""NIST's global mapping files: reading the rules and rewriting by them."""

from __future__ import annotations

from pathlib import Path

import pytest
from compared_runs import runs

from whisperlab.errors import DatasetError
from whisperlab.runs.glm import GlobalMap, RewritingRule, read_glm

FILE = """\
;; comment
* name "test.glm"
* format = 'NIST1'
* copy_no_hit = 'T'
* case_sensitive = 'F'
UH-HUH  =>  %BCACK     / [ ] __ [ ] ;; affirmative
CANCELLED => CANCELED ;; per AHD
Falkner => Faulkner / [William ] __
VIDEOTAPE => VIDEO TAPE / [ ] __ [ ]
[HE'S] => [{HE IS / HE HAS}] / [ ] __ [ ]
UM => / [ ] __ [ ]
;; INPUT_DEPENDENT_APPLICATION = "^hyp$"
GONNA => GOING TO / [ ] __ [ ]
;; INPUT_DEPENDENT_APPLICATION = ".*"
"GOTTA" => "GOT TO" / [ ] __ [ ]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "test.glm"
    path.write_text(FILE)
    return path


# Expectations are rfilter1's (SCTK 2.4) on the same rules.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("uh-huh", "%BCACK"),
        ("uh-huhs xuh-huh", "uh-huhs xuh-huh"),  # the contexts are spaces
        ("cancelled uncancelled", "CANCELED unCANCELED"),  # no context: anywhere
        ("William falkner, Bill Falkner", "William Faulkner, Bill Falkner"),
        ("a videotape", "a VIDEO TAPE"),
        ("he's he's", "{HE IS / HE HAS} {HE IS / HE HAS}"),  # one space is both their context
        ("yes um no", "yes no"),
        ("gonna gotta", "gonna GOT TO"),
        ("", ""),
    ],
)
def test_the_first_rule_that_fits_rewrites(text: str, expected: str, file: Path) -> None:
    assert read_glm(file, ("ref", "stm")).apply(text) == expected


def test_a_section_is_for_its_own_input(file: Path) -> None:
    assert read_glm(file, ("hyp", "ctm")).apply("gonna gotta") == "GOING TO GOT TO"


def test_case_counts_and_the_rest_goes_where_the_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.glm"
    path.write_text("# first token is the comment sign\n* case_sensitive = 'T'\nA => B # yes\n")
    assert read_glm(path, ()).apply("A a") == "B a"
    path.write_text(";;\n* copy_no_hit = 'NO'\nA => B\n")
    assert read_glm(path, ()).apply("A xay") == "BB"


@pytest.mark.parametrize("line", ["no arrow", " => B", "[] => B"])
def test_a_line_that_is_no_rule_is_refused_with_its_place(line: str, tmp_path: Path) -> None:
    path = tmp_path / "x.glm"
    path.write_text(f";; comment\n{line}\n")
    with pytest.raises(DatasetError, match=r"x\.glm:2: expected A => B"):
        read_glm(path, ())


def test_letters_that_grow_in_upper_case_keep_their_place() -> None:
    rule = RewritingRule("b", "c", " ", " ")
    assert GlobalMap([rule]).apply("ß b straße") == "ß c straße"


def test_both_transcripts_go_through_it_and_the_scores_name_it(tmp_path: Path, file: Path) -> None:
    (tmp_path / "r.trn").write_text("he has gotta go (s-1)\n")
    (tmp_path / "h.trn").write_text("he's got to go um (s-1)\n")
    output = tmp_path / "s.json"
    command = ("score", tmp_path / "r.trn", tmp_path / "h.trn", "--profile", "sclite")
    finished = runs(*command, "--glm", file, "--output", output)
    assert finished.returncode == 0, finished.stderr
    text = output.read_text()
    assert '"value": 0.0' in text
    assert '"glm": null' not in text
    assert runs(*command, "--output", output).returncode == 0
    assert '"glm": null' in output.read_text()
