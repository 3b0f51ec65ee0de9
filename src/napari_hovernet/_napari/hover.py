"""What the maps say under the cursor: read on the main thread, shown in the status bar too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import UserError

if TYPE_CHECKING:
    from ..core.measure.magnitude import PixelReading
    from .desk import Desk

GAP = "   |   "
"""Stands between napari's own status and ours."""


class Hover:
    """Follows the cursor while it is started.

    napari computes its status in a thread and hands it to ``viewer.status`` on the main
    thread. Our words are appended there, whichever layer is selected.

    Parameters
    ----------
    desk : Desk
    show : callable
        Receives a :class:`PixelReading`, or None where there is none.
    """

    def __init__(self, desk: Desk, show: Callable[[PixelReading | None], None]) -> None:
        self._desk = desk
        self._show = show
        self._written: Any = None
        self._running = False

    def start(self) -> None:
        """Follow the cursor."""
        if self._running:
            return
        self._running = True
        viewer = self._desk.viewer
        viewer.cursor.events.position.connect(self._moved)
        viewer.events.status.connect(self._status_set)

    def stop(self) -> None:
        """Leave the cursor and the status bar alone."""
        if not self._running:
            return
        self._running = False
        try:
            viewer = self._desk.viewer
        except TypeError:
            return  # the viewer is gone, and its events with it
        viewer.cursor.events.position.disconnect(self._moved)
        viewer.events.status.disconnect(self._status_set)

    def reading(self) -> PixelReading | None:
        """Read the maps under the cursor; None where the run has no pixel."""
        desk = self._desk
        run, labels = desk.run, desk.study.labels
        viewer = desk.viewer
        if run is None or labels is None or run.result.maps is None:
            return None
        if not viewer.mouse_over_canvas or viewer.dims.ndisplay != 2:
            return None
        place = desk.to_pixel(viewer.cursor.position)
        if place is None:
            return None
        from ..core.measure.magnitude import pixel_reading  # noqa: PLC0415 - on first use

        try:
            return pixel_reading(run.result.maps, labels, *place)
        except UserError:
            return None  # labels of another size: whoever set them says so

    def _moved(self, _event: Any = None) -> None:
        self._show(self.reading())

    def _status_set(self, event: Any) -> None:
        """Append our words; napari calls again with what was written, which ends it."""
        if event.value == self._written:
            return
        found = self.reading()
        if found is None:
            return
        self._written = with_words(event.value, found.text)
        self._desk.viewer.status = self._written


def with_words(status: str | dict[str, str], words: str) -> str | dict[str, str]:
    """Append words to a status of napari: a string, or a dict with the coordinates.

    Examples
    --------
    >>> with_words({"coordinates": "[3 4]: 0.5"}, "nucleus 7")
    {'coordinates': '[3 4]: 0.5   |   nucleus 7'}
    >>> with_words("Ready", "nucleus 7")
    'Ready   |   nucleus 7'
    """
    if isinstance(status, str):
        return f"{status}{GAP}{words}" if status else words
    before = status.get("coordinates", "")
    return {**status, "coordinates": f"{before}{GAP}{words}" if before else words}
