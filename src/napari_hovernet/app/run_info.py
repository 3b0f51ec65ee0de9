"""A training run in a list: what can be told without reading its whole history."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.params import TrainConfig
from ..core.training.files import RunFolder
from ..errors import UserError
from .run_state import BROKEN, RESUMABLE, RunState, state_of
from .run_tail import last_event
from .run_view import numbers_in, whole


@dataclass(frozen=True)
class RunInfo:
    """A run in a list."""

    name: str
    folder: RunFolder
    state: str  # As in :class:`RunState`: one of ``STATES``, or "killed", "new" or "broken".
    message: str = ""  # As in :class:`RunState`: one of ``STATES``, or "killed", "new" or "broken".
    pid: int | None = None
    config: TrainConfig | None = None  # None if it cannot be read ("broken": the message says why)
    created: float = 0.0  # Unix seconds
    updated: float = 0.0  # Unix seconds
    epoch: int = 0  # Last finished epoch, and how many there are to be
    n_epochs: int = 0  # Last finished epoch, and how many there are to be
    val: tuple[tuple[str, float], ...] = ()  # Scores of the last finished epoch
    can_resume: bool = False  # Whether :meth:`RunStore.resume` can start it again

    @property
    def active(self) -> bool:
        """Whether it has a process, be it waiting or paused."""
        return RunState(self.state).active

    def score(self, name: str) -> float:
        """Return a validation score of the last finished epoch, NaN if it is not known."""
        return dict(self.val).get(name, float("nan"))


def info_of(folder: RunFolder) -> RunInfo:
    """Return what is known of a run; "broken" if its configuration cannot be read."""
    state = state_of(folder)
    last = last_event(folder.events, "epoch") or {}
    known: dict[str, Any] = {
        "name": folder.name,
        "folder": folder,
        "created": _written(folder.config_file),
        "updated": max(state.updated, _written(folder.events)),
        "epoch": whole(last.get("epoch")),
        "val": tuple(numbers_in(last.get("val")).items()),
        "pid": state.pid,
    }
    try:
        config = folder.read_config()
    except UserError as error:
        return RunInfo(**known, state=BROKEN, message=str(error))
    return RunInfo(
        **known,
        state=state.state,
        message=state.message,
        config=config,
        n_epochs=config.optim.epochs,
        can_resume=state.state in RESUMABLE and folder.resume_file.exists(),
    )


def is_run(path: Path) -> bool:
    """Tell whether a folder is that of a run."""
    return (path / "config.json").is_file() or (path / "events.jsonl").is_file()


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
