"""Labelled images of several sources, drawn with a seed that fixes every sample."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from napari_hovernet.core.hv import hv_targets

from .augment import AugmentParams, colour, geometry, plant
from .stains import Stain, measure

HELD_OUT = ("monuseg_50-5931-01", "monuseg_E2-A1B5-01")
"""Training images kept whole for validation, beside the crops of MoNuSeg's other images."""

SHIFTS = {
    "monuseg": (-0.2, 0.0),
    "monuseg_20x": (-0.7, -0.3),
    "consep": (0.1, 0.1),
    "dsb_white": (-0.1, 0.0),
    "dsb_purple": (0.1, 0.0),
}
"""Where labels lie relative to what they outline (x, y, px), by the best correlation of masks
with optical density: medians per source. All but the 20x images are below a quarter pixel."""

GROUPS = {"dsb18_white_bg": "dsb_white", "dsb18_purple_bg": "dsb_purple"}
SIGMA, RIM, GAP = 2.0, 1.5, 2.0
"""Extra weight of NP: ``RIM`` on an outline, falling off with ``SIGMA`` px, and ``GAP`` where
background is a narrow gap between nuclei."""
UNTYPED = -1


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled image: RGB uint8 (H, W, 3), int32 (H, W), type by label or None."""

    name: str
    source: str
    image: np.ndarray
    labels: np.ndarray
    types: np.ndarray | None = None


def load_split(root: Path, split: str, sources: Sequence[str]) -> list[Sample]:
    """Load the images of a split that belong to ``sources`` (see ``SHIFTS``)."""
    samples = [*_plain(root, split), *_typed(root / "consep", split)]
    found = [sample for sample in samples if sample.source in sources]
    if not found:
        raise SystemExit(f"{root} has no image of {', '.join(sources)} in split {split!r}.")
    return found


def _rows(root: Path) -> list[dict[str, str]]:
    with (root / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _plain(root: Path, split: str) -> list[Sample]:
    samples = []
    for row in _rows(root):
        here = "val" if row["name"] in HELD_OUT else row["split"]
        small = row["approx_mpp"].startswith("~0.5")
        source = GROUPS.get(row["group"], "monuseg_20x" if small else "monuseg")
        if here == split:
            samples.append(Sample(row["name"], source, *_read(root, row)))
    return samples


def _typed(root: Path, split: str) -> list[Sample]:
    samples = []
    for row in _rows(root):
        if row["split"] == split:
            table = np.loadtxt(root / row["types"], int, delimiter=",", skiprows=1, ndmin=2)
            types = np.zeros(table[:, 0].max() + 1, np.int64)
            types[table[:, 0]] = table[:, 1]
            samples.append(Sample(row["name"], "consep", *_read(root, row), types))
    return samples


def _read(root: Path, row: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    image = cv2.cvtColor(cv2.imread(str(root / row["path"])), cv2.COLOR_BGR2RGB)
    return image, cv2.imread(str(root / row["label"]), cv2.IMREAD_UNCHANGED).astype(np.int32)


class Crops(Dataset[tuple[torch.Tensor, ...]]):
    """Augmented crops; item ``i`` depends on ``seed`` and ``i`` alone.

    Returns image uint8 (3, S, S), labels > 0 int64 (S, S), HV float32 (2, S, S), types int64
    (S, S; -1 = not known), weight float32 (S, S; 0 outside the image).
    """

    def __init__(
        self,
        samples: list[Sample],
        shares: Mapping[str, float],
        length: int,
        seed: int,
        params: AugmentParams,
    ) -> None:
        self.samples, self.length, self.seed, self.params = samples, length, seed, params
        weights = np.array([shares[s.source] * s.labels.size for s in samples], float)
        for source, share in shares.items():
            here = np.array([s.source == source for s in samples])
            weights[here] *= share / weights[here].sum()
        self.weights = weights / weights.sum()
        self._stains: list[Stain] = []

    @property
    def stains(self) -> list[Stain]:
        """Stains of the training images, measured once per process."""
        if not self._stains:
            self._stains = [measure(s.image) for s in self.samples]
        return self._stains

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng((self.seed, index))
        chosen = int(rng.choice(len(self.samples), p=self.weights))
        sample, p = self.samples[chosen], self.params
        enlarge = 2.0 if sample.source == "monuseg_20x" and rng.random() < 0.6 else 1.0
        shift = SHIFTS[sample.source]
        image, labels, real = geometry(sample.image, sample.labels, rng, p, enlarge, shift)
        image = colour(image, labels, rng, p, self.stains[chosen], self.stains)
        image, labels = plant(image, labels, rng, p)
        types = np.full(labels.shape, UNTYPED, np.int64)
        if sample.types is not None:
            types = np.where(real > 0, sample.types[labels], UNTYPED)
        return (
            torch.from_numpy(image.transpose(2, 0, 1).copy()),
            torch.from_numpy((labels > 0).astype(np.int64)),
            torch.from_numpy(hv_targets(labels)),
            torch.from_numpy(types),
            torch.from_numpy(pixel_weights(labels) * real),
        )


def pixel_weights(labels: np.ndarray) -> np.ndarray:
    """1, more at outlines, most in narrow gaps; float32."""
    mask = (labels > 0).astype(np.uint8)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
    distance = np.minimum(np.maximum(inside, outside) - 0.5, 50)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    gap = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disc) - mask
    return np.asarray(1 + RIM * np.exp(-((distance / SIGMA) ** 2)) + GAP * gap, np.float32)
