"""Before and after a training: two models on one image, beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from ..app.session import NO_IMAGE
from ..errors import InputError, UserError
from .side_by_side import SideBySide, side_by_side_for

if TYPE_CHECKING:
    from .desk import Desk


class BeforeAfter:
    """Runs the model before, then the one after, on the chosen image; then shows both.

    What was run with the model before already is taken as it is.

    Signals
    -------
    told : str
        What is going on, "" once it is over.
    failed : UserError

    Parameters
    ----------
    desk : Desk
    """

    told: ClassVar[Signal] = Signal(str)
    failed: ClassVar[Signal] = Signal(object)

    def __init__(self, desk: Desk) -> None:
        self._work = desk.work
        self._desk = desk
        self._models: tuple[str, str] | None = None
        self._run_id = 0
        self._looked = True
        self.sides.changed.connect(self._look)
        session = desk.work.session
        session.model_changed.connect(self._model_read)
        session.status_changed.connect(self._status_changed)

    @property
    def sides(self) -> SideBySide:
        """What shows the two runs."""
        return side_by_side_for(self._desk.viewer)

    @property
    def busy(self) -> bool:
        """Whether the first of the two is waited for."""
        return self._models is not None

    def go(self, before: str, after: str) -> None:
        """Run both and show them.

        Parameters
        ----------
        before, after : str
            "compact" or paths.

        Raises
        ------
        UserError
            If there is no image, or a run is under way.
        """
        session = self._work.session
        if session.image is None:
            raise InputError(NO_IMAGE)
        if session.status.busy or self.busy:
            raise InputError("A run is under way: wait for it, or cancel it.")
        self._looked = False
        run = self._desk.run
        same_image = run is not None and run.image.key == session.image.key
        if run is not None and same_image and run.result.info.source == before:
            self.sides.run_other(after)
            return
        self._models, self._run_id = (before, after), 0
        self.told.emit("Running the model as it was before ...")
        self._work.choose_model(before)

    def _model_read(self, model: Any) -> None:
        if self._models is None or self._run_id or model.reading:
            return
        if model.source != self._models[0]:
            return self._give_up(InputError("Another model was chosen meanwhile."))
        if model.error:
            return self._give_up(InputError(model.error))
        self._run_id, _ = self._work.session.next_run()
        try:
            self._work.run()
        except UserError as error:
            self._give_up(error)
        return None

    def _status_changed(self, status: Any) -> None:
        models = self._models
        if models is None or not self._run_id or status.busy:
            return
        found = [r for r in self._work.session.runs if r.id == self._run_id]
        if not found:
            return self._give_up(InputError(status.error or status.message))
        self._models = None
        self.told.emit("")
        try:
            self._desk.choose_run(self._run_id)
            self.sides.run_other(models[1])
        except UserError as error:
            self.failed.emit(error)
        return None

    def _look(self) -> None:
        """Bring the compared image into view, once both are shown."""
        pair = self.sides.pair
        if pair is not None and not self._looked:
            self._looked = True
            height, width = pair[0].result.labels.shape
            self._desk.fly_to((0, height, 0, width))

    def _give_up(self, error: UserError) -> None:
        self._models = None
        self.told.emit("")
        self.failed.emit(InputError(f"Before and after were not compared: {error}"))
