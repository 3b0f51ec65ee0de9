"""Pictures of the places a finding names: image, outlines, NP and HV side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.diagnosis.bench import Bench
from ..core.diagnosis.items import Item
from ..core.diagnosis.report import Finding, Place
from ..core.inference.images import UInt8
from ..core.types import Int32, Maps
from .diagnosis_text import LAYER_WORDS
from .figures import PictureParams, magnitude_picture, outlined_picture, plane_picture, png_bytes

TRUTH, INSTANCES = (0, 158, 115), (240, 228, 66)
"""Colours, RGB, of true and of predicted outlines."""
BOX = (213, 94, 0)
"""Colour, RGB, of the box around what is meant."""
LEAST, MOST = 96, 320
"""Shortest and longest edge of the part that is shown, pixels of the image."""
AROUND = 1.4
"""The part that is shown is so many times as long as the box."""
EDGE = 300
"""Longest edge of a picture, pixels."""
PANELS = 5
"""Pictures of one place at most."""
SIGNED, SHARE = (-1.0, 1.0), (0.0, 1.0)
TYPE_COLOURS = ((20, 20, 28), (230, 60, 60), (60, 190, 75), (70, 110, 240), (250, 220, 60),
                (250, 150, 40), (170, 90, 220))  # fmt: skip
"""Colours, RGB, of types 0, 1, 2 ..."""
BESIDE = ("np", "hv_x", "hv_y")
"""Shown where a finding says nothing of layers."""
TARGETS_BESIDE = ("target_np", "target_hv_x", "target_hv_y")


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture.

    Parameters
    ----------
    title : str
    png : bytes
    """

    title: str
    png: bytes


@dataclass(frozen=True, eq=False)
class Shown:
    """A place and its pictures.

    Parameters
    ----------
    place : Place
    panels : tuple of Panel
    """

    place: Place
    panels: tuple[Panel, ...]


def pictures_of(
    bench: Bench, finding: Finding, n: int, *, network: bool = True
) -> tuple[Shown, ...]:
    """Draw the first places of a finding.

    Parameters
    ----------
    bench : Bench
    finding : Finding
    n : int
        Places that are drawn at most.
    network : bool
        Whether an image may go through the network for this; else only what needs none.

    Returns
    -------
    tuple of Shown
        Places of which there is nothing to draw are left out.
    """
    shown = []
    for place in finding.places[:n]:
        panels = _panels(bench, finding, place, network)
        if panels:
            shown.append(Shown(place, panels))
    return tuple(shown)


def window_of(box: tuple[int, int, int, int], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the part of an image that is shown around a box.

    Examples
    --------
    >>> window_of((10, 20, 10, 20), (256, 256))
    (slice(0, 96, None), slice(0, 96, None))
    """
    slices = []
    for low, high, size in ((box[0], box[1], shape[0]), (box[2], box[3], shape[1])):
        edge = int(min(max((high - low) * AROUND, LEAST), MOST, size))
        begin = int(min(max((low + high - edge) // 2, 0), size - edge))
        slices.append(slice(begin, begin + edge))
    return (slices[0], slices[1])


def _panels(bench: Bench, finding: Finding, place: Place, network: bool) -> tuple[Panel, ...]:
    item = bench.item(place.item)
    if item is None or item.shape is None:
        return ()
    part = window_of(place.box, item.shape)
    given = network or bench.case.predictor is None
    layers = _wanted(finding, bench)
    needed = {"np", "hv_x", "hv_y", "magnitude", "instances"} & set(layers)
    maps = bench.maps(place.item) if given and needed else None
    instances = bench.instances(place.item) if given and "instances" in layers else None
    stage = _Stage(item, maps, instances, part, place)
    made = [stage.tissue(layers)]
    for name in layers:
        made.append(stage.plane(name))
    return tuple(panel for panel in made if panel is not None)[:PANELS]


def _wanted(finding: Finding, bench: Bench) -> tuple[str, ...]:
    """Return the layers that are shown: those the finding names, else what there is."""
    if finding.layers:
        return finding.layers
    beside = TARGETS_BESIDE if "targets" in bench.case.has else BESIDE
    return ("image", "truth", "instances", *beside)


@dataclass(frozen=True, eq=False)
class _Stage:
    """One place of one image, ready to be drawn."""

    item: Item
    maps: Maps | None
    instances: Int32 | None
    part: tuple[slice, slice]
    place: Place

    @property
    def _params(self) -> PictureParams:
        return PictureParams(window=MOST, edge=EDGE)

    @property
    def _truth(self) -> Int32 | None:
        labels: Int32 | None = self._cut(self.item.labels)
        return labels

    def tissue(self, layers: tuple[str, ...]) -> Panel | None:
        """Draw the image with outlines, or the outlines alone."""
        outlines: list[tuple[Int32, tuple[int, int, int]]] = []
        names = []
        for name, labels, colour in (
            ("truth", self._truth, TRUTH), ("instances", self._cut(self.instances), INSTANCES),
        ):  # fmt: skip
            if labels is not None and name in layers:
                outlines.append((labels, colour))
                names.append(LAYER_WORDS[name])
        image = self._cut(self.item.image)
        if image is None and not outlines:
            return None
        there = "image" if image is not None else ""
        canvas = image if image is not None else _blank(outlines[0][0])
        drawn = outlined_picture(canvas, outlines, self._params)
        title = ", ".join(part for part in (there, *names) if part)
        return Panel(title, png_bytes(self._boxed(drawn)))

    def plane(self, name: str) -> Panel | None:
        """Draw one map, None if it is not there or is drawn with the image."""
        if name == "types":
            types = self._cut(self.item.types)
            return None if types is None else Panel("types", png_bytes(_typed(types, self._truth)))
        drawers: Mapping[str, tuple[Callable[[], Any], tuple[float, float]]] = {
            "np": (lambda: None if self.maps is None else self.maps.np, SHARE),
            "hv_x": (lambda: None if self.maps is None else self.maps.hv[0], SIGNED),
            "hv_y": (lambda: None if self.maps is None else self.maps.hv[1], SIGNED),
            "magnitude": (lambda: None if self.maps is None else self.maps.magnitude, SHARE),
            "target_np": (lambda: self.item.target_np, SHARE),
            "target_hv_x": (lambda: self._target(0), SIGNED),
            "target_hv_y": (lambda: self._target(1), SIGNED),
        }
        if name not in drawers:
            return None
        get, limits = drawers[name]
        plane = self._cut(get())
        if plane is None:
            return None
        if name == "magnitude":
            drawn = magnitude_picture(plane, self._truth, self._params)
        else:
            drawn = plane_picture(plane, limits, self._truth, self._params)
        return Panel(LAYER_WORDS[name], png_bytes(drawn))

    def _target(self, channel: int) -> Any:
        hv = self.item.target_hv
        return None if hv is None else hv[channel]

    def _cut(self, plane: Any) -> Any:
        """Cut the part out; None where a plane has another size."""
        if plane is None or tuple(plane.shape[:2]) != self.item.shape:
            return None
        return np.ascontiguousarray(plane[self.part])

    def _boxed(self, picture: UInt8) -> UInt8:
        """Draw the box that is meant, where it is not the whole part."""
        import cv2  # noqa: PLC0415 - only here

        rows, cols = self.part
        r0, r1, c0, c1 = self.place.box
        scale = picture.shape[0] / (rows.stop - rows.start)
        corners = [(r0 - rows.start, c0 - cols.start), (r1 - rows.start, c1 - cols.start)]
        (top, left), (bottom, right) = ((round(r * scale), round(c * scale)) for r, c in corners)
        inside = top > 0 or left > 0 or bottom < picture.shape[0] or right < picture.shape[1]
        if not inside:
            return picture
        drawn = np.ascontiguousarray(picture)
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), BOX, 1)
        return drawn


def _blank(labels: Int32) -> UInt8:
    return np.full((*labels.shape, 3), 236, np.uint8)


def _typed(types: npt.NDArray[Any], truth: Int32 | None) -> UInt8:
    """Colour types, with the true nuclei outlined."""
    palette = np.array(TYPE_COLOURS, np.uint8)
    known = np.where(types > 0, (types - 1) % (len(palette) - 1) + 1, 0)
    picture = palette[known]
    if truth is None:
        return np.asarray(picture, np.uint8)
    edge = PictureParams(window=MOST, edge=max(types.shape))
    return outlined_picture(np.asarray(picture, np.uint8), [(truth, (255, 255, 255))], edge)
