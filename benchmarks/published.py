"""The published way of doing things, re-created plainly: what the ratios are against.

What makes it slow is kept on purpose: a mask of the whole image for every nucleus.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.segmentation import watershed

EPSILON = 1e-6


def overlap_tables(true: np.ndarray, pred: np.ndarray) -> tuple[np.ndarray, ...]:
    """Intersection and union of all against all, and all masks; ids 1..n."""
    true_masks = [(true == i).astype(np.uint8) for i in range(1, true.max() + 1)]
    pred_masks = [(pred == i).astype(np.uint8) for i in range(1, pred.max() + 1)]
    both = np.zeros((len(true_masks), len(pred_masks)))
    either = np.zeros_like(both)
    for t, mask in enumerate(true_masks):
        for p in np.unique(pred[mask > 0]):
            if p:
                total = (mask + pred_masks[p - 1]).sum()
                shared = (mask * pred_masks[p - 1]).sum()
                both[t, p - 1], either[t, p - 1] = shared, total - shared
    true_area = np.array([m.sum() for m in true_masks])
    pred_area = np.array([m.sum() for m in pred_masks])
    return both, either, true_area, pred_area


def aji(true: np.ndarray, pred: np.ndarray) -> float:
    """AJI: the best prediction for each, taken or not."""
    both, either, true_area, pred_area = overlap_tables(true, pred)
    iou = both / (either + EPSILON)
    rows = np.flatnonzero(iou.max(axis=1) > 0)
    return _aggregate(rows, iou.argmax(axis=1)[rows], both, either, (true_area, pred_area))


def aji_plus(true: np.ndarray, pred: np.ndarray) -> float:
    """AJI+: partners one to one, from a table of all against all."""
    both, either, true_area, pred_area = overlap_tables(true, pred)
    iou = both / (either + EPSILON)
    rows, columns = linear_sum_assignment(-iou)
    met = iou[rows, columns] > 0
    return _aggregate(rows[met], columns[met], both, either, (true_area, pred_area))


def _aggregate(
    rows: np.ndarray, columns: np.ndarray, both: np.ndarray, either: np.ndarray, areas: tuple
) -> float:
    alone_true = np.delete(areas[0], rows).sum()
    alone_pred = np.delete(areas[1], np.unique(columns)).sum()
    return both[rows, columns].sum() / (either[rows, columns].sum() + alone_true + alone_pred)


def panoptic(true: np.ndarray, pred: np.ndarray) -> float:
    """PQ of the pairs above an IoU of one half."""
    both, either, true_area, pred_area = overlap_tables(true, pred)
    iou = both / (either + EPSILON)
    matched = iou[iou > 0.5]
    dq = len(matched) / (0.5 * (len(true_area) + len(pred_area)))
    return dq * matched.sum() / (len(matched) + EPSILON)


def info(labels: np.ndarray, types: np.ndarray | None = None) -> dict[int, dict[str, Any]]:
    """Box, centroid, contour and type of each nucleus; a full mask for each."""
    found = {}
    for label in np.unique(labels)[1:]:
        mask = labels == label
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        r0, r1, c0, c1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        crop = mask[r0:r1, c0:c1].astype(np.uint8)
        moments = cv2.moments(crop)
        contours, _ = cv2.findContours(crop, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
        centroid = moments["m10"] / moments["m00"] + c0, moments["m01"] / moments["m00"] + r0
        row = {"bbox": (r0, c0, r1, c1), "centroid": centroid, "area": int(crop.sum())}
        row["contour"] = contours[0].reshape(-1, 2) + np.array([c0, r0])
        if types is not None:
            votes = np.bincount(types[r0:r1, c0:c1][crop > 0])
            ranked = [k for k in np.argsort(-votes, kind="stable") if votes[k] and k]
            row["type"] = int(ranked[0]) if ranked else 0
        found[int(label)] = row
    return found


def separate(prob: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Post-processing of the published HoVer-Net, step by step on the whole image."""
    mask = _without_small(ndimage.label(prob >= 0.5)[0], 10) > 0
    blob = mask.astype(np.int32)
    x = cv2.Sobel(_stretch(hv[0]), cv2.CV_64F, 1, 0, ksize=21)
    y = cv2.Sobel(_stretch(hv[1]), cv2.CV_64F, 0, 1, ksize=21)
    energy = np.maximum(1 - _stretch(x), 1 - _stretch(y)) - (1 - blob)
    energy[energy < 0] = 0
    basins = -cv2.GaussianBlur((1.0 - energy) * blob, (3, 3), 0)
    marker = np.clip(blob - (energy >= 0.4), 0, 1)
    marker = ndimage.binary_fill_holes(marker).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    marker = ndimage.label(cv2.morphologyEx(marker, cv2.MORPH_OPEN, disc))[0]
    return watershed(basins, markers=_without_small(marker, 10), mask=mask)


def _stretch(values: np.ndarray) -> np.ndarray:
    return cv2.normalize(values, None, alpha=0, beta=1, norm_type=cv2.NORM_MINMAX, dtype=cv2.CV_32F)


def _without_small(labels: np.ndarray, least: int) -> np.ndarray:
    keep = np.bincount(labels.ravel()) >= least
    return np.where(keep[labels], labels, 0)
