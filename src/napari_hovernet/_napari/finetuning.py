"""What the panel "Fine-tune" can do, without the panel: runs, the one that is watched, results."""

from __future__ import annotations

import logging
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from ..app.runs import RunStore
from ..app.training import Checked, estimate, start_steps
from ..app.watch import RunWatch, log_end
from ..core.params import SCRATCH
from ..core.types import Progress
from ..errors import InputError, UserError
from .before_after import BeforeAfter
from .desk import Desk, desk_for
from .latest import Latest
from .pinned import Pinned
from .preparing import Preparing
from .runner import Handlers

if TYPE_CHECKING:
    from ..app.jobs import Steps
    from ..app.runs import RunInfo
    from ..app.watch import RunView
    from ..core.params import TrainConfig

LIST_EVERY = 4
"""Polls between two looks at the list of all runs."""
BAD_STATES = ("failed", "killed")
"""States of runs whose log has last words worth reading."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Action:
    """Something to do with a run: the store's method and what is said afterwards."""

    method: str
    said: str


ACTIONS = {
    "start": Action("start", "{} waits for its turn, or starts."),
    "pause": Action("pause", "{} pauses after the step under way."),
    "resume": Action("resume", "{} goes on."),
    "stop": Action("stop", "{} stops after the step under way, with a checkpoint."),
    "kill": Action("kill", "{} was killed."),
    "remove": Action("remove", "{} was removed with all its files."),
}
"""What can be done with a run; each may wait for a disk or a process, so none is done here."""


class FineTuning:
    """Runs of the store, and one of them under the glass.

    Signals
    -------
    runs_changed : tuple of RunInfo
    view_changed : RunView or None
        The chosen run, whenever it has something new to say.
    told : str
        One line of what was done.
    failed : UserError

    Parameters
    ----------
    desk : Desk
        Only a weak reference is kept.
    store : RunStore, optional
        Made when not given; tests give their own.
    """

    runs_changed: ClassVar[Signal] = Signal(tuple)
    view_changed: ClassVar[Signal] = Signal(object)
    told: ClassVar[Signal] = Signal(str)
    failed: ClassVar[Signal] = Signal(object)

    def __init__(self, desk: Desk, store: RunStore | None = None) -> None:
        self._desk_ref = weakref.ref(desk)
        self.store = store or RunStore()
        self.runs: tuple[RunInfo, ...] = ()
        self.watch: RunWatch | None = None
        self.preparing = Preparing(desk)
        self.pinned = Pinned(desk, lambda: self.view)
        self.before_after = BeforeAfter(desk)
        for part in (self.preparing, self.before_after):
            part.told.connect(self.told.emit)
            part.failed.connect(self.failed.emit)
        self._chosen = ""
        self._polls = 0
        self._listing = Latest(desk.runner, "Listing training runs")
        self._attaching = Latest(desk.runner, "Reading a training run")

    @property
    def desk(self) -> Desk:
        """The desk; TypeError once it is gone."""
        desk = self._desk_ref()
        if desk is None:
            raise TypeError("The desk of these training runs is gone.")
        return desk

    @property
    def view(self) -> RunView | None:
        """The chosen run as of the last look."""
        return None if self.watch is None else self.watch.view

    @property
    def chosen(self) -> str:
        """Name of the chosen run, "" for none."""
        return self._chosen

    @property
    def info(self) -> RunInfo | None:
        """The chosen run as it stands in the list, brought up to date by its watch."""
        found = next((run for run in self.runs if run.name == self._chosen), None)
        view = self.view
        other = view is None or found is None or view.name != found.name
        if found is None or view is None or other or found.state == "broken":
            return found
        return replace(found, state=view.state, message=view.message)

    @property
    def active(self) -> tuple[RunInfo, ...]:
        """Runs that had a process at the last look."""
        return tuple(run for run in self.runs if run.active)

    def active_now(self) -> tuple[str, ...]:
        """Look again which of them still have one; some milliseconds."""
        found = []
        for run in self.active:
            try:
                found += [run.name] if self.store.info(run.name).active else []
            except UserError:
                continue  # removed meanwhile
        return tuple(found)

    # ------------------------------------------------------------------ looking

    def poll(self) -> None:
        """Look at the chosen run, and now and then at the list; a few milliseconds."""
        if self.desk.work.closed:
            return
        if self._polls % LIST_EVERY == 0:
            self.refresh()
        self._polls += 1
        if self.watch is not None and self.watch.poll():
            self._tell_view()

    def refresh(self) -> None:
        """List the runs anew, in the background."""
        store = self.store

        def steps() -> Steps[tuple[RunInfo, ...]]:
            yield Progress(0, 0)
            return store.list()

        def failed(error: UserError) -> None:
            _LOG.warning("Listing training runs: %s", error)

        self._listing.request(steps, Handlers(self._take_runs, failed))

    def choose(self, name: str) -> None:
        """Put another run under the glass; what it said so far is read in the background."""
        if name == self._chosen:
            return
        self._chosen, self.watch = name, None
        self.view_changed.emit(None)
        self.pinned.other_run()
        if not name:
            self._attaching.cancel()
            return
        self._attach(name)

    def _attach(self, name: str) -> None:
        store = self.store

        def steps() -> Steps[RunWatch]:
            yield Progress(0, 0)
            watch = RunWatch(store.find(name))
            watch.catch_up()
            return watch

        def done(watch: RunWatch) -> None:
            if self._chosen == name:
                self.watch = watch
                self._tell_view()

        self._attaching.request(steps, Handlers(done, self.failed.emit))

    def _take_runs(self, runs: tuple[RunInfo, ...]) -> None:
        gone = {run.name for run in self.runs} - {run.name for run in runs}
        self.runs = runs
        if self._chosen in gone:
            self.choose("")
        if not self._chosen and runs:
            first = next((run for run in runs if run.active), runs[0])
            self.choose(first.name)
        self.runs_changed.emit(runs)

    def _tell_view(self) -> None:
        self.view_changed.emit(self.view)
        self.pinned.update()

    # ------------------------------------------------------------------ doing

    def do(self, name: str, what: str) -> None:
        """Ask a run for something out of :data:`ACTIONS`, in the background."""
        store, action = self.store, ACTIONS[what]

        def steps() -> Steps[None]:
            yield Progress(0, 0)
            getattr(store, action.method)(name)

        def done(_: None) -> None:
            self.told.emit(action.said.format(name))
            self._look_again()

        def failed(error: UserError) -> None:
            self.failed.emit(error)
            self._look_again()

        self.desk.runner.start(f"Training: {what}", steps, Handlers(done, failed))

    def start(self, config: TrainConfig) -> None:
        """Make a run and start it; it waits if another one runs.

        Data that were not looked at yet are checked first.

        Raises
        ------
        InputError
            If there are no training data, or they were refused by the check.
        """
        if not config.data.sources:
            raise InputError("There is nothing to train on: add a folder, files or open layers.")
        check = self.preparing.known(config)
        if check is not None:
            self._start(config, check)
            return

        def then(check: Checked) -> None:
            try:
                self._start(config, check)
            except UserError as error:
                self.failed.emit(error)

        self.told.emit("Looking at the data before the start ...")
        self.preparing.check_data(config, then)

    def _start(self, config: TrainConfig, check: Checked) -> None:
        if check.refused:
            raise InputError("The data check refused these data: " + " ".join(check.problems))
        store, staged = self.store, self.preparing.folder

        def done(name: str) -> None:
            self.told.emit(ACTIONS["start"].said.format(name))
            self.choose(name)
            self.pinned.set_on(True)
            self._look_again()

        self.desk.runner.start(
            "Starting a training",
            lambda: start_steps(store, config, staged),
            Handlers(done, self.failed.emit),
        )

    def estimate(self, config: TrainConfig) -> str:
        """Say what a training will take, "" if that is not known."""
        model = self.preparing.model
        info = model.info if model.source == config.start else None
        return estimate(config, info, self.runs).words

    def stop_all(self) -> None:
        """Ask the runs of this viewer to stop, at once: the viewer is closing."""
        for name in self.active_now():
            try:
                self.store.stop(name)
            except UserError as error:
                _LOG.warning("Stopping %s: %s", name, error)

    def _look_again(self) -> None:
        if self.desk.work.closed:
            return
        self.refresh()
        if self.watch is not None and self.watch.poll():
            self._tell_view()

    # ------------------------------------------------------------------ results

    def model_path(self, which: str) -> Path | None:
        """Return the "best" or "last" model of the chosen run, None if there is none yet."""
        info = self.info
        path = None if info is None else getattr(info.folder, which)
        return path if path is not None and path.is_file() else None

    def load(self, which: str) -> None:
        """Make the "best" or "last" model the one that the panel "Segment nuclei" runs.

        Raises
        ------
        InputError
            If the run has not written it yet.
        """
        self.desk.work.choose_model(str(self._model(which)))
        self.told.emit(f"{self._chosen}, {which}: chosen in the panel 'Segment nuclei'.")

    def compare(self) -> None:
        """Run the model before and the best one after on the chosen image, side by side.

        Raises
        ------
        UserError
            If there is no model or image, or a run is under way.
        """
        info, best = self.info, self._model("best")
        start = "" if info is None or info.config is None else info.config.start
        if not start or start.startswith(SCRATCH):
            raise InputError(
                "This run began untrained, so there is no model before it: load the best one and "
                "run it."
            )
        self.before_after.go(start, str(best))

    def command(self) -> str:
        """Return the command line that repeats the chosen run."""
        info = self.info
        if info is None or info.config is None:
            return ""
        from ..app.training import command_line  # noqa: PLC0415 - on first use

        return command_line(info.config)

    def log_end(self) -> str:
        """Return the last lines of the log of a run that ended badly, "" for others."""
        info = self.info
        if info is None or info.state not in BAD_STATES:
            return ""
        return log_end(info.folder.log)

    def _model(self, which: str) -> Path:
        path = self.model_path(which)
        if path is None:
            raise InputError(f"{self._chosen or 'No run'} has no {which} model yet.")
        return path


_TUNING: weakref.WeakKeyDictionary[Desk, FineTuning] = weakref.WeakKeyDictionary()


def finetuning_for(viewer: Any, store: RunStore | None = None) -> FineTuning:
    """Return what trains from a viewer (a proxy is fine), making it at first."""
    desk = desk_for(viewer)
    found = _TUNING.get(desk)
    if found is None:
        found = _TUNING[desk] = FineTuning(desk, store)
    return found
