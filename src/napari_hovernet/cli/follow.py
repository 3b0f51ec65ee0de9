"""Follow a training run on the terminal until it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from ..app.run_view import EpochRow, RunView
from ..app.run_watch import RunWatch
from . import run_table
from .console import complain, say

LOOK_S = 0.2
"""Time between two looks."""
WIDTH = 110
"""Columns of the line that is rewritten."""

OnEpoch = Callable[[RunView], None]


class Follower:
    """Print what happens to a run: epochs to stdout, the present moment to stderr."""

    def __init__(
        self,
        watch: RunWatch,
        *,
        quiet: bool = False,
        live: bool | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        self._watch = watch
        self._quiet = quiet
        self._live = not quiet and (sys.stderr.isatty() if live is None else live)
        self._on_epoch = on_epoch
        self._printed: dict[int, EpochRow] = {}
        self._start: object = None
        self._said = ""

    def until_the_end(self) -> RunView:
        """Follow until the run has no process any more."""
        while True:
            view = self.once()
            if not view.active:
                return view
            time.sleep(LOOK_S)

    def once(self) -> RunView:
        """Print what is new, and return all there is."""
        view = self._watch.view if not self._watch.poll() else self._watch.catch_up()
        if view.start and view.start is not self._start:
            self._begin(view)
        new = [row for row in view.rows if self._printed.get(row.epoch) is not row]
        for row in new:
            self._printed[row.epoch] = row
            self._print(run_table.line(row))
        if new and self._on_epoch is not None:
            self._on_epoch(view)
        self._show_moment(view)
        return view

    def _begin(self, view: RunView) -> None:
        first, self._start = self._start is None, view.start
        self._clear()
        for text in run_table.introduction(view) if not self._quiet else ():
            complain(text)
        if first:
            if not self._quiet:
                complain(run_table.LEGEND)
            self._print(run_table.head())

    def _print(self, text: str) -> None:
        if not self._quiet:
            self._clear()
            say(text)

    def _show_moment(self, view: RunView) -> None:
        text = run_table.now(view)[:WIDTH]
        if self._live and view.active:
            sys.stderr.write(f"\r{text.ljust(WIDTH)}")
            sys.stderr.flush()
        elif not self._quiet and view.state == "queued" and view.message and text != self._said:
            complain(text)
        self._said = text
        if not view.active:
            self._clear()

    def _clear(self) -> None:
        if self._live:
            sys.stderr.write(f"\r{' ' * WIDTH}\r")
            sys.stderr.flush()


def say_end(view: RunView, log: Path, resumable: bool) -> None:
    """Say how a run ended, and how it can go on."""
    complain(run_table.ending(view))
    if view.state in {"failed", "killed"} and log.exists():
        complain(f"what its process wrote is in {log}")
    if resumable:
        complain(f"go on with: napari-hovernet train --resume {view.name}")
