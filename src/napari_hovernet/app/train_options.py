"""Choices of a training run by the names of their options: one table for every way to give them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from ..core.choices import Choice, walk
from ..core.params import LOSS_PRESETS, SCRATCH, TrainConfig
from ..errors import InputError

BUILT_IN = "compact"
PROGRAM = "napari-hovernet"


OPTIONS: Mapping[str, Choice] = {path: c for path, c in walk(TrainConfig) if c.option}
"""Choices that the command line offers, by where they are in a :class:`TrainConfig`."""


def value_at(config: Any, path: str) -> Any:
    """Return a choice by its path."""
    for name in path.split("."):
        config = getattr(config, name)
    return config


def config_from(given: Mapping[str, Any], preset: str = "", where: str = "") -> TrainConfig:
    """Make a configuration from what was given; paths become absolute."""
    config = TrainConfig()
    if preset:
        if preset not in LOSS_PRESETS:
            raise InputError(f"There is no loss {preset!r}; choose of {', '.join(LOSS_PRESETS)}.")
        config = replace(config, loss=LOSS_PRESETS[preset])
    keys = {path: known.option.replace("-", "_") for path, known in OPTIONS.items()}
    changes: dict[str, Any] = {
        path: given[key] for path, key in keys.items() if given.get(key) is not None
    }
    if given.get("data"):
        changes["data.sources"] = tuple(_absolute(str(path), where) for path in given["data"])
    if given.get("start"):
        changes["start"] = absolute_start(str(given["start"]), where)
    changes["name"] = given.get("name") or config.name
    made: TrainConfig = _changed(config, changes)
    return made


def _changed(config: Any, changes: Mapping[str, Any]) -> Any:
    """Put values at their paths, each part at once so that pairs of them can be checked."""
    own: dict[str, Any] = {path: v for path, v in changes.items() if "." not in path}
    for part in (f.name for f in fields(config) if is_dataclass(getattr(config, f.name))):
        inner = {path.partition(".")[2]: v for path, v in changes.items()
                 if path.startswith(f"{part}.")}  # fmt: skip
        if inner:
            own[part] = _changed(getattr(config, part), inner)
    return replace(config, **own)


def absolute_start(start: str, where: str = "") -> str:
    """Make the path of a model absolute; "compact" and "scratch:..." stay as they are."""
    if start == BUILT_IN or start.startswith(SCRATCH):
        return start
    return _absolute(start, where)


def _absolute(path: str, where: str) -> str:
    return os.path.abspath(os.path.join(where, os.path.expanduser(path)))


def default_name(config: TrainConfig, stamp: str) -> str:
    """Make a name of the model and a time."""
    stem = Path(config.start.removeprefix(SCRATCH)).stem
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem).strip("-_")
    return f"{plain or 'run'}-{stamp}"


def command_line(config: TrainConfig) -> str:
    """Return the command line that repeats a run, under a new name.

    What could change with the defaults of a later version is named as well.
    """
    words = [PROGRAM, "train"]
    for source in config.data.sources:
        words += ["--data", source]
    words += ["--start", config.start]
    for path, known in OPTIONS.items():
        value = value_at(config, path)
        if known.always or value != known.default:
            words += _words(known.option, value)
    return shlex.join(words)


def _words(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if value is None:
        return []
    if isinstance(value, tuple):
        if name == "save-epochs":
            return [f"--{name}", ",".join(map(str, value)) or "none"]
        return [f"--{name}", *map(str, value)]
    return [f"--{name}", str(value)]
