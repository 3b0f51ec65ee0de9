"""A batch to test a loss on: crops of the user's images where there are any."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..hv import hv_targets
from ..synthetic import planted_maps, tissue
from ..types import Float32, Int32, Maps, Progress
from .bench import Bench, Box, busiest
from .items import Item
from .loss_limits import LossLimits

KEPT = "loss.batch"
TYPES = 6
"""Types where the user says nothing, background included."""
SURE = 10.0
"""Logit of NP that is right."""
FURTHEST = 1e-4
"""Probabilities are kept this far from 0 and 1, so that they have logits."""
SEED = 0
SPREAD = 0.5
"""Of the logits of types, which are random."""


@dataclass(frozen=True, eq=False)
class LossBatch:
    """What a network said, and what is true.

    Parameters
    ----------
    logits : float32 tensor (B, 2, H, W)
        NP before softmax.
    hv, target : float32 tensor (B, 2, H, W)
        Predicted and true HV.
    mask : bool tensor (B, H, W)
        Nuclei.
    nt_logits : float32 tensor (B, C, H, W)
        Types, random.
    nt_target : int64 tensor (B, H, W)
    source : str
        Where it is from, for the evidence.
    """

    logits: Tensor
    hv: Tensor
    target: Tensor
    mask: Tensor
    nt_logits: Tensor
    nt_target: Tensor
    source: str

    @property
    def coverage(self) -> float:
        """Share of nucleus pixels."""
        return float(self.mask.float().mean())


@dataclass(frozen=True, eq=False)
class _Crop:
    target: Float32
    mask: npt.NDArray[np.bool_]
    types: npt.NDArray[Any]
    maps: Maps
    predicted: bool


def batch_of(bench: Bench, limits: LossLimits) -> Generator[Progress, None, LossBatch]:
    """Collect a batch; the same one for all checks of a bench.

    Returns
    -------
    LossBatch
        Crops of the busiest parts of the first images, with the network's maps where they are
        HV maps at all, else planted ones; of synthetic tissue where no image is of use.
    """
    if KEPT not in bench.kept:
        crops: list[_Crop] = []
        for index in bench.map_indices[: limits.n_crops]:
            yield Progress(len(crops), limits.n_crops, "Crops for the loss")
            crop = _crop_of(bench, index, limits)
            if crop is not None:
                crops.append(crop)
        types = bench.case.n_types or TYPES
        bench.kept[KEPT] = _stacked(crops, limits, types) or synthetic_batch(limits, types)
    made: LossBatch = bench.kept[KEPT]
    return made


@cache
def synthetic_batch(limits: LossLimits | None = None, n_types: int = TYPES) -> LossBatch:
    """Make a batch of synthetic tissue; always the same.

    Examples
    --------
    >>> tuple(synthetic_batch().hv.shape)
    (4, 2, 128, 128)
    """
    limits = limits or LossLimits()
    crops: list[_Crop] = []
    for seed in range(limits.n_crops):
        labels = tissue((limits.crop, limits.crop), seed=seed).labels
        maps = planted_maps(labels, seed=seed, noise=limits.noise)
        crops.append(_Crop(hv_targets(labels), labels > 0, labels, maps, False))
    return _batch(crops, n_types, "synthetic nuclei")


def _crop_of(bench: Bench, index: int, limits: LossLimits) -> _Crop | None:
    item = bench.item(index)
    if item is None or item.shape is None or min(item.shape) < limits.least_crop:
        return None
    box = busiest(item, item.shape, limits.crop)
    truth = _truth(item, box)
    if truth is None or not _usable(truth[0], limits):
        return None
    target, labels = truth
    maps = bench.maps(index)
    predicted = maps is not None and maps.shape == item.shape
    if maps is not None and predicted:
        r0, r1, c0, c1 = box
        maps = Maps(np=maps.np[r0:r1, c0:c1], hv=maps.hv[:, r0:r1, c0:c1])
        predicted = _usable(maps.hv, limits)
    if maps is None or not predicted:
        maps = planted_maps(labels, seed=index, noise=limits.noise)
    return _Crop(target, labels > 0, _types(item, box, labels), maps, predicted)


def _truth(item: Item, box: Box) -> tuple[Float32, Int32] | None:
    """HV and labels (or a mask, where only targets are stored) of a part of an item."""
    r0, r1, c0, c1 = box
    if item.labels is not None:
        labels = np.ascontiguousarray(item.labels[r0:r1, c0:c1])
        return hv_targets(labels), labels
    if item.target_hv is None or item.target_hv.shape[1:] != item.shape:
        return None
    hv = np.ascontiguousarray(item.target_hv[:, r0:r1, c0:c1])
    if item.target_np is not None and item.target_np.shape == item.shape:
        inside = item.target_np[r0:r1, c0:c1] > 0
    else:
        inside = (hv != 0).any(0)
    return hv, inside.astype(np.int32)


def _usable(hv: Float32, limits: LossLimits) -> bool:
    return bool(np.isfinite(hv).all()) and float(np.abs(hv).max(initial=0)) <= limits.longest


def _types(item: Item, box: Box, labels: Int32) -> npt.NDArray[Any]:
    r0, r1, c0, c1 = box
    if item.types is None or item.types.shape != item.shape:
        return labels
    return np.where(labels > 0, np.maximum(item.types[r0:r1, c0:c1], 1), 0)


def _stacked(crops: list[_Crop], limits: LossLimits, n_types: int) -> LossBatch | None:
    if not crops:
        return None
    edge = min(min(crop.mask.shape) for crop in crops)
    cut = [
        _Crop(
            crop.target[:, :edge, :edge],
            crop.mask[:edge, :edge],
            crop.types[:edge, :edge],
            Maps(np=crop.maps.np[:edge, :edge], hv=crop.maps.hv[:, :edge, :edge]),
            crop.predicted,
        )
        for crop in crops
    ]
    low, high = limits.coverage
    covered = float(np.mean([crop.mask.mean() for crop in cut]))
    if not low <= covered <= high or not any(np.abs(crop.target).any() for crop in cut):
        return None
    whose = "the model's maps" if all(c.predicted for c in cut) else "planted maps"
    n = len(cut)
    many = "crops" if n > 1 else "crop"
    return _batch(cut, n_types, f"{n} {many} of {edge} x {edge} px with {whose}")


def _batch(crops: list[_Crop], n_types: int, source: str) -> LossBatch:
    prob = np.clip(np.stack([crop.maps.np for crop in crops]), FURTHEST, 1 - FURTHEST)
    logit = torch.from_numpy(np.log(prob / (1 - prob)).astype(np.float32))
    kinds = np.stack([crop.types for crop in crops]).astype(np.int64)
    kinds = np.where(kinds > 0, (kinds - 1) % max(n_types - 1, 1) + 1, 0)
    rng = torch.Generator().manual_seed(SEED)
    n, height, width = kinds.shape
    return LossBatch(
        logits=torch.stack((torch.zeros_like(logit), logit), 1),
        hv=torch.from_numpy(np.stack([crop.maps.hv for crop in crops])),
        target=torch.from_numpy(np.stack([crop.target for crop in crops])),
        mask=torch.from_numpy(np.stack([crop.mask for crop in crops])),
        nt_logits=SPREAD * torch.randn((n, max(n_types, 2), height, width), generator=rng),
        nt_target=torch.from_numpy(np.minimum(kinds, max(n_types - 1, 1))),
        source=source,
    )


def sure_logits(mask: Tensor, like: Tensor) -> Tensor:
    """NP that is right, (B, 2, H, W), in the precision of another tensor."""
    sign = torch.where(mask > 0, SURE, -SURE).to(like.dtype)
    return torch.stack((-sign, sign), 1)
