"""The tab "Check": what to look at, one nucleus near, the truth, corrections by hand."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from napari.layers import Labels, Layer
from qtpy.QtCore import QEvent
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QWidget,
)

from ...app import check
from ...app.check import KINDS, Correction, Place, box_of
from ...app.jobs import Steps
from ...app.study import target_of
from ...core.types import Outcomes, Progress
from ...errors import InputError, UserError
from ..colours import colour_of
from ..jobs import Handlers, Latest, bind, calling
from ..kit import (
    SWITCH_STYLE,
    Combo,
    Elided,
    Fold,
    Message,
    button,
    column,
    dropped_file,
    icon,
    named,
    note,
    plain,
    row,
    silent,
    tool,
)
from ..viewer import Keys, on_click
from ..workspace import Workspace
from .nucleus import CompareBox, NucleusBox, look_steps, pixels_of
from .truth import ERRORS, LABEL_SUFFIXES, TruthBox

MOST_LISTED = 300
"""Places in the list; the buttons go through all of them."""
LIST_PX = 72


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


SPLITS = (("train", "training", ""), ("val", "validation", ""), ("test", "test", ""))


class CorrectBox(QWidget):
    """Split, merge, delete, paint; each can be taken back."""

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work, self.study = work, work.study
        self._correcting = Latest(work.runner, "Correcting")
        self._before: weakref.ref[Layer] | None = None
        self.split = tool("Split", "Split", "Cut this nucleus where HV turns back.", self._split)
        self.merge = tool("Merge", "Merge", "Make one of it and the nucleus you click next.")
        self.delete = tool("Delete", "Delete", "Take this nucleus away.", self._delete)
        self.paint = tool("Paint", "Paint", "Paint on this nucleus; press again to stop.")
        self.new = tool("New", "New nucleus", "Paint a nucleus that was missed.")
        self.undo = tool("↶", "Undo", "Take the last correction back. (Ctrl+Z)", work.undo)
        for toggle in (self.merge, self.paint, self.new):
            toggle.setCheckable(True)
        self.tools = (self.split, self.merge, self.delete, self.paint, self.new, self.undo)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(2)
        for one in self.tools:
            one.setStyleSheet(SWITCH_STYLE)
            one.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            line.addWidget(one, len(one.text()) + 1)  # as wide as its word needs
        self.paint.clicked.connect(lambda on: self._brush(on, self.paint))
        self.new.clicked.connect(lambda on: self._brush(on, self.new))
        bind(self, self.study.labels_changed, self.show_state)
        bind(self, self.study.run_changed, self.put_down)
        self.show_state()

    @property
    def merging(self) -> bool:
        """Whether the next click names the nucleus to be merged."""
        return self.merge.isChecked()

    def show_state(self, _value: Any = None) -> None:
        """Enable what can be done."""
        nucleus = bool(self.study.nucleus)
        for one in (self.split, self.merge, self.delete, self.paint):
            one.setEnabled(nucleus)
        if not nucleus:
            self.merge.setChecked(False)
        self.undo.setEnabled(self.work.layers.strokes > 0)

    def merge_with(self, other: int) -> None:
        """Merge the nucleus looked at with another."""
        self.merge.setChecked(False)
        nucleus = self.study.nucleus
        self._do(lambda case: _one_step(check.merge, case.labels, nucleus, other))

    def put_down(self, _value: Any = None) -> None:
        """Put the brush down; the layer that was selected before is selected again."""
        layers, nuclei = self.work.viewer.layers, self.work.layers.nuclei
        painting = self.paint.isChecked() or self.new.isChecked()
        for one in (self.merge, self.paint, self.new):
            one.setChecked(False)
        before, self._before = (None if self._before is None else self._before()), None
        if painting and nuclei is not None:
            nuclei.mode = "pan_zoom"
            self.work.say("")
            if before in layers:
                layers.selection.active = before

    def _split(self) -> None:
        nucleus, found = self.study.nucleus, self.study.findings
        params = self.work.tuning.preset("local")
        rows = () if found is None else found.blobs.suspects
        parts = next((r.expected for r in rows if r.worst == nucleus), 2)
        self._do(lambda case: check.split_steps(case, nucleus, params, parts))

    def _delete(self) -> None:
        nucleus = self.study.nucleus
        self._do(lambda case: _one_step(check.delete, case.labels, nucleus))

    def _do(self, action: Callable[[Any], Steps[Correction]]) -> None:
        """Find out in a worker thread which pixels change, then change them."""
        work, labels = self.work, self.study.labels

        def steps() -> Steps[Correction]:
            paintable(work)
            case = work.live.case()
            if case is None:
                raise InputError("This run kept no maps: run the model again.")
            return action(case)

        def done(made: Correction) -> None:
            if self.study.labels is not labels:
                work.say("The nuclei have changed meanwhile: try again.", "warn")
                return
            work.layers.correct(made.rows, made.cols, made.ids)
            work.say(made.words)

        self._correcting.request(steps, Handlers(done, lambda error: work.say(str(error), "bad")))

    def _brush(self, on: bool, pressed: Any) -> None:
        """Take the brush, for the nucleus looked at or for a new one; or put it down."""
        layers = self.work.viewer.layers
        if not on:
            pressed.setChecked(True)
            self.put_down()
            return
        try:
            nuclei = paintable(self.work)
        except InputError as error:
            pressed.setChecked(False)
            self.work.say(str(error), "bad")
            return
        (self.new if pressed is self.paint else self.paint).setChecked(False)
        active = layers.selection.active
        if active is not None and active is not nuclei:
            self._before = weakref.ref(active)
        drawn = self.work.layers.drawn()
        top = 0 if drawn is None else int(drawn.max())
        layers.selection.active = nuclei
        nuclei.selected_label = top + 1 if pressed is self.new else self.study.nucleus
        nuclei.mode = "paint"
        self.work.say(f"Paint nucleus {nuclei.selected_label}: [ and ] change the brush.")


class SaveBox(QWidget):
    """Image and nuclei as they are on screen, into a folder to train on."""

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work, self.study = work, work.study
        self._saving = Latest(work.runner, "Saving training data")
        self.folder = Elided("no folder chosen")
        self.choose = button("Folder ...", "Where images, labels and their index lie.", self._ask)
        self.name = QLineEdit()
        named(self.name, "Name", "Name of the image in the data.")
        self.split = Combo("Use for", "What the image is for: crops of one slide belong into one.",
                           SPLITS)  # fmt: skip
        self.add = button("Add", "Write image and labels, or neither.", self.save)
        body = QWidget()
        inner = column(body, 0)
        inner.setSpacing(2)
        inner.addWidget(row(self.folder, self.choose, stretch=0))
        inner.addWidget(row(plain("Name"), self.name, stretch=1))
        inner.addWidget(row(plain("Use for"), self.split, self.add, stretch=1))
        tip = "Save what is on screen to train on; correct everything in it first."
        layout = column(self, 0)
        self.fold = Fold("Add to training data", body, tip)
        layout.addWidget(self.fold)
        bind(self, self.study.run_changed, self._show)
        bind(self, work.data_changed, self._show)
        self._show()

    def _show(self, _value: Any = None) -> None:
        from ...app.corrections import clean_name  # noqa: PLC0415 - on first use

        run, folder = self.study.run, self.work.forms["check"].get("folder", "")
        self.folder.setText(folder or "no folder chosen")
        if run is not None:
            region = run.result.offset if target_of(run).region else ()
            self.name.setText(clean_name("_".join(map(str, (run.image.name, *region)))))

    def _ask(self) -> None:
        now = self.work.forms["check"].get("folder", "")
        folder = QFileDialog.getExistingDirectory(self, "Folder of training data", now)
        if folder:
            self.set_folder(folder)

    def set_folder(self, folder: str) -> None:
        """Save there from now on."""
        self.work.forms["check"]["folder"] = folder
        self._show()

    def save(self) -> None:
        """Write the pair in a worker thread; one saved here before is replaced."""
        if not self.work.forms["check"].get("folder"):
            self._ask()
        work, run, labels = self.work, self.study.run, self.study.labels
        folder, name = work.forms["check"].get("folder", ""), self.name.text().strip()
        if not folder or run is None or labels is None:
            return
        image, split, own = pixels_of(work, run), self.split.value(), (folder, name, run.image.key)
        saved = work.forms["check"].setdefault("saved", set())

        def steps() -> Steps[Any]:
            from ...app.corrections import (  # noqa: PLC0415 - on first use
                PairAbout,
                PairOptions,
                find_corrections,
                pair_steps,
            )
            from ...core.inference.images import CropSource, as_source  # noqa: PLC0415

            if image is None:
                raise InputError(f"The image {run.image.name!r} is gone: open it and run again.")
            (r, c), (height, width) = run.result.offset, labels.shape
            source = CropSource(as_source(image), r, r + height, c, c + width)
            found = find_corrections(run, labels)
            about = PairAbout(run.image.name, split, run.result.mpp, corrected=found.changes.any,
                              metadata=found.provenance())  # fmt: skip
            options = PairOptions(overwrite=own in saved)
            return pair_steps(folder, name, source, labels, about, options)

        def done(pair: Any) -> None:
            saved.add(own)
            work.add_data_folder(folder)
            work.say(" ".join((f"Added {pair.name}: {pair.n_nuclei:,} nuclei.", *pair.notes)),
                     "warn" if pair.notes else "good")  # fmt: skip

        handlers = Handlers(done, lambda error: work.say(str(error), "bad"))
        self._saving.request(steps, handlers)


def _one_step(change: Callable[..., Correction], *arguments: Any) -> Steps[Correction]:
    yield Progress(0, 0, "Correcting ...")
    return change(*arguments)


def paintable(work: Workspace) -> Labels:
    """Return the layer of nuclei, to be drawn on; InputError if there is none."""
    layer, run = work.layers.nuclei, work.study.run
    if layer is None or run is None:
        raise InputError("The layer of nuclei was deleted: run again.")
    if layer.multiscale:
        size = " x ".join(f"{n:,}" for n in run.result.labels.shape)
        raise InputError(f"{size} px are too many to draw on: run a region, and correct that.")
    return layer
