"""Watch a run by its files: cheap to ask, from any process, as often as one likes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..core.training.files import RunFolder
from .run_series import Growing, Series
from .run_state import RunState, state_of
from .run_tail import Tail
from .run_view import (
    EPOCH_COLUMNS,
    HEAD_COLUMNS,
    HEADS,
    NAN,
    SHARES,
    STEP_COLUMNS,
    TERMS,
    VAL,
    EpochRow,
    RunView,
    SavedFile,
    number,
    numbers_in,
    whole,
)

BUDGET_S = 0.004
"""Time that one look may take, about: a viewer that asks 10 times per second hardly notices."""
LOOK_S = 0.25
"""Time between two looks at the run's state and process."""

Event = Mapping[str, Any]


class RunWatch:
    """Follow a run, or look at a finished one.

    Reads alone: any number of viewers and command lines can watch one run.
    """

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
        """Read on for about ``budget_s`` seconds; True if anything changed.

        Raises nothing: a file that cannot be read now is tried again the next time.
        """
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
        """Read everything there is, however long that takes, and return it.

        About 1.5 s for 100,000 events: call it off the viewer's thread, before the first look.
        """
        self._looked = -LOOK_S
        self.poll()
        while self.behind:
            self.poll()
        return self.view

    def _look(self) -> bool:
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return False
        self._looked = now
        state = state_of(self.folder)
        changed = state != self._state
        self._state = state
        return changed


class _Book:
    """What the events said so far."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._steps = Growing(STEP_COLUMNS)
        self._heads = Growing(HEAD_COLUMNS)
        self._rows: dict[int, EpochRow] = {}
        self._epochs = Growing(EPOCH_COLUMNS).series()
        self._files: dict[tuple[str, int], SavedFile] = {}
        self._start: Event = {}
        self._began = NAN
        self._latest: Event = {}
        self._error: Event = {}
        self._end: Event = {}
        self._now = NAN
        self._by_kind: dict[str, Callable[[Event], None]] = {
            "start": self._note_start,
            "step": self._note_step,
            "heads": self._note_heads,
            "epoch": self._note_epoch,
            "preview": self._note_file,
            "checkpoint": self._note_file,
            "error": self._note_error,
            "end": self._note_end,
        }

    def note(self, event: Event) -> None:
        self._now = number(event.get("t"))
        handle = self._by_kind.get(event["event"])
        if handle is not None:
            handle(event)

    def _note_start(self, event: Event) -> None:
        self._start, self._error, self._end = event, {}, {}
        epoch, step = whole(event.get("resumed_epoch")), whole(event.get("resumed_step"))
        if not epoch and not step:
            self._began = self._now
            self._files, self._latest, epoch = {}, {}, -1
        self._rows = {n: row for n, row in self._rows.items() if n <= epoch}
        self._epochs = _epochs(tuple(self._rows.values()))
        if step or epoch < 0:  # what was not saved is done again
            self._steps.cut_from("step", step + 1)
            self._heads.cut_from("step", step + 1)

    def _note_step(self, event: Event) -> None:
        terms, shares = numbers_in(event.get("terms")), numbers_in(event.get("shares"))
        step = number(event.get("step"))
        self._steps.cut_from("step", step)  # a resumed run repeats what was not saved
        self._steps.add(
            [number(event.get(name)) for name in STEP_COLUMNS[: -len(TERMS) - len(SHARES)]]
            + [terms.get(name, NAN) for name in TERMS]
            + [shares.get(name, NAN) for name in SHARES]
        )
        self._latest = event

    def _note_heads(self, event: Event) -> None:
        shares = numbers_in(event.get("grad_share"))
        step = number(event.get("step"))
        self._heads.cut_from("step", step)
        self._heads.add(
            [step, number(event.get("epoch")), *(shares.get(name, NAN) for name in HEADS)]
        )

    def _note_epoch(self, event: Event) -> None:
        epoch = whole(event.get("epoch"))
        self._rows = {n: row for n, row in self._rows.items() if n < epoch}
        self._rows[epoch] = EpochRow(
            epoch,
            numbers_in(event.get("train")),
            numbers_in(event.get("val")),
            event.get("best") is True,
            number(event.get("seconds")),
            str(event.get("remark") or ""),
        )
        self._epochs = _epochs(tuple(self._rows.values()))

    def _note_file(self, event: Event) -> None:
        kind = "preview" if event["event"] == "preview" else str(event.get("kind", ""))
        epoch, path = whole(event.get("epoch")), event.get("path")
        if not isinstance(path, str) or not path:
            return
        one_of_a_kind = kind in {"best", "last"}
        key = (kind, -1 if one_of_a_kind else epoch)
        self._files[key] = SavedFile(epoch, self._folder.path / path, kind)

    def _note_error(self, event: Event) -> None:
        self._error = event

    def _note_end(self, event: Event) -> None:
        self._end = event

    def view(self, state: RunState, unreadable: int) -> RunView:
        files = sorted(self._files.values(), key=lambda file: file.epoch)
        rows = tuple(self._rows.values())
        took = number(self._end.get("seconds"))
        return RunView(
            name=self._folder.name,
            state=state.state,
            message=state.message,
            pid=state.pid,
            n_epochs=whole(self._start.get("epochs")),
            steps_per_epoch=whole(self._start.get("steps_per_epoch")),
            start=self._start,
            latest=self._latest,
            steps=self._steps.series(),
            heads=self._heads.series(),
            epochs=self._epochs,
            rows=rows,
            previews=tuple(file for file in files if file.kind == "preview"),
            checkpoints=tuple(file for file in files if file.kind != "preview"),
            error=str(self._error.get("message") or ""),
            error_term=str(self._error.get("term") or ""),
            seconds=self._now - self._began if math.isnan(took) else took,
            unreadable=unreadable,
        )


def _epochs(rows: tuple[EpochRow, ...]) -> Series:
    columns = Growing(EPOCH_COLUMNS)
    for row in rows:
        total = row.train.get("total", row.train.get("loss", NAN))
        columns.add(
            [row.epoch, row.seconds, total]
            + [row.score(name) for name in VAL]
            + [row.train.get(name, NAN) for name in TERMS]
        )
    return columns.series()
