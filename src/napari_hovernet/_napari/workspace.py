"""One viewer's workbench without its widgets: state, jobs, layers. Every user action is a method.

For those who build a tab (``panels/*.py``)
-------------------------------------------
A tab is ``class CheckTab(QWidget)`` with ``title``, ``__init__(self, work: Workspace)``,
``shown()`` and ``left()`` (called when its tab is entered and left; take marks away in ``left``).
It may be destroyed and made anew at any time (the dock was closed): whatever must survive lies in
the state below, set-ups of forms in ``work.forms["check"]`` (a dict of your own values). Connect
state to widgets by ``jobs.bind(self, signal, slot)`` only, it ends with the widget.

State, free of Qt, each with psygnal signals; change it by its methods alone:

* ``work.session`` (app.session): ``model``, ``image``, ``options``, ``runs``, ``status``, ``view``,
  ``colour_by``; ``set_view("blobs")``, ``set_colour_by("np_mean")``.
* ``work.study`` (app.study): the run under the glass and **what is on screen**: ``run``, ``labels``
  (tuned or corrected or as run: never read ``run.result.labels``), ``cut_with``, ``truth``,
  ``findings`` (nuclei, magnitude, blobs, comparison, uncertain; None until known), ``nucleus``.
  ``choose_truth``, ``look_at``; findings follow by themselves.
* ``work.tuning`` (app.tuning): parameters of the separation with undo. A remedy is
  ``work.tuning.edit(params)``: screen, study, findings and verdict follow, Undo takes it back.
  ``work.tuning_blocked()`` says why not ("corrected by hand").

Screen: ``work.layers`` (layers.py) is the only place that touches layers. ``layers.nuclei`` is the
Labels layer of what is on screen (brush on it: ``study.labels`` follows with ``corrected=True``),
``layers.frame(box)`` draws a frame without a layer, ``layers.extra(...)`` adds one of your own
(a truth, say), ``layers.remove(run, role)``. Colours of nuclei are made in colours.py: add a view's
colours there. ``work.fly_to(box)``, ``work.to_pixel(position)``; ``viewer.on_click``,
``viewer.keep_camera``. Nothing but a click of the user moves camera, selection or active layer.

Jobs: ``work.runner.start(name, steps, Handlers(done, failed, ...))`` runs a generator of Progress
in a thread, ``jobs.Latest`` keeps the newest question alone; handlers run on the main thread.
Messages: ``work.say(text, tone)`` shows one line in the dock. Tabs: ``work.go("check")``.
Widgets: kit.py (Combo, Message, Fold, Elided, button ...), forms.py (Form, SliderRow, Number),
plots.py.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal
from qtpy.QtCore import QTimer

from ..app import session as settings_file
from ..app.jobs import Steps
from ..app.segment import ModelShelf, RunRequest, describe_steps, device_steps, mpp_steps, run_steps
from ..app.session import ImageChoice, Run, Session
from ..app.study import Study
from ..app.tuning import Tuning
from ..core.params import SeparationParams
from ..core.types import Progress
from ..errors import InputError, OutputError, UserError
from . import viewer as images
from .jobs import Handlers, QtJob, QtRunner
from .layers import RunLayers, preferences
from .live import Live, warm_steps
from .viewer import Box, bare_viewer

if TYPE_CHECKING:
    from ..app.segment import SegmentResult
    from ..core.inference.devices import DeviceInfo
    from ..core.types import Model

_LOG = logging.getLogger(__name__)

TABS = ("segment", "check", "train", "why")
COLD_S = 12.0
"""Seconds that the first look at torch and the kernels takes on a slow machine."""


@dataclass(frozen=True, eq=False)
class RunPlan:
    """A run to be: the request, its id and title, and where its layers go."""

    request: RunRequest
    id: int
    title: str
    image: ImageChoice
    placement: images.Placement


def plan_steps(plan: RunPlan, shelf: ModelShelf) -> Steps[Run]:
    """Segment, in the worker thread."""
    result = yield from run_steps(plan.request, shelf)
    from ..app.segment import run_metadata  # noqa: PLC0415 - imports torch

    metadata = {**run_metadata(result), "image": plan.image.name, "device": shelf.device}
    return Run(plan.id, plan.title, plan.image, result, plan.placement, metadata)


class SharedShelf(ModelShelf):
    """A shelf that the warm-up and a run may ask at once: the second waits for the first."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def get(self, source: str, device: str) -> Model:
        """Return the model, loading it when it, its file or the device has changed."""
        with self._lock:
            return super().get(source, device)


class Workspace:
    """Binds a viewer to its state; holds the viewer weakly, so a closed one can go."""

    devices_changed: ClassVar[Signal] = Signal(tuple)
    images_changed: ClassVar[Signal] = Signal(list)
    legend_changed: ClassVar[Signal] = Signal(object)
    said: ClassVar[Signal] = Signal(str, str)
    tab_changed: ClassVar[Signal] = Signal(str)
    data_changed: ClassVar[Signal] = Signal(tuple)

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session | None = None,
        runner: QtRunner | None = None,
    ) -> None:
        self._viewer_ref = weakref.ref(viewer)
        self.session = session or Session(settings_file.load())
        self.study, self.tuning = Study(), Tuning()
        self.runner = runner or QtRunner()
        self.layers = RunLayers(viewer)
        self.forms: dict[str, dict[str, Any]] = {name: {} for name in TABS}
        self.tab = TABS[0]
        self.data_folders: tuple[str, ...] = ()  # Corrected images were saved there, latest first
        self.closed = False
        self.devices: tuple[DeviceInfo, ...] = ()
        self.shelf = SharedShelf()
        self._warm = False
        self.warms_up = True  # Who ends with the first run, as a picture does, loads nothing else
        self._opened = 0.0
        self._file_mpp: dict[str, float | None] = {}
        self._job: QtJob | None = None
        self._job_layer: int | None = None
        self._stop_reason = ""
        self._waiting: deque[weakref.ref[Image]] = deque()
        self.live = Live(self)
        self.session.runs_changed.connect(self._runs_changed)
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

    @property
    def busy(self) -> bool:
        """Whether a run or anything on its way to the screen is under way."""
        return self.session.status.busy or self.live.busy

    def say(self, text: str, tone: str = "") -> None:
        """Show one message in the dock; ``tone`` is "good", "warn", "bad" or ""."""
        self.said.emit(text, tone)

    def attempt(self, action: Callable[[], Any]) -> None:
        """Do what the user asked for; a reason not to is said, not raised."""
        try:
            action()
        except UserError as error:
            self.say(str(error), "bad")

    def add_data_folder(self, folder: str) -> None:
        """Note a folder of images with labels; "Train" offers it."""
        kept = (f for f in self.data_folders if f != folder)
        self.data_folders = (folder, *kept)
        self.data_changed.emit(self.data_folders)

    def go(self, tab: str) -> None:
        """Go to a tab: "segment", "check", "train" or "why"."""
        if tab not in TABS:
            raise InputError(f"tab is {tab!r}; choose one of {', '.join(TABS)}.")
        self.tab = tab
        self.tab_changed.emit(tab)

    # ------------------------------------------------------------ model and device

    def choose_model(self, source: str, *, remember: bool = True) -> None:
        """Choose a model and read, in the background, what it is.

        Unless ``remember``, the next session begins with the model that this one began with.
        """
        self.session.choose_model(source, remember=remember)

        def failed(error: UserError) -> None:
            self.session.describe_model(source, None, str(error))

        def done(info: Any) -> None:
            self.session.describe_model(source, info)
            self._save_settings()

        steps = lambda: describe_steps(source)  # noqa: E731
        self.runner.start("Reading the model", steps, Handlers(done, failed))

    def start_up(self) -> None:
        """Warm up in worker threads: read the model, load torch and kernels, look for devices."""
        if self.closed or self._opened:
            return
        self._opened = time.monotonic()
        if self.session.model.reading:
            self.choose_model(self.session.model.source)
        self.refresh_devices()
        if not self.warms_up:
            return
        source, device, shelf = self.session.model.source, self.session.options.device, self.shelf

        def over(_: Any = None) -> None:
            self._warm = True
            if self.closed:
                return
            gc.freeze()  # else each full collection looks at all of torch: 0.2 to 0.8 s of stall

        steps = lambda: warm_steps(source, device, shelf)  # noqa: E731
        self.runner.start("Warming up", steps, Handlers(over, over, cancelled=over))

    @property
    def cold_seconds(self) -> int:
        """Seconds that loading will still take, by experience; 0 once all is loaded."""
        if self._warm or not self._opened:
            return 0
        return max(round(COLD_S - (time.monotonic() - self._opened)), 2)

    def refresh_devices(self) -> None:
        """Look again for devices and their free memory."""

        def done(devices: tuple[DeviceInfo, ...]) -> None:
            self.devices = devices
            self.devices_changed.emit(devices)

        def failed(error: UserError) -> None:
            _LOG.warning("Looking for devices: %s", error)

        self.runner.start("Looking for devices", device_steps, Handlers(done, failed))

    # ------------------------------------------------------------ image

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
        chosen = images.choice(layer, self.viewer.dims.current_step, self.viewer.layers)
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

    def take_offer(self) -> None:
        """Do what is offered for an image that cannot be segmented: take it as RGB."""
        layer = self.image_layer()
        if layer is None or self.session.image is None or not self.session.image.offer:
            return
        parts = images.three_channels(layer, self.viewer.layers)
        made = images.as_rgb(layer, self.viewer.layers)
        for part in parts or (layer,):
            part.visible = False
        self.viewer.layers.append(made)
        self.viewer.reset_view()
        self.choose_image(made)

    def draw_region(self) -> None:
        """Make a Shapes layer to draw a rectangle in, and run on what is drawn."""
        layer = self.image_layer()
        if layer is not None:
            self.layers.add_region(layer)
            self.session.set_options(replace(self.session.options, region="shapes"))

    # ------------------------------------------------------------ runs

    def run(self) -> None:
        """Segment the chosen image with the chosen model; raises UserError if that cannot be."""
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
        self._start(request, layer, chosen)

    def run_layers(self, layers: list[Image]) -> None:
        """Segment several images, one after the other."""
        self._waiting = deque(weakref.ref(layer) for layer in layers)
        self._run_next()

    def _run_next(self) -> None:
        while self._waiting:
            layer = self._waiting.popleft()()
            if layer is None or layer not in self.viewer.layers:
                continue
            self.choose_image(layer)
            try:
                self.run()
            except UserError as error:
                self.say(f"{layer.name}: {error}", "bad")
                continue
            return

    def request(self, layer: Image) -> RunRequest:
        """Put together what the session asks for."""
        options = self.session.options
        box = images.box_for(options.region, layer, self.viewer)
        return RunRequest(
            model=self.session.model.source,
            device=options.device,
            image=images.plane_data(layer, self.viewer.dims.current_step),
            inference=options.inference,
            separation=SeparationParams.preset(options.separation),
            box=box,
            types=self.types_file,
        )

    @property
    def types_file(self) -> str:
        """File by which the types of a run are named; "" where the model has none."""
        info = self.session.model.info
        return "" if info is not None and not info.types else self.session.options.types

    def _start(self, request: RunRequest, layer: Image, chosen: ImageChoice) -> None:
        place = images.placement(layer, self.viewer.dims.current_step)
        plan, shelf = RunPlan(request, *self.session.next_run(), chosen, place), self.shelf
        cold = self.cold_seconds
        if cold:
            self.session.progress(Progress(0, 0, f"First run: loading, about {cold} s"))

        def done(run: Run) -> None:
            self._job = None
            self._warm = True
            self.session.finish(run)
            if preferences().show_maps:
                self.layers.add_all_maps(run)
            self._run_next()

        def failed(error: UserError) -> None:
            self._job = None
            self._waiting.clear()
            self.session.failed(str(error))

        def cancelled() -> None:
            self._job = None
            self._waiting.clear()
            self.session.cancelled(self._stop_reason)

        def progress(step: Progress) -> None:
            if step.total or not self.cold_seconds:
                self.session.progress(step)

        self._job_layer, self._stop_reason = id(layer), ""
        handlers = Handlers(done, failed, progress, cancelled)
        self._job = self.runner.start("Segmenting", lambda: plan_steps(plan, shelf), handlers)

    def cancel(self, reason: str = "") -> None:
        """Stop after the tile under way; no layers are added."""
        self._waiting.clear()
        if self._job is not None:
            self._stop_reason = reason
            self._job.cancel()
            self.session.cancelling()

    def choose_run(self, run_id: int) -> None:
        """Look into another run of the session."""
        found = next((r for r in self.session.runs if r.id == run_id), None)
        if found is not None:
            self.study.choose_run(found)

    def free_number(self) -> int:
        """Return an id for a run made of another; a segmentation under way has the next one."""
        return self.session.next_run()[0] + int(self.session.status.busy)

    # ------------------------------------------------------------ undo, and tuning

    @property
    def can_undo(self) -> bool:
        """Whether a stroke, an edit of the run under the glass, or a run can be taken back."""
        return self.layers.strokes > 0 or self.tuning.can_undo or self.session.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether what was taken back can be brought back."""
        undone = self.layers.strokes_undone > 0
        return undone or self.tuning.can_redo or self.session.can_redo

    def undo(self) -> None:
        """Take the last correction by hand back, or edit of the parameters, or else the run."""
        shown, nuclei = self.study.instances, self.layers.nuclei
        if self.layers.strokes and nuclei is not None:
            nuclei.undo()
        elif shown is not None and shown.corrected:
            self.say("Nuclei were corrected earlier: 'Drop corrections' in Segment takes it back.")
        else:
            (self.tuning if self.tuning.can_undo else self.session).undo()

    def redo(self) -> None:
        """Bring back what undo took."""
        nuclei = self.layers.nuclei
        if self.layers.strokes_undone and nuclei is not None:
            nuclei.redo()
        else:
            (self.tuning if self.tuning.can_redo else self.session).redo()

    def tuning_blocked(self) -> str:
        """Say why the nuclei on screen cannot be tuned, "" if they can."""
        return self.live.blocked()

    def result_now(self) -> SegmentResult:
        """Return what is on screen as a result, to be saved or exported."""
        study = self.study
        run, labels, found = study.run, study.labels, study.findings
        if run is None or labels is None:
            raise InputError("There are no nuclei yet: run first.")
        if labels is run.result.labels:
            return run.result
        from ..core.measure.nuclei import measure  # noqa: PLC0415 - imports numba

        if found is None or self.live.busy:
            nuclei = measure(labels, run.result.maps, type_names=run.result.info.types)
        else:
            nuclei = found.nuclei
        cut = study.cut_with or run.result.cut_with
        return replace(
            run.result, labels=labels, nuclei=nuclei, used=cut,
            params=replace(run.result.params, separation=cut),
        )  # fmt: skip

    # ------------------------------------------------------------ places

    def to_pixel(self, position: Any) -> tuple[int, int] | None:
        """Return row and column of the run's arrays at a world position, None outside."""
        return None if self.study.run is None else images.to_pixel(self.study.run, position)

    def fly_to(self, box: tuple[float, float, float, float]) -> None:
        """Bring a box (r0, r1, c0, c1), in pixels of the run's arrays, to the middle."""
        if self.study.run is not None:
            images.fly_to(self.viewer, self.study.run, box)

    def seen_box(self) -> Box | None:
        """Return what is in view of the run's arrays, None if nothing is."""
        run = self.study.run
        return None if run is None else images.view_box(run, self.viewer)

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Stop everything; called when the viewer goes."""
        if self.closed:
            return
        self.closed = True
        gc.unfreeze()
        self._save_settings()
        self.runner.close()
        self.shelf.clear()
        self.session.runs_changed.disconnect()

    # ------------------------------------------------------------ viewer events

    def _runs_changed(self, runs: tuple[Run, ...]) -> None:
        """Look into a run that has just come; leave one that is gone."""
        keys = {run.image.key for run in runs}
        run, newest = self.study.run, max(runs, key=lambda r: r.id, default=None)
        if run is None or run not in runs or (newest and newest.id > run.id):
            self.study.choose_run(newest)
        if self.layers.run is not None or not keys:
            QTimer.singleShot(0, lambda: None if self.closed else self.layers.clear(keys))

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


# ---------------------------------------------------------------- one per viewer

_WORKSPACES: WeakKeyDictionary[Any, Workspace] = WeakKeyDictionary()


def workspace_for(viewer: Any, make: Callable[[Any], Workspace] | None = None) -> Workspace:
    """Return the viewer's workspace (a proxy is fine), making it on the first call."""
    key = bare_viewer(viewer)
    found = _WORKSPACES.get(key)
    if found is None or found.closed:
        found = (make or Workspace)(key)
        _WORKSPACES[key] = found
    return found


def forget(viewer: Any) -> None:
    """Close and drop a viewer's workspace."""
    found = _WORKSPACES.pop(bare_viewer(viewer), None)
    if found is not None:
        found.close()
