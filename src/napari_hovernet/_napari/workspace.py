"""What the panel can do, without the panel: one viewer, its session, its jobs, its layers."""

from __future__ import annotations

import logging
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal
from qtpy.QtCore import QTimer

from ..app import session as settings_file
from ..app.jobs import Steps
from ..app.segment import ModelShelf, RunRequest, describe_steps, device_steps, mpp_steps, run_steps
from ..app.session import ImageChoice, Run, Session
from ..core.params import SeparationParams
from ..core.types import Progress
from ..errors import OutputError, UserError
from . import images, regions
from .layers import RunLayers, add_region_layer, make_layers
from .preferences import Preferences, preferences
from .runner import Handlers, QtJob, QtRunner

if TYPE_CHECKING:
    from ..core.inference.devices import DeviceInfo
    from .desk import Desk

_LOG = logging.getLogger(__name__)

LAYER_PAUSE_MS = 20
"""Pause between two layers of a run that are added, for the viewer to stay alive."""


@dataclass(frozen=True, eq=False)
class RunPlan:
    """A run to be: the request, its id and title, and what its layers need to know."""

    request: RunRequest
    id: int
    title: str
    image: ImageChoice
    placement: images.Placement
    preferences: Preferences


def layer_steps(plan: RunPlan, shelf: ModelShelf) -> Steps[tuple[Run, tuple[Layer, ...]]]:
    """Segment and make the layers, all in the worker thread; nothing here touches a viewer."""
    result = yield from run_steps(plan.request, shelf)
    from ..app.segment import run_metadata  # noqa: PLC0415 - imports torch

    yield Progress(0, 0, "Making layers ...")
    metadata = {**run_metadata(result), "image": plan.image.name, "device": shelf.device}
    run = Run(plan.id, plan.title, plan.image, result, plan.placement, metadata)
    return run, make_layers(run, plan.preferences)


class Workspace:
    """Binds a viewer to a :class:`Session`; every user action is one method.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer itself, not a proxy. Only a weak reference is kept, so that a
        workspace never keeps a closed viewer alive.
    session, runner : optional
        Made when not given; tests give their own.
    """

    devices_changed: ClassVar[Signal] = Signal(tuple)
    images_changed: ClassVar[Signal] = Signal(list)

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session | None = None,
        runner: QtRunner | None = None,
    ) -> None:
        self._viewer_ref = weakref.ref(viewer)
        self.session = session or Session(settings_file.load())
        self.runner = runner or QtRunner()
        self.layers = RunLayers(
            viewer, later=lambda action: QTimer.singleShot(LAYER_PAUSE_MS, action)
        )
        self.closed = False
        self.desk: Desk | None = None
        self.devices: tuple[DeviceInfo, ...] = ()
        self._shelf = ModelShelf()
        self._file_mpp: dict[str, float | None] = {}
        self._job: QtJob | None = None
        self._job_layer: int | None = None
        self._stop_reason = ""
        self.session.runs_changed.connect(self._sync_layers)
        viewer.layers.events.inserted.connect(self._layers_changed)
        viewer.layers.events.removed.connect(self._layers_changed)
        viewer.layers.selection.events.active.connect(self._follow_selection)
        viewer.dims.events.current_step.connect(self._refresh_choice)
        self._layers_changed()

    @property
    def viewer(self) -> ViewerModel:
        """The viewer; TypeError once it is gone."""
        viewer = self._viewer_ref()
        if viewer is None:
            raise TypeError("The viewer of this workspace is gone.")
        return viewer

    # ------------------------------------------------------------------ model and device

    def choose_model(self, source: str) -> None:
        """Choose a model and read, in the background, what it is."""
        self.session.choose_model(source)

        def failed(error: UserError) -> None:
            self.session.describe_model(source, None, str(error))

        def done(info: Any) -> None:
            self.session.describe_model(source, info)
            self._save_settings()

        self.runner.start(
            "Reading the model", lambda: describe_steps(source), Handlers(done, failed)
        )

    def start_up(self) -> None:
        """Read the chosen model and look for devices; both import torch, off the main thread."""
        if self.closed:
            return
        if self.session.model.reading:
            self.choose_model(self.session.model.source)
        if not self.devices:
            self.refresh_devices()

    def refresh_devices(self) -> None:
        """Look again for devices and their free memory."""

        def done(devices: tuple[DeviceInfo, ...]) -> None:
            self.devices = devices
            self.devices_changed.emit(devices)

        def failed(error: UserError) -> None:
            _LOG.warning("Looking for devices: %s", error)

        self.runner.start("Looking for devices", device_steps, Handlers(done, failed))

    # ------------------------------------------------------------------ image

    def image_layers(self) -> list[Image]:
        """Layers that can be segmented, topmost first."""
        return [x for x in reversed(self.viewer.layers) if images.segmentable(x)]

    def image_layer(self) -> Image | None:
        """Return the chosen layer, None if there is none."""
        chosen = self.session.image
        if chosen is None:
            return None
        return next((x for x in self.image_layers() if id(x) == chosen.key), None)

    def choose_image(self, layer: Image | None) -> None:
        """Choose an image layer."""
        if layer is None:
            self.session.choose_image(None)
            return
        chosen = images.choice(layer, self.viewer.dims.current_step)
        path = str(layer.source.path or "")
        if chosen.mpp is None and path:
            found = self._file_mpp.get(path)
            if found is not None:
                chosen = replace(chosen, mpp=found, mpp_source="the image file")
            elif path not in self._file_mpp:
                self._read_mpp(path)
        self.session.choose_image(chosen)

    def _read_mpp(self, path: str) -> None:
        """Look for the mpp in the file a layer came from, once, in the background."""
        self._file_mpp[path] = None

        def done(mpp: float | None) -> None:
            self._file_mpp[path] = mpp
            layer = self.image_layer()
            if mpp is not None and layer is not None and str(layer.source.path or "") == path:
                self.choose_image(layer)

        def failed(error: UserError) -> None:
            _LOG.info("No resolution in %s: %s", path, error)

        handlers = Handlers(done, failed)
        self.runner.start("Reading the resolution", lambda: mpp_steps(path), handlers)

    def draw_region(self) -> None:
        """Make a Shapes layer to draw a rectangle in, and run on what is drawn."""
        layer = self.image_layer()
        if layer is not None:
            add_region_layer(self.viewer, layer)
            self.session.set_options(replace(self.session.options, region="shapes"))

    # ------------------------------------------------------------------ runs

    def run(self) -> None:
        """Segment the chosen image with the chosen model; results arrive as layers.

        Raises
        ------
        UserError
            If there is nothing to run on; the reason is the message.
        """
        self.session.begin()
        layer, chosen = self.image_layer(), self.session.image
        try:
            if layer is None or chosen is None:
                raise UserError("The chosen image is no longer there: choose another.")
            request = self.request(layer)
        except UserError as error:
            self.session.failed(str(error))
            raise
        self._save_settings()
        self.start(request, layer, chosen)

    def request(self, layer: Image) -> RunRequest:
        """Put together what the session asks for."""
        options = self.session.options
        box = regions.box_for(options.region, layer, self.viewer.layers)
        return RunRequest(
            model=self.session.model.source,
            device=options.device,
            image=images.plane_data(layer, self.viewer.dims.current_step),
            inference=options.inference,
            separation=SeparationParams.preset(options.separation),
            box=None if box is None else (box.r0, box.r1, box.c0, box.c1),
        )

    def start(self, request: RunRequest, layer: Image, chosen: ImageChoice) -> None:
        """Run a request that was put together by hand; ``session.begin`` must have been called.

        Parameters
        ----------
        request : RunRequest
        layer : Image
            Its image; the run is cancelled if it is removed.
        chosen : ImageChoice
            The same, as the session knows it.
        """
        plan = RunPlan(
            request,
            *self.session.next_run(),
            chosen,
            images.placement(layer, self.viewer.dims.current_step),
            preferences(),
        )
        shelf = self._shelf

        def done(made: tuple[Run, tuple[Layer, ...]]) -> None:
            self._job = None
            run, layers = made
            self.layers.adopt(run.id, layers)
            self.session.finish(run)

        def failed(error: UserError) -> None:
            self._job = None
            self.session.failed(str(error))

        def cancelled() -> None:
            self._job = None
            self.session.cancelled(self._stop_reason)

        self._job_layer, self._stop_reason = id(layer), ""
        handlers = Handlers(done, failed, self.session.progress, cancelled)
        self._job = self.runner.start("Segmenting", lambda: layer_steps(plan, shelf), handlers)

    def cancel(self, reason: str = "") -> None:
        """Stop after the tile under way; no layers are added."""
        if self._job is not None:
            self._stop_reason = reason
            self._job.cancel()
            self.session.cancelling()

    def undo(self) -> None:
        """Take the last run back."""
        self.session.undo()

    def redo(self) -> None:
        """Bring the last run back."""
        self.session.redo()

    def close(self) -> None:
        """Stop everything; called when the viewer goes."""
        if self.closed:
            return
        self.closed = True
        self._save_settings()
        self.runner.close()
        self._shelf.clear()
        self.session.runs_changed.disconnect()

    # ------------------------------------------------------------------ viewer events

    def _sync_layers(self, runs: Any) -> None:
        self.layers.sync(runs, self.session.kept_runs)

    def _layers_changed(self, _event: Any = None) -> None:
        found = self.image_layers()
        if self._job is not None and all(id(x) != self._job_layer for x in found):
            self.cancel("Cancelled: the image layer was removed.")
        if self.image_layer() is None:
            self.choose_image(found[0] if found else None)
        self.images_changed.emit(found)

    def _follow_selection(self, event: Any) -> None:
        layer: Layer | None = event.value
        if layer is not None and images.segmentable(layer):
            self.choose_image(layer)

    def _refresh_choice(self, _event: Any = None) -> None:
        layer = self.image_layer()
        if layer is not None and layer.ndim > 2:
            self.choose_image(layer)

    def _save_settings(self) -> None:
        try:
            settings_file.save(self.session.settings)
        except OutputError as error:
            _LOG.warning("%s", error)
