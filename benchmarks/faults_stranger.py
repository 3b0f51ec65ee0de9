"""Faults of kinds that no check was written for, planted before anyone looked at the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from faults_common import (
    Fault,
    Given,
    Plant,
    both,
    every,
    function,
    network,
    predicted,
    put,
    returns,
    squares,
    weights,
)
from faults_data import COMPLETE, HV, INSTANCES, PICTURE, PLACE, STORED, TYPES, jpeg
from faults_model import DIRECTION, LIE, LIVES, NP, RETRAIN, TILES, UNKNOWN
from faults_model import WEIGHTS as UNTRAINED
from faults_rest import LABELS, MINIMUM, ORACLE, PRESET, SHARES, cut, drawn
from scipy import ndimage
from skimage.color import hed2rgb, rgb2hed
from torch import Tensor
from torch.nn import functional

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.losses import HoverLoss

# --- labels and images -----------------------------------------------------------------


def _touching_merged(labels: Any) -> Any:
    """Give two nuclei that touch one id, in every other such pair: lines were lost between."""
    out = labels.copy()
    a, b = labels[:, 1:], labels[:, :-1]
    pairs = np.unique(np.stack([a, b])[:, (a > 0) & (b > 0) & (a != b)], axis=1).T
    for one, other in pairs[::2]:
        out[out == out[labels == one][0]] = out[labels == other][0]
    return out


def _begins_again(labels: Any) -> Any:
    """Begin at 1 again in the lower half, as a second annotator did."""
    ids = np.unique(labels)[1:]
    rows = ndimage.center_of_mass(labels > 0, labels, ids)
    upper = [i for i, (r, _) in zip(ids, rows, strict=True) if r < len(labels) / 2]
    number = np.zeros(int(labels.max()) + 1, np.int32)
    for group in (upper, [i for i in ids if i not in set(upper)]):
        number[group] = np.arange(1, len(group) + 1)
    return number[labels]


def _half_at_20x(given: Given) -> Given:
    """Every other image (and its labels) has half the resolution."""
    made: Given = dict(given)
    for name, how in (("images", cv2.INTER_AREA), ("labels", cv2.INTER_NEAREST)):
        made[name] = [a if i % 2 else cv2.resize(a, None, fx=0.5, fy=0.5, interpolation=how)
                      for i, a in enumerate(given[name])]  # fmt: skip
    return made


def _transparent_black(image: Any) -> Any:
    """Show black where alpha hid everything: the loader drops it."""
    rows, cols = np.indices(image.shape[:2])
    return np.where((rows + cols > 1.1 * len(image))[..., None], 0, image).astype(np.uint8)


def _alpha_first(image: Any) -> Any:
    return np.dstack([np.full(image.shape[:2], 255, np.uint8), image[..., :2]])


def _gamma_twice(image: Any) -> Any:
    return np.rint(255 * (image / 255) ** (1 / 2.2)).astype(np.uint8)


def _low_contrast(image: Any) -> Any:
    return np.rint(128 + 0.3 * (image.astype("f4") - 128)).astype(np.uint8)


def _yellow(image: Any) -> Any:
    return np.rint(image * np.array([1, 0.95, 0.45])).astype(np.uint8)


def _restained(image: Any) -> Any:
    """Hardly any haematoxylin, and eosin twice: another laboratory than that of the training."""
    return np.rint(255 * hed2rgb(rgb2hed(image) * (0.35, 2.0, 1.0))).astype(np.uint8)


def _line_shift(image: Any) -> Any:
    """Every other strip of 4 rows lies 8 px to the right, as a scanner out of step makes it."""
    out = image.copy()
    for r in range(0, len(image), 8):
        out[r : r + 4] = np.roll(image[r : r + 4], 8, 1)
    return out


def _tiles_shuffled(image: Any) -> Any:
    """Tiles of 64 px were put together in another order."""
    out, at = image.copy(), [(r, c) for r in range(0, 256, 64) for c in range(0, 256, 64)]
    for (r, c), (y, x) in zip(at, np.random.default_rng(2).permutation(at), strict=True):
        out[r : r + 64, c : c + 64] = image[y : y + 64, x : x + 64]
    return out


# --- targets and types -----------------------------------------------------------------


def _of_few_pixels(labels: Any) -> Any:
    """HV of labels that are a quarter of the size, enlarged by the nearest pixel."""
    small = hv_targets(np.ascontiguousarray(labels[::4, ::4]))
    return small.repeat(4, 1).repeat(4, 2)[:, : labels.shape[0], : labels.shape[1]]


def _stale(given: Given) -> Given:
    """NP and HV were made before the last 45 % of the nuclei were labelled."""
    few = [np.where(np.isin(a, np.random.default_rng(3).permutation(np.unique(a)[1:])[
        : round(0.55 * (len(np.unique(a)) - 1))]), a, 0) for a in given["labels"]]  # fmt: skip
    return {**given, "np": [(a > 0).astype(np.uint8) for a in few],
            "hv": [hv_targets(a) for a in few]}  # fmt: skip


def _one_axis_smooth(hv: Any) -> Any:
    return np.stack([hv[0], ndimage.gaussian_filter(hv[1], 3)])


def _types_rotated(out: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take 1 for 2, 2 for 3 ... and the last for 1: a list in another order."""
    tp = out["tp"]
    return {**out, "tp": torch.cat((tp[:, :1], tp[:, 2:], tp[:, 1:2]), 1)}


# --- networks --------------------------------------------------------------------------


def _dropout(given: Given) -> Given:
    """Use dropout behind the last decoder layer."""
    made = weights(lambda net: None)(given)
    made["model"].network.ups[-1].register_forward_hook(
        lambda _, __, out: functional.dropout2d(out, 0.3, training=True))  # fmt: skip
    return made


def _other_branch(net: Any) -> None:
    """Take the HV branch of another training, whose channels stand for other things."""
    kernel = net.outputs["hv"][0].conv.weight
    order = torch.randperm(kernel.shape[1], generator=torch.Generator().manual_seed(1))
    kernel.copy_(kernel[:, order].clone())


def _averaged(net: Any) -> None:
    """Weights are the mean of two trainings, which number their inner channels differently."""
    rng = torch.Generator().manual_seed(1)
    for stage in net.encoder.stages[1:]:
        for block in stage:
            order = torch.randperm(block.depth.conv.weight.shape[0], generator=rng)
            whole = (block.expand, block.depth)
            for layer in whole:
                values = (layer.conv.weight, layer.bn.weight, layer.bn.bias, layer.bn.running_mean,
                          layer.bn.running_var)  # fmt: skip
                for value in values:
                    value.copy_((value + value[order]) / 2)
            kernel = block.project.conv.weight
            kernel.copy_((kernel + kernel[:, order]) / 2)


def _three_bits(net: Any) -> None:
    """Weights were squeezed into 3 bits, one scale for each layer."""
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            step = module.weight.abs().max() / 4
            module.weight.copy_((module.weight / step).round() * step)


def _soft_again(prob: Any) -> Any:
    return np.exp(prob) / (np.exp(prob) + np.exp(1 - prob))


def _bytes_wrap(prob: Any) -> Any:
    """Written as round(256 p) in a byte: what is surely nucleus becomes 0."""
    return (np.rint(256 * prob).astype(int) % 256).astype("f4") / 255


def _columns_first(prob: Any, hv: Any) -> Any:
    """Tiles of 64 px were cut row by row, and put back column by column."""
    n = len(prob) // 64
    a, b = prob.copy(), hv.copy()
    for r in range(n):
        for c in range(n):
            to = np.s_[64 * c : 64 * c + 64, 64 * r : 64 * r + 64]
            of = np.s_[64 * r : 64 * r + 64, 64 * c : 64 * c + 64]
            a[to], b[(slice(None), *to)] = prob[of], hv[(slice(None), *of)]
    return a, b


def _faded(prob: Any, hv: Any) -> Any:
    """Tiles of 64 px were weighed by a window, and never divided by the sum of weights."""
    window = np.hanning(66)[1:-1]
    rows, cols = (np.tile(window, n // 64 + 1)[:n] for n in prob.shape)
    return prob * np.outer(rows, cols).astype("f4"), hv


def _padding_kept(image: Any) -> Any:
    """Pad the image by 32 px; maps are resized to its size instead of being cropped."""
    maps = predicted(np.ascontiguousarray(np.pad(image, ((32, 32), (32, 32), (0, 0)), "reflect")))
    size = image.shape[1::-1]
    prob, *hv = (cv2.resize(p, size, interpolation=0) for p in (maps.np, *maps.hv))
    return prob, np.stack(hv)


def _quarter(np_map: Any, hv: Any) -> Any:
    """Cut at a quarter of the size, and enlarge."""
    found = cut(np.ascontiguousarray(np_map[::4, ::4]), np.ascontiguousarray(hv[:, ::4, ::4]))
    return found.repeat(4, 0).repeat(4, 1)[: np_map.shape[0], : np_map.shape[1]]


# --- losses and augmentations ----------------------------------------------------------


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    inside = mask.float() if values.ndim == 3 else mask.float()[:, None].expand_as(values)
    return (values * inside).sum() / inside.sum().clamp(min=1)


def _angles(p: Tensor, t: Tensor, m: Tensor) -> Tensor:
    a, b = (torch.atan2(x[:, 1], x[:, 0] + 1e-6) for x in (p, t))
    return _mean((a - b).square(), m)


class _IgnoresOne(HoverLoss):
    """Types are learned over everything but class 1: ignore_index is 1, and should be 0."""

    def forward(self, np_logits: Any, hv: Any, nt: Any, inside: Any, hv_true: Any, nt_true: Any,
                *more: Any) -> Any:  # fmt: skip
        total, terms = super().forward(np_logits, hv, None, inside, hv_true, None)
        if nt is None:
            return total, terms
        types = functional.cross_entropy(nt, nt_true.long(), ignore_index=1)
        return total + types, {**terms, "nt_ce": types}


def _loss(compute: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Plant:
    def own_loss(pred: Tensor, true: Tensor, mask: Tensor) -> Tensor:
        return compute(pred, true, mask)

    return put(loss=own_loss)


def _cut_out(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Half of the image is made grey, labels stay."""
    a, c = a.copy(), int(rng.integers(0, b.shape[1] // 2))
    a[:, c : c + b.shape[1] // 2] = 200
    return a, b, hv


def _mosaic(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Quarters of the image change places, labels stay."""
    return np.roll(a, (a.shape[0] // 2, a.shape[1] // 2), (0, 1)), b, hv


def _hue_turned(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    hsv = cv2.cvtColor(np.ascontiguousarray(a), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + int(rng.integers(50, 130))) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), b, hv


FOREIGN = r"stain|colou?r|level|contrast|normalis|fine.?tune|black and white"
PARTS = r"tile|stitch|order|place|put together|belong"
MIXED = r"some|mixed|each|half|same (sign|convention)|images"

STRANGER = (
    Fault("touching labels merged", "model:monuseg", every("labels", _touching_merged), INSTANCES,
          (r"touch|merg|own id|one id|split|apart",)),
    Fault("ids begin again", "data:consep", every("labels", _begins_again), INSTANCES,
          (r"own id|one id|unique|ids|apart|relabel",)),
    Fault("half of the images at 20x", "lite:monuseg", _half_at_20x,
          "model.mpp data.images data.mpp " + UNKNOWN, (r"magnif|20x|mpp|resiz|resolution",)),
    Fault("transparent parts black", "lite:purple", every("images", _transparent_black),
          PICTURE + " " + COMPLETE, (r"alpha|black|transparent|blank|flat|damaged",)),
    Fault("alpha first", "model:white", every("images", _alpha_first), PICTURE,
          (r"channel|colou?r",)),
    Fault("gamma encoded twice", "lite:monuseg", every("images", _gamma_twice), PICTURE,
          (("input_gamma", lambda v: 1.6 < v < 3), r"gamma|bright")),
    Fault("contrast a third", "lite:purple", every("images", _low_contrast), PICTURE, (FOREIGN,)),
    Fault("blue weak", "lite:white", every("images", _yellow), PICTURE, (FOREIGN + "|white|blue",)),
    Fault("another stain", "lite:monuseg", every("images", _restained),
          PICTURE + " model.batch_norm model.activations " + UNKNOWN, (FOREIGN + "|train",)),
    Fault("lines out of step", "model:purple", every("images", _line_shift),
          PICTURE + " " + UNKNOWN, (r"line|row|scan|step|again|written|image",)),
    Fault("image tiles shuffled", "model:monuseg",
          both(squares(), every("images", _tiles_shuffled)), PLACE + " " + PICTURE, (PARTS,)),
    Fault("JPEG of quality 4", "lite:consep", every("images", jpeg(4)), PICTURE + " " + UNKNOWN,
          (r"jpe?g|compress|quality|focus|again",)),
    Fault("targets: one axis smoothed", "targets:consep", every("hv", _one_axis_smooth),
          HV + " " + STORED + " data.hv_resized", (r"comput|smooth|blur|again|from the labels",)),
    Fault("targets of labels of few pixels", "targets:white",
          lambda g: {**g, "hv": [_of_few_pixels(a) for a in g["labels"]]},
          HV + " " + STORED + " data.hv_resized", (r"comput|resiz|again|from the labels",)),
    Fault("targets of older labels", "targets:purple", _stale, HV + " " + STORED,
          (r"comput|again|from (the|these) labels",)),
    Fault("predicted types in another order", "typed:consep", network(after=_types_rotated),
          "model.types " + TYPES, (r"number|order|list|types alike",)),
    Fault("softmax of a softmax", "function:consep", returns(lambda p, hv: (_soft_again(p), hv)),
          NP, (r"once|twice|softmax|activation|sigmoid",)),
    Fault("np bytes wrap", "function:white", returns(lambda p, hv: (_bytes_wrap(p), hv)),
          NP + " " + UNKNOWN, (r"wrap|overflow|byte|255|range",)),
    Fault("dropout in the decoder", "lite:white", _dropout,
          TILES + " model.deterministic model.activations model.random", (r"dropout|eval|random",)),
    Fault("hv branch of another training", "lite:monuseg", weights(_other_branch),
          UNTRAINED + " " + LIVES + " " + DIRECTION + " " + UNKNOWN, (RETRAIN,)),
    Fault("mean of two trainings", "lite:val", weights(_averaged),
          UNTRAINED + " " + LIVES + " " + UNKNOWN, (RETRAIN,)),
    Fault("weights of 3 bits", "lite:purple", weights(_three_bits),
          UNTRAINED + " " + LIVES + " " + UNKNOWN, (RETRAIN + "|bits|quantis",)),
    Fault("tiles put back by columns", "function:consep", both(squares(), returns(_columns_first)),
          LIE + " " + TILES, (PARTS + "|transpos|column",)),
    Fault("tiles faded to their rims", "function:purple", returns(_faded), TILES + " " + NP,
          (r"tile|halo|overlap|blend|window|weigh|margin",)),
    Fault("padding kept", "function:monuseg", function(_padding_kept), LIE + " model.zoom",
          (r"pad|crop|size|scale|resiz|zoom",)),
    Fault("hv negated in some images", "maps:val", every("hv", lambda a: -a, 3), DIRECTION,
          (MIXED,)),
    Fault("cut at a quarter of the size", "maps:monuseg",
          put(separation=_quarter), ORACLE, (PRESET, r"size|resol|resiz|full")),
    Fault("loss behind another tanh", "nothing:",
          _loss(lambda p, t, m: _mean((torch.tanh(p) - t).square(), m)), MINIMUM,
          (r"activation|scale|length|tanh|sigmoid",)),
    Fault("loss of angles", "nothing:", _loss(_angles), MINIMUM + " loss.gradient",
          (r"length|mse|squared|component",)),
    Fault("types ignore the wrong class", "types:consep", put(loss=_IgnoresOne()), SHARES,
          (r"ignore|inside|background|class|nucle",)),
    Fault("cut out over resting labels", "data:purple", drawn(_cut_out),
          "augmentation.image " + LABELS, (r"cut|mask|erase|together|labels|same|weaker",)),
    Fault("mosaic of the image alone", "targets:white", drawn(_mosaic), LABELS,
          (r"together|labels|same|both",)),
    Fault("hue turned", "data:consep", drawn(_hue_turned), "augmentation.image " + LABELS,
          (r"hue|colou?r|weaker|channel",)),
)  # fmt: skip

STRANGE_PAIRS = (
    ("half of the images at 20x", "hv swapped"),
    ("gamma encoded twice", "relabel preset"),
    ("targets of older labels", "augmentation of the story"),
    ("np bytes wrap", "own rim seeds"),
    ("touching labels merged", "hv negated"),
    ("blue weak", "labels mirrored"),
    ("dropout in the decoder", "threshold 0.98"),
)
"""Of a fault here and one of the others."""
