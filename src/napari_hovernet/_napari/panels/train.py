"""The tab "Train": what to learn from, one plot while it runs, one sentence at the end."""

from __future__ import annotations

import math
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QObject, QTimer, QUrl
from qtpy.QtGui import QDesktopServices, QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QApplication,
    QFileDialog,
    QMainWindow,
    QMenu,
    QMessageBox,
    QProgressBar,
    QSizePolicy,
    QWidget,
)

from ...app.curves import PLOTS, points
from ...core.params import SCRATCH, DataParams, LossParams, OptimParams, TrainConfig
from ...core.weights import BUILT_IN, offered
from ..forms import Form, Number, rows_of
from ..jobs import bind
from ..kit import (
    CHECKPOINT_FILTER,
    RUN_STYLE,
    Combo,
    Elided,
    Fold,
    Message,
    button,
    column,
    named,
    plain,
    row,
    silent,
    tool,
)
from ..plots import Plot
from ..training import Training, training_for
from ..workspace import Workspace
from .beside import Beside
from .settings import SettingsDialog

POLL_MS = 500
"""Time between two looks at the chosen run, so that the plot is drawn twice a second at most."""
PLOT_PX = 170
PARTS_OF_BAR = 1000
TITLE_PX = 132
"""Pixels for the titles of numbers, so that these stand in one column; lambda_magnitude fits."""
FEW = 40
"""Lines of fewer points show the points themselves."""
ASK, UNTRAINED = "ask", f"{SCRATCH}compact"
DATA_FILTER = "Training data (*.csv *.npz *.npy *.mat);;All files (*)"
SHARE, FOLDER = "share", "folder"
PAUSES = {"running": ("Pause", "Stay between two steps, with memory and turn."),
          "paused": ("Go on", "Go on from where it is.")}  # fmt: skip
RESUMES = ("Resume", "Go on from the last checkpoint; from the start if there is none yet.")
ENDED_EARLY = ("stopped", "failed", "killed")
STOP_TIP = "Finish the step under way, keep a checkpoint, end; Resume goes on exactly there."


class TrainTab(QWidget):
    """Set a training up, or look at a run: one of the two at a time."""

    title = "Train"

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work = work
        self.training = training = training_for(work)
        self.setAcceptDrops(True)
        self.combo = Combo("Training", "A new training, or one of the runs there are.")
        self.setup, self.run = SetUp(training), RunPage(training)
        layout = column(self)
        for widget in (self.combo, self.setup, self.run):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.combo.picked.connect(training.choose)
        bind(self, training.runs_changed, self._show)
        bind(self, training.view_changed, self._poll_or_not)
        self.timer = QTimer(self)
        self.timer.setInterval(POLL_MS)
        self.timer.timeout.connect(training.poll)
        self._looked_at = False
        self._show()

    def shown(self) -> None:
        """Look at the runs from now on, and ask before a window closes over one of them."""
        self._looked_at = True
        self.training.read_start()
        self.training.poll()
        self._poll_or_not()
        ask_before_closing(self.window(), self.training)

    def left(self) -> None:
        """Look on only at what goes on."""
        self._looked_at = False
        self._poll_or_not()

    def _poll_or_not(self, *_: Any) -> None:
        """Poll while the tab is looked at, or a chosen run goes on, or is yet to be read."""
        view, chosen = self.training.view, self.training.chosen
        if not self._looked_at and not (chosen and (view is None or view.active)):
            self.timer.stop()
        elif not self.timer.isActive():
            self.timer.start()

    def _show(self, *_: Any) -> None:
        self._poll_or_not()
        training = self.training
        entries = [("", "New training", "Set a training up.")]
        for run in training.runs:
            aji = run.score("aji")
            score = "" if math.isnan(aji) else f" · AJI {aji:.2f}"
            entries.append((run.name, f"{run.name} · {run.state}{score}", run.message))
        if training.chosen not in {value for value, *_ in entries}:
            entries.append((training.chosen, f"{training.chosen} · starting", ""))
        self.combo.fill(entries)
        self.combo.setValue(training.chosen)
        self.setup.setVisible(not training.chosen)
        self.run.setVisible(bool(training.chosen))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take folders and data files while a training is set up."""
        if self.setup.isVisible() and dropped(event):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Train on what was dropped."""
        self.setup.add(*dropped(event))
        event.acceptProposedAction()


def dropped(event: QDragEnterEvent | QDropEvent) -> list[str]:
    """Return what training data were dropped: folders, and files of their kinds."""
    data = event.mimeData()
    urls = data.urls() if data is not None and data.hasUrls() else []
    paths = [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
    kinds = (".csv", ".npz", ".npy", ".mat")
    return [str(p) for p in paths if p.is_dir() or p.suffix.lower() in kinds]


# ---------------------------------------------------------------- set-up


class SetUp(QWidget):
    """Data with counts, starting model, epochs, lambda_magnitude, validation, Start."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        self.training, self.work = training, training.work
        self._dialog: SettingsDialog | None = None
        self.folder = button("Folder ...", "A folder of images with label files, PanNuke folds "
                             "...; or drop it here.", self._ask_folder)  # fmt: skip
        self.file = button("File ...", "An index.csv, .npz, .npy or .mat file.", self._ask_file)
        self.pairs = button("From Check", "The images whose nuclei you have corrected.",
                            lambda: self.add(*self.work.data_folders))  # fmt: skip
        self.sources = QWidget()
        self.lines = column(self.sources, 0)
        self.lines.setSpacing(0)
        self.counts = Message("What the data are")
        self.details = plain("", wrap=True)
        self.fold = Fold("Data check", self.details, "What is odd in the data, and what is not.")
        self.start_from = Combo("Starting model", "The model to train on from.")
        self.start = button("Start training", "", self.go)
        self.start.setStyleSheet(RUN_STYLE)
        self.time = Message("Time and memory", 1)
        self.all = button("All settings ...", "Loss, augmentation, learning rate, device, name "
                          "and the rest.", self.open_settings)  # fmt: skip
        self._make_numbers()
        self._lay_out()
        self._connect()
        self._show()

    def _make_numbers(self) -> None:
        config = self.training.config
        (weight,) = rows_of(LossParams, "lambda_magnitude")
        self.epochs = Form(rows_of(OptimParams, "epochs"), config.optim)
        self.weight = Form((replace(weight, title="lambda_magnitude"),), config.loss)
        for form in (self.epochs, self.weight):
            for label in form.labels.values():
                label.setFixedWidth(TITLE_PX)
        (share,) = rows_of(DataParams, "val_fraction")
        self.share = Number(share)
        named(self.share, "Share of the images that is validated on", share.help)
        self.how = Combo("Validation", "Whole images that are never trained on.",
                         ((SHARE, "Share", share.help),
                          (FOLDER, "Folder ...", "Images of a folder of its own.")))  # fmt: skip
        self.val_folder = Elided()

    def _lay_out(self) -> None:
        layout = column(self, 0)
        buttons = row(plain("Data"), self.folder, self.file, self.pairs)
        layout.addWidget(buttons)
        for widget in (self.sources, self.counts, self.fold):
            layout.addWidget(widget)
        layout.addWidget(row(plain("Start from"), self.start_from, stretch=1))
        layout.addWidget(self.epochs)
        layout.addWidget(self.weight)
        held = _even(self.how, self.share, self.val_folder)
        layout.addWidget(row(plain("Validation"), held, stretch=1))
        layout.addWidget(row(self.all))
        layout.addWidget(self.time)
        layout.addWidget(self.start)
        self.start.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def _connect(self) -> None:
        training = self.training
        self.start_from.picked.connect(self._start_picked)
        self.epochs.valueChanged.connect(lambda value: self._edit(optim=value))
        self.weight.valueChanged.connect(lambda value: self._edit(loss=value))
        self.share.valueChanged.connect(lambda value: self._edit_data(val_fraction=value))
        self.how.picked.connect(self._how_picked)
        bind(self, training.setup_changed, self._show)
        bind(self, training.checked, self._show_check)
        bind(self, training.runs_changed, self._show_check)
        bind(self, self.work.session.settings_changed, self._show)

    # ------------------------------------------------------------ edits

    def _edit(self, **changes: Any) -> None:
        self.training.edit(replace(self.training.config, **changes))

    def _edit_data(self, **changes: Any) -> None:
        self._edit(data=replace(self.training.config.data, **changes))

    def add(self, *paths: str) -> None:
        """Train on these places, too."""
        known = self.training.config.data.sources
        self._edit_data(sources=tuple(dict.fromkeys((*known, *filter(None, paths)))))

    def remove(self, path: str) -> None:
        """Leave a place out."""
        known = self.training.config.data.sources
        self._edit_data(sources=tuple(source for source in known if source != path))

    def go(self) -> None:
        """Start; a reason not to is shown."""
        self.work.attempt(self.training.start)

    def open_settings(self) -> None:
        """Open the window with all settings; the viewer goes on beside it."""
        if self._dialog is None:
            self._dialog = SettingsDialog(self.training, self)
        self._dialog.show()
        self._dialog.raise_()

    def _ask_folder(self) -> None:
        self.add(QFileDialog.getExistingDirectory(self, "Images with labels", self._last()))

    def _ask_file(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Training data", self._last(), DATA_FILTER)
        self.add(*paths)

    def _last(self) -> str:
        sources = self.training.config.data.sources
        return str(Path(sources[-1]).parent) if sources else ""

    def _how_picked(self, how: str) -> None:
        folder = ""
        if how == FOLDER:
            folder = QFileDialog.getExistingDirectory(self, "Images to validate on", self._last())
        self._edit_data(validation=(folder,) if folder else ())

    def _start_picked(self, start: str) -> None:
        if start == ASK:
            start, _ = QFileDialog.getOpenFileName(self, "Start from", "", CHECKPOINT_FILTER)
        if start:
            self._edit(start=start)
        self._show()

    # ------------------------------------------------------------ showing

    def _show(self, *_: Any) -> None:
        config: TrainConfig = self.training.config
        known = dict.fromkeys((config.start, *offered(), self.work.session.model.source,
                               *self.work.session.settings.recent_models))  # fmt: skip
        entries = [(source, model_title(source), source) for source in known]
        entries += [(UNTRAINED, "untrained", "A network that knows nothing yet.")]
        entries += [(ASK, "Open a file ...", "Choose a checkpoint file.")]
        self.start_from.fill(list({entry[0]: entry for entry in entries}.values()))
        self.start_from.setValue(config.start)
        self.epochs.setValue(config.optim)
        self.weight.setValue(config.loss)
        with silent(self.share):
            self.share.setValue(config.data.val_fraction)
        held = config.data.validation
        self.how.setValue(FOLDER if held else SHARE)
        self.share.setVisible(not held)
        self.val_folder.setVisible(bool(held))
        self.val_folder.setText(Path(held[0]).name if held else "")
        self.pairs.setVisible(bool(self.work.data_folders))
        self._show_sources(config.data.sources)
        self._show_check()

    def _show_sources(self, sources: tuple[str, ...]) -> None:
        shown = [self.lines.itemAt(i).widget() for i in range(self.lines.count())]  # type: ignore[union-attr]
        if [line.property("source") for line in shown] == list(sources):
            return
        for line in shown:
            self.lines.removeWidget(line)
            line.deleteLater()
        for source in sources:
            name = Path(source).name
            label = Elided(name)
            label.setToolTip(source)
            cross = tool("✕", f"Leave out {name}", f"Leave out {source}",
                         lambda source=source: self.remove(source))  # fmt: skip
            line = row(label, cross, stretch=0)
            line.setProperty("source", source)
            self.lines.addWidget(line)

    def _show_check(self, *_: Any) -> None:
        training, check = self.training, self.training.check
        text, tone = training.counts, ""
        if not training.config.data.sources:
            text = "Images with label files: choose a folder."
        elif check is not None:
            text = check.summary or " ".join(check.problems)
            tone = "bad" if check.refused else "warn" if check.warnings else "good"
        self.counts.say(text, tone)
        lines = () if check is None else (*check.problems, *check.warnings, *check.findings)
        self.details.setText("\n".join(lines))
        self.fold.setVisible(bool(lines))
        self.time.say(training.estimate() if training.config.data.sources else "")
        problem = training.problem()
        self.start.setEnabled(not problem)
        waits = any(run.active for run in training.runs)
        self.start.setText("Queue training" if waits else "Start training")
        named(self.start, "Start training", problem or (
            "Another run trains: this one waits for its turn." if waits else
            "Train in a process of its own; the viewer stays free, and may be closed."
        ))  # fmt: skip


def model_title(source: str) -> str:
    """Return what a starting point is called."""
    return f"{source} (built in)" if source in BUILT_IN else Path(source).name


# ---------------------------------------------------------------- a run


class RunPage(QWidget):
    """What a run does: a sentence, one plot, a few buttons that never move."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        self.training, self.work = training, training.work
        self._beside: Beside | None = None
        self.words = Message("What the run does")
        self.bar = QProgressBar()
        self.bar.setRange(0, PARTS_OF_BAR)
        named(self.bar, "Progress of the training", "Share of the steps that are done.")
        self.bar.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.pause = button("Pause", "", self._pause)
        self.stop = button("Stop", STOP_TIP, lambda: training.do("stop"))
        self.more = button("More", "Kill, remove, files, command line.")
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.more.setMenu(self.menu)
        kinds = [(at, kind.title, kind.help) for at, kind in enumerate(PLOTS)]
        self.kind = Combo("Curves", "What is drawn.", kinds)
        self.plot = Plot("Curves of the run", PLOT_PX)
        self.plot.legend.setOffset((-4, -4))
        self.use = button("Use", "", self._use)
        self.compare = button("Compare ...", "Before and after on one image, in a window of its "
                              "own.", self.open_beside)  # fmt: skip
        for widget in (self.pause, self.stop, self.more, self.use, self.compare):
            widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        layout = column(self, 0)
        layout.addWidget(self.words)
        layout.addWidget(self.bar)
        layout.addWidget(_even(self.pause, self.stop, self.more))
        layout.addWidget(self.kind)
        layout.addWidget(self.plot)
        layout.addWidget(_even(self.use, self.compare))
        self.kind.picked.connect(self._kind_picked)
        self.kind.setValue(self.work.forms["train"].get("plot", 0))
        theme = getattr(self.work.viewer.events, "theme", None)
        if theme is not None:
            bind(self, theme, self._show_theme)
        bind(self, training.runs_changed, self._show)
        bind(self, training.view_changed, self._draw)
        self._show_theme()
        self._draw()

    # ------------------------------------------------------------ actions

    def _pause(self) -> None:
        info = self.training.info
        if info is not None:
            self.training.do("pause" if info.state == "running" else "resume")

    def _use(self) -> None:
        self.work.attempt(self.training.use)

    def open_beside(self) -> None:
        """Open the window that shows before and after."""
        if self._beside is None:
            self._beside = Beside(self.training, self)
        self._beside.open_now()

    def _fill_menu(self) -> None:
        menu, info, training = self.menu, self.training.info, self.training
        menu.clear()
        if info is None:
            return

        def entry(title: str, action: Any, *, on: bool = True) -> None:
            made = menu.addAction(title)
            made.setEnabled(on)
            made.triggered.connect(lambda _=False: action())

        folder = info.folder
        entry("Kill ...", lambda: self._ask("kill", "It ends at once; what came after its last "
              "checkpoint is lost."), on=info.active)  # fmt: skip
        entry("Remove ...", lambda: self._ask("remove", "All its files, models too, are deleted."),
              on=not info.active)  # fmt: skip
        menu.addSeparator()
        entry("Open its folder", lambda: _open(folder.path))
        entry("Open the report", lambda: _open(folder.report), on=folder.report.is_file())
        entry("Open the log", lambda: _open(folder.log), on=folder.log.is_file())
        entry("Copy the command line", lambda: _copy(training.command()))
        entry("Set up again like this", self._again, on=info.config is not None)

    def _again(self) -> None:
        info = self.training.info
        if info is not None and info.config is not None:
            self.training.edit(replace(info.config, name=TrainConfig().name))
            self.training.choose("")

    def _ask(self, what: str, warning: str) -> None:
        """Ask before something that cannot be undone; the viewer goes on meanwhile."""
        name = self.training.chosen
        text = f"{what.capitalize()} {name}?\n{warning}"
        box = QMessageBox(QMessageBox.Icon.Warning, "HoVer-Net", text, parent=self)
        sure = box.addButton(what.capitalize(), QMessageBox.ButtonRole.DestructiveRole)
        no = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(no)
        box.setEscapeButton(no)

        def answered(_: int) -> None:
            if box.clickedButton() is sure and self.training.chosen == name:
                self.training.do(what)
            box.deleteLater()

        box.finished.connect(answered)
        box.open()

    # ------------------------------------------------------------ showing

    def _show(self, *_: Any) -> None:
        training, info, view = self.training, self.training.info, self.training.view
        self.words.say(*training.words())
        done = 0.0 if view is None or math.isnan(view.done) else view.done
        self.bar.setValue(round(done * PARTS_OF_BAR))
        state = "" if info is None else info.state
        title, tip = PAUSES.get(state, RESUMES)
        self.pause.setText(title)
        named(self.pause, title, tip)
        self.pause.setEnabled(state in PAUSES or state in ENDED_EARLY)
        self.stop.setEnabled(info is not None and info.active)
        model, found = training.model(), training.outcome
        self.use.setEnabled(model is not None)
        self.use.setText("Use anyway" if found and not found.better else "Use")
        named(self.use, "Use the trained model", "Segment with it from now on, in this session."
              if model else "There is no model yet.")  # fmt: skip
        self.compare.setEnabled(model is not None)

    def _kind_picked(self, at: int) -> None:
        self.work.forms["train"]["plot"] = at
        self._draw()

    def _show_theme(self, *_: Any) -> None:
        self.plot.set_theme(str(getattr(self.work.viewer, "theme", "dark")))

    def _draw(self, *_: Any) -> None:
        """Draw the chosen curves; the legend has the latest numbers."""
        kind, view = PLOTS[self.kind.value() or 0], self.training.view
        self.kind.setToolTip(kind.help)
        self.plot.clear_all()
        self.plot.set_labels("epoch", kind.axis)
        item, last = self.plot.getPlotItem(), 1.0
        item.setLogMode(False, kind.log)
        for line in kind.lines:
            x, y = (np.zeros(0), np.zeros(0)) if view is None else points(view, line)
            known = np.isfinite(y) & ((y > 0) | (not kind.log))
            x, y = x[known], y[known]
            if len(x):
                last = max(last, float(x[-1]))
                title = f"{line.title} {y[-1]:.3g}"
                dots = len(x) <= FEW and not line.base
                self.plot.curve(x, y, line.color, title, dots=dots, dash=line.base)
        item.setXRange(0, max(last, 0 if view is None else view.n_epochs))
        if kind.limits is None:
            item.enableAutoRange("y")
        else:
            item.setYRange(*kind.limits, padding=0.03)
        self._show()


def _even(*widgets: QWidget) -> QWidget:
    """Put buttons side by side, all of one width whatever their words."""
    made = row(*widgets)
    layout: Any = made.layout()
    layout.takeAt(layout.count() - 1)
    for at in range(layout.count()):
        layout.setStretch(at, 1)
    return made


def _open(path: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


def _copy(text: str) -> None:
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)


TEXT = (
    "{} goes on in the background when napari is closed; the tab 'Train' shows it again. "
    "Let it go on?"
)
GO_ON, STOP = "Let it go on", "Stop it with a checkpoint"
ASKED = "napari_hovernet_asks"


class CloseQuestion(QObject):
    """Holds a close event back and asks, without stopping the program; the answer closes."""

    def __init__(self, window: QMainWindow, training: Training) -> None:
        super().__init__(window)
        self._window, self._training = window, weakref.ref(training)
        self._answered = False
        self.box: QMessageBox | None = None
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Stop the close event that has to be asked about.

        A program that closes its viewer has hidden the central widget before; it is not asked.
        """
        if event is None or event.type() != QEvent.Type.Close or self._answered:
            return super().eventFilter(watched, event)
        training, middle = self._training(), self._window.centralWidget()
        by_user = self._window.isVisible() and middle is not None and middle.isVisible()
        names = training.still_running() if training is not None and by_user else ()
        if not names:
            return super().eventFilter(watched, event)
        event.ignore()
        self._ask(" and ".join(names))
        return True

    def _ask(self, names: str) -> None:
        if self.box is not None:
            self.box.raise_()
            return
        icon = QMessageBox.Icon.Question
        box = QMessageBox(icon, "Training", TEXT.format(names), parent=self._window)
        go_on = box.addButton(GO_ON, QMessageBox.ButtonRole.AcceptRole)
        stop = box.addButton(STOP, QMessageBox.ButtonRole.DestructiveRole)
        cancel = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(go_on)
        box.setEscapeButton(cancel)
        box.finished.connect(lambda _: self._done(box.clickedButton(), go_on, stop))
        self.box = box
        box.open()

    def _done(self, clicked: Any, go_on: Any, stop: Any) -> None:
        training, box, self.box = self._training(), self.box, None
        if box is not None:
            box.deleteLater()
        quits = bool(getattr(self._window, "_quit_app", False))
        if clicked not in (go_on, stop):
            if quits:  # what was asked for with "Quit" is not to be remembered
                self._window._quit_app = False  # type: ignore[attr-defined]
            return
        if clicked is stop and training is not None:
            training.stop_all()
        self._answered = True
        self._window.close(quit_app=True) if quits else self._window.close()  # type: ignore[call-arg]


def ask_before_closing(window: Any, training: Training) -> None:
    """Ask once a window closes; a second call does nothing."""
    if isinstance(window, QMainWindow) and not window.property(ASKED):
        window.setProperty(ASKED, True)
        CloseQuestion(window, training)
