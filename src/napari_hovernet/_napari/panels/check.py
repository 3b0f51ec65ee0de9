"""The tab "Check": what to look at, one nucleus near, the truth, corrections by hand."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QCheckBox, QFileDialog, QListWidget, QListWidgetItem, QWidget

from ...app import check
from ...app.check import KINDS, Place, box_of
from ...app.jobs import Steps
from ...app.session import Run
from ...app.study import (
    Given,
    TruthChoice,
    TruthSource,
    file_source,
    target_of,
    truth_steps,
)
from ...core.types import Outcomes, Progress
from ...errors import InputError, UserError
from ..colours import colour_of, table_of
from ..jobs import Handlers, Latest, bind, calling
from ..kit import (
    Combo,
    Elided,
    Fold,
    Message,
    button,
    column,
    dropped_file,
    grid_table,
    icon,
    named,
    note,
    plain,
    row,
    set_note,
    silent,
    tool,
)
from ..layers import EDITS, label_colormap
from ..viewer import Keys, full_data, holds_labels, on_click, origin_of
from ..workspace import Workspace
from .correct import CorrectBox, SaveBox
from .nucleus import CompareBox, NucleusBox, look_steps, pixels_of

MOST_LISTED = 300
"""Places in the list; the buttons go through all of them."""
LIST_PX = 72
FOLLOW_MS = 400
"""Pause after the last edit of a truth before it is read again."""
TRUTH = "truth"
"""Role of the layer of true nuclei that were not found as they are."""
ERRORS = "errors"
"""Stands for the worst kind of error, once that is known."""
LABEL_FILTER = "Labels (*.png *.tif *.tiff *.npy *.mat *.json *.geojson);;All files (*)"
LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy", ".mat", ".json", ".geojson")


class CheckTab(QWidget):
    """Look into what was found, and mend it."""

    title = "Check"

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work, self.study = work, work.study
        self.active, self._built, self._view_before, self._seen = False, False, "", 0
        self._looking = Latest(work.runner, "Looking at a nucleus", self)
        self.pixel = Elided("Point at the image to read it.")
        named(self.pixel, "Under the mouse", "NP 0 to 1, HV right and down -1 to 1, its length, "
              "and the nucleus with its area.")  # fmt: skip
        self.magnitude = Message("HV in numbers")
        self.truth = TruthBox(work)
        self.places = PlacesBox(work)
        self.nucleus = NucleusBox()
        self.correct = CorrectBox(work)
        self.save = SaveBox(work)
        self.compare = CompareBox(work)
        self.empty = note("Nothing to check yet: press Run.")
        self.body = QWidget()
        inner = column(self.body, 0)
        self.nucleus.layout().insertWidget(1, self.correct)
        for widget in (self.pixel, self.magnitude, self.truth, self.places, self.nucleus,
                       self.save, self.compare):  # fmt: skip
            inner.addWidget(widget)
        layout = column(self)
        layout.addWidget(self.empty)
        layout.addWidget(self.body)
        layout.addStretch(1)
        self.setAcceptDrops(True)
        self._clicks = on_click(calling(self._clicked))
        self._moves = _moves(calling(self._moved))
        self._keys = Keys(work.viewer, {"N": calling(self.places.step, 1),
                                        "Shift-N": calling(self.places.step, -1)})  # fmt: skip
        study = self.study
        for signal, slot in (
            (study.run_changed, self._show),
            (study.findings_changed, self._found),
            (study.labels_changed, self._look),
            (study.nucleus_changed, self._look),
            (work.layers.picked, self._picked),
        ):
            bind(self, signal, slot)
        self._built = True
        self._themed()
        self._show()

    # ------------------------------------------------------------ entered and left

    def shown(self) -> None:
        """Listen to the mouse, and show blobs if there are any."""
        if self.active:
            return
        self.active, viewer = True, self.work.viewer
        viewer.mouse_drag_callbacks.append(self._clicks)
        viewer.mouse_move_callbacks.append(self._moves)
        self._keys.acquire()
        self._seen = 0
        self._found()
        self._look()

    def left(self) -> None:
        """Take marks away: frame, truth, brush, and the colours that came with the tab."""
        if not self.active or self.work.closed:
            return
        self.active, work = False, self.work
        for callbacks, own in ((work.viewer.mouse_drag_callbacks, self._clicks),
                               (work.viewer.mouse_move_callbacks, self._moves)):  # fmt: skip
            if own in callbacks:
                callbacks.remove(own)
        self._keys.release()
        self.correct.put_down()
        self.truth.outline.setChecked(False)
        work.layers.frame(None)
        if self._view_before and work.session.view == "blobs":
            work.session.set_view(self._view_before)
        self._view_before = ""

    def _found(self, _value: Any = None) -> None:
        """Show what was found out; blobs of a run not yet seen are coloured at once."""
        found, run = self.study.findings, self.study.run
        self.magnitude.say(*check.magnitude_words(found))
        if not self.active or run is None or found is None or self._seen == run.id:
            return
        self._seen = run.id
        if found.blobs.n_suspected and self.work.session.view == "image":
            self._view_before = "image"
            self.work.session.set_view("blobs")

    def _show(self, _value: Any = None) -> None:
        there = self.study.run is not None
        self.body.setVisible(there)
        self.empty.setVisible(not there)
        self.magnitude.say(*check.magnitude_words(self.study.findings))

    def _themed(self) -> None:
        self.nucleus.set_theme(str(self.work.viewer.theme))

    # ------------------------------------------------------------ mouse

    def _clicked(self, position: Any) -> None:
        pixel, labels = self.work.to_pixel(position), self.study.labels
        if pixel is None or labels is None:
            return
        nucleus = int(labels[pixel])
        if self.correct.merging and nucleus:
            self.correct.merge_with(nucleus)
        else:
            self.study.look_at(nucleus)
            self.work.layers.frame(box_of(self.study.findings, nucleus))

    def _picked(self, nucleus: int) -> None:
        """Fly to the nucleus whose row was chosen in napari's table of features."""
        box = box_of(self.study.findings, nucleus)
        if self.active and box is not None and nucleus != self.study.nucleus:
            self.study.look_at(nucleus)
            self.work.fly_to(box)
            self.work.layers.frame(box)

    def _moved(self, position: Any) -> None:
        run, labels = self.study.run, self.study.labels
        pixel = None if run is None else self.work.to_pixel(position)
        if run is None or labels is None or pixel is None or run.result.maps is None:
            return
        from ...core.hv import read_hv  # noqa: PLC0415 - imports numba

        r, c = pixel
        maps = run.result.maps
        one = type(maps)(np=maps.np[r : r + 1, c : c + 1], hv=maps.hv[:, r : r + 1, c : c + 1])
        read = read_hv(one, self.work.tuning.params.hv)
        ids, found = labels[r : r + 1, c : c + 1], self.study.findings
        self.pixel.setText(check.pixel_words(read, ids, 0, 0, run.result.mpp, found))

    # ------------------------------------------------------------ one nucleus

    def _look(self, _value: Any = None) -> None:
        """Look at the nucleus that was chosen, in a worker thread."""
        work, run, nucleus = self.work, self.study.run, self.study.nucleus
        self.correct.show_state()
        if self.active:
            work.layers.select(nucleus)
        if not self.active or run is None or not nucleus or run.result.maps is None:
            self._looking.cancel()
            self.nucleus.setValue(None)
            return
        image = pixels_of(work, run)

        def steps() -> Steps[Any]:
            case = work.live.case()
            if case is None:
                raise InputError("This run kept no maps: run the model again.")
            return look_steps(case, nucleus, image, run.result.offset)

        def done(made: tuple[Any, Any]) -> None:
            if self.study.run is run and self.study.nucleus == nucleus:
                self.nucleus.setValue(*made, mpp=run.result.mpp)

        def failed(error: UserError) -> None:
            self.nucleus.setValue(None, trouble=str(error))

        self._looking.request(steps, Handlers(done, failed))

    # ------------------------------------------------------------ Qt events

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Follow the theme."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange and self._built:
            self._themed()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take a file of labels; anything else goes to the dock, or to napari."""
        if self.study.run is not None and dropped_file(event, LABEL_SUFFIXES):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Compare with the labels that were dropped."""
        self.truth.choose_file(dropped_file(event, LABEL_SUFFIXES))
        event.acceptProposedAction()


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
        for widget in (self.table, self.remarks, self.outline):
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


class PlacesBox(QWidget):
    """Blobs, errors and uncertain nuclei, to go through one by one."""

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work, self.study = work, work.study
        self._places: dict[str, tuple[Place, ...]] = {}
        self._at, self._now = -1, None
        self.kind = Combo("What to go through", "Blobs, errors against the truth, and nuclei the "
                          "network is not sure of.")  # fmt: skip
        self.count = plain("")
        self.back = tool("◀", "Previous", "The one before. (Shift+N)", lambda: self.step(-1))
        self.next = tool("▶", "Next", "The next one. (N)", lambda: self.step(1))
        self.list = QListWidget()
        self.list.setUniformItemSizes(True)
        self.list.setFixedHeight(LIST_PX)
        named(self.list, "Places", "Click one to fly there.")
        layout = column(self, 0)
        layout.setSpacing(2)
        layout.addWidget(row(self.kind, self.count, self.back, self.next, stretch=0))
        layout.addWidget(self.list)
        self.kind.picked.connect(self._kind_picked)
        self.list.currentRowChanged.connect(self._row_changed)
        self.list.itemClicked.connect(lambda item: self.go(self.list.row(item)))
        bind(self, self.study.findings_changed, self._show)
        bind(self, self.study.run_changed, self._run_changed)
        self._show()

    @property
    def places(self) -> tuple[Place, ...]:
        """Places of the kind that is chosen."""
        return self._places.get(self.kind.value(), ())

    def step(self, by: int) -> None:
        """Go to the next place, or the one before; from the last to the first."""
        if self.places:
            self.go((max(self._at, -1) + by) % len(self.places) if self._at >= 0 or by > 0 else -1)

    def go(self, at: int) -> None:
        """Fly to a place, frame it and look at its nucleus."""
        places = self.places
        if not places:
            return
        self._at = at % len(places)
        self._now = place = places[self._at]
        self.work.fly_to(place.box)
        self.study.look_at(place.nucleus)
        self.work.layers.frame(place.box)
        self._show_position()

    def _kind_picked(self, kind: str) -> None:
        self.work.forms["check"]["kind"] = kind
        self._at, self._now = -1, None
        self._fill()
        view = {"blob": "blobs", "uncertain": ""}.get(kind, "outcome")
        if view:
            self.work.session.set_view(view)

    def _row_changed(self, at: int) -> None:
        if at >= 0 and at != self._at and self.list.hasFocus():
            self.go(at)

    def _run_changed(self, _run: Any = None) -> None:
        self.work.forms["check"].pop("kind", None)
        self._at, self._now = -1, None
        self._show()

    def _show(self, _value: Any = None) -> None:
        """List anew; what is looked at stays so, or else the next one moves into its place."""
        self._places = check.places_of(self.study.findings)
        form = self.work.forms["check"]
        if form.get("kind") == ERRORS and "missed" in self._places:  # compared for the first time
            form["kind"] = check.first_kind({k: self._places[k] for k in Outcomes.ERRORS}, "merged")
            self._at, self._now = -1, None
        chosen = form.get("kind")
        kind = chosen if chosen in self._places else check.first_kind(self._places)
        entries = [(k, f"{KINDS[k]} ({len(p):,})", "") for k, p in self._places.items()]
        self.kind.fill(entries or [("blob", KINDS["blob"], "")])
        self.kind.setValue(kind)
        now, places = self._now, self.places
        if now is not None:
            same = (i for i, p in enumerate(places) if (p.kind, p.box) == (now.kind, now.box))
            self._at = next(same, self._at - 1)
            if self._at < 0 or places[self._at : self._at + 1] != (now,):
                self._now = None
        self._fill()

    def _fill(self) -> None:
        places, picture = self.places, icon(colour_of(self.kind.value()))
        with silent(self.list):
            self.list.clear()
            for place in places[:MOST_LISTED]:
                item = QListWidgetItem(picture, place.words)
                item.setToolTip(place.tip)
                self.list.addItem(item)
        for widget in (self.back, self.next):
            widget.setEnabled(bool(places))
        self.list.setVisible(bool(places))
        self._show_position()

    def _show_position(self) -> None:
        n = len(self.places)
        at = self._at if self._now is not None else -1
        self.count.setText(f"{at + 1} of {n}" if at >= 0 else "none" if not n else "")
        with silent(self.list):
            self.list.setCurrentRow(at if at < self.list.count() else -1)


# ---------------------------------------------------------------- helpers


def _moves(moved: Callable[[Any], None]) -> Callable[[Any, Any], None]:
    return lambda _viewer, event: moved(tuple(event.position))


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
