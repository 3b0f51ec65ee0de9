"""One run as the viewer asks for it: load the model if need be, then segment.

Everything here may run in a worker thread; torch is imported inside, on first use.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.params import InferenceParams, SeparationParams
from ..core.types import Progress
from ..errors import UserError

if TYPE_CHECKING:
    from ..core.devices import DeviceInfo
    from ..core.model import Model, ModelInfo
    from .segment import SegmentResult


@dataclass(frozen=True, eq=False)
class RunRequest:
    """What to run.

    Parameters
    ----------
    model, device : str
        "compact" or a path; "auto", "cpu", "cuda:0", "mps".
    image : array-like
        One plane, (H, W) or (H, W, 3 or 4), numpy, dask, zarr or the like.
    inference : InferenceParams
    separation : SeparationParams
    box : tuple of int, optional
        Part of the plane as rows r0..r1 and columns c0..c1, half open: (r0, r1, c0, c1);
        None = all of it.
    """

    model: str
    device: str
    image: Any
    inference: InferenceParams
    separation: SeparationParams
    box: tuple[int, int, int, int] | None = None


class ModelShelf:
    """Keeps the last model loaded, so that a second run starts at once.

    Only one job at a time may use it.
    """

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._model: Model | None = None

    def get(self, source: str, device: str) -> Model:
        """Return the model, loading it when it, its file or the device has changed."""
        key = (source, device, _stamp(source))
        if self._model is None or key != self._key:
            from ..core.checkpoint import load_model  # noqa: PLC0415 - on first use

            self._model = None  # free the old one first
            self._model = load_model(source, device)
            self._key = key
        return self._model

    @property
    def device(self) -> str:
        """Device of the model at hand, as "cpu" or "cuda:0"; "" if there is none."""
        return "" if self._model is None else str(self._model.device)

    def clear(self) -> None:
        """Let go of the model and its device memory."""
        self._model = self._key = None


def run_steps(request: RunRequest, shelf: ModelShelf) -> Generator[Progress, None, SegmentResult]:
    """Load the model and segment, step by step.

    Yields
    ------
    Progress
        One before the model is loaded, then one per tile.

    Returns
    -------
    SegmentResult

    Raises
    ------
    UserError
        If the model, the image, a parameter or the device cannot be used.
    """
    yield Progress(0, 0, "Loading the model ...")
    from .segment import Region, SegmentParams, segment_steps  # noqa: PLC0415 - on first use

    model = shelf.get(request.model, request.device)
    region = None
    if request.box is not None:
        r0, r1, c0, c1 = request.box
        region = Region(row0=r0, row1=r1, col0=c0, col1=c1)
    params = SegmentParams(request.inference, request.separation, region)
    return (yield from segment_steps(model, request.image, params))


def describe_steps(source: str) -> Generator[Progress, None, ModelInfo]:
    """Read what a model file is, without building the network."""
    yield Progress(0, 0, "Reading the model file ...")
    from ..core.checkpoint import describe  # noqa: PLC0415 - on first use

    return describe(source)


def device_steps() -> Generator[Progress, None, tuple[DeviceInfo, ...]]:
    """Look for devices."""
    yield Progress(0, 0, "Looking for devices ...")
    from ..core.devices import list_devices  # noqa: PLC0415 - on first use

    return list_devices()


def mpp_steps(path: str) -> Generator[Progress, None, float | None]:
    """Read micrometres per pixel from an image file's metadata; None where it says nothing.

    A file that only napari can read is no error: the mpp is just not known.
    """
    yield Progress(0, 0, "Reading the resolution ...")
    from ..core.io.images import read_image  # noqa: PLC0415 - on first use

    try:
        return read_image(path).mpp
    except UserError:
        return None


def _stamp(source: str) -> tuple[int, int] | None:
    try:
        status = os.stat(Path(source))
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size)
