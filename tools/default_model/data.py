"""Images with labels from an ``index.csv``, drawn with a seed that fixes every sample."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from napari_hovernet.core.hv import hv_targets

from .augment import EARLY, LATE, colour, geometry


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled image: RGB uint8 (H, W, 3), int32 (H, W)."""

    name: str
    source: str
    image: np.ndarray
    labels: np.ndarray


def load_split(root: Path, split: str) -> list[Sample]:
    """Load all images of a split named in ``root/index.csv``."""
    with (root / "index.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    if not rows:
        raise SystemExit(f"{root / 'index.csv'} lists no image of split {split!r}.")
    return [
        Sample(
            row["name"],
            row["group"],
            cv2.cvtColor(cv2.imread(str(root / row["path"])), cv2.COLOR_BGR2RGB),
            cv2.imread(str(root / row["label"]), cv2.IMREAD_UNCHANGED).astype(np.int32),
        )
        for row in rows
    ]


class Crops(Dataset[tuple[torch.Tensor, ...]]):
    """Augmented crops; item ``i`` depends on ``seed`` and ``i`` alone.

    From item ``late`` on the augmentation is ``LATE``.

    Returns image uint8 (3, S, S), NP int64 (S, S), HV float32 (2, S, S) and the mask
    float32 (S, S) of pixels that lie in the image.
    """

    def __init__(
        self, samples: list[Sample], shares: dict[str, float], length: int, late: int, seed: int
    ) -> None:
        self.samples, self.length, self.late, self.seed = samples, length, late, seed
        weights = np.array([shares[s.source] * s.labels.size for s in samples], float)
        for source, share in shares.items():
            here = np.array([s.source == source for s in samples])
            weights[here] *= share / weights[here].sum()
        self.weights = weights / weights.sum()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng((self.seed, index))
        sample = self.samples[int(rng.choice(len(self.samples), p=self.weights))]
        params = EARLY if index < self.late else LATE
        image, labels, real = geometry(sample.image, sample.labels, rng, params)
        image = colour(image, labels, rng, params)
        hv = hv_targets(labels)
        return (
            torch.from_numpy(image.transpose(2, 0, 1).copy()),
            torch.from_numpy((labels > 0).astype(np.int64)),
            torch.from_numpy(hv),
            torch.from_numpy(real.astype(np.float32)),
        )
