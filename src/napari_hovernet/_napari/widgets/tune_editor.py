"""Edit everything a separation can be tuned with."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QVBoxLayout, QWidget

from ...core.hv import HVReading
from ...core.params import FAULTS, PRESETS
from ...core.separation.tuning import TUNABLES, TuneParams, value_of, with_value
from .param_slider import ParamSlider
from .parts import ERROR_STYLE, named, note, set_note, silent

PRESET_TITLES = {
    "local": "local (default)",
    "hover_net": "hover_net (as published)",
    "magnitude_peaks": "peaks of the magnitude (faulty)",
    "merging_relabel": "merged by relabelling (faulty)",
}
CHANGED = "changed"
"""Data of the preset list's entry for parameters that are no preset."""
ORDER_TITLES = {"hv": "H, V: first along x", "vh": "V, H: first along y"}
SIGN_TITLES = {"outward": "outward: + right and below", "inward": "inward: the negative"}


class TuneEditor(QWidget):
    """Sliders over one :class:`TuneParams`; only those that the method reads are shown."""

    valueChanged = Signal(object, str)  # noqa: N815 - TuneParams, the control that was moved
    presetChosen = Signal(str)  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._params = TuneParams()
        self.preset = _combo(PRESET_TITLES)
        self.preset.addItem("changed", CHANGED)
        self.fault = note(name="What is wrong with this preset")
        self.fault.setStyleSheet(ERROR_STYLE)
        self.order, self.sign = _combo(ORDER_TITLES), _combo(SIGN_TITLES)
        self.merge = QCheckBox("Label the union anew (faulty)")
        self.sliders = {known.name: ParamSlider(known) for known in TUNABLES}
        self._name()
        self._lay_out()
        self._connect()
        self.setValue(self._params)

    def value(self) -> TuneParams:
        """Return the parameters."""
        return self._params

    def setValue(self, params: TuneParams, preset: str = CHANGED) -> None:  # noqa: N802
        """Show parameters without announcing them, and the preset they are."""
        self._params = params
        separation = params.separation
        with silent(self.preset, self.order, self.sign, self.merge):
            self.preset.setCurrentIndex(self.preset.findData(preset))
            self.order.setCurrentIndex(self.order.findData(params.hv.order))
            self.sign.setCurrentIndex(self.sign.findData(params.hv.sign))
            self.merge.setChecked(separation.merge_touching)
        for name, slider in self.sliders.items():
            shown = separation.method in slider.tunable.reads
            if slider.isHidden() == shown:
                slider.setVisible(shown)
            if slider.value() != value_of(params, name):
                slider.setValue(value_of(params, name))
        set_note(self.fault, self._faults(preset))

    def set_defaults(self, params: TuneParams) -> None:
        """Set where the reset buttons lead."""
        for name, slider in self.sliders.items():
            slider.set_default(value_of(params, name))

    def _faults(self, preset: str) -> str:
        """Say what is wrong with what is set, whatever it is called."""
        separation = self._params.separation
        found = [FAULTS[preset]] if preset in FAULTS else []
        if separation.method == "magnitude_peaks":
            found.append(FAULTS["magnitude_peaks"])
        if separation.merge_touching:
            found.append(FAULTS["merging_relabel"])
        return "\n".join(dict.fromkeys(found))

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Preset", self.preset)
        form.addRow("HV channels", self.order)
        form.addRow("HV sign", self.sign)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(form)
        column.addWidget(self.fault)
        column.addWidget(self.sliders["hv.scale"])
        for name, slider in self.sliders.items():
            if name != "hv.scale":
                column.addWidget(slider)
        column.addWidget(self.merge)

    def _connect(self) -> None:
        self.preset.activated.connect(self._preset_chosen)
        self.order.activated.connect(lambda _: self._read(order=self.order.currentData()))
        self.sign.activated.connect(lambda _: self._read(sign=self.sign.currentData()))
        self.merge.toggled.connect(self._merge)
        for name, slider in self.sliders.items():
            slider.valueChanged.connect(lambda value, name=name: self._moved(name, value))

    def _preset_chosen(self) -> None:
        name = self.preset.currentData()
        if name in PRESETS:
            self.presetChosen.emit(name)

    def _moved(self, name: str, value: float) -> None:
        self._announce(with_value(self._params, name, value), name)

    def _read(self, **changes: str) -> None:
        hv: HVReading = replace(self._params.hv, **changes)
        self._announce(replace(self._params, hv=hv), "")

    def _merge(self, on: bool) -> None:
        separation = replace(self._params.separation, merge_touching=on)
        self._announce(replace(self._params, separation=separation), "")

    def _announce(self, params: TuneParams, control: str) -> None:
        self.setValue(params)
        self.valueChanged.emit(params, control)

    def _name(self) -> None:
        named(
            self.preset,
            "Separation preset",
            "A set of parameters. The faulty ones repeat historical mistakes, so that one can "
            "see what they do.",
        )
        named(self.order, "Order of the HV channels", "Which channel of HV is which.")
        named(self.sign, "Sign of HV", "Whether HV points away from the nucleus' centre.")
        named(self.merge, "Label the union anew", FAULTS["merging_relabel"])


def _combo(titles: dict[str, str]) -> QComboBox:
    combo = QComboBox()
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    for key, title in titles.items():
        combo.addItem(title, key)
    return combo
