"""Faults of images, labels, types and stored targets, and of how they are split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from faults_common import (
    EDGE,
    Fault,
    Given,
    Plant,
    both,
    crops,
    every,
    moved,
    resized,
    squares,
    undoes,
)
from scipy import ndimage

from napari_hovernet.core.diagnosis.bench import zoomed_about_centre
from napari_hovernet.core.hv import HVConvention, hv_targets

# --- labels ----------------------------------------------------------------------------


def _labels(change: Callable[[Any], Any], step: int = 1) -> Plant:
    return every("labels", change, step)


def _keeps(share: float) -> Plant:
    def change(labels: Any) -> Any:
        ids = np.random.default_rng(1).permutation(np.unique(labels)[1:])
        return np.where(np.isin(labels, ids[round(share * len(ids)) :]), 0, labels)

    return _labels(change)


def _right_half_empty(labels: Any) -> Any:
    return np.where(np.arange(labels.shape[1]) > labels.shape[1] // 2, 0, labels)


def _large_ones_only(labels: Any) -> Any:
    area = np.bincount(labels.ravel())
    return np.where(area[labels] < np.median(area[1:][area[1:] > 0]), 0, labels)


def _cut_along(edge: int) -> Plant:
    def change(labels: Any) -> Any:
        rows, cols = np.indices(labels.shape) // edge
        return np.where(labels > 0, labels + 4000 * (16 * rows + cols), 0)

    return _labels(change)


def _swollen(labels: Any) -> Any:
    distance, (r, c) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    return np.where(distance <= 5, labels[r, c], 0)


def _inner(labels: Any, size: int) -> Any:
    """Pixels whose whole neighbourhood has one id."""
    return ndimage.minimum_filter(labels, size) == ndimage.maximum_filter(labels, size)


def jpeg(quality: int) -> Callable[[Any], Any]:
    """Compress an image, or labels, and read it again."""

    def change(a: Any) -> Any:
        bits = cv2.imencode(".jpg", a.astype(np.uint8), (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
        return cv2.imdecode(bits, cv2.IMREAD_COLOR if a.ndim == 3 else cv2.IMREAD_GRAYSCALE)

    return change


def _resized_smoothly(labels: Any) -> Any:
    small = cv2.resize(labels.astype("f4"), None, fx=0.5, fy=0.5)
    return np.rint(cv2.resize(small, labels.shape[::-1])).astype(np.int32)


def _palette(labels: Any) -> Any:
    """Save in 20 colours, read as grey."""
    grey = np.random.default_rng(0).permutation(np.arange(20, 250))[:20]
    return np.where(labels > 0, grey[labels % 20], 0)


def _components(labels: Any) -> Any:
    return ndimage.label(labels > 0)[0].astype(np.int32)


def _background_too(labels: Any) -> Any:
    out = ndimage.label(labels == 0)[0].astype(np.int32)
    return np.where(ndimage.binary_erosion(labels > 0, iterations=2), 0, out)


def _next(given: Given) -> Given:
    first = given["labels"]
    return {**given, "labels": [*first[1:], first[0]]}


LEXICAL = sorted(range(12), key=lambda i: str(i + 1))
"""Images 1 to 12 in the order of their names as text: 1, 10, 11, 12, 2 ..."""


def _sorted_as_text(given: Given) -> Given:
    names = [f"image_{i + 1}" for i in range(12)]
    return {**given, "names": names, "labels": [given["labels"][i] for i in LEXICAL]}


# --- images ----------------------------------------------------------------------------


def _images(change: Callable[[Any], Any], step: int = 1) -> Plant:
    return every("images", change, step)


def _scaled(factor: float, offset: float = 0) -> Plant:
    return _images(lambda a: np.clip(a.astype("f4") * factor + offset, 0, 255).astype(np.uint8))


def _imagenet(image: Any) -> Any:
    return ((image / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).astype("f4")


def _one_channel(image: Any) -> Any:
    return image * np.array([1, 0, 0], np.uint8)


def _truncated(image: Any) -> Any:
    out = image.copy()
    out[len(out) // 3 :] = 128
    return out


# --- copies and leaks ------------------------------------------------------------------


def _twice(given: Given) -> Given:
    return {**given, **{n: [*given[n], *given[n][:3]] for n in ("images", "labels")}}


def held_out(change: Callable[[Any], Any]) -> Plant:
    """Put two images, changed, on the other side of the split too."""
    others = [5, 3]
    return lambda g: {**g, "held_out": [*crops("val")[0][:2],
                                        *(change(g["images"][i]) for i in others)]}  # fmt: skip


def _overlapping(rows: int, cols: int) -> Plant:
    """Cut the other side of the split from the same large images."""
    return lambda g: {**g, "held_out": crops("monuseg train", (rows, cols))[0]}


# --- types and targets -----------------------------------------------------------------


def _types(change: Callable[[Any], Any]) -> Plant:
    return every("types", change)


def _from_neoplastic(given: Given) -> Given:
    """Store types as PanNuke's masks have them: 0 is neoplastic, and the background is 0 too."""
    return {**given, "types": [np.maximum(a - 1, 0) for a in given["types"]], "n_types": 5}


def _hv(change: Callable[[Any], Any], step: int = 1) -> Plant:
    return every("hv", change, step)


def _from_labels(make: Callable[[Any], Any]) -> Plant:
    return lambda g: {**g, "hv": [make(a) for a in g["labels"]]}


def stored_as(**convention: Any) -> Plant:
    """Store HV in another convention."""
    return _from_labels(lambda a: hv_targets(a, HVConvention(**convention)))


def _in_pixels(labels: Any) -> Any:
    hv, inside = np.zeros((2, *labels.shape), "f4"), labels > 0
    ids = np.unique(labels[inside])
    centres = np.zeros((labels.max() + 1, 2))
    centres[ids] = ndimage.center_of_mass(inside, labels, ids)
    rows, cols = np.nonzero(inside)
    y, x = centres[labels[inside]].T
    hv[:, rows, cols] = cols - x, rows - y
    return hv


def _halves(hv: Any) -> Any:
    size = hv.shape[:0:-1]
    small = [cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_LINEAR) for p in hv]
    return np.stack([cv2.resize(p, size, interpolation=cv2.INTER_LINEAR) for p in small])


def _overflown(hv: Any) -> Any:
    with np.errstate(over="ignore"):
        return (1e5 * hv).astype(np.float16)


def _noise(given: Given) -> Given:
    rng = np.random.default_rng(4)
    return {**given, "hv": [rng.uniform(-1, 1, (2, *a.shape)).astype("f4")
                            for a in given["labels"]]}  # fmt: skip


INSTANCES = "data.labels data.masks data.components data.fragments"
COVER = "data.coverage data.background data.labels data.masks"
COMPLETE = "data.complete data.unlabelled data.labels_complete"
PLACE = "data.place data.shift data.flip data.pairing data.zoom data.scale"
COPIES = "data.leak data.leaks data.copies data.duplicates"
TYPES = "data.types data.type_conflict data.type_histogram"
INPUT = "model.input model.channel_order model.input_range model.normalisation data.images"
PICTURE = "data.images data.files data.channel_order data.focus model.normalisation model.input"
FILES = "data.files data.images data.labels"
HV = (
    "data.hv data.hv_convention data.hv_order data.hv_sign data.hv_divisor data.hv_scale "
    "data.hv_range"
)
STORED = "data.hv_labels data.stored data.targets data.hv data.hv_convention"
LEAVE_OUT = r"label the|annotate|complete|leave .*out|ignore|mask|add (the )?missing"
WHOLE = r"16.?bit|32.?bit|uint16|int32|u16|255|bits|overflow"
NEAREST = r"nearest|interpol|lossless|png|compress|smooth"
ONE_EACH = r"instance|own id|id of its own|one id|each nucleus|every nucleus|annotat"
APART = r"split|divide|remove|drop|both sides|overlap|by (source )?(image|slide|patient)"
AGAIN = r"compute|recompute|make .*again|from the labels|hv_targets|store"

DATA = (
    Fault("half of the nuclei unlabelled", "model:purple", _keeps(0.5), COMPLETE, (LEAVE_OUT,)),
    Fault("70 % unlabelled, no network", "data:monuseg", _keeps(0.3), COMPLETE, (LEAVE_OUT,)),
    Fault("right half never annotated", "model:monuseg", _labels(_right_half_empty), COMPLETE,
          (LEAVE_OUT,)),
    Fault("small nuclei unlabelled", "model:consep", _labels(_large_ones_only), COMPLETE,
          (LEAVE_OUT,)),
    Fault("ids clipped at 255", "data:consep", _labels(lambda a: a.clip(0, 255)), INSTANCES,
          (WHOLE,)),
    Fault("ids wrapped at 256", "data:consep", _labels(lambda a: (3 * a % 256).astype(np.uint8)),
          INSTANCES, (WHOLE,)),
    Fault("nuclei cut at label tiles of 64 px", "model:monuseg", _cut_along(64), INSTANCES,
          (r"tile|join|stitch|whole image|merge",)),
    Fault("nuclei cut at label tiles of 128 px", "data:consep", _cut_along(128), INSTANCES,
          (r"tile|join|stitch|whole image|merge",)),
    Fault("labels 1.15 x too large", "model:purple",
          _labels(lambda a: zoomed_about_centre(a, 1.15)), PLACE, (("labels_zoom", 1 / 1.15),)),
    Fault("labels 1.15 x too large, no network", "data:white",
          _labels(lambda a: zoomed_about_centre(a, 1.15)), PLACE, (("labels_zoom", 1 / 1.15),)),
    Fault("labels swollen by 5 px", "model:purple", _labels(_swollen), COVER,
          (r"dilat|grow|too large|outline|shrink|boundar|border",)),
    Fault("labels shrunk by 3 px", "model:monuseg", _labels(lambda a: np.where(_inner(a, 7), a, 0)),
          COVER + " " + COMPLETE, (r"erod|too small|outline|grow|dilat|boundar|border",)),
    Fault("labels saved as JPEG", "model:purple", _labels(jpeg(80)), INSTANCES,
          (NEAREST + "|jpe?g",)),
    Fault("labels resized smoothly", "data:consep", _labels(_resized_smoothly), INSTANCES,
          (NEAREST,)),
    Fault("labels in palette colours", "data:purple", _labels(_palette), INSTANCES,
          (ONE_EACH + "|palette|colou?r|rgb|grey|gray",)),
    Fault("labels are outlines", "model:white", _labels(lambda a: np.where(_inner(a, 3), 0, a)),
          INSTANCES + " " + COVER, (r"fill|outline|contour",)),
    Fault("ids in pairs", "data:white", _labels(lambda a: (a + 1) // 2), INSTANCES,
          (ONE_EACH + "|split|relabel|apart",)),
    Fault("background is id 1", "model:monuseg", _labels(lambda a: a + 1), COVER,
          (r"background|subtract",)),
    Fault("background is nucleus", "model:white", _labels(_background_too), COVER,
          (r"channel|background|invert",)),
    Fault("labels are components", "model:purple", _labels(_components), INSTANCES,
          (ONE_EACH + "|touch",)),
    Fault("labels are a mask of 255", "model:monuseg", _labels(lambda a: 255 * (a > 0)), INSTANCES,
          (ONE_EACH + "|mask|components",)),
    Fault("labels are types", "types:consep", lambda g: {**g, "labels": g["types"]}, INSTANCES,
          (ONE_EACH + "|types|semantic|class",)),
    Fault("labels empty", "model:white", _labels(lambda a: 0 * a), "data.empty " + INSTANCES,
          (r"label|annotat|empty|path|file",)),
    Fault("labels moved", "model:purple", moved("labels", 9, 14), PLACE,
          (("labels_shift", [-9, -14]),)),
    Fault("labels moved by 6 px, no network", "data:white", _labels(lambda a: np.roll(a, -6, 0)),
          PLACE, (("labels_shift", [6, 0]),)),
    Fault("labels moved in half of the images", "model:monuseg", moved("labels", 0, 12, 2), PLACE,
          (r"mov|shift|offset|crop|align",)),
    Fault("labels mirrored", "model:purple", _labels(lambda a: a[:, ::-1].copy()), PLACE,
          (("labels_turn", undoes(lambda a: a[:, ::-1])),)),
    Fault("labels upside down, no network", "data:monuseg", _labels(lambda a: a[::-1].copy()),
          PLACE, (("labels_turn", undoes(lambda a: a[::-1])),)),
    Fault("labels turned by 90 degrees", "model:consep",
          both(squares(), _labels(lambda a: np.rot90(a).copy())), PLACE,
          (("labels_turn", undoes(np.rot90)),)),
    Fault("rows and columns of labels swapped", "data:purple",
          both(squares(), _labels(lambda a: a.T.copy())), PLACE,
          (("labels_turn", undoes(np.transpose)),)),
    Fault("labels of the next image", "model:val", _next, PLACE,
          (("image_order", (1, 2, 3, 4, 5, 0)), r"pair|order|name|belong")),
    Fault("paired by names sorted as text", "data:twelve", _sorted_as_text, PLACE,
          (("image_order", tuple(LEXICAL)), r"pair|sort|order|name|belong")),
    Fault("labels larger than their images", "data:purple", _images(lambda a: a[8:-8, 8:-8].copy()),
          FILES + " " + PLACE, (r"size|crop|pad|shape",)),
    Fault("BGR images", "model:purple", _images(lambda a: a[..., ::-1].copy()),
          "data.channel_order " + INPUT, (("channel_order", "bgr"),)),
    Fault("images of 0 and 1", "model:purple", _images(lambda a: (a > 254).astype(np.uint8)),
          PICTURE + " model.input_range", (r"0\.\.1|255|range|divid|float|bit",)),
    Fault("floats divided by 255 twice", "model:white",
          _images(lambda a: (a / 255 / 255).astype("f4")), PICTURE + " model.input_range",
          (("input_factor", 255.0), r"255|twice|divid|range")),
    Fault("images normalised by ImageNet", "model:purple", _images(_imagenet), PICTURE,
          (r"normalis|0\.\.1|0\.\.255|as (they|it) (are|is)|raw|range",)),
    Fault("images dark", "model:purple", _scaled(0.25), PICTURE,
          (("input_factor", 4.0), r"dark|expos|bright|contrast|range")),
    Fault("images linear in light", "model:monuseg",
          _images(lambda a: np.rint(255 * (a / 255) ** 3).astype(np.uint8)), PICTURE,
          (("input_gamma", lambda v: 0.25 < v < 0.5),)),
    Fault("images raised by 100", "model:white", _scaled(1, 100), PICTURE,
          (r"offset|raised|added|subtract|black|bright|level",)),
    Fault("images inverted", "model:white", _images(lambda a: 255 - a), PICTURE,
          (r"invert|negative|255",)),
    Fault("images of one channel", "model:purple", _images(_one_channel), PICTURE,
          (r"channel|colou?r",)),
    Fault("files broken off", "model:white", _images(_truncated), PICTURE + " " + COMPLETE,
          (r"file|truncat|broken|damag|again|blank|flat",)),
    Fault("images of NaN", "model:monuseg", _images(lambda a: np.where(a > 200, np.nan, a / 255)),
          FILES, (r"nan|finite",)),
    Fault("images out of focus", "model:purple", _images(lambda a: cv2.GaussianBlur(a, (0, 0), 5)),
          PICTURE, (r"focus|sharp|blur|scan",)),
    Fault("images of half the resolution", "model:monuseg", resized(0.4), "model.mpp data.images",
          (("zoom", 2.5), ("zoom", 2.0))),
    Fault("images of twice the resolution", "model:purple", both(resized(2.5), squares(EDGE)),
          "model.mpp data.images", (("zoom", lambda v: 0.3 <= v <= 0.55),)),
    Fault("images twice", "data:white", _twice, COPIES,
          (r"once|remove|duplicate|cop(y|ies)|same",)),
    Fault("leak", "model:purple", held_out(lambda a: a), COPIES, (APART,)),
    Fault("leak, mirrored", "data:purple", held_out(lambda a: a[:, ::-1].copy()), COPIES,
          (APART,)),
    Fault("leak, compressed anew", "data:white", held_out(jpeg(60)), COPIES, (APART,)),
    Fault("leak by overlapping crops", "data:monuseg train", _overlapping(0, 160), COPIES,
          (APART,)),
    Fault("types off by one", "types:gen", _types(lambda a: a - (a > 0)), TYPES,
          (("type_offset", 1), ("types_background", False), r"background|0")),
    Fault("types without background, 0 = neoplastic", "types:gen", _from_neoplastic, TYPES,
          (("types_background", False), ("type_offset", 1))),
    Fault("types everywhere", "types:consep", _types(lambda a: a + 1), TYPES,
          (r"background|0|offset|subtract",)),
    Fault("types too high", "types:gen", _types(lambda a: a + 3 * (a > 0)), TYPES,
          (("type_offset", -3), r"n_types|number of types|class|subtract")),
    Fault("targets [V, H]", "targets:purple", _hv(lambda a: a[::-1].copy()), HV,
          (("target_order", "vh"),)),
    Fault("targets inward", "targets:monuseg", _hv(lambda a: -a), HV, (("target_sign", "inward"),)),
    Fault("targets: vertical negated", "targets:white",
          _hv(lambda a: a * np.array([1, -1], "f4")[:, None, None]), HV,
          (r"vertical|row|v\b|y\b|sign|negat",)),
    Fault("targets int8", "targets:purple", _hv(lambda a: (127 * a).round().astype("i1")), HV,
          (("target_divisor", 127.0),)),
    Fault("targets in unsigned bytes", "targets:gen",
          _hv(lambda a: (127.5 * (a + 1)).round().astype(np.uint8)),
          HV + " " + STORED + " data.hv_origin", (r"128|127|offset|unsigned|subtract|sign|int8",)),
    Fault("targets short", "targets:consep", _hv(lambda a: 0.25 * a), HV,
          (("target_divisor", 0.25), AGAIN)),
    Fault("targets resized", "targets:white", _hv(_halves), "data.hv_resized " + STORED,
          (r"nearest|resiz|" + AGAIN,)),
    Fault("targets blurred", "targets:gen", _hv(lambda a: ndimage.gaussian_filter(a, (0, 3, 3))),
          "data.hv_resized " + STORED + " " + HV, (r"blur|smooth|resiz|" + AGAIN,)),
    Fault("targets moved", "targets:purple", moved("hv", 6, 6), STORED,
          (r"shift|mov|align|" + AGAIN,)),
    Fault("targets in pixels", "targets:monuseg", _from_labels(_in_pixels), HV,
          (r"divid|scale|normalis|pixel|" + AGAIN,)),
    Fault("targets scaled by the whole image", "targets:gen",
          _from_labels(lambda a: _in_pixels(a) / abs(_in_pixels(a)).max()), HV + " " + STORED,
          (r"each nucleus|every nucleus|scale|normalis|" + AGAIN,)),
    Fault("targets off centre", "targets:consep", stored_as(centre="distance_peak"),
          "data.hv_origin " + STORED + " " + HV, (r"centre|origin|" + AGAIN,)),
    Fault("targets of one scale for both axes", "targets:gen", stored_as(scale="isotropic"),
          HV + " data.hv_origin " + STORED, (r"axis|axes|scale|" + AGAIN,)),
    Fault("targets of components", "targets:consep",
          _from_labels(lambda a: hv_targets(_components(a))), STORED,
          (r"touch|component|instance|" + AGAIN,)),
    Fault("targets clipped to 0 and 1", "targets:purple", _hv(lambda a: a.clip(0, 1)),
          HV + " " + STORED, (r"negative|sign|clip|unsigned|" + AGAIN,)),
    Fault("targets overflown in float16", "targets:purple", _hv(_overflown), HV + " data.files",
          (r"float16|overflow|infinit|finite|16|" + AGAIN,)),
    Fault("targets in mixed conventions", "targets:white", _hv(lambda a: a[::-1].copy(), 2), HV,
          (r"mixed|each file|some|half|two|same convention|" + AGAIN,)),
    Fault("np inverted", "targets:purple", every("np", lambda a: 1 - a), "data.np " + STORED,
          (("np_channel", 0),)),
    Fault("hv of noise, no np", "data:purple", _noise,
          STORED + " " + HV + " model.hv_direction model.hv_only",
          (r"direction|noise|train|" + AGAIN,)),
)  # fmt: skip
