"""The store of a slide as layers; pixels are read when they come into view."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.slides.source import SlideSource, open_slide
from ..core.slides.store import MAGNITUDE_STEPS, SlideStore
from ..errors import UserError
from .viewer import LAYER, METADATA_KEY

MICROMETRES = ("micrometer", "micrometer")
SHOWN = {
    "np": ("NP", "gray", 255.0),
    "magnitude": ("HV magnitude, mean inside nuclei", "viridis", MAGNITUDE_STEPS),
    "magnitude_max": ("HV magnitude, largest", "viridis", MAGNITUDE_STEPS),
}
"""Pyramids: title, colours, and the value that is 1."""


@dataclass(frozen=True, eq=False)
class SlideLevel:
    """A level of a slide as a lazy (H, W, 3) array."""

    source: SlideSource
    ndim: int = 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, colours."""
        return (*self.source.shape, 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Kind of its values."""
        return np.dtype(np.uint8)

    @property
    def size(self) -> int:
        """Number of values."""
        return 3 * self.source.shape[0] * self.source.shape[1]

    def __getitem__(self, key: Any) -> Any:
        """Read what a slice touches; steps and single rows are taken from it."""
        given = key if isinstance(key, tuple) else (key,)
        keys = (*given, *(slice(None) for _ in range(3 - len(given))))
        box, rest = [], []
        for k, n in zip(keys[:2], self.shape, strict=False):
            if isinstance(k, slice):
                start, stop, step = k.indices(n)
                box.append((start, max(stop, start)))
                rest.append(slice(None, None, step))
            else:
                box.append((int(k), int(k) + 1))
                rest.append(0)
        (r0, r1), (c0, c1) = box
        if r1 <= r0 or c1 <= c0:
            return np.zeros((r1 - r0, c1 - c0, 3), np.uint8)[(*rest, keys[2])]
        return self.source.read(r0, r1, c0, c1)[(*rest, keys[2])]


def read_slide(path: Path) -> list[LAYER]:
    """Return the slide (if it is still there), its maps, overviews and nuclei, lowest first."""
    store = SlideStore(str(path))
    run, group = store.run, store.group("r")
    name, mpp = run.source.name, run.source.mpp

    def look(title: str, cell: int = 1, **more: Any) -> dict[str, Any]:
        known = {"mpp": mpp, METADATA_KEY: {"slide": str(path), "mpp": mpp}}
        shift = mpp * (cell - 1) / 2
        return {"name": f"{name} · {title}", "scale": (mpp * cell,) * 2, "units": MICROMETRES,
                "translate": (shift, shift), "metadata": known, **more}  # fmt: skip

    layers: list[LAYER] = []
    try:
        source = open_slide(run.source.path, run.source.level, mpp)
        levels = [SlideLevel(replace(source, level=n, shape=source.levels[n]))
                  for n in range(source.level, len(source.levels))]  # fmt: skip
        layers.append(_pictured(levels, look("slide", rgb=True), "image"))
    except UserError:  # moved: its result can be looked at without it
        pass
    for key, (title, colours, one) in SHOWN.items():
        about = look(title, colormap=colours, contrast_limits=(0, one), visible=False,
                     blending="additive")  # fmt: skip
        layers.append(_pictured(_pyramid(group, key), about, "image"))
    if "qc" in group:
        for key in sorted(group["qc"]):
            values = group[f"qc/{key}/0"][:]
            high = float(values.max()) or 1.0
            title = f"{key.replace('_', ' ')} per 256 px"
            about = look(title, 256, colormap="inferno", visible=False,
                         contrast_limits=(0.0, high), opacity=0.6)  # fmt: skip
            layers.append((values, about, "image"))
    layers.append(_pictured(_pyramid(group, "labels"), look("nuclei"), "labels"))
    return layers


def _pictured(levels: list[Any], about: dict[str, Any], kind: str) -> LAYER:
    """Describe a pyramid; one of a single level is none to napari."""
    several = len(levels) > 1
    return (levels if several else levels[0], {**about, "multiscale": several}, kind)


def _pyramid(group: Any, name: str) -> list[Any]:
    """Return the levels, finest first."""
    return [group[f"{name}/{level}"] for level in sorted(group[name].array_keys(), key=int)]
