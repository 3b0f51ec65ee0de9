"""The files of a training run: configuration, events, state and commands; loads no torch."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UserError
from ..io.files import jsonable, load_json, output_error, write_json
from ..limits import check_file
from ..params import TrainConfig, config_as_dict, config_from_dict

VERSION = 1
"""Version of the form of a line of events; readers pass over lines with a higher one."""
MOST_BYTES = 2**24
"""Of a status or a command."""
COMMANDS = ("pause", "resume", "stop")
"""What a run can be asked for."""
STEP_SECONDS = 0.2
"""Least time between two steps that are written; the first and last of an epoch always are."""
STATUS_SECONDS = 1.0
"""Least time between two updates of the status while nothing but the step changes."""

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
"""Variables by which launchers number the processes of a training."""

log = logging.getLogger(__name__)


def is_first() -> bool:
    """Tell whether this is the process of a training that writes, and speaks for all of them."""
    return all(os.environ.get(name, "0") in {"", "0"} for name in RANKS)


def folder_for(path: Path) -> None:
    """Make the folder of a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path.parent, error) from error


class EventWriter:
    """Append events to a file; a line that was cut off is the only one that can be lost."""

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
        line = json.dumps(jsonable(event), allow_nan=False).encode() + b"\n"
        rest = memoryview(b"\n" + line if self._cut_off else line)
        self._cut_off = True
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise output_error(self.path, error) from error
        self._cut_off = False

    def close(self) -> None:
        """Close the file; nothing can be written afterwards."""
        self._file.close()

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _cut_off(path: Path) -> bool:
    with open(path, "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


class _Below:
    """A file at a fixed place below the folder of a run."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __get__(self, run: RunFolder, _: type | None = None) -> Path:
        return run.path / self._place


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path  # The run's own folder

    config_file = _Below("config.json")  # Configuration
    events = _Below("events.jsonl")  # What happened, one JSON object per line
    status_file = _Below("status.json")  # "state", "pid", "started", "updated", "message"
    control_file = _Below("control.json")  # What the run is asked for: "command"
    log = _Below("log.txt")  # What the process wrote to its outputs
    resume_file = _Below("checkpoints/last.ckpt")  # Everything needed to go on
    best = _Below("best.safetensors")  # Best model so far, by validation
    last = _Below("last.safetensors")  # Model after the last finished epoch
    report = _Below("report.html")
    pinned = _Below("preview/image.npz")  # The validation image whose maps are kept

    @property
    def name(self) -> str:
        """Name of the run: that of its folder."""
        return self.path.name

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
    folder_for(path)
    write_json(path, value)


def _read(path: Path) -> dict[str, Any]:
    try:
        check_file(path, "a JSON file", MOST_BYTES)
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


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
        ended = {"state": "failed", "message": message}
        for kind, fields in (("error", error), ("state", ended),
                             ("end", {**ended, "seconds": self.seconds})):  # fmt: skip
            with suppress(UserError):  # the disk may be full: each may still find its place
                self.write(kind, **fields)
        with suppress(UserError):
            self._update(**ended)

    def close(self) -> None:
        """Close the events."""
        if self._events is not None:
            self._events.close()

    def _update(self, **changes: Any) -> None:
        self._status |= {**changes, "updated": time.time()}
        self._updated = time.monotonic()
        if self.active:
            self._folder.write_status(self._status)
