"""Edit the weights of the loss, or take them from a preset."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from ...core.choices import choices
from ...core.params import LOSS_PRESETS, LOSS_TERMS, LossParams
from .param_form import TITLE_WIDTH, ParamForm, rows_of
from .parts import named, note, silent

CHANGED = "own weights"
PRESET_TIPS = {
    "default": "HV 2, gradient 3, magnitude 5: long HV soon; watch that NP keeps its share.",
    "expert fix": "HV 3, gradient 3, magnitude 5: what the expert asked for.",
    "before the fix": "HV 2, gradient 2, magnitude 1: what the expert found.",
    "published HoVer-Net": "HV squared error 1 and gradient 1; no magnitude term.",
}
ROWS = rows_of(LossParams, *(name for name in choices(LossParams) if name != "dice_smooth"))
HV_TERMS = " + ".join(term.title for term in LOSS_TERMS.values() if term.head == "hv")
FORMULA = f"total = NP + HV + NT, each times its weight; HV = {HV_TERMS}, each times its own"


class LossEditor(QWidget):
    """Combo box of presets over a form of every weight."""

    valueChanged = Signal(object)  # noqa: N815 - LossParams

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.preset = QComboBox()
        self.preset.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        named(self.preset, "Loss preset", "Weights by name; see the documentation for the story.")
        for name in (*LOSS_PRESETS, CHANGED):
            self.preset.addItem(name)
            self.preset.setItemData(self.preset.count() - 1, PRESET_TIPS.get(name, ""), 3)
        self.form = ParamForm(ROWS, LossParams())
        self.formula = note(FORMULA, "How the loss is put together")
        label = QLabel("Preset")
        label.setMinimumWidth(TITLE_WIDTH)
        row = QHBoxLayout()
        row.addWidget(label)
        row.addWidget(self.preset, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.form)
        column.addWidget(self.formula)
        self.preset.activated.connect(self._chosen)
        self.form.valueChanged.connect(self._edited)
        self._show_preset()

    def value(self) -> LossParams:
        """Return the weights."""
        weights: LossParams = self.form.value()
        return weights

    def setValue(self, weights: LossParams) -> None:  # noqa: N802
        """Show weights without announcing them."""
        self.form.setValue(weights)
        self._show_preset()

    @property
    def problem(self) -> str:
        """Why the weights cannot be used, "" if they can."""
        return self.form.problem

    def _chosen(self, _index: int) -> None:
        weights = LOSS_PRESETS.get(self.preset.currentText())
        if weights is None:  # "own weights" changes nothing
            self._show_preset()
            return
        self.setValue(weights)
        self.valueChanged.emit(weights)

    def _edited(self, weights: LossParams) -> None:
        self._show_preset()
        self.valueChanged.emit(weights)

    def _show_preset(self) -> None:
        value = self.value()
        name = next((n for n, w in LOSS_PRESETS.items() if w == value), CHANGED)
        with silent(self.preset):
            self.preset.setCurrentText(name)
