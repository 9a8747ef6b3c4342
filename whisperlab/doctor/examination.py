"""Examining this machine: each question asked of the real part, every answer a plain value.

Owns the questions. It does not know how answers look. Nothing that names a person, a folder or a
key leaves it.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final, get_args

import yaml

from whisperlab.config.build import build_transcriber
from whisperlab.config.compose import CONF_DIR, compose
from whisperlab.dataset.demo import FOLDER
from whisperlab.device import QuantizationName, resolve
from whisperlab.errors import WhisperlabError
from whisperlab.experiment.provenance import versions

CLIP: Final = "digits-00"
"""The clip of the demo set that every machine transcribes."""

SHOWN_VARIABLES: Final = (
    "CUDA_VISIBLE_DEVICES",
    "HF_HUB_OFFLINE",
    "OMP_NUM_THREADS",
    "PYTORCH_ENABLE_MPS_FALLBACK",
)
"""Variables whose values say nothing of a person."""

NAMED_VARIABLES: Final = (
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_TOKEN",
    "HTTPS_PROXY",
    "LD_LIBRARY_PATH",
    "WHISPERLAB_TRUSTED_PACKAGES",
)
"""Variables that matter, of which only is said that they are set: values may be secret or a folder."""

_EXTRA: Final = re.compile(r"""^(?P<name>[\w.-]+).*extra == ['"](?P<extra>[\w-]+)['"]""")
_DEVELOPMENT: Final = frozenset({"dev"})
_BYTES_IN_GIB: Final = 1 << 30
_BYTES_IN_MB: Final = 1_000_000
_MAX_REASON: Final = 160
_FOLDER: Final = re.compile(r"(?<![\w:/])~?/[^\s:;,'\"]+")
"""A path in a message; what follows a scheme (https://...) is none."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One clip through the model inside the package; ``problem`` is ``None`` where it worked."""

    quantization: str
    problem: str | None
    text: str | None = None
    load_seconds: float | None = None
    transcribe_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The default configuration on a clip whose text is known."""

    expected: str
    attempt: Attempt

    @property
    def passed(self) -> bool:
        """True if what came is what was said."""
        return self.attempt.text == self.expected


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional part: its packages, of which ``missing`` are not installed."""

    name: str
    packages: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cache:
    """Models of conf/model in the Hub's cache, sizes in MB of 10^6 bytes, and how many others."""

    models: tuple[tuple[str, float], ...]
    others: int


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was found."""

    versions: Mapping[str, str]
    system: str
    cores: int
    memory_gib: float | None
    device: str
    devices: tuple[str, ...]
    variables: Mapping[str, str]
    extras: tuple[Extra, ...]
    cache: Cache
    precisions: tuple[Attempt, ...]
    self_test: SelfTest


def examine(precisions: Sequence[str] | None = None) -> Examination:
    """Returns what works here; ``precisions`` are tried each, all of them if ``None``."""
    expected = clip_text()
    tried = [attempt(name) for name in (precisions or get_args(QuantizationName))]
    default = next((one for one in tried if one.quantization == "none"), None)
    return Examination(
        versions=dict(versions()),
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        cores=_cores(),
        memory_gib=_memory_gib(),
        device=resolve("auto"),
        devices=tuple(_devices()),
        variables=dict(_variables()),
        extras=tuple(extras()),
        cache=_cache(),
        precisions=tuple(tried),
        self_test=SelfTest(expected, default or attempt("none")),
    )


def clip_text() -> str:
    """Returns what is said in the clip."""
    rows = map(json.loads, (FOLDER / "manifest.jsonl").read_text(encoding="utf-8").splitlines())
    return next(str(row["text"]) for row in rows if row["id"] == CLIP)


def attempt(quantization: str) -> Attempt:
    """Returns what becomes of the clip under a precision, on the device that ``auto`` is here."""
    try:
        transcriber = build_transcriber(
            compose("transcriber", [f"quantization={quantization}", "decode.language=en"])
        )
        transcriber.load()
        before = perf_counter()
        transcript = transcriber.transcribe(FOLDER / f"{CLIP}.flac")
    except (WhisperlabError, ImportError) as error:  # a broken install is what is to be said
        return Attempt(quantization, without_folders(str(error)))
    return Attempt(
        quantization,
        None,
        transcript.text.strip(),
        transcriber.load_seconds,
        perf_counter() - before,
    )


def without_folders(message: str) -> str:
    """Returns a message's first words without any path of this machine.

    >>> without_folders("not found in /home/anna/models/x.bin; see https://hf.co/x")
    'not found in (path); see https://hf.co/x'
    """
    return _FOLDER.sub("(path)", " ".join(message.split()))[:_MAX_REASON]


def extras() -> Iterator[Extra]:
    """Yields the optional parts that the installed package declares, and what each lacks."""
    try:
        declared = importlib.metadata.requires("whisperlab") or []
    except importlib.metadata.PackageNotFoundError:
        return
    packages: dict[str, list[str]] = {}
    for line in declared:
        found = _EXTRA.match(line)
        if found is not None and found["extra"] not in _DEVELOPMENT:
            packages.setdefault(found["extra"], []).append(found["name"])
    for name, needed in sorted(packages.items()):
        yield Extra(name, tuple(needed), tuple(one for one in needed if not _is_installed(one)))


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _cores() -> int:
    """Returns the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _BYTES_IN_GIB, 1)


def _devices() -> Iterator[str]:
    import torch

    yield f"cpu: {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}: {about.name}, {about.total_memory / _BYTES_IN_GIB:.1f} GiB"
    if torch.backends.mps.is_available():
        yield "mps"


def _variables() -> Iterator[tuple[str, str]]:
    for name in SHOWN_VARIABLES:
        if name in os.environ:
            yield name, os.environ[name]
    for name in NAMED_VARIABLES:
        if name in os.environ:
            yield name, "(set)"


def _cache() -> Cache:
    """Returns which of our models the Hub's cache holds; of others only how many, names can be private."""
    from huggingface_hub import constants

    ours = {
        yaml.safe_load(path.read_text(encoding="utf-8")).get("source"): path.stem
        for path in (CONF_DIR / "model").glob("*.yaml")
    }
    found = []
    others = 0
    for folder in sorted(Path(constants.HF_HUB_CACHE).glob("models--*--*")):
        source = "/".join(folder.name.split("--")[1:])
        if source in ours:
            size = sum(path.stat().st_size for path in folder.glob("blobs/*") if path.is_file())
            found.append((ours[source], round(size / _BYTES_IN_MB, 1)))
        else:
            others += 1
    return Cache(tuple(found), others)
