"""What a magnitude loss buys, and what the length of HV has to do with a blob."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from .. import losses as loss_terms
from ..hv import hv_targets
from ..losses import HoverLoss
from ..params import SeparationParams
from ..separation import separate
from ..types import Int32, Maps
from .check import EQUAL, LossCheck

LAMBDAS = (0.0, 1.0, 5.0)
"""Weights of the magnitude that are compared."""
STEPS, RATE, START = 200, 0.05, 0.05
"""Steps, rate and first spread of HV where it is trained as free numbers."""
NO_DIRECTION, DIRECTION = 0.2, 0.9
"""Cosine to the truth below which HV has no direction, and above which it has."""

SCALES = (0.02, 1.0, 50.0)
"""Factors by which HV is made short and long."""
RADIUS, PITCH, PER_ROW, ROWS = 8, 16, 4, 3
"""Touching discs: their radius and distance in pixels, and how many."""
METHODS = ("magnitude_peaks", "hover_net", "local")
"""Separations that are tried; the first is that of the blob."""


def check_direction(seed: int = 0) -> LossCheck:
    """Train HV against truths whose sign is wrong in half of the draws, with growing lambda."""
    labels = discs()
    truth, mask = torch.from_numpy(hv_targets(labels))[None], torch.from_numpy(labels > 0)[None]
    measured: dict[str, float | int | None] = {}
    lengths, cosines = [], []
    for weight in LAMBDAS:
        hv = _trained(torch.cat((truth, -truth)), mask, weight, seed)
        lengths.append(_length(hv, mask))
        cosines.append(abs(_cosine(hv, truth, mask)))
        measured[f"sign wrong in half, lambda {weight:g}: magnitude"] = lengths[-1]
        measured[f"sign wrong in half, lambda {weight:g}: |cosine| to the truth"] = cosines[-1]
    right = _trained(torch.cat((truth, truth)), mask, 0.0, seed)
    cosine, length = _cosine(right, truth, mask), _length(right, mask)
    measured["right, lambda 0: magnitude"] = length
    measured["right, lambda 0: cosine to the truth"] = cosine
    measured["magnitude of the truth"] = _length(truth, mask)
    blind = loss_terms.hv_magnitude(-truth, truth, mask).item()
    measured["magnitude loss of the truth with the wrong sign"] = blind
    bought = all(a < b for a, b in pairwise(lengths))
    aimless = max(cosines) < NO_DIRECTION
    return LossCheck(
        name="lambda_magnitude buys length, not direction",
        passed=bought and aimless and cosine > DIRECTION and blind <= EQUAL,
        measured=measured,
        claim="HV is short because lambda_magnitude is too low; raise it and HV will be right.",
        why=(
            "Where augmentation turns the sign of the truth in half of the draws, the best HV is "
            f"zero. With lambda {LAMBDAS[0]:g}, {LAMBDAS[1]:g} and {LAMBDAS[2]:g} the magnitude "
            f"becomes {lengths[0]:.3f}, {lengths[1]:.2f} and {lengths[2]:.2f}, and the cosine is "
            f"{max(cosines):.3f} at most: longer arrows that point nowhere. With the right truth "
            f"lambda 0 is enough (magnitude {length:.2f}, cosine {cosine:.2f})."
        ),
    )


def _trained(truths: Tensor, mask: Tensor, weight: float, seed: int) -> Tensor:
    """Train one HV map as free numbers against several truths at once, (1, 2, H, W)."""
    rng = torch.Generator().manual_seed(seed)
    hv = (START * torch.randn(truths[:1].shape, generator=rng)).requires_grad_()
    loss = HoverLoss(lambda_np=0.0, lambda_magnitude=weight)
    nuclei = mask.expand(len(truths), *mask.shape[1:])
    logits = torch.zeros_like(truths)
    optimizer = torch.optim.Adam([hv], lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(logits, hv.expand_as(truths), None, nuclei, truths, None)[0].backward()
        optimizer.step()
    return hv.detach()


def _length(hv: Tensor, mask: Tensor) -> float:
    return hv.square().sum(1).sqrt()[mask].mean().item()


def _cosine(hv: Tensor, truth: Tensor, mask: Tensor) -> float:
    return torch.cosine_similarity(hv, truth, dim=1)[mask].mean().item()


def check_scale() -> LossCheck:
    """Cut nuclei with HV of a fiftieth and of fifty times its length."""
    labels = discs()
    measured: dict[str, float | int | None] = {"nuclei that were drawn": int(labels.max())}
    alike = True
    for method in METHODS:
        found = {scale: _cut(labels, scale, method) for scale in SCALES}
        for scale, cut in found.items():
            measured[f"nuclei with HV x {scale:g}, {method}"] = int(cut.max())
        alike &= all(int(cut.max()) == int(found[1.0].max()) for cut in found.values())
    whole = int(_cut(labels, 1.0, "local").max())
    merged = int(_cut(labels, 1.0, "merging_relabel").max())
    measured["nuclei with HV x 1, labelled anew after the cut"] = merged
    return LossCheck(
        name="Length does not make the blob",
        passed=alike and whole == int(labels.max()) and merged == 1,
        measured=measured,
        claim="HV was too short (magnitude 0.02), therefore the nuclei came out as one blob.",
        why=(
            "The separations look at directions or stretch HV before they use it: from HV x "
            f"{SCALES[0]:g} to HV x {SCALES[-1]:g} each finds the same number of nuclei. One "
            "line after the separation, which labelled the union of all nuclei anew, makes "
            f"{merged} of {whole}, with exact maps of full length."
        ),
    )


def _cut(labels: Int32, scale: float, preset: str) -> Int32:
    maps = Maps(np=(labels > 0).astype(np.float32), hv=np.float32(scale) * hv_targets(labels))
    return separate(maps, SeparationParams.preset(preset)).labels


def discs() -> Int32:
    """Draw touching discs, labels int32 (H, W)."""
    labels: Int32 = np.zeros((ROWS * PITCH + 1, PER_ROW * PITCH + 1), np.int32)
    rows, cols = np.indices(labels.shape)
    for k in range(ROWS * PER_ROW):
        row, col = ((index + 0.5) * PITCH for index in divmod(k, PER_ROW))
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= RADIUS**2] = k + 1
    return labels
