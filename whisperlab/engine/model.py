"""Which checkpoint to run, and how it comes to be a folder on this machine.

Owns ``ModelSpec``, the settings of ``conf/model``, and the way from a Hub id or a path to a local
folder that has been looked at (``engine/checkpoint.py``) and may be loaded. It does not load weights
and knows no engine. huggingface_hub is imported only when a Hub id is resolved.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, NoReturn

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from whisperlab.device import Device, Quantization
from whisperlab.engine import checkpoint
from whisperlab.engine.options import DecodeOptions
from whisperlab.errors import ConfigError, ModelError, UnsupportedOptionError

_HUB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")

FILES: Final = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "normalizer.json",
    "vocab.json",
    "merges.txt",
    checkpoint.WEIGHTS,
    checkpoint.INDEX,
    "model-*-of-*.safetensors",
)
"""What is fetched: never pickles or code, nor the second copy in float32 that some repositories hold."""

EMBEDDED: Final = "embedded:"
"""What a source begins with that names a checkpoint shipped in this package."""

EMBEDDED_FOLDER: Final = Path(__file__).parent / "embedded"

CONNECT_SECONDS: Final = 10.0
"""How long the Hub may take to answer at all: without a network huggingface_hub retries for 24 s."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class ModelSpec:
    """A checkpoint: its name in tables, where it is, and what it is.

    ``source`` is a Hub id (``openai/whisper-tiny``, pinned by ``revision``), a local folder
    (``revision`` is ``None``) or ``embedded:NAME`` for a checkpoint inside this package; ``None``
    means that the engine brings its own model.
    ``size_megabytes`` is the download's, 10^6 bytes.

    >>> ModelSpec(name="mine", source="/data/my-whisper").revision is None
    True
    """

    name: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    licence: str | None = None
    size_megabytes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    multilingual: bool = True
    note: str = ""


NO_MODEL: Final = ModelSpec(name="none", multilingual=False)
"""For engines that bring their own model; ``conf/model/none.yaml`` is the same."""


def resolve(spec: ModelSpec) -> Path:
    """Returns the local folder of ``spec``'s checkpoint, fetched if need be, looked at, not loaded.

    A checkpoint that is whole in the Hub's cache is used without asking the network.

    Raises:
        ConfigError: ``spec`` names no checkpoint.
        ModelError: it cannot be found or fetched, or is not safe to load; one line that names the
            cache folder, the offline switch and the local-path form.
    """
    if spec.source is None:
        raise ConfigError(
            f"model={spec.name} names no checkpoint and this engine needs one; "
            "choose one, such as model=tiny, or an engine that brings its own",
            code="missing_model",
        )
    source = spec.source
    path = Path(source).expanduser()
    if "\0" in source or ".." in path.parts:
        raise ModelError(
            f"model.source={source[:200]!r}: a path through '..' is not followed; "
            "give an absolute folder or a Hub id such as openai/whisper-tiny"
        )
    if source.startswith(EMBEDDED):
        folder = _local_folder(spec, EMBEDDED_FOLDER / source.removeprefix(EMBEDDED))
    elif path.is_absolute() or (spec.revision is None and path.is_dir()):
        folder = _local_folder(spec, path)
    else:
        folder = _hub_folder(spec, source)
    checkpoint.inspect(folder)
    return folder


def require_no_model(
    engine: str, model: ModelSpec, device: Device, quantization: Quantization
) -> None:
    """Checks the settings of an engine that brings its own model and runs on the processor.

    Raises:
        UnsupportedOptionError: a checkpoint, a precision or a GPU was asked for.
    """
    if model.source is not None:
        raise UnsupportedOptionError(
            f"engine={engine} brings its own model and cannot load model={model.name} "
            f"({model.source[:200]}); add model=none or choose engine=hf"
        )
    if quantization.name != "none":
        raise UnsupportedOptionError(
            f"engine={engine} has no quantisation, got quantization={quantization.name}; "
            "add quantization=none"
        )
    if device.kind not in ("cpu", "auto"):
        raise UnsupportedOptionError(
            f"engine={engine} runs on the processor alone, got device.kind={device.kind}; "
            "add device=cpu"
        )


def require_known_language(model: ModelSpec, options: DecodeOptions) -> None:
    """Checks that a checkpoint that knows English only is asked for nothing else.

    Raises:
        UnsupportedOptionError: another language, or translation.
    """
    if model.multilingual:
        return
    if options.language not in (None, "en"):
        raise UnsupportedOptionError(
            f"decode.language={options.language}: {model.name} knows English only; "
            "choose a model without .en"
        )
    if options.task != "transcribe":
        raise UnsupportedOptionError(
            f"decode.task={options.task}: {model.name} transcribes English only; "
            "choose a model without .en"
        )


def _local_folder(spec: ModelSpec, path: Path) -> Path:
    if spec.revision is not None:
        raise ModelError(
            f"model.source={spec.source} is a local folder, which has no revision, "
            f"got model.revision={spec.revision}; add model.revision=null"
        )
    if not path.is_dir():
        came = "a file" if path.is_file() else "nothing"
        raise ModelError(
            f"model.source={spec.source}: expected a folder with config.json and "
            f"{checkpoint.WEIGHTS}, found {came} there; give the folder that save_pretrained wrote"
        )
    return path


def _hub_folder(spec: ModelSpec, source: str) -> Path:
    """Returns the snapshot folder in the Hub's cache, downloading what is missing."""
    if not _HUB_ID.fullmatch(source):
        raise ModelError(
            f"model.source={source[:200]!r} is neither an existing folder nor a Hub id; "
            "expected /path/to/folder or organisation/name"
        )
    if spec.revision is None:
        raise ModelError(
            f"model.source={source} is not a folder here, and a Hub id must be pinned; "
            "add model.revision=<the 40 hex digits of a commit>, or give an existing folder"
        )
    from huggingface_hub import constants, errors, get_session, snapshot_download

    def snapshot(*, cached: bool) -> Path:
        return Path(
            snapshot_download(
                source,
                revision=spec.revision,
                allow_patterns=list(FILES),
                local_files_only=cached,
            )
        )

    failures = (
        OSError,  # no rights, full disk, HfHubHTTPError (401, 404, 5xx), not in the cache
        ValueError,  # HFValidationError: the Hub does not allow such an id
        # no connection, time-out; from httpx or httpx2 as huggingface_hub has it, hence through it
        errors.HTTPError,  # type: ignore[attr-defined]
        errors.EntryNotFoundError,
        errors.RevisionResolutionError,
        errors.XetDownloadError,
    )
    with _quiet_retries():
        try:
            folder = snapshot(cached=True)
            if _looks_whole(folder):
                return folder
        except failures as error:
            if constants.HF_HUB_OFFLINE:
                _not_fetched(spec, "HF_HUB_OFFLINE is set and the cache does not hold it", error)
        if constants.HF_HUB_OFFLINE:
            _not_fetched(spec, "HF_HUB_OFFLINE is set and the cache holds only a part of it", None)
        try:
            get_session().head(constants.ENDPOINT, timeout=CONNECT_SECONDS)
            return snapshot(cached=False)
        except failures as error:
            lines = str(error).strip().splitlines()
            reason = f"{type(error).__name__}: {lines[0][:200] if lines else 'no details'}"
            _not_fetched(spec, reason, error)


def _looks_whole(folder: Path) -> bool:
    """True when no file that loading needs is missing; what is there is whole, the Hub sees to that."""
    tokenizer = (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file()
    if not (tokenizer and (folder / "preprocessor_config.json").is_file()):
        return False
    try:
        return bool(checkpoint.weight_files(folder))
    except ModelError:
        return False


def _not_fetched(spec: ModelSpec, reason: str, cause: Exception | None) -> NoReturn:
    from huggingface_hub import constants

    size = f" ({spec.size_megabytes:.0f} MB)" if spec.size_megabytes is not None else ""
    raise ModelError(
        f"model {spec.source} at {spec.revision}{size} could not be fetched: {reason}; "
        f"cache folder: {constants.HF_HUB_CACHE}; to work offline run 'hf download {spec.source} "
        f"--revision {spec.revision}' where there is a network, copy the cache folder here and set "
        "HF_HUB_OFFLINE=1, or give a local folder: model.source=/path/to/folder model.revision=null",
        code="model_not_found",
    ) from cause


@contextmanager
def _quiet_retries() -> Iterator[None]:
    """Keeps huggingface_hub's retry warnings off the screen: the error that follows says it once."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
