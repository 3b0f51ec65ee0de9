"""How the editors of the segment panel are laid out; no behaviour."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget
from superqt import QCollapsible

from .device_picker import DevicePicker
from .image_picker import ImagePicker, RegionPicker
from .inference_editor import InferenceEditor
from .model_card import ModelCard
from .model_picker import ModelPicker
from .mpp_editor import MppEditor
from .run_bar import RunBar
from .run_list import RunList

PANEL_WIDTH = 360
"""Width in pixels at which nothing is cut off."""


class PanelView(QWidget):
    """The editors, scrolling, over a foot (run bar, run list) that is always in sight."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model, self.card = ModelPicker(), ModelCard()
        self.image, self.region = ImagePicker(), RegionPicker()
        self.mpp, self.device = MppEditor(), DevicePicker()
        self.advanced, self.bar, self.runs = InferenceEditor(), RunBar(), RunList()
        self.setAccessibleName("Segment nuclei")
        self.setMinimumWidth(PANEL_WIDTH)
        self._lay_out()

    def _lay_out(self) -> None:
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(8, 8, 8, 8)
        column.addWidget(_heading("Model"))
        column.addWidget(self.model)
        column.addWidget(self.card)
        column.addWidget(_heading("Image"))
        column.addLayout(self._image_form())
        fold = QCollapsible("Advanced")
        fold.addWidget(self.advanced)
        column.addWidget(fold)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(body)
        foot = QVBoxLayout()
        foot.setContentsMargins(8, 4, 8, 8)
        foot.addWidget(self.bar)
        foot.addWidget(self.runs)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll, 1)
        layout.addLayout(foot)

    def _image_form(self) -> QFormLayout:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, widget in (
            ("Layer", self.image),
            ("Region", self.region),
            ("Resolution", self.mpp),
            ("Device", self.device),
        ):
            label = QLabel(title)
            label.setAlignment(Qt.AlignmentFlag.AlignTop)
            form.addRow(label, widget)
        return form


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label
