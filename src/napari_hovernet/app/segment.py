"""The main use case: image in, maps, separated and measured nuclei out, and their files."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..core.inference.images import CropSource, as_source
from ..core.inference.tiles import scaled_separation, working_scale
from ..core.io import FORMATS, USUAL
from ..core.io.files import read_type_scheme, staged, types_to_json
from ..core.measure.nuclei import measure
from ..core.params import InferenceParams, SeparationParams
from ..core.separation import separate
from ..core.types import Int32, Maps, Model, ModelInfo, Nuclei, Progress, Separation
from ..errors import InputError, JobFailed, UserError
from .jobs import describe_failure, relayed

if TYPE_CHECKING:
    from ..core.inference.devices import DeviceInfo


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of an image in pixels: rows ``row0`` to ``row1``, half-open, and columns."""

    row0: int
    col0: int
    row1: int
    col1: int

    def __post_init__(self) -> None:
        for name in ("row0", "col0", "row1", "col1"):
            object.__setattr__(self, name, int(getattr(self, name)))
        if min(self.row0, self.col0) < 0 or self.row1 <= self.row0 or self.col1 <= self.col0:
            raise InputError(
                f"The region {self} is empty or starts outside of the image; give row0 < row1 "
                "and col0 < col1, all 0 or more."
            )

    def __str__(self) -> str:
        return f"rows {self.row0} to {self.row1}, columns {self.col0} to {self.col1}"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (self.row1 - self.row0, self.col1 - self.col0)

    def within(self, shape: tuple[int, int]) -> Region:
        """Cut the region to an image of ``shape`` (height, width)."""
        if self.row0 >= shape[0] or self.col0 >= shape[1]:
            raise InputError(
                f"The region {self} lies outside of the image of {shape[0]} rows and "
                f"{shape[1]} columns; choose a region inside."
            )
        row1, col1 = min(self.row1, shape[0]), min(self.col1, shape[1])
        return Region(row0=self.row0, col0=self.col0, row1=row1, col1=col1)


@dataclass(frozen=True)
class SegmentParams:
    """All choices of one run; ``region`` None is the whole image."""

    inference: InferenceParams = field(default_factory=InferenceParams)
    separation: SeparationParams = field(default_factory=SeparationParams)
    region: Region | None = None


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """What a run made, and how."""

    labels: Int32  # int32 (H, W): Instances, 0 = background, 1..n
    nuclei: Nuclei  # One row per instance
    info: ModelInfo  # The model that ran
    params: SegmentParams  # The choices it ran with
    offset: tuple[int, int]  # Row and column of the region's first pixel in the image
    mpp: float | None  # Micrometres per pixel of the image, None = not known
    seconds: float  # Wall-clock time
    maps: Maps | None = None  # The network's maps
    separation: Separation | None = None  # All stages
    notices: tuple[str, ...] = ()  # What the run had to say ("out of memory: tile halved")
    used: SeparationParams | None = None

    @property
    def cut_with(self) -> SeparationParams:
        """What the instances were cut with, lengths in pixels of this image."""
        return self.used or self.params.separation

    @property
    def n(self) -> int:
        """Number of nuclei."""
        return len(self.nuclei)

    @property
    def magnitude_inside(self) -> float:
        """Mean HV magnitude over all pixels of all nuclei; NaN when there are none."""
        area = self.nuclei.area
        if not area.sum():
            return float("nan")
        return float((self.nuclei.magnitude_mean * area).sum() / area.sum())


def segment_steps(
    model: Model, image: Any, params: SegmentParams | None = None, *, keep_maps: bool = True
) -> Generator[Progress, None, SegmentResult]:
    """Predict, separate and measure, step by step."""
    steps = _steps(model, image, params or SegmentParams(), keep_maps)
    del image  # the generator alone holds it, and lets go of it
    try:
        return (yield from steps)
    except UserError:
        raise
    except Exception as error:
        raise JobFailed(describe_failure(error)) from error


def _steps(
    model: Model, image: Any, params: SegmentParams, keep_maps: bool
) -> Generator[Progress, None, SegmentResult]:
    started = time.perf_counter()
    source = as_source(image)
    whole = Region(row0=0, col0=0, row1=source.shape[0], col1=source.shape[1])
    region = (params.region or whole).within(source.shape)
    part = CropSource(source, region.row0, region.row1, region.col0, region.col1)
    notices = list(source.notes)

    def noted(step: Progress) -> Progress:
        notices.extend([step.notice] if step.notice and step.notice not in notices else ())
        return step

    from ..core.inference.maps import predict_steps  # noqa: PLC0415 - loads torch

    inference = params.inference.for_maps() if keep_maps else params.inference
    maps = yield from relayed(predict_steps(model, part, inference), noted)
    del image, source, part  # 300 MB of a large image are free for the separation
    yield Progress(0, 0, "Separating nuclei ...")
    scale = working_scale(model.info, params.inference)
    used = scaled_separation(params.separation, scale)
    separation = separate(maps, used)
    labels, stages = separation.labels, separation if keep_maps else None
    del separation
    yield Progress(0, 0, "Measuring nuclei ...")
    nuclei = measure(labels, maps, type_names=model.info.types)
    cut = region if params.region else None
    return SegmentResult(
        labels=labels,
        nuclei=nuclei,
        info=model.info,
        params=SegmentParams(params.inference, params.separation, cut),
        offset=(region.row0, region.col0),
        mpp=params.inference.image_mpp,
        seconds=time.perf_counter() - started,
        maps=maps if keep_maps else None,
        separation=stages,
        notices=tuple(notices),
        used=used,
    )


def run_metadata(result: SegmentResult) -> dict[str, Any]:
    """Return how a result was made, as plain values for layers and files (JSON-able)."""
    params = result.params
    return {
        "program": "napari-hovernet",
        "version": __version__,
        "model": model_metadata(result.info),
        "inference": asdict(params.inference),
        "separation": {**asdict(params.separation), "scales": list(params.separation.scales)},
        "region": None if params.region is None else asdict(params.region),
        "offset": list(result.offset),
        "shape": list(result.labels.shape),
        "mpp": result.mpp,
        "nuclei": result.n,
        "seconds": round(result.seconds, 3),
        "notices": list(result.notices),
    }


def model_metadata(info: ModelInfo) -> dict[str, Any]:
    """Return which model it was, as plain values."""
    names = ("architecture", "mode", "source", "sha256", "licence", "mpp")
    return {**{n: getattr(info, n) for n in names}, "types": types_to_json(info.types)}


# --- files of a result -----------------------------------------------------------------


def output_paths(stem: str | os.PathLike[str], formats: Iterable[str]) -> dict[str, Path]:
    """Name the file of each format: ``stem`` with the format's ending added."""
    base = Path(stem)
    return {name: base.with_name(base.name + FORMATS[name].ending) for name in formats}


def about(result: SegmentResult, image_name: str) -> dict[str, Any]:
    """Return what a file says of the run it came from."""
    return {
        "image": image_name,
        "id": f"{image_name}/{result.info.sha256}",
        **run_metadata(result),
    }


def write_result(
    result: SegmentResult,
    stem: str | os.PathLike[str],
    formats: Sequence[str] = USUAL,
    *,
    image_name: str = "",
) -> dict[str, Path]:
    """Write a result in several formats, all files or none; folders are made."""
    targets = output_paths(stem, formats)
    told = about(result, image_name)
    with staged(Path(stem).parent, [target.name for target in targets.values()]) as staging:
        for name, target in targets.items():
            FORMATS[name].write(staging / target.name, result, told)
    return targets


# --- what the viewer asks for ----------------------------------------------------------


def with_types(model: Model, path: str | os.PathLike[str] | None) -> Model:
    """Return a model with the names, colours and groups of types of a file; None = as it is."""
    if not path:
        return model
    from ..core.inference.regrouped import with_types as regrouped  # noqa: PLC0415 - on first use

    return regrouped(model, read_type_scheme(path))


@dataclass(frozen=True, eq=False)
class RunRequest:
    """What to run."""

    model: str  # Name of a built-in model, or a path
    device: str  # "auto", "cpu", "cuda:0" ...
    image: Any  # One plane, (H, W) or (H, W, 3 or 4), numpy, dask, zarr or the like
    inference: InferenceParams
    separation: SeparationParams
    box: tuple[int, int, int, int] | None = None
    types: str = ""  # File of names, colours and groups of types; "" = as the model has them


class ModelShelf:
    """Keeps the last model loaded, for one job at a time, so that a second run starts at once."""

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
    """Load the model and segment, step by step."""
    yield Progress(0, 0, "Loading the model ...")
    model = with_types(shelf.get(request.model, request.device), request.types)
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
    from ..core.inference.devices import list_devices  # noqa: PLC0415 - on first use

    return list_devices()


def mpp_steps(path: str) -> Generator[Progress, None, float | None]:
    """Read the mpp that an image file states; None too for one that only napari can read."""
    yield Progress(0, 0, "Reading the resolution ...")
    from ..core.io.open import read_image  # noqa: PLC0415 - on first use

    try:
        return read_image(path).mpp
    except UserError:
        return None


def _stamp(source: str) -> tuple[int, int] | None:
    try:
        status = os.stat(source)
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size)
