"""Transcribing a list of files and writing each in the formats asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import compose
from whisperlab.errors import ConfigError, InferenceError, WhisperlabError, WriteError
from whisperlab.subtitles import FORMATS
from whisperlab.transcriber import Transcriber
from whisperlab.transcript import Transcript


def transcribe_files(
    files: Sequence[Path],
    preset: str | None,
    overrides: Sequence[str],
    output_dir: Path | None,
    formats: Sequence[str],
    *,
    debug: bool,
) -> int:
    """Returns the exit code after transcribing ``files`` one after another.

    Without ``output_dir`` the transcripts go to stdout. A file that cannot be transcribed is one
    line on stderr, the others go on, and the code is 3.
    """
    try:
        choice = [] if preset is None else [f"preset={preset}"]
        transcriber = build_transcriber(compose("transcriber", [*choice, *overrides]))
        if output_dir is not None:
            _check_names(files)
            _make(output_dir)
        transcriber.load()
        codes = [_transcribe(transcriber, path, output_dir, formats, debug=debug) for path in files]
    except WhisperlabError as error:
        return _fail(error, "error", debug=debug)
    return max(codes, default=0)


def _transcribe(
    transcriber: Transcriber,
    path: Path,
    output_dir: Path | None,
    formats: Sequence[str],
    *,
    debug: bool,
) -> int:
    try:
        transcript = transcriber.transcribe(path)
    except (ConfigError, WriteError):
        raise
    except WhisperlabError as error:
        code = _fail(error, f"error: {path}", debug=debug)
        return max(code, InferenceError.exit_code)
    _write(path, transcript, output_dir, formats)
    return 0


def _write(
    path: Path, transcript: Transcript, output_dir: Path | None, formats: Sequence[str]
) -> None:
    for name in formats:
        text = FORMATS[name](transcript)
        if output_dir is None:
            sys.stdout.write(text)
            continue
        target = output_dir / f"{path.stem}.{name}"
        try:
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise WriteError(f"{target}: cannot write ({error.strerror})") from error
        print(target)


def _check_names(files: Sequence[Path]) -> None:
    """Raises when two files would be written under one name."""
    seen: dict[str, Path] = {}
    for path in files:
        other = seen.setdefault(path.stem, path)
        if other is not path:
            raise ConfigError(
                f"{path} and {other} would both be written as {path.stem}.*; transcribe them apart"
            )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"--output-dir {folder}: cannot write there ({error.strerror})") from error


def _fail(error: WhisperlabError, prefix: str, *, debug: bool) -> int:
    if debug:
        sys.excepthook(type(error), error, error.__traceback__)
    print(f"{prefix}: {' '.join(str(error).split())}", file=sys.stderr)
    return error.exit_code
