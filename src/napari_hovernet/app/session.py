"""The one place that holds what a viewer's panel shows: model, image, options, runs, status.

Everything here is plain Python with psygnal events, on the main thread only; values
handed out are frozen. Signals whose values hold arrays carry ``eq=False`` holders,
so nothing compares arrays.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from ..core.io.files import write_json
from ..core.params import InferenceParams
from ..core.types import ModelInfo, Progress
from ..core.weights import DEFAULT
from ..errors import InputError, OutputError, UserError
from .jobs import Change, History, OneThread

if TYPE_CHECKING:
    from .segment import SegmentResult

REGIONS = ("layer", "view", "shapes")
"""Whole layer, what is in view, rectangles drawn in a Shapes layer."""
VIEWS = ("image", "probability", "hv", "magnitude", "blobs", "outcome", "types")
"""What can be looked at: the image, a map over it, or nuclei in colours that say something."""
NO_IMAGE = "Open an image: drop a file on the viewer, or File > Open Sample > HoVer-Net."


@dataclass(frozen=True, eq=False)
class ModelChoice:
    """The chosen model and what is known of it."""

    source: str  # Name of a built-in model, or the path of a checkpoint
    info: ModelInfo | None = None  # None while the file is being read, or when it could not be
    error: str = ""  # Why the file cannot be used, "" otherwise

    @property
    def reading(self) -> bool:
        """Whether the file is still being looked at."""
        return self.info is None and not self.error


@dataclass(frozen=True)
class ImageChoice:
    """The chosen image, as far as the panel needs to know it."""

    key: Hashable  # Tells one image layer from another
    name: str  # Layer name
    description: str = ""
    mpp: float | None = None  # Micrometres per pixel, None = not known
    mpp_source: str = ""  # Where ``mpp`` comes from, in words
    error: str = ""  # Why this image cannot be segmented, "" if it can
    offer: str = ""  # What can be done about it, as a button says it


@dataclass(frozen=True)
class Options:
    """How to run: device, inference parameters, separation preset, region, replacing."""

    device: str = "auto"
    inference: InferenceParams = field(default_factory=InferenceParams)
    separation: str = "local"
    region: str = "layer"
    types: str = ""  # File of names, colours and groups of types; "" = as the model has them
    replace_previous: bool = False

    def __post_init__(self) -> None:
        if self.region not in REGIONS:
            raise InputError(f"region is {self.region!r}; choose one of {', '.join(REGIONS)}.")


@dataclass(frozen=True, eq=False)
class Run:
    """One finished segmentation."""

    id: int  # 1, 2, 3 ... within the session
    title: str  # Prefix of its layers' names, as "compact 1".
    image: ImageChoice  # What was segmented
    result: SegmentResult  # Maps, separation, nuclei and how they were made
    placement: Any = None  # Where its layers lie in the viewer
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """What is going on."""

    state: str = "idle"
    message: str = ""  # One line for the user
    done: int = 0  # Tiles finished and tiles in all, 0 = not known
    total: int = 0
    eta: float | None = None  # Seconds left, None = not known yet
    notices: tuple[str, ...] = ()  # Things to know about this run ("out of memory: tile halved")
    error: str = ""  # Why the last run failed, "" if it did not

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self.state != "idle"


def summary(run: Run) -> str:
    """Return what came out in one line: nuclei, mean magnitude, time and device."""
    result = run.result
    device = str(run.metadata.get("device", ""))
    time = f"{result.seconds:.1f} s" + (f" on {device.upper()}" if device else "")
    if not result.n:
        return f"No nuclei found, {time}. Check the resolution, the model and the image."
    noun = "nucleus" if result.n == 1 else "nuclei"
    return f"{result.n:,} {noun}, mean magnitude {result.magnitude_inside:.2f}, {time}"


def describe_change(change: Change[Run]) -> str:
    """Name the runs a change touched."""
    added = ", ".join(run.title for run in change.added)
    removed = ", ".join(run.title for run in change.removed)
    if added and removed:
        return f"{added} in place of {removed}."
    return f"{added or 'removal of ' + removed}."


APP_NAME = "napari-hovernet"
FILE_NAME = "settings.json"
CONFIG_ENV = "NAPARI_HOVERNET_CONFIG"
"""Environment variable that names another folder for the settings file."""
RECENT_LIMIT = 8
"""Checkpoint files kept in the recent list."""
PRESETS = ("local", "hover_net")
"""Named ways of separating nuclei."""
SETTINGS_VERSION = 1
LAYER_DOCKS = ("auto", "left", "tabs")
"""napari's layer list and controls: tabs beside ours where the window is narrow, never, always."""
OF_AN_IMAGE = {"image_mpp", "model_mpp"}
"""Inference parameters that are not remembered."""


@dataclass(frozen=True)
class Settings:
    """Choices to start the next session with."""

    recent_models: tuple[str, ...] = ()
    model: str = DEFAULT  # Last model: the name of a built-in one, or a path
    device: str = "auto"  # Last device: "auto", "cpu", "cuda:0", "mps".
    separation: str = "local"  # Last separation preset
    inference: InferenceParams = field(default_factory=InferenceParams)  # Last inference parameters
    layer_docks: str = "auto"  # Where napari's docks of layers are while the dock is open


def config_file() -> Path:
    """Return the path of the settings file, in the user's configuration folder."""
    named = os.environ.get(CONFIG_ENV)
    if named:
        return Path(named) / FILE_NAME
    from platformdirs import user_config_path  # noqa: PLC0415 - on first use

    return user_config_path(APP_NAME, appauthor=False) / FILE_NAME


def load(path: Path | None = None) -> Settings:
    """Read the settings; whatever is missing or damaged takes its default."""
    try:
        text = (path or config_file()).read_text(encoding="utf-8")
        raw = json.loads(text)
    except (OSError, ValueError):
        return Settings()
    return _from_dict(raw) if isinstance(raw, dict) else Settings()


def save(settings: Settings, path: Path | None = None) -> None:
    """Write the settings in one step: a reader sees the old file or the new one."""
    target = path or config_file()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Settings cannot be written to {target}: {error}.") from error
    plain: dict[str, Any] = {"version": SETTINGS_VERSION, **asdict(settings)}
    plain["inference"] = {k: v for k, v in plain["inference"].items() if k not in OF_AN_IMAGE}
    write_json(target, plain)


def _from_dict(raw: Mapping[str, Any]) -> Settings:
    """Take every field that is what it should be, and the default for the rest."""
    texts = {k: raw[k] for k in ("model", "device") if isinstance(raw.get(k), str) and raw[k]}
    if raw.get("separation") in PRESETS:
        texts["separation"] = raw["separation"]
    if raw.get("layer_docks") in LAYER_DOCKS:
        texts["layer_docks"] = raw["layer_docks"]
    recent, inference = raw.get("recent_models"), raw.get("inference")
    paths = [p for p in recent if isinstance(p, str)] if isinstance(recent, list) else []
    known = {f.name for f in fields(InferenceParams)} - OF_AN_IMAGE
    values = inference if isinstance(inference, dict) else {}
    settings = Settings(tuple(paths[:RECENT_LIMIT]), **texts)
    with suppress(UserError, TypeError):
        taken = {k: v for k, v in values.items() if k in known}
        return replace(settings, inference=InferenceParams(**taken))
    return settings


class Session(OneThread):
    """State of one viewer's panel; every change is announced by a signal."""

    model_changed: ClassVar[Signal] = Signal(object)
    image_changed: ClassVar[Signal] = Signal(object)
    options_changed: ClassVar[Signal] = Signal(object)
    settings_changed: ClassVar[Signal] = Signal(object)
    runs_changed: ClassVar[Signal] = Signal(tuple)
    status_changed: ClassVar[Signal] = Signal(object)
    view_changed: ClassVar[Signal] = Signal(str)
    colour_changed: ClassVar[Signal] = Signal(object)

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        # To be read by all, and changed by the methods below alone:
        self.settings = settings or Settings()
        self.model = ModelChoice(self.settings.model)
        self.image: ImageChoice | None = None
        known = self.settings
        self.options = Options(known.device, known.inference, known.separation)
        self.status = Status()
        self.view = VIEWS[0]
        self.colour_by: str | None = None  # Column of features that colours the nuclei
        self._history: History[Run] = History()
        self._count = 0
        self._started = 0.0
        self._for_next_session = True  # Whether the chosen model is the next session's, too

    @property
    def runs(self) -> tuple[Run, ...]:
        """Runs whose layers are in the viewer, oldest first."""
        return self._history.items

    @property
    def can_undo(self) -> bool:
        """Whether there is a run, or a removal, to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether something taken back can be brought back."""
        return self._history.can_redo

    def choose_model(self, source: str, *, remember: bool = True) -> None:
        """Choose a model by name or path; :meth:`describe_model` must follow."""
        self._on_main_thread()
        self._for_next_session = remember
        self.model = ModelChoice(source)
        self.model_changed.emit(self.model)
        self._forget_error()

    def describe_model(self, source: str, info: ModelInfo | None, error: str = "") -> None:
        """Tell what is in the chosen model; ignored if another was chosen meanwhile."""
        self._on_main_thread()
        if source != self.model.source:
            return
        self.model = ModelChoice(source, info, error)
        self._remember_model(source, usable=info is not None)
        self.model_changed.emit(self.model)

    def choose_image(self, image: ImageChoice | None) -> None:
        """Choose an image; its mpp becomes the one to run with, unless it was chosen before."""
        self._on_main_thread()
        if image == self.image:
            return
        before, self.image = self.image, image
        self.image_changed.emit(image)
        self._forget_error()
        if before and image and (before.key, before.mpp) == (image.key, image.mpp):
            return  # the same image, another plane or name: an mpp typed in stays
        mpp = image.mpp if image else None
        self.set_options(
            replace(self.options, inference=replace(self.options.inference, image_mpp=mpp))
        )

    def set_options(self, options: Options) -> None:
        """Set how to run."""
        self._on_main_thread()
        if options == self.options:
            return
        self.options = options
        self.options_changed.emit(options)
        inference = replace(options.inference, image_mpp=None, model_mpp=None)
        settings = replace(self.settings, device=options.device, inference=inference)
        self._remember(replace(settings, separation=options.separation))

    def set_layer_docks(self, place: str) -> None:
        """Remember where napari's docks of layers are, one of :data:`LAYER_DOCKS`."""
        self._on_main_thread()
        if place not in LAYER_DOCKS:
            raise InputError(f"place is {place!r}; choose one of {', '.join(LAYER_DOCKS)}.")
        self._remember(replace(self.settings, layer_docks=place))

    def set_view(self, view: str) -> None:
        """Look at one of :data:`VIEWS`; nuclei take the colours that belong to it."""
        self._on_main_thread()
        if view not in VIEWS:
            raise InputError(f"view is {view!r}; choose one of {', '.join(VIEWS)}.")
        self.set_colour_by(None)
        if view != self.view:
            self.view = view
            self.view_changed.emit(view)

    def set_colour_by(self, column: str | None) -> None:
        """Colour nuclei by a column of their features, None = as the view has it."""
        self._on_main_thread()
        if column != self.colour_by:
            self.colour_by = column
            self.colour_changed.emit(column)

    def blocked_reason(self) -> str:
        """Say in words why a run cannot start now; "" when it can."""
        if self.status.busy:
            return "A run is under way."
        if self.model.error:
            return "The chosen model cannot be used: choose another."
        if self.model.reading:
            return "Reading the model file ..."
        if self.image is None:
            return NO_IMAGE
        return self.image.error

    def begin(self, now: float | None = None) -> None:
        """Start a run."""
        reason = self.blocked_reason()
        if reason:
            raise InputError(reason)
        self._started = time.monotonic() if now is None else now
        self._set_status(Status(state="running", message="Starting ..."))

    def progress(self, step: Progress, now: float | None = None) -> None:
        """One step of the run is done."""
        if not self.status.busy:
            return
        elapsed = (time.monotonic() if now is None else now) - self._started
        notices = self.status.notices + ((step.notice,) if step.notice else ())
        message = step.message or self.status.message
        known = step.done > 0 and step.total > 0
        eta = elapsed * (step.total - step.done) / step.done if known else None
        self._set_status(Status(self.status.state, message, step.done, step.total, eta, notices))

    def cancelling(self) -> None:
        """Note that the user asked to stop; the tile under way is finished first."""
        if self.status.state == "running":
            message = "Stopping after this tile ..."
            self._set_status(replace(self.status, state="cancelling", message=message, eta=None))

    def cancelled(self, reason: str = "") -> None:
        """End a run that was stopped; it left nothing."""
        self._set_status(Status(message=reason or "Cancelled; no layers were added."))

    def failed(self, message: str) -> None:
        """End a run with an error."""
        self._set_status(Status(message=message, error=message, notices=self.status.notices))

    def next_run(self) -> tuple[int, str]:
        """Return the id and the title that the next finished run will have."""
        name, number = self.model.source.replace("\\", "/").rsplit("/", 1)[-1], self._count + 1
        return number, f"{name.rsplit('.', 1)[0] or name} {number}"

    def finish(self, run: Run) -> None:
        """Take in a finished run; replaces the previous run only if so chosen."""
        old = self.runs[-1:] if self.options.replace_previous else ()
        self._add(Change(added=(run,), removed=old))
        self.runs_changed.emit(self.runs)
        self._set_status(Status(message=summary(run), notices=self.status.notices))

    def add_run(self, run: Run, message: str) -> None:
        """Take in a run that was made of another; can be undone, replaces nothing."""
        self._add(Change(added=(run,)))
        self._after_history(message)

    def _add(self, change: Change[Run]) -> None:
        self._on_main_thread()
        self._count = max(self._count, *(run.id for run in change.added))
        self._history.do(change)

    def remove_run(self, run_id: int) -> None:
        """Remove one run; can be undone."""
        gone = tuple(run for run in self.runs if run.id == run_id)
        if gone:
            self._history.do(Change(removed=gone))
            self._after_history(f"{gone[0].title} removed.")

    def undo(self) -> None:
        """Take the last run (or removal) back."""
        change = self._history.undo()
        if change is not None:
            self._after_history("Undone: " + describe_change(change))

    def redo(self) -> None:
        """Bring back what :meth:`undo` took."""
        change = self._history.redo()
        if change is not None:
            self._after_history("Redone: " + describe_change(change))

    def _after_history(self, message: str) -> None:
        self._on_main_thread()
        self.runs_changed.emit(self.runs)
        if not self.status.busy:
            self._set_status(Status(message=message))

    def _forget_error(self) -> None:
        """Forget what went wrong with another image or model: it says nothing of this one."""
        if self.status.error:
            self._set_status(Status())

    def _set_status(self, status: Status) -> None:
        self._on_main_thread()
        self.status = status
        self.status_changed.emit(status)

    def _remember_model(self, source: str, *, usable: bool) -> None:
        settings, usual = self.settings, Settings().model
        others = tuple(p for p in settings.recent_models if p != source)
        if source != usual:  # a file: the first of the list, or off it where it is gone
            recent = (source, *others)[:RECENT_LIMIT] if usable else others
            settings = replace(settings, recent_models=recent)
        if usable and self._for_next_session:
            settings = replace(settings, model=source)
        elif not usable and source != usual:
            settings = replace(settings, model=usual)
        self._remember(settings)

    def _remember(self, settings: Settings) -> None:
        if settings != self.settings:
            self.settings = settings
            self.settings_changed.emit(settings)
