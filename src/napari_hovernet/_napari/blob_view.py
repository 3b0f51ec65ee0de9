"""The blob check of a desk: colours in the viewer, from suspect to suspect, and saving."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from .blob_layers import BLOBS, blob_extra
from .desk import Desk, desk_for
from .viewer_keys import ViewerKeys

if TYPE_CHECKING:
    from ..core.measure.blobs import BlobReport, BlobRow

NEXT_KEY, BACK_KEY = "J", "K"
"""Keys of the viewer: on to the next suspect and back. No napari layer has them."""


class BlobView:
    """What the panel of the blob check can do, without the panel.

    Parameters
    ----------
    desk : Desk
        Only a weak reference is kept.
    """

    changed: ClassVar[Signal] = Signal()
    moved: ClassVar[Signal] = Signal()
    colored_changed: ClassVar[Signal] = Signal(bool)

    def __init__(self, desk: Desk) -> None:
        self._desk_ref = weakref.ref(desk)
        self._colored = False
        self._shown: tuple[int, BlobReport] | None = None
        self._current: BlobRow | None = None
        self._resume = 0
        ref = weakref.ref(self)
        self.keys = ViewerKeys(
            desk.viewer, {NEXT_KEY: lambda: _step(ref, 1), BACK_KEY: lambda: _step(ref, -1)}
        )
        desk.study.run_changed.connect(self._run_changed)
        desk.study.findings_changed.connect(self._update)
        desk.viewer.layers.events.removed.connect(self._layer_removed)

    @property
    def report(self) -> BlobReport | None:
        """Of the run under the glass, None until it is known."""
        desk = self._desk_ref()
        findings = None if desk is None else desk.study.findings
        return None if findings is None else findings.blobs

    @property
    def current(self) -> BlobRow | None:
        """The component looked at, None = none."""
        return self._current

    @property
    def colored(self) -> bool:
        """Whether components are coloured by status in the viewer."""
        return self._colored

    def set_colored(self, colored: bool) -> None:
        """Show the colours, or take them away."""
        if colored != self._colored:
            self._colored = colored
            self._paint(show=True)
            self.colored_changed.emit(colored)

    def go(self, row: BlobRow | None) -> None:
        """Look at a component and fly there; None = at none."""
        desk = self._desk_ref()
        self._current = row
        if row is not None and desk is not None:
            r0, c0, r1, c1 = row.bbox
            desk.fly_to((r0, r1, c0, c1))
            desk.study.look_at(row.worst)
        self.moved.emit()

    def step(self, by: int) -> None:
        """Go on to the next suspect (1) or back (-1), round and round, by rank."""
        report = self.report
        suspects = () if report is None else report.suspects
        if not suspects:
            return
        if self._current in suspects:
            at = suspects.index(self._current) + by
        else:
            at = self._resume + min(by, 0)
        self.go(suspects[at % len(suspects)])

    def save(self, path: str) -> None:
        """Write the table as CSV, in coordinates of the whole image.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        desk, report = self._desk_ref(), self.report
        if desk is None or desk.run is None or report is None:
            return
        from ..core.io.tables import write_blob_table  # noqa: PLC0415 - on first use

        result = desk.run.result
        write_blob_table(path, report, offset=result.offset, mpp=result.mpp)

    # ------------------------------------------------------------------ following

    def _run_changed(self, _run: Any = None) -> None:
        self._current, self._resume = None, 0
        self._paint()
        self.moved.emit()

    def _update(self, _findings: Any = None) -> None:
        """Take in a new report; what was looked at stays, or else its place in the row."""
        before, report = self._current, self.report
        if before is not None and report is not None:
            self._current = _same(before, report)
            if self._current is None:  # put right: the next one has moved up
                self._resume = self._place_of(before, report)
        self._paint()
        self.changed.emit()
        self.moved.emit()

    @staticmethod
    def _place_of(gone: BlobRow, report: BlobReport) -> int:
        """Where a suspect that is gone would stand among those that are left."""
        return sum(row.score >= gone.score for row in report.suspects)

    def _paint(self, *, show: bool = False) -> None:
        """Bring the layer up to date; hidden by the user, it stays hidden unless ``show``."""
        desk = self._desk_ref()
        if desk is None or desk.work.closed:
            return
        run, report = desk.run, self.report
        wanted = self._colored and run is not None
        if self._shown is not None and not (wanted and run and self._shown[0] == run.id):
            self._remove(desk)
        if not wanted or run is None or report is None:
            return
        layer = desk.layers.find(run.id, BLOBS)
        visible = show or layer is None or layer.visible
        if layer is None or self._shown is None or self._shown[1] is not report:
            self._shown = None
            layer = desk.layers.show(run, blob_extra(report))
        layer.visible = visible
        self._shown = (run.id, report)

    def _remove(self, desk: Desk) -> None:
        shown, self._shown = self._shown, None
        if shown is not None:
            desk.layers.remove(shown[0], BLOBS)

    def _layer_removed(self, _event: Any = None) -> None:
        """Take a layer that the user has deleted for a wish to see no colours."""
        desk, shown = self._desk_ref(), self._shown
        if desk is None or shown is None or desk.layers.find(shown[0], BLOBS) is not None:
            return
        self._shown = None
        if desk.run is not None and desk.run.id == shown[0] and desk.run in desk.work.session.runs:
            self._colored = False
            self.colored_changed.emit(False)


def _same(before: BlobRow, report: BlobReport) -> BlobRow | None:
    """Find the component of a new report that is as bad in the same place."""
    for row in report.rows:
        if row.bbox == before.bbox and row.status == before.status:
            return row
    return None


def _step(ref: weakref.ref[BlobView], by: int) -> None:
    view = ref()
    if view is not None:
        view.step(by)


_VIEWS: weakref.WeakKeyDictionary[Desk, BlobView] = weakref.WeakKeyDictionary()


def blob_view_for(viewer: Any) -> BlobView:
    """Return the blob check of a viewer (a proxy is fine), making it on the first call."""
    desk = desk_for(viewer)
    found = _VIEWS.get(desk)
    if found is None:
        found = _VIEWS[desk] = BlobView(desk)
    return found
