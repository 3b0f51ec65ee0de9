"""Image and Labels layers of a viewer that go together, as training data."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from ..core.types import Progress
from ..errors import InputError
from .correcting import correcting_for, snapshot
from .images import METADATA_KEY, full_data, layer_mpp, plane_data, segmentable

if TYPE_CHECKING:
    from ..app.corrections import SavedPair
    from ..app.session import Run
    from .desk import Desk


@dataclass(frozen=True, eq=False)
class LayerPair:
    """An image and labels of the same place.

    Parameters
    ----------
    title : str
        "slide  +  nuclei (corrected)".
    image : Image
    labels : Labels
    run : Run, optional
        The run whose nuclei the labels are.
    corrected : bool
        Whether a person has corrected them.
    """

    title: str
    image: Image
    labels: Labels
    run: Run | None = None
    corrected: bool = False


def find_pairs(desk: Desk) -> list[LayerPair]:
    """List the pairs of layers that can be trained on, corrected runs first."""
    found = [*_of_runs(desk), *_of_layers(desk)]
    return sorted(found, key=lambda pair: not pair.corrected)


def _of_runs(desk: Desk) -> list[LayerPair]:
    images = {id(layer): layer for layer in desk.work.image_layers()}
    found = []
    for run in reversed(desk.work.session.runs):
        layer, image = desk.layers.find(run.id, "instances"), images.get(run.image.key)
        if image is None or not isinstance(layer, Labels) or layer.multiscale:
            continue
        corrected = not np.array_equal(_plane(layer.data), run.result.labels)
        words = "with brush corrections" if corrected else "as it was found"
        found.append(
            LayerPair(f"{image.name}  +  {run.title}, {words}", image, layer, run, corrected)
        )
    return found


def _of_layers(desk: Desk) -> list[LayerPair]:
    """Pair Labels that are no run's with every image of their size."""
    step, found = desk.viewer.dims.current_step, []
    for labels in reversed(desk.viewer.layers):
        if not isinstance(labels, Labels) or METADATA_KEY in labels.metadata:
            continue
        shape = np.shape(full_data(labels))[-2:]
        for image in desk.work.image_layers():
            if segmentable(image) and np.shape(plane_data(image, step))[:2] == shape:
                found.append(LayerPair(f"{image.name}  +  {labels.name}", image, labels))
    return found


@dataclass(frozen=True, eq=False)
class PairData:
    """What of a pair goes to the disk; the labels are a copy, so the user may paint on."""

    pixels: Any
    labels: Any
    source: str
    name: str = ""
    offset: tuple[int, int] = (0, 0)
    mpp: float | None = None
    corrected: bool = False


def save_all_steps(
    folder: Path, pairs: list[PairData], split: str
) -> Generator[Progress, None, str]:
    """Save pairs below a folder, in a worker thread; a pair of the same name is replaced.

    Returns
    -------
    str
        What was saved, in words.

    Raises
    ------
    UserError
        If sizes differ, there are no labels, or it cannot be written.
    """
    from ..app.corrections import clean_name  # noqa: PLC0415 - on first use

    lines = []
    for pair in pairs:
        name = clean_name("_".join(x for x in (pair.source, pair.name) if x))
        saved = yield from _save_steps(folder, name, pair, split)
        lines += [f"{saved.name}: {saved.n_nuclei:,} nuclei.", *saved.notes]
    return "\n".join(lines)


def _save_steps(
    folder: Path, name: str, pair: PairData, split: str
) -> Generator[Progress, None, SavedPair]:
    from ..app.corrections import PairAbout, PairOptions, pair_steps  # noqa: PLC0415 - on first use
    from ..core.inference.images import CropSource, as_source  # noqa: PLC0415 - on first use

    yield Progress(0, 0, f"Saving {name} ...")
    source: Any = as_source(pair.pixels)
    row, col = pair.offset
    height, width = pair.labels.shape
    if (row, col, height, width) != (0, 0, *source.shape):
        source = CropSource(source, row, row + height, col, col + width)
    about = PairAbout(source=pair.source, split=split, mpp=pair.mpp, corrected=pair.corrected)
    saved = yield from pair_steps(
        folder, name, source, pair.labels, about, PairOptions(overwrite=True)
    )
    return saved


def data_of(pair: LayerPair, desk: Desk) -> PairData:
    """Take a pair as it is now; main thread.

    Raises
    ------
    InputError
        If the labels are no label image, or empty.
    """
    if pair.run is not None and pair.run is desk.run:
        correcting_for(desk.viewer).take()
    labels = snapshot(_plane(full_data(pair.labels), desk.viewer.dims.current_step))
    if not labels.any():
        raise InputError(f"{pair.labels.name} is empty: draw nuclei first.")
    if pair.run is None:
        mpp, _ = layer_mpp(pair.image)
        pixels = plane_data(pair.image, desk.viewer.dims.current_step)
        return PairData(pixels, labels, pair.image.name, pair.labels.name, mpp=mpp)
    run = pair.run
    pixels = full_data(pair.image)[tuple(run.placement.plane)]
    place = (run.result.offset, run.result.mpp)
    return PairData(pixels, labels, pair.image.name, run.title, *place, pair.corrected)


def _plane(data: Any, step: tuple[int, ...] = ()) -> Any:
    """Return the last two axes of labels: the plane in view of those that have more."""
    extra = np.ndim(data) - 2
    if extra <= 0:
        return np.asarray(data)
    shape = np.shape(data)[:extra]
    at = tuple(step)[-np.ndim(data) :][:extra] or (0,) * extra
    return np.asarray(data[tuple(min(i, n - 1) for i, n in zip(at, shape, strict=True))])
