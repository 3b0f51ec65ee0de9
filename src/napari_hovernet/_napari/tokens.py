"""What the panel "Token decoder" can do, without the panel: files, a run, its layers, undo."""

from __future__ import annotations

import logging
import time
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from napari.layers import Layer
from psygnal import Signal

from ..app.jobs import Change, History
from ..app.session import Run, Status, time_left
from ..core.tokens.decode import AS_FILE
from ..core.types import Progress
from ..errors import InputError, UserError
from .images import choice, placement
from .preferences import Preferences, preferences
from .runner import Handlers, QtJob
from .session_for import session_for
from .token_layers import features_of, samples_of, stack_layers
from .workspace import Workspace

if TYPE_CHECKING:
    from ..app.jobs import Steps
    from ..app.tokens import TokenStacks

DEFAULT_SAMPLES = 20
NO_CHECKPOINT = "Choose a checkpoint of the token decoder (.pth or .safetensors)."
NO_FEATURES = "Choose the features of a frozen ViT (FAMILY_features.npz)."

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenOptions:
    """What the user chose.

    Parameters
    ----------
    checkpoint, features : str
        Files, "" = none yet.
    prefix : str
        Name of the token prefix.
    n_samples : int
    split : str
        "" = validation where it is known, else all; or "train", "val", "all".
    """

    checkpoint: str = ""
    features: str = ""
    prefix: str = AS_FILE
    n_samples: int = DEFAULT_SAMPLES
    split: str = ""

    @property
    def blocked(self) -> str:
        """Why it cannot run, "" if it can."""
        if not self.checkpoint:
            return NO_CHECKPOINT
        return "" if self.features else NO_FEATURES


@dataclass(frozen=True, eq=False)
class TokenRun:
    """A finished run and its layers, lowest first."""

    title: str
    stacks: TokenStacks
    layers: tuple[Layer, ...]


def steps_of(options: TokenOptions, title: str, wanted: Preferences) -> Steps[TokenRun]:
    """Run and make the layers, all in the worker thread; nothing here touches a viewer."""
    from ..app.tokens import (  # noqa: PLC0415
        TokenChoice,
        TokenRequest,
        token_run_steps,
    )
    from ..core.tokens.decode import TokenParams  # noqa: PLC0415

    request = TokenRequest(
        options.checkpoint,
        options.features,
        TokenParams(options.prefix),
        TokenChoice(options.n_samples, options.split or None),
    )
    stacks = yield from token_run_steps(request)
    yield Progress(0, 0, "Making layers ...")
    return TokenRun(title, stacks, stack_layers(stacks, title, wanted))


def study_steps(stacks: TokenStacks, place: int) -> Steps[Any]:
    """Make an ordinary result of a sample, in the worker thread."""
    from ..app.tokens import sample_steps  # noqa: PLC0415 - imports torch

    return sample_steps(stacks, place)


class Tokens:
    """Runs the token decoder for one viewer; every user action is one method.

    Parameters
    ----------
    work : Workspace
        Of the viewer; only a weak reference is kept.
    """

    changed: ClassVar[Signal] = Signal()
    """Anything a panel shows: options, status, runs."""

    def __init__(self, work: Workspace) -> None:
        self._work_ref = weakref.ref(work)
        self.options = TokenOptions()
        self.status = Status()
        self._history: History[TokenRun] = History()
        self._count = 0
        self._job: QtJob | None = None
        self._started = 0.0
        work.viewer.layers.events.inserted.connect(self._layer_came)
        for layer in work.viewer.layers:
            self._take_file_of(layer)

    @property
    def work(self) -> Workspace:
        """The workspace; TypeError once it is gone."""
        work = self._work_ref()
        if work is None:
            raise TypeError("The workspace of this token decoder is gone.")
        return work

    # ------------------------------------------------------------------ choices

    def choose(self, **changes: Any) -> None:
        """Change options; see :class:`TokenOptions`."""
        self.options = replace(self.options, **changes)
        self.changed.emit()

    def drop(self, path: str) -> bool:
        """Take a dropped file for features or a checkpoint; tells whether it is one."""
        suffix = Path(path).suffix.lower()
        if suffix == ".npz":
            self.choose(features=path)
        elif suffix in (".pth", ".pt", ".tar", ".safetensors"):
            self.choose(checkpoint=path)
        else:
            return False
        return True

    # ------------------------------------------------------------------ running

    @property
    def runs(self) -> tuple[TokenRun, ...]:
        """Runs whose layers are there."""
        return self._history.items

    @property
    def latest(self) -> TokenRun | None:
        """The last run whose layers are there."""
        return self.runs[-1] if self.runs else None

    @property
    def blocked(self) -> str:
        """Why it cannot run, "" if it can."""
        return self.options.blocked or ("It is running." if self.status.busy else "")

    def run(self) -> None:
        """Start a run in the background; does nothing while it cannot run."""
        if self.blocked:
            return
        self._count += 1
        options, wanted = self.options, preferences()
        title = f"{Path(options.features).stem.removesuffix('_features')} tokens {self._count}"
        self._started = time.monotonic()
        self._show(Status("running", "Starting ..."))
        handlers = Handlers(self._done, self._failed, self._progress, self._cancelled)
        self._job = self.work.runner.start(
            "Token decoder", lambda: steps_of(options, title, wanted), handlers
        )

    def cancel(self) -> None:
        """Stop after the batch under way; nothing is added."""
        if self._job is not None:
            self._job.cancel()
            self._show(replace(self.status, state="cancelling", message="Cancelling ..."))

    def study(self) -> None:
        """Make an ordinary run of the sample in view, for Inspect HV, Tune, Compare ..."""
        run = self.latest
        if run is None or self.status.busy:
            return
        image, step = run.layers[0], self.work.viewer.dims.current_step
        if image not in self.work.viewer.layers:
            self._failed(InputError("The images of this run were removed; redo it first."))
            return
        at, about = placement(image, step), choice(image, step)
        place = at.plane[0]

        def done(result: Any) -> None:
            number, _ = self.work.session.next_run()
            name = run.stacks.pictures.names[place]
            from ..app.segment import run_metadata  # noqa: PLC0415 - imports torch

            made = Run(number, f"{name} {number}", about, result, at, run_metadata(result))
            self.work.session.add_run(made, f"{name} can be inspected, tuned and compared.")
            self._show(Status(message=f"{made.title}: see Inspect HV, Tune, Compare."))

        self.work.runner.start(
            "Measuring a sample",
            lambda: study_steps(run.stacks, place),
            Handlers(done, self._failed),
        )

    def undo(self) -> None:
        """Take the layers of the last run away, all at once."""
        change = self._history.undo()
        self._apply(() if change is None else change.removed)

    def redo(self) -> None:
        """Bring back what :meth:`undo` took."""
        change = self._history.redo()
        self._apply(() if change is None else change.added)

    @property
    def can_undo(self) -> bool:
        """Whether there is a run to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether a run taken back can be brought back."""
        return self._history.can_redo

    # ------------------------------------------------------------------ answers

    def _progress(self, step: Progress) -> None:
        left = time_left(step.done, step.total, time.monotonic() - self._started)
        notices = (*self.status.notices, *([step.notice] if step.notice else []))
        self._show(Status("running", step.message, step.done, step.total, left, notices))

    def _done(self, run: TokenRun) -> None:
        self._job = None
        notices = self.status.notices
        self._history.do(Change(added=(run,)))
        self._apply((run,))
        first = run.layers[0]
        self._hide_other_samples(run)
        self.work.viewer.layers.selection.active = first
        self.work.viewer.dims.set_current_step(0, 0)
        self._show(Status(message=f"{run.title}: {len(first.data)} samples.", notices=notices))

    def _failed(self, error: UserError) -> None:
        self._job = None
        self._show(Status(message=str(error), error=str(error)))

    def _cancelled(self) -> None:
        self._job = None
        self._show(Status(message="Cancelled; nothing was added."))

    def _show(self, status: Status) -> None:
        self.status = status
        self.changed.emit()

    # ------------------------------------------------------------------ layers

    def _apply(self, added: tuple[TokenRun, ...]) -> None:
        """Take away layers of runs that are gone, put in those of runs that came."""
        layers = self.work.viewer.layers
        there = {id(layer) for run in self.runs for layer in run.layers}
        for run in self._history.reachable():
            for layer in run.layers:
                if layer in layers and id(layer) not in there:
                    layers.remove(layer)
        for run in added:
            layers.extend(layer for layer in run.layers if layer not in layers)
        self.changed.emit()

    def _hide_other_samples(self, run: TokenRun) -> None:
        """Hide stacks of this file whose planes are other samples: they would lie beneath."""
        ours = samples_of(run.layers[0])
        for layer in self.work.viewer.layers:
            known = samples_of(layer)
            if known and known != ours:
                layer.visible = False

    def _layer_came(self, event: Any) -> None:
        self._take_file_of(event.value)

    def _take_file_of(self, layer: Layer) -> None:
        """Take the features of a layer that was opened, unless a file was chosen."""
        path = features_of(layer)
        if path and not self.options.features:
            self.choose(features=path)


_TOKENS: weakref.WeakKeyDictionary[Workspace, Tokens] = weakref.WeakKeyDictionary()


def tokens_for(viewer: Any) -> Tokens:
    """Return what runs token decoders for a viewer (a proxy is fine), making it at first."""
    work = session_for(viewer)
    found = _TOKENS.get(work)
    if found is None:
        found = _TOKENS[work] = Tokens(work)
    return found
