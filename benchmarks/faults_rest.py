"""Faults of separations, losses and augmentations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
from faults_common import Fault, Given, Mend, Plant, put
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import clear_border, watershed
from torch import Tensor

import napari_hovernet as nh
from napari_hovernet.core.losses import HoverLoss

# --- separations -----------------------------------------------------------------------


def cut(np_map: Any, hv: Any, **changes: Any) -> Any:
    """Cut well, but for what is changed."""
    return nh.separate(nh.Maps(np=np_map, hv=hv), replace(nh.SeparationParams(), **changes)).labels


def _changed(preset: str = "local", **changes: Any) -> Plant:
    return put(separation=replace(nh.SeparationParams.preset(preset), **changes))


def _own(made: Callable[[Any, Any], Any]) -> Plant:
    def own_separation(np_map: Any, hv: Any) -> Any:
        return made(np_map, hv)

    return put(separation=own_separation)


def _flooded(energy: Any, seeds: Any, mask: Any) -> Any:
    return watershed(energy, seeds, mask=mask)


def _rim_peaks(np_map: Any, hv: Any) -> Any:
    mask, size = np_map > 0.5, np.hypot(*hv)
    peaks = peak_local_max(size, min_distance=4, threshold_abs=0.05, labels=mask.astype(int))
    seeds = np.zeros(mask.shape, int)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return _flooded(-size, seeds, mask)


def _steep(hv: Any) -> Any:
    return np.maximum(abs(np.gradient(hv[0], axis=1)), abs(np.gradient(hv[1], axis=0)))


def _absolute_gradient(np_map: Any, hv: Any) -> Any:
    """Take for border where HV changes by more than a fixed amount."""
    mask, steep = np_map > 0.5, _steep(hv)
    seeds = ndimage.label(mask & (steep < 0.2) & (np.hypot(*hv) < 0.7))[0]
    return _flooded(steep, seeds, mask)


def _without_markers(np_map: Any, hv: Any) -> Any:
    """Every local minimum of the energy is a seed."""
    return _flooded(sum(np.hypot(*np.gradient(plane)) for plane in hv), None, np_map > 0.5)


def _eroded_markers(np_map: Any, hv: Any) -> Any:
    mask = np_map > 0.5
    seeds = ndimage.label(ndimage.binary_erosion(cut(np_map, hv) > 0, iterations=7))[0]
    return _flooded(-np_map, seeds, mask)


def _without_hv(np_map: Any, hv: Any) -> Any:
    """Label what is left of the mask after erosion, and grow it back."""
    mask = np_map > 0.5
    seeds = ndimage.label(ndimage.binary_erosion(mask))[0]
    return _flooded(-ndimage.distance_transform_edt(mask), seeds, mask)


def _without_mask(np_map: Any, hv: Any) -> Any:
    labels = cut(np_map, hv)
    r, c = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return labels[r, c] if labels.any() else labels


def _by_tiles(np_map: Any, hv: Any) -> Any:
    """Cut tiles of 64 px one by one, and count the ids on."""
    out, n = np.zeros(np_map.shape, int), 0
    for r in range(0, np_map.shape[0], 64):
        for c in range(0, np_map.shape[1], 64):
            at = np.s_[r : r + 64, c : c + 64]
            labels = cut(np_map[at], hv[(slice(None), *at)])
            out[at] = np.where(labels > 0, labels + n, 0)
            n += int(labels.max())
    return out


def _random_cut(np_map: Any, hv: Any) -> Any:
    return cut(np_map, hv + np.random.normal(0, 0.8, hv.shape).astype("f4"))  # noqa: NPY002


def _fails(np_map: Any, hv: Any) -> Any:
    raise IndexError("index 3 is out of bounds")


def _hot_pixel(given: Given) -> Given:
    """One pixel of HV in each image is far out; the stretching of hover_net sees nothing else."""
    hv = [a.copy() for a in given["hv"]]
    for a in hv:
        a[:, 5, 5] = 60
    return {**given, "hv": hv, "separation": "hover_net"}


# --- losses ----------------------------------------------------------------------------


def mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over nucleus pixels; of (B, 2, H, W) over both channels."""
    inside = mask.float() if values.ndim == 3 else mask.float()[:, None].expand_as(values)
    return (values * inside).sum() / inside.sum().clamp(min=1)


def _length(hv: Tensor) -> Tensor:
    return (hv.square().sum(1) + 1e-6).sqrt()


def _loss(compute: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Plant:
    def own_loss(pred: Tensor, true: Tensor, mask: Tensor) -> Tensor:
        return compute(pred, true, mask)

    return put(loss=own_loss)


def _outside_root(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
    size, wanted = (x.square().sum(1).sqrt() + 1e-6 for x in (p, t))
    return mean((size - wanted).square(), m)


def _nan_without_nuclei(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
    inside = m.float()[:, None]
    return ((p - t).square() * inside).sum() / (2 * inside.sum())


def _direction(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
    return mean(1 - (p * t).sum(1) / (_length(p) * _length(t)), m)


def _mean_first(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
    """Average over the pixels before the square: errors cancel."""
    inside = m.float()[:, None]
    total = ((p - t) * inside).sum((2, 3)) / inside.sum((2, 3)).clamp(min=1)
    return total.square().mean()


def _on_the_background(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
    return mean((p - t).square(), 1 - m.float())


def _other_masks(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
    """Broadcast masks over the batch: each sample is seen through those of all the others."""
    inside = m.float().flip(0)[:, None]
    return ((p - t).square() * inside).sum() / (2 * inside.sum().clamp(min=1))


# --- augmentations ---------------------------------------------------------------------


def drawn(change: Callable[..., Any]) -> Plant:
    """Give an augmentation f(image, labels, hv) with random numbers of its own."""

    def plant(given: Given) -> Given:
        draw = partial(change, np.random.default_rng(7))

        def own_augmentation(image: Any, labels: Any, hv: Any) -> Any:
            return draw(image, labels, hv)

        return {**given, "augmentation": own_augmentation}

    return plant


def flips(hv_signs: tuple[int, int], image: bool = True, labels: bool = True) -> Plant:
    """Mirror left and right, every other time."""
    signs = np.array(hv_signs, "f4")[:, None, None]

    def change(rng: Any, a: Any, b: Any, hv: Any) -> Any:
        if rng.random() < 0.5:
            return a, b, hv
        a = a[:, ::-1].copy() if image else a
        return (a, b[:, ::-1].copy(), hv[:, :, ::-1] * signs) if labels else (a, b, hv)

    return drawn(change)


def _turns(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Turn by 90 degrees; vectors stay."""
    k = int(rng.integers(4))
    return (np.rot90(a, k).copy(), np.rot90(b, k).copy(), np.rot90(hv, k, (1, 2)).copy())


def _turns_labels(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Turn labels and HV, not the image."""
    edge = min(b.shape)
    k, a, b, hv = 1 + int(rng.integers(3)), a[:edge, :edge], b[:edge, :edge], hv[:, :edge, :edge]
    turned = nh.hv_targets(np.rot90(b, k))
    return a.copy(), np.rot90(b, k).copy(), turned


def _transposes(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    if rng.random() < 0.5:
        return a, b, hv
    return a.swapaxes(0, 1).copy(), b.T.copy(), hv.swapaxes(1, 2).copy()


def _warped(matrix: Any, a: Any, b: Any, hv: Any, nearest: bool = True) -> Any:
    size, how = b.shape[::-1], cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    labels = np.rint(cv2.warpAffine(b.astype("f4"), matrix, size, flags=how)).astype(np.int32)
    planes = np.stack([cv2.warpAffine(p.astype("f4"), matrix, size) for p in hv])
    return cv2.warpAffine(a, matrix, size), labels, planes


def _matrix(shape: Any, angle: float, zoom: float = 1.0) -> Any:
    return cv2.getRotationMatrix2D((shape[1] / 2, shape[0] / 2), angle, zoom)


def angle_without_vectors(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Turn by an angle; vectors stay."""
    return _warped(_matrix(b.shape, rng.uniform(20, 60)), a, b, hv)


def _smooth_labels(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    image, labels, _ = _warped(_matrix(b.shape, rng.uniform(-20, 20)), a, b, hv, nearest=False)
    return image, labels, nh.hv_targets(labels)


def _zooms_image(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    size = b.shape[::-1]
    return cv2.warpAffine(a, _matrix(b.shape, 0, 1.5), size, borderMode=cv2.BORDER_REFLECT), b, hv


def _turns_image_a_little(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    matrix = _matrix(b.shape, rng.choice((-8, 8)))
    return cv2.warpAffine(a, matrix, b.shape[::-1], borderMode=cv2.BORDER_REFLECT), b, hv


def _moves(rng: Any, shape: Any, size: float) -> list[Any]:
    """Draw where each pixel comes from, for an elastic move."""
    field = [cv2.GaussianBlur(rng.normal(0, 1, shape).astype("f4"), (0, 0), 12) for _ in "xy"]
    grid = np.indices(shape).astype("f4")[::-1]
    return [g + size * f / abs(f).max() for g, f in zip(grid, field, strict=True)]


def _elastic(parts: str, size: float = 14) -> Plant:
    """Move pixels smoothly: those of "image", "labels", "hv" as named; vectors are not moved."""

    def change(rng: Any, a: Any, b: Any, hv: Any) -> Any:
        at = _moves(rng, b.shape, size)
        a = cv2.remap(a, *at, cv2.INTER_LINEAR) if "image" in parts else a
        b = cv2.remap(b.astype("f4"), *at, 0).astype("i4") if "labels" in parts else b
        if "swapped" in parts:
            hv = nh.hv_targets(b)[::-1].copy()
        elif "hv" in parts:
            hv = np.stack([cv2.remap(p.astype("f4"), *at, 0) for p in hv])
        return a, b, hv

    return drawn(change)


def _crops_apart(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Draw the place of the crop once for the image and once for the labels."""
    r, c, y, x = rng.integers(0, 40, 4)
    h, w = b.shape[0] - 40, b.shape[1] - 40
    return a[r : r + h, c : c + w], b[y : y + h, x : x + w], hv[:, y : y + h, x : x + w]


def _image_only(change: Callable[[Any, Any], Any]) -> Plant:
    return drawn(lambda rng, a, b, hv: (change(rng, a), b, hv))


def _black(rng: Any, image: Any) -> Any:
    return (image * rng.uniform(0, 0.08)).astype(np.uint8)


def _overflows(rng: Any, image: Any) -> Any:
    return image + np.uint8(rng.integers(60, 120))


def _sets(name: str, low: float, high: float) -> Mend:
    return ("separation", lambda v: low <= v.get(name, math.inf) <= high)


SEEDS = "separation.seeds separation.rim_seeds separation.under separation.over"
RELABEL = "separation.relabel separation.components"
ORACLE = "separation.oracle separation.tuning separation.under separation.over"
READS = "separation.reading separation.turns separation.hv separation.hv_order"
MASK = "separation.threshold separation.mask separation.oracle separation.tuning"
TILE = "separation.tile separation.scale separation.tuning separation.oracle"
MINIMUM = "loss.minimum loss.direction loss.scale_of_prediction"
GRADIENT = "loss.gradient loss.finite loss.gradient_share"
SHARES = (
    "loss.weights loss.mask loss.denominator loss.share loss.gradient_share loss.types_background"
)
LABELS = "augmentation.labels augmentation.image"
VECTORS = "augmentation.hv augmentation.mean"
PRESET = ("separation", lambda v: v.get("preset") in ("local", "hover_net"))
ANEW = ("separation", lambda v: PRESET[1](v) or v.get("merge_touching") is False)
NEGATE = r"negat|sign|vector|convention|\bh\b|\bv\b|recompute|from the labels|channel|swap|turn"
TOGETHER = r"together|labels|same|both|hv|transform"

SEPARATION = (
    Fault("relabel preset", "model:purple", put(separation="merging_relabel"), RELABEL, (ANEW,)),
    Fault("relabel preset, no labels", "bare:monuseg", put(separation="merging_relabel"), RELABEL,
          (ANEW, r"relabel|label.*anew|merge")),
    Fault("own relabel", "maps:consep", _own(lambda p, hv: ndimage.label(cut(p, hv) > 0)[0]),
          RELABEL, (PRESET, r"label\(|relabel|anew|again|union")),
    Fault("rim peaks preset", "model:val", put(separation="magnitude_peaks"), SEEDS, (PRESET,)),
    Fault("own rim seeds", "maps:purple", _own(_rim_peaks), SEEDS, (PRESET, r"seed|centre|rim")),
    Fault("absolute gradient", "maps:white", _own(_absolute_gradient), TILE + " " + ORACLE,
          (PRESET, r"threshold|relative|scale|fixed")),
    Fault("watershed without markers", "maps:monuseg", _own(_without_markers), SEEDS + " " + ORACLE,
          (PRESET, r"marker|seed")),
    Fault("markers eroded away", "maps:purple", _own(_eroded_markers), SEEDS + " " + ORACLE,
          (PRESET, r"marker|seed|erod|open")),
    Fault("cut without hv", "maps:golden", _own(_without_hv), RELABEL + " " + ORACLE + " " + READS,
          (PRESET, r"\bhv\b")),
    Fault("cut with swapped hv", "maps:monuseg", _own(lambda p, hv: cut(p, hv[::-1].copy())),
          READS + " separation.oracle", (PRESET, r"swap|order|\[?V, ?H|channel")),
    Fault("cut with inward hv", "model:white", _own(lambda p, hv: cut(p, -hv)),
          READS + " separation.oracle", (PRESET, r"sign|inward|outward|negat")),
    Fault("depth too large", "model:purple", _changed(depth=3.0), ORACLE,
          (PRESET, _sets("depth", 0, 1))),
    Fault("depth zero, fine scale", "maps:monuseg", _changed(depth=0.0, scales=(0.6,)), ORACLE,
          (PRESET, ("separation", lambda v: "depth" in v or "scales" in v))),
    Fault("threshold 0.98", "model:val", _changed(np_threshold=0.98), MASK,
          (("np_threshold", lambda v: v < 0.9), PRESET, _sets("np_threshold", 0.05, 0.9))),
    Fault("threshold 0.01", "maps:consep", _changed(np_threshold=0.01, min_mean_np=0.0), MASK,
          (("np_threshold", lambda v: v > 0.1), PRESET, _sets("np_threshold", 0.1, 0.9))),
    Fault("smallest area in wrong units", "model:purple", _changed(min_area=1500), ORACLE,
          (PRESET, _sets("min_area", 0, 500))),
    Fault("no np mask in the watershed", "maps:white", _own(_without_mask), MASK,
          (PRESET, r"mask|np")),
    Fault("cut moved by 6 px", "maps:golden",
          _own(lambda p, hv: np.roll(cut(p, hv), (6, 6), (0, 1))),
          READS + " separation.shift separation.oracle", (PRESET, r"shift|mov|off|crop|pad")),
    Fault("nuclei at borders removed", "maps:gen", _own(lambda p, hv: clear_border(cut(p, hv), 40)),
          ORACLE + " " + MASK, (PRESET, r"border|lost|lose|drop|filter|remove|edge")),
    Fault("cut tile by tile", "maps:purple", _own(_by_tiles), "separation.tile " + ORACLE,
          (PRESET, r"tile|whole|overlap|seam|join")),
    Fault("cut at random", "model:gen", _own(_random_cut), "separation.deterministic " + ORACLE,
          (PRESET, r"random|seed|twice|deterministic|same")),
    Fault("cut fails", "maps:val", _own(_fails),
          "separation.deterministic separation.failures separation.oracle",
          (PRESET, r"fail|error|mend|fix|index")),
    Fault("published cut, borders at 0.95", "model:consep",
          _changed("hover_net", energy_threshold=0.95), ORACLE,
          (PRESET, _sets("energy_threshold", 0, 0.8))),
    Fault("published cut, one hot pixel", "maps:monuseg", _hot_pixel,
          TILE + " model.hv_scale model.hv_outside model.hv_length model.hv_range",
          (PRESET, r"outlier|clip|stretch|min.?max|far")),
    Fault("given instances are components", "data:purple",
          lambda g: {**g, "instances": [ndimage.label(a > 0)[0] for a in g["labels"]]},
          RELABEL + " " + ORACLE + " model.score", (r"relabel|touch|component|apart|cut",)),
)  # fmt: skip

LOSS = (
    Fault("epsilon outside", "nothing:", _loss(_outside_root), GRADIENT,
          (r"inside|under|epsilon|eps",)),
    Fault("NaN without nuclei", "nothing:", _loss(_nan_without_nuclei),
          GRADIENT + " loss.mask loss.denominator",
          (r"clamp|without nuclei|no nucle|empty|divi|zero",)),
    Fault("mean over all pixels", "nothing:",
          _loss(lambda p, t, m: ((p - t).square() * m.float()[:, None]).mean()), SHARES,
          (r"nucle|mask|divide|number of",)),
    Fault("loss on the background", "nothing:", _loss(_on_the_background), SHARES + " loss.minimum",
          (r"mask|nucle|inside|background",)),
    Fault("masks of other samples", "data:purple", _loss(_other_masks), SHARES + " loss.minimum",
          (r"mask|broadcast|sample|batch|axis|own",)),
    Fault("length only", "nothing:",
          _loss(lambda p, t, m: mean((_length(p) - _length(t)).square(), m)),
          "loss.direction " + MINIMUM, (r"direction|mse|squared|component|both",)),
    Fault("squares of lengths only", "nothing:",
          _loss(lambda p, t, m: mean((p.square().sum(1) - t.square().sum(1)).square(), m)),
          "loss.direction " + MINIMUM, (r"direction|mse|squared|component|both",)),
    Fault("direction only", "nothing:", _loss(_direction), MINIMUM,
          (r"length|magnitude|mse|squared|scale",)),
    Fault("loss of the wrong sign", "nothing:", _loss(lambda p, t, m: -mean((p - t).square(), m)),
          MINIMUM, (r"sign|negat|minus|maxim",)),
    Fault("loss of the other channel", "nothing:",
          _loss(lambda p, t, m: mean((p - t.flip(1)).square(), m)), MINIMUM,
          (r"channel|swap|order",)),
    Fault("mean before the square", "nothing:", _loss(_mean_first), MINIMUM,
          (r"mean|axis|square|pixel|average|order",)),
    Fault("detached", "nothing:",
          _loss(lambda p, t, m: mean((p.detach() - t).square(), m) + 0 * p.sum()), GRADIENT,
          (r"detach|gradient|graph|no_grad|item",)),
    Fault("clamped prediction", "nothing:",
          _loss(lambda p, t, m: mean((p.clamp(0, 1) - t.clamp(0, 1)).square(), m)),
          GRADIENT + " " + MINIMUM, (r"clamp|clip|negative|relu",)),
    Fault("no hv loss", "model:val", put(loss=HoverLoss(lambda_hv=0.0)),
          "loss.share loss.weights " + MINIMUM + " " + GRADIENT, (r"lambda_hv|lambda|weight",)),
    Fault("hv drowns np", "nothing:", put(loss=HoverLoss(lambda_hv=400.0)), SHARES,
          (r"lambda|weight",)),
    Fault("types over the background", "types:consep", put(loss=HoverLoss(nt_inside_only=False)),
          SHARES, (r"inside|background|nucle",)),
)  # fmt: skip

AUGMENTATION = (
    Fault("augmentation of the story", "targets:purple", put(augmentation="story"), VECTORS,
          (NEGATE,)),
    Fault("flips the image only", "data:white", flips((1, 1), labels=False), LABELS, (TOGETHER,)),
    Fault("flips without negating", "targets:consep", flips((1, 1)), VECTORS, (NEGATE,)),
    Fault("flips, wrong channel negated", "targets:gen", flips((1, -1)), VECTORS, (NEGATE,)),
    Fault("turns without vectors", "targets:monuseg", drawn(_turns), VECTORS, (NEGATE,)),
    Fault("turns labels, not the image", "targets:purple", drawn(_turns_labels), LABELS,
          (TOGETHER,)),
    Fault("transposes without swapping channels", "targets:gen", drawn(_transposes), VECTORS,
          (NEGATE,)),
    Fault("turns by an angle without vectors", "targets:consep", drawn(angle_without_vectors),
          VECTORS, (NEGATE + "|rotat",)),
    Fault("labels interpolated", "targets:white", drawn(_smooth_labels), LABELS,
          (r"nearest|interpol",)),
    Fault("image zoomed under its labels", "data:purple", drawn(_zooms_image), LABELS,
          (TOGETHER + "|zoom|scale",)),
    Fault("image turned by 8 degrees", "targets:white", drawn(_turns_image_a_little), LABELS,
          (TOGETHER + "|rotat|angle|turn",)),
    Fault("elastic image over resting labels", "data:monuseg", _elastic("image"), LABELS,
          (TOGETHER + "|elastic|warp",)),
    Fault("elastic, hv swapped", "targets:gen", _elastic("image labels swapped", 8), VECTORS,
          (NEGATE,)),
    Fault("crops drawn twice", "targets:consep", drawn(_crops_apart), LABELS,
          (TOGETHER + "|crop|place|window",)),
    Fault("channels shuffled", "data:purple",
          _image_only(lambda rng, a: a[..., rng.permutation(3)].copy()),
          "augmentation.image " + LABELS, (r"channel|colou?r|order",)),
    Fault("colour jitter to black", "data:white", _image_only(_black),
          "augmentation.image " + LABELS, (r"dark|black|range|bright|jitter|weaker",)),
    Fault("bytes that overflow", "targets:consep", _image_only(_overflows),
          "augmentation.image " + LABELS, (r"overflow|wrap|clip|uint8|range|byte",)),
    Fault("labels lost", "data:consep",
          drawn(lambda rng, a, b, hv: (a, (b % 3).astype(np.uint8), hv)), LABELS,
          (r"id|label|uint8|bit|instance",)),
)  # fmt: skip
