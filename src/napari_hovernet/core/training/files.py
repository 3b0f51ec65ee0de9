"""What a training run has to remember, and the files it remembers it in."""

from __future__ import annotations

import io
import json
import logging
import math
import os
import pickle
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import nn

from ...errors import CheckpointError, UserError
from ..checkpoint import save_model
from ..checkpoint.header import finite
from ..io.files import atomic_path, load_json, output_error
from ..networks.registry import Network
from ..params import TrainConfig, config_as_dict, config_from_dict
from ..types import Model, ModelInfo

SCHEMA = 1
"""Version of the form of a resume file; others are refused."""
PARTS = ("network", "loss", "optimizer", "precision", "random", "position", "header", "data")
"""What a resume file must hold beside its schema."""
FAMILY = "optimus"
"""Architecture whose checkpoints other programs of its family read as well."""
EARLIER = "earlier"
"""Where the training arguments of the starting model are kept."""


@dataclass
class Position:
    """Where a run stands; everything about it that is neither weights nor random numbers."""

    step: int = 0  # Steps done
    scored: int = -1  # Last epoch that was validated
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = -1  # Epoch of the best model so far, -1 = none yet
    best_score: float = 0.0  # Its score
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0  # Steps in ``sums``.
    seconds: float = 0.0  # Time spent in the present epoch

    def add(self, terms: Mapping[str, float]) -> None:
        """Count the loss terms of a step."""
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.counted += 1

    def means(self) -> dict[str, float]:
        """Mean loss terms of the present epoch; {} before its first step."""
        return {name: value / self.counted for name, value in self.sums.items()}

    def next_epoch(self) -> None:
        """Start counting anew."""
        self.sums, self.counted, self.seconds = {}, 0, 0.0


def random_state() -> dict[str, Any]:
    """Take down where the random numbers of torch, numpy and Python stand."""
    kind, keys, place, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": {
            "kind": str(kind),
            "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
            "rest": (int(place), int(has_gauss), float(cached)),
        },
        "python": random.getstate(),
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go back to where :func:`random_state` was called."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    numpy = state["numpy"]
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state((numpy["kind"], keys, *numpy["rest"]))  # noqa: NPY002
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))


def seed_everything(seed: int) -> None:
    """Start the random numbers of torch, numpy and Python from a seed."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)


def save_resume(path: Path, state: Mapping[str, Any]) -> None:
    """Write a resume file: to a temporary name, flushed, then put in place."""
    buffer = io.BytesIO()  # in memory first: torch turns a full disk into a RuntimeError
    torch.save({"schema": SCHEMA, **state}, buffer)
    folder_for(path)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(buffer.getbuffer())


def load_resume(path: Path) -> dict[str, Any]:
    """Read a resume file; never runs code in it."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(
            f"Cannot read {path}: {error.strerror or error}; start the run anew."
        ) from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise CheckpointError(
            f"{path} is damaged ({first}); start a new run from best.safetensors beside it."
        ) from error
    if not isinstance(state, dict) or state.get("schema") != SCHEMA:
        raise CheckpointError(
            f"{path} was written by another version; start a new run from best.safetensors."
        )
    missing = [name for name in PARTS if name not in state]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}; start the run anew.")
    return state


def folder_for(path: Path) -> None:
    """Make the folder of a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path.parent, error) from error


def all_finite(module: nn.Module) -> bool:
    """Tell whether all weights and buffers are finite."""
    values = module.state_dict().values()
    return all(finite(value.cpu()) for value in values if value.is_floating_point())


def save_product(
    network: Network,
    info: ModelInfo,
    config: TrainConfig,
    history: Sequence[Mapping[str, Any]],
    path: Path,
) -> None:
    """Write a model as it stands, with all that is known of its training.

    A token decoder is also written as ``.pth`` beside, in its family's own form.
    """
    training: dict[str, Any] = config_as_dict(config)
    before = {k: v for k, v in info.training.items() if k != EARLIER}
    if before:
        training[EARLIER] = before
    described = replace(info, training=training, history=tuple(history))
    folder_for(path)
    model = Model(network, described, torch.device("cpu"))
    save_model(model, path)
    if described.architecture == FAMILY:
        save_model(model, path.with_suffix(".pth"))


VERSION = 1
"""Version of the form of a line; readers pass over lines with a higher one."""
KINDS = (
    *("start", "step", "heads", "epoch", "preview", "checkpoint", "state", "error", "end"),
    "damaged",
)
"""What a line can be about; "damaged" is never written: it stands for a line nobody can read."""
SHOWN = 60
"""Characters of a damaged line that its note shows."""


class EventWriter:
    """Append events to a file, each on the disk's way before the next.

    A file that is there is continued. If its last line was cut off (a killed process, a full disk)
    the next event starts on a line of its own, so that one line is lost at most.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - closed by close()
            self._cut_off = _cut_off(self.path)
        except OSError as error:
            raise output_error(self.path, error) from error

    def write(self, kind: str, /, **fields: Any) -> None:
        """Write one event."""
        event = {"v": VERSION, "t": round(time.time(), 3), "event": kind, **fields}
        line = json.dumps(_plain(event), allow_nan=False).encode() + b"\n"
        try:
            if self._cut_off:
                line = b"\n" + line
            self._cut_off = True
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]
            self._cut_off = False
        except OSError as error:
            raise output_error(self.path, error) from error

    def close(self) -> None:
        """Close the file; nothing can be written afterwards."""
        self._file.close()

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_events(path: str | os.PathLike[str], offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Read what was appended since the last time."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    events = [_event(line) for line in whole.split(b"\n") if line.strip()]
    return events, offset + len(whole)


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):  # not JSON, or not UTF-8
        return _damaged(line, "it is cut off or not JSON")
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return _damaged(line, "it names no event")
    version, moment = event.get("v"), event.get("t")
    if not isinstance(version, int) or not isinstance(moment, int | float):
        return _damaged(line, "it has no version or time")
    if version > VERSION:
        return _damaged(line, f"it is of version {version}: update napari-hovernet")
    return event


def _damaged(line: bytes, why: str) -> dict[str, Any]:
    shown = line[:SHOWN].decode("utf-8", "replace")
    message = f"A line of the events was passed over ({why}): {shown}"
    return {"v": VERSION, "t": 0.0, "event": "damaged", "message": message}


def _cut_off(path: Path) -> bool:
    with open(path, "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _plain(value: Any) -> Any:
    """Turn a value into what JSON knows."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):  # numpy and torch, scalars and arrays
        return _plain(value.tolist())
    return str(value)


STATES = ("queued", "starting", "running", "paused", "stopped", "done", "failed")
"""What a run can be; one whose process is gone while it says otherwise was killed."""
COMMANDS = ("pause", "resume", "stop")
"""What a run can be asked for."""


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path  # The run's own folder

    @property
    def name(self) -> str:
        """Name of the run: that of its folder."""
        return self.path.name

    @property
    def config_file(self) -> Path:
        """Configuration, JSON."""
        return self.path / "config.json"

    @property
    def events(self) -> Path:
        """What happened, one JSON object per line."""
        return self.path / "events.jsonl"

    @property
    def status_file(self) -> Path:
        """State now, JSON: "state", "pid", "started", "updated", "message"."""
        return self.path / "status.json"

    @property
    def control_file(self) -> Path:
        """What the run is asked for, JSON: "command"."""
        return self.path / "control.json"

    @property
    def log(self) -> Path:
        """What the process wrote to its outputs."""
        return self.path / "log.txt"

    @property
    def resume_file(self) -> Path:
        """Everything needed to go on: weights, optimiser, schedule, random numbers."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best(self) -> Path:
        """Best model so far, by validation."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """Model after the last finished epoch."""
        return self.path / "last.safetensors"

    @property
    def report(self) -> Path:
        """Report page."""
        return self.path / "report.html"

    def model_of(self, epoch: int) -> Path:
        """Return where the model kept after an epoch (from 1) lies."""
        return self.path / "checkpoints" / f"epoch_{epoch:04d}.safetensors"

    def preview_of(self, epoch: int) -> Path:
        """Return where the pinned image's maps after an epoch lie (0 = before the first)."""
        return self.path / "preview" / f"epoch_{epoch:04d}.npz"

    def write_config(self, config: TrainConfig) -> None:
        """Write the configuration."""
        _write(self.config_file, config_as_dict(config))

    def read_config(self) -> TrainConfig:
        """Read the configuration back."""
        return config_from_dict(load_json(self.config_file), str(self.config_file))

    def write_status(self, status: dict[str, Any]) -> None:
        """Write the state in one step."""
        _write(self.status_file, status)

    def read_status(self) -> dict[str, Any]:
        """Read the state; {} while there is none, or it is being replaced."""
        return _read(self.status_file)

    def write_command(self, command: str) -> None:
        """Ask the run for something out of ``COMMANDS``."""
        _write(self.control_file, {"command": command})

    def read_command(self) -> str:
        """Return what the run was asked for last, "" if nothing."""
        command = _read(self.control_file).get("command", "")
        return command if command in COMMANDS else ""


def _write(path: Path, value: dict[str, Any]) -> None:
    os.makedirs(path.parent, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


STEP_SECONDS = 0.2
"""Least time between two steps that are told; the first and last of an epoch always are."""
STATUS_SECONDS = 1.0
"""Least time between two updates of the status while nothing but the step changes."""

log = logging.getLogger(__name__)


class Journal:
    """Writes events and status of a run."""

    def __init__(self, folder: RunFolder, active: bool = True) -> None:
        self.active = active
        self._folder = folder
        self._events = EventWriter(folder.events) if active else None
        self._began = time.time()
        self._told = self._updated = 0.0
        self._status: dict[str, Any] = {
            "state": "starting",
            "pid": os.getpid(),
            "started": self._began,
            "updated": self._began,
            "epoch": 0,
            "step": 0,
            "message": "",
        }

    @property
    def seconds(self) -> float:
        """Time since the process began to tell."""
        return time.time() - self._began

    def write(self, kind: str, /, **fields: Any) -> None:
        """Write an event."""
        if self._events is not None:
            self._events.write(kind, **fields)

    def state(self, state: str, message: str = "") -> None:
        """Write a new state, into both files."""
        self.write("state", state=state, message=message)
        self._update(state=state, message=message)

    def step(self, always: bool, fields: Mapping[str, Any]) -> bool:
        """Write a step unless one was written just before; tell whether it was."""
        now = time.monotonic()
        if not always and now - self._told < STEP_SECONDS:
            return False
        self._told = now
        self.write("step", **fields)
        if now - self._updated >= STATUS_SECONDS:
            self._update(epoch=fields["epoch"], step=fields["step"])
        return True

    def at(self, epoch: int, step: int) -> None:
        """Write where the run stands into the status."""
        self._update(epoch=epoch, step=step)

    def end(self, state: str, message: str) -> None:
        """Write the last event and state."""
        self.write("end", state=state, message=message, seconds=self.seconds)
        self._update(state=state, message=message)

    def failed(self, error: Mapping[str, Any]) -> None:
        """Write what went wrong, as far as the folder still takes it."""
        log.error("%s", error["message"])
        message = str(error["message"])
        with suppress(UserError):  # the disk may be full: each may still find its place
            self.write("error", **error)
        with suppress(UserError):
            self.write("state", state="failed", message=message)
        with suppress(UserError):
            self.write("end", state="failed", message=message, seconds=self.seconds)
        with suppress(UserError):
            self._update(state="failed", message=message)

    def close(self) -> None:
        """Close the events."""
        if self._events is not None:
            self._events.close()

    def _update(self, **changes: Any) -> None:
        self._status |= {**changes, "updated": time.time()}
        self._updated = time.monotonic()
        if self.active:
            self._folder.write_status(self._status)
