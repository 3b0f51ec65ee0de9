"""What is on screen follows the state: run, parameters, view, colours, findings.

An edit of the parameters shows at once where it is looked at; the whole run follows, then what is
found in it. Everything is computed by worker threads and painted by :mod:`.layers`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QTimer

from ..app.jobs import Steps
from ..app.session import Run
from ..app.study import Case, Findings, InstanceImage, finding_steps
from ..app.tuning import Edits, Tuned
from ..core.types import Maps, ModelInfo, Progress
from ..errors import UserError
from .colours import (
    BRIGHT,
    MapPicture,
    colouring,
    cyclic,
    feature_table,
    found_columns,
    map_picture,
)
from .jobs import TURN_MS, Handlers, Latest
from .layers import Picture, label_colormap, outlines, preferences
from .viewer import Box, camera_of, view_box

if TYPE_CHECKING:
    from ..app.segment import ModelShelf
    from ..app.tuning import Tuners
    from ..core.separation.tuning import TuneParams
    from ..core.types import Int32
    from .workspace import Workspace

LIVE_PIXELS = 4_000_000
"""Pixels separated at once while a slider moves; of a larger view its middle."""
WHOLE_SHARE = 0.7
"""A view of more than this share of the run is separated as the whole run."""
SETTLE_MS = 250
"""Pause after the last edit before the rest of a run larger than the view is separated."""
REFRESH_MS = 50
"""Changes within this time are answered together."""
CAMERA_MS = 150
"""Pause after a move of the camera before arrows are drawn anew."""
NEAR_PX = 6.0
"""Screen pixels of one pixel of the image from which HV is drawn as arrows."""
CORRECTED = "These nuclei were corrected by hand. Undo that (or keep them) before you tune."

_LOG = logging.getLogger(__name__)


class Live:
    """Keeps screen and study of a :class:`Workspace` up to date."""

    def __init__(self, work: Workspace) -> None:
        self.work = work
        self.unmasked = False  # Whether maps are shown away from nuclei, too
        runner = work.runner
        self._in_view = Latest(runner, "Tuning what is in view")
        self._whole = Latest(runner, "Tuning the run")
        self._finding = Latest(runner, "Studying")
        self._picturing = Latest(runner, "Painting")
        self._arrows = Latest(runner, "Arrows")
        self._begun: Run | None = None
        self._tuners: tuple[Run, Tuners] | None = None
        self._edits: WeakKeyDictionary[Run, Edits] = WeakKeyDictionary()
        self._instances: WeakKeyDictionary[Run, InstanceImage] = WeakKeyDictionary()
        self._cuts: WeakKeyDictionary[Run, Int32] = WeakKeyDictionary()
        self._map: tuple[Any, MapPicture | None] = (None, None)
        self._table: tuple[Any, Any, dict[str, Any]] = (None, None, {})
        self._settle = _timer(SETTLE_MS, self._tune_whole)
        self._refresh = _timer(REFRESH_MS, self.refresh)
        self._repaint = _timer(0, self._request_picture)
        self._later: Callable[[], None] | None = None  # Shows a map whose layer is yet to be made
        self._new_map = _timer(TURN_MS, self._show_new_map)
        self._look = _timer(CAMERA_MS, self._draw_arrows)
        self._drawn = _timer(REFRESH_MS, self._take_drawing)
        self._connect()

    def _connect(self) -> None:
        work = self.work
        study, session = work.study, work.session
        for signal in (study.labels_changed, study.truth_changed):
            signal.connect(self._study_changed)
        study.run_changed.connect(self._begin)
        study.findings_changed.connect(self.repaint)
        session.view_changed.connect(self.repaint)
        session.colour_changed.connect(self.repaint)
        work.tuning.params_changed.connect(self._edited)
        work.layers.edited.connect(lambda _: self._drawn.start())
        camera = camera_of(work.viewer)
        for name in ("zoom", "center"):
            getattr(camera.events, name).connect(self._camera_moved)

    @property
    def busy(self) -> bool:
        """Whether something is on its way to the screen."""
        jobs = (self._in_view, self._whole, self._finding, self._picturing, self._arrows)
        timers = (self._settle, self._refresh, self._repaint, self._drawn, self._new_map)
        return any(job.busy for job in jobs) or any(timer.isActive() for timer in timers)

    # ------------------------------------------------------------ which run

    def _begin(self, run: Run | None) -> None:
        """Leave the run before as it stands, and take up another where it was left."""
        work, before = self.work, self._begun
        if run is before:
            return
        if before is not None:
            self._edits[before] = work.tuning.edits
        self._stop()
        self._begun = self._tuners = None
        if run is None:
            work.tuning.begin(None)
            work.layers.frame(None)
            return
        work.tuning.begin(run.result, self._edits.get(run))
        self._begun = run
        kept = self._instances.get(run)
        if kept is not None:
            work.study.set_labels(kept.labels, corrected=kept.corrected, params=kept.params)
        self._study_changed()

    def _study_changed(self, _value: Any = None) -> None:
        study = self.work.study
        if study.run is not None and study.run is self._begun and study.instances is not None:
            self._instances[study.run] = study.instances
        self._refresh.start()
        self.repaint()

    # ------------------------------------------------------------ what is found

    def case(self) -> Case | None:
        """Return what is on screen as findings need it, None without a run that has maps."""
        study = self.work.study
        run, shown, truth = study.run, study.instances, study.truth
        if run is None or shown is None or run.result.maps is None:
            return None
        as_run = shown.params is None and run.result.separation is not None
        maps = run.result.maps
        if shown.params is not None:
            from ..core.hv import read_hv  # noqa: PLC0415 - imports numba

            maps = read_hv(maps, shown.params.hv)
        return Case(
            maps=maps,
            labels=shown.labels,
            info=run.result.info,
            separation=study.cut_with or run.result.cut_with,
            mask=run.result.separation.mask if as_run else None,
            truth=None if truth is None else truth.labels,
            read=None if truth is None else truth.read,
            mpp=run.result.mpp,
        )

    def labels_of(self, run: Run) -> Int32:
        """Return the nuclei of a run as they were left on screen, int32 (H, W)."""
        kept = self._instances.get(run)
        return run.result.labels if kept is None else kept.labels

    def refresh(self) -> None:
        """Find everything out anew about what is on screen, in the background."""
        study, run = self.work.study, self.work.study.run
        if self.work.closed or run is None or run.result.maps is None:
            self._finding.cancel()
            return
        ticket = study.ticket

        def steps() -> Steps[Findings]:
            case = self.case()  # reads frozen values alone
            if case is None:
                raise TypeError("The run has no maps.")
            return finding_steps(case)

        def done(findings: Findings) -> None:
            study.take(findings, ticket)

        def failed(error: UserError) -> None:
            _LOG.warning("Studying %s: %s", run.title, error)

        self._finding.request(steps, Handlers(done, failed))

    # ------------------------------------------------------------ what it looks like

    def set_unmasked(self, unmasked: bool) -> None:
        """Show maps away from nuclei, too, or only on them."""
        self.unmasked = unmasked
        self.repaint()

    def repaint(self, _value: Any = None) -> None:
        """Bring nuclei, colours and map up to date soon."""
        self._repaint.start()

    def _request_picture(self) -> None:
        work, study = self.work, self.work.study
        run, shown, found = study.run, study.instances, study.findings
        self._new_map.stop()
        if work.closed or run is None or shown is None:
            return
        view, column = work.session.view, work.session.colour_by
        params, colormap = work.tuning.params, preferences().magnitude_colormap

        def steps() -> Steps[Picture]:
            yield Progress(0, 0)
            nuclei = run.result.nuclei if found is None else found.nuclei
            colours = colouring(view, column, nuclei, run, found)
            table = self._features(run, found)
            picture = self._map_of(run, view, params, colormap)
            return Picture(shown.labels, colours, picture, table)

        def done(picture: Picture, *, whole: bool = False) -> None:
            if run is not study.run or work.closed:
                return
            if study.instances is not shown or self._tuning():
                return  # a newer picture is on its way
            if not whole and work.layers.lacks(run, picture.map):
                work.layers.show(run, replace(picture, map=None))
                self._later = partial(done, picture, whole=True)
                self._new_map.start()
                return
            work.layers.show(run, picture)
            work.legend_changed.emit(picture.colouring.legend)
            self._draw_arrows()

        def failed(error: UserError) -> None:
            _LOG.warning("Painting %s: %s", run.title, error)

        self._picturing.request(steps, Handlers(done, failed))

    def _show_new_map(self) -> None:
        """Show a map in a turn of the event loop of its own: to make its layer takes 0.1 s."""
        later, self._later = self._later, None
        if later is not None:
            with self.work.runner.no_collection():
                later()

    def _tuning(self) -> bool:
        """Whether the screen is ahead of the study: an edit is painted, its whole on the way."""
        return self._in_view.busy or self._whole.busy or self._settle.isActive()

    def _features(self, run: Run, found: Findings | None) -> dict[str, Any]:
        if self._table[0] is not run or self._table[1] is not found:
            nuclei = run.result.nuclei if found is None else found.nuclei
            self._table = (run, found, found_columns(feature_table(nuclei, run), found))
        return self._table[2]

    def _map_of(self, run: Run, view: str, params: TuneParams, colormap: str) -> MapPicture | None:
        key = (run.id, view, params.hv, params.separation.np_threshold, self.unmasked, colormap)
        if self._map[0] != key:
            made = None
            if run.result.maps is not None:
                made = map_picture(
                    view, run.result.maps, params, unmasked=self.unmasked, colormap=colormap
                )
            self._map = (key, made)
        return self._map[1]

    # ------------------------------------------------------------ arrows when near

    def _camera_moved(self, _event: Any = None) -> None:
        if self.work.session.view == "hv":
            self._look.start()

    def _draw_arrows(self) -> None:
        work, run, labels = self.work, self.work.study.run, self.work.study.labels
        if work.closed or run is None or labels is None or run.result.maps is None:
            return
        box = view_box(run, work.viewer) if work.session.view == "hv" else None
        scale = abs(float(run.placement.keywords["scale"][-1])) if box else 0.0
        if box is None or camera_of(work.viewer).zoom * scale < NEAR_PX:
            self._arrows.cancel()
            work.layers.show_arrows(None)
            return
        maps, hv = run.result.maps, work.tuning.params.hv

        def steps() -> Steps[tuple[Any, float]]:
            from ..core.hv import read_hv  # noqa: PLC0415 - imports numba
            from ..core.measure.magnitude import (  # noqa: PLC0415
                ArrowParams,
                cut_box,
                grid_step,
                hv_arrows,
            )

            yield Progress(0, 0)
            limits = ArrowParams(least_step=2)
            arrows = hv_arrows(read_hv(maps, hv).hv, labels, box, limits)
            return arrows, float(grid_step(labels, cut_box(box, labels.shape), limits))

        def done(made: tuple[Any, float]) -> None:
            if run is work.study.run and work.session.view == "hv":
                work.layers.show_arrows(*made)

        def failed(error: UserError) -> None:
            _LOG.warning("Arrows of %s: %s", run.title, error)

        self._arrows.request(steps, Handlers(done, failed))

    # ------------------------------------------------------------ strokes of the user

    def _take_drawing(self) -> None:
        """Take what the user has drawn for the nuclei from now on."""
        work, drawn = self.work, self.work.layers.drawn()
        study = work.study
        if drawn is None or study.run is not work.layers.run or study.labels is None:
            return
        if self._tuning() or np.array_equal(drawn, study.labels):
            return
        cut = self._cuts.get(study.run, study.run.result.labels)
        same = np.array_equal(drawn, cut)  # every correction was taken back
        labels = cut if same else drawn.astype(np.int32)  # a copy: painting goes on
        work.layers.take_edit(labels)
        params = None if study.instances is None else study.instances.params
        study.set_labels(labels, corrected=not same, params=params)

    # ------------------------------------------------------------ live separation

    def blocked(self) -> str:
        """Say why the nuclei on screen cannot be tuned, "" if they can."""
        run, shown = self.work.study.run, self.work.study.instances
        if run is None:
            return "Run first."
        if run.result.maps is None:
            return "This run kept no maps, so it cannot be tuned: run the model again."
        return CORRECTED if shown is not None and shown.corrected else ""

    def drop_corrections(self) -> None:
        """Show the nuclei of the present parameters again, without what was drawn by hand."""
        shown = self.work.study.instances
        if shown is not None and shown.corrected:
            self._tune(self.work.tuning.params)

    def _edited(self, params: TuneParams) -> None:
        run = self.work.study.run
        if run is None or run is not self._begun or self.blocked():
            return
        self._tune(params)

    def _tune(self, params: TuneParams) -> None:
        run = self.work.study.run
        if run is None:
            return
        self._whole.cancel()
        self._settle.stop()
        if params == self.work.tuning.start:
            self._in_view.cancel()
            self._show_whole(run, run.result.labels, None)
            return
        box = self._live_box(run)
        if box is None:
            self._tune_whole()
        else:
            self._ask(self._in_view, run, params, box)

    def _live_box(self, run: Run) -> Box | None:
        """Return the part of the run to separate at once, None = all of it."""
        shape = run.result.labels.shape
        seen = view_box(run, self.work.viewer)
        if seen is None or area(seen) > WHOLE_SHARE * shape[0] * shape[1]:
            seen = (0, int(shape[0]), 0, int(shape[1]))
        box = middle_of(seen, LIVE_PIXELS)
        return None if area(box) == shape[0] * shape[1] else box

    def _tune_whole(self) -> None:
        run = self.work.study.run
        if run is not None and not self.work.closed:
            self._ask(self._whole, run, self.work.tuning.params, None)

    def _ask(self, latest: Latest, run: Run, params: TuneParams, box: Box | None) -> None:
        work = self.work
        before = work.layers.drawn() if work.layers.run is run else None
        if before is None:
            before = work.study.labels

        def done(tuned: Tuned) -> None:
            if run is not self._begun or tuned.params != work.tuning.params or tuned.ids is None:
                return
            if tuned.box is None or box is None:
                self._show_whole(run, tuned.ids, tuned.params)
            else:
                work.layers.paint(tuned.ids, box, (tuned.box[0], tuned.box[2]))
                self._settle.start()
            work.tuning.take(tuned)  # told once it can be seen

        def failed(error: UserError) -> None:
            work.say(str(error), "bad")

        latest.request(lambda: self._steps(run, params, box, before), Handlers(done, failed))

    def _show_whole(self, run: Run, labels: Int32, params: TuneParams | None) -> None:
        layers = self.work.layers
        self._cuts[run] = labels
        if layers.run is run:
            layers.paint(labels)
            layers.take_edit(labels)
        self.work.study.set_labels(labels, corrected=False, params=params)

    def _steps(
        self, run: Run, params: TuneParams, box: Box | None, before: Int32 | None
    ) -> Steps[Tuned]:
        """Separate, in the worker thread; stages that were kept are of the same run."""
        from ..app.tuning import Tuners, grown, reach_of, tune_steps  # noqa: PLC0415

        kept = self._tuners
        if kept is None or kept[0] is not run:
            kept = self._tuners = (run, Tuners(run.result.maps))
        if box is not None:
            box = grown(box, reach_of(params), run.result.maps.shape)
        return tune_steps(kept[1].of(box), params, box, before)

    def _stop(self) -> None:
        self._settle.stop()
        for latest in (self._in_view, self._whole, self._arrows):
            latest.cancel()


def warm_steps(source: str, device: str, shelf: ModelShelf) -> Steps[None]:
    """Load what a first run needs: torch, the model, compiled kernels, napari's own."""
    yield Progress(0, 0, "Loading ...")
    shelf.get(source, device)
    yield Progress(0, 0, "Loading ...")
    from ..app.tuning import Tuners, tune_steps  # noqa: PLC0415 - slow, and that is the point
    from ..core.hv import hv_targets  # noqa: PLC0415
    from ..core.measure.magnitude import hv_arrows  # noqa: PLC0415
    from ..core.params import SeparationParams  # noqa: PLC0415
    from ..core.separation.tuning import TuneParams  # noqa: PLC0415

    labels = np.zeros((64, 64), np.int32)
    for number, (row, col) in enumerate(((8, 8), (8, 22), (36, 10)), start=1):
        labels[row : row + 14, col : col + 14] = number
    maps = Maps(np=labels > 0, hv=hv_targets(labels))
    params = TuneParams(SeparationParams())
    tuned = yield from tune_steps(Tuners(maps).of(None), params, None, labels)
    yield from tune_steps(Tuners(maps).of((0, 40, 0, 40)), params, (0, 40, 0, 40), labels)
    yield from finding_steps(Case(maps, tuned.separation.labels, ModelInfo("compact"),
                                  params.separation, None, labels))  # fmt: skip
    hv_arrows(maps.hv, labels)
    outlines(labels, 1, (slice(None), slice(None)))
    for table in (cyclic(BRIGHT), np.ones((400, 4), np.float32)):
        label_colormap(table)._data_to_texture(labels)


def _timer(pause: int, action: Any) -> QTimer:
    timer = QTimer()
    timer.setSingleShot(True)
    timer.setInterval(pause)
    timer.timeout.connect(action)
    return timer


def area(box: Box) -> int:
    """Pixels of a box (r0, r1, c0, c1)."""
    return (box[1] - box[0]) * (box[3] - box[2])


def middle_of(box: Box, pixels: int) -> Box:
    """Shrink a box about its middle until it holds no more than ``pixels``."""
    share = min(1.0, (pixels / max(area(box), 1)) ** 0.5)
    height, width = int((box[1] - box[0]) * share), int((box[3] - box[2]) * share)
    r0 = box[0] + (box[1] - box[0] - height) // 2
    c0 = box[2] + (box[3] - box[2] - width) // 2
    return (r0, r0 + height, c0, c0 + width)
