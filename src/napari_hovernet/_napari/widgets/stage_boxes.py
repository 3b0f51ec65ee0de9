"""Check boxes for layers on demand, and the one button for auto limits."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton, QWidget

from ..stage_layers import ARROWS, ENERGY, MARKERS, MASK
from .parts import named, silent

STAGES = (
    (ARROWS, "HV arrows", "HV on the nuclei in view, thinned to what can be read."),
    (ENERGY, "Energy", "What the watershed flooded; limits are always -1 to 1 (no unit)."),
    (MARKERS, "Markers", "The seeds the instances grew from."),
    (MASK, "Mask", "Pixels taken for nucleus."),
)
ABSOLUTE, AUTO = "Auto limits (relative)", "AUTO LIMITS ON: colours are relative"
AUTO_STYLE = "background-color: #b5651d; color: white; font-weight: bold;"
AUTO_TIP = (
    "Stretch the colours of this run's map layers to their own data. Their names say "
    "[auto limits] while it is on: colours of two runs cannot be compared then. Off: NP and "
    "magnitude 0 to 1, HV and energy -1 to 1."
)


class StageBoxes(QWidget):
    """Four check boxes and a toggle."""

    stageToggled = Signal(str, bool)  # noqa: N815
    autoToggled = Signal(bool)  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.boxes: dict[str, QCheckBox] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        for at, (role, title, tip) in enumerate(STAGES):
            box = QCheckBox(title)
            named(box, title, f"{tip} A layer of the run, made when it is wanted.")
            box.toggled.connect(lambda on, name=role: self.stageToggled.emit(name, on))
            self.boxes[role] = box
            grid.addWidget(box, 0, at)
        self.auto = QPushButton(ABSOLUTE)
        self.auto.setCheckable(True)
        named(self.auto, "Auto limits", AUTO_TIP)
        self.auto.toggled.connect(self.autoToggled)
        grid.addWidget(self.auto, 1, 0, 1, len(STAGES))

    def setValue(self, shown: Callable[[str], bool], auto: bool) -> None:  # noqa: N802
        """Show which stages have a layer and whether limits are automatic; announces nothing."""
        with silent(self.auto, *self.boxes.values()):
            for role, box in self.boxes.items():
                box.setChecked(shown(role))
            self.auto.setChecked(auto)
        self.auto.setText(AUTO if auto else ABSOLUTE)
        self.auto.setStyleSheet(AUTO_STYLE if auto else "")
