"""Edit how weights are changed: epochs, batch, learning rate, what is frozen."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from ...core.params import OptimParams
from .param_form import ParamForm, rows_of

ROWS = rows_of(OptimParams, "epochs", "batch", "steps_per_epoch", "lr", "schedule", "freeze")
MORE_ROWS = rows_of(OptimParams, "weight_decay", "warmup_steps", "clip")


class OptimEditor(ParamForm):
    """The choices everybody makes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(ROWS, OptimParams(), parent)


class MoreOptimEditor(ParamForm):
    """The choices for those who know."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(MORE_ROWS, OptimParams(), parent)
