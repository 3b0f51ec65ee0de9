"""Faults of a second stranger: planted before the checks were read (B), or after mending (C, D).

B: "as a laboratory might"; C and D: written later; what each showed was mended by kind.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from faults_common import (
    Fault,
    Given,
    both,
    every,
    network,
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
    ORACLE,
    PRESET,
    RELABEL,
    SEEDS,
    SHARES,
    cut,
    drawn,
    mean,
)
from scipy import ndimage
from skimage.color import hed2rgb, rgb2hed
from torch.nn import functional

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.losses import HoverLoss

# --- labels and images -----------------------------------------------------------------


def _jittered(labels: Any) -> Any:
    """Every nucleus lies some pixels off, each its own way."""
    rng, out = np.random.default_rng(7), np.zeros_like(labels)
    for i in np.unique(labels)[1:]:
        at = np.argwhere(labels == i) + rng.integers(-7, 8, 2)
        at = at[((at >= 0) & (at < labels.shape)).all(1)]
        out[tuple(at.T)] = i
    return out


def _discs(labels: Any) -> Any:
    """Points that were grown to discs of 6 px."""
    out, ids = np.zeros(labels.shape, np.int32), np.unique(labels)[1:]
    for i, (r, c) in zip(ids, ndimage.center_of_mass(labels > 0, labels, ids), strict=True):
        cv2.circle(out, (round(c), round(r)), 6, int(i), -1)
    return out


def _void(labels: Any) -> Any:
    out = labels.copy()
    out[: len(labels) // 4] = 65535
    return out


def _lines_are_an_id(labels: Any) -> Any:
    rim = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
    return np.where(rim & (labels > 0), labels.max() + 1, labels)


def _one_class(given: Given) -> Given:
    """Only epithelial nuclei were annotated."""
    labels = [np.where(t == 3, a, 0) for a, t in zip(given["labels"], given["types"], strict=True)]
    return {k: v for k, v in given.items() if k not in ("types", "n_types")} | {"labels": labels}


def _motion(image: Any) -> Any:
    return cv2.filter2D(image, -1, np.full((1, 21), 1 / 21, np.float32))


def _channels_apart(image: Any) -> Any:
    moved = [np.roll(image[..., 0], 5, (0, 1)), image[..., 1], np.roll(image[..., 2], -4, (0, 1))]
    return np.stack(moved, 2)


def _wide(name: str, how: int) -> Any:
    return every(name, lambda a: cv2.resize(a, None, fx=2, fy=1, interpolation=how))


def _stains_exchanged(image: Any) -> Any:
    return np.rint(255 * hed2rgb(rgb2hed(image)[..., [1, 0, 2]]).clip(0, 1)).astype(np.uint8)


def _smaller(image: Any) -> Any:
    return cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)


def _lighter(image: Any) -> Any:
    return np.clip(image[:, ::-1].astype(int) + 25, 0, 255).astype(np.uint8)


# --- targets, networks, separations ----------------------------------------------------


def _unit_length(hv: Any) -> Any:
    return (hv / np.maximum(np.hypot(*hv), 1e-6)).astype(np.float32)


def _of_the_next(given: Given) -> Given:
    return {**given, **{n: [*given[n][1:], given[n][0]] for n in ("np", "hv")}}


def _deviation_for_variance(net: Any) -> None:
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.copy_(module.running_var.sqrt())


def _kernels_flipped(net: Any) -> None:
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.copy_(module.weight.flip(2, 3).clone())


def _skips_lost(given: Given) -> Given:
    made = weights(lambda net: None)(given)
    for up in made["model"].network.ups:
        up.register_forward_pre_hook(lambda _, given: (given[0], given[1] * 0))
    return made


def _over_pixels(prob: Any, hv: Any) -> Any:
    """Take the softmax over the pixels, not over the channels."""
    odds = prob.clip(1e-6, 1) / (1 - prob).clip(1e-6, 1)
    return (odds / odds.sum()).astype(np.float32), hv


def _ids_in_bytes(np_map: Any, hv: Any) -> Any:
    return cut(np_map, hv).astype(np.uint8)


def _cores(np_map: Any, hv: Any) -> Any:
    """Label where HV is short, and never grow back."""
    return ndimage.label((np_map > 0.5) & (np.hypot(*hv) < 0.5))[0]


def _no_large_ones(np_map: Any, hv: Any) -> Any:
    labels = cut(np_map, hv)
    return np.where(np.bincount(labels.ravel())[labels] > 250, 0, labels)


# --- losses and augmentations ----------------------------------------------------------


def _slopes(pred: Any, true: Any, mask: Any) -> Any:
    """Compare differences between neighbours alone."""
    off, inside = pred - true, mask[..., 1:, 1:]
    steps = (off[..., 1:, 1:] - off[..., 1:, :-1], off[..., 1:, 1:] - off[..., :-1, 1:])
    return sum(mean(step.square(), inside) for step in steps)


def _of_centres(pred: Any, true: Any, mask: Any) -> Any:
    """Count pixels alone at which HV is short."""
    near = (true.square().sum(1).sqrt() < 0.35) * mask
    return ((pred - true).square().sum(1) * near).sum() / near.sum().clamp(min=1)


class _InNucleiAlone(HoverLoss):
    """NP is learned inside nuclei only."""

    def forward(self, np_logits: Any, hv: Any, nt: Any, inside: Any, hv_true: Any, nt_true: Any,
                *more: Any) -> Any:  # fmt: skip
        _, terms = super().forward(np_logits, hv, nt, inside, hv_true, nt_true)
        each = functional.cross_entropy(np_logits.float(), inside.long(), reduction="none")
        own = (each * inside).sum() / inside.sum().clamp(min=1)
        return terms["hv_mse"] + own, {"hv_mse": terms["hv_mse"], "np_ce": own}


def _noisy(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    return (a + rng.normal(0, 90, a.shape)).clip(0, 255).astype(np.uint8), b, hv


def _blurred(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    return cv2.GaussianBlur(a, (0, 0), 8), b, hv


def _corners(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Turn: the image is mirrored at its rim, labels are filled with 0."""
    size = b.shape[::-1]
    matrix = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), 45, 0.7)
    labels = cv2.warpAffine(b.astype("f4"), matrix, size, flags=0).astype("i4")
    image = cv2.warpAffine(a, matrix, size, borderMode=cv2.BORDER_REFLECT)
    return image, labels, hv_targets(labels)


AGAIN = r"comput|again|from (the|these) labels"

BLIND = (
    Fault("B every nucleus its own way", "model:purple", every("labels", _jittered), COVER,
          (r"outline|moved|where it lies",)),
    Fault("B discs round points", "model:monuseg", every("labels", _discs), COVER, (r"outline",)),
    Fault("B void strip", "model:white", every("labels", _void), INSTANCES + " " + COVER,
          (r"void|left out|background",)),
    Fault("B lines are an id", "data:consep", every("labels", _lines_are_an_id), INSTANCES,
          (r"line|border|outline",)),
    Fault("B one class annotated", "typed:consep", _one_class, COMPLETE, (LEAVE_OUT,)),
    Fault("B motion blur", "lite:purple", every("images", _motion), PICTURE,
          (r"again|sharp|focus|blur",)),
    Fault("B channels apart", "lite:monuseg", every("images", _channels_apart), PICTURE,
          (r"regist|align",)),
    Fault("B pixels not square", "model:white", both(_wide("images", 1), _wide("labels", 0)),
          "model.mpp " + PICTURE, (r"square|resiz",)),
    Fault("B stains exchanged", "lite:consep", every("images", _stains_exchanged), PICTURE,
          (r"stain|colou?r",)),
    Fault("B leak at another size", "data:white", held_out(_smaller), COPIES, (SPLIT,)),
    Fault("B targets of unit length", "targets:purple", every("hv", _unit_length),
          HV + " " + STORED, (AGAIN,)),
    Fault("B target planes transposed", "targets:consep",
          both(squares(), every("hv", lambda a: np.ascontiguousarray(a.transpose(0, 2, 1)))),
          HV + " " + STORED, (AGAIN,)),
    Fault("B targets of the next image", "targets:white", _of_the_next, HV + " " + STORED,
          (AGAIN,)),
    Fault("B variance is deviation", "lite:purple", weights(_deviation_for_variance), LIVES,
          (RETRAIN + "|statistic",)),
    Fault("B kernels flipped", "lite:monuseg", weights(_kernels_flipped),
          UNTRAINED + " " + LIVES + " " + UNKNOWN, (RETRAIN,)),
    Fault("B branches exchanged", "model:monuseg",
          network(after=lambda o: {**o, "np": o["hv"] * 1, "hv": o["np"] * 1}),
          " ".join((NP, UNKNOWN, UNTRAINED, DIRECTION)), (r"branch|head|exchang|" + RETRAIN,)),
    Fault("B hv 10 px from np", "function:monuseg",
          returns(lambda p, hv: (p, np.roll(hv, 10, (1, 2)))), LIE + " " + DIRECTION,
          (r"move|shift",)),
    Fault("B np in percent", "maps:monuseg", every("np", lambda a: 100 * a), NP, (r"100",)),
    Fault("B ids in bytes", "model:consep", put(separation=_ids_in_bytes),
          RELABEL + " " + ORACLE, (r"bit|byte|255",)),
    Fault("B cores never grown back", "maps:purple", put(separation=_cores),
          ORACLE + " " + SEEDS + " " + MASK, (PRESET, r"small|grow")),
    Fault("B large ones dropped", "model:monuseg", put(separation=_no_large_ones),
          ORACLE + " " + MASK, (PRESET, r"filter|area")),
    Fault("B loss of slopes", "nothing:", put(loss=_slopes), MINIMUM, (r"constant|squared",)),
    Fault("B np learned in nuclei alone", "nothing:", put(loss=_InNucleiAlone()), SHARES,
          (r"all pixels|background",)),
    Fault("B noise of 90", "data:white", drawn(_noisy), "augmentation.image", (r"noise",)),
    Fault("B blur of 8 px", "data:monuseg", drawn(_blurred), "augmentation.image", (r"blur",)),
    Fault("B corners mirrored, labels not", "targets:purple", drawn(_corners), LABELS,
          (r"same|both|label|together",)),
    Fault("C softmax over the pixels", "function:purple", returns(_over_pixels), NP,
          (r"softmax|channel|threshold",)),
    Fault("C np drowns hv", "nothing:", put(loss=HoverLoss(lambda_hv=0.0005)), SHARES,
          (r"lambda_hv|weight|raise",)),
    Fault("C skips lost", "lite:purple", _skips_lost, LIVES + " " + UNTRAINED,
          (RETRAIN + "|handed",)),
    Fault("C tokens of unit length", "tokens:gen", every("features", lambda t: (
        t / np.linalg.norm(t, axis=1, keepdims=True)).astype("f4")), LIVES + " model.input",
          (RETRAIN,)),
    Fault("D hv clipped at a quarter", "maps:monuseg", every("hv", lambda a: a.clip(-0.25, 0.25)),
          LENGTH, (r"clip",)),
    Fault("D loss of centres", "nothing:", put(loss=_of_centres), SHARES, (r"all of their",)),
    Fault("C leak, mirrored and lighter", "data:white", held_out(_lighter), COPIES, (SPLIT,)),
)  # fmt: skip

BLIND_PAIRS = (
    ("B void strip", "np channel 0"),
    ("B targets of unit length", "augmentation of the story"),
    ("B ids in bytes", "labels moved"),
    ("B np in percent", "given maps: inward"),
    ("B motion blur", "threshold 0.98"),
    ("B loss of slopes", "B leak at another size"),
)
"""Of a fault here and one of the others."""
