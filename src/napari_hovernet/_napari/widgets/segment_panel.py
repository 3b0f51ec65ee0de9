"""The panel "Segment nuclei": editors around one session; each callback calls one use case."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import QMainWindow, QMessageBox, QWidget

from ...errors import UserError
from ..bind import bind
from ..docking import PANEL_MARK, join_tabs
from ..session_for import session_for
from ..window_end import WindowEnd, main_window_of
from ..workspace import Workspace
from .model_picker import SUFFIXES
from .panel_view import PanelView

if TYPE_CHECKING:
    import napari


START_UP_MS = 50
"""The panel is drawn before torch is imported (in another thread, but sharing the GIL)."""


class SegmentPanel(PanelView):
    """Choose a model and an image, run, see what came out.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari (a proxy is fine).
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.work: Workspace = session_for(viewer)
        self.session = self.work.session
        self._told = ""
        self._window: weakref.ref[QMainWindow] | None = None
        self.setAcceptDrops(True)
        self._connect_editors()
        self._connect_session()
        self._bind_keys()
        self._show_all()
        QTimer.singleShot(START_UP_MS, self.work.start_up)

    def _connect_editors(self) -> None:
        work, session = self.work, self.session
        self.model.valueChanged.connect(work.choose_model)
        self.image.valueChanged.connect(self._image_picked)
        self.region.valueChanged.connect(lambda r: self._set(region=r))
        self.region.drawRequested.connect(work.draw_region)
        self.mpp.valueChanged.connect(self._mpp_edited)
        self.device.valueChanged.connect(lambda d: self._set(device=d))
        self.advanced.valueChanged.connect(session.set_options)
        self.bar.runRequested.connect(self.run)
        self.bar.cancelRequested.connect(self.cancel)
        self.bar.replaceChanged.connect(lambda on: self._set(replace_previous=on))
        self.runs.visibleChanged.connect(work.layers.set_visible)
        self.runs.removeRequested.connect(session.remove_run)
        self.runs.undoRequested.connect(work.undo)
        self.runs.redoRequested.connect(work.redo)

    def _connect_session(self) -> None:
        session = self.session
        bind(self, session.model_changed, self._show_model)
        bind(self, session.settings_changed, self._show_recent)
        bind(self, session.image_changed, self._show_image)
        bind(self, session.options_changed, self._show_options)
        bind(self, session.status_changed, self._show_status)
        bind(self, session.runs_changed, self._show_runs)
        bind(self, self.work.devices_changed, self._show_devices)
        bind(self, self.work.images_changed, self._show_images)

    def _bind_keys(self) -> None:
        for keys, action in (
            ("Ctrl+Return", self.run),
            ("Ctrl+Enter", self.run),
            ("Esc", self.cancel),
            ("Ctrl+Z", self.work.undo),
            ("Ctrl+Shift+Z", self.work.redo),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda act=action: act())
        delete = QShortcut(QKeySequence("Delete"), self.runs)
        delete.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        delete.activated.connect(self.runs.remove_current)

    # ------------------------------------------------------------------ actions

    def run(self) -> None:
        """Segment; a reason not to is shown, not raised."""
        if self.session.blocked_reason():
            return
        try:
            self.work.run()
        except UserError as error:
            self._show_error(str(error))

    def cancel(self) -> None:
        """Stop after the tile under way."""
        self.work.cancel()

    def _set(self, **changes: Any) -> None:
        self.session.set_options(replace(self.session.options, **changes))

    def _mpp_edited(self, mpp: float | None) -> None:
        self._set(inference=replace(self.session.options.inference, image_mpp=mpp))

    def _image_picked(self, key: object) -> None:
        layers = self.work.image_layers()
        self.work.choose_image(next((x for x in layers if id(x) == key), None))

    # ------------------------------------------------------------------ showing

    def _show_all(self) -> None:
        self._show_recent()
        self._show_images()
        self._show_options()
        self._show_model()
        self._show_devices()
        self._show_runs()

    def _show_model(self, *_: Any) -> None:
        model = self.session.model
        self.model.setValue(model.source)
        self.card.setValue(model)
        self._show_mpp()
        self._show_status()

    def _show_recent(self, *_: Any) -> None:
        self.model.set_recent(self.session.settings.recent_models)

    def _show_images(self, *_: Any) -> None:
        self.image.set_images([(id(x), x.name) for x in self.work.image_layers()])
        self._show_image()

    def _show_image(self, *_: Any) -> None:
        image = self.session.image
        self.image.setValue(image)
        for editor in (self.region, self.mpp):
            editor.setEnabled(image is not None)
        self._show_mpp()
        self._show_status()

    def _show_options(self, *_: Any) -> None:
        options = self.session.options
        self.region.setValue(options.region)
        self.device.setValue(options.device)
        self.advanced.setValue(options)
        self.bar.replace.setChecked(options.replace_previous)
        self._show_mpp()

    def _show_mpp(self) -> None:
        image, info = self.session.image, self.session.model.info
        inference = self.session.options.inference
        found = (image.mpp, image.mpp_source) if image else (None, "")
        model_mpp = inference.model_mpp or (info.mpp if info else None)
        self.mpp.setValue(inference.image_mpp)
        self.mpp.set_context(found, model_mpp, inference.mpp_tolerance)

    def _show_devices(self, *_: Any) -> None:
        if self.work.devices:
            self.device.set_devices(self.work.devices)
            self.device.setValue(self.session.options.device)

    def _show_status(self, *_: Any) -> None:
        status = self.session.status
        self.bar.setValue(status, self.session.blocked_reason())
        if status.error and status.error != self._told:
            self._show_error(status.error)
        self._told = status.error

    def _show_runs(self, *_: Any) -> None:
        session = self.session
        self.runs.setVisible(bool(session.kept_runs))
        self.runs.set_runs(session.runs, self.work.layers.visible)
        self.runs.set_history(can_undo=session.can_undo, can_redo=session.can_redo)

    def _show_error(self, message: str) -> None:
        """Show one message; the viewer goes on underneath."""
        box = QMessageBox(QMessageBox.Icon.Warning, "Segment nuclei", message, parent=self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        box.open()

    # ------------------------------------------------------------------ Qt events

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take checkpoint files; anything else goes to napari."""
        if dropped_checkpoint(event):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Choose the checkpoint that was dropped."""
        path = dropped_checkpoint(event)
        if path:
            self.model.choose(path)
            event.acceptProposedAction()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Learn which window to end with."""
        super().showEvent(event)
        if self._window is None:
            self._end_with_window()
        if not self.property(PANEL_MARK):
            join_tabs(self)

    def _end_with_window(self) -> None:
        window = main_window_of(self)
        if window is None:
            return
        work = self.work
        self._window = weakref.ref(window)
        WindowEnd(window, work.close)


def dropped_checkpoint(event: QDragEnterEvent | QDropEvent) -> str:
    """Return the path of a dropped checkpoint file, "" if it is none."""
    data = event.mimeData()
    urls = data.urls() if data is not None and data.hasUrls() else []
    if len(urls) != 1 or not urls[0].isLocalFile():
        return ""
    path = str(urls[0].toLocalFile())
    return path if path.lower().endswith(SUFFIXES) else ""
