"""Checks of the network itself, and of what goes into it."""

from __future__ import annotations

from .model_activations import run_activations
from .model_file import run_checkpoint, run_failures, run_non_finite
from .model_input import run_channel_order, run_input_range, run_normalisation
from .model_norms import run_batch_norm
from .model_scale import run_magnification
from .model_tiles import run_tiles
from .model_tokens import run_token_prefix
from .model_turns import run_turns
from .model_weights import run_untrained
from .registry import Check

IMAGES, TOKENS = ("model", "image"), ("model", "features")
"""What a check of images, or of tokens, needs."""

CHECKS: tuple[Check, ...] = (
    Check("model.checkpoint", "Model file", ("model",), run_checkpoint),
    Check("model.untrained", "Layers at their initial values", ("model",), run_untrained),
    Check("model.non_finite", "NaN and infinite values", ("model",), run_non_finite),
    Check("model.failures", "Failures of the network", ("model",), run_failures),
    Check("model.activations", "Activations", ("model",), run_activations),
    Check("model.token_prefix", "Tokens before the patches", TOKENS, run_token_prefix),
    Check("model.turns", "Answer to mirrored images", IMAGES, run_turns),
    Check("model.tiles", "The same place in another tile", IMAGES, run_tiles),
    Check("model.channel_order", "Channel order of the input", IMAGES, run_channel_order),
    Check("model.input_range", "Range of the input", IMAGES, run_input_range),
    Check("model.batch_norm", "Statistics of batch norm", ("model",), run_batch_norm),
    Check("model.normalisation", "Brightness, contrast and stain", IMAGES, run_normalisation),
    Check("model.mpp", "Magnification", IMAGES, run_magnification),
)
