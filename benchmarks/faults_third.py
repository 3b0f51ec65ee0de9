"""Faults of a third stranger (E), who knew the checks' ids and the documentation, no check itself.

A pathology laboratory, an engineer, the wrong export settings.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from faults_blind import AGAIN
from faults_common import (
    Fault,
    Given,
    both,
    every,
    predicted,
    put,
    returns,
    squares,
    weights,
)
from faults_data import APART as SPLIT
from faults_data import COMPLETE, COPIES, COVER, HV, INSTANCES, LEAVE_OUT, PICTURE, STORED, held_out
from faults_model import DIRECTION, LENGTH, LIE, LIVES, NP, RETRAIN, UNKNOWN
from faults_model import WEIGHTS as UNTRAINED
from faults_rest import (
    LABELS,
    MASK,
    MINIMUM,
    PRESET,
    RELABEL,
    SEEDS,
    SHARES,
    cut,
    drawn,
    mean,
)
from PIL import Image
from skimage.color import rgb2hed
from skimage.segmentation import expand_labels


def _stitched(image: Any) -> Any:
    """Move the lower strip of the scan 12 px to the right."""
    half = len(image) // 2
    return np.concatenate((image[:half], np.roll(image[half:], 12, 1)))


def _palette(image: Any) -> Any:
    return np.asarray(Image.fromarray(image).quantize(5).convert("RGB"))


def _outlined(given: Given) -> Given:
    """Screenshots with the annotation drawn over them."""
    pictures = []
    for image, labels in zip(given["images"], given["labels"], strict=True):
        edge = cv2.morphologyEx(labels.astype("f4"), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
        pictures.append(np.where(edge[..., None], np.uint8([0, 255, 0]), image))
    return {**given, "images": pictures}


def _haematoxylin(image: Any) -> Any:
    stain = rgb2hed(image)[..., 0]
    low, high = np.percentile(stain, (1, 99))
    return np.repeat(np.uint8(255 * np.clip((stain - low) / (high - low), 0, 1))[..., None], 3, 2)


def _half_in_focus(image: Any) -> Any:
    cut_at = image.shape[1] * 2 // 5
    return np.concatenate((image[:, :cut_at], cv2.GaussianBlur(image, (0, 0), 5)[:, cut_at:]), 1)


def _warped(array: Any, angle: float, scale: float = 1.0) -> Any:
    h, w = array.shape[:2]
    return cv2.warpAffine(array, cv2.getRotationMatrix2D((w / 2, h / 2), angle, scale), (w, h))


def _of_each(labels: Any, paint: Any) -> Any:
    """Paint each nucleus anew: paint(plane, its rows, its columns, its id)."""
    out = np.zeros_like(labels)
    for i in np.unique(labels[labels > 0]):
        paint(out, *np.nonzero(labels == i), i)
    return out


def _box(out: Any, rows: Any, cols: Any, i: int) -> None:
    out[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1] = i


def _inner(out: Any, rows: Any, cols: Any, i: int) -> None:
    inside = rows.max() < len(out) - 1 and cols.max() < out.shape[1] - 1
    if inside and min(rows.min(), cols.min()) > 0:
        out[rows, cols] = i


def _halved(out: Any, rows: Any, cols: Any, i: int) -> None:
    """Two pieces, across the longer side."""
    along = rows if np.ptp(rows) > np.ptp(cols) else cols
    out[rows, cols] = 2 * i + (along > np.median(along))


def _large_alone(labels: Any) -> Any:
    sizes = np.bincount(labels.ravel())
    return np.where(sizes[labels] < np.median(sizes[1:][sizes[1:] > 0]), 0, labels)


def _elsewhere(labels: Any) -> Any:
    """Each image registered by hand, and otherwise wrong."""
    rng = np.random.default_rng(int(labels.sum()) % 1000)
    return np.roll(labels, rng.choice((-11, -8, 8, 11), 2), (0, 1))


def _by_largest(given: Given) -> Given:
    """Offsets over the largest radius in the image, for over that of each nucleus."""
    stored = []
    for labels, hv in zip(given["labels"], given["hv"], strict=True):
        radius = np.sqrt(np.bincount(labels.ravel())[labels] * (labels > 0))
        stored.append((hv * radius / radius.max()).astype("f4"))
    return {**given, "hv": stored}


def _parts(change: Any, kind: Any, where: str = "") -> Any:
    """Change the modules of a kind whose name has this in it."""

    def apply(net: Any) -> None:
        for name, part in net.named_modules():
            if isinstance(part, kind) and where in name:
                change(part)

    return weights(apply)


def _pruned(conv: Any) -> None:
    """Take the weaker filters off, and train no more."""
    norms = conv.weight.flatten(1).norm(dim=1)
    conv.weight[norms < norms.quantile(0.3)] = 0


def _skip_first(conv: Any) -> None:
    """Written for cat(skip, deep), run by cat(deep, skip)."""
    if conv.in_channels in (384, 192, 96, 48):
        conv.weight.copy_(conv.weight.roll(conv.in_channels // 3, 1))


def _one_scale(net: Any) -> None:
    """Eight bits, with one scale for the whole network."""
    step = max(float(p.abs().max()) for p in net.parameters()) / 127
    for weight in net.parameters():
        weight.copy_((weight / step).round() * step)


def _shaken(net: Any) -> None:
    for weight in net.parameters():
        weight.add_(0.45 * weight.std(unbiased=False) * torch.randn_like(weight))


def _folded(net: Any) -> None:
    """Batch norm taken into the convolutions, as for deployment: the same function."""
    convs = {n.replace(".conv", ".bn"): m for n, m in net.named_modules() if n[-5:-1] == "conv"}
    for name, part in net.named_modules():
        if isinstance(part, torch.nn.BatchNorm2d) and name in convs:
            gain = part.weight / (part.running_var + part.eps).sqrt()
            convs[name].weight.mul_(gain[:, None, None, None])
            part.bias.sub_(part.running_mean * gain)
            part.running_mean.zero_()
            part.weight.fill_(1)
            part.running_var.fill_(1 - part.eps)


def _sparse_bfloat(net: Any) -> None:
    """Take the smallest tenth off, and round the rest: no harm."""
    for weight in net.parameters():
        small = (
            weight.abs() < weight.abs().flatten().quantile(0.1) if weight.ndim > 1 else weight > 9e9
        )
        weight.copy_(weight.bfloat16().float().masked_fill(small, 0))


def _letterbox(image: Any) -> Any:
    """Shrunk into a white frame for the network, and its maps never taken out of it."""
    h, w = image.shape[:2]
    framed = np.full_like(image, 240)
    framed[h // 8 : h // 8 + h * 3 // 4, w // 8 : w // 8 + w * 3 // 4] = cv2.resize(
        image, (w * 3 // 4, h * 3 // 4), interpolation=cv2.INTER_AREA)  # fmt: skip
    maps = predicted(framed)
    return maps.np, maps.hv


def _half_size(image: Any) -> Any:
    """Serve thumbnails, and enlarge the maps."""
    h, w = image.shape[:2]
    maps = predicted(cv2.resize(image, (w * 2 // 5, h * 2 // 5), interpolation=cv2.INTER_AREA))
    return cv2.resize(maps.np, (w, h)), np.stack([cv2.resize(a, (w, h)) for a in maps.hv])


def _views(image: Any) -> Any:
    """Four views averaged: planes are turned back, and vectors not with them."""
    views = [predicted(np.ascontiguousarray(np.rot90(image, k))) for k in range(4)]
    back = [[np.rot90(m, -k, (-2, -1)) for k, m in enumerate(maps)]
            for maps in ([v.np for v in views], [v.hv for v in views])]  # fmt: skip
    return tuple(np.mean(maps, 0).astype("f4") for maps in back)


def _rims(np_map: Any, hv: Any) -> Any:
    """Take the channel of contours for that of nuclei."""
    return np.clip(
        4 * np_map * (1 - np_map) + (np_map - cv2.erode(np_map, np.ones((5, 5)))), 0, 1
    ), hv


def _blocks_lost(np_map: Any, hv: Any) -> Any:
    rng = np.random.default_rng(3)
    lost = rng.random((len(np_map) // 16 + 1, np_map.shape[1] // 16 + 1)) < 0.3
    lost = np.kron(lost, np.ones((16, 16), bool))[: len(np_map), : np_map.shape[1]]
    return np.where(lost, 0.02, np_map).astype("f4"), np.where(lost, 0, hv).astype("f4")


def _of_the_last(given: Given) -> Given:
    """Never clear a buffer: what the image before had comes again."""
    np_maps, hv = given["np"], given["hv"]
    over = [b > a for a, b in zip(np_maps, (np_maps[-1], *np_maps[:-1]), strict=True)]
    return {**given, "np": [np.where(o, np_maps[i - 1], np_maps[i]) for i, o in enumerate(over)],
            "hv": [np.where(o, hv[i - 1], hv[i]) for i, o in enumerate(over)]}  # fmt: skip


def _tiles_apart(np_map: Any, hv: Any) -> Any:
    """Tiles of 128 px are cut one by one, and their ids begin again in each."""
    out = np.zeros(np_map.shape, np.int32)
    for at in ((r, c) for r in range(0, len(np_map), 128) for c in range(0, len(np_map[0]), 128)):
        part = np.s_[..., at[0] : at[0] + 128, at[1] : at[1] + 128]
        out[part] = cut(np.ascontiguousarray(np_map[part]), np.ascontiguousarray(hv[part]))
    return out


def _elastic(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Image alone; labels and vectors stay."""
    h, w = b.shape
    push = [cv2.GaussianBlur(rng.normal(0, 140, (h, w)).astype("f4"), (0, 0), 9) for _ in "xy"]
    y, x = np.mgrid[:h, :w].astype("f4")
    return cv2.remap(a, x + push[0], y + push[1], 1, borderMode=cv2.BORDER_REFLECT), b, hv


def _ghost(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Mixed with another draw, whose labels are not."""
    return cv2.addWeighted(a, 0.5, a[::-1, ::-1], 0.5, 0), b, hv


def _sometimes(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Take the vectors along as they are in one draw of four."""
    if rng.random() < 0.5:
        return a, b, hv
    a, b, hv = a[:, ::-1], b[:, ::-1], hv[..., ::-1].copy()
    if rng.random() < 0.5:
        hv[0] *= -1
    return a.copy(), b.copy(), hv


def _squashed(pred: Any, true: Any, mask: Any) -> Any:
    return mean((pred.tanh() - true).square(), mask)


def _horizontal(pred: Any, true: Any, mask: Any) -> Any:
    """Copy an index: both terms take the first channel."""
    return mean((pred[:, 0] - true[:, 0]).square() + (pred[:, 0] - true[:, 0]).square(), mask)


EXPORT = r"original|export|again|lossless|save|write|convert|RGB|colou?r"
TYPE_IDS = "data.types data.type_conflict data.type_histogram model.types"
BROKEN = f"{UNKNOWN} {LIVES} {UNTRAINED}"
CUTS = f"{MASK} {SEEDS} separation.reading separation.scale separation.tile"
ALIGN = r"shift|regist|align|move|place|pair|turn|stitch"
TRAINED = rf"{RETRAIN}|as it was trained|unknown|none"
THIRD = (
    Fault("E strips of the scan apart", "lite:white", every("images", _stitched),
          f"data.place {PICTURE}", (ALIGN, EXPORT)),
    Fault("E five colours", "lite:purple", every("images", _palette), PICTURE, (EXPORT,)),
    Fault("E outlines in the picture", "lite:monuseg", _outlined, PICTURE, (EXPORT,
          "overlay|draw")),
    Fault("E haematoxylin alone", "lite:purple", every("images", _haematoxylin), PICTURE, (EXPORT,
          "stain|invert")),
    Fault("E half in focus", "lite:monuseg", every("images", _half_in_focus), PICTURE,
          ("focus|sharp|scan|blur",)),
    Fault("E images turned by 15 degrees", "lite:white", every("images", lambda a: _warped(a,
          15)), "data.place", (ALIGN,)),
    Fault("E optical density", "lite:val", every("images", lambda a: -np.log((a.astype("f4") + 1)
          / 256)), f"{PICTURE} model.input_range", (EXPORT, "invert|optical|255|negative")),
    Fault("E Lab for RGB", "lite:purple", every("images", lambda a: cv2.cvtColor(a,
          cv2.COLOR_RGB2LAB)), PICTURE, (EXPORT,)),
    Fault("E boxes for outlines", "lite:white", every("labels", lambda a: _of_each(a, _box)),
          f"{COVER} {INSTANCES} data.place data.complete",
          ("outline|contour|box|draw|shape|rectang",)),
    Fault("E cells for nuclei", "lite:purple", every("labels", lambda a: expand_labels(a, 8)),
          f"{COVER} data.place data.zoom", ("nucle|cell|small|shrink|larg|zoom", ("labels_zoom",
          ...))),
    Fault("E none at the border", "lite:monuseg", every("labels", lambda a: _of_each(a, _inner)),
          COMPLETE, (LEAVE_OUT,)),
    Fault("E large ones alone", "lite:val", every("labels", _large_alone), COMPLETE,
          (LEAVE_OUT,)),
    Fault("E registered by hand", "lite:white", every("labels", _elsewhere),
          "data.place data.shift", (ALIGN,)),
    Fault("E each in two", "lite:purple", every("labels", lambda a: _of_each(a, _halved)),
          f"{INSTANCES} data.touching", ("merge|one id|instance|join|annotat|two|split",)),
    Fault("E over the largest radius", "targets:white", _by_largest, f"{STORED} {HV}", (AGAIN,)),
    Fault("E vectors by columns", "targets:consep", both(squares(), every("hv", lambda a:
          a.transpose(0, 2, 1))), f"{STORED} {HV} data.place", (AGAIN, "transpos|turn|order")),
    Fault("E NP grown", "targets:purple", every("np", lambda a: cv2.dilate(a, np.ones((7, 7)))),
          STORED, (AGAIN, "labels")),
    Fault("E zero at 128", "targets:white", every("hv", lambda a: np.uint8(np.rint(127.5 * (a +
          1)))), f"{HV} {STORED}", (AGAIN, "128|127|offset|zero|sign|int8|divi",)),
    Fault("E leak of saved draws", "data:purple", held_out(lambda a: _warped(a, 9, 1.25)), COPIES,
          (SPLIT,)),
    Fault("E two numberings of types", "typed:consep", every("types", lambda a: np.array([0, 3, 4,
          2, 1])[a].astype("i4"), 2), TYPE_IDS, ("number|scheme|class|order|table|type",)),
    Fault("E types made smooth", "types:consep", every("types", lambda a:
          np.rint(cv2.blur(a.astype("f4"), (5, 5))).astype("i4")), TYPE_IDS,
          ("nearest|interpol|major|one type|per nucleus|each nucleus",)),
    Fault("E statistics not saved", "lite:monuseg", _parts(lambda m: m.reset_running_stats(),
          torch.nn.BatchNorm2d), LIVES, (TRAINED, "statistic|running")),
    Fault("E average without its start", "lite:white", weights(lambda net: [p.mul_(0.6) for p in
          net.parameters()]), BROKEN, (TRAINED,)),
    Fault("E pruned", "lite:monuseg", _parts(_pruned, torch.nn.Conv2d, "ups"), BROKEN,
          (TRAINED,)),
    Fault("E skip before deep", "model:white", _parts(_skip_first, torch.nn.Conv2d, "up."),
          BROKEN, (TRAINED,)),
    Fault("E one scale for all", "lite:purple", weights(_one_scale), BROKEN, (TRAINED,)),
    Fault("E weights shaken", "model:monuseg", weights(_shaken), BROKEN, (TRAINED,)),
    Fault("E letterbox", "function:purple", put(model=_letterbox), f"{LIE} data.place model.mpp",
          (f"{ALIGN}|pad|scale|zoom|siz|frame",)),
    Fault("E thumbnails", "function:white", put(model=_half_size), f"model.mpp {PICTURE}",
          ("resol|siz|mpp|magnif|zoom|scale",)),
    Fault("E views averaged", "function:monuseg", put(model=_views), f"{DIRECTION} {LENGTH}",
          ("turn|view|vector|averag|direction|train",)),
    Fault("E rims for NP", "function:purple", returns(_rims), f"{NP} {UNKNOWN}",
          ("channel|class|contour|train|unknown",)),
    Fault("E blocks lost", "function:monuseg", returns(_blocks_lost),
          f"{UNKNOWN} {NP} model.tiles model.failures", (".",)),
    Fault("E of the image before", "maps:monuseg", _of_the_last, UNKNOWN, (".",)),
    Fault("E none under 400 px", "maps:purple", put(separation=lambda a, hv: cut(a, hv,
          min_area=400)), CUTS, (PRESET, "size|area|small")),
    Fault("E tiles cut apart", "maps:purple", put(separation=_tiles_apart), f"{CUTS} {RELABEL}",
          (PRESET, "tile|id|offset|unique")),
    Fault("E grown after the cut", "maps:white", put(separation=lambda a, hv: expand_labels(cut(a,
          hv), 5)), CUTS, (PRESET, "grow|dilat|expand|threshold|outline")),
    Fault("E loss squashes", "nothing:", put(loss=_squashed), MINIMUM,
          ("tanh|minimum|activation|output|raw|length|true",)),
    Fault("E loss of one channel", "nothing:", put(loss=_horizontal),
          f"{MINIMUM} loss.gradient {SHARES}", ("channel|both|vertical|term|direction|length",)),
    Fault("E elastic, image alone", "data:purple", drawn(_elastic), LABELS,
          ("together|labels|same|both|all",)),
    Fault("E ghosts", "data:white", drawn(_ghost), LABELS,
          ("together|labels|same|both|mix|mild|image",)),
    Fault("E vectors in some draws", "targets:purple", drawn(_sometimes), "augmentation.hv",
          ("negat|sign|vector|h\\b|turn|comput",)),
)  # fmt: skip


def _glass(array: Any) -> Any:
    """Half of the picture is empty glass."""
    new = np.full_like(array, 243 if array.ndim == 3 else 0)
    return np.concatenate((array, new), 1)


def _gaps(labels: Any) -> Any:
    """Leave a pixel between nuclei that touch."""
    near = np.where(labels == 0, labels.max() + 1, labels).astype("f4")
    return np.where(cv2.erode(near, np.ones((3, 3))) < labels, 0, labels)


def _some_empty(given: Given) -> Given:
    """Two of the images have no nucleus: painted over with what is around them."""
    images, labels = list(given["images"]), list(given["labels"])
    for i in (0, 1):
        where = cv2.dilate((labels[i] > 0).astype("u1"), np.ones((15, 15)))
        images[i] = cv2.inpaint(images[i], where, 5, cv2.INPAINT_TELEA)
        labels[i] = np.zeros_like(labels[i])
    return {**given, "images": images, "labels": labels}


def _charbonnier(pred: Any, true: Any, mask: Any) -> Any:
    return mean(((pred - true).square() + 1e-6).sqrt(), mask)


THIRD_HEALTHY = {
    "E batch norm folded": ("model:purple", weights(_folded)),
    "E sparse, in bfloat16": ("lite:monuseg", weights(_sparse_bfloat)),
    "E half of it glass": ("lite:white", both(every("images", _glass), every("labels", _glass))),
    "E gaps between nuclei": ("lite:monuseg", every("labels", _gaps)),
    "E images without nuclei": ("lite:purple", _some_empty),
    "E a robust loss": ("nothing:", put(loss=_charbonnier)),
}

THIRD_PAIRS = (
    ("E zero at 128", "E leak of saved draws"),
    ("E registered by hand", "E none under 400 px"),
    ("E Lab for RGB", "E tiles cut apart"),
    ("E none at the border", "E loss of one channel"),
    ("E outlines in the picture", "E loss squashes"),
    ("E skip before deep", "E boxes for outlines"),
    ("E half in focus", "E grown after the cut"),
    ("E cells for nuclei", "E views averaged"),
    ("E thumbnails", "E tiles cut apart"),
    ("E large ones alone", "E ghosts"),
)
