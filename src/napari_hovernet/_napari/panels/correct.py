"""Corrections of nuclei by hand, and what is corrected as data to train on."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from napari.layers import Labels, Layer
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QSizePolicy, QWidget

from ...app import check
from ...app.check import Correction
from ...app.jobs import Steps
from ...app.study import target_of
from ...core.types import Progress
from ...errors import InputError
from ..jobs import Handlers, Latest, bind
from ..kit import SWITCH_STYLE, Combo, Elided, Fold, button, column, named, plain, row, tool
from ..workspace import Workspace
from .nucleus import pixels_of

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
