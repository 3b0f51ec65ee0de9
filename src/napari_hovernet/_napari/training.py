"""Training as one viewer sees it: what is set up, the runs there are, and the one looked at.

Knows no widgets. Every run is a process of its own (``app.runs``) that outlives the viewer;
nothing here touches layers, camera or the image that "Segment" runs on.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from ..app.curves import Outcome, models_steps, outcome, pinned_steps, state_words
from ..app.runs import RunStore, is_built_in
from ..app.session import NO_IMAGE, ModelChoice
from ..app.training import (
    Checked,
    check_steps,
    command_line,
    default_name,
    estimate,
    start_steps,
)
from ..app.watch import RunWatch
from ..core.params import SCRATCH, TrainConfig
from ..core.types import Progress
from ..errors import InputError, UserError
from . import workspace
from .jobs import Handlers, Latest

if TYPE_CHECKING:
    from ..app.jobs import Steps
    from ..app.runs import RunInfo
    from ..app.watch import RunView
    from .workspace import Workspace

LIST_EVERY = 4
"""Polls between two looks at the list of all runs."""
STAMP = "%Y-%m-%d-%H%M%S"
ACTIONS = {
    "pause": "{} pauses after the step under way.",
    "resume": "{} goes on.",
    "stop": "{} stops after the step under way, with a checkpoint.",
    "kill": "{} was killed.",
    "remove": "{} was removed with all its files.",
}
"""What a run can be asked for, and what is said then; each may wait for a disk or a process."""
UNNAMED = TrainConfig().name
"""This name stands for none: the run gets one of its model and the time."""

_LOG = logging.getLogger(__name__)


class Training:
    """Set-up of the next run, and the runs of the store, one of them under the glass."""

    setup_changed: ClassVar[Signal] = Signal(object)
    checked: ClassVar[Signal] = Signal(object)
    runs_changed: ClassVar[Signal] = Signal(tuple)
    view_changed: ClassVar[Signal] = Signal(object)

    def __init__(self, work: Workspace, store: RunStore | None = None) -> None:
        self.work = work
        self.store = store or RunStore()
        # To be read by all, and changed by the methods below alone:
        self.config = replace(TrainConfig(), start=work.session.model.source)
        self.check: Checked | None = None  # Of the data as they are set up
        self.counts = ""  # What is known before the check is done
        self.runs: tuple[RunInfo, ...] = ()
        self.chosen = ""  # Name of the run looked at, "" = a new one is set up
        self.watch: RunWatch | None = None
        self.started: set[str] = set()  # By this viewer
        self._model = ModelChoice("")
        self._follows = True  # The starting model is the one chosen above until another is picked
        self._wanted = False  # To start once the check is done
        self._polls = 0
        self._was_active = False
        runner = work.runner
        self._checking = Latest(runner, "Checking training data")
        self._reading = Latest(runner, "Reading the starting model")
        self._listing = Latest(runner, "Listing training runs")
        self._attaching = Latest(runner, "Reading a training run")
        self.comparing = Latest(runner, "Before and after")
        work.session.model_changed.connect(self._follow_model)
        work.data_changed.connect(self._data_changed)

    # ------------------------------------------------------------ set-up

    def edit(self, config: TrainConfig) -> None:
        """Set up the next run; other data are looked at at once."""
        before, self.config = self.config, config
        if config.start != before.start:
            self._follows = False
            self.read_start()
        self.setup_changed.emit(config)
        if (config.data, config.start) != (before.data, before.start):
            self.look_at_data()

    def read_start(self) -> None:
        """Look, in the background, at what is started from: the estimate needs its size."""
        source, known = self.config.start, self.work.session.model
        if source == known.source and known.info is not None:
            self._model = known
        elif not source.startswith(SCRATCH) and self._model.source != source:

            def done(info: Any) -> None:
                self._model = ModelChoice(source, info)
                self.setup_changed.emit(self.config)

            def failed(error: UserError) -> None:
                self.work.say(str(error), "bad")

            self._reading.request(lambda: workspace.describe_steps(source), Handlers(done, failed))

    def look_at_data(self) -> None:
        """Count and check the data in the background."""
        config, self.check, self.counts = self.config, None, ""
        self._wanted = False
        self.checked.emit(None)
        if not config.data.sources:
            self._checking.cancel()
            return

        def take(check: Checked) -> None:
            if check.of(self.config):
                self.check = check
                self.checked.emit(check)
                self._start_if_wanted()

        def failed(error: UserError) -> None:
            take(Checked(config.data, config.start, problems=(str(error),), refused=True))

        def progress(step: Progress) -> None:
            self.counts = step.message
            self.checked.emit(None)

        self._checking.request(lambda: check_steps(config), Handlers(take, failed, progress))

    def problem(self) -> str:
        """Say why no run can start, "" if one can."""
        if not self.config.data.sources:
            return "Choose a folder of images with labels first."
        if self.check is not None and self.check.refused:
            return " ".join(self.check.problems)
        return ""

    def estimate(self) -> str:
        """Say what the training will take, "" if that is not known."""
        info = self._model.info if self._model.source == self.config.start else None
        pixels = 0 if self.check is None else self.check.pixels
        return estimate(self.config, info, self.runs, pixels).words

    def start(self) -> None:
        """Start a run as set up, once its data were looked at; it waits if another one runs."""
        problem = self.problem()
        if problem:
            raise InputError(problem)
        self._wanted = True
        if self.check is None and not self._checking.busy:
            self.look_at_data()
            self._wanted = True
        self._start_if_wanted()

    def _start_if_wanted(self) -> None:
        work, config, store = self.work, self.config, self.store
        if not self._wanted or self.check is None:
            return
        self._wanted = False
        if self.check.refused:
            work.say(self.problem(), "bad")
            return
        if config.name == UNNAMED:
            config = replace(config, name=default_name(config, time.strftime(STAMP)))
        staged = [Path(s) for s in config.data.sources if s in work.data_folders]

        def done(name: str) -> None:
            self.started.add(name)
            self.choose(name)
            self.refresh()

        steps = lambda: start_steps(store, config, staged)  # noqa: E731
        work.runner.start("Starting a training", steps, Handlers(done, self._failed))

    def _follow_model(self, model: ModelChoice) -> None:
        if self._follows and not model.error and model.source != self.config.start:
            self.edit(replace(self.config, start=model.source))
            self._follows = True
        if model.source == self.config.start and model.info is not None:
            self._model = model
            self.setup_changed.emit(self.config)

    def _data_changed(self, folders: tuple[str, ...]) -> None:
        """Offer what was saved in "Check"; it may be one image more in a known folder."""
        self.setup_changed.emit(self.config)
        if set(folders) & set(self.config.data.sources):
            self.look_at_data()

    def _failed(self, error: UserError) -> None:
        self.work.say(str(error), "bad")
        if not self.work.closed:
            self.refresh()

    # ------------------------------------------------------------ runs

    @property
    def view(self) -> RunView | None:
        """The chosen run as of the last look."""
        return None if self.watch is None else self.watch.view

    @property
    def info(self) -> RunInfo | None:
        """The chosen run as it stands in the list, brought up to date by its watch."""
        found = next((run for run in self.runs if run.name == self.chosen), None)
        view = self.view
        if found is None or view is None or found.state == "broken":
            return found
        return replace(found, state=view.state, message=view.message)

    @property
    def outcome(self) -> Outcome | None:
        """What the chosen run has come to, None while that is not known."""
        return None if self.view is None else outcome(self.view)

    def words(self) -> tuple[str, str]:
        """Say what the chosen run does, and in which tone."""
        return state_words(self.info, self.view)

    def poll(self) -> None:
        """Look at the chosen run, and now and then at the list; a few milliseconds."""
        if self.work.closed:
            return
        if self._polls % LIST_EVERY == 0:
            self.refresh()
        self._polls += 1
        if self.watch is not None and self.watch.poll():
            self._tell()

    def refresh(self) -> None:
        """List the runs anew, in the background."""
        store = self.store

        def steps() -> Steps[tuple[RunInfo, ...]]:
            yield Progress(0, 0)
            return store.list()

        def done(runs: tuple[RunInfo, ...]) -> None:
            gone = {run.name for run in self.runs} - {run.name for run in runs}
            if runs != self.runs:
                self.runs = runs
                if self.chosen in gone:
                    self.choose("")
                self.runs_changed.emit(runs)

        def failed(error: UserError) -> None:
            _LOG.warning("Listing training runs: %s", error)

        self._listing.request(steps, Handlers(done, failed))

    def choose(self, name: str) -> None:
        """Look at another run ("" = set one up); what it said so far is read in the background."""
        if name == self.chosen:
            return
        self.chosen, self.watch, self._was_active = name, None, False
        self.runs_changed.emit(self.runs)
        self.view_changed.emit(None)
        store = self.store
        if not name:
            self._attaching.cancel()
            return

        def steps() -> Steps[RunWatch]:
            yield Progress(0, 0)
            watch = RunWatch(store.find(name))
            watch.catch_up()
            return watch

        def done(watch: RunWatch) -> None:
            if self.chosen == name:
                self.watch = watch
                self._tell()

        self._attaching.request(steps, Handlers(done, self._failed))

    def _tell(self) -> None:
        view = self.view
        if view is None:
            return
        ended, self._was_active = self._was_active and not view.active, view.active
        self.view_changed.emit(view)
        if ended:
            found, (words, tone) = self.outcome, self.words()
            self.work.say(f"{view.name}: {found.words if found else words}", tone)

    def do(self, what: str) -> None:
        """Ask the chosen run for one of :data:`ACTIONS`, in the background."""
        name, store = self.chosen, self.store

        def steps() -> Steps[None]:
            yield Progress(0, 0)
            getattr(store, what)(name)

        def done(_: None) -> None:
            if what == "resume":
                self.started.add(name)
            self.work.say(ACTIONS[what].format(name))
            if not self.work.closed:
                self.refresh()
                self.poll()

        self.work.runner.start(f"Training: {what}", steps, Handlers(done, self._failed))

    def still_running(self) -> tuple[str, ...]:
        """Return the runs of this viewer that have a process still; some milliseconds."""
        found = []
        for name in sorted(self.started):
            try:
                found += [name] if self.store.info(name).active else []
            except UserError:
                continue  # removed meanwhile
        return tuple(found)

    def stop_all(self) -> None:
        """Ask the runs of this viewer to stop with a checkpoint: it is closing."""
        for name in self.still_running():
            try:
                self.store.stop(name)
            except UserError as error:
                _LOG.warning("Stopping %s: %s", name, error)

    # ------------------------------------------------------------ results

    def model(self) -> Path | None:
        """Return the best trained model of the chosen run, None if there is none yet."""
        found, info = self.outcome, self.info
        paths = [found.model] if found else []
        paths += [info.folder.best, info.folder.last] if info else []
        return next((path for path in paths if path.is_file()), None)

    def use(self) -> None:
        """Segment with the trained model from now on; the next session starts as this one did."""
        path = self.model()
        if path is None:
            raise InputError(f"{self.chosen} has no model yet.")
        self.work.choose_model(str(path), remember=False)
        self.work.say(f"The model of {self.chosen} is chosen: press Run.", "good")

    def command(self) -> str:
        """Return the command line that repeats the chosen run."""
        info = self.info
        return "" if info is None or info.config is None else command_line(info.config)

    def epochs(self) -> tuple[int, ...]:
        """Epochs of which the maps of the validation image are kept; 0 is before training."""
        view = self.view
        return () if view is None else tuple(file.epoch for file in view.previews)

    def compare_pinned(self, epoch: int, handlers: Handlers) -> None:
        """Compare before training with an epoch, on the validation image that the run keeps."""
        info = self.info
        if info is None:
            raise InputError("No run is chosen.")
        folder = info.folder
        self.comparing.request(lambda: pinned_steps(folder, 0, epoch), handlers)

    def compare_image(self, handlers: Handlers) -> None:
        """Run both models on the chosen image, as "Segment" would, and cut both alike."""
        work, info, path = self.work, self.info, self.model()
        layer, chosen = work.image_layer(), work.session.image
        start = "" if info is None or info.config is None else info.config.start
        if path is None or not start or start.startswith(SCRATCH):
            raise InputError("There are no two models to compare: this run began untrained.")
        if not is_built_in(start) and not Path(start).is_file():
            raise InputError(f"The model before, {start}, is no longer there.")
        if layer is None or chosen is None:
            raise InputError(NO_IMAGE)
        if chosen.error:
            raise InputError(chosen.error)
        request, truth = work.request(layer), None
        run = work.study.run
        if run is not None and run.image.key == chosen.key and work.study.truth is not None:
            truth = work.study.truth.labels
        models = (start, str(path))
        self.comparing.request(lambda: models_steps(request, models, truth), handlers)


def training_for(work: Workspace, store: RunStore | None = None) -> Training:
    """Return the training of a workspace; it outlives the dock."""
    found = work.forms["train"].get("training")
    if not isinstance(found, Training):
        found = work.forms["train"]["training"] = Training(work, store)
    return found
