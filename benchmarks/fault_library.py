"""Faults to plant, healthy set-ups, and which finding should name each: for planted_faults.py.

A plant takes the arguments of ``napari_hovernet.diagnose`` and returns them with one thing
wrong. Plants can be put together.
"""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from skimage.data import immunohistochemistry
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

import napari_hovernet as nh
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.hv import HVConvention, hv_targets
from napari_hovernet.core.losses import HoverLoss
from napari_hovernet.core.networks.registry import Network
from napari_hovernet.core.synthetic import planted_maps, tissue

Given = dict[str, Any]
SHARED = Path(__file__).resolve().parents[2] / "shared"


@dataclass(frozen=True)
class Fault:
    """One thing to plant.

    Parameters
    ----------
    name : str
    base : str
        Set-up it is planted in, of ``BASES``.
    plant : callable
        Arguments of ``diagnose`` -> the same with a fault.
    names : tuple of str
        Ids of findings that name the cause.
    """

    name: str
    base: str
    plant: Callable[[Given], Given]
    names: tuple[str, ...]

    @property
    def family(self) -> str:
        """Family of the check that should find it."""
        return self.names[0].partition(".")[0]


# --- set-ups ---------------------------------------------------------------------------


@cache
def real(split: str, n: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Read ``n`` images with labels, evenly spread over the sources."""
    with open(SHARED / "data" / "index.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    rows = [rows[i * len(rows) // n] for i in range(min(n, len(rows)))]
    folder = SHARED / "data"
    images = [np.asarray(Image.open(folder / row["path"]).convert("RGB")) for row in rows]
    labels = [np.asarray(Image.open(folder / row["label"])).astype(np.int32) for row in rows]
    return images, labels


@cache
def model() -> Any:
    """Return the built-in model."""
    return nh.load_model()


def with_model(n: int = 8, split: str = "val") -> Given:
    """Run the built-in model on real images."""
    images, labels = real(split, n)
    return {"model": model(), "images": images, "labels": labels, "separation": "local"}


def with_targets(n: int = 8) -> Given:
    """Real images with labels and stored targets, as somebody would train on them."""
    images, labels = real("val", n)
    hv = [hv_targets(each) for each in labels]
    inside = [(each > 0).astype(np.uint8) for each in labels]
    return {"images": images, "labels": labels, "hv": hv, "np": inside}


@cache
def _predicted(n: int) -> list[Any]:
    return [nh.predict(model(), image) for image in real("val", n)[0]]


def with_maps(n: int = 8) -> Given:
    """Real images, their labels and predicted maps; no model."""
    images, labels = real("val", n)
    maps = _predicted(n)
    return {
        "images": images,
        "labels": labels,
        "np": [m.np for m in maps],
        "hv": [m.hv for m in maps],
    }


def with_types(n: int = 3) -> Given:
    """Make generated tissue whose nuclei have types."""
    made = [tissue((256, 256), seed=i) for i in range(n)]
    typed = [np.concatenate(([0], t.types))[t.labels].astype(np.int32) for t in made]
    return {
        "images": [t.image for t in made],
        "labels": [t.labels for t in made],
        "types": typed,
        "n_types": 6,
    }


def with_nothing() -> Given:
    """Nothing at all: for losses and augmentations."""
    return {}


BASES: dict[str, Callable[[], Given]] = {
    "model": with_model,
    "targets": with_targets,
    "maps": with_maps,
    "types": with_types,
    "nothing": with_nothing,
}


# --- plants: networks ------------------------------------------------------------------


class Tampered(Network):
    """A network whose input or output somebody got wrong."""

    def __init__(self, inner: Network, before: Any = None, after: Any = None) -> None:
        super().__init__()
        self.inner, self.before, self.after = inner, before, after
        self.geometry, self.config, self.accepts = inner.geometry, inner.config, inner.accepts

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run the network, tampered with."""
        x = x if self.before is None else self.before(x)
        out = self.inner(x)
        return out if self.after is None else self.after(dict(out))


def tampered(before: Any = None, after: Any = None) -> Callable[[Given], Given]:
    """Plant something before or after the network."""

    def plant(given: Given) -> Given:
        old = given["model"]
        return {**given, "model": replace(old, network=Tampered(old.network, before, after).eval())}

    return plant


def after_hv(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Given], Given]:
    """Plant something in the HV that a network gives."""
    return tampered(after=lambda out: {**out, "hv": change(out["hv"])})


def weights(change: Callable[[torch.nn.Module], None]) -> Callable[[Given], Given]:
    """Plant something in a copy of the network's weights."""

    def plant(given: Given) -> Given:
        network = copy.deepcopy(given["model"].network)
        with torch.no_grad():
            change(network)
        return {**given, "model": replace(given["model"], network=network.eval())}

    return plant


def untrained_head(network: Any) -> None:
    """Put the HV head back to random numbers."""
    for module in network.heads["hv"].modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()


def untrained_encoder(network: Any) -> None:
    """Put the deepest blocks back to random numbers, as a partial load leaves them."""
    for name, module in network.named_modules():
        if name.startswith(("down.3", "down.4")) and hasattr(module, "reset_parameters"):
            module.reset_parameters()


def other_statistics(network: Any) -> None:
    """Change what batch norm knows of the data."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean += 1.5 * module.running_var.sqrt()
            module.running_var *= 6


def nan_weight(network: Any) -> None:
    """Spoil one weight."""
    next(iter(network.down[3].parameters()))[0, 0] = float("nan")


def exploding(network: Any) -> None:
    """Make activations explode."""
    for module in network.down[2].modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight *= 300


def no_direction(hv: torch.Tensor) -> torch.Tensor:
    """Keep the length of HV and turn it at random."""
    rng = torch.Generator().manual_seed(0)
    angle = 6.3 * torch.nn.functional.interpolate(
        torch.rand((len(hv), 1, 12, 12), generator=rng), hv.shape[-2:], mode="bilinear"
    )
    length = hv.square().sum(1, keepdim=True).sqrt()
    return torch.cat((length * angle.cos(), length * angle.sin()), 1)


def sigmoid_of_one(out: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read a sigmoid of channel 1 alone, whose zero lies elsewhere."""
    one = out["np"][:, 1:] + 3.0
    return {**out, "np": torch.cat((torch.zeros_like(one), one), 1)}


# --- plants: data ----------------------------------------------------------------------


def every(name: str, change: Callable[[Any], Any]) -> Callable[[Given], Given]:
    """Plant the same change in every array of a stack."""
    return lambda given: {**given, name: [change(array) for array in given[name]]}


def moved(name: str, rows: int, cols: int, wrap: bool = False) -> Callable[[Given], Given]:
    """Move every array of a stack."""

    def change(array: np.ndarray) -> np.ndarray:
        rolled = np.roll(array, (rows, cols), (-2, -1))
        if not wrap:
            rolled[..., :rows, :] = 0
            rolled[..., :cols] = 0
        return rolled

    return every(name, change)


def components(labels: np.ndarray) -> np.ndarray:
    """Count the connected areas of a mask up, as if each were a nucleus."""
    return ndimage.label(labels > 0)[0].astype(np.int32)


def background_too(labels: np.ndarray) -> np.ndarray:
    """Take most of the background for nuclei, as a wrong mask channel does."""
    out = ndimage.label(labels == 0)[0].astype(np.int32)
    out[ndimage.binary_erosion(labels > 0, iterations=2)] = 0
    return out


def resized(factor: float) -> Callable[[Given], Given]:
    """Resize images and labels: another magnification than the model knows."""

    def plant(given: Given) -> Given:
        def size(a: np.ndarray) -> tuple[int, int]:
            return (round(a.shape[1] * factor), round(a.shape[0] * factor))

        images = [cv2.resize(a, size(a), interpolation=cv2.INTER_AREA) for a in given["images"]]
        labels = [cv2.resize(a, size(a), interpolation=cv2.INTER_NEAREST) for a in given["labels"]]
        return {**given, "images": images, "labels": labels}

    return plant


def hv_resized(hv: np.ndarray) -> np.ndarray:
    """Compute on a finer grid, then reduce bilinearly: the jumps are smeared."""
    small = [cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_LINEAR) for p in hv]
    size = hv.shape[:0:-1]
    return np.stack([cv2.resize(p, size, interpolation=cv2.INTER_LINEAR) for p in small])


def in_convention(convention: HVConvention) -> Callable[[Given], Given]:
    """Store HV in another convention."""
    return lambda given: {**given, "hv": [hv_targets(a, convention) for a in given["labels"]]}


def some_fail(given: Given) -> Given:
    """Let the network fail on the first image."""
    inner = given["model"]
    bad = {image.shape[:2] for image in given["images"][:1]}

    def network(image: np.ndarray) -> Any:
        if image.shape[:2] in bad and image[:8].sum() == given["images"][0][:8].sum():
            raise RuntimeError("index out of range")
        return nh.predict(inner, image)

    return {**given, "model": network}


def next_of(arrays: list[Any]) -> list[Any]:
    """Give each place the next array, cut or padded to its size."""
    out = []
    for here, other in zip(arrays, [*arrays[1:], arrays[0]], strict=True):
        made = np.zeros_like(here)
        h, w = (min(a, b) for a, b in zip(here.shape, other.shape, strict=True))
        made[:h, :w] = other[:h, :w]
        out.append(made)
    return out


def doubles(given: Given) -> Given:
    """Put some images in twice."""
    twice = {name: [*given[name], *given[name][:3]] for name in ("images", "labels")}
    return {**given, **twice}


# --- plants: separations, losses, augmentations ----------------------------------------


def plain_components(np_map: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Somebody's post-processing: the union of the instances is labelled anew."""
    labels = nh.separate(nh.Maps(np=np_map, hv=hv)).labels
    return ndimage.label(labels > 0)[0]


def rim_peaks(np_map: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Somebody's post-processing: seeds are the peaks of the HV magnitude."""
    mask = np_map > 0.5
    size = np.hypot(*hv)
    peaks = peak_local_max(size, min_distance=4, threshold_abs=0.05, labels=mask.astype(int))
    markers = np.zeros(mask.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-size, markers, mask=mask)


def absolute_gradient(np_map: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Somebody's post-processing: a border is where HV changes by more than a fixed amount."""
    mask = np_map > 0.5
    steep = np.maximum(np.abs(np.gradient(hv[0], axis=1)), np.abs(np.gradient(hv[1], axis=0)))
    seeds = ndimage.label(mask & (steep < 0.2) & (np.hypot(*hv) < 0.7))[0]
    return watershed(steep, seeds, mask=mask)


def outside_root(pred: torch.Tensor, true: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compare lengths, epsilon outside the root."""
    inside = mask.float()
    size = pred.square().sum(1).sqrt() + 1e-6
    wanted = true.square().sum(1).sqrt() + 1e-6
    return ((size - wanted).square() * inside).sum() / inside.sum()


def over_all_pixels(pred: torch.Tensor, true: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compare HV, divided by all pixels."""
    return ((pred - true).square() * mask.float()[:, None]).mean()


def length_only(pred: torch.Tensor, true: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compare lengths and nothing else."""
    inside = mask.float()
    error = (pred.square().sum(1) + 1e-6).sqrt() - (true.square().sum(1) + 1e-6).sqrt()
    return (error.square() * inside).sum() / inside.sum()


def flips_image_only(image: np.ndarray, labels: np.ndarray, hv: np.ndarray) -> Any:
    """Mirror the image and leave the labels where they are."""
    return image[:, ::-1].copy(), labels, hv


def flips_without_negating(image: np.ndarray, labels: np.ndarray, hv: np.ndarray) -> Any:
    """Mirror HV maps but not their vectors."""
    return image[:, ::-1].copy(), labels[:, ::-1].copy(), hv[:, :, ::-1].copy()


def put(**changes: Any) -> Callable[[Given], Given]:
    """Set arguments."""
    return lambda given: {**given, **changes}


def changed(**changes: Any) -> Callable[[Given], Given]:
    """Change parameters of the separation."""
    return put(separation=replace(nh.SeparationParams(), **changes))


# --- healthy set-ups -------------------------------------------------------------------


def _golden() -> Given:
    files = sorted((SHARED / "golden" / "predicted").glob("*.npz"))
    loaded = [np.load(file) for file in files]
    return {
        "labels": [f["labels"] for f in loaded],
        "np": [f["np_prob"] for f in loaded],
        "hv": [f["hv_pred"] for f in loaded],
    }


def _planted() -> Given:
    maps = [planted_maps(tissue((256, 256), seed=i).labels, seed=i) for i in range(4)]
    return {"np": [m.np for m in maps], "hv": [m.hv for m in maps], "separation": "local"}


def _declared() -> Given:
    given = with_targets()
    convention = HVConvention(order="vh", sign="inward")
    stored = [np.rint(127 * hv_targets(a, convention)).astype(np.int8) for a in given["labels"]]
    setup = Setup(target_order="vh", target_sign="inward", target_divisor=127.0)
    return {**given, "hv": stored, "setup": setup}


def _generated() -> Given:
    made = [tissue((300, 280), seed=10 + i) for i in range(3)]
    images, labels = [t.image for t in made], [t.labels for t in made]
    return {"model": model(), "images": images, "labels": labels, "separation": "local"}


def _rules() -> Given:
    return {**with_types(), "loss": HoverLoss(), "augmentation": "ours"}


def _unlabelled() -> Given:
    return {"model": "compact", "images": [immunohistochemistry()], "separation": "local"}


HEALTHY: dict[str, Callable[[], Given]] = {
    "built-in model, validation images": with_model,
    "built-in model, training images": lambda: with_model(12, "train"),
    "built-in model, preset hover_net": lambda: {**with_model(6), "separation": "hover_net"},
    "built-in model, generated tissue": _generated,
    "built-in model, immunohistochemistry, no labels": _unlabelled,
    "stored targets": with_targets,
    "stored targets, [V, H] inward int8, declared": _declared,
    "predicted maps of another network, float16, labels": _golden,
    "good maps, nothing else": _planted,
    "training images and labels alone": lambda: dict(
        zip(("images", "labels"), real("train", 24), strict=True)
    ),
    "types, our loss and our augmentation": _rules,
    "labels alone": lambda: {"labels": real("val", 20)[1]},
}
