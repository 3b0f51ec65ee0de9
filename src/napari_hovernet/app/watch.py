"""What a training run's files tell: what it is doing, its curves, models and last words.

Reads alone, cheaply, from any process: any number of viewers and command lines can watch one run.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.params import LOSS_HEADS, LOSS_NAMES, LOSS_PARTS
from ..core.training.files import VERSION, RunFolder
from ..errors import plain
from .processes import ProcessMark, elsewhere, mark_from, process_of, read_mark

ACTIVE = ("queued", "starting", "running", "paused")
"""States of a run that has a process."""
FINISHED = ("done", "stopped", "failed")
NEW, KILLED, BROKEN = "new", "killed", "broken"
"""States that no file names: never started; its process is gone; no readable configuration."""
QUIET_S = 15 * 60.0
"""A run on another computer that has written nothing for so long is taken for killed."""
GONE = (
    "Its process is gone and said nothing: it was killed, memory ran out, or the computer went "
    "down."
)
FULL_DISK = "Its process is gone, and the disk of the run is full: free some space, then resume it."
LOG_LINES, LOG_BYTES, LOG_WIDTH = 6, 8192, 300
"""What is shown of the end of a log."""
MESSAGE = 2000
"""Characters of a run's message that are shown."""
CHUNK = 64 * 1024
"""Bytes read at a time: about 100 events, 1 to 2 ms."""
BUDGET_S = 0.004
"""Time that one look may take, about: a viewer that asks 10 times per second hardly notices."""
LOOK_S = 0.25
"""Time between two looks at the run's state and process."""
FIRST_CAPACITY = 256
LARGEST = 1e300
FAILURES = ("failed", "killed", "broken")
"""States in which a run ends badly."""
FULL = 2**26
"""Bytes free on the disk of a run below which it is named as the cause."""
NAN = float("nan")

STEP_NUMBERS = ("step", "epoch", "t", "lr", "total", "magnitude", "true_magnitude",
                "images_per_s", "eta_s")  # fmt: skip
STEP_COLUMNS = (*STEP_NUMBERS, *LOSS_NAMES, *(f"share_{name}" for name in LOSS_PARTS))
"""Columns of ``RunView.steps``: terms by their names, weighted shares with "share_" in front."""
HEAD_COLUMNS = ("step", "epoch", *LOSS_HEADS)
"""Columns of ``RunView.heads``: shares of the gradient's norm."""
VAL = ("loss", "magnitude", "true_magnitude", "cosine", "hv_mse", "hv_zero_mse", "dice",
       "all_foreground_dice", "aji", "pq", "cc_aji", "oracle_aji")  # fmt: skip
"""What is measured on the validation images after each epoch."""
EPOCH_COLUMNS = ("epoch", "seconds", "train_total", *VAL, *(f"train_{name}" for name in LOSS_NAMES))
"""Columns of ``RunView.epochs``: what was measured in validation by its name."""

Float64 = npt.NDArray[np.float64]
Event = Mapping[str, Any]


def number(value: Any) -> float:
    """Return a number as float; NaN for anything else."""
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if fits and abs(value) < LARGEST else NAN


def whole(value: Any) -> int:
    """Return a whole number; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def numbers_in(value: Any) -> dict[str, float]:
    """Return the numbers of a mapping; what is none is left out."""
    pairs = value.items() if isinstance(value, Mapping) else ()
    return {str(k): number(v) for k, v in pairs
            if isinstance(v, int | float) and not isinstance(v, bool)}  # fmt: skip


def duration(seconds: float) -> str:
    """Return a time in the unit that fits, "" if it is not known."""
    if math.isnan(seconds):
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


# What a run is doing


@dataclass(frozen=True)
class RunState:
    """What a run is doing."""

    state: str  # One of ``STATES`` of the run folder, or "killed", "new" or "broken"
    message: str = ""
    pid: int | None = None  # Its process, while there is one
    updated: float = 0.0  # Unix seconds

    @property
    def active(self) -> bool:
        """Whether it has a process, be it waiting or paused."""
        return self.state in ACTIVE


def process_file(folder: RunFolder) -> Path:
    """Return where a run's process is recorded, JSON."""
    return folder.path / "process.json"


def write_state(folder: RunFolder, state: str, message: str = "", pid: int | None = None) -> None:
    """Write a state, keeping when the run began."""
    now = time.time()
    before = folder.read_status()
    started = before.get("started", now) if state not in {"queued", "starting"} else now
    folder.write_status(
        {"state": state, "pid": pid, "started": started, "updated": now, "message": message}
    )


def state_of(folder: RunFolder) -> RunState:
    """Tell what a run is doing now: "killed" where it should run and its process is gone."""
    status = folder.read_status()
    if status.get("state") in ACTIVE:
        mark = read_mark(process_file(folder)) or mark_from({"pid": status.get("pid")})
        if mark is not None and _seems_alive(mark, folder, status):
            return _state(status, mark.pid)
        status = folder.read_status()  # it may have ended properly between the two looks
        if status.get("state") not in FINISHED:
            end = plain(log_end(folder.log, 1).strip(), LOG_WIDTH)
            gone = GONE
            with suppress(OSError):
                gone = FULL_DISK if shutil.disk_usage(folder.path).free < FULL else GONE
            message = f"{gone} The log ends with: {end}" if end else gone
            return RunState(KILLED, message, None, _state(status).updated)
    return _state(status) if status.get("state") in FINISHED else RunState(NEW)


def log_end(path: Path, lines: int = LOG_LINES, *, since: int = 0) -> str:
    """Return the last lines of a log that say anything after byte ``since``, "" without any."""
    try:
        with open(path, "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - LOG_BYTES, since))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    found = [line.rstrip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return "\n".join(found[-lines:])


def _state(status: Event, pid: int | None = None) -> RunState:
    updated = number(status.get("updated"))
    return RunState(
        str(status.get("state")), plain(status.get("message") or "", MESSAGE), pid,
        0.0 if math.isnan(updated) else updated,
    )  # fmt: skip


def _seems_alive(mark: ProcessMark, folder: RunFolder, status: Event) -> bool:
    if not elsewhere(mark):
        return process_of(mark, folder.path, _state(status).updated) is not None
    if status.get("state") != "running":
        return True
    return time.time() - max(map(written, (folder.events, folder.status_file))) < QUIET_S


def written(path: Path) -> float:
    """Return when a file was written last, Unix seconds; 0 if it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


# Events, read on from the front or one from the end


class Tail:
    """Read a growing file of events, some lines at a time."""

    def __init__(self, path: Path) -> None:
        self.path, self.unreadable = path, 0
        self.behind = True  # Whether more was there than the last read took
        self._offset = 0

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """Read on; also tell whether the file became shorter and is read anew."""
        try:
            with open(self.path, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                restarted = size < self._offset
                if restarted:
                    self._offset, self.unreadable = 0, 0
                file.seek(self._offset)
                data = file.read(CHUNK)
                while data and b"\n" not in data and (more := file.read(CHUNK)):
                    data += more  # a line longer than a chunk is read to its end
        except OSError:
            self.behind = False
            return [], False
        data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        self.behind = bool(data) and self._offset < size
        events = [parsed(line) for line in data.split(b"\n") if line]
        known = [event for event in events if event is not None]
        self.unreadable += len(events) - len(known)
        return known, restarted


def parsed(line: bytes) -> dict[str, Any] | None:
    """Parse a line; None if it is no event of a version we know."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return None
    version = event.get("v")
    return event if isinstance(version, int) and version <= VERSION else None


def last_event(path: Path, kind: str) -> dict[str, Any] | None:
    """Return the last event of a kind without parsing the others; None if there is none."""
    wanted = f'"event": "{kind}"'.encode()
    end = b""
    try:
        with open(path, "rb") as file:
            place = file.seek(0, os.SEEK_END)
            while place > 0:
                start = max(place - CHUNK, 0)
                file.seek(start)
                data = file.read(place - start) + end
                cut = (data.find(b"\n") + 1 or len(data)) if start else 0
                for line in reversed(data[cut:].split(b"\n")[:-1]):
                    event = parsed(line) if wanted in line else None
                    if event is not None and event["event"] == kind:
                        return event
                end, place = data[:cut], start
    except OSError:
        return None
    return None


# Columns of numbers that grow row by row, handed out without being copied


@dataclass(frozen=True, eq=False)
class Series:
    """Columns of one length, by name; the arrays must not be written to."""

    columns: Mapping[str, Float64] = field(default_factory=dict)  # NaN where not known

    def __getitem__(self, name: str) -> Float64:
        """Return a column; an empty one if there is none of this name."""
        found = self.columns.get(name)
        return np.zeros(0) if found is None else found

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def last(self, name: str) -> float:
        """Return the last value of a column, NaN if there is none."""
        column = self[name]
        return float(column[-1]) if len(column) else NAN


class Growing:
    """Rows of numbers, added one at a time.

    What was handed out by :meth:`series` stays as it was, whatever is added or cut later.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._values = np.empty((len(self.names), FIRST_CAPACITY))
        self._n = 0

    def add(self, row: Sequence[float]) -> None:
        """Add a row, a value per column."""
        if self._n == self._values.shape[1]:
            self._move(2 * self._n)
        self._values[:, self._n] = row
        self._n += 1

    def cut_from(self, name: str, value: float) -> None:
        """Drop the rows from the first one whose (rising) column is ``value`` or more."""
        column = self._values[self.names.index(name), : self._n]
        if self._n and column[-1] >= value:
            self._n = int(np.searchsorted(column, value))
            self._move(self._values.shape[1])  # earlier series keep the old rows

    def series(self) -> Series:
        """Return what is there now."""
        view = self._values[:, : self._n].view()
        view.flags.writeable = False
        return Series(dict(zip(self.names, view, strict=True)))

    def _move(self, capacity: int) -> None:
        moved = np.empty((len(self.names), capacity))
        moved[:, : self._n] = self._values[:, : self._n]
        self._values = moved


# A run at one moment, ready to be drawn


@dataclass(frozen=True)
class EpochRow:
    """One epoch; 0 is the model before training."""

    epoch: int
    train: Mapping[str, float]
    val: Mapping[str, float]
    best: bool = False  # Whether it was the best so far
    seconds: float = NAN
    remark: str = ""  # "go on", "investigate" or ""

    @property
    def total(self) -> float:
        """Mean training loss, NaN before training."""
        return self.train.get("total", self.train.get("loss", NAN))

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
    state: str = NEW  # As in :class:`RunState`
    message: str = ""
    pid: int | None = None
    n_epochs: int = 0  # As planned
    steps_per_epoch: int = 0  # As planned
    start: Event = field(default_factory=dict)
    latest: Event = field(default_factory=dict)  # The last "step" event
    steps: Series = field(default_factory=Series)
    heads: Series = field(default_factory=Series)
    epochs: Series = field(default_factory=Series)  # ``EPOCH_COLUMNS``, a row per epoch
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
        return next((row for row in reversed(self.rows) if row.best), None)

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


class RunWatch:
    """Follow a run, or look at a finished one."""

    def __init__(self, folder: RunFolder | str | Path) -> None:
        self.folder = folder if isinstance(folder, RunFolder) else RunFolder(Path(folder))
        self._tail = Tail(self.folder.events)
        self._state = RunState("")
        self._looked = -LOOK_S
        self._book = _Book(self.folder)
        self._view: RunView | None = None

    @property
    def view(self) -> RunView:
        """The run as of the last look; the same object until something changes."""
        if self._view is None:
            self._view = self._book.view(self._state, self._tail.unreadable)
        return self._view

    @property
    def behind(self) -> bool:
        """Whether there are events that the last look had no time for: ask again soon."""
        return self._tail.behind

    def poll(self, budget_s: float = BUDGET_S) -> bool:
        """Read on for about ``budget_s`` seconds; True if anything changed. Raises nothing."""
        end = time.perf_counter() + budget_s
        changed = self._look()
        while True:
            events, restarted = self._tail.read()
            if restarted:
                self._book = _Book(self.folder)
            for event in events:
                self._book.note(event)
            changed |= bool(events) or restarted
            if not self._tail.behind or time.perf_counter() >= end:
                break
        if changed:
            self._view = None
        return changed

    def catch_up(self) -> RunView:
        """Read everything there is, which may take seconds, and return it."""
        self._looked = -LOOK_S
        self.poll()
        while self.behind:
            self.poll()
        return self.view

    def _look(self) -> bool:
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return False
        self._looked, before = now, self._state
        self._state = state_of(self.folder)
        return self._state != before


class _Book:
    """What the events said so far."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._steps, self._heads = Growing(STEP_COLUMNS), Growing(HEAD_COLUMNS)
        self._rows: dict[int, EpochRow] = {}
        self._epochs = _epochs({})
        self._files: dict[tuple[str, int], SavedFile] = {}
        self._last: dict[str, Event] = {}  # The last event of a kind
        self._began = self._now = NAN

    def note(self, event: Event) -> None:
        kind, self._now = event["event"], number(event.get("t"))
        notes = {"start": self._note_start, "epoch": self._note_epoch, "preview": self._note_file,
                 "checkpoint": self._note_file}  # fmt: skip
        if kind in notes:
            notes[kind](event)
        for rows, wanted, names, parts in (
            (self._steps, "step", STEP_NUMBERS, {"terms": LOSS_NAMES, "shares": LOSS_PARTS}),
            (self._heads, "heads", HEAD_COLUMNS[:2], {"grad_share": LOSS_HEADS}),
        ):
            if kind == wanted:
                rows.cut_from("step", number(event.get("step")))  # what was not saved is repeated
                row = [number(event.get(name)) for name in names]
                for part, within in parts.items():
                    known = numbers_in(event.get(part))
                    row += [known.get(name, NAN) for name in within]
                rows.add(row)
        self._last[kind] = event

    def _note_start(self, event: Event) -> None:
        for kind in ("error", "end"):
            self._last.pop(kind, None)
        epoch, step = whole(event.get("resumed_epoch")), whole(event.get("resumed_step"))
        if not epoch and not step:
            self._began, epoch = self._now, -1
            self._files = {}
            self._last.pop("step", None)
        self._rows = {n: row for n, row in self._rows.items() if n <= epoch}
        self._epochs = _epochs(self._rows)
        if step or epoch < 0:  # what was not saved is done again
            self._steps.cut_from("step", step + 1)
            self._heads.cut_from("step", step + 1)

    def _note_epoch(self, event: Event) -> None:
        epoch = whole(event.get("epoch"))
        self._rows = {n: row for n, row in self._rows.items() if n < epoch}
        train, val = numbers_in(event.get("train")), numbers_in(event.get("val"))
        seconds, remark = number(event.get("seconds")), str(event.get("remark") or "")
        self._rows[epoch] = EpochRow(epoch, train, val, event.get("best") is True, seconds, remark)
        self._epochs = _epochs(self._rows)

    def _note_file(self, event: Event) -> None:
        kind = "preview" if event["event"] == "preview" else str(event.get("kind", ""))
        epoch, path = whole(event.get("epoch")), event.get("path")
        if isinstance(path, str) and path:
            key = (kind, -1 if kind in {"best", "last"} else epoch)
            self._files[key] = SavedFile(epoch, self._folder.path / path, kind)

    def view(self, state: RunState, unreadable: int) -> RunView:
        files = sorted(self._files.values(), key=lambda file: file.epoch)
        start, error = self._last.get("start", {}), self._last.get("error", {})
        took = number(self._last.get("end", {}).get("seconds"))
        return RunView(
            self._folder.name,
            state.state,
            state.message,
            state.pid,
            n_epochs=whole(start.get("epochs")),
            steps_per_epoch=whole(start.get("steps_per_epoch")),
            start=start,
            latest=self._last.get("step", {}),
            steps=self._steps.series(),
            heads=self._heads.series(),
            epochs=self._epochs,
            rows=tuple(self._rows.values()),
            previews=tuple(file for file in files if file.kind == "preview"),
            checkpoints=tuple(file for file in files if file.kind != "preview"),
            error=str(error.get("message") or ""),
            error_term=str(error.get("term") or ""),
            seconds=self._now - self._began if math.isnan(took) else took,
            unreadable=unreadable,
        )


def _epochs(rows: Mapping[int, EpochRow]) -> Series:
    columns = Growing(EPOCH_COLUMNS)
    for row in rows.values():
        numbers = [row.epoch, row.seconds, row.total, *(row.score(name) for name in VAL)]
        columns.add([*numbers, *(row.train.get(name, NAN) for name in LOSS_NAMES)])
    return columns.series()
