"""One evaluation of the page: what may be asked for, and the process that does it.

Owns the choices (fixed at start-up: a request only ever names one), the run folder's name and the
child process. The run itself is `whisperlab.eval`'s, so its result is what the command would have
found. It does not know the page.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shlex
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from whisperlab.app.settings import AppSettings
from whisperlab.config.command import (
    EXIT_INTERRUPTED,
    Terminated,
    obey_stop_signals,
    raise_if_stopped,
)
from whisperlab.config.compose import CONF_DIR, compose, one_line
from whisperlab.config.overrides import overrides_between, written
from whisperlab.errors import ConfigError, WhisperlabError, WriteError
from whisperlab.serve.configurations import TRANSCRIBER_KEYS, Configuration
from whisperlab.serve.problems import ApiError
from whisperlab.utterance import Outcome

POLL_SECONDS: Final = 0.3
"""How long nothing is said at most: so long may a click on Stop take to be seen."""

STOP_SECONDS: Final = 20.0
"""After SIGINT a batch may finish within this; then SIGTERM, then the process is killed."""

MOST_UTTERANCES: Final = 1_000_000
MOST_SEED: Final = 2**32 - 1

PROFILES: Final = ("basic", "basic-marks", "whisper-english", "hf-english", "raw")
"""Scoring profiles that need no lexicon of the user's."""

_FOLDERS: Final = re.compile(r"(?<![\w:/.])/(?:[^/:\n'\"]+/)+")
"""The folders of an absolute path, not an address and not a relative path."""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Plan:
    """One evaluation: its run folder, its configuration, and the same as arguments of the command."""

    name: str
    folder: Path
    config: Mapping[str, Any]
    arguments: tuple[str, ...]

    @property
    def resume_line(self) -> str:
        """The command that goes on where this evaluation was stopped, for a page's users to see.

        An absolute path in it is its last name alone; ``arguments`` have the whole of it.
        """
        shown = [without_folders(argument) for argument in self.arguments]
        return shlex.join(["python", "-m", "whisperlab.eval", *shown])


@dataclass(frozen=True, slots=True)
class Moment:
    """How an evaluation stands; ``states`` counts the utterances of this attempt by their state."""

    stage: str
    done: int = 0
    total: int = 0
    states: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """How an evaluation ended; ``code`` is ``None`` when it finished."""

    code: str | None
    message: str


class Choices:
    """What evaluations can be asked for, read and checked once.

    Raises:
        ConfigError: a dataset of the settings does not exist, needs more settings, or two manifests
            cannot be told apart.
    """

    def __init__(self, settings: AppSettings) -> None:
        self.runs_dir = Path(settings.runs_dir)
        self._overrides: dict[str, tuple[str, ...]] = {
            name: (f"dataset={name}",) for name in settings.datasets
        }
        for name, path in _manifest_names(settings.manifests).items():
            if name in self._overrides:
                raise ConfigError(
                    f"app.manifests: {name} is also a dataset's name; rename the file"
                )
            self._overrides[name] = ("dataset=manifest", f"dataset.path={written(path)}")
        for name, overrides in self._overrides.items():
            try:
                compose("eval", overrides)
            except ConfigError as error:
                raise ConfigError(f"app.datasets: {name} cannot be offered: {error}") from error

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names that can be asked for, in the settings' order."""
        return tuple(self._overrides)

    def plan(
        self,
        configuration: Configuration,
        *,
        dataset: str,
        profile: str,
        utterances: int | None,
        seed: int,
    ) -> Plan:
        """Returns the evaluation of a configuration under a new name; makes its folder.

        Raises:
            ApiError: a choice was not offered, or a number is out of range.
            WriteError: the folder cannot be made.
        """
        _check(dataset, self.datasets, "dataset")
        _check(profile, PROFILES, "profile")
        _check_range(utterances, 1, MOST_UTTERANCES, "utterances")
        _check_range(seed, 0, MOST_SEED, "seed")
        named = f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{configuration.name}-{dataset}"
        folder = _new_folder(self.runs_dir, _UNSAFE.sub("-", named))
        chosen = [
            *self._overrides[dataset],
            f"dataset.subset={written(utterances)}",
            f"dataset.seed={seed}",
            f"profile={profile}",
            f"run_dir={written(str(folder))}",
        ]
        wanted = {**compose("eval", chosen), **configuration.config}
        return Plan(folder.name, folder, wanted, (*_described(configuration), *chosen))


def _described(configuration: Configuration) -> list[str]:
    """Returns the overrides that describe a configuration's transcriber."""
    preset = configuration.name
    if (CONF_DIR / "preset" / f"{preset}.yaml").exists():
        composed = compose("transcriber", [f"preset={preset}"])
        if {key: composed[key] for key in TRANSCRIBER_KEYS} == configuration.config:
            return [f"preset={preset}"]
    base = compose("transcriber")
    return overrides_between({key: base[key] for key in TRANSCRIBER_KEYS}, configuration.config)


def _manifest_names(paths: Sequence[str]) -> dict[str, str]:
    """Returns the manifests by file name, by folder and file name where two have the same.

    >>> _manifest_names(["a/test.jsonl", "b/x/dev.csv"])
    {'test.jsonl': 'a/test.jsonl', 'dev.csv': 'b/x/dev.csv'}
    >>> list(_manifest_names(["/a/m.jsonl", "/b/m.jsonl"]))
    ['a/m.jsonl', 'b/m.jsonl']
    """
    times = Counter(Path(path).name for path in paths)
    named = {
        Path(path).name if times[Path(path).name] == 1 else "/".join(Path(path).parts[-2:]): path
        for path in paths
    }
    if len(named) != len(paths):
        raise ConfigError(
            "app.manifests: two have the same folder and file name; rename one, so that people can "
            "choose between them"
        )
    return named


def _check(value: object, known: Sequence[str], param: str) -> None:
    if value not in known:
        raise ApiError("invalid_value", f"Expected {param} to be one of {', '.join(known)}.", param)


def _check_range(value: object, low: int, high: int, param: str) -> None:
    if value is None and param == "utterances":
        return
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ApiError(
            "invalid_value", f"Expected {param} to be a whole number, {low} to {high:,}.", param
        )


def _new_folder(runs_dir: Path, name: str) -> Path:
    """Makes and returns a folder of that name; of one second there may be several."""
    number, folder = 1, runs_dir / name
    while True:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            folder = runs_dir / f"{name}-{number}"
        except OSError as error:
            raise WriteError(
                f"app.runs_dir={runs_dir}: cannot write there ({error.strerror})"
            ) from error
        else:
            return folder


def without_folders(message: str) -> str:
    """Returns a message with absolute paths cut to their last part: a page's users need no more.

    >>> without_folders("/data/my set/a.jsonl:3: expected id; see https://a.org/b/c and a/b/c.wav")
    'a.jsonl:3: expected id; see https://a.org/b/c and a/b/c.wav'
    """
    return _FOLDERS.sub("", message)


@contextmanager
def names_only(runs_dir: Path) -> Iterator[None]:
    """Turns our errors into sentences that name runs below ``runs_dir`` and files, no folder."""
    try:
        yield
    except WhisperlabError as error:
        said = str(error).replace(f"{runs_dir}/", "")
        raise ApiError("invalid_request", without_folders(said)) from error


class EvaluationProcess:
    """A spawned process that does one evaluation; it takes its memory along when it goes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        spawn = multiprocessing.get_context("spawn")
        self._ours, theirs = spawn.Pipe(duplex=False)
        self._process = spawn.Process(
            target=work,
            args=(dict(plan.config), plan.arguments, theirs),
            name=f"whisperlab evaluation {plan.name}",
            daemon=True,
        )
        self._process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        """True until the process has gone."""
        return self._process.is_alive()

    def moments(self) -> Iterator[Moment | None]:
        """Yields how it stands, ``None`` while nothing changes; ends when the run has finished.

        Raises:
            ApiError: the evaluation failed, or its process died; the message is a sentence.
        """
        while True:
            if not self._ours.poll(POLL_SECONDS):
                yield None
                continue
            try:
                message = self._ours.recv()
            except EOFError:
                raise ApiError("internal_error", self._lost()) from None
            if isinstance(message, Moment):
                yield message
                continue
            self._process.join(STOP_SECONDS)
            if message.code is not None:
                raise ApiError("invalid_request", without_folders(message.message))
            return

    def stop(self) -> None:
        """Asks the process to stop after its batch; returns at once. Force follows if it must."""
        if not self.alive:
            self._tidy()
            return
        with suppress(ProcessLookupError):
            os.kill(self._process.pid or 0, signal.SIGINT)
        threading.Thread(target=self._end, name=f"ending {self.plan.name}", daemon=True).start()

    def _end(self) -> None:
        self._process.join(STOP_SECONDS)
        for force in (self._process.terminate, self._process.kill):
            if self.alive:
                force()
                self._process.join(STOP_SECONDS)
        self._tidy()

    def _tidy(self) -> None:
        """Removes the folder of an evaluation that never began."""
        with suppress(OSError):
            self.plan.folder.rmdir()  # only an empty one goes

    def _lost(self) -> str:
        self._process.join(STOP_SECONDS)
        code = self._process.exitcode
        how = "was stopped" if code == EXIT_INTERRUPTED else f"ended with code {code}"
        return f"The evaluation {how}. Go on with: {self.plan.resume_line}"


class _Reporter:
    """Watches the run inside the child and tells the parent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._done = self._total = 0
        self._states: Counter[str] = Counter()

    def started(self, total: int, already_done: int) -> None:
        self._total, self._done = total, already_done
        self._tell("transcribe")

    def advanced(self, outcomes: Sequence[Outcome]) -> None:
        self._done += len(outcomes)
        self._states.update(outcome.state.value for outcome in outcomes)
        self._tell("transcribe")

    def stage(self, name: str) -> None:
        self._tell(name)

    def _tell(self, stage: str) -> None:
        try:
            self._connection.send(Moment(stage, self._done, self._total, dict(self._states)))
        except OSError as error:
            raise Terminated from error  # the server has gone; the run can be resumed
        raise_if_stopped()


def work(config: Mapping[str, Any], arguments: Sequence[str], connection: Connection) -> None:
    """Runs the evaluation that ``config`` describes; the whole of a child process."""
    obey_stop_signals()
    # Here and not above: the parent, a server with its page, needs none of it.
    from whisperlab.config.experiment import build_experiment, report_of, run_settings
    from whisperlab.experiment.runner import run_experiment

    try:
        settings = run_settings(config)
        experiment = build_experiment(config, settings, arguments)
        result = run_experiment(experiment, Path(settings.run_dir), _Reporter(connection))
        report_of(result, experiment)
    except WhisperlabError as error:
        connection.send(Ended(error.code, one_line(error)))
    except (KeyboardInterrupt, Terminated):
        sys.exit(EXIT_INTERRUPTED)
    else:
        connection.send(Ended(None, ""))
