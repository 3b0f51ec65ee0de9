"""Edit how crops are varied."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget
from superqt import QCollapsible

from ...core.params import AugmentParams
from .param_form import Field, ParamForm
from .parts import named, silent

SHARE = "Share of the crops, 0 to 1."


def _share(name: str, title: str, what: str) -> Field:
    return Field(name, title, f"{what} {SHARE}", high=1.0, step=0.1)


ROWS = (
    Field(
        "flips",
        "Flips and quarter turns",
        "HV is computed from the nuclei after each flip, so it can never disagree with it.",
        kind="switch",
    ),
    _share("p_rotate", "Free rotation", "Rotation by any angle."),
    Field(
        "scale.0",
        "Smallest scale",
        "Least factor of magnification; 1 = none.",
        low=0.1,
        high=4.0,
        step=0.05,
    ),
    Field(
        "scale.1",
        "Largest scale",
        "Largest factor of magnification; 1 = none.",
        low=0.1,
        high=4.0,
        step=0.05,
    ),
    _share("p_stain", "Stain", "Other strengths of the stains, in optical density."),
    Field(
        "stain_gain.0",
        "Weakest stain",
        "Least factor of each stain's strength.",
        low=0.05,
        high=4.0,
        step=0.05,
    ),
    Field(
        "stain_gain.1",
        "Strongest stain",
        "Largest factor of each stain's strength.",
        low=0.05,
        high=4.0,
        step=0.05,
    ),
    Field(
        "stain_vectors",
        "Stain colours",
        "Spread of the colours of the stains themselves; 0 = kept.",
        high=0.99,
        step=0.01,
    ),
    _share("p_tone", "Tone", "Gamma, white balance and contrast."),
    _share("p_blur", "Blur", "Out of focus."),
    _share("p_noise", "Noise", "Camera noise."),
    _share("p_jpeg", "JPEG", "Artefacts of compression."),
)


class AugmentEditor(QWidget):
    """On or off, and a fold with every strength."""

    valueChanged = Signal(object)  # noqa: N815 - AugmentParams

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.on = QCheckBox("Augmentation")
        named(self.on, "Augmentation", "Vary the crops, so that the model sees more than there is.")
        self.form = ParamForm(ROWS, AugmentParams())
        self.fold = QCollapsible("Strength of the augmentation")
        self.fold.addWidget(self.form)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.on)
        column.addWidget(self.fold)
        self.on.toggled.connect(self._toggled)
        self.form.valueChanged.connect(self.valueChanged)
        self.setValue(AugmentParams())

    def value(self) -> AugmentParams:
        """Return the choices."""
        params: AugmentParams = self.form.value()
        return params

    def setValue(self, params: AugmentParams) -> None:  # noqa: N802
        """Show choices without announcing them."""
        self.form.setValue(params)
        with silent(self.on):
            self.on.setChecked(params.on)
        self.fold.setEnabled(params.on)

    @property
    def problem(self) -> str:
        """Why the choices cannot be used, "" if they can."""
        return self.form.problem

    def _toggled(self, on: bool) -> None:
        self.setValue(replace(self.value(), on=on))
        self.valueChanged.emit(self.value())
