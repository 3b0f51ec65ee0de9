"""One item of the files under diagnosis: read, and made into layers, in a worker thread."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import CyclicLabelColormap

from ..core.types import Progress
from ..errors import InputError
from .diagnosis_words import LAYER_NAMES
from .images import METADATA_KEY
from .run_layers import (
    CONTOUR_COLORMAP,
    HV_COLORMAP,
    HV_LIMITS,
    PROBABILITY_LIMITS,
    PYRAMID_EDGE,
    pyramid,
)

if TYPE_CHECKING:
    from ..core.diagnosis.bench import Bench

GROUP = "diagnosis"
"""Key in a layer's metadata: name of the item it shows."""
CONTOURS = {"truth": 2, "instances": 2, "types": 0}
"""Width in pixels of outlines; 0 = filled."""
TYPES_OPACITY = 0.5
MAPS = {
    "np": ("viridis", PROBABILITY_LIMITS),
    "target_np": ("viridis", PROBABILITY_LIMITS),
    "magnitude": ("inferno", PROBABILITY_LIMITS),
    "hv_x": (HV_COLORMAP, HV_LIMITS),
    "hv_y": (HV_COLORMAP, HV_LIMITS),
    "target_hv_x": (HV_COLORMAP, HV_LIMITS),
    "target_hv_y": (HV_COLORMAP, HV_LIMITS),
}
"""Colormap and limits of each map."""
TRUTH_COLORMAP = CyclicLabelColormap(
    [[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]], name="truth", background_value=0
)
"""True outlines are white, predicted ones coloured."""
NARROW_LIMIT = 65_535
"""Largest id of 16 bits."""


@dataclass(frozen=True, eq=False)
class ItemView:
    """What can be shown of an item.

    Parameters
    ----------
    index : int
    name : str
    arrays : dict
        By role: uint8 (H, W, 3), float32 (H, W) or int32 (H, W).
    whole : bool
        Whether the network's maps are among them, if there is a network.
    bench : Bench, optional
        Of the diagnosis it belongs to.
    made : dict
        Layers by role, made in the worker thread.
    """

    index: int
    name: str
    arrays: dict[str, Any]
    whole: bool = True
    bench: Any = None
    made: dict[str, Layer] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of the lowest layer."""
        first = next(iter(self.arrays.values()))
        return int(first.shape[0]), int(first.shape[1])


def item_steps(
    source: Bench, index: int, *, bench: Bench | None = None, whole: bool = True
) -> Generator[Progress, None, ItemView]:
    """Read what can be shown of an item, in a worker thread.

    Parameters
    ----------
    source : Bench
    index : int
        Number of the item in the case.
    bench : Bench, optional
        Of the diagnosis it belongs to, where it is not the source.
    whole : bool
        Whether to ask the network and the separation too.

    Raises
    ------
    InputError
        If nothing of it can be read.
    """
    yield Progress(0, 0, "Reading the image ...")
    item = source.item(index)
    found: dict[str, Any] = {}
    name = f"image {index}"
    if item is not None:
        name = item.name
        hv = item.target_hv
        found = {"image": item.image, "types": item.types, "target_np": item.target_np}
        found["truth"] = item.labels
        if hv is not None:
            found |= {"target_hv_x": hv[0], "target_hv_y": hv[1]}
    if whole:
        yield Progress(0, 0, "Predicting the image ...")
        maps = source.maps(index)
        if maps is not None:
            found |= {"np": maps.np, "hv_x": maps.hv[0], "hv_y": maps.hv[1]}
            found["magnitude"] = maps.magnitude
            yield Progress(0, 0, "Separating nuclei ...")
            found["instances"] = source.instances(index)
    arrays = {role: found[role] for role in LAYER_NAMES if found.get(role) is not None}
    if not arrays:
        why = source.failures.get(index, "there is nothing of it to see.")
        raise InputError(f"{name} cannot be shown: {why}")
    view = ItemView(index, name, arrays, whole, bench or source)
    for role in arrays:
        yield Progress(0, 0, "Making layers ...")
        view.made[role] = make_layer(role, view)
    return view


def layer_name(item: str, role: str) -> str:
    """Return the name of a layer of an item.

    Examples
    --------
    >>> layer_name("skin 3", "hv_x")
    'Diagnosis: skin 3 · HV x'
    """
    return f"Diagnosis: {item} · {LAYER_NAMES[role]}"


def make_layer(role: str, view: ItemView) -> Layer:
    """Make one layer of an item; touches no viewer."""
    data = view.arrays[role]
    scale = np.divide(view.shape, data.shape[:2])
    known = {GROUP: view.name, "role": role}
    if role != "image":  # maps and outlines are nothing to segment, nor to compare with
        known["run"] = f"{GROUP} {view.name}"
    keywords: dict[str, Any] = {
        "name": layer_name(view.name, role),
        "metadata": {METADATA_KEY: known},
        "scale": scale,
        "translate": (scale - 1) / 2,
        "visible": False,
    }
    if role == "image":
        return Image(data, rgb=True, **keywords)
    levels = pyramid(data)
    if max(data.shape) > PYRAMID_EDGE:
        keywords["multiscale"] = True
    shown = levels if len(levels) > 1 else data
    if role in CONTOURS:
        colors = TRUTH_COLORMAP if role == "truth" else CONTOUR_COLORMAP
        layer = Labels(_whole(shown), colormap=colors, **keywords)
        layer.contour = CONTOURS[role]
        layer.opacity = 1.0 if CONTOURS[role] else TYPES_OPACITY
        layer.editable = False
        return layer
    colormap, limits = MAPS[role]
    return Image(
        shown,
        rgb=False,
        colormap=colormap,
        contrast_limits=limits,
        blending="translucent_no_depth",
        **keywords,
    )


def _whole(data: Any) -> Any:
    return [narrow(level) for level in data] if isinstance(data, list) else narrow(data)


def narrow(labels: Any) -> Any:
    """Return ids in 16 bits where they fit: napari draws those without a look-up.

    Examples
    --------
    >>> narrow(np.array([[1, 7]])).dtype, narrow(np.array([[1, 70_000]])).dtype
    (dtype('uint16'), dtype('int32'))
    """
    fits = labels.size and int(labels.min()) >= 0 and int(labels.max()) <= NARROW_LIMIT
    return np.asarray(labels, np.uint16 if fits else np.int32)
