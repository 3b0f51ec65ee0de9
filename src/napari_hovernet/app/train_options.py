"""Choices of a training run by the names of their options: one table for every way to give them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from ..core.params import FREEZING, LOSS_PRESETS, SCHEDULES, SCRATCH, TrainConfig
from ..core.params import TRAIN_PRECISIONS as PRECISIONS
from ..errors import InputError

BUILT_IN = "compact"
PROGRAM = "napari-hovernet"


@dataclass(frozen=True)
class Option:
    """An option of the command line, and the choice it stands for.

    Parameters
    ----------
    name : str
        Without dashes in front: "lambda-hv".
    path : str
        Where the choice is in a :class:`TrainConfig`: "loss.lambda_hv".
    text : str
        What it is.
    choices : tuple of str
        What can be given, if that is a list.
    always : bool
        Whether :func:`command_line` names it even where it is the default.
    """

    name: str
    path: str
    text: str
    choices: tuple[str, ...] = ()
    always: bool = False

    @property
    def key(self) -> str:
        """Name among parsed options."""
        return self.name.replace("-", "_")

    @property
    def default(self) -> Any:
        """Value where nothing is given."""
        return value_at(TrainConfig(), self.path)


OPTIONS: Mapping[str, tuple[Option, ...]] = {
    "data": (
        Option("family", "data.family", "organ family of a token decoder: epidermal ..."),
        Option("val-fraction", "data.val_fraction", "share of the source images for validation"),
        Option("max-val", "data.max_val", "validation images scored after each epoch at most"),
        Option("crop", "data.crop", "edge of the crops in pixels", always=True),
        Option("hv-convention", "data.hv_convention", "of stored HV targets: auto or a preset"),
    ),
    "training": (
        Option("epochs", "optim.epochs", "times the data are gone through", always=True),
        Option("batch", "optim.batch", "crops at a time", always=True),
        Option("steps-per-epoch", "optim.steps_per_epoch", "default: the area once"),
        Option("lr", "optim.lr", "learning rate", always=True),
        Option("schedule", "optim.schedule", "how the rate changes", SCHEDULES, always=True),
        Option("warmup-steps", "optim.warmup_steps", "steps over which the rate rises from 0"),
        Option("weight-decay", "optim.weight_decay", "of AdamW"),
        Option("clip", "optim.clip", "largest norm of the gradient, 0 = any"),
        Option("freeze", "optim.freeze", "what stays as it is", FREEZING, always=True),
        Option("save-epochs", "save_epochs", "epochs whose models are kept: 5,10 or none"),
        Option("seed", "seed", "same seed, same run", always=True),
    ),
    "loss": (
        Option("lambda-np", "loss.lambda_np", "weight of the nucleus head", always=True),
        Option("lambda-hv", "loss.lambda_hv", "weight of the HV head", always=True),
        Option("lambda-nt", "loss.lambda_nt", "weight of the type head", always=True),
        Option("lambda-gradient", "loss.lambda_gradient", "within HV: of its slope", always=True),
        Option("lambda-magnitude", "loss.lambda_magnitude", "within HV: of its length. It buys "
               "length, not direction", always=True),
        Option("adaptive-loss", "loss.adaptive", "learn the weights of the heads"),
        Option("nt-inside-only", "loss.nt_inside_only", "type loss in nuclei alone"),
        Option("epsilon", "loss.epsilon", "under the root of the length"),
        Option("dice-smooth", "loss.dice_smooth", "added to both sides of Dice"),
    ),
    "augmentation": (
        Option("augment", "augment.on", "vary the crops", always=True),
        Option("flips", "augment.flips", "flips and quarter turns"),
        Option("p-rotate", "augment.p_rotate", "how often turned freely, 0..1"),
        Option("scale", "augment.scale", "least and largest magnification"),
        Option("p-stain", "augment.p_stain", "how often other stain strengths"),
        Option("stain-gain", "augment.stain_gain", "weakest and strongest stain"),
        Option("stain-vectors", "augment.stain_vectors", "spread of the stain colours"),
        Option("p-tone", "augment.p_tone", "how often other tone and contrast"),
        Option("p-blur", "augment.p_blur", "how often blurred"),
        Option("p-noise", "augment.p_noise", "how often noisy"),
        Option("p-jpeg", "augment.p_jpeg", "how often compressed"),
    ),
    "machine": (
        Option("device", "device", "auto, cpu, cuda or mps"),
        Option("devices", "devices", "GPUs of each machine"),
        Option("num-nodes", "num_nodes", "machines; see --prepare"),
        Option("precision", "precision", "arithmetic", PRECISIONS),
        Option("num-workers", "num_workers", "processes that load data, 0 = the training itself"),
        Option("threads", "threads", "CPU threads, 0 = all"),
    ),
}  # fmt: skip
"""All options but those of the data themselves, the model and the run, by group."""


def value_at(config: Any, path: str) -> Any:
    """Return a choice by its path.

    Examples
    --------
    >>> value_at(TrainConfig(), "loss.lambda_hv")
    2.0
    """
    for name in path.split("."):
        config = getattr(config, name)
    return config


def config_from(given: Mapping[str, Any], preset: str = "", where: str = "") -> TrainConfig:
    """Make a configuration from what was given; paths become absolute.

    Parameters
    ----------
    given : mapping
        Values by ``Option.key``, and "data", "start", "name"; None = not given.
    preset : str
        Weights of the loss to begin with, one of ``LOSS_PRESETS``; "" = the default.
    where : str
        Folder that relative paths start from; default the current one.

    Raises
    ------
    InputError
        If a value is out of range or the preset is not known.

    Examples
    --------
    >>> config_from({"lambda_magnitude": 0.0}, "expert fix").loss.lambda_hv
    3.0
    """
    config = TrainConfig()
    if preset:
        if preset not in LOSS_PRESETS:
            raise InputError(f"There is no loss {preset!r}; choose of {', '.join(LOSS_PRESETS)}.")
        config = replace(config, loss=LOSS_PRESETS[preset])
    changes: dict[str, Any] = {
        option.path: given[option.key]
        for options in OPTIONS.values()
        for option in options
        if given.get(option.key) is not None
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
    """Make a name of the model and a time.

    Examples
    --------
    >>> default_name(TrainConfig(start="/models/my net.tar"), "1124-1030")
    'my-net-1124-1030'
    """
    stem = Path(config.start.removeprefix(SCRATCH)).stem
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem).strip("-_")
    return f"{plain or 'run'}-{stamp}"


def command_line(config: TrainConfig) -> str:
    """Return the command line that repeats a run, under a new name.

    What could change with the defaults of a later version is named as well.

    Examples
    --------
    >>> line = command_line(TrainConfig(data=replace(TrainConfig().data, sources=("my data",))))
    >>> line[:61]
    "napari-hovernet train --data 'my data' --start compact --crop"
    """
    words = [PROGRAM, "train"]
    for source in config.data.sources:
        words += ["--data", source]
    words += ["--start", config.start]
    for option in (option for options in OPTIONS.values() for option in options):
        value = value_at(config, option.path)
        if option.always or value != option.default:
            words += _words(option.name, value)
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
