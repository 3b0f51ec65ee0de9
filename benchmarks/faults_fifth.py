"""Faults of a fifth stranger (G), who knew the checks' ids and the documentation, no check itself.

Exports, microscopes, conversions and shortcuts that the sets before do not have. Above each
stands what the person must do to mend it; the lists of what is right were written before any of
them was run. Where no id fits the cause, *unknown* is right as well.
"""

from __future__ import annotations

import types
from typing import Any

import cv2
import numpy as np
import torch
from faults_common import (
    GRID,
    PREFIX,
    Fault,
    Given,
    Plant,
    consep_types,
    crops,
    every,
    network,
    predicted,
    put,
    returns,
    weights,
)
from scipy import ndimage
from skimage.color import hed2rgb, rgb2hed
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.measure import regionprops
from skimage.segmentation import expand_labels, watershed
from torch.nn import functional

import napari_hovernet as nh
from napari_hovernet.core.hv import hv_targets

NONE = "model.unknown model.score"
"""Nothing that is known explains it: right only where no id fits the cause."""
FROM_LABELS = r"comput|again|from (the|these) labels"
ANNOTATE = r"annotat|export|instance|draw|own id|one id|each nucleus|every nucleus"
LOAD = r"load|checkpoint|weights|copy|convert"
COLOURS = r"colou?r|RGB|channel|convert"
CUT = ("separation", ...)


# --- data: labels and pictures ---------------------------------------------------------


def _relabelled(change: Any) -> Plant:
    """Make labels from each image and its labels."""
    return lambda g: {**g, "labels": [change(a, b).astype("i4") for a, b
                                      in zip(g["images"], g["labels"], strict=True)]}  # fmt: skip


def _two_added(_image: Any, labels: Any) -> Any:
    """Add the map of a second annotator, who numbers and draws otherwise."""
    other = np.roll(expand_labels(labels, 3), (2, -3), (0, 1))
    ids = np.append(0, 1 + np.random.default_rng(3).permutation(int(labels.max())))
    return labels + ids[other]


def _by_threshold(image: Any, _labels: Any) -> Any:
    """Take the nuclei from a threshold of haematoxylin: what touches is one."""
    stain = ndimage.gaussian_filter(rgb2hed(image)[..., 0], 1)
    parts = ndimage.label(stain > threshold_otsu(stain))[0]
    return np.where(np.bincount(parts.ravel())[parts] < 30, 0, parts)


def _dark_alone(image: Any, labels: Any) -> Any:
    """Pale nuclei were taken for out of focus, and never drawn."""
    ids = np.unique(labels[labels > 0])
    if not len(ids):
        return labels
    light = ndimage.mean(image.mean(2), labels, ids)
    return np.where(np.isin(labels, ids[light > np.quantile(light, 0.5)]), 0, labels)


def _runs_by_rows(_image: Any, labels: Any) -> Any:
    """Unpack run lengths of COCO, which go down the columns, along the rows."""
    return labels.ravel(order="F").reshape(labels.shape)


def _on_a_grid(_image: Any, labels: Any) -> Any:
    """Export outlines at a downsample of 8, and enlarge them."""
    h, w = labels.shape
    return labels[4::8, 4::8].repeat(8, 0).repeat(8, 1)[:h, :w]


def _last_column(image: Any) -> Any:
    """Read beyond the edge of the scan: the last column comes again and again."""
    out, at = image.copy(), image.shape[1] * 11 // 20
    out[:, at:] = out[:, at : at + 1]
    return out


def _wrong_mosaic(image: Any) -> Any:
    """Read the raw mosaic of a camera as if it began with the other colour."""
    raw = image[..., 1].copy()
    raw[::2, ::2], raw[1::2, 1::2] = image[::2, ::2, 0], image[1::2, 1::2, 2]
    return cv2.cvtColor(raw, cv2.COLOR_BayerRG2RGB)


def _not_converted(image: Any) -> Any:
    """Take the planes of a JPEG in a TIFF for RGB: they are Y, Cb, Cr."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]].copy()


def _local_contrast(image: Any) -> Any:
    """Equalise the histogram of each channel by tiles, as for fluorescence."""
    clahe = cv2.createCLAHE(clipLimit=40, tileGridSize=(8, 8))
    return np.dstack([clahe.apply(np.ascontiguousarray(image[..., c])) for c in range(3)])


def _sharpened(image: Any) -> Any:
    """Sharpen as for print."""
    a = image.astype("f4")
    return np.uint8(np.clip(a + 15 * (a - cv2.GaussianBlur(a, (0, 0), 6)), 0, 255))


def _planes_apart(image: Any) -> Any:
    """Mean of three planes of focus, between which the stage had moved."""
    planes = [np.roll(image, by, (0, 1)).astype("f4") for by in ((0, 0), (9, -6), (-7, 8))]
    return np.uint8(np.mean(planes, 0))


def _serpentine(image: Any) -> Any:
    """Every other row of tiles was scanned from right to left, and laid out from the left."""
    out, edge = image.copy(), 80
    for row in range(edge, image.shape[0], 2 * edge):
        band = image[row : row + edge]
        cols = range(0, image.shape[1], edge)
        out[row : row + edge] = np.concatenate([band[:, c : c + edge] for c in cols][::-1], 1)
    return out


def _mosaics(given: Given) -> Given:
    """Hold out mosaics that were made of four training images each before the split."""
    a = given["images"]
    made = []
    for k in (0, 2):
        parts = [x[: x.shape[0] // 2, : x.shape[1] // 2] for x in a[k : k + 4]]
        made.append(np.concatenate([np.concatenate(parts[i : i + 2], 1) for i in (0, 2)], 0))
    return {**given, "held_out": [*crops("monuseg")[0][:2], *made]}


def _typed(change: Any) -> Plant:
    """Change which type nuclei have: change(types by id, of each image)."""

    def plant(given: Given) -> Given:
        ids = [np.unique(a[a > 0]) for a in given["labels"]]
        of = [np.array([np.bincount(b[a == i]).argmax() for i in some])
              for a, b, some in zip(given["labels"], given["types"], ids, strict=True)]  # fmt: skip
        planes = []
        for labels, some, new in zip(given["labels"], ids, change(of), strict=True):
            lut = np.zeros(int(labels.max()) + 1, np.int32)
            lut[some] = new
            planes.append(lut[labels])
        return {**given, "types": planes}

    return plant


def _by_row(of: list[Any]) -> list[Any]:
    """Join one table of all images, sorted by type, to the nuclei row by row."""
    return np.split(np.sort(np.concatenate(of)), np.cumsum([len(a) for a in of])[:-1])


def _as_they_come(of: list[Any]) -> list[Any]:
    """Give classes new numbers in each image, as they come (``pandas.factorize``)."""
    return [np.array([list(dict.fromkeys(a)).index(t) + 1 for t in a]) for a in of]


# --- stored targets --------------------------------------------------------------------


def _without_rims(given: Given) -> Given:
    """Give no HV where the class is border (3 px of each nucleus), as a U-Net has it."""
    kept = []
    for hv, labels in zip(given["hv"], given["labels"], strict=True):
        inner = np.zeros(labels.shape, bool)
        for i in np.unique(labels[labels > 0]):
            inner |= ndimage.binary_erosion(labels == i, iterations=3)
        kept.append(hv * inner)
    return {**given, "hv": kept}


def _z_scores(given: Given) -> Given:
    """Bring the targets to mean 0 and deviation 1, as the features."""
    whole = np.concatenate([a.reshape(2, -1) for a in given["hv"]], 1)
    mean, spread = whole.mean(1)[:, None, None], whole.std(1)[:, None, None]
    return {**given, "hv": [np.float32((a - mean) / spread) for a in given["hv"]]}


def _one_class_np(given: Given) -> Given:
    """NP counts epithelial nuclei alone; labels and HV have them all."""
    return {**given, "np": [(a == 3).astype("u1") for a in consep_types()]}


def _polar(hv: Any) -> Any:
    """Length and angle, for horizontal and vertical."""
    return np.float32(np.stack((np.hypot(*hv), np.arctan2(hv[1], hv[0]) / np.pi)))


# --- model -----------------------------------------------------------------------------


def _kernels_transposed(net: Any) -> None:
    """Carry kernels over from another library: rows and columns changed over."""
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.copy_(layer.weight.transpose(2, 3).clone())


def _other_activation(net: Any) -> None:
    """Rebuild the network with leaky ReLU; it was trained with ReLU."""

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        y = functional.leaky_relu(self.bn1(self.conv1(x)), 0.2)
        return functional.leaky_relu(self.bn2(self.conv2(y)) + self.skip(x), 0.2)

    for block in (*net.down, *net.up):
        block.forward = types.MethodType(forward, block)


def _folded_without_shift(net: Any) -> None:
    """Take batch norm into convolutions that have no bias: what it adds is lost."""
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.zero_()
            layer.bias.zero_()


def _by_the_end_of_names(net: Any) -> None:
    """Match weights by the end of their names: the decoder gets layers of the encoder."""
    for to in net.up:
        for of in net.down:
            if of.conv2.weight.shape == to.conv2.weight.shape:
                to.conv2.load_state_dict(of.conv2.state_dict())
                to.bn2.load_state_dict(of.bn2.state_dict())


def _scaled_again(net: Any) -> None:
    """Scale by what dropout keeps, though training had done so."""
    for block in net.ups:
        block.register_forward_hook(lambda _layer, _given, out: 0.5 * out)


def _without_background(out: Any) -> Any:
    """Drop the background's channel before the argmax, and never add 1."""
    tp = out["tp"]
    return {**out, "tp": torch.cat((tp[:, 1:], tp[:, :1] * 0 - 50), 1)}


def _soft_np(np_map: Any, hv: Any) -> Any:
    """Smooth the probability, for looks."""
    return cv2.GaussianBlur(np_map, (0, 0), 7), hv


def _by_windows(tokens: Any) -> Any:
    """Patches come window by window (4 x 4 of 4 x 4), as such an encoder keeps them."""
    grid = tokens[PREFIX:].reshape(4, GRID // 4, 4, GRID // 4, -1).swapaxes(1, 2)
    return np.concatenate((tokens[:PREFIX], grid.reshape(GRID * GRID, -1)))


# --- separation ------------------------------------------------------------------------


def _cut(np_map: Any, hv: Any) -> Any:
    return nh.separate(nh.Maps(np=np_map, hv=hv)).labels


def _far_apart(np_map: Any, hv: Any) -> Any:
    """Seeds are at least 26 px apart, as was right at another magnification."""
    mask = np_map > 0.5
    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    h, v = (cv2.GaussianBlur(np.float32(a), (0, 0), 1.5) for a in hv)
    closing = cv2.Sobel(h, -1, 1, 0, ksize=5) + cv2.Sobel(v, -1, 0, 1, ksize=5)
    height = cv2.GaussianBlur(np.where(mask, closing, closing.min()), (0, 0), 2)
    peaks = peak_local_max(height, min_distance=26, labels=mask.astype(int), exclude_border=False)
    seeds = np.zeros(mask.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-height, seeds, mask=mask)


def _suppressed(np_map: Any, hv: Any) -> Any:
    """Of nuclei whose boxes overlap only the largest is kept, as of detections."""
    labels = _cut(np_map, hv)
    kept: list[Any] = []
    for one in sorted(regionprops(labels), key=lambda r: -r.area):
        r0, c0, r1, c1 = one.bbox
        if not any(r0 < b[2] and b[0] < r1 and c0 < b[3] and b[1] < c1 for b in kept):
            kept.append(one.bbox)
        else:
            labels = np.where(labels == one.label, 0, labels)
    return labels


def _smoothed_first(np_map: Any, hv: Any) -> Any:
    """Smooth HV by 9 px against noise before the cut."""
    return _cut(np_map, np.stack([cv2.GaussianBlur(np.float32(a), (0, 0), 9) for a in hv]))


def _four_colours(np_map: Any, hv: Any) -> Any:
    """Return the colours of the display, no two of which touch, for ids."""
    labels = _cut(np_map, hv)
    out = np.zeros_like(labels)
    for one in regionprops(labels):
        near = ndimage.binary_dilation(labels == one.label, iterations=3)
        used = set(np.unique(out[near]))
        out[labels == one.label] = next(c for c in range(1, 99) if c not in used)
    return out


# --- loss and augmentation -------------------------------------------------------------


def _inside(values: Any, mask: Any) -> Any:
    inside = mask.float()[:, None].expand_as(values)
    return (values * inside).sum() / inside.sum().clamp(min=1)


def _penalised(pred: Any, true: Any, mask: Any) -> Any:
    """Squared error, and the activation kept small."""
    return _inside((pred - true).square(), mask) + 4 * _inside(pred.square(), mask)


def _as_integers(pred: Any, true: Any, mask: Any) -> Any:
    """Cast targets to whole numbers with the class maps."""
    return _inside((pred - true.long().float()).square(), mask)


def _clipped(pred: Any, true: Any, mask: Any) -> Any:
    """Clip the error of each pixel against outliers, far too low."""
    return _inside((pred - true).square().clamp(max=0.02), mask)


def _drawn(change: Any) -> Plant:
    """Give an augmentation (image, labels, hv) with random numbers of its own."""

    def plant(given: Given) -> Given:
        rng = np.random.default_rng(13)

        def own_augmentation(image: Any, labels: Any, hv: Any) -> Any:
            return change(rng, image, labels, hv)

        return {**given, "augmentation": own_augmentation}

    return plant


def _pasted(rng: Any, a: Any, b: Any, _hv: Any, new_ids: bool = False) -> Any:
    """Paste two thirds of an image upon it elsewhere; pasted nuclei keep their ids."""
    a, b, (h, w) = a.copy(), b.copy(), (b.shape[0] * 2 // 3, b.shape[1] // 2)
    r, s = (int(x) for x in rng.integers(0, b.shape[0] - h + 1, 2))
    to, of = np.s_[r : r + h, :w], np.s_[s : s + h, -w:]
    part = b[of]
    a[to], b[to] = a[of].copy(), np.where(part > 0, part + new_ids * (b.max() + 1), 0)
    return a, b, hv_targets(b)


def _turned_back(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Quarter turns; vectors are turned the other way round."""
    k = int(rng.integers(4))
    h, v = np.rot90(hv, k, (1, 2))
    h, v = ((h, v), (-v, h), (-h, -v), (v, -h))[k]
    return np.rot90(a, k).copy(), np.rot90(b, k).copy(), np.stack((h, v))


def _washed_out(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Haematoxylin is drawn from none to a tenth of what it is."""
    stains = rgb2hed(a)
    stains[..., 0] *= rng.uniform(0, 0.1)
    return np.uint8(np.round(255 * np.clip(hed2rgb(stains), 0, 1))), b, hv


def _other_way(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Move the crop of the image, and that of labels and HV as far the other way."""
    by = rng.integers(4, 13, 2) * rng.choice((-1, 1), 2)
    (r, c), (s, t) = 16 + by, 16 - by
    h, w = np.array(b.shape) - 32
    return a[r : r + h, c : c + w], b[s : s + h, t : t + w], hv[:, s : s + h, t : t + w]


FIFTH = (
    # --- labels
    # Mend: take one annotator's map, or match them; never add ids
    Fault("G two annotators added", "model:val", _relabelled(_two_added), "data.labels",
          (ANNOTATE, r"fragment|component|piece")),
    # Mend: separate what touches; a threshold is no annotation of nuclei
    Fault("G nuclei by a threshold", "lite:val", _relabelled(_by_threshold),
          "data.labels data.coverage", (ANNOTATE, r"touch|component")),
    # Mend: annotate the pale nuclei too, or leave those places out
    Fault("G pale ones never drawn", "lite:monuseg", _relabelled(_dark_alone), "data.complete",
          (r"annotat|label (the|all|them)|complete|leave .*out|ignore|missing",)),
    # Mend: decode run lengths column by column
    Fault("G run lengths by rows", "model:purple", _relabelled(_runs_by_rows),
          "data.place data.labels", (ANNOTATE, r"transpos|order|column|turn|pair|match|fragment")),
    # Mend: export outlines at full resolution
    Fault("G outlines on a grid of 8 px", "lite:white", _relabelled(_on_a_grid),
          "data.coverage data.labels", (ANNOTATE, r"outline|full|resolution|interpol|shape")),
    # --- pictures
    # Mend: leave out what lies beyond the scan
    Fault("G last column again and again", "lite:monuseg", every("images", _last_column),
          "data.images", (r"blank|empty|strip|part|edge|border|broken|read|leave|file|export",)),
    # Mend: read the camera's mosaic by its own pattern
    Fault("G wrong mosaic of the camera", "model:purple", every("images", _wrong_mosaic),
          "data.images model.input", (r"BGR|RGB|channel|colou?r|swap|red|blue",)),
    # Mend: convert Y, Cb, Cr to RGB
    Fault("G YCbCr for RGB", "lite:val", every("images", _not_converted),
          "data.images model.input", (COLOURS,)),
    # Mend: no CLAHE before this network
    Fault("G local contrast", "model:white", every("images", _local_contrast),
          "data.images model.input",
          (r"contrast|equali[sz]|CLAHE|original|as (it|they) w|preprocess|prepar|normali",)),
    # Mend: take the images before they were sharpened
    Fault("G sharpened for print", "lite:purple", every("images", _sharpened),
          "data.images model.input", (r"sharp|original|raw|preprocess|prepar|filter|contrast",)),
    # Mend: register the planes before the mean, or take one of them
    Fault("G planes of focus apart", "model:val", every("images", _planes_apart), "data.images",
          (r"blur|focus|sharp|regist|double|align",)),
    # Mend: lay out every other row of tiles from the right
    Fault("G serpentine scan", "model:monuseg", every("images", _serpentine),
          "data.place data.images",
          (r"tile|row|order|stitch|regist|pair|match|align|place|export",)),
    # --- split and types
    # Mend: divide before mosaics are made
    Fault("G held out as mosaics", "data:val", _mosaics, "data.leak",
          (r"split|divide|remove|drop|both sides|by (image|slide|patient)",)),
    # Mend: join types by id
    Fault("G types joined by row", "typed:consep", _typed(_by_row), "data.types model.types",
          (r"\bids?\b|join|order|pair|match|assign|annotat",)),
    # Mend: one list of names for all images
    Fault("G types numbered in each image", "typed:consep", _typed(_as_they_come),
          "data.types model.types", (r"\bnames?\b|order|map\b|remap|number|list|class",)),
    # --- stored targets
    # Mend: compute HV to the rim
    Fault("G HV without rims", "targets:purple", _without_rims, "data.targets", (FROM_LABELS,)),
    # Mend: do not normalise the targets
    Fault("G HV in z-scores", "targets:val", _z_scores, "data.hv_convention data.targets",
          (FROM_LABELS, r"divid|scale|factor|normali")),
    # Mend: compute NP of all labels
    Fault("G NP of one class", "targets:consep", _one_class_np, "data.targets",
          (FROM_LABELS, r"labels ?(>|above) ?0")),
    # Mend: compute HV again, or convert it from length and angle
    Fault("G HV in polar coordinates", "targets:white", every("hv", _polar),
          "data.targets data.hv_convention", (FROM_LABELS, r"polar|angle|convert")),
    # Mend: multiply by 127 before the cast, or store floats
    Fault("G HV cast to whole numbers", "targets:monuseg",
          every("hv", lambda a: a.astype("i1").astype("f4")), "data.targets data.hv_convention",
          (FROM_LABELS, r"127|float|integer|int8|round")),
    # --- model
    # Mend: convert kernels with their axes in the right order (or read H for V)
    Fault("G kernels transposed", "model:monuseg", weights(_kernels_transposed),
          "model.weights model.checkpoint model.hv_direction",
          (LOAD, r"transpos|swap|other way|channel")),
    # Mend: the activation of training
    Fault("G another activation", "model:val", weights(_other_activation),
          f"model.activations model.weights {NONE}",
          (LOAD, r"activation|relu|architecture|definition|version|code")),
    # Mend: fold into convolutions with a bias
    Fault("G folded without the shift", "lite:purple", weights(_folded_without_shift),
          "model.activations model.weights model.checkpoint",
          (LOAD, r"batch.?norm|statistic|running|bias")),
    # Mend: match weights by whole names
    Fault("G layers of the encoder in the decoder", "model:white", weights(_by_the_end_of_names),
          f"model.weights model.checkpoint {NONE}", (LOAD,)),
    # Mend: take the factor of dropout out
    Fault("G scaled for dropout twice", "lite:val", weights(_scaled_again),
          f"model.activations {NONE}", (r"scale|dropout|activation|load|checkpoint|factor|weak",)),
    # Mend: add 1, or keep the background in the argmax
    Fault("G types without the background", "typed:consep", network(after=_without_background),
          "model.types", (r"off by|background|order|add 1|number|shift|class|channel|argmax",)),
    # Mend: leave NP as it is
    Fault("G NP smoothed for looks", "function:monuseg", returns(_soft_np), f"model.np {NONE}",
          (r"smooth|blur|sharp|resiz|interpol|threshold", ("np_threshold", ...))),
    # Mend: take the tokens after the patches off (prefix 0)
    Fault("G registers at the end", "tokens:gen",
          every("features", lambda t: np.concatenate((t[PREFIX:], t[:PREFIX]))),
          "model.token_prefix model.place",
          (r"prefix|register|token|shift|move", ("maps_shift", ...))),
    # Mend: bring patches from windows into rows
    Fault("G patches by windows", "tokens:gen", every("features", _by_windows),
          f"model.place {NONE}", (r"order|window|patch|token|row",)),
    # --- separation
    # Mend: a distance of seeds that fits the magnification
    Fault("G seeds far apart", "maps:monuseg", put(separation=_far_apart),
          "separation.seeds separation.tuning separation.oracle",
          (r"seed|marker|distance|apart|preset|local", CUT)),
    # Mend: no suppression of boxes; nuclei do not overlap
    Fault("G boxes suppressed", "maps:consep", put(separation=_suppressed),
          "separation.oracle separation.tuning", (r"drop|remov|lost|box|small|preset|local", CUT)),
    # Mend: no smoothing (or by 1 px)
    Fault("G HV smoothed before the cut", "maps:consep", put(separation=_smoothed_first),
          "separation.oracle separation.tuning", (r"smooth|sigma|scale|preset|local", CUT)),
    # Mend: return ids, not colours
    Fault("G four colours for ids", "maps:val", put(separation=_four_colours),
          "separation.oracle separation.relabel",
          (r"\bids?\b|number|relabel|component|colou?r|preset|local", CUT)),
    # --- loss
    # Mend: no penalty on HV itself
    Fault("G length penalised", "nothing:", put(loss=_penalised), "loss.minimum",
          (r"short|length|penal|constant|least|true HV|minimum",)),
    # Mend: keep HV as float
    Fault("G targets as integers", "nothing:", put(loss=_as_integers), "loss.minimum",
          (r"float|integer|cast|round|target|least|true HV|minimum",)),
    # Mend: clip at 4, or not at all
    Fault("G error clipped", "nothing:", put(loss=_clipped), "loss.gradient loss.minimum",
          (r"clip|clamp|satur|gradient|robust|constant",)),
    # --- augmentation
    # Mend: give pasted nuclei new ids
    Fault("G pasted with their ids", "data:purple", _drawn(_pasted),
          "augmentation.labels augmentation.hv", (r"\bids?\b|instance|component|relabel|own",)),
    # Mend: turn vectors with the image
    Fault("G vectors turned back", "data:gen", _drawn(_turned_back), "augmentation.hv",
          (r"turn|vector|rotat|sign|negat|comput|again",)),
    # Mend: draw the stain between 0.7 and 1.3
    Fault("G haematoxylin washed out", "data:monuseg", _drawn(_washed_out), "augmentation.image",
          (r"stain|contrast|colou?r|strength|range|weaker|less|milder",)),
    # Mend: move both the same way
    Fault("G moved the other way", "data:white", _drawn(_other_way),
          "augmentation.labels augmentation.image", (r"same|together|both|labels|move|shift",)),
)  # fmt: skip


# --- healthy ---------------------------------------------------------------------------


def _squares_and_angles(pred: Any, true: Any, mask: Any) -> Any:
    """Squared error, and one minus the cosine: both least at the truth."""
    size = true.square().sum(1, keepdim=True).sqrt()
    away = size - (pred * true).sum(1, keepdim=True) / (pred.square().sum(1, keepdim=True)
                                                         + 1e-6).sqrt()  # fmt: skip
    return _inside((pred - true).square(), mask) + 0.2 * _inside(away.expand_as(pred), mask)


def _pasted_anew(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    return _pasted(rng, a, b, hv, new_ids=True)


def _in_halves(image: Any) -> Any:
    """Predict the left and the right half, each with 64 px of the other."""
    middle = image.shape[1] // 2 // 16 * 16
    left, right = (
        predicted(image[:, : middle + 64].copy()),
        predicted(image[:, middle - 64 :].copy()),
    )
    join = [np.concatenate((a[..., :middle], b[..., 64:]), -1)
            for a, b in ((left.np, right.np), (left.hv, right.hv))]  # fmt: skip
    return join[0], join[1]


def _cut_at_twice(np_map: Any, hv: Any) -> Any:
    """Cut maps at twice the size, and bring the nuclei back."""
    big = [cv2.resize(np.float32(a), None, fx=2, fy=2) for a in (np_map, *hv)]
    params = nh.SeparationParams(min_area=80, scales=(3.0, 6.0))
    cut = nh.separate(nh.Maps(np=big[0], hv=np.stack(big[1:])), params)
    return cut.labels[::2, ::2].copy()


FIFTH_HEALTHY: dict[str, tuple[str, Plant]] = {
    "G squared error and angle": ("nothing:", put(loss=_squares_and_angles)),
    "G pasted with new ids": ("data:val", _drawn(_pasted_anew)),
    "G one type never occurs": (
        "types:consep",
        every("types", lambda a: np.where(a == 1, 3, a).astype("i4")),
    ),
    "G a fourth channel, opaque": (
        "lite:val",
        every("images", lambda a: np.dstack((a, np.full(a.shape[:2], 255, "u1")))),
    ),
    "G halves with a margin": ("model:monuseg", put(model=_in_halves)),
    "G cut at twice the size": ("maps:consep", put(separation=_cut_at_twice)),
    "G tokens in float16": ("tokens:gen", every("features", lambda t: t.astype("f2"))),
    "G outlines a pixel generous": ("lite:purple", every("labels", lambda a: expand_labels(a, 1))),
}


FIFTH_PAIRS = (
    ("G two annotators added", "G HV smoothed before the cut"),
    ("G kernels transposed", "G four colours for ids"),
    ("G YCbCr for RGB", "G length penalised"),
    ("G pale ones never drawn", "G haematoxylin washed out"),
    ("G outlines on a grid of 8 px", "G boxes suppressed"),
    ("G HV in polar coordinates", "G targets as integers"),
    ("G HV without rims", "G vectors turned back"),
    ("G folded without the shift", "G moved the other way"),
    ("G types joined by row", "G seeds far apart"),
    ("G registers at the end", "G error clipped"),
)
