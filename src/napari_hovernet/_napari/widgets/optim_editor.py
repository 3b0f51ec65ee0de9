"""Edit how weights are changed: epochs, batch, learning rate, what is frozen."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from ...core.params import FREEZING, SCHEDULES, OptimParams
from .param_form import Field, ParamForm

ROWS = (
    Field(
        "epochs",
        "Epochs",
        "Rounds over the training data; after each the validation images are scored.",
        kind="count",
        low=1,
    ),
    Field(
        "batch",
        "Batch",
        "Crops per step. More take more memory and give a steadier gradient.",
        kind="count",
        low=1,
        high=512,
        unit="crops",
    ),
    Field(
        "steps_per_epoch",
        "Steps per epoch",
        "Steps that make one epoch. Automatic: as many as cover the training area once.",
        kind="count",
        low=0,
        empty="automatic",
    ),
    Field(
        "lr",
        "Learning rate",
        "Of AdamW. 1e-4 is usual for fine-tuning; 1e-3 for a small network from scratch.",
        kind="science",
        high=10.0,
    ),
    Field(
        "schedule",
        "Schedule",
        "How the learning rate goes: constant, cosine (falls to 0 at the end), step (a tenth "
        "from half of the epochs on).",
        kind="choice",
        choices=SCHEDULES,
    ),
    Field(
        "freeze",
        "Frozen",
        "What stays as it is: nothing, the encoder, all but the heads. Two phases = the published "
        "recipe: encoder frozen in the first half of the epochs, free in the second.",
        kind="choice",
        choices=FREEZING,
    ),
)
MORE_ROWS = (
    Field(
        "weight_decay",
        "Weight decay",
        "Of AdamW: pulls weights towards 0. No unit.",
        kind="science",
        high=10.0,
    ),
    Field(
        "warmup_steps",
        "Warm-up",
        "Steps over which the learning rate rises from 0.",
        kind="count",
        unit="steps",
    ),
    Field(
        "clip",
        "Clip gradients at",
        "Largest norm of the gradient; one bad crop then does little harm. 0 = not clipped.",
        step=0.5,
    ),
)


class OptimEditor(ParamForm):
    """The choices everybody makes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(ROWS, OptimParams(), parent)


class MoreOptimEditor(ParamForm):
    """The choices for those who know."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(MORE_ROWS, OptimParams(), parent)
