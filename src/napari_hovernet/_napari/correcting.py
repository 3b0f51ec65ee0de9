"""Brush corrections of a run's nuclei: taken in after each stroke, measured, saved."""

from __future__ import annotations

import logging
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from napari.layers import Labels
from psygnal import Signal
from qtpy.QtCore import QTimer

from ..app.corrections import Corrections, find_corrections, label_steps
from ..core.io.labels import check_labels
from ..errors import InputError, UserError
from . import corrected_layer
from .desk import Desk, desk_for
from .images import full_data
from .latest import Latest
from .layer_edits import LayerEdits
from .runner import Handlers

if TYPE_CHECKING:
    from napari.layers import Image

    from ..app.corrections import PairAbout, PairOptions, SavedPair
    from ..app.session import Run
    from ..app.study import Findings
    from ..core.types import Int32

_LOG = logging.getLogger(__name__)

SETTLE_MS = 250
"""Pause after the last stroke before the nuclei are taken in."""
NEW_NUCLEUS_KEY = "Shift-M"
"""Starts a new nucleus; ``M`` alone is napari's own and keeps the tool as it is."""


class Correcting:
    """Watches the nuclei layer of the run under the glass.

    Signals
    -------
    changed : Corrections
        What was changed so far, of another run or after another stroke.
    saved : str
        What was saved, and what there is to say of it.
    failed : UserError
        Why it could not be saved.

    Parameters
    ----------
    desk : Desk
        Only a weak reference is kept.
    """

    changed: ClassVar[Signal] = Signal(object)
    saved: ClassVar[Signal] = Signal(str)
    failed: ClassVar[Signal] = Signal(object)

    def __init__(self, desk: Desk) -> None:
        self._desk_ref = weakref.ref(desk)
        self._run: Run | None = None
        self._edits = LayerEdits()
        self._kept: dict[int, Int32] = {}
        self._corrections = Corrections()
        self._problem = ""
        self._recolor: set[int] = set()
        self._latest = Latest(desk.runner, "Colours by type")
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLE_MS)
        self._timer.timeout.connect(self._settle)
        desk.study.run_changed.connect(self._run_changed)
        desk.study.findings_changed.connect(self._show_findings)
        desk.work.session.runs_changed.connect(self._forget)
        desk.viewer.layers.events.inserted.connect(self._watch)
        desk.viewer.layers.events.removed.connect(self._watch)
        _bind_key(desk.viewer, self)
        self._run_changed(desk.run)

    @property
    def desk(self) -> Desk:
        """The desk; TypeError once it is gone."""
        desk = self._desk_ref()
        if desk is None:
            raise TypeError("The desk of these corrections is gone.")
        return desk

    @property
    def corrections(self) -> Corrections:
        """What was changed so far in the run under the glass."""
        return self._corrections

    @property
    def problem(self) -> str:
        """Why what is drawn cannot be taken in, "" if it can."""
        return self._problem

    @property
    def busy(self) -> bool:
        """Whether a stroke waits to be taken in, or colours are on their way."""
        return self._timer.isActive() or self._latest.busy

    def take(self) -> None:
        """Take in what is drawn now, at once; one copy, and none if nothing has changed."""
        self._timer.stop()
        desk, run, drawn = self.desk, self.desk.run, self._drawn(self.desk)
        if run is None or drawn is None or np.array_equal(drawn, desk.study.labels):
            return self._tell(self._corrections, "")
        try:
            labels = snapshot(drawn)
            corrections = find_corrections(run, labels)
        except UserError as error:
            return self._tell(self._corrections, str(error))
        if corrections.any:
            self._kept[run.id] = labels
        else:
            self._kept.pop(run.id, None)
            labels = run.result.labels
        desk.study.set_labels(labels, corrected=corrections.any)
        return self._tell(corrections, "")

    def new_nucleus(self) -> int:
        """Make ready to draw one more nucleus: its layer, a free id, the brush.

        Returns
        -------
        int
            The id.

        Raises
        ------
        UserError
            If there is no layer that can be drawn on.
        """
        desk, layer = self.desk, self._paintable()
        drawn = self._drawn(desk)
        label = next_free_id(drawn, None if desk.run is None else desk.run.result.labels)
        layer.visible = True
        desk.viewer.layers.selection.active = layer
        layer.selected_label = label
        layer.mode = "paint"
        return label

    # ------------------------------------------------------------------ saving

    def save_labels(self, path: str) -> None:
        """Write the labels as drawn now as TIFF, with provenance, in the background.

        Raises
        ------
        UserError
            If there is nothing to save; what goes wrong later comes by ``failed``.
        """
        run, labels, corrections = self._now()

        def steps() -> Any:
            return label_steps(path, labels, corrections, run.result.mpp)

        def done(written: str) -> None:
            self.saved.emit(f"Saved {written}. {corrections.summary}")

        self.desk.runner.start("Saving labels", steps, Handlers(done, self.failed.emit))

    def save_pair(self, place: tuple[str, str], about: PairAbout, options: PairOptions) -> None:
        """Write image region and labels as training data, in the background.

        Parameters
        ----------
        place : (str, str)
            Folder and name of the pair.
        about : PairAbout
            Its source, split and licence; mpp and provenance are filled in.
        options : PairOptions

        Raises
        ------
        UserError
            If there is nothing to save, or the image is no longer there; what goes wrong
            later comes by ``failed``.
        """
        run, labels, corrections = self._now()
        plane = full_data(self._image(run))[tuple(run.placement.plane)]
        (row, col), (height, width) = run.result.offset, labels.shape
        about = replace(
            about,
            mpp=run.result.mpp,
            corrected=corrections.any,
            metadata=corrections.provenance(),
        )

        def steps() -> Any:
            from ..app.corrections import pair_steps  # noqa: PLC0415 - on first use
            from ..core.inference.images import CropSource, as_source  # noqa: PLC0415

            source = CropSource(as_source(plane), row, row + height, col, col + width)
            return pair_steps(*place, source, labels, about, options)

        def done(pair: SavedPair) -> None:
            lines = (f"Saved {pair.name} with {pair.n_nuclei:,} nuclei.", *pair.notes)
            self.saved.emit("\n".join(lines))

        self.desk.runner.start("Saving training data", steps, Handlers(done, self.failed.emit))

    def _now(self) -> tuple[Run, Int32, Corrections]:
        """Run, labels and corrections as drawn now; refuse what cannot be saved."""
        self.take()
        run, labels = self.desk.study.run, self.desk.study.labels
        if run is None or labels is None:
            raise InputError("There is no run yet: segment an image first.")
        if self._problem:
            raise InputError(self._problem)
        return run, labels, find_corrections(run, labels)

    def _image(self, run: Run) -> Image:
        for layer in self.desk.work.image_layers():
            if id(layer) == run.image.key:
                return layer
        raise InputError(
            f"The image of {run.title} ({run.image.name}) is no longer among the layers: save the "
            "corrected labels alone, or open the image and segment it again."
        )

    def _paintable(self) -> Labels:
        run, layer = self.desk.run, self.desk.instances_layer()
        if run is None:
            raise InputError("There is no run yet: segment an image first.")
        if layer is None:
            raise InputError(
                f"The nuclei layer of {run.title} was deleted: Undo and Redo in the panel "
                "'Segment nuclei' bring it back."
            )
        if layer.multiscale:
            raise InputError(
                f"{run.title} is shown as a pyramid of {run.result.labels.shape[0]:,} x "
                f"{run.result.labels.shape[1]:,} pixels, on which napari cannot draw: segment the "
                "part to be corrected as a region."
            )
        return layer

    # ------------------------------------------------------------------ following

    @staticmethod
    def _drawn(desk: Desk) -> Int32 | None:
        """Return what is drawn, None where nobody can draw."""
        layer = desk.instances_layer()
        return None if layer is None or layer.multiscale else desk.drawn_labels()

    def _tell(self, corrections: Corrections, problem: str) -> None:
        before = (self._corrections, self._problem)
        self._corrections, self._problem = corrections, problem
        if before != (corrections, problem):
            self.changed.emit(corrections)

    def _run_changed(self, run: Run | None) -> None:
        """Keep what is drawn on the run left; bring back what was drawn on this one."""
        if self._timer.isActive() and self._run is not None:
            self._timer.stop()
            self._keep(self._run)
        self._run, self._problem = run, ""
        self._corrections = Corrections()
        self._watch()
        if run is not None:
            kept = self._kept.get(run.id)
            if self._edits.layer is None and kept is not None:
                self.desk.study.set_labels(kept, corrected=True)
                self._corrections = find_corrections(run, kept)
            else:
                self.take()
        self.changed.emit(self._corrections)

    def _keep(self, run: Run) -> None:
        layer = self._edits.layer
        if layer is not None and not layer.multiscale:
            drawn = np.asarray(layer.data)
            drawn = drawn.reshape(drawn.shape[-2:])
            if drawn.shape == run.result.labels.shape:
                self._kept[run.id] = drawn.astype(np.int32)

    def _forget(self, _runs: Any = None) -> None:
        """Let go of corrections of runs that cannot come back."""
        alive = {run.id for run in self.desk.work.session.kept_runs}
        self._kept = {number: kept for number, kept in self._kept.items() if number in alive}

    def _watch(self, _event: Any = None) -> None:
        """Hear of edits of the run's nuclei layer, and of that one alone."""
        desk = self._desk_ref()
        if desk is not None:
            self._edits.follow(desk.instances_layer(), self._edited)

    def _edited(self, _event: Any = None) -> None:
        self._timer.start()

    def _settle(self) -> None:
        desk = self._desk_ref()
        if desk is not None and not desk.work.closed:
            self.take()

    def _show_findings(self, findings: Findings | None) -> None:
        desk = self._desk_ref()
        run, layer = (None, None) if desk is None else (desk.run, desk.instances_layer())
        if desk is None or findings is None or run is None or layer is None:
            return
        if corrected_layer.show(layer, run, findings):
            self._recolor.add(run.id)
        if run.id in self._recolor:
            self._color(desk, run, findings)

    def _color(self, desk: Desk, run: Run, findings: Findings) -> None:
        """Give nuclei the colours of their types as they are now, in the background."""

        def done(colormap: Any) -> None:
            layer = desk.instances_layer()
            if desk.study.findings is findings and layer is not None:
                self._recolor.discard(run.id)
                if corrected_layer.shows_types(layer, run):
                    layer.colormap = colormap

        def failed(error: UserError) -> None:
            _LOG.warning("Colouring %s: %s", run.title, error)

        steps = corrected_layer.color_steps
        self._latest.request(lambda: steps(run, findings.nuclei), Handlers(done, failed))


def snapshot(drawn: Any) -> Int32:
    """Copy what is drawn as int32 labels.

    Raises
    ------
    InputError
        If it is no label image.
    """
    return np.array(check_labels(np.asarray(drawn), "The nuclei layer"), np.int32, order="C")


def next_free_id(*labels: Int32 | None) -> int:
    """Return an id that is in none of several label images: the largest plus one.

    Examples
    --------
    >>> next_free_id(np.array([[0, 7]]), None, np.array([[9, 0]]))
    10
    """
    return 1 + max((int(x.max()) for x in labels if x is not None and x.size), default=0)


def _bind_key(viewer: Any, correcting: Correcting) -> None:
    """Bind the key for the life of the viewer; a reason not to draw shows in its status bar."""
    ref = weakref.ref(correcting)

    def new_nucleus(viewer: Any) -> None:
        """Draw one more nucleus."""
        found = ref()
        if found is None:
            return
        try:
            viewer.status = f"Draw nucleus {found.new_nucleus()} with the brush."
        except UserError as error:
            viewer.status = str(error)

    viewer.bind_key(NEW_NUCLEUS_KEY, new_nucleus, overwrite=True)


_CORRECTING: weakref.WeakKeyDictionary[Desk, Correcting] = weakref.WeakKeyDictionary()


def correcting_for(viewer: Any) -> Correcting:
    """Return what watches corrections in a viewer (a proxy is fine), making it at first."""
    desk = desk_for(viewer)
    found = _CORRECTING.get(desk)
    if found is None:
        found = _CORRECTING[desk] = Correcting(desk)
    return found
