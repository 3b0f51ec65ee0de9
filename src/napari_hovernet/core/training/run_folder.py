"""Where a training run keeps what."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io.atomic import atomic_path
from ..io.json_file import load_json
from .params import TrainConfig, config_as_dict, config_from_dict

STATES = ("queued", "starting", "running", "paused", "stopped", "done", "failed")
"""What a run can be; one whose process is gone while it says otherwise was killed."""
COMMANDS = ("pause", "resume", "stop")
"""What a run can be asked for."""


@dataclass(frozen=True)
class RunFolder:
    """The files of one run.

    Parameters
    ----------
    path : Path
        The run's own folder.

    Examples
    --------
    >>> RunFolder(Path("runs/a")).events.name
    'events.jsonl'
    """

    path: Path

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
        """Read the configuration back.

        Raises
        ------
        InputError
            If it is not there or cannot be used.
        """
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
