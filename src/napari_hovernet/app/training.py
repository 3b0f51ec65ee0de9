"""Before a training run: its configuration, a look at the data, what it will take, its start."""

from __future__ import annotations

import math
import os
import shlex
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.choices import options
from ..core.io.files import output_error
from ..core.params import LOSS_PRESETS, SCRATCH, DataParams, TrainConfig
from ..core.types import Progress
from ..errors import InputError, UserError
from .runs import RunInfo, RunStore, is_built_in, say_what_is_missing
from .watch import duration, last_event, number

if TYPE_CHECKING:
    from ..core.training.check import DataReport
    from ..core.training.files import RunFolder
    from ..core.types import ModelInfo

PROGRAM = "napari-hovernet"
DATA = "data"
"""Folder of a run for pairs made of a viewer's layers."""
FAMILY_DATA = "data/family_data"
"""Where the files of a family are looked for when no data are named."""
PROCESS_BYTES = 0.8e9
"""Python with torch and Lightning."""
PARAMETER_BYTES, FROZEN_BYTES = 16, 4
"""Weight, gradient and the optimiser's two moments, float32."""


# Choices


def config_from(given: Mapping[str, Any], preset: str = "", where: str = "") -> TrainConfig:
    """Make a configuration of what was given by option names; paths become absolute."""
    config = TrainConfig()
    if preset:
        if preset not in LOSS_PRESETS:
            raise InputError(f"There is no loss {preset!r}; choose of {', '.join(LOSS_PRESETS)}.")
        config = replace(config, loss=LOSS_PRESETS[preset])
    keys = {path: known.option.replace("-", "_") for path, known in options(TrainConfig).items()}
    changes: dict[str, Any] = {
        path: given[key] for path, key in keys.items() if given.get(key) is not None
    }
    if given.get("data"):
        changes["data.sources"] = tuple(_absolute(str(path), where) for path in given["data"])
    elif given.get("family") and Path(usual := _absolute(FAMILY_DATA, where)).is_dir():
        changes["data.sources"] = (usual,)
    if given.get("types"):
        changes["data.types"] = _absolute(str(given["types"]), where)
    if given.get("val_data"):
        changes["data.validation"] = tuple(_absolute(str(p), where) for p in given["val_data"])
    if start := str(given.get("start") or ""):
        changes["start"] = start if is_built_in(start) else _absolute(start, where)
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


def _absolute(path: str, where: str) -> str:
    return os.path.abspath(os.path.join(where, os.path.expanduser(path)))


def default_name(config: TrainConfig, stamp: str) -> str:
    """Make a name of the model and a time."""
    stem = Path(config.start.removeprefix(SCRATCH)).stem
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem).strip("-_")
    return f"{plain or 'run'}-{stamp}"


def command_line(config: TrainConfig) -> str:
    """Return the command line that repeats a run, under a new name, in later versions too."""
    words = [PROGRAM, "train"]
    for source in config.data.sources:
        words += ["--data", source]
    for source in config.data.validation:
        words += ["--val-data", source]
    words += ["--start", config.start]
    for path, known in options(TrainConfig).items():
        value: Any = config
        for name in path.split("."):
            value = getattr(value, name)
        if known.always or value != known.default:
            words += _words(known.option, value)
    return shlex.join(words)


def _words(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if value is None:
        return []
    if name == "save-epochs":
        return [f"--{name}", ",".join(map(str, value)) or "none"]
    return [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]


# A look at the data


def look_at_data(config: TrainConfig) -> DataReport:
    """Read the data and report on them: coverage, touching nuclei, label problems ..."""
    return _looked_at(config)[0]


def counted(config: TrainConfig) -> str:
    """Say how many images there are, by their names and headers alone."""
    from ..core.data.load import datasets  # noqa: PLC0415 - on first use

    say_what_is_missing(config)
    numbers = []
    for places in (config.data.sources, config.data.validation):
        family = config.data.family if places is config.data.sources else ""
        found = [data for place in places for data in datasets(Path(place), family)]
        numbers.append(sum(len(d.pairs) if d.pairs or d.unpaired else len(d) for d in found))
    more = f" and {numbers[1]:,} to validate on" if config.data.validation else ""
    return f"{numbers[0]:,} images with labels{more}; reading them ..."


def _looked_at(config: TrainConfig) -> tuple[DataReport, int]:
    """Return the report and the pixels that are trained on."""
    from ..core.training.check import check_data, load_data  # noqa: PLC0415 - no lightning

    say_what_is_missing(config)
    loaded = load_data(config)
    return check_data(loaded), sum(math.prod(sample.shape) for sample in loaded.train)


@dataclass(frozen=True)
class Checked:
    """What was found in training data."""

    data: DataParams  # The data that were looked at
    start: str = ""  # The starting point of the training they are for
    summary: str = ""  # One line
    problems: tuple[str, ...] = ()  # What has to be mended
    warnings: tuple[str, ...] = ()  # What is odd
    findings: tuple[str, ...] = ()  # What is in order, and what was assumed
    refused: bool = False  # Whether they cannot be trained on
    pixels: int = 0  # That are trained on

    def of(self, config: TrainConfig) -> bool:
        """Whether it was found in the data of this very configuration."""
        return (self.data, self.start) == (config.data, config.start)


def check_steps(config: TrainConfig) -> Generator[Progress, None, Checked]:
    """Read training data and report on them; data that cannot be read are refused."""
    yield Progress(0, 0, "Reading the training data ...")
    try:
        yield Progress(0, 0, counted(config))
        report, pixels = _looked_at(config)
    except UserError as error:
        return Checked(config.data, config.start, problems=(str(error),), refused=True)
    fault, warn, fine = (report.words(verdict) for verdict in ("fault", "warn", "ok"))
    return Checked(config.data, config.start, report.summary, fault, warn, (*fine, *report.notes),
                   report.refused, pixels)  # fmt: skip


def start_steps(
    store: RunStore, config: TrainConfig, staged: Sequence[Path] = ()
) -> Generator[Progress, None, str]:
    """Make a run and start its process; ``staged`` data, which may change, are copied into it."""
    yield Progress(0, 0, "Starting ...")
    run = store.create(config)
    try:
        _copy_data(run, [path for path in staged if str(path) in config.data.sources])
        store.start(run.name)
    except UserError:
        store.remove(run.name)
        raise
    return run.name


def _copy_data(run: RunFolder, folders: Sequence[Path]) -> None:
    """Copy data into a run's own folder, so that it can be resumed whatever becomes of them."""
    if not folders:
        return
    own: dict[str, str] = {}
    for folder in folders:
        target = run.path / (f"{DATA}-{len(own) + 1}" if own else DATA)
        try:
            shutil.copytree(folder, target)
        except OSError as error:  # shutil.Error is one
            raise output_error(target, error) from error
        own[str(folder)] = str(target)
    made = run.read_config()
    sources = tuple(own.get(source, source) for source in made.data.sources)
    run.write_config(replace(made, data=replace(made.data, sources=sources)))


# How long it will take and how much memory, about


@dataclass(frozen=True)
class Estimate:
    """What a training will take."""

    memory: float  # Bytes of the training process (on a GPU: most of them there)
    seconds_per_step: float  # NaN if not known
    steps: int = 0  # In all, validation left out
    from_run: str = ""  # Run whose measured speed was taken, "" = a rough figure for two CPU cores

    @property
    def words(self) -> str:
        """One line, "" if nothing is known."""
        known, source = [], f"as run {self.from_run} went" if self.from_run else "roughly, on CPU"
        if not math.isnan(self.seconds_per_step):
            each = f"{self.seconds_per_step:.2g} s per step"
            total = self.seconds_per_step * self.steps
            known.append(f"{duration(total) if self.steps else each}, {source}")
        known += [] if math.isnan(self.memory) else [f"{self.memory / 1e9:.1f} GB"]
        return f"About {'; '.join(known)}." if known else ""


def estimate(
    config: TrainConfig, info: ModelInfo | None, runs: Iterable[RunInfo], pixels: int = 0
) -> Estimate:
    """Estimate from the sizes of network, batch and data (``pixels``), and from former runs."""
    from ..core.networks.registry import Network, class_of, names  # noqa: PLC0415 - loads torch

    name = info.architecture if info else config.start.removeprefix(SCRATCH)
    network = class_of(name) if name in names() else Network
    parameters = info.parameters if info else network.usual_parameters
    optim = config.optim
    step = optim.batch * config.data.crop**2
    weights = parameters * (FROZEN_BYTES if optim.freeze == "all but heads" else PARAMETER_BYTES)
    rate, run = _rate(config, runs)
    return Estimate(
        PROCESS_BYTES + weights + network.training_bytes * step,
        step / rate if rate else step * network.training_seconds,
        (optim.steps_per_epoch or math.ceil(pixels / step)) * optim.epochs,
        run,
    )


def _rate(config: TrainConfig, runs: Iterable[RunInfo]) -> tuple[float, str]:
    """Return pixels per second of a former run like this one, and its name; (0, "") if none."""
    for run in runs:
        other = run.config
        if other is None or (other.start, other.device) != (config.start, config.device):
            continue
        speed = number((last_event(run.folder.events, "step") or {}).get("images_per_s"))
        if speed > 0:
            return speed * other.data.crop**2, run.name
    return 0.0, ""
