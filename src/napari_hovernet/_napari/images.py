"""Image layers as the program sees them: the plane shown, its mpp, where results go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from napari.utils.transforms import Affine

from ..app.session import ImageChoice

METADATA_KEY = "napari_hovernet"
"""Key under which layers carry what this plugin knows of them."""
MPP_LIMITS = (0.02, 20.0)
"""Micrometres per pixel taken for a microscope's; a scale outside is no mpp."""
_NOT_SAID = ("pixel", "dimensionless", "")


@dataclass(frozen=True, eq=False)
class Placement:
    """Where layers made from a plane (or a box in it) lie in the viewer.

    Parameters
    ----------
    plane : tuple of int
        Index of the plane on the axes before the last two; empty for a 2-D layer.
    keywords : dict
        ``scale``, ``rotate``, ``shear``, ``affine``, ``units`` of the image layer.
    translate : tuple of float
        Of the image layer.
    """

    plane: tuple[int, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    translate: tuple[float, ...] = (0.0, 0.0)

    def at(self, row: float, col: float) -> dict[str, Any]:
        """Return layer keywords that put data pixel (0, 0) onto the plane's (row, col)."""
        k = self.keywords
        inner = Affine(
            scale=k["scale"], rotate=k["rotate"], shear=k["shear"], translate=self.translate
        )
        return {**k, "translate": tuple(float(x) for x in inner((*self.plane, row, col)))}


def segmentable(layer: Layer) -> bool:
    """Whether a layer is an image and none of this plugin's own maps."""
    return isinstance(layer, Image) and "run" not in layer.metadata.get(METADATA_KEY, {})


def full_data(layer: Image) -> Any:
    """Return the data at full resolution: level 0 of a pyramid."""
    return layer.data[0] if layer.multiscale else layer.data


def plane_index(layer: Image, step: Sequence[int]) -> tuple[int, ...]:
    """Return the index of the plane in view on the axes before the last two.

    Parameters
    ----------
    layer : Image
    step : sequence of int
        ``viewer.dims.current_step``; its last entries belong to the layer's axes.
    """
    extra = layer.ndim - 2
    if extra <= 0:
        return ()
    shape = full_data(layer).shape[:extra]
    own = tuple(step)[-layer.ndim :][:extra]
    return tuple(int(min(max(i, 0), n - 1)) for i, n in zip(own, shape, strict=True))


def plane_data(layer: Image, step: Sequence[int]) -> Any:
    """Return the plane in view, (H, W) or (H, W, 3 or 4), as lazy as the layer's data."""
    data = full_data(layer)
    index = plane_index(layer, step)
    return data[index] if index else data


def placement(layer: Image, step: Sequence[int]) -> Placement:
    """Return where results of the plane in view belong."""
    keywords = {
        "scale": tuple(float(s) for s in layer.scale),
        "rotate": np.asarray(layer.rotate),
        "shear": np.asarray(layer.shear),
        "affine": np.asarray(layer.affine.affine_matrix),
    }
    if hasattr(layer, "units"):
        keywords["units"] = layer.units
    return Placement(plane_index(layer, step), keywords, tuple(float(t) for t in layer.translate))


def choice(layer: Image, step: Sequence[int]) -> ImageChoice:
    """Describe an image layer for the session."""
    error = _unfit(layer)
    mpp, source = layer_mpp(layer)
    return ImageChoice(
        key=id(layer),
        name=layer.name,
        description=error or describe(layer, step),
        mpp=mpp,
        mpp_source=source,
        error=error,
    )


def describe(layer: Image, step: Sequence[int]) -> str:
    """Return size and kind in words: "1000 x 1000 px, RGB, uint8"."""
    data = full_data(layer)
    channels = data.shape[-1] if layer.rgb else 1
    kind = {1: "grey", 3: "RGB", 4: "RGBA"}.get(channels, f"{channels} channels")
    height, width = data.shape[-3:-1] if layer.rgb else data.shape[-2:]
    parts = [f"{width:,} x {height:,} px", kind, str(data.dtype)]
    if layer.multiscale:
        parts.append(f"{len(layer.data)} levels")
    index = plane_index(layer, step)
    if index:
        counts = zip(index, data.shape, strict=False)
        parts.append(
            "plane " + ", ".join(f"{i + 1} of {n}" for i, n in counts) + " (the one shown)"
        )
    return ", ".join(parts)


def layer_mpp(layer: Layer) -> tuple[float | None, str]:
    """Return micrometres per pixel and where they come from; (None, why) if not known.

    In this order: ``layer.metadata["mpp"]``; scale in a unit of length; a scale other
    than 1 without a unit, taken for micrometres.
    """
    noted = layer.metadata.get("mpp")
    if isinstance(noted, int | float) and MPP_LIMITS[0] <= noted <= MPP_LIMITS[1]:
        return float(noted), "layer metadata"
    scale = float(layer.scale[-1])
    unit = getattr(layer, "units", (None,))[-1]
    name = "" if unit is None else str(unit)
    if name not in _NOT_SAID:
        return _in_range(scale * _micrometres(unit), f"layer scale in {name}")
    if scale == 1.0:
        return None, "not known: the layer has no scale"
    return _in_range(scale, "layer scale, taken for µm")


def _micrometres(unit: Any) -> float:
    """Return how many micrometres one unit of length is, 0 for other quantities."""
    try:
        return float((1 * unit).to("micrometer").magnitude)
    except (AttributeError, TypeError, ValueError):
        return 0.0


def _in_range(mpp: float, source: str) -> tuple[float | None, str]:
    if MPP_LIMITS[0] <= mpp <= MPP_LIMITS[1]:
        return mpp, source
    return None, f"not known: {source} gives {mpp:g} µm"


def _unfit(layer: Image) -> str:
    """Say why a layer cannot be segmented, "" if it can."""
    data = full_data(layer)
    if 0 in data.shape:
        return f"Layer {layer.name!r} is empty (shape {tuple(data.shape)}): choose another image."
    if data.ndim < 2:
        return f"Layer {layer.name!r} has {data.ndim} dimension; an image needs two."
    kind = np.dtype(data.dtype).kind
    if kind not in "uifb":
        return f"Layer {layer.name!r} holds {data.dtype} values: convert it to 8-bit RGB first."
    return ""
