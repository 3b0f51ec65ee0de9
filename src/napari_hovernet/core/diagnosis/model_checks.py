"""Checks of the network itself, and of what goes into it."""

from __future__ import annotations

from .model_input import run_channel_order, run_input_range, run_normalisation
from .model_scale import run_magnification
from .model_turns import run_turns
from .registry import Check

CHECKS: tuple[Check, ...] = (
    Check("model.turns", "Answer to mirrored images", ("model", "image"), run_turns),
    Check(
        "model.channel_order", "Channel order of the input", ("model", "image"), run_channel_order
    ),
    Check("model.input_range", "Range of the input", ("model", "image"), run_input_range),
    Check(
        "model.normalisation",
        "Brightness, contrast and stain",
        ("model", "image"),
        run_normalisation,
    ),
    Check("model.mpp", "Magnification", ("model", "image"), run_magnification),
)
