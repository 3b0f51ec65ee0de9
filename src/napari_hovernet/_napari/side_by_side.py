"""Two runs over one image beside each other, and where they differ."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from napari.layers import Image, Labels
from psygnal import Signal

from ..app.segment import RunRequest
from ..app.study import TwoRuns, case_of, two_runs_steps, why_not
from ..errors import InputError, UserError
from .correcting import snapshot
from .desk import Desk, desk_for
from .images import full_data
from .latest import Latest
from .runner import Handlers
from .side_layers import GridView, difference_layer, image_copy, no_difference, outline_copy
from .study_layers import Extra, update_extra

if TYPE_CHECKING:
    from napari.layers import Layer

    from ..app.session import Run
    from ..core.types import Int32

OUTLINES, DIFFERENCE, IMAGE = "side outlines", "side difference", "side image"
"""Roles of the layers that are shown."""


class SideBySide:
    """Shows run A (the one under the glass) and another one, B, in the viewer's grid.

    Signals
    -------
    changed
        Two runs are shown, or no longer; they were compared; work is waited for, or not.
    failed : UserError
        Another checkpoint could not be run, or the runs not be compared.

    Parameters
    ----------
    desk : Desk
        Only a weak reference is kept.
    """

    changed: ClassVar[Signal] = Signal()
    failed: ClassVar[Signal] = Signal(object)

    def __init__(self, desk: Desk) -> None:
        self._desk_ref = weakref.ref(desk)
        self._grid = GridView(desk.viewer)
        self._latest = Latest(desk.runner, "Comparing two runs")
        self._pair: tuple[Run, Run] | None = None
        self._layers: dict[str, Labels] = {}
        self._two: TwoRuns | None = None
        self._waiting: Waiting | None = None
        self._grid.lost.connect(self.leave)
        study, session = desk.study, desk.work.session
        for signal in (study.labels_changed, study.truth_changed, study.bands_changed):
            signal.connect(self._again)
        study.run_changed.connect(self._tell)
        session.runs_changed.connect(self._runs_changed)
        session.model_changed.connect(self._model_read)
        session.status_changed.connect(self._status_changed)

    @property
    def desk(self) -> Desk:
        """The desk; TypeError once it is gone."""
        desk = self._desk_ref()
        if desk is None:
            raise TypeError("The desk of these runs is gone.")
        return desk

    @property
    def on(self) -> bool:
        """Whether two runs are shown beside each other."""
        return self._pair is not None

    @property
    def pair(self) -> tuple[Run, Run] | None:
        """Runs A and B as shown."""
        return self._pair

    @property
    def two(self) -> TwoRuns | None:
        """What was found out about them; None until it is."""
        return self._two

    @property
    def waiting(self) -> str:
        """What is waited for, in words; "" for nothing."""
        if self._waiting is not None:
            status = self.desk.work.session.status
            return status.message if status.busy else "Reading the model file ..."
        return "Comparing ..." if self.on and self._latest.busy else ""

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._latest.busy or self._waiting is not None

    def partners(self) -> list[Run]:
        """List the runs that can be set beside the one under the glass, the latest first."""
        a = self.desk.run
        if a is None:
            return []
        return [run for run in reversed(self.desk.work.session.runs) if not why_not(a, run)]

    # ------------------------------------------------------------------ showing

    def enter(self, b: Run, a: Run | None = None) -> None:
        """Show a run B beside A, by default the one under the glass.

        Raises
        ------
        InputError
            If they do not cover the same image and region.
        """
        a = a or self.desk.run
        if a is None:
            raise InputError("There is no run yet: segment an image first.")
        reason = why_not(a, b)
        if reason:
            raise InputError(reason)
        self.leave()
        self.desk.study.choose_run(a)
        self._pair, self._two = (a, b), None
        self._grid.enter(self._cells(a, b))
        self._compare()
        self.changed.emit()

    def leave(self) -> None:
        """Give the viewer back as it was."""
        if self._pair is None:
            return
        self._pair, self._two, self._layers = None, None, {}
        self._latest.cancel()
        self._grid.leave()
        self.changed.emit()

    def labels_of(self, run: Run) -> Int32:
        """Return a run's labels as drawn now, a copy where somebody can draw."""
        layer = self.desk.layers.find(run.id, "instances")
        if not isinstance(layer, Labels) or layer.multiscale:
            return run.result.labels
        try:
            drawn = snapshot(layer.data.reshape(layer.data.shape[-2:]))
        except UserError:
            return run.result.labels
        return drawn if drawn.shape == run.result.labels.shape else run.result.labels

    def _cells(self, a: Run, b: Run) -> list[list[Layer]]:
        image = next((x for x in self.desk.work.image_layers() if id(x) == a.image.key), None)
        cells: list[list[Layer]] = []
        for side, run in (("A", a), ("B", b)):
            like = self.desk.layers.find(run.id, "instances")
            made = outline_copy(
                run,
                self.labels_of(run),
                like if isinstance(like, Labels) else None,
                f"{OUTLINES} {side}",
                f"{side} · {run.title}",
            )
            self._layers[side] = made
            cells.append(_cell(image, made, run, side))
        made = difference_layer(b, no_difference(a.result.labels.shape), DIFFERENCE, "B - A")
        self._layers[DIFFERENCE] = made
        return [*cells, _cell(image, made, b, "B - A")]

    def _compare(self) -> None:
        """Find out, in the background, where the two differ."""
        if self._pair is None:
            return
        a, b = self._pair
        study = self.desk.study
        truth = None if study.truth is None else study.truth.labels
        cases = [case_of(run, self.labels_of(run), truth, study.bands) for run in (a, b)]

        def done(two: TwoRuns) -> None:
            if self._pair == (a, b):
                self._show(two)

        def failed(error: UserError) -> None:
            self.failed.emit(error)
            self.changed.emit()

        self._latest.request(lambda: two_runs_steps(*cases), Handlers(done, failed))

    def _show(self, two: TwoRuns) -> None:
        if self._pair is None:
            return
        self._two = two
        kinds = two.difference.kinds.astype(np.int32)
        extra = Extra(DIFFERENCE, "labels", "B - A", kinds)
        update_extra(self._layers[DIFFERENCE], self._pair[1], extra)
        self.changed.emit()

    def _again(self, _value: Any = None) -> None:
        """Follow corrections, another truth and other bounds."""
        if self._pair is None:
            return
        for side, run in zip("AB", self._pair, strict=True):
            if run is self.desk.run:
                extra = Extra(f"{OUTLINES} {side}", "labels", side, self.labels_of(run))
                update_extra(self._layers[side], run, extra)
        self._compare()
        self.changed.emit()

    def _tell(self, _value: Any = None) -> None:
        self.changed.emit()

    # ------------------------------------------------------------------ another checkpoint

    def run_other(self, source: str) -> None:
        """Run another checkpoint on the image and region of A, then show both.

        Inference and separation are those of A, so that only the checkpoint differs.

        Parameters
        ----------
        source : str
            "compact" or a path.

        Raises
        ------
        UserError
            If there is no run, its image is gone, or a run is under way; what goes wrong
            later comes by ``failed``.
        """
        desk, a = self.desk, self.desk.run
        if a is None:
            raise InputError("There is no run yet: segment an image first.")
        self._image_of(a)
        if desk.work.session.status.busy or self._waiting is not None:
            raise InputError("A run is under way: wait for it, or cancel it.")
        self.leave()
        self._waiting = Waiting(a, source)
        desk.work.choose_model(source)
        self.changed.emit()

    def _image_of(self, run: Run) -> Image:
        for layer in self.desk.work.image_layers():
            if id(layer) == run.image.key:
                return layer
        raise InputError(
            f"The image of {run.title} ({run.image.name}) is no longer among the layers: open it "
            "and segment it with both models."
        )

    def _model_read(self, model: Any) -> None:
        """Start the run once it is known that the model can be used."""
        waiting = self._waiting
        if waiting is None or waiting.run_id or model.reading:
            return
        if model.source != waiting.source:
            return self._give_up("Another model was chosen meanwhile.")
        if model.error:
            return self._give_up(model.error)
        try:
            self._start(waiting)
        except UserError as error:
            self._give_up(str(error))
        return None

    def _start(self, waiting: Waiting) -> None:
        work, a = self.desk.work, waiting.a
        session, image = work.session, self._image_of(a)
        for axis, step in enumerate(a.placement.plane):
            work.viewer.dims.set_current_step(work.viewer.dims.ndim - image.ndim + axis, step)
        (row, col), (height, width) = a.result.offset, a.result.labels.shape
        request = RunRequest(
            model=waiting.source,
            device=session.options.device,
            image=full_data(image)[tuple(a.placement.plane)],
            inference=a.result.params.inference,
            separation=a.result.params.separation,
            box=(row, row + height, col, col + width),
        )
        session.begin()
        waiting.run_id, _ = session.next_run()
        waiting.replaced = session.options.replace_previous
        if waiting.replaced:  # A has to stay
            session.set_options(replace(session.options, replace_previous=False))
        work.start(request, image, a.image)

    def _runs_changed(self, runs: tuple[Run, ...]) -> None:
        if self._pair is not None and any(run not in runs for run in self._pair):
            self.leave()
        waiting = self._waiting
        found = next((r for r in runs if waiting and r.id == waiting.run_id), None)
        if waiting is not None and found is not None:
            self._end_waiting()
            try:
                self.enter(found, waiting.a)
            except UserError as error:
                self.failed.emit(error)
        self.changed.emit()

    def _status_changed(self, status: Any) -> None:
        waiting = self._waiting
        if waiting is None or not waiting.run_id:
            return
        if status.busy:
            self.changed.emit()
        elif status.error or not any(
            run.id == waiting.run_id for run in self.desk.work.session.runs
        ):
            self._give_up(status.error or status.message)

    def _give_up(self, reason: str) -> None:
        self._end_waiting()
        self.failed.emit(InputError(f"The other checkpoint was not run: {reason}"))
        self.changed.emit()

    def _end_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        session = self.desk.work.session
        if waiting is not None and waiting.replaced:
            session.set_options(replace(session.options, replace_previous=True))


class Waiting:
    """What a second run is waited for: its partner, its model, and its id once it runs."""

    def __init__(self, a: Run, source: str) -> None:
        self.a, self.source = a, source
        self.run_id = 0
        self.replaced = False


def _cell(image: Image | None, labels: Labels, run: Run, side: str) -> list[Layer]:
    if image is None:
        return [labels]
    return [image_copy(image, run, f"{IMAGE} {side}", f"{side} · {image.name}"), labels]


_SIDES: weakref.WeakKeyDictionary[Desk, SideBySide] = weakref.WeakKeyDictionary()


def side_by_side_for(viewer: Any) -> SideBySide:
    """Return what shows two runs in a viewer (a proxy is fine), making it at first."""
    desk = desk_for(viewer)
    found = _SIDES.get(desk)
    if found is None:
        found = _SIDES[desk] = SideBySide(desk)
    return found
