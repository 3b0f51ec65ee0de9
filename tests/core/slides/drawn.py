"""A slide whose pixels say what a network would give for them, and that network."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import tifffile
import torch

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.inference import predict
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.networks.registry import Geometry, Network
from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.separation import separate
from napari_hovernet.core.types import Int32, Model, ModelInfo, Nuclei, TypeInfo

SHAPE, MPP = (560, 700), 0.25


class Stub(Network):
    """Reads NP from red, H from green and V from blue."""

    geometry = Geometry(divisor=8, remainder=0, margin=0, halo=8, reference_tile=64, minimum=8)
    config: ClassVar[dict[str, object]] = {}
    bytes_per_pixel, elements_per_pixel = 32.0, 4.0

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        logit = (x[:, :1] - 127.5) / 32
        return {"np": torch.cat([-logit, logit], 1), "hv": (x[:, 1:] - 127) / 127}


def stub() -> Model:
    info = ModelInfo("stub", mpp=MPP, sha256="0" * 64)
    return Model(Stub().eval(), info, torch.device("cpu"))


class Typed(Stub):
    """Also gives three types, by green and blue."""

    config: ClassVar[dict[str, object]] = {"n_types": 4}

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        types = torch.cat([0 * x[:, :1] - 9, x[:, 1:] - 127, 127 - x[:, 1:2]], 1) / 32
        return {**super().forward(x), "tp": types}


def typed() -> Model:
    names = ("none", "right", "below", "left")
    types = {k: TypeInfo(name, (k, k, k)) for k, name in enumerate(names)}
    info = ModelInfo("stub", mpp=MPP, sha256="1" * 64, types=types)
    return Model(Typed().eval(), info, torch.device("cpu"))


def scene(shape: tuple[int, int] = SHAPE, seed: int = 0, chain: bool = True) -> np.ndarray:
    """RGB of nuclei that touch, with a long chain of them, small spots and holes."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    n = shape[0] * shape[1] // 700
    rows, cols = rng.integers(0, shape[0], n), rng.integers(0, shape[1], n)
    spots = [(r, c, rng.integers(3, 11)) for r, c in zip(rows, cols, strict=True)]
    if chain:
        spots += [(shape[0] // 2 + c // 9, c, 9) for c in range(40, shape[1] * 2 // 3, 11)]
    for k, (r, c, size) in enumerate(spots, start=1):
        window = slice(max(r - size, 0), r + size), slice(max(c - size, 0), c + size)
        y, x = np.mgrid[window[0].start : min(r + size, shape[0]),
                        window[1].start : min(c + size, shape[1])]  # fmt: skip
        inside = (y - r) ** 2 + ((x - c) * 1.3) ** 2 < size**2
        labels[window][inside] = k
    red = np.where(labels > 0, 215, 25) + rng.integers(-24, 25, shape)
    holes = rng.integers(0, [[shape[0]], [shape[1]]], (2, n // 2))
    for dr in range(3):
        red[(holes[0] + dr).clip(0, shape[0] - 1), holes[1]] = 40
    hv = hv_targets(labels)
    return np.stack([red, *np.rint(127 + 127 * hv)], axis=2).clip(0, 255).astype(np.uint8)


def write_slide(path: Path, image: np.ndarray, mpp: float | None = MPP) -> Path:
    more = {} if mpp is None else {"resolution": (1e4 / mpp,) * 2, "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, image, tile=(64, 64), photometric="rgb", **more)
    return path


def single_run(image: np.ndarray, params: SeparationParams | None = None) -> tuple[Int32, Nuclei]:
    """Labels and nuclei of the image in one piece."""
    maps = predict(stub(), image, InferenceParams(tile=64, image_mpp=MPP))
    labels = separate(maps, params or SeparationParams()).labels
    return labels, measure(labels, maps)
