"""Generated families of the token decoder, whose tokens know their nuclei; for tests too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.synthetic import tissue

GRID, CELLS, EDGE = 16, 7, 256
"""Patches along an edge, means of each map along that of a patch, pixels of images and targets."""


def tokens_of(
    labels: Any, dim: int = 64, prefix: int = 5, noise: float = 0.05, seed: int = 0
) -> Any:
    """Make tokens from which NP and HV of ``labels`` (H, W) can be learned, and some before them.

    Each is a fixed random projection of what lies under its patch, plus noise.
    """
    maps = np.stack([(labels > 0).astype(np.float32), *hv_targets(labels)])
    small = [cv2.resize(m, (GRID * CELLS,) * 2, interpolation=cv2.INTER_AREA) for m in maps]
    cells = np.stack(small).reshape(3, GRID, CELLS, GRID, CELLS)
    under = cells.transpose(1, 3, 0, 2, 4).reshape(GRID * GRID, -1)
    fixed = np.random.default_rng(dim).standard_normal((under.shape[1], dim))
    rng = np.random.default_rng(seed)
    patches = under @ fixed / np.sqrt(under.shape[1])
    patches += noise * rng.standard_normal(patches.shape)
    return np.concatenate([rng.standard_normal((prefix, dim)), patches]).astype(np.float32)


def write_token_family(
    folder: Path, family: str, n: int = 8, dim: int = 64, folds: int = 0, seed: int = 0
) -> dict[str, Path]:
    """Write ``F_features.npz``, ``F_targets.npz`` and ``F_data_FIXED.npz`` of generated tissue."""
    seeds = [seed * 1000 + i for i in range(n)]
    made = [tissue((EDGE, EDGE), s) for s in seeds]
    labels = np.stack([one.labels for one in made])
    types = [np.concatenate([[0], np.minimum(t.types, 4)])[t.labels] for t in made]
    tokens = [tokens_of(t.labels, dim, seed=s) for t, s in zip(made, seeds, strict=True)]
    targets: dict[str, Any] = {
        "np_targets": (labels > 0).astype(np.uint8),
        "hv_targets": np.stack([hv_targets(plane) for plane in labels]),
        "nt_targets": np.stack(types).astype(np.uint8),
        "inst_maps": labels,
    }
    data = {"images": np.stack([one.image for one in made]), **targets}
    if folds:
        data |= {"fold_ids": np.arange(n) % folds + 1, "image_ids": np.arange(n)}
    arrays = {"features": {"features": np.stack(tokens).astype(np.float16)}, "targets": targets,
              "data_FIXED": data}  # fmt: skip
    written = {kind.partition("_")[0]: folder / f"{family}_{kind}.npz" for kind in arrays}
    for path, one in zip(written.values(), arrays.values(), strict=True):
        np.savez(path, **one)
    return written
