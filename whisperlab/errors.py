"""Every error that whisperlab raises on purpose, on one page.

::

    WhisperlabError                 code, exit_code
    ├── ConfigError                 2   a setting, an override or a command line is wrong
    │   ├── UnsupportedOptionError  2   this engine or device cannot honour the option
    │   └── MissingExtraError       2   an optional package is not installed
    ├── DatasetError                4   a manifest or corpus is wrong; names file and line
    ├── ModelError                  5   a checkpoint cannot be found, read or trusted
    ├── AudioError                  3   one sound was refused; ``code`` says why
    ├── InferenceError              3   the engine failed on one batch or utterance
    │   └── OutOfMemoryError        3   ... for want of memory: a smaller batch may pass
    ├── WriteError                  74  the run folder cannot be written
    ├── ExecutorError               1   a part of a run does not finish; may carry the part's own code
    └── RunInUseError               75  another living process writes the run folder

``code`` is a stable snake_case word for programs (ledger records, HTTP bodies); the message is one
line for people: what was expected, what came, what to do. ``exit_code`` is what a command ends with
when the error ends it (INTERFACES: exit codes).
"""

from __future__ import annotations

from typing import Any, ClassVar


class WhisperlabError(Exception):
    """Root of the tree: carries a stable ``code`` and the command's ``exit_code``."""

    exit_code: ClassVar[int] = 1
    default_code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code: str = code if code is not None else self.default_code

    def __reduce__(self) -> tuple[Any, ...]:
        """Says how it comes out of a pickle: without ``__init__``, which kinds have of their own."""
        return type(self).__new__, (type(self), *self.args), self.__dict__


class ConfigError(WhisperlabError):
    """A setting, an override or a command line is wrong; the message names the full key."""

    exit_code = 2
    default_code = "invalid_config"


class UnsupportedOptionError(ConfigError):
    """The engine or device cannot honour an option; it is never silently ignored."""

    default_code = "unsupported_value"


class MissingExtraError(ConfigError):
    """An optional package is not installed; the message is the line that installs it."""

    default_code = "missing_extra"

    def __init__(self, package: str, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the package {package}, which is not installed; "
            f"run: pip install 'whisperlab[{extra}]'"
        )


class DatasetError(WhisperlabError):
    """A manifest or corpus is wrong; the message starts with ``file:line`` where there is one."""

    exit_code = 4
    default_code = "invalid_dataset"


class ModelError(WhisperlabError):
    """A checkpoint cannot be found, read or trusted."""

    exit_code = 5
    default_code = "model_not_loadable"


class AudioError(WhisperlabError):
    """One sound was refused; ``code`` is one of INTERFACES' list (``empty_file``, ...)."""

    exit_code = 3
    default_code = "invalid_audio"


class InferenceError(WhisperlabError):
    """The engine failed on a batch; the runner narrows it down to the utterance."""

    exit_code = 3
    default_code = "inference_failed"


class OutOfMemoryError(InferenceError):
    """Memory ran out during inference; a smaller batch may pass."""

    default_code = "out_of_memory"


class WriteError(WhisperlabError):
    """A run folder or an output file cannot be written (missing rights, full disk)."""

    exit_code = 74
    default_code = "cannot_write"


class ExecutorError(WhisperlabError):
    """A part of a run does not finish; ends the command with the part's own code where it has one."""

    default_code = "part_failed"

    def __init__(self, message: str, *, exit_code: int = WhisperlabError.exit_code) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc] # of this part, not of every such error


class RunInUseError(WhisperlabError):
    """Another living process holds the run folder's lock."""

    exit_code = 75
    default_code = "run_in_use"
