"""Live separation: an edit shows at once in view, the whole run follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Labels, Layer
from psygnal import Signal
from qtpy.QtCore import QTimer

from ..app.jobs import Steps
from ..app.session import Run
from ..app.tuning import Edits, Tuned, Tuning
from ..errors import InputError, UserError
from .in_view import view_box
from .kept_run import kept_run_steps, renumbered, unused_title
from .latest import Latest
from .preferences import preferences
from .run_layers import CONTOUR_COLORMAP
from .runner import Handlers
from .study_layers import Extra

if TYPE_CHECKING:
    from ..app.tuning import Tuners
    from ..core.measure.sweep import SweepAxis
    from ..core.separation.tuning import TuneParams
    from .desk import Desk

Box = tuple[int, int, int, int]

ROLE = "tuned"
LIVE_PIXELS = 4_000_000
"""Pixels separated at once while a slider moves; of a larger view its middle."""
WHOLE_SHARE = 0.7
"""A view of more than this share of the run is separated as the whole run."""
SETTLE_MS = 250
"""Pause after the last edit before the rest of a run larger than the view is separated."""
SWEEP_PIXELS = 4_000_000
"""A sweep over a larger run takes the part in view."""


class Tuner:
    """Binds a :class:`Desk` to a :class:`Tuning`.

    Parameters
    ----------
    desk : Desk
    """

    message: ClassVar[Signal] = Signal(str)
    progress: ClassVar[Signal] = Signal(object)

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.tuning = Tuning()
        self._in_view = Latest(desk.runner, "Tuning what is in view")
        self._whole = Latest(desk.runner, "Tuning the run")
        self._keeping = Latest(desk.runner, "Keeping")
        self._sweeping = Latest(desk.runner, "Sweeping")
        self._tuners: tuple[Run, Tuners] | None = None
        self._begun: Run | None = None
        self._edits: WeakKeyDictionary[Run, Edits] = WeakKeyDictionary()
        self._hidden: WeakKeyDictionary[Run, Layer] = WeakKeyDictionary()
        self._later = QTimer()
        self._later.setSingleShot(True)
        self._later.setInterval(SETTLE_MS)
        self._later.timeout.connect(self._tune_whole)
        desk.study.run_changed.connect(self._begin)
        self.tuning.params_changed.connect(self._edited)
        self._begin(desk.run)

    @property
    def run(self) -> Run | None:
        """The run that is tuned, None if there is none with maps."""
        run = self.desk.run
        return run if run is not None and run.result.maps is not None else None

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        jobs = (self._in_view, self._whole, self._keeping, self._sweeping)
        return self._later.isActive() or any(latest.busy for latest in jobs)

    @property
    def touched(self) -> bool:
        """Whether there is something to keep or discard."""
        return self.tuning.params != self.tuning.start

    # ------------------------------------------------------------------ live

    def _begin(self, run: Run | None) -> None:
        """Start from what the run was cut with, or from where its tuning was left."""
        if run is self._begun:
            return
        before, self._begun = self._begun, None
        self._stop()
        self._sweeping.cancel()
        if before is not None:
            self._edits[before] = self.tuning.edits
            self._clear(before)
        self._tuners = None
        if run is None:
            self.tuning.begin(None)
        else:
            self.tuning.begin(run.result, self._edits.get(run))
        self._begun = run
        if self.touched:
            self._edited(self.tuning.params)
        elif run is not None:
            self._show_own(run)

    def _edited(self, params: TuneParams) -> None:
        run = self.run
        if run is None or run is not self._begun:
            return
        self._whole.cancel()
        self._later.stop()
        box = self._live_box(run)
        if box is None:
            self._tune_whole()
        else:
            self._ask(self._in_view, run, params, box)

    def _live_box(self, run: Run) -> Box | None:
        """Return the part of the run to separate at once, None = all of it."""
        shape = run.result.labels.shape
        seen = clipped(view_box(self.desk), (int(shape[0]), int(shape[1])))
        if seen is None or area(seen) > WHOLE_SHARE * shape[0] * shape[1]:
            seen = (0, int(shape[0]), 0, int(shape[1]))
        box = middle_of(seen, LIVE_PIXELS)
        return None if area(box) == shape[0] * shape[1] else box

    def _tune_whole(self) -> None:
        run = self.run
        if run is not None and not self.desk.work.closed:
            self._ask(self._whole, run, self.tuning.params, None)

    def _ask(self, latest: Latest, run: Run, params: TuneParams, box: Box | None) -> None:
        def done(tuned: Tuned) -> None:
            if run is not self._begun or tuned.params != self.tuning.params:
                return
            self._paint(run, tuned, box)
            self.tuning.take(tuned)  # told once it can be seen
            if tuned.box is not None:
                self._later.start()

        def failed(error: UserError) -> None:
            self.message.emit(str(error))

        latest.request(lambda: self._steps(run, params, box), Handlers(done, failed))

    def _steps(self, run: Run, params: TuneParams, box: Box | None) -> Steps[Tuned]:
        """Separate, in the worker thread; stages that were kept are of the same run."""
        from ..app.tuning import Tuners, grown, reach_of, tune_steps  # noqa: PLC0415

        kept = self._tuners
        if kept is None or kept[0] is not run:
            kept = self._tuners = (run, Tuners(run.result.maps))
        if box is not None:
            box = grown(box, reach_of(params), run.result.maps.shape)
        return tune_steps(kept[1].of(box), params, box)

    def _paint(self, run: Run, tuned: Tuned, box: Box | None) -> None:
        """Write new instances into the layer, in place: all, or those within a box."""
        layer = self.layer(run)
        plane, labels = plane_view(layer), tuned.separation.labels
        if tuned.box is None or box is None:
            np.copyto(plane, labels)
        else:
            (r0, r1, c0, c1), (top, _, left, _) = box, tuned.box
            plane[r0:r1, c0:c1] = labels[r0 - top : r1 - top, c0 - left : c1 - left]
        layer.refresh(extent=False, thumbnail=False)

    def layer(self, run: Run) -> Labels:
        """Return the layer of the tuned nuclei; made when first needed, in place of the run's."""
        found = self.desk.layers.find(run.id, ROLE)
        if not (isinstance(found, Labels) and paintable(found, run)):
            look = {"colormap": CONTOUR_COLORMAP, "contour": preferences().contour, "opacity": 1.0}
            data = run.result.labels.copy()
            found = self.desk.layers.show(run, Extra(ROLE, "labels", "tuned nuclei", data, look))
            instances = self.desk.layers.find(run.id, "instances")
            if instances is not None and instances.visible:
                self._hidden[run], instances.visible = instances, False
        return found

    # ------------------------------------------------------------------ keep, discard

    def discard(self) -> None:
        """Go back to the run as it was; undo brings the edits back."""
        self._stop()
        self.tuning.reset()
        self._stop()
        self.tuning.forget()
        if self.run is not None:
            self._clear(self.run)

    def keep(self) -> None:
        """Make a run of its own of what was tuned, once the whole of it is separated.

        Raises
        ------
        InputError
            If there is no run.
        """
        run = self.run
        if run is None:
            raise InputError("There is no run to tune: segment an image first.")
        params, tuned, wanted = self.tuning.params, self.tuning.tuned, preferences()
        if tuned is not None and (tuned.box is not None or tuned.params != params):
            tuned = None  # only a part, or to older parameters
        title = unused_title(f"{run.title} tuned", [r.title for r in self.desk.work.session.runs])
        number = self._free_number()

        def steps() -> Steps[tuple[Run, tuple[Layer, ...]]]:
            from ..app.tuning import tune_steps  # noqa: PLC0415 - on first use
            from ..core.separation.tuning import StagedTuner  # noqa: PLC0415

            whole = tuned or (yield from tune_steps(StagedTuner(run.result.maps), params))
            return (yield from kept_run_steps(run, whole, number, title, wanted))

        def done(made: tuple[Run, tuple[Layer, ...]]) -> None:
            if run is self._begun and self.tuning.params == params:
                self.tuning.reset()  # the edits live on in the kept run; undo brings them back
            self._add_kept(run, *renumbered(*made, self._free_number()))

        self._keeping.request(steps, Handlers(done, lambda error: self.message.emit(str(error))))

    def _add_kept(self, run: Run, kept: Run, layers: tuple[Layer, ...]) -> None:
        """Add a kept run; its nuclei take the place of those of the run it came from."""
        hidden = self._hidden.pop(run, None)  # so that leaving the run does not show them
        self.desk.work.layers.adopt(kept.id, layers)
        words = f"{kept.title}: {kept.result.n:,} nuclei."
        self.desk.work.session.add_run(kept, words)
        if hidden is not None:
            self._hidden[run] = hidden
        self.message.emit(f"Kept as {words}")

    def _free_number(self) -> int:
        """Return an id for a run; a segmentation under way has the next one already."""
        session = self.desk.work.session
        return session.next_run()[0] + int(session.status.busy)

    def _clear(self, run: Run) -> None:
        """Remove the layer of tuned nuclei; the run's own is shown again, now or with redo."""
        self.desk.layers.remove(run.id, ROLE)
        self._show_own(run)

    def _show_own(self, run: Run) -> None:
        """Show the run's own nuclei, if they were hidden for tuned ones."""
        hidden = self._hidden.pop(run, None)
        if hidden is not None:
            hidden.visible = True

    def _stop(self) -> None:
        self._later.stop()
        for latest in (self._in_view, self._whole):
            latest.cancel()

    # ------------------------------------------------------------------ sweep

    def sweep(self, rows: SweepAxis, columns: SweepAxis | None) -> str:
        """Try combinations in the background; returns in words what is tried on.

        Raises
        ------
        InputError
            If there is no run.
        """
        from ..app.tuning import cropped  # noqa: PLC0415 - on first use
        from ..core.measure.sweep import sweep_steps  # noqa: PLC0415

        run = self.run
        if run is None:
            raise InputError("There is no run to sweep over: segment an image first.")
        maps, truth, start = run.result.maps, self._truth(run), self.tuning.params
        words = "the whole run"
        if maps.np.size > SWEEP_PIXELS:
            seen = clipped(view_box(self.desk), maps.shape) or (
                0,
                *maps.shape[:1],
                0,
                maps.shape[1],
            )
            box = middle_of(seen, SWEEP_PIXELS)
            maps, words = cropped(maps, box), "what is in view"
            truth = None if truth is None else truth[box[0] : box[1], box[2] : box[3]]

        def done(sweep: Any) -> None:
            self.progress.emit(None)
            self.tuning.take_sweep(sweep)

        def failed(error: UserError) -> None:
            self.progress.emit(None)
            self.message.emit(str(error))

        handlers = Handlers(done, failed, self.progress.emit, lambda: self.progress.emit(None))
        self._sweeping.request(lambda: sweep_steps(maps, start, rows, columns, truth), handlers)
        return f"{words}, {'AJI' if truth is not None else 'nuclei counted'}"

    def cancel_sweep(self) -> None:
        """Stop the sweep; its results so far are dropped."""
        self._sweeping.cancel()

    def _truth(self, run: Run) -> Any:
        truth = self.desk.study.truth
        labels = None if truth is None else truth.labels
        return labels if labels is not None and labels.shape == run.result.labels.shape else None


def paintable(layer: Labels, run: Run) -> bool:
    """Whether instances of a run can be written into a layer; the user may have exchanged it."""
    labels = run.result.labels
    level = layer.data[0] if layer.multiscale else layer.data
    if not (isinstance(level, np.ndarray) and level.flags.writeable):
        return False
    return bool(level.dtype == labels.dtype and plane_view(layer).shape == labels.shape)


def plane_view(layer: Labels) -> Any:
    """Return the one plane of a Labels layer at full resolution, (H, W); a view of its data."""
    level = layer.data[0] if layer.multiscale else layer.data
    return level.reshape(level.shape[-2:])


def area(box: Box) -> int:
    """Pixels of a box (r0, r1, c0, c1)."""
    return (box[1] - box[0]) * (box[3] - box[2])


def clipped(box: Box | None, shape: tuple[int, int]) -> Box | None:
    """Cut a box to an image; None if nothing is left.

    Examples
    --------
    >>> clipped((-5, 50, 10, 20), (40, 15)), clipped((50, 60, 0, 5), (40, 15))
    ((0, 40, 10, 15), None)
    """
    if box is None:
        return None
    r0, r1, c0, c1 = max(box[0], 0), min(box[1], shape[0]), max(box[2], 0), min(box[3], shape[1])
    return (r0, r1, c0, c1) if r1 > r0 and c1 > c0 else None


def middle_of(box: Box, pixels: int) -> Box:
    """Shrink a box about its middle until it holds no more than ``pixels``.

    Examples
    --------
    >>> middle_of((0, 100, 0, 400), 10_000)
    (25, 75, 100, 300)
    """
    share = min(1.0, (pixels / max(area(box), 1)) ** 0.5)
    height, width = int((box[1] - box[0]) * share), int((box[3] - box[2]) * share)
    r0 = box[0] + (box[1] - box[0] - height) // 2
    c0 = box[2] + (box[3] - box[2] - width) // 2
    return (r0, r0 + height, c0, c0 + width)


def tuner_for(desk: Desk) -> Tuner:
    """Return the desk's tuner, making it on the first call."""
    if desk.tuner is None:
        desk.tuner = Tuner(desk)
    return desk.tuner
