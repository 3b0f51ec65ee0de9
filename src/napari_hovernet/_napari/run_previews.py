"""The pinned validation image of a training run as a group of layers beside each other.

Beside :mod:`.layers` the only place that adds or changes layers of a training run.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QTimer

from ..core.types import Progress
from ..errors import InputError
from .images import METADATA_KEY
from .run_layers import CONTOUR_COLORMAP, HV_COLORMAP, HV_LIMITS, PROBABILITY_LIMITS
from .view import camera_of, canvas_size

if TYPE_CHECKING:
    from napari.components import ViewerModel

IMAGE_FILE = "image.npz"
"""The pinned image and its true nuclei, beside the maps of each epoch."""
GAP = 0.06
"""Space between two pictures, as a share of their width."""
PAUSE_MS = 15
"""Between two layers that are changed, for the viewer to do other things."""
GROUP = "training"
"""Key in a layer's metadata: which run it shows."""
INSTANCES_CONTOUR = 2
ROLES = ("truth", "image", "np", "magnitude", "hv_horizontal", "hv_vertical", "instances")
"""Layers, lowest first."""


@dataclass(frozen=True)
class Look:
    """How a picture looks and where it stands: row and column in the group."""

    title: str
    place: tuple[int, int]
    colormap: Any = None
    limits: tuple[float, float] | None = None


LOOKS = {
    "image": Look("image", (0, 0)),
    "instances": Look("instances", (0, 0)),
    "np": Look("NP", (0, 1), "viridis", PROBABILITY_LIMITS),
    "magnitude": Look("magnitude", (0, 2), "inferno", PROBABILITY_LIMITS),
    "truth": Look("true nuclei", (1, 0)),
    "hv_horizontal": Look("HV horizontal", (1, 1), HV_COLORMAP, HV_LIMITS),
    "hv_vertical": Look("HV vertical", (1, 2), HV_COLORMAP, HV_LIMITS),
}


@dataclass(frozen=True, eq=False)
class Preview:
    """What a run made of its pinned image after an epoch.

    Parameters
    ----------
    run : str
        Name of the run.
    epoch : int
        0 = before training.
    arrays : dict
        By role: uint8 (H, W, 3), float32 (H, W) or int32 (H, W).
    made : dict
        Layers by role, made in the worker thread where a group begins: napari's first layers
        take it some 0.3 s.
    """

    run: str
    epoch: int
    arrays: dict[str, Any]
    made: dict[str, Layer] = field(default_factory=dict)


def preview_steps(
    run: str, epoch: int, path: Path, *, make: bool = False
) -> Generator[Progress, None, Preview]:
    """Read what was kept of an epoch, in a worker thread.

    Parameters
    ----------
    run : str
        Name of the run.
    epoch : int
    path : Path
        The file of the maps; the pinned image lies beside it.
    make : bool
        Whether to make the layers too.

    Raises
    ------
    InputError
        If it is not there, or not (yet) whole.
    """
    yield Progress(0, 0, "Reading the pinned image ...")
    try:
        with np.load(path, allow_pickle=False) as kept:
            hv = kept["hv"].astype(np.float32)
            arrays = {
                "np": kept["np"].astype(np.float32),
                "hv_horizontal": hv[0],
                "hv_vertical": hv[1],
                "magnitude": np.hypot(hv[0], hv[1]),
                "instances": kept["labels"].astype(np.int32),
            }
        with np.load(path.parent / IMAGE_FILE, allow_pickle=False) as kept:
            for role, name in (("image", "image"), ("truth", "truth")):
                if name in kept.files:
                    arrays[role] = kept[name]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} cannot be shown: {error}.") from error
    preview = Preview(run, epoch, arrays)
    if make:
        for role in ROLES:
            if role in arrays:
                yield Progress(0, 0, "Making layers ...")
                preview.made[role] = make_layer(role, preview, (0.0, 0.0))
    return preview


class PreviewLayers:
    """Shows one preview at a time; layers are changed one after the other.

    Parameters
    ----------
    viewer : ViewerModel
        Only a weak reference is kept.
    later : callable, optional
        Runs a function soon; tests run it at once.
    """

    def __init__(
        self, viewer: ViewerModel, later: Callable[[Callable[[], None]], None] | None = None
    ) -> None:
        self._viewer_ref = weakref.ref(viewer)
        self._later = later or (lambda action: QTimer.singleShot(PAUSE_MS, action))
        self._waiting: deque[tuple[str, Preview]] = deque()
        self._made: set[str] = set()
        self._to_view: Preview | None = None
        self._corner: tuple[float, float] = (0.0, 0.0)

    @property
    def settled(self) -> bool:
        """Whether no layer waits to be changed."""
        return not self._waiting

    def show(self, preview: Preview, *, in_view: bool = False) -> None:
        """Show a preview in the place of the one before.

        Parameters
        ----------
        preview : Preview
        in_view : bool
            Bring the group into view.
        """
        viewer = self._viewer_ref()
        if viewer is None:
            return
        if not self.layers():
            self._corner = beside(viewer)
        idle = not self._waiting
        self._waiting = deque((role, preview) for role in ROLES if role in preview.arrays)
        self._to_view = preview if in_view else self._to_view
        if idle:
            self._next()

    def clear(self) -> None:
        """Take the group out of the viewer."""
        self._waiting.clear()
        self._made.clear()
        self._to_view = None
        viewer = self._viewer_ref()
        if viewer is not None:
            for layer in self.layers():
                viewer.layers.remove(layer)

    def layers(self) -> list[Layer]:
        """Layers of the group that are in the viewer."""
        viewer = self._viewer_ref()
        return [] if viewer is None else [x for x in viewer.layers if GROUP in _known(x)]

    def shows(self, run: str) -> bool:
        """Whether layers of a run are in the viewer."""
        return any(_known(layer)[GROUP] == run for layer in self.layers())

    def find(self, role: str) -> Layer | None:
        """Return the layer of a role, None if it is not there (any more)."""
        return next((x for x in self.layers() if _known(x)["role"] == role), None)

    def _next(self) -> None:
        viewer = self._viewer_ref()
        if not self._waiting or viewer is None:
            return
        self._put(viewer, *self._waiting.popleft())
        if self._waiting:
            self._later(self._next)
        elif self._to_view is not None:  # napari has moved the camera to the first layer
            self._bring(viewer, self._to_view)
            self._to_view = None

    def _put(self, viewer: ViewerModel, role: str, preview: Preview) -> None:
        layer, data = self.find(role), preview.arrays[role]
        if layer is not None and layer.data.shape == data.shape:
            fresh = _known(layer)[GROUP] != preview.run
            if fresh or role not in ("image", "truth"):  # these stay all through a run
                layer.data = data
            layer.metadata[METADATA_KEY] = known_of(role, preview)
            layer.name = title_of(role, preview)
            return
        if layer is None and role in self._made:
            return  # the user has deleted it
        self._made.add(role)
        active = viewer.layers.selection.active
        made = preview.made.pop(role, None)
        if made is None:
            made = make_layer(role, preview, self._corner)
        else:
            made.translate = np.add(made.translate, self._corner)
        viewer.layers.append(made)
        if layer is not None:  # after the other: an empty viewer that is filled at once crashes
            viewer.layers.remove(layer)
        if active is not None and active in viewer.layers:
            viewer.layers.selection.active = active

    def _bring(self, viewer: ViewerModel, preview: Preview) -> None:
        """Look at the whole group."""
        height, width = preview.arrays["np"].shape
        (row, col), step = self._corner, 1.0 + GAP
        rows, columns = 2, 3
        camera = camera_of(viewer)
        middle = (row + rows * height * step / 2, col + columns * width * step / 2)
        camera.center = (*camera.center[:-2], *middle)
        room = np.asarray(canvas_size(viewer), float) / (rows * height, columns * width)
        camera.zoom = float(room.min() / step)


def make_layer(role: str, preview: Preview, corner: tuple[float, float]) -> Layer:
    """Make one layer of a group; touches no viewer."""
    data, look = preview.arrays[role], LOOKS[role]
    height, width = data.shape[:2]
    keywords: dict[str, Any] = {
        "name": title_of(role, preview),
        "translate": (
            corner[0] + look.place[0] * height * (1 + GAP),
            corner[1] + look.place[1] * width * (1 + GAP),
        ),
        "metadata": {METADATA_KEY: known_of(role, preview)},
    }
    if role in ("instances", "truth"):
        layer = Labels(np.asarray(data, np.int32), colormap=CONTOUR_COLORMAP, **keywords)
        layer.contour = INSTANCES_CONTOUR if role == "instances" else 0
        layer.editable = False
        return layer
    if role == "image":
        return Image(data, rgb=True, **keywords)
    return Image(data, rgb=False, colormap=look.colormap, contrast_limits=look.limits, **keywords)


def known_of(role: str, preview: Preview) -> dict[str, Any]:
    """Return what a layer knows of itself; maps have a "run", so nobody segments them."""
    known: dict[str, Any] = {GROUP: preview.run, "role": role, "epoch": preview.epoch}
    return known if role == "image" else {**known, "run": f"{GROUP} {preview.run}"}


def title_of(role: str, preview: Preview) -> str:
    """Return a layer's name: "skin 3 · NP" after epoch 3."""
    number = "" if role in ("image", "truth") else f" {preview.epoch}"
    return f"{preview.run}{number} · {LOOKS[role].title}"


def beside(viewer: ViewerModel) -> tuple[float, float]:
    """Return a free place to the right of everything in a viewer, world coordinates."""
    boxes = [layer.extent.world[:, -2:] for layer in viewer.layers if layer.ndim >= 2]
    if not boxes:
        return 0.0, 0.0
    corners = np.concatenate(boxes)
    top, left = corners.min(axis=0)
    right = corners[:, 1].max()
    return float(top), float(right + GAP * max(right - left, 1.0))


def _known(layer: Layer) -> dict[str, Any]:
    known: dict[str, Any] = layer.metadata.get(METADATA_KEY, {})
    return known
