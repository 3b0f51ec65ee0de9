"""Scores on whole validation images, beside the base rates that give them a meaning."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from ..data.samples import Sample, SampleArrays
from ..hv import HVConvention
from ..inference import predict
from ..io.files import atomic_path
from ..losses import HoverLoss
from ..masks import clean_mask, label_parts
from ..measure.compare import all_foreground_dice, oracle
from ..measure.magnitude import MagnitudeBands
from ..measure.metrics import evaluate
from ..params import SeparationParams
from ..separation import separate
from ..types import Bool, Evaluation, Float32, Int32, Maps, Model
from .crops import at_output_size, targets_of, types_of
from .files import folder_for
from .module import outward

EARLY_EPOCH = 5
"""Epoch after which the mean magnitude says whether to go on (see the story in the docs)."""
PREVIEW_EDGE = 1024
"""Longest edge in pixels of the maps kept of the pinned image; its middle is cut out."""
LEAST_PROBABILITY = 1e-7
"""Probabilities are kept this far from 0 and 1 when they are turned back into logits."""
NO_DIRECTION = 1e-6
"""HV vectors not longer than this have no direction."""
BY_PIXEL = ("magnitude", "true_magnitude", "cosine", "hv_mse", "hv_zero_mse")
"""Scores whose mean over images counts every nucleus pixel alike; others every image."""


@dataclass(frozen=True, eq=False)
class Preview:
    """The pinned image as the network sees it."""

    np: Float32  # float32 (H, W)
    hv: Float32  # float32 (2, H, W)
    labels: Int32  # int32 (H, W)

    def write(self, path: Path) -> None:
        """Write as an ``.npz`` of float16 maps and int32 labels."""
        half = {"np": self.np.astype(np.float16), "hv": self.hv.astype(np.float16)}
        _write_npz(path, {**half, "labels": self.labels})


class Validator:
    """Scores a network on the same images each time."""

    def __init__(
        self, samples: Sequence[Sample], loss: HoverLoss, n_types: int | None, most: int
    ) -> None:
        self.samples = tuple(samples[:most])
        self._loss, self._n_types = loss, n_types
        self._oracles: dict[int, Evaluation] = {}
        self._params = SeparationParams()

    @property
    def pinned(self) -> Sample | None:
        """The image whose maps are kept: the first."""
        return self.samples[0] if self.samples else None

    def score(self, model: Model) -> tuple[dict[str, float], Preview | None]:
        """Score the network as it stands; leaves it in eval mode."""
        loss = copy.deepcopy(self._loss).cpu()
        rows, preview = [], None
        for index, sample in enumerate(self.samples):
            truth = sample.arrays
            if model.network.accepts != "image":
                truth = at_output_size(replace(truth, image=None))
            maps = _maps(model, truth)
            labels = separate(maps, self._params).labels
            rows.append(self._row(index, truth, maps, labels))
            rows[-1]["loss"] = _loss_of(loss, truth, maps, self._n_types, sample.name)
            if not index:
                box = middle(maps.shape)
                preview = Preview(maps.np[box], maps.hv[(slice(None), *box)], labels[box])
        return means(rows), preview

    def write_pinned(self, path: Path) -> None:
        """Write the pinned image and its true labels (``.npz``), once for all epochs."""
        if self.pinned is None:
            return
        arrays = self.pinned.arrays
        image: npt.NDArray[np.generic] | None = arrays.image
        if arrays.features is not None:
            arrays = at_output_size(replace(arrays, image=None))
            if image is not None:
                image = cv2.resize(np.asarray(image, np.uint8), arrays.shape[::-1])
        if image is None:
            image = np.zeros((*arrays.shape, 3), np.uint8)
        truth = arrays.labels
        if truth is None:
            truth = label_parts(targets_of(arrays)[0])[0]
        box = middle(arrays.shape)
        _write_npz(path, {"image": image[box], "truth": np.asarray(truth, np.int32)[box]})

    def _row(self, index: int, truth: SampleArrays, maps: Maps, labels: Int32) -> dict[str, float]:
        nucleus, hv = targets_of(truth)
        row = hv_row(maps.hv, hv, nucleus)
        row["all_foreground_dice"] = all_foreground_dice(nucleus)
        mask = clean_mask(maps.np, self._params)
        both = int(nucleus.sum()) + int(mask.sum())
        row["dice"] = 2 * int((nucleus & mask).sum()) / both if both else 1.0
        if truth.labels is None:
            return row
        if index not in self._oracles:
            self._oracles[index] = oracle(truth.labels, self._params)
        scores = {
            "": evaluate(truth.labels, labels),
            "cc_": evaluate(truth.labels, label_parts(mask)[0]),
            "oracle_": self._oracles[index],
        }
        for prefix, found in scores.items():
            row |= {f"{prefix}aji": found.aji, f"{prefix}pq": found.pq}
        return row


def score_of(scores: Mapping[str, float], train: Mapping[str, float]) -> float:
    """Return the number by which models are ranked: AJI + PQ, else minus the loss."""
    if "aji" in scores:
        return scores["aji"] + scores["pq"]
    if scores:
        return -scores["loss"]
    return -train["total"] if "total" in train else -math.inf


def remark(epoch: int, epochs: int, magnitude: float) -> str:
    """Say "go on", "investigate" or "" by the mean magnitude, after epoch 5 and at the end."""
    bands = MagnitudeBands()
    if not epoch or epoch not in (EARLY_EPOCH, epochs):
        return ""
    if magnitude > (bands.healthy if epoch == epochs else bands.weak):
        return "go on"
    return "investigate" if magnitude < bands.collapsed else ""


def hv_row(predicted: Float32, target: Float32, inside: Bool) -> dict[str, float]:
    """Score HV (2, H, W) as ``compare.hv_scores`` does, and count "pixels"; NaN without any."""
    names = (*BY_PIXEL, "pixels")
    if not inside.any():
        return dict.fromkeys(names, math.nan) | {"pixels": 0.0}
    p, t = (x[:, inside].astype(np.float64) for x in (predicted, target))
    length, true_length = np.hypot(*p), np.hypot(*t)
    directed = true_length > NO_DIRECTION
    norm = np.maximum(length, NO_DIRECTION) * np.maximum(true_length, NO_DIRECTION)
    cosine = np.where(length > NO_DIRECTION, (p * t).sum(axis=0) / norm, 0.0)[directed]
    mean_cosine = cosine.mean() if cosine.size else math.nan
    errors = ((p - t) ** 2).mean(), (t**2).mean()
    values = (length.mean(), true_length.mean(), mean_cosine, *errors, inside.sum())
    return dict(zip(names, map(float, values), strict=True))


def means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average scores over images, those in ``BY_PIXEL`` by nucleus pixels."""
    found: dict[str, float] = {}
    names = {name: None for row in rows for name in row if name != "pixels"}
    for name in names:
        there = [row for row in rows if name in row and not math.isnan(row[name])]
        weights = [row["pixels"] if name in BY_PIXEL else 1.0 for row in there]
        total = sum(weights)
        summed = sum(w * row[name] for w, row in zip(weights, there, strict=True))
        found[name] = summed / total if total else math.nan
    return found


def middle(shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the middle of an image, ``PREVIEW_EDGE`` pixels at most."""
    edges = [min(edge, PREVIEW_EDGE) for edge in shape]
    starts = [(whole - edge) // 2 for whole, edge in zip(shape, edges, strict=True)]
    rows, cols = (slice(s, s + e) for s, e in zip(starts, edges, strict=True))
    return rows, cols


def _maps(model: Model, arrays: SampleArrays) -> Maps:
    if model.network.accepts == "image":
        return predict(model, arrays.image)
    model.network.eval()
    tokens = torch.from_numpy(np.asarray(arrays.features, np.float32))[None].to(model.device)
    with torch.no_grad():
        raw = {name: x.float().cpu() for name, x in model.network(tokens).items()}
    hv = outward(raw["hv"], HVConvention.preset(model.info.hv_convention))[0]
    types = raw["tp"].softmax(1)[0].numpy() if "tp" in raw else None
    return Maps(raw["np"].softmax(1)[0, 1].numpy(), np.ascontiguousarray(hv.numpy()), types)


def _loss_of(
    loss: HoverLoss, arrays: SampleArrays, maps: Maps, n_types: int | None, name: str
) -> float:
    """Return the loss of finished maps: their logarithms are logits of the same softmax."""
    nucleus, hv = targets_of(arrays)
    low = np.float32(LEAST_PROBABILITY)
    p = np.clip(maps.np, low, 1 - low)
    nt_logits = nt = None
    if n_types and maps.types is not None and arrays.type_map is not None:
        nt_logits = _batch(np.log(np.clip(maps.types, low, 1 - low)))
        nt = _batch(types_of(arrays, nucleus, n_types, name))
    logits = _batch(np.log(np.stack([1 - p, p])))
    inside = _batch(nucleus.astype(np.int64))
    with torch.no_grad():
        total, _ = loss(logits, _batch(maps.hv), nt_logits, inside, _batch(hv), nt)
    return float(total)


def _batch(array: npt.NDArray[np.generic]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))[None]


def _write_npz(path: Path, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    folder_for(path)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
