"""What is known of a training run at one moment, ready to be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.params import LOSS_HEADS, LOSS_TERMS
from .run_series import Series
from .run_state import ACTIVE, NEW

SHARES = tuple(LOSS_TERMS)
"""Terms of the loss whose weighted shares make up the total."""
TERMS = (*SHARES, "hv")
"""Terms of the loss, and what those of HV make together."""
HEADS = LOSS_HEADS
STEP_COLUMNS = (
    *("step", "epoch", "t", "lr", "total", "magnitude", "true_magnitude"),
    *("images_per_s", "eta_s"),
    *TERMS,
    *(f"share_{name}" for name in SHARES),
)
"""Columns of ``RunView.steps``: terms by their names, weighted shares with "share_" in front."""
HEAD_COLUMNS = ("step", "epoch", *HEADS)
"""Columns of ``RunView.heads``: shares of the gradient's norm."""
VAL = ("loss", "magnitude", "true_magnitude", "cosine", "hv_mse", "hv_zero_mse", "dice",
       "all_foreground_dice", "aji", "pq", "cc_aji", "oracle_aji")  # fmt: skip
"""What is measured on the validation images after each epoch."""
EPOCH_COLUMNS = (
    *("epoch", "seconds", "train_total"),
    *VAL,
    *(f"train_{name}" for name in TERMS),
)
"""Columns of ``RunView.epochs``: what was measured in validation by its name."""
NAN = float("nan")


@dataclass(frozen=True)
class EpochRow:
    """One epoch; 0 is the model before training."""

    epoch: int
    train: Mapping[str, float]
    val: Mapping[str, float]
    best: bool = False  # Whether it was the best so far
    seconds: float = NAN
    remark: str = ""  # "go on", "investigate" or "".

    def score(self, name: str) -> float:
        """Return a validation score, NaN if it is not known."""
        return self.val.get(name, NAN)


@dataclass(frozen=True)
class SavedFile:
    """A file that the run wrote: a preview or a checkpoint."""

    epoch: int
    path: Path  # Absolute
    kind: str  # "best", "last" or "epoch" for checkpoints, "preview" for previews


@dataclass(frozen=True, eq=False)
class RunView:
    """A run at one moment."""

    name: str = ""
    state: str = NEW  # As in :class:`RunState`; "killed" and "new" included
    message: str = ""  # As in :class:`RunState`; "killed" and "new" included
    pid: int | None = None  # Its process while there is one
    n_epochs: int = 0  # As planned
    steps_per_epoch: int = 0  # As planned
    start: Mapping[str, Any] = field(default_factory=dict)
    latest: Mapping[str, Any] = field(default_factory=dict)  # The last "step" event
    steps: Series = field(default_factory=lambda: Series({}))
    heads: Series = field(default_factory=lambda: Series({}))
    epochs: Series = field(default_factory=lambda: Series({}))  # ``EPOCH_COLUMNS``, a row per epoch
    rows: tuple[EpochRow, ...] = ()  # The same epochs, with what is no number
    previews: tuple[SavedFile, ...] = ()  # In the order of epochs
    checkpoints: tuple[SavedFile, ...] = ()  # In the order of epochs
    error: str = ""  # What went wrong, "" if nothing
    error_term: str = ""  # Term of the loss that became NaN, "" if none did
    seconds: float = NAN  # How long the run took, once it has ended
    unreadable: int = 0  # Lines of the events that could not be read

    @property
    def active(self) -> bool:
        """Whether it has a process, be it waiting or paused."""
        return self.state in ACTIVE

    @property
    def best(self) -> EpochRow | None:
        """The best epoch so far; None before the first."""
        found = [row for row in self.rows if row.best]
        return found[-1] if found else None

    @property
    def step(self) -> int:
        """Number of the last logged step, 0 before the first."""
        return whole(self.latest.get("step"))

    @property
    def epoch(self) -> int:
        """Epoch of the last logged step, from 1; 0 before the first."""
        return whole(self.latest.get("epoch"))

    @property
    def done(self) -> float:
        """Share of the steps that are done, 0..1; NaN while the plan is not known."""
        total = self.n_epochs * self.steps_per_epoch
        return min(self.step / total, 1.0) if total else NAN

    @property
    def eta_s(self) -> float:
        """Seconds that are left, as last estimated; NaN if not known."""
        return number(self.latest.get("eta_s"))

    @property
    def images_per_s(self) -> float:
        """Speed as last measured; NaN if not known."""
        return number(self.latest.get("images_per_s"))

    def preview(self, epoch: int) -> Path | None:
        """Return the pinned image's maps after an epoch; None if they were not kept."""
        return next((p.path for p in reversed(self.previews) if p.epoch == epoch), None)


def number(value: Any) -> float:
    """Return a number as float; NaN for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return NAN


def whole(value: Any) -> int:
    """Return a whole number; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def numbers_in(value: Any) -> dict[str, float]:
    """Return the numbers of a mapping; what is none is left out."""
    if not isinstance(value, Mapping):
        return {}
    return {str(k): float(v) for k, v in value.items()
            if isinstance(v, int | float) and not isinstance(v, bool)}  # fmt: skip
