"""What really made the blob: its causes, each rebuilt on generated nuclei and measured."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..hv import HVConvention, hv_targets, magnitude
from ..masks import label_parts
from ..measure.metrics import evaluate
from ..params import SeparationParams
from ..separation import separate
from ..synthetic import planted_maps
from ..types import Int32, Maps
from .separation_scenes import clusters, exact_maps, singles
from .story_also import RADIUS, cut, iou, smaller_rows
from .story_row import StoryRow

SPARSE_PITCH = 8.2
"""Distance of their clusters, in radii, at which nuclei cover 14 % of the image."""
SCALES = (0.02, 0.1, 1.0, 10.0, 50.0)
METHODS = ("hover_net", "magnitude_peaks", "local")
SAME_AJI = 0.99
"""AJI from which on two results are the same nuclei: "local" may move a rim pixel."""
EDGE, TOKEN, PREFIX, TOKENS = 224, 14, 5, 261
"""Input of the transformer, pixels of a patch, tokens before the first patch, tokens in all."""
WRONG_SLICE = (1, 257)
"""Tokens that were taken for patches."""
LARGEST = 2.0
"""Radius of the largest nuclei of an image, which have the longest HV once it is blurred."""
COLLAPSED = 0.022
"""Mean length of the HV of the blob."""


def blob_rows() -> tuple[StoryRow, ...]:
    """Rebuild each cause of the blob that is about data or separation, and measure it.

    Returns
    -------
    tuple of StoryRow
        In the order of the story; a few seconds.

    Examples
    --------
    >>> all(row.holds for row in blob_rows())
    True
    """
    return (
        relabelled(),
        scaled(),
        wrong_channels(),
        token_slice(),
        rim_seeds(),
        whole_image_max(),
        zero_map(),
        *smaller_rows(),
    )


def relabelled() -> StoryRow:
    """Cut 60 touching nuclei out of perfect maps, with and without ``label(instances > 0)``."""
    labels = clusters(RADIUS)
    exact, soft = exact_maps(labels), planted_maps(labels)
    again = cut(exact, "merging_relabel")
    parts = label_parts(labels > 0)[0]
    measured = {
        "nuclei": float(labels.max()),
        "instances after labelling anew": float(again.max()),
        "AJI after labelling anew": evaluate(labels, again).aji,
        "AJI of connected components": evaluate(labels, parts).aji,
        "AJI without that line, local": evaluate(labels, cut(exact, "local")).aji,
        "AJI without that line, hover_net": evaluate(labels, cut(exact, "hover_net")).aji,
        "AJI without that line, maps of a good network": evaluate(labels, cut(soft, "local")).aji,
    }
    without = [value for name, value in measured.items() if "without" in name]
    holds = (
        abs(measured["AJI after labelling anew"] - 0.287) <= 0.005
        and abs(measured["AJI of connected components"] - 0.288) <= 0.005
        and min(without) >= 0.94
    )
    return StoryRow(
        "The network makes the blob; better HV will separate the nuclei.",
        "AJI about 0.287 with label(instances > 0), 0.288 as connected components, 0.94 and more "
        "without that line",
        measured,
        holds,
        "One line after the watershed merged all that touches. With it perfect maps score as if "
        "there were no HV at all, so that no loss could have helped.",
    )


def scaled() -> StoryRow:
    """Cut nuclei with HV of a fiftieth to fifty times its length."""
    labels = clusters(RADIUS)
    exact = exact_maps(labels)
    measured: dict[str, float] = {"nuclei": float(labels.max())}
    worst = 1.0
    for method in METHODS:
        plain = cut(exact, method)
        for factor in SCALES:
            found = cut(Maps(np=exact.np, hv=exact.hv * np.float32(factor)), method)
            measured[f"instances with HV x {factor:g}, {method}"] = float(found.max())
            worst = min(worst, evaluate(plain, found).aji)
    measured["least AJI to the instances with HV x 1"] = worst
    return StoryRow(
        "HV of length 0.022 is too short, therefore nuclei come out as one blob.",
        "the same instances from HV x 0.02 to HV x 50",
        measured,
        worst >= SAME_AJI,
        "Separation stretches HV or looks at directions: its length decides nothing.",
    )


def wrong_channels() -> StoryRow:
    """Take the background channel of PanNuke masks for nuclei."""
    labels = clusters(RADIUS, pitch=SPARSE_PITCH)
    masks = np.zeros((*labels.shape, 6), np.int32)
    masks[..., 0], masks[..., 5] = labels, labels == 0
    right: npt.NDArray[np.bool_] = masks[..., :5].max(-1) > 0
    wrong: npt.NDArray[np.bool_] = masks[..., 5] > 0
    coverage = float(wrong.mean())
    measured = {
        "coverage, channels 0 to 4": float(right.mean()),
        "coverage, channel 5": coverage,
        "Dice of all-foreground, channels 0 to 4": _all_foreground(right),
        "Dice of all-foreground, channel 5": _all_foreground(wrong),
        "2 c / (1 + c)": 2 * coverage / (1 + coverage),
        "share of true nucleus pixels in that target": float(wrong[right].mean()),
    }
    holds = (
        abs(coverage - 0.86) <= 0.005
        and abs(measured["Dice of all-foreground, channel 5"] - 0.925) <= 0.003
        and measured["share of true nucleus pixels in that target"] == 0
    )
    return StoryRow(
        "A Dice of 0.92 shows that NP is learned.",
        "86 % of the pixels are nucleus, and a net that says nucleus everywhere has a Dice of "
        "0.925",
        measured,
        holds,
        "Channel 5 is background. A target that covers most of the image gives a high Dice for "
        "free, and its one component is the blob.",
    )


def token_slice() -> StoryRow:
    """Take tokens 1 to 256 of 261 for the patches, and see where they land."""
    grid = EDGE // TOKEN
    tokens = np.arange(TOKENS) - PREFIX
    taken = tokens[slice(*WRONG_SLICE)].reshape(grid, grid)
    places = np.arange(grid * grid).reshape(grid, grid)
    moved = places - taken
    picture = cv2.resize(clusters(RADIUS).astype(np.float32), (EDGE, EDGE), interpolation=0) > 0
    seen = _patches(picture)[np.maximum(taken, 0).ravel()]
    shown = _image(np.where(taken.reshape(-1, 1, 1) >= 0, seen, False))
    shift = _best_shift(picture, shown)
    measured = {
        "columns to the right": float(np.median(moved)),
        "pixels to the right": float(np.median(moved)) * TOKEN,
        "share of patches that moved so": float((moved == np.median(moved)).mean()),
        "patches of the right columns that came in on the left": float(
            (places[:, :4] // grid != taken[:, :4] // grid).sum()
        ),
        "best shift of the picture, px": float(shift[1]),
        "IoU with the picture": iou(picture, shown),
        "IoU with the picture moved so": iou(np.roll(picture, shift, (0, 1)), shown),
    }
    holds = (
        measured["columns to the right"] == 4
        and measured["pixels to the right"] == 56
        and shift == (0, 56)
    )
    return StoryRow(
        "Tokens 1 to 256 are the patches.",
        "everything 4 columns = 56 px to the right, wrapped round",
        measured,
        holds,
        "Behind the class token stand 4 registers; patches begin at token 5. The picture that "
        "the decoder sees is not the one the targets belong to.",
    )


def rim_seeds() -> StoryRow:
    """Take the peaks of the HV magnitude for seeds."""
    labels = clusters(RADIUS)
    maps = exact_maps(labels)
    made = separate(maps, SeparationParams.preset("magnitude_peaks"))
    length = maps.magnitude
    seeds = made.markers > 0
    deep = cv2.distanceTransform((labels > 0).astype(np.uint8), cv2.DIST_L2, 5)
    measured = {
        "|HV| in the centres": float(length[_centres(labels)].max()),
        "|HV| at the seeds, median": float(np.median(length[seeds])),
        "seeds per nucleus": float(made.markers.max()) / float(labels.max()),
        "instances": float(made.n),
        "AJI": evaluate(labels, made.labels).aji,
        "AJI, local": evaluate(labels, cut(maps, "local")).aji,
        "depth of the seeds in the mask, px, median": float(np.median(deep[seeds])),
    }
    holds = (
        measured["|HV| in the centres"] < 0.2
        and measured["|HV| at the seeds, median"] > 0.9
        and measured["AJI"] < 0.4
        and measured["AJI, local"] > 0.94
    )
    return StoryRow(
        "Peaks of |HV| are the nuclei.",
        "|HV| about 0 in the centre and about 1 on the rim, so that seeds lie on rims",
        measured,
        holds,
        "A nucleus gets several seeds, none in its middle, and breaks up along its rim.",
    )


def whole_image_max() -> StoryRow:
    """Compare the largest |HV| of an image with the mean inside nuclei, in broken runs."""
    labels = clusters(LARGEST * RADIUS)
    convention = HVConvention.preset("vh_inward_radial")
    hv = hv_targets(labels, convention)
    one = np.where(labels == 1, hv, hv * np.float32(COLLAPSED))
    runs = {
        "all collapsed but one nucleus": one,
        "moved by 56 px": np.roll(hv, 56, 2),
        "HV of the wrong sign in half": hv * np.where(labels % 2, 1, -1).astype(np.float32),
    }
    measured = {}
    for name, made in runs.items():
        length = magnitude(made)
        measured[f"{name}: largest of the image"] = float(length.max())
        measured[f"{name}: mean inside nuclei"] = float(length[labels > 0].mean())
    largest = [v for k, v in measured.items() if "largest" in k]
    inside = measured["all collapsed but one nucleus: mean inside nuclei"]
    return StoryRow(
        "The magnitude is 0.9, so HV is learned.",
        "the largest |HV| of the image is 0.88 to 0.99 in every broken run",
        measured,
        min(largest) >= 0.88 and max(largest) <= 0.99 and inside < 0.10,
        "One pixel makes the maximum of an image. Only the mean inside nuclei, beside the cosine "
        "to the truth, says whether HV is there.",
    )


def zero_map() -> StoryRow:
    """Score an HV map that is 0 everywhere against discs."""
    labels = singles(4 * RADIUS)
    hv = hv_targets(labels)[:, labels > 0].astype(np.float64)
    measured = {"HV MSE of the zero map": float((hv**2).mean()), "analytic": 0.25}
    return StoryRow(
        "An HV loss of 0.25 is a start.",
        "0.25 for discs: the mean of x²/r² over a disc of radius r",
        measured,
        abs(measured["HV MSE of the zero map"] - 0.25) <= 0.01,
        "A net that has learned nothing has an HV MSE of 0.25; show it beside every HV loss.",
    )


def _all_foreground(mask: npt.NDArray[np.bool_]) -> float:
    """Dice of a prediction that says nucleus everywhere."""
    return float(2 * mask.sum() / (mask.sum() + mask.size))


def _patches(image: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    grid = EDGE // TOKEN
    split = image.reshape(grid, TOKEN, grid, TOKEN).swapaxes(1, 2)
    return split.reshape(grid * grid, TOKEN, TOKEN)


def _image(patches: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    grid = EDGE // TOKEN
    split = patches.reshape(grid, grid, TOKEN, TOKEN).swapaxes(1, 2)
    return split.reshape(EDGE, EDGE)


def _best_shift(image: npt.NDArray[np.bool_], moved: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Find the rows and columns by which an image was moved, wrapping round."""
    first, second = (np.fft.rfft2(x.astype(np.float64)) for x in (image, moved))
    match = np.fft.irfft2(second * np.conj(first), image.shape)
    row, column = np.unravel_index(int(match.argmax()), match.shape)
    return int(row), int(column)


def _centres(labels: Int32) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pixels nearest to the centres of mass."""
    ids = np.arange(1, int(labels.max()) + 1)
    rows, cols = np.indices(labels.shape)
    count = np.bincount(labels.ravel())[ids]
    at = [
        np.rint(np.bincount(labels.ravel(), weights=axis.ravel())[ids] / count).astype(np.int64)
        for axis in (rows, cols)
    ]
    return at[0], at[1]
