"""What the HV inspector does, without its panel: hover, click, one nucleus, layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from ..errors import InputError, UserError
from . import images, stage_layers
from .hover import Hover
from .in_view import on_click, view_box
from .view import camera_of, canvas_size

if TYPE_CHECKING:
    from ..core.measure.magnitude import NucleusView
    from .desk import Desk

ARROW_GAP_PX = 9
"""Screen pixels between two arrows at least, to be read."""
ARROWS_MS = 100
"""The view rests for this long before arrows are thinned anew."""


class Inspecting:
    """Binds a desk to what an inspector shows; all of it sleeps unless :meth:`start` was called.

    Parameters
    ----------
    desk : Desk
    """

    reading_changed: ClassVar[Signal] = Signal(object)
    view_changed: ClassVar[Signal] = Signal(object)
    stages_changed: ClassVar[Signal] = Signal()

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.study = desk.study
        self.running = False
        self.view: NucleusView | None = None
        self.trouble = ""
        self._hover = Hover(desk, self.reading_changed.emit)
        self._click = on_click(self._clicked)
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(ARROWS_MS)
        self._timer.timeout.connect(self._thin_arrows)

    # ------------------------------------------------------------------ awake and asleep

    def start(self) -> None:
        """Follow cursor, clicks, camera and layers."""
        if self.running:
            return
        self.running = True
        viewer, study = self.desk.viewer, self.study
        self._hover.start()
        viewer.mouse_drag_callbacks.append(self._click)
        for emitter in self._view_events():
            emitter.connect(self._view_moved)
        viewer.layers.events.inserted.connect(self._layers_changed)
        viewer.layers.events.removed.connect(self._layers_changed)
        study.nucleus_changed.connect(self._look)
        study.labels_changed.connect(self._labels_changed)
        study.run_changed.connect(self._run_changed)
        self._look()
        self._view_moved()

    def stop(self) -> None:
        """Let go of everything; layers stay, but for the frame around a nucleus."""
        if not self.running:
            return
        self.running = False
        self._timer.stop()
        study = self.study
        study.nucleus_changed.disconnect(self._look)
        study.labels_changed.disconnect(self._labels_changed)
        study.run_changed.disconnect(self._run_changed)
        self._hover.stop()
        try:
            viewer = self.desk.viewer
        except TypeError:
            return  # the viewer is gone, and its events with it
        if self._click in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.remove(self._click)
        for emitter in self._view_events():
            emitter.disconnect(self._view_moved)
        viewer.layers.events.inserted.disconnect(self._layers_changed)
        viewer.layers.events.removed.disconnect(self._layers_changed)
        self._drop_frames()

    def _view_events(self) -> tuple[Any, ...]:
        viewer = self.desk.viewer
        camera = camera_of(viewer).events
        return camera.center, camera.zoom, viewer.dims.events.ndisplay

    # ------------------------------------------------------------------ one nucleus

    def ids(self) -> np.ndarray:
        """Ids of the nuclei as they are now, ascending."""
        findings, run, labels = self.study.findings, self.study.run, self.study.labels
        if findings is not None:
            return findings.nuclei.label
        if run is None:
            return np.zeros(0, np.int32)
        return (
            run.result.nuclei.label
            if labels is run.result.labels
            else np.unique(labels[labels > 0])
        )

    def step(self, by: int) -> None:
        """Look at the next nucleus (``by`` 1) or the one before (-1), and fly there."""
        ids = self.ids()
        if not len(ids):
            return
        here = int(np.searchsorted(ids, self.study.nucleus))
        if self.study.nucleus not in ids:
            here = here if by < 0 else here - 1
        self.study.look_at(int(ids[(here + by) % len(ids)]))
        self.fly()

    def fly(self) -> None:
        """Bring the nucleus looked at into view, unless it is."""
        if self.view is None:
            return
        seen, box = view_box(self.desk), self.view.box
        inside = seen is not None and (
            seen[0] <= box.r0 and box.r1 <= seen[1] and seen[2] <= box.c0 and box.c1 <= seen[3]
        )
        if not inside:
            self.desk.fly_to(tuple(box))

    def picture(self) -> np.ndarray | None:
        """Return the image (h, w, 3) uint8 behind the nucleus looked at, None if it is gone."""
        run, view = self.study.run, self.view
        if run is None or view is None:
            return None
        found = (x for x in self.desk.work.image_layers() if id(x) == run.image.key)
        layer = next(found, None)
        if layer is None or not layer.rgb:
            return None
        plane = images.full_data(layer)
        plane = plane[run.placement.plane] if run.placement.plane else plane
        row, col = run.result.offset
        r0, r1, c0, c1 = view.box
        crop = np.asarray(plane[row + r0 : row + r1, col + c0 : col + c1])[..., :3]
        fits = crop.dtype == np.uint8 and crop.shape == (*view.np.shape, 3)
        return crop if fits else None

    def _clicked(self, position: Any) -> None:
        place, labels = self.desk.to_pixel(position), self.study.labels
        if place is None or labels is None:
            return
        nucleus = int(labels[place])
        if nucleus:
            self.study.look_at(nucleus)

    def _look(self, _nucleus: int = 0) -> None:
        """Compute what there is to see of the nucleus, and frame it."""
        run, labels, nucleus = self.study.run, self.study.labels, self.study.nucleus
        self.view, self.trouble = None, ""
        if run is not None and labels is not None and run.result.maps is not None and nucleus:
            from ..core.measure.magnitude import NucleusViewParams, nucleus_view  # noqa: PLC0415

            try:
                params = NucleusViewParams(bands=self.study.bands)
                self.view = nucleus_view(run.result.maps, labels, nucleus, params)
            except UserError as error:
                self.trouble = str(error)
        self._frame()
        self.view_changed.emit(self.view)

    def _frame(self) -> None:
        run = self.study.run
        if run is not None and self.view is not None:
            stage_layers.show_frame(self.desk.layers, run, self.view)
        else:
            self._drop_frames()

    def _drop_frames(self) -> None:
        for run in self.desk.work.session.runs:
            self.desk.layers.remove(run.id, stage_layers.LOOKED_AT)

    # ------------------------------------------------------------------ layers

    def shown(self, role: str) -> bool:
        """Whether a stage has a layer of the present run in the viewer."""
        run = self.study.run
        return run is not None and self.desk.layers.find(run.id, role) is not None

    def show_stage(self, role: str, on: bool) -> None:
        """Show a stage as a layer, or remove it.

        Raises
        ------
        InputError
            If there is no run, or it kept no stages.
        """
        run = self.study.run
        if run is None:
            raise InputError("There is no run to look into: press Run in Segment nuclei first.")
        if not on:
            self.desk.layers.remove(run.id, role)
            return
        if run.result.separation is None or run.result.maps is None:
            raise InputError(f"{run.title} kept neither maps nor stages: run it again.")
        if role == stage_layers.ARROWS:
            self._show_arrows()
            return
        self.desk.layers.show(run, stage_layers.stage_extra(run, role))
        if self.auto_limits:
            stage_layers.set_auto_limits(self.desk.layers, run, True)

    @property
    def auto_limits(self) -> bool:
        """Whether the run's map layers are stretched to their own data."""
        run = self.study.run
        return run is not None and stage_layers.auto_limits(self.desk.layers, run)

    def set_auto_limits(self, on: bool) -> None:
        """Stretch the run's map layers to their own data, or go back to absolute limits."""
        run = self.study.run
        if run is not None and run.result.maps is not None:
            stage_layers.set_auto_limits(self.desk.layers, run, on)
        self.stages_changed.emit()

    def _show_arrows(self) -> None:
        run, labels = self.study.run, self.study.labels
        if run is None or labels is None:
            return
        from ..core.measure.magnitude import ArrowParams  # noqa: PLC0415 - on first use

        box = view_box(self.desk)
        tall = 0 if box is None else box[1] - box[0]
        least = max(round(ARROW_GAP_PX * tall / max(canvas_size(self.desk.viewer)[0], 1)), 1)
        params = ArrowParams(least_step=least)
        stage_layers.show_arrows(self.desk.layers, run, labels, box, params)

    def _thin_arrows(self) -> None:
        run = self.study.run
        if not self.running or run is None:
            return
        layer = self.desk.layers.find(run.id, stage_layers.ARROWS)
        if layer is not None and layer.visible:
            self._show_arrows()

    # ------------------------------------------------------------------ events

    def _view_moved(self, _event: Any = None) -> None:
        if self.shown(stage_layers.ARROWS):
            self._timer.start()

    def _layers_changed(self, _event: Any = None) -> None:
        self.stages_changed.emit()

    def _labels_changed(self, _instances: Any = None) -> None:
        self._look()
        self._view_moved()

    def _run_changed(self, _run: Any = None) -> None:
        self._drop_frames()
        self._look()
        self.stages_changed.emit()
