"""What the four panels share: the run under the glass, its layers, and where things are."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.transforms import Affine
from qtpy.QtCore import QTimer

from ..app.study import Case, Study, finding_steps
from ..errors import UserError
from .images import METADATA_KEY, Placement
from .latest import Latest
from .runner import Handlers
from .session_for import session_for
from .study_layers import StudyLayers
from .view import camera_of, canvas_size

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..app.session import Run
    from ..app.study import Findings
    from ..core.types import Int32
    from .tuner import Tuner
    from .workspace import Workspace

REFRESH_MS = 50
"""Changes within this time are answered together."""
FLY_MARGIN = 0.35
"""Share of the canvas left around a box that is flown to."""
SMALLEST_BOX = 96
"""Edge in pixels of what is shown at least when flying to a small box."""

_LOG = logging.getLogger(__name__)


class Desk:
    """Binds a viewer's :class:`Workspace` to a :class:`Study`.

    Parameters
    ----------
    work : Workspace
        Of the same viewer.
    """

    def __init__(self, work: Workspace) -> None:
        self.work = work
        self.study = Study()
        self.tuner: Tuner | None = None
        self.layers = StudyLayers(work.viewer)
        self._latest = Latest(work.runner, "Studying")
        self._asked = self._moving = False
        study = self.study
        for signal in (
            study.run_changed,
            study.labels_changed,
            study.truth_changed,
            study.bands_changed,
        ):
            signal.connect(self._changed)
        work.session.runs_changed.connect(self._runs_changed)
        events = work.viewer.layers.events
        for event in (events.inserting, events.inserted, events.removing, events.removed):
            event.connect(self._layers_move)
        work.viewer.layers.selection.events.active.connect(self._follow_selection)
        self._runs_changed(work.session.runs)

    @property
    def viewer(self) -> ViewerModel:
        """The viewer; TypeError once it is gone."""
        return self.work.viewer

    @property
    def runner(self) -> Any:
        """Runs jobs in threads of their own."""
        return self.work.runner

    @property
    def run(self) -> Run | None:
        """The run under the glass."""
        return self.study.run

    def choose_run(self, run_id: int) -> None:
        """Look into another run of the session."""
        found = next((r for r in self.work.session.runs if r.id == run_id), None)
        if found is not None:
            self.study.choose_run(found)

    def instances_layer(self) -> Labels | None:
        """Return the layer of the run's nuclei, None if the user has deleted it."""
        run = self.run
        found = None if run is None else self.layers.find(run.id, "instances")
        return found if isinstance(found, Labels) else None

    def drawn_labels(self) -> Int32 | None:
        """Return the run's nuclei as drawn now, int32 (H, W); a view of the layer's data."""
        layer = self.instances_layer()
        if layer is None:
            return None
        level = layer.data[0] if layer.multiscale else layer.data
        drawn: Int32 = np.asarray(level).reshape(np.shape(level)[-2:])
        return drawn

    # ------------------------------------------------------------------ findings

    def refresh(self) -> None:
        """Find everything out anew, in the background."""
        run, labels = self.study.run, self.study.labels
        if run is None or labels is None or run.result.maps is None:
            self._latest.cancel()
            return
        ticket, truth = self.study.ticket, self.study.truth
        separation = run.result.separation
        case = Case(
            maps=run.result.maps,
            labels=labels,
            info=run.result.info,
            separation=run.result.cut_with,
            mask=None if separation is None else separation.mask,
            truth=None if truth is None else truth.labels,
            bands=self.study.bands,
        )

        def done(findings: Findings) -> None:
            self.study.take(findings, ticket)

        def failed(error: UserError) -> None:
            _LOG.warning("Studying %s: %s", run.title, error)

        self._latest.request(lambda: finding_steps(case), Handlers(done, failed))

    @property
    def busy(self) -> bool:
        """Whether findings are on their way."""
        return self._asked or self._latest.busy

    def _changed(self, _value: Any = None) -> None:
        if not self._asked:
            self._asked = True
            QTimer.singleShot(REFRESH_MS, self._refresh_soon)

    def _refresh_soon(self) -> None:
        self._asked = False
        if not self.work.closed:
            self.refresh()

    def _runs_changed(self, runs: tuple[Run, ...]) -> None:
        """Look into a run that has just come; leave one that is gone."""
        self.layers.tidy(run.id for run in runs)
        run = self.study.run
        newest = max(runs, key=lambda r: r.id, default=None)
        if run is None or run not in runs or (newest and newest.id > run.id):
            self.study.choose_run(newest)

    def _layers_move(self, _event: Any = None) -> None:
        """Note that layers come or go: napari then selects others, which nobody asked for."""
        if not self._moving:
            self._moving = True
            QTimer.singleShot(0, self._layers_rest)

    def _layers_rest(self) -> None:
        self._moving = False

    def _follow_selection(self, event: Any) -> None:
        """Look into the run of a layer that the user selects."""
        if self._moving:
            return
        layer = event.value
        known = {} if layer is None else layer.metadata.get(METADATA_KEY, {})
        if "run" in known:
            self.choose_run(known["run"])

    # ------------------------------------------------------------------ where things are

    def to_pixel(self, position: Any) -> tuple[int, int] | None:
        """Return row and column of the run's arrays at a world position, None outside.

        Parameters
        ----------
        position : sequence of float
            World coordinates, as ``viewer.cursor.position``.
        """
        run = self.run
        if run is None:
            return None
        place: Placement = run.placement
        inner, outer = _transforms(run)
        point = np.asarray(position, float)[-(len(place.plane) + 2) :]
        if len(point) < len(place.plane) + 2:
            return None
        found = np.rint(inner.inverse(outer.inverse(point))).astype(int)
        row, col = found[-2:]
        height, width = run.result.labels.shape
        here = tuple(found[:-2]) == tuple(np.zeros(len(place.plane), int))
        if not here or not (0 <= row < height and 0 <= col < width):
            return None
        return int(row), int(col)

    def to_world(self, row: float, col: float) -> tuple[float, ...]:
        """Return the world position of a pixel of the run's arrays.

        Raises
        ------
        TypeError
            If there is no run.
        """
        run = self.run
        if run is None:
            raise TypeError("There is no run to look at.")
        inner, outer = _transforms(run)
        plane = (0.0,) * len(run.placement.plane)
        return tuple(float(x) for x in outer(inner((*plane, row, col))))

    def fly_to(self, box: tuple[float, float, float, float]) -> None:
        """Bring a box (r0, r1, c0, c1), in pixels of the run's arrays, to the middle."""
        if self.run is None:
            return
        viewer, (r0, r1, c0, c1) = self.viewer, box
        centre = self.to_world((r0 + r1 - 1) / 2, (c0 + c1 - 1) / 2)
        corner = self.to_world((r0 + r1 + 1) / 2, (c0 + c1 + 1) / 2)
        pixel = np.abs(np.subtract(corner, centre))[-2:].max() or 1.0
        for axis, value in enumerate(centre[:-2]):
            viewer.dims.set_point(viewer.dims.ndim - len(centre) + axis, value)
        camera = camera_of(viewer)
        camera.center = (*camera.center[:-2], *centre[-2:])
        extent = np.array([max(r1 - r0, SMALLEST_BOX), max(c1 - c0, SMALLEST_BOX)]) * pixel
        size = np.asarray(canvas_size(viewer), float)
        camera.zoom = float((1 - FLY_MARGIN) * (size / extent).min())


def _transforms(run: Run) -> tuple[Affine, Affine]:
    """Return what takes a pixel of the run's arrays to the world: inner first, then outer."""
    place: Placement = run.placement
    k = place.at(*run.result.offset)
    inner = Affine(scale=k["scale"], rotate=k["rotate"], shear=k["shear"], translate=k["translate"])
    return inner, Affine(affine_matrix=np.asarray(k["affine"]))


def desk_for(viewer: Any) -> Desk:
    """Return the desk of a viewer (a proxy is fine), making it on the first call."""
    work = session_for(viewer)
    if work.desk is None:
        work.desk = Desk(work)
    desk: Desk = work.desk
    return desk
