"""What the panels that look into a run have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFrame, QLayout, QMessageBox, QScrollArea, QVBoxLayout, QWidget

from ...errors import UserError
from ..bind import bind
from ..correcting import correcting_for
from ..desk import Desk, desk_for
from ..docking import PANEL_MARK, join_tabs
from ..window_end import WindowEnd, main_window_of
from .run_picker import RunPicker

if TYPE_CHECKING:
    import napari

PANEL_WIDTH = 380
"""Width in pixels at which nothing is cut off."""


class StudyPanel(QWidget):
    """A scrolling column under a run picker that follows the desk.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari (a proxy is fine).
    title : str
        For screen readers and messages.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, title: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.desk: Desk = desk_for(viewer)
        self.study = self.desk.study
        correcting_for(viewer)  # strokes count whichever panel is open
        self.title = title
        self.picker = RunPicker()
        self.setAccessibleName(title)
        self.setMinimumWidth(PANEL_WIDTH)
        self.column = self._scrolling()
        self.column.addWidget(self.picker)
        self.picker.valueChanged.connect(self.desk.choose_run)
        bind(self, self.desk.work.session.runs_changed, self._show_runs)
        bind(self, self.study.run_changed, self._show_runs)
        self._show_runs()

    def tell(self, error: UserError | str) -> None:
        """Show one message; the viewer goes on underneath."""
        box = QMessageBox(QMessageBox.Icon.Warning, self.title, str(error), parent=self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        box.open()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Join the other panels' tabs, and learn which window to end with, when first shown."""
        super().showEvent(event)
        if self.property(PANEL_MARK):
            return
        join_tabs(self)
        window = main_window_of(self)
        if window is not None:
            WindowEnd(window, self.desk.work.close)

    def _scrolling(self) -> QVBoxLayout:
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSizeConstraint(QLayout.SizeConstraint.SetMinAndMaxSize)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll, 1)
        return column

    def _show_runs(self, *_: Any) -> None:
        self.picker.set_runs(self.desk.work.session.runs)
        run = self.study.run
        self.picker.setValue(run.id if run else 0)
