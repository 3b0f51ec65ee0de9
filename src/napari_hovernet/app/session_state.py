"""What a session holds: frozen values, and how they read in words."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.model import ModelInfo
from ..core.params import InferenceParams
from ..errors import InputError
from .history import Change

if TYPE_CHECKING:
    from .segment import SegmentResult

REGIONS = ("layer", "view", "shapes")
"""Whole layer, what is in view, rectangles drawn in a Shapes layer."""
NO_IMAGE = "Open an image first: File > Open Sample > HoVer-Net, or drop a file on the viewer."


@dataclass(frozen=True, eq=False)
class ModelChoice:
    """The chosen model and what is known of it.

    Parameters
    ----------
    source : str
        "compact" or the path of a checkpoint.
    info : ModelInfo, optional
        None while the file is being read, or when it could not be.
    error : str
        Why the file cannot be used, "" otherwise.
    """

    source: str
    info: ModelInfo | None = None
    error: str = ""

    @property
    def reading(self) -> bool:
        """Whether the file is still being looked at."""
        return self.info is None and not self.error


@dataclass(frozen=True)
class ImageChoice:
    """The chosen image, as far as the panel needs to know it.

    Parameters
    ----------
    key : hashable
        Tells one image layer from another.
    name, description : str
        Layer name; size and kind in words.
    mpp : float, optional
        Micrometres per pixel, None = not known.
    mpp_source : str
        Where ``mpp`` comes from, in words.
    error : str
        Why this image cannot be segmented, "" if it can.
    """

    key: Hashable
    name: str
    description: str = ""
    mpp: float | None = None
    mpp_source: str = ""
    error: str = ""


@dataclass(frozen=True)
class Options:
    """How to run: device, inference parameters, separation preset, region, replacing."""

    device: str = "auto"
    inference: InferenceParams = field(default_factory=InferenceParams)
    separation: str = "local"
    region: str = "layer"
    replace_previous: bool = False

    def __post_init__(self) -> None:
        if self.region not in REGIONS:
            raise InputError(f"region is {self.region!r}; choose one of {', '.join(REGIONS)}.")


@dataclass(frozen=True, eq=False)
class Run:
    """One finished segmentation.

    Parameters
    ----------
    id : int
        1, 2, 3 ... within the session.
    title : str
        Prefix of its layers' names, as "compact 1".
    image : ImageChoice
        What was segmented.
    result : SegmentResult
        Maps, separation, nuclei and how they were made.
    placement : object
        Where its layers lie in the viewer; only the viewer's side reads it.
    metadata : mapping
        The run's parameters, JSON-able, copied into every layer.
    """

    id: int
    title: str
    image: ImageChoice
    result: SegmentResult
    placement: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """What is going on.

    Parameters
    ----------
    state : {"idle", "running", "cancelling"}
    message : str
        One line for the user.
    done, total : int
        Tiles finished and tiles in all, 0 = not known.
    eta : float, optional
        Seconds left, None = not known yet.
    notices : tuple of str
        Things to know about this run ("out of memory: tile halved").
    error : str
        Why the last run failed, "" if it did not.
    """

    state: str = "idle"
    message: str = ""
    done: int = 0
    total: int = 0
    eta: float | None = None
    notices: tuple[str, ...] = ()
    error: str = ""

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self.state != "idle"


def time_left(done: int, total: int, elapsed: float) -> float | None:
    """Return the seconds left at the present pace, None before the first step.

    Examples
    --------
    >>> time_left(1, 4, 2.0)
    6.0
    """
    if done <= 0 or total <= 0:
        return None
    return elapsed * (total - done) / done


def short_name(model: ModelChoice) -> str:
    """Return a name for layers: "compact", or the file's name without its ending."""
    name = model.source.replace("\\", "/").rsplit("/", 1)[-1]
    return name.rsplit(".", 1)[0] or name


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
