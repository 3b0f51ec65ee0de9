"""What is known of a training run at one moment, ready to be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .run_series import Series
from .run_state import ACTIVE, NEW

TERMS = ("np", "hv", "hv_mse", "hv_gradient", "hv_magnitude", "nt")
"""Terms of the loss."""
SHARES = ("np", "hv_mse", "hv_gradient", "hv_magnitude", "nt")
"""Terms whose weighted shares make up the total."""
HEADS = ("np", "hv", "nt")
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
    """One epoch; 0 is the model before training.

    Parameters
    ----------
    epoch : int
    train, val : mapping of str to float
        Mean terms over the epoch, and scores of the validation images (``VAL``); what is
        not known is missing.
    best : bool
        Whether it was the best so far.
    seconds : float
    remark : str
        "go on", "investigate" or "".
    """

    epoch: int
    train: Mapping[str, float]
    val: Mapping[str, float]
    best: bool = False
    seconds: float = NAN
    remark: str = ""

    def score(self, name: str) -> float:
        """Return a validation score, NaN if it is not known."""
        return self.val.get(name, NAN)


@dataclass(frozen=True)
class SavedFile:
    """A file that the run wrote: a preview or a checkpoint.

    Parameters
    ----------
    epoch : int
    path : Path
        Absolute.
    kind : str
        "best", "last" or "epoch" for checkpoints, "preview" for previews.
    """

    epoch: int
    path: Path
    kind: str


@dataclass(frozen=True, eq=False)
class RunView:
    """A run at one moment.

    Parameters
    ----------
    name : str
    state, message : str
        As in :class:`RunState`; "killed" and "new" included.
    pid : int or None
        Its process while there is one.
    n_epochs, steps_per_epoch : int
        As planned; 0 while not known.
    start : mapping
        The last "start" event: device, parameters, train_images, notes, config ...
    latest : mapping
        The last "step" event.
    steps : Series
        ``STEP_COLUMNS``, a row per logged step.
    heads : Series
        ``HEAD_COLUMNS``, a row per measured step.
    epochs : Series
        ``EPOCH_COLUMNS``, a row per epoch.
    rows : tuple of EpochRow
        The same epochs, with what is no number.
    previews, checkpoints : tuple of SavedFile
        In the order of epochs; a checkpoint kind "best" or "last" once only.
    error : str
        What went wrong, "" if nothing.
    error_term : str
        Term of the loss that became NaN, "" if none did.
    seconds : float
        How long the run took, once it has ended; else since it began.
    unreadable : int
        Lines of the events that could not be read.
    """

    name: str = ""
    state: str = NEW
    message: str = ""
    pid: int | None = None
    n_epochs: int = 0
    steps_per_epoch: int = 0
    start: Mapping[str, Any] = field(default_factory=dict)
    latest: Mapping[str, Any] = field(default_factory=dict)
    steps: Series = field(default_factory=lambda: Series({}))
    heads: Series = field(default_factory=lambda: Series({}))
    epochs: Series = field(default_factory=lambda: Series({}))
    rows: tuple[EpochRow, ...] = ()
    previews: tuple[SavedFile, ...] = ()
    checkpoints: tuple[SavedFile, ...] = ()
    error: str = ""
    error_term: str = ""
    seconds: float = NAN
    unreadable: int = 0

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
    """Return a number as float; NaN for anything else.

    Examples
    --------
    >>> number(2), number(None), number("2")
    (2.0, nan, nan)
    """
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
