"""Before a training: what it starts from, what it learns from, and what is odd about that."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from ..app.session import ModelChoice
from ..app.training import Checked, check_steps
from ..core.params import SCRATCH
from ..errors import UserError
from . import workspace
from .latest import Latest
from .layer_pairs import data_of, find_pairs, save_all_steps
from .runner import Handlers

if TYPE_CHECKING:
    from ..core.params import TrainConfig
    from .desk import Desk
    from .layer_pairs import LayerPair

UNTRAINED = "An untrained network: its weights are random, and there is nothing to read."


class Preparing:
    """Reads the starting model, checks data, saves open layers as data.

    Signals
    -------
    model_changed : ModelChoice
        The starting point as far as it is known.
    checked : Checked or None
        What the data check found; None while it is under way, or outdated.
    staged : str
        Folder of pairs made of open layers, to be added to the data.
    told : str
        One line of what was done.
    failed : UserError

    Parameters
    ----------
    desk : Desk
        Only a weak reference is kept.
    """

    model_changed: ClassVar[Signal] = Signal(object)
    checked: ClassVar[Signal] = Signal(object)
    staged: ClassVar[Signal] = Signal(str)
    told: ClassVar[Signal] = Signal(str)
    failed: ClassVar[Signal] = Signal(object)

    def __init__(self, desk: Desk) -> None:
        self._desk_ref = weakref.ref(desk)
        self.check: Checked | None = None
        self.model = ModelChoice("")
        self.folder: Path | None = None
        self._checking = Latest(desk.runner, "Checking training data")
        self._reading = Latest(desk.runner, "Reading the model")

    @property
    def desk(self) -> Desk:
        """The desk; TypeError once it is gone."""
        desk = self._desk_ref()
        if desk is None:
            raise TypeError("The desk of these preparations is gone.")
        return desk

    # ------------------------------------------------------------------ the model

    def read_model(self, source: str) -> None:
        """Look at what is to be started from, in the background."""
        if source.startswith(SCRATCH):
            self._reading.cancel()
            self._take_model(ModelChoice(source, error=UNTRAINED))
            return

        def done(info: Any) -> None:
            self._take_model(ModelChoice(source, info))

        def failed(error: UserError) -> None:
            self._take_model(ModelChoice(source, None, str(error)))

        self._take_model(ModelChoice(source))
        describe = workspace.describe_steps
        self._reading.request(lambda: describe(source), Handlers(done, failed))

    def _take_model(self, model: ModelChoice) -> None:
        self.model = model
        self.model_changed.emit(model)

    # ------------------------------------------------------------------ the data

    @property
    def checking(self) -> bool:
        """Whether a data check is under way."""
        return self._checking.busy

    def known(self, config: TrainConfig) -> Checked | None:
        """Return what a check found in these very data, None if they were not looked at."""
        check = self.check
        same = check is not None and (check.data, check.start) == (config.data, config.start)
        return check if same else None

    def check_data(
        self, config: TrainConfig, then: Callable[[Checked], None] | None = None
    ) -> None:
        """Read the data and look at them, in the background; ``then`` hears of it too."""

        def take(check: Checked) -> None:
            self.check = check
            self.checked.emit(check)
            if then is not None:
                then(check)

        def failed(error: UserError) -> None:
            problems = (str(error),)
            take(Checked(config.data, config.start, problems=problems, refused=True))

        def cancelled() -> None:
            self.checked.emit(self.check)

        handlers = Handlers(take, failed, None, cancelled)
        self._checking.request(lambda: check_steps(config), handlers)
        self.check = None
        self.checked.emit(None)

    def outdate(self, config: TrainConfig) -> None:
        """Forget the check of other data."""
        if self.check is not None and self.known(config) is None:
            self.check = None
            self.checked.emit(None)

    # ------------------------------------------------------------------ open layers

    def layer_pairs(self) -> list[LayerPair]:
        """List the open layers that can be trained on."""
        return find_pairs(self.desk)

    def stage(self, pairs: list[LayerPair], split: str) -> None:
        """Save pairs of layers as training data, in the background.

        Raises
        ------
        UserError
            If one has no nuclei; what goes wrong later comes by ``failed``.
        """
        folder = self._staging()
        data = [data_of(pair, self.desk) for pair in pairs]

        def done(words: str) -> None:
            self.check = None
            self.checked.emit(None)
            self.staged.emit(str(folder))
            self.told.emit(words)

        self.desk.runner.start(
            "Saving training data",
            lambda: save_all_steps(folder, data, split),
            Handlers(done, self.failed.emit),
        )

    def _staging(self) -> Path:
        """Return the folder for pairs made of open layers; it goes with the viewer."""
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="napari-hovernet-layers-"))
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        return self.folder
