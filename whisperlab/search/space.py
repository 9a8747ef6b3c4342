"""A space of configurations as lines of overrides: every combination of the values of its keys.

Owns the product and the drawing from ranges. It does not know what the keys mean.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whisperlab.config.overrides import written
from whisperlab.errors import ConfigError, MissingExtraError

MOST_CONFIGURATIONS = 10_000
"""A larger product is a mistake: comparing all pairs of so many takes gigabytes."""


def combinations(space: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Returns the overrides of every combination, the last key varying fastest.

    >>> combinations({"quantization": ["none", "bfloat16"], "decode": {"beam_size": [1, 5]}})[1]
    ('quantization=none', 'decode.beam_size=5')
    >>> combinations({"preprocess": [[], ["loudness", "trim"]]})
    [('preprocess=[]',), ('preprocess=[loudness,trim]',)]
    >>> combinations({})
    []

    Raises:
        ConfigError: a key has no list of values, or there are too many combinations.
    """
    axes = []
    for key, values in _flat(space):
        if not isinstance(values, list) or not values:
            raise ConfigError(
                f"space.{key}: expected a list of values, got {values!r}; write [a,b]"
            )
        axes.append([f"{key}={written(value)}" for value in values])
    count = 1
    for axis in axes:
        count *= len(axis)
    if count > MOST_CONFIGURATIONS:
        raise ConfigError(
            f"space: expected at most {MOST_CONFIGURATIONS} combinations, got {count}; "
            "leave values out, or draw some of them by search.ranges"
        )
    return list(itertools.product(*axes)) if axes else []


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def listed(lines: Sequence[str]) -> list[tuple[str, ...]]:
    """Returns the overrides of each line, split as a shell would.

    >>> listed(["preset=turbo decode.beam_size=5"])
    [('preset=turbo', 'decode.beam_size=5')]
    """
    return [tuple(shlex.split(line)) for line in lines]


def drawn(ranges: Mapping[str, Any], samples: int, seed: int) -> list[tuple[str, ...]]:
    """Returns the overrides of ``samples`` settings drawn from the ranges, the same for a seed.

    Raises:
        ConfigError: a range is wrong.
        MissingExtraError: optuna is not installed.
    """
    if not samples:
        return []
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("optuna", "search", "search.ranges") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {key: _distribution(key, limits) for key, limits in _ranges(ranges)}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trials = [study.ask(distributions) for _ in range(samples)]
    return [
        tuple(f"{key}={written(value)}" for key, value in trial.params.items()) for trial in trials
    ]


def _ranges(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, value in node.items():
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"search.ranges.{prefix}{name}: expected {{low: 1, high: 8}}, got {value!r}"
            )
        if "low" in value:
            yield f"{prefix}{name}", value
        else:
            yield from _ranges(value, f"{prefix}{name}.")


def _distribution(key: str, limits: Mapping[str, Any]) -> Any:
    """Returns Optuna's distribution: of integers when both limits are."""
    from optuna.distributions import FloatDistribution, IntDistribution

    unknown = limits.keys() - {"low", "high", "log", "step"}
    numbers = [limits.get(name) for name in ("low", "high")]
    if unknown or not all(isinstance(number, (int, float)) for number in numbers):
        raise ConfigError(
            f"search.ranges.{key}: expected numbers low and high, perhaps log or step, got {dict(limits)}"
        )
    kind = IntDistribution if all(isinstance(one, int) for one in numbers) else FloatDistribution
    try:
        return kind(**limits)
    except ValueError as error:
        raise ConfigError(f"search.ranges.{key}: {error}") from error
