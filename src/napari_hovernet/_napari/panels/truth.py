"""What nuclei are compared with in the tab "Check", and how they fit it."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QCheckBox, QFileDialog, QWidget

from ...app import check
from ...app.jobs import Steps
from ...app.session import Run
from ...app.study import Given, TruthChoice, TruthSource, file_source, target_of, truth_steps
from ...core.types import Progress
from ...errors import UserError
from ..colours import table_of
from ..jobs import Handlers, Latest, bind, calling
from ..kit import (
    Combo,
    Fold,
    Message,
    button,
    column,
    grid_table,
    named,
    note,
    plain,
    row,
    set_note,
    tool,
)
from ..layers import EDITS, label_colormap
from ..viewer import full_data, holds_labels, origin_of
from ..workspace import Workspace

FOLLOW_MS = 400
"""Pause after the last edit of a truth before it is read again."""
TRUTH = "truth"
"""Role of the layer of true nuclei that were not found as they are."""
ERRORS = "errors"
"""Stands for the worst kind of error, once that is known."""
LABEL_FILTER = "Labels (*.png *.tif *.tiff *.npy *.mat *.json *.geojson);;All files (*)"
LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy", ".mat", ".json", ".geojson")
SCORES_FILTER = "Table (*.csv);;Scores and errors (*.json)"


class TruthBox(QWidget):
    """What the nuclei are compared with, and how they fit it."""

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work, self.study = work, work.study
        self._reading = Latest(work.runner, "Reading the truth", self)
        self._painting = Latest(work.runner, "Painting the truth", self)
        self._fresh = False
        self._followed: weakref.ref[Layer] | None = None
        self._edited = calling(self._soon)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(FOLLOW_MS)
        self._timer.timeout.connect(self.read)
        self.combo = Combo("Truth", "True nuclei: any layer of whole numbers, another run, or a "
                           "file (drop it here).")  # fmt: skip
        self.file = button("File ...", "Labels in a file: PNG, TIFF, NPY, MAT, JSON, GeoJSON.",
                           self._ask)  # fmt: skip
        self.words = Message("How they fit the truth", 4)
        self.table = grid_table("Scores", ("", "Dice", "AJI", "PQ"))
        self.remarks = note("", "What the scores are worth")
        self.outline = QCheckBox("Outline true nuclei not found")
        named(self.outline, "Outline true nuclei not found", "Draw missed, merged and split true "
              "nuclei in the colour of their outcome.")  # fmt: skip
        body = QWidget()
        inner = column(body, 0)
        copied = tool("Copy", "Copy scores", "Copy all scores, to paste into a spreadsheet.",
                      self._copy)  # fmt: skip
        saved = tool("Save ...", "Save scores", "Save all scores as CSV, or with the errors and "
                     "their places as JSON.", self._save)  # fmt: skip
        for widget in (self.table, self.remarks, row(copied, saved), self.outline):
            inner.addWidget(widget)
        self.fold = Fold("Scores", body, "All scores, and what they are worth.")
        layout = column(self, 0)
        layout.setSpacing(2)
        layout.addWidget(row(plain("Truth"), self.combo, self.file, stretch=1))
        layout.addWidget(self.words)
        layout.addWidget(self.fold)
        self.combo.picked.connect(self.choose)
        self.outline.toggled.connect(self._draw)
        for signal, slot in (
            (work.images_changed, self._list),
            (work.session.runs_changed, self._list),
            (self.study.run_changed, self._run_changed),
            (self.study.truth_changed, self._show),
            (self.study.findings_changed, self._show),
        ):
            bind(self, signal, slot)
        self._list()
        self._show()
        if self.study.truth is not None:
            self.read()  # follow its layer again; it may have been drawn on meanwhile

    # ------------------------------------------------------------ which

    def sources(self) -> dict[Hashable, TruthSource]:
        """Return everything that can be the truth for the run on screen."""
        work, run = self.work, self.study.run
        if run is None:
            return {}
        found = [layer_source(x, run) for x in reversed(work.viewer.layers) if holds_labels(x, run)]
        others = (r for r in work.session.runs if r is not run and r.image.key == run.image.key)
        found += [run_source(r, work) for r in others]
        found += [file_source(path) for path in work.forms["check"].get("files", ())]
        return {source.key: source for source in found}

    def choose(self, key: Hashable) -> None:
        """Compare with this source from now on; None = with nothing."""
        layer = self._layer(key)
        self._unhide()
        if key is None:
            self._reading.cancel()
            self.study.choose_truth(None)
            if self.work.session.view == "outcome":
                self.work.session.set_view("image")
            return
        if layer is not None and layer.visible:
            layer.visible = False
            self.work.forms["check"]["hidden"] = weakref.ref(layer)  # outlives the dock
        self._fresh = True
        self.read(key)

    def choose_file(self, path: str) -> None:
        """Compare with labels in a file."""
        if not path:
            return
        files = self.work.forms["check"].setdefault("files", [])
        if path not in files:
            files.append(path)
        self._list()
        self.choose(("file", path))

    def read(self, key: Hashable = None) -> None:
        """Read the truth again, in a worker thread."""
        run, before = self.study.run, self.study.truth
        key = key or (None if before is None else before.key)
        source = self.sources().get(key)
        if run is None or source is None:
            return
        self._follow(self._layer(key))
        target = target_of(run)

        def done(choice: TruthChoice) -> None:
            view = self.work.session.view
            if self._fresh and not choice.error:
                self.work.session.set_view("outcome")
                self.work.forms["check"]["kind"] = ERRORS
            elif choice.error and view == "outcome":
                self.work.session.set_view("image")
            self._fresh = False
            if choice is not self.study.truth and run is self.study.run:
                self.study.choose_truth(choice)
            self._list()

        def failed(error: UserError) -> None:
            self.work.say(str(error), "bad")

        self._reading.request(lambda: truth_steps(source, target, before), Handlers(done, failed))

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "True labels", "", LABEL_FILTER)
        self.choose_file(path)

    def _layer(self, key: Hashable) -> Layer | None:
        return next((x for x in self.work.viewer.layers if ("layer", id(x)) == key), None)

    def _unhide(self) -> None:
        layer = self.work.forms["check"].pop("hidden", lambda: None)()
        if layer is not None:
            layer.visible = True

    def _follow(self, layer: Layer | None) -> None:
        """Read a layer again whenever it was drawn on."""
        before = None if self._followed is None else self._followed()
        if layer is before:
            return
        self._followed = None
        for name in EDITS:
            if isinstance(before, Labels):
                getattr(before.events, name).disconnect(self._edited)
            if isinstance(layer, Labels) and not layer.multiscale:
                getattr(layer.events, name).connect(self._edited)
                self._followed = weakref.ref(layer)

    def _soon(self, _event: Any = None) -> None:
        self._timer.start()

    # ------------------------------------------------------------ what is seen

    def _run_changed(self, _run: Any = None) -> None:
        self._list()
        if self.study.truth is not None:
            self.read()

    def _list(self, _event: Any = None) -> None:
        known, truth = self.sources(), self.study.truth
        entries = [(key, source.name, source.name) for key, source in known.items()]
        if truth is not None and truth.key not in known:
            entries.append((truth.key, f"{truth.name} (removed)", "As it was last read."))
        self.combo.fill([(None, "none", "No truth."), *entries])
        self.combo.setValue(None if truth is None else truth.key)

    def _show(self, _value: Any = None) -> None:
        truth, found = self.study.truth, self.study.findings
        words, tone = check.truth_words(truth, found)
        self.words.setVisible(bool(words))
        self.words.say(words, tone)
        lines = check.score_rows(found)
        self.fold.setVisible(bool(lines) and truth is not None)
        if lines:
            self.table.fill(lines)
            set_note(self.remarks, check.remarks(found))
        self.combo.setValue(None if truth is None else truth.key)
        if self.outline.isChecked():
            self._draw()

    def _copy(self) -> None:
        if self.study.findings is not None:
            QGuiApplication.clipboard().setText(check.scores_text(self.study.findings))

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save scores", "scores.csv", SCORES_FILTER)
        found = self.study.findings
        if path and found is not None:
            self.work.attempt(lambda: check.save_scores(path, found, self.study.run))

    def _draw(self, _on: bool = True) -> None:
        """Draw true nuclei that are not matched, or take them away."""
        run, found, truth = self.study.run, self.study.findings, self.study.truth
        layers, comparison = self.work.layers, None if found is None else found.comparison
        wanted = self.outline.isChecked() and truth is not None and truth.labels is not None
        if run is None or not wanted or comparison is None or truth is None:
            self._painting.cancel()
            if run is not None:
                layers.remove(run, TRUTH)
            return

        def steps() -> Steps[Any]:
            from ...core.measure.compare import OUTCOME_COLORS  # noqa: PLC0415 - imports numba

            yield Progress(0, 0)
            outcomes = comparison.prediction.outcomes
            ids = outcomes.true_ids[outcomes.true != "matched"]
            kinds = outcomes.true[outcomes.true != "matched"]
            shown = np.where(np.isin(truth.labels, ids), truth.labels, 0)
            return shown, table_of(ids, [OUTCOME_COLORS[str(kind)] for kind in kinds])

        def done(made: tuple[Any, Any]) -> None:
            if not self.outline.isChecked() or run is not self.study.run:
                return
            look, old = {"contour": 1, "colormap": label_colormap(made[1])}, layers.find(run, TRUTH)
            layers.extra(run, TRUTH, "labels", "true, not found", made[0], look)
            if isinstance(old, Labels):
                old.colormap = look["colormap"]

        handlers = Handlers(done, lambda error: self.work.say(str(error), "bad"))
        self._painting.request(steps, handlers)


def layer_source(layer: Image | Labels, run: Run) -> TruthSource:
    """Whole numbers of a layer: of a stack the plane of the run, of a part its place."""
    data, plane = full_data(layer), run.placement.plane
    (row_, col), name = origin_of(layer, run), layer.name

    def read(_target: Any) -> Given:
        extra = len(data.shape) - 2
        index = plane[-extra:] if 0 < extra <= len(plane) else ()
        fits = all(i < n for i, n in zip(index, data.shape, strict=False))
        found = np.asarray(data[index] if index and fits else data)
        return Given(found, (row_, col) if (row_, col) != (0, 0) else None)

    return TruthSource(("layer", id(layer)), name, read)


def run_source(run: Run, work: Workspace) -> TruthSource:
    """Take the nuclei of another run, as they were left on screen."""
    labels = work.live.labels_of(run)
    return TruthSource(("run", run.id), run.title, lambda _: Given(labels, run.result.offset))
