"""The smaller mistakes of the story, each rebuilt on generated nuclei and measured."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..hv import hv_targets
from ..masks import label_parts
from ..measure.metrics import contingency, dice, evaluate
from ..params import SeparationParams
from ..separation import separate
from ..types import Float32, Int32, Maps
from .separation_scenes import clusters, exact_maps
from .story_row import StoryRow

RADIUS = 11.0
"""Of the generated nuclei, pixels."""
LARGE, SMALL = 256, 224
"""Size at which HV was computed, and to which it was resized."""
INT8 = 127.0
OFFSETS = (-5.0, 0.0, 5.0)
"""Added to both logits of NP, which changes no probability."""
CONFIDENT = 4.0
"""Difference of the two logits of NP, inside and outside."""


def smaller_rows() -> tuple[StoryRow, ...]:
    """Rebuild the smaller mistakes, and measure them.

    Examples
    --------
    >>> all(row.holds for row in smaller_rows())
    True
    """
    return (
        resized(),
        background_channel(),
        sigmoid_for_softmax(),
        int8_targets(),
        not_the_aji(),
        strict_false(),
    )


def resized() -> StoryRow:
    """Compute HV at 256 and resize it bilinearly to 224, instead of computing it at 224."""
    labels = cv2.resize(
        clusters(RADIUS).astype(np.float32), (LARGE, LARGE), interpolation=cv2.INTER_NEAREST
    ).astype(np.int32)
    small = cv2.resize(
        labels.astype(np.float32), (SMALL, SMALL), interpolation=cv2.INTER_NEAREST
    ).astype(np.int32)
    right = hv_targets(small)
    made = np.stack(
        [cv2.resize(c, (SMALL, SMALL), interpolation=cv2.INTER_LINEAR) for c in hv_targets(labels)]
    )
    error = np.abs(made - right).max(0)
    rim = _rim(small)
    inside = (small > 0) & ~rim
    measured = {
        "error of HV on rims, mean": float(error[rim].mean()),
        "error of HV inside, mean": float(error[inside].mean()),
        "jump of H between touching nuclei": _jump(right, small),
        "the same, resized": _jump(made, small),
        "AJI of exact HV": evaluate(small, cut(exact_maps(small), "local")).aji,
        "AJI of resized HV": evaluate(
            small, cut(Maps(np=(small > 0).astype(np.float32), hv=made), "local")
        ).aji,
    }
    holds = (
        measured["error of HV on rims, mean"] > 3 * measured["error of HV inside, mean"]
        and measured["the same, resized"] < 0.8 * measured["jump of H between touching nuclei"]
    )
    return StoryRow(
        "HV targets can be resized with the image.",
        "HV is right inside and wrong on rims, where the jump between two nuclei gets smaller",
        measured,
        holds,
        "Resizing averages +1 and -1 across a border into 0. It costs sharpness, it does not make "
        "the blob; compute HV from labels of the final size.",
    )


def background_channel() -> StoryRow:
    """Read channel 0 of NP, the probability of background, as that of nucleus."""
    labels = clusters(RADIUS)
    maps = exact_maps(labels)
    found = cut(Maps(np=1 - maps.np, hv=maps.hv), "local")
    measured = {
        "AJI, channel 1": evaluate(labels, cut(maps, "local")).aji,
        "AJI, channel 0": evaluate(labels, found).aji,
        "coverage, channel 0": float((found > 0).mean()),
    }
    return StoryRow(
        "NP is channel 0 of the softmax.",
        "one instance where the background is, AJI 0",
        measured,
        measured["AJI, channel 0"] < 0.01 and measured["AJI, channel 1"] > 0.94,
        "Channel 0 is background: what comes out is one blob with holes where nuclei are.",
    )


def sigmoid_for_softmax() -> StoryRow:
    """Take the sigmoid of channel 1 instead of the softmax over both channels."""
    nucleus = clusters(RADIUS) > 0
    logit = np.where(nucleus, CONFIDENT, -CONFIDENT) / 2
    measured, softmax, sigmoid = {}, [], []
    for offset in OFFSETS:
        first, second = offset - logit, offset + logit
        softmax.append(float((1 / (1 + np.exp(first - second)) >= 0.5).mean()))
        sigmoid.append(float((1 / (1 + np.exp(-second)) >= 0.5).mean()))
        measured[f"coverage, softmax, both logits {offset:+g}"] = softmax[-1]
        measured[f"coverage, sigmoid, both logits {offset:+g}"] = sigmoid[-1]
    return StoryRow(
        "A sigmoid of channel 1 is the probability of nucleus.",
        "the softmax does not change when both logits do; the sigmoid goes from nothing to "
        "everything",
        measured,
        len(set(softmax)) == 1 and sigmoid[0] == 0 and sigmoid[-1] == 1,
        "Two logits trained with a softmax mean only their difference; one alone says nothing.",
    )


def int8_targets() -> StoryRow:
    """Take HV stored as int8, -127 to 127, without dividing it."""
    labels = clusters(RADIUS)
    hv = hv_targets(labels)[:, labels > 0].astype(np.float64)
    stored = np.rint(hv * INT8)
    measured = {
        "HV MSE of the zero map": float((hv**2).mean()),
        "the same, not divided by 127": float((stored**2).mean()),
        "HV MSE of exact HV, not divided": float(((stored - hv) ** 2).mean()),
        "127²": INT8**2,
    }
    ratio = measured["the same, not divided by 127"] / measured["HV MSE of the zero map"]
    return StoryRow(
        "HV targets are stored as they are used.",
        "the HV loss is 127² = 16129 times as large, and no tanh can reach it",
        measured | {"ratio": ratio},
        abs(ratio / INT8**2 - 1) <= 0.01,
        "The HV loss drowns NP, and the best that a tanh can do is +-1 everywhere.",
    )


def not_the_aji() -> StoryRow:
    """Score connected components with the Jaccard index of the mask, and with the AJI."""
    labels = clusters(RADIUS)
    blob = label_parts(labels > 0)[0]
    measured = {
        "Jaccard index of the mask": iou(labels > 0, blob > 0),
        "Dice of the mask": dice(contingency(labels, blob)),
        "AJI": evaluate(labels, blob).aji,
    }
    return StoryRow(
        "The AJI is high.",
        "the Jaccard index of the mask is 1 where the AJI is 0.288",
        measured,
        measured["Jaccard index of the mask"] == 1 and abs(measured["AJI"] - 0.288) <= 0.005,
        "A score of the mask does not see that nuclei were merged. The AJI is of instances.",
    )


def strict_false() -> StoryRow:
    """Load weights whose names do not fit with ``strict=False``."""
    import torch  # noqa: PLC0415 - here alone

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 2, 1))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    foreign = {f"model.{name}": torch.ones_like(value) for name, value in before.items()}
    answer: Any = net.load_state_dict(foreign, strict=False)
    now = net.state_dict()
    changed = sum(not torch.equal(now[name], before[name]) for name in before)
    measured = {
        "entries": float(len(before)),
        "missing": float(len(answer.missing_keys)),
        "loaded": float(changed),
    }
    return StoryRow(
        "The checkpoint was loaded, there was no error.",
        "with strict=False nothing is loaded and nothing is said",
        measured,
        changed == 0 and len(answer.missing_keys) == len(before),
        "Every name began with model., so that the net kept its random weights.",
    )


def cut(maps: Maps, preset: str) -> Int32:
    """Cut maps with a preset of the separation."""
    return separate(maps, SeparationParams.preset(preset)).labels


def iou(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """Intersection over union of two masks; 0 if both are empty."""
    return float((first & second).sum() / max((first | second).sum(), 1))


def _rim(labels: Int32) -> npt.NDArray[np.bool_]:
    """Pixels of nuclei beside another nucleus or the background."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    ids = labels.astype(np.float32)
    rim: npt.NDArray[np.bool_] = (cv2.dilate(ids, cross) != ids) | (cv2.erode(ids, cross) != ids)
    return rim & (labels > 0)


def _jump(hv: Float32, labels: Int32) -> float:
    """Mean change of H from one nucleus to the next in its row."""
    left, right = labels[:, :-1], labels[:, 1:]
    touch = (left > 0) & (right > 0) & (left != right)
    return float(np.abs(hv[0, :, 1:] - hv[0, :, :-1])[touch].mean())
