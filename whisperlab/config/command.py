"""Running a Hydra command: arguments, checks before Hydra may build anything, exit codes.

Owns the way from ``sys.argv`` to a task and from errors to one line on stderr and an exit code
(INTERFACES: exit codes). It does not know what the tasks do.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from _thread import start_new_thread
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.hydra import Hydra  # pinned below 1.4: the only way to see hydra's own section
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from whisperlab.config.arguments import nearest
from whisperlab.config.compose import (
    CONF_DIR,
    check_config_dir,
    check_steps,
    one_line,
    resolve,
)
from whisperlab.config.suggestions import explained
from whisperlab.errors import ConfigError, WhisperlabError, WriteError
from whisperlab.executor.protocol import COMMAND

EXIT_USAGE = ConfigError.exit_code
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

STUCK_SECONDS = 40.0
"""After a stop signal the way out may take so long (torchrun gives its ranks 30 s); then the process is ended."""

FULL_ERROR_VARIABLE = "HYDRA_FULL_ERROR"
HYDRA_PLUGINS = ("hydra._internal.core_plugins.", "hydra_plugins.")
"""Where launchers and sweepers may come from: Hydra itself and its installed plug-ins."""

Task = Callable[[Mapping[str, Any]], int]
"""Takes the resolved configuration of one job and returns the job's exit code."""


class Terminated(BaseException):
    """SIGTERM arrived; unwinds like KeyboardInterrupt so that files are closed on the way."""


def _nothing_more() -> None:
    """What most commands do behind their last job."""


def run_command(config_name: str, task: Task, conclude: Callable[[], None] = _nothing_more) -> int:
    """Returns the exit code of ``task`` on the configuration that ``sys.argv`` composes.

    With ``-m`` the task runs once a job and the largest code is returned; ``conclude`` runs behind
    the last. A known error becomes one line on stderr; ``--debug`` or ``HYDRA_FULL_ERROR=1`` shows
    the traceback as well.
    """
    debug = "--debug" in sys.argv or bool(os.environ.get(FULL_ERROR_VARIABLE))
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != "--debug"]
    os.environ[FULL_ERROR_VARIABLE] = "1"  # Hydra hands errors on instead of exiting with 1
    obey_stop_signals()
    codes: list[int] = []
    failed: list[str] = []
    composing = True

    def job(composed: DictConfig) -> None:
        # Caught here, not around Hydra: a sweep's other jobs go on, and Hydra adds no line of its own.
        nonlocal composing
        composing = False
        raise_if_stopped()
        try:
            codes.append(task(job_config(composed)))
        except WhisperlabError as error:
            codes.append(_fail(error, error.exit_code, debug, _job_name()))
            failed.append(_job_name().rstrip(": "))
        composing = True

    try:
        _check_arguments(config_name)
        hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name=config_name)(job)()
        composing = False
        conclude()
    except WhisperlabError as error:
        return _fail(error, error.exit_code, debug)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        return _fail(error, EXIT_USAGE, debug)
    except (ValueError, RecursionError) as error:  # Hydra's, for a defaults list or 10^4 brackets
        if not composing:
            raise
        return _fail(error, EXIT_USAGE, debug)
    except OSError as error:
        return _fail(error, WriteError.exit_code, debug)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Terminated:
        return EXIT_TERMINATED
    _say_failed(failed, len(codes))
    return max(codes, default=0)


def _say_failed(failed: Sequence[str], jobs: int) -> None:
    """Says at the end of a sweep which of its jobs failed; stderr has their errors."""
    if jobs > 1 and failed:
        print(
            f"{len(failed)} of {jobs} jobs failed: {', '.join(failed)}; the others are finished, "
            "the same command tries the failed ones again"
        )


def job_config(composed: DictConfig) -> Mapping[str, Any]:
    """Returns a job's resolved configuration; in a sweep ``run_dir`` gets the job's number."""
    config = dict(resolve(composed))
    if HydraConfig.get().mode == RunMode.MULTIRUN and "run_dir" in config:
        config["run_dir"] = str(Path(config["run_dir"]) / str(HydraConfig.get().job.num))
    return config


def chosen(group: str) -> str | None:
    """Returns which option of a group the running job was composed with."""
    choice = HydraConfig.get().runtime.choices.get(group)
    return None if choice is None else str(choice)


def own_config_dir() -> Path | None:
    """Returns the running job's ``--config-dir``; ``None`` without one."""
    for source in HydraConfig.get().runtime.config_sources:
        if source.provider == "command-line":
            return Path(source.path)
    return None


def overridden() -> list[str]:
    """Returns the overrides of the running job, as they were written."""
    return list(HydraConfig.get().overrides.task)


def recompose(overrides: Sequence[str]) -> Mapping[str, Any]:
    """Returns the running command's configuration as other ``overrides`` compose it, resolved.

    Raises:
        ConfigError: an override or a value is wrong.
    """
    config_name = HydraConfig.get().job.config_name
    try:
        return resolve(hydra.compose(config_name, list(overrides)))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(one_line(error)) from error


_received: list[int] = []
"""Stop signals of this process, in the order of arrival; a process has one set of handlers."""


def obey_stop_signals() -> None:
    """Lets SIGINT and SIGTERM raise in this process, whatever its parent made of them."""
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)


def _stop(number: int, _: object) -> None:
    if not _received:
        start_new_thread(_end_a_stuck_process, (128 + number,))
        sys.unraisablehook = partial(_without_stops, sys.unraisablehook)
    _received.append(number)
    raise_if_stopped()


def _without_stops(show: Callable[[Any], object], unraisable: Any) -> None:
    """Says nothing of a stop that came where none can raise, as in a generator's end: it is raised again."""
    if not isinstance(unraisable.exc_value, KeyboardInterrupt | Terminated):
        show(unraisable)


def _end_a_stuck_process(code: int) -> None:
    """Ends a process that is still there: in C code, or waiting for a thread.

    What a signal raises behind the lock of a ``threading.Condition`` leaves it locked, and a pool of
    threads, ours or a library's, is then waited for in vain. A run loses nothing: it is resumed.
    """
    time.sleep(STUCK_SECONDS)
    os._exit(code)


def raise_if_stopped() -> None:
    """Raises again what a stop signal raised; asked between batches.

    A signal that arrives while C code calls back into Python (libsndfile reading a file) raises
    there, and cffi drops the exception: without this the run would go on. A part stops as well when the
    command that it belongs to has gone without a word, as by kill -9.
    """
    if signal.SIGINT in _received:
        raise KeyboardInterrupt
    if _received or _command_has_gone():
        raise Terminated


def _command_has_gone() -> bool:
    command = os.environ.get(COMMAND)
    if command is None:
        return False
    try:
        os.kill(int(command), 0)
    except OSError:  # no such process, or by now another user's
        return True
    return False


def _job_name() -> str:
    """Returns which job of a sweep is running, for its error line; empty outside a sweep."""
    composed = HydraConfig.get()
    if composed.mode != RunMode.MULTIRUN:
        return ""
    return f"job {composed.job.num}: "


def _fail(error: Exception, code: int, debug: bool, where: str = "") -> int:
    if isinstance(error, BrokenPipeError):  # nobody reads on: `end_with` ends the command
        raise error
    if debug:
        sys.excepthook(type(error), error, error.__traceback__)
    print(f"error: {where}{explained(error)}", file=sys.stderr)
    return code


def _check_arguments(config_name: str) -> None:
    """Raises unless what the arguments add to Hydra's configuration is safe to compose and run.

    Hydra itself instantiates callbacks, launchers, sweepers and logging handlers before a task
    sees its configuration, so its own section is composed and looked at first.
    """
    arguments = _arguments()
    if arguments.help or arguments.hydra_help or arguments.shell_completion:
        return
    if arguments.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun reads a pickle; it is not allowed here")
    if arguments.resolve and arguments.cfg is None:
        raise ConfigError("--resolve goes together with --cfg job")
    if any(
        override.lstrip("+~").startswith("hydra.searchpath") for override in arguments.overrides
    ):
        raise ConfigError("hydra.searchpath is not allowed; use --config-dir")
    if arguments.config_path is not None:
        raise ConfigError(
            "--config-path would replace whisperlab's own configuration; use --config-dir"
        )
    check_steps(arguments.overrides)
    search_path = create_config_search_path(str(CONF_DIR))
    _check_choices(arguments)
    if arguments.config_dir is not None:
        check_config_dir(Path(arguments.config_dir))
        search_path.prepend(
            provider="command-line", path=f"file://{Path(arguments.config_dir).resolve()}"
        )
    composer = Hydra.create_main_hydra2(task_name="check", config_search_path=search_path)
    try:
        composed = composer.compose_config(
            config_name=arguments.config_name or config_name,
            overrides=arguments.overrides,
            run_mode=RunMode.MULTIRUN,  # parses a sweep's overrides as well as a single run's
            with_log_configuration=False,
        )
    finally:
        GlobalHydra.instance().clear()
    _check_hydra_section(OmegaConf.to_container(composed.hydra, resolve=False))


def _check_choices(arguments: Namespace) -> None:
    """Raises for a group's choice that leaves the checked folders (``experiment=../../x``)."""
    folders = [CONF_DIR, *([Path(arguments.config_dir)] if arguments.config_dir else [])]
    for override in (*arguments.overrides, f"config={arguments.config_name or ''}"):
        key, _, choice = override.partition("=")
        group = key.lstrip("+~").partition("@")[0]
        is_group = "/" in group or any((folder / group).is_dir() for folder in folders)
        if (is_group or key == "config") and ".." in choice:
            raise ConfigError(f"{override}: a choice cannot leave its folder; use --config-dir")


def _arguments() -> Namespace:
    """Returns the parsed command line; argparse's usage and error become one line."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return get_args_parser().parse_args()
    except SystemExit as stop:
        if not stop.code:  # --version
            raise
        reason = said.getvalue().strip().rpartition("error: ")[2]
        unknown = reason.removeprefix("unrecognized arguments: ").split()
        known = [name for action in get_args_parser()._actions for name in action.option_strings]
        close = nearest(unknown[0], known) if reason.startswith("unrecognized") else None
        hint = f"; did you mean {close}?" if close else ""
        raise ConfigError(
            f"{reason}{hint}; options such as --config-dir DIR stand before key=value, --help lists them"
        ) from stop


def _check_hydra_section(section: Any) -> None:
    if section["callbacks"] or section["searchpath"]:
        raise ConfigError("hydra.callbacks and hydra.searchpath are not allowed; use --config-dir")
    if section["job"]["env_set"]:
        # It would reach WHISPERLAB_TRUSTED_PACKAGES, and with it what a target may name.
        raise ConfigError("hydra.job.env_set is not allowed; set variables in your shell")
    for name in ("launcher", "sweeper"):
        target = str(section[name]["_target_"])
        if not target.startswith(HYDRA_PLUGINS):
            raise ConfigError(f"hydra.{name}._target_: target not allowed: {target!r}")
    for name in ("job_logging", "hydra_logging"):
        if _holds_factory(section[name]):
            raise ConfigError(f"hydra.{name}: handlers and factories are not allowed")


def _holds_factory(node: Any) -> bool:
    if isinstance(node, Mapping):
        if {"()", "class"} & node.keys():
            return True
        return any(_holds_factory(value) for value in node.values())
    return isinstance(node, list) and any(_holds_factory(value) for value in node)
