"""Micrometres per pixel of the image, beside those of the model."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QVBoxLayout, QWidget

from .parts import named, note, set_note, silent

UNKNOWN = 0.0
"""Value of the spin box that stands for "not known"."""
LARGEST_MPP = 20.0
DECIMALS = 4
TYPED = "typed in"


class MppEditor(QWidget):
    """Spin box for the image's mpp, and what will follow from it."""

    valueChanged = Signal(object)  # noqa: N815 - float or None

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._source, self._found = "", None
        self._model_mpp: float | None = None
        self._tolerance = 0.1
        self.spin = QDoubleSpinBox()
        self.spin.setRange(UNKNOWN, LARGEST_MPP)
        self.spin.setDecimals(DECIMALS)
        self.spin.setSingleStep(0.05)
        self.spin.setSuffix(" µm/px")
        self.spin.setSpecialValueText("not known")
        self.spin.setKeyboardTracking(False)
        named(
            self.spin,
            "Image resolution in micrometres per pixel",
            "Micrometres per pixel of the image: about 0.25 for a 40x scan, 0.5 for 20x. "
            "0 = not known: the image is taken as it is.",
        )
        self.remark = note(name="Resolution remark")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.spin)
        column.addWidget(self.remark)
        self.spin.valueChanged.connect(self._edited)

    def value(self) -> float | None:
        """Return µm per pixel, None = not known."""
        value = float(self.spin.value())
        return None if value == UNKNOWN else value

    def setValue(self, mpp: float | None) -> None:  # noqa: N802
        """Set µm per pixel without announcing it."""
        if mpp is None or abs(mpp - self.spin.value()) > 0.5 * 10**-DECIMALS:
            with silent(self.spin):
                self.spin.setValue(UNKNOWN if mpp is None else mpp)
        self._tell()

    def set_context(
        self,
        found: tuple[float | None, str],
        model_mpp: float | None,
        tolerance: float,
    ) -> None:
        """Set what was found with the image (mpp, where), the model's mpp, the tolerance."""
        (self._found, self._source), self._model_mpp = found, model_mpp
        self._tolerance = tolerance
        self._tell()

    def _edited(self) -> None:
        self._tell()
        self.valueChanged.emit(self.value())

    def _tell(self) -> None:
        mpp = self.value()
        same = mpp is not None and self._found is not None and abs(mpp - self._found) < 1e-4
        source = self._source if same or mpp is None else TYPED
        set_note(self.remark, mpp_remark(mpp, source, self._model_mpp, self._tolerance))


def mpp_remark(mpp: float | None, source: str, model_mpp: float | None, tolerance: float) -> str:
    """Say where the mpp comes from and whether the image will be resampled.

    Examples
    --------
    >>> mpp_remark(0.5, "layer scale", 0.25, 0.1)
    'From layer scale. Model: 0.25. The image is enlarged 2.00x for the network.'
    """
    known = "" if mpp is None or not source else f"From {source}."
    if source == TYPED:
        known = "Typed in."
    if model_mpp is None:
        return f"{known} The model's resolution is not known: no resampling.".strip()
    model = f"Model: {model_mpp:g}."
    if mpp is None:
        why = f" ({source})" if source else ""
        return (
            f"Not known{why}. {model} If the image differs, type its value: "
            "nuclei are missed otherwise."
        )
    factor = mpp / model_mpp
    if abs(factor - 1) <= tolerance:
        return f"{known} {model} Fits: no resampling.".strip()
    what = f"enlarged {factor:.2f}x" if factor > 1 else f"reduced to {factor:.2f}x"
    return f"{known} {model} The image is {what} for the network.".strip()
