"""The tab "Check": what to look at, one nucleus near, the truth, corrections by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

from ...app import check
from ...app.check import KINDS, Place, box_of
from ...app.jobs import Steps
from ...core.types import Outcomes
from ...errors import InputError, UserError
from ..colours import colour_of
from ..jobs import Handlers, Latest, bind, calling
from ..kit import (
    Combo,
    Elided,
    Message,
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
from .correct import CorrectBox, SaveBox
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
