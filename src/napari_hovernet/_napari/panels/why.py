"""The tab "Why?": one button; causes as they come, the first with its picture and its fix."""

from __future__ import annotations

import math
from dataclasses import replace
from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QProgressBar,
    QSizePolicy,
    QWidget,
)

from ...app.diagnose_words import (
    gain_words,
    number_words,
    place_words,
    sentence,
    untested,
    what_to_do,
)
from ...core.diagnosis.report import DiagnosisReport
from ...core.params import FAULTS
from ..asking import VIEWS, Asking, asking_for
from ..jobs import bind
from ..kit import (
    RUN_STYLE,
    TONES,
    Fold,
    Message,
    button,
    column,
    named,
    note,
    plain,
    row,
    set_note,
    silent,
    tool,
)
from ..plots import BAD, INSIDE, OUTSIDE, Plot
from ..workspace import Workspace
from .files import FilesBox

if TYPE_CHECKING:
    from ...core.diagnosis.report import Finding
    from ...core.diagnosis.report import Plot as Figure


ROWS_SHOWN = 4
SAVE_FILTER = "Report (*.html)"
PLANTED: tuple[tuple[str, str, Any], ...] = (
    ("Touching nuclei labelled anew", FAULTS["merging_relabel"], "merging_relabel"),
    ("Seeds at the peaks of the magnitude", FAULTS["magnitude_peaks"], "magnitude_peaks"),
    ("HV read as V, H", "Horizontal and vertical are taken for each other.", {"order": "vh"}),
    ("HV read with the other sign", "Arrows are taken to point inward.", {"sign": "inward"}),
)
"""Faults of the story, and what is done for each."""


class WhyTab(QWidget):
    """Ask why; look at causes one by one; let one be fixed."""

    title = "Why?"

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work = work
        self.asking: Asking = asking_for(work)
        self.start = button("Find the cause", "", self.ask)
        self.start.setStyleSheet(RUN_STYLE)
        self.bar = QProgressBar()
        named(self.bar, "Progress of the checks", "Checks made, and checks in all.")
        self.bar.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.cancel = tool("✕", "Cancel", "Stop; what was found stays.", self.asking.cancel)
        self.message = Message("What was found")
        self.card = FindingCard()
        self.list = QListWidget()
        named(self.list, "Causes", "What may be wrong, the most likely first; choose one.")
        self.list.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.code = QCheckBox("In the words of the code")
        self.code.setChecked(bool(work.forms["why"].get("code")))
        named(self.code, "In the words of the code", "Evidence and remedies for who wrote it.")
        self.rest = plain("", wrap=True)
        self.others = Fold("In order, not tested", self.rest, "The other checks.")
        self.save = button("Save report ...", "A page with pictures (HTML).", self._save)
        self.files = FilesBox(work, self.asking)
        self.files_fold = Fold("Files", self.files, "Ask about data sets and models in files; run "
                               "a token decoder.", opened=self.asking.about_files)  # fmt: skip
        self.plant = button("Plant a fault", "Cut these nuclei as a known mistake did, to see what "
                            "it does; Undo takes it back.")  # fmt: skip
        self.plant.setMenu(QMenu(self))
        for title, tip, change in PLANTED:
            entry = self.plant.menu().addAction(title)
            entry.setToolTip(tip)
            entry.triggered.connect(lambda _=False, change=change: self._plant(change))
        self._pictured: tuple[Any, ...] = ((), None, None)
        self._lay_out()
        self._connect()
        self._show()

    def _lay_out(self) -> None:
        layout = column(self)
        layout.addWidget(row(self.start, self.bar, self.cancel, stretch=1))
        for widget in (self.message, self.card, self.list, row(self.code), self.others,
                       self.save, self.files_fold, row(self.plant)):  # fmt: skip
            layout.addWidget(widget)
        layout.addStretch(1)

    def _connect(self) -> None:
        asking, card = self.asking, self.card
        card.fix_asked.connect(self._fix)
        card.undo_asked.connect(asking.undo)
        card.place_asked.connect(self._go_to)
        self.list.currentItemChanged.connect(self._picked)
        self.code.toggled.connect(self._code_toggled)
        bind(self, asking.changed, self._show)
        bind(self, self.work.tuning.params_changed, self._show_actions)
        theme = getattr(self.work.viewer.events, "theme", None)
        if theme is not None:
            bind(self, theme, self._show_theme)
        self._show_theme()

    def shown(self) -> None:
        """Take up what is on screen."""
        self._show()

    def left(self) -> None:
        """Take the frame away."""
        self.work.layers.frame(None)

    # ------------------------------------------------------------ actions

    def ask(self) -> None:
        """Ask why; a reason not to is shown."""
        self.work.attempt(self.asking.ask)

    def _fix(self) -> None:
        self.work.attempt(self.asking.fix)

    def _plant(self, change: str | dict[str, str]) -> None:
        """Take a faulty separation by its name, or read HV in a wrong way."""
        tuning, blocked = self.work.tuning, self.work.tuning_blocked()
        if blocked:
            self.work.say(blocked, "bad")
        elif isinstance(change, str):
            tuning.choose_preset(change)
        else:
            tuning.edit(replace(tuning.params, hv=replace(tuning.params.hv, **change)))

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the report", "why.html", SAVE_FILTER)
        if path:
            self.work.attempt(lambda: self.asking.save(path))

    def _picked(self, item: QListWidgetItem | None, *_: Any) -> None:
        if item is not None:
            self.asking.choose(item.data(Qt.ItemDataRole.UserRole))

    def _code_toggled(self, on: bool) -> None:
        self.work.forms["why"]["code"] = on
        self._show()

    def _go_to(self, at: int) -> None:
        """Fly to an example, in the view that shows what is meant."""
        finding, boxes = self.asking.finding, self.asking.places
        if finding is None or at >= len(boxes):
            return
        box = boxes[at]
        shown = finding.layers if finding.places else ()  # of blobs the nuclei themselves
        view = next((VIEWS[layer] for layer in shown if layer in VIEWS), "")
        if view:
            self.work.session.set_view(view)
        self.work.fly_to(box)
        self.work.layers.frame(box)

    # ------------------------------------------------------------ showing

    def _show(self, *_: Any) -> None:
        asking = self.asking
        text, tone = asking.headline()
        self.message.say(text, tone)
        busy = asking.busy
        self.bar.setRange(0, asking.total if busy else 1)
        self.bar.setValue(asking.done if busy else 0)
        self.bar.setFormat(f"{asking.done} of {asking.total}" if busy and asking.total else "")
        blocked = asking.why.blocked
        self.start.setEnabled(not blocked and not busy)
        self.start.setText("Ask again" if asking.findings else "Find the cause")
        named(self.start, "Find the cause", blocked or "Make all checks that the run allows.")
        self.cancel.setEnabled(busy)
        simple = not self.code.isChecked()
        self.card.setValue(asking.finding, simple=simple, fixed=asking.fixed)
        self._show_picture()
        self._show_list()
        self._show_rest()
        self._show_actions()

    def _show_picture(self, *_: Any) -> None:
        """Show the figure of a finding, or the worst place of it as it is on screen now."""
        asking, finding = self.asking, self.asking.finding
        about = (finding.id, len(asking.places)) if finding is not None else None
        key = (about, finding and finding.plot, self.work.study.labels)
        if key[0] == self._pictured[0] and all(map(is_, key[1:], self._pictured[1:])):
            return
        self._pictured = key
        self.card.set_picture(asking.picture(), len(asking.places))

    def _show_actions(self, *_: Any) -> None:
        self.card.set_actions(self.asking.cannot_fix(), can_undo=self.asking.can_undo)
        if self.asking.about_files:
            self.card.fix.setText("Try it")
            self.card.fix.setToolTip("Make the checks again with it; the files stay as they are.")
        else:
            self.card.fix.setText("Fix it")

    def _show_list(self) -> None:
        causes, shown = self.asking.causes, self.asking.finding
        with silent(self.list):
            self.list.clear()
            for cause in causes:
                item = QListWidgetItem(f"{cause.title} ({cause.certainty:.0%})")
                item.setToolTip(f"{cause.title}. How sure it is that this is a cause: "
                                f"{cause.certainty:.0%}.")  # fmt: skip
                item.setData(Qt.ItemDataRole.UserRole, cause.id)
                self.list.addItem(item)
                if shown is not None and cause.id == shown.id:
                    self.list.setCurrentItem(item)
        self.list.setVisible(len(causes) > 1)
        height = self.list.sizeHintForRow(0) if causes else 0
        self.list.setFixedHeight(height * min(len(causes), ROWS_SHOWN) + 6)

    def _show_rest(self) -> None:
        findings = self.asking.findings
        report = DiagnosisReport(findings, 0, 0)
        follow = [f for f in findings if f.wrong and f.explained_by]
        lines = [f"Comes of it: {f.title}" for f in follow]
        lines += [f"In order: {f.title}" for f in report.passed]
        for why, waiting in untested(report):
            names = ", ".join(f.title.lower() for f in waiting)
            lines.append(f"Not tested ({why}): {names}")
        self.rest.setText("\n".join(lines))
        counts = f"{len(report.passed)} in order, {len(report.not_tested)} not tested"
        self.others.head.setText(counts)
        self.others.setVisible(bool(lines))
        self.save.setVisible(self.asking.finished is not None)

    def _show_theme(self, *_: Any) -> None:
        self.card.plot.set_theme(str(getattr(self.work.viewer, "theme", "dark")))


PLOT_PX = 150
COLOURS = (INSIDE, OUTSIDE, (0, 158, 115), (204, 121, 167), (140, 140, 150))
VERDICT_TONES = {"fault": "bad", "warn": "warn", "ok": "good"}
LONG_NAME = 12
"""Characters of a bar's name that fit under it."""


class FindingCard(QWidget):
    """Shows a finding; knows nothing of where it comes from."""

    fix_asked = Signal()
    undo_asked = Signal()
    place_asked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.finding: Finding | None = None
        self._place, self._n_places = -1, 0
        self.title = note(name="What is wrong")
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.words = note(name="What it means")
        self.plot = Plot("Picture of the finding", PLOT_PX)
        self.number = note(name="The number that decided")
        self.todo = note(name="What to do")
        self.fix = button("Fix it", "", self.fix_asked.emit)
        self.fix.setStyleSheet(RUN_STYLE)
        self.undo = button("Undo", "Take the change back.", self.undo_asked.emit)
        self.show_place = button("Show me", "Fly to an example, the worst first.", self._next_place)
        self.details = plain("", wrap=True)
        self.details.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.fold = Fold("Details", self.details, "The evidence with its numbers, and examples.")
        layout = column(self, 0)
        for widget in (self.title, self.words, self.plot, self.number, self.todo,
                       row(self.fix, self.undo, self.show_place), self.fold):  # fmt: skip
            layout.addWidget(widget)
        self.setVisible(False)

    def setValue(  # noqa: N802
        self, finding: Finding | None, *, simple: bool, fixed: bool = False
    ) -> None:
        """Show a finding in plain words, or in those of who reads the code; None = nothing."""
        if finding is not self.finding:
            self._place = -1
        self.finding = finding
        self.setVisible(finding is not None)
        if finding is None:
            return
        tone = "good" if fixed else VERDICT_TONES.get(finding.verdict, "")
        self.title.setStyleSheet(f"color: {TONES[tone]};")
        set_note(self.title, f"✓ {finding.title}" if fixed else finding.title)
        words = sentence(finding, plain=simple)
        set_note(self.words, "" if words.rstrip(".") == finding.title.rstrip(".") else words)
        set_note(self.number, plain_number(finding) if simple else number_words(finding))
        set_note(self.todo, what_to_do(finding, plain=simple))
        self.details.setText(details_of(finding))

    def set_picture(self, image: Any, n_places: int) -> None:
        """Draw the figure of the finding, or else an image (H, W, 3) of an example."""
        self._n_places = n_places
        self.show_place.setVisible(n_places > 0)
        self._name_place()
        figure = None if self.finding is None else self.finding.plot
        self.plot.setVisible(figure is not None or image is not None)
        self.plot.clear_all()
        item = self.plot.getPlotItem()
        pictured = figure is None and image is not None
        for side in ("left", "bottom"):
            item.showAxis(side, not pictured)
        item.setAspectLocked(pictured)
        item.invertY(pictured)
        if figure is not None:
            draw(self.plot, figure)
        elif pictured:
            item.addItem(pg.ImageItem(image, axisOrder="row-major"))
            item.autoRange(padding=0)

    def set_actions(self, cannot: str, *, can_undo: bool) -> None:
        """Say why it cannot be fixed, "" if it can, and whether a change can be taken back."""
        there = self.finding is not None and bool(self.finding.remedy.action)
        self.fix.setVisible(there)
        self.fix.setEnabled(not cannot)
        named(self.fix, "Fix it", cannot or "Change the nuclei on screen; Undo takes it back.")
        self.undo.setEnabled(can_undo)

    def _next_place(self) -> None:
        if self._n_places:
            self._place = (self._place + 1) % self._n_places
            self._name_place()
            self.place_asked.emit(self._place)

    def _name_place(self) -> None:
        n = self._n_places
        at = f" ({self._place + 1} of {n})" if self._place >= 0 else f" ({n})" if n > 1 else ""
        self.show_place.setText(f"Show me{at}")


def plain_number(finding: Finding) -> str:
    """Say the number that decided, shares in percent, with its bound; "" without one.

    >>> from napari_hovernet.core.diagnosis.report import Finding
    >>> plain_number(Finding("data.x", "warn", "t", "e", 0.86, 0.5, "share of pixels"))
    '86 % of pixels (bound 50 %)'
    """
    if not finding.unit.startswith("share") or not math.isfinite(finding.value):
        return number_words(finding)
    bound = f" (bound {100 * finding.threshold:.3g} %)" if math.isfinite(finding.threshold) else ""
    return f"{100 * finding.value:.3g} %{finding.unit.removeprefix('share')}{bound}"


def details_of(finding: Finding) -> str:
    """Return everything there is to say, in the words of who reads the code."""
    lines = [finding.evidence, number_words(finding), what_to_do(finding), gain_words(finding)]
    sure = f", {finding.certainty:.0%} sure" if finding.certainty else ""
    lines += [f"Check {finding.id}{sure}."]
    lines += [place_words(place) for place in finding.places[:5]]
    return "\n".join(filter(None, lines))


# ---------------------------------------------------------------- the picture


def draw(plot: Plot, figure: Figure) -> None:
    """Draw the figure of a finding."""
    plot.set_labels(figure.x_label or figure.title, figure.y_label)
    axis = plot.getPlotItem().getAxis("bottom")
    axis.setTicks(None)
    if figure.kind == "bars":
        _bars(plot, figure)
    elif figure.kind == "matrix":
        _matrix(plot, figure)
    else:
        for (name, values), colour in zip(figure.series, COLOURS, strict=False):
            if figure.kind == "histogram":
                plot.bars(np.asarray(figure.x, float), np.asarray(values, float), colour, name)
            else:
                plot.curve(np.asarray(figure.x, float), np.asarray(values, float), colour, name)
    if figure.line is not None:
        plot.mark(figure.line, BAD, across=not figure.upright)
    plot.getPlotItem().autoRange()


def _bars(plot: Plot, figure: Figure) -> None:
    n = max(len(figure.series), 1)
    for at, (name, values) in enumerate(figure.series):
        places = np.arange(len(values)) + (at - (n - 1) / 2) * 0.8 / n
        item = pg.BarGraphItem(
            x=places, height=np.asarray(values, float), width=0.7 / n,
            brush=COLOURS[at % len(COLOURS)], pen=None, name=name if n > 1 else None,
        )  # fmt: skip
        plot.getPlotItem().addItem(item)
    _names(plot, figure.x)


def _matrix(plot: Plot, figure: Figure) -> None:
    values = np.asarray([row for _, row in figure.series], float)
    image = pg.ImageItem(values[::-1], axisOrder="row-major")
    image.setColorMap(pg.colormap.get("viridis"))
    image.setRect(-0.5, -0.5, values.shape[1], values.shape[0])
    plot.getPlotItem().addItem(image)
    _names(plot, figure.x)
    names: list[Any] = [(at, name) for at, (name, _) in enumerate(reversed(figure.series))]
    plot.getPlotItem().getAxis("left").setTicks([names])


def _names(plot: Plot, names: tuple[Any, ...]) -> None:
    short = [str(name) if len(str(name)) <= LONG_NAME else f"{str(name)[: LONG_NAME - 1]}…"
             for name in names]  # fmt: skip
    plot.getPlotItem().getAxis("bottom").setTicks([list(enumerate(short))])
