"""All settings of a training, in a window beside the viewer; made from the declared choices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QDialog, QLineEdit, QSizePolicy, QWidget

from ...core.params import (
    LOSS_PRESETS,
    AugmentParams,
    DataParams,
    LossParams,
    OptimParams,
    TrainConfig,
)
from ...errors import UserError
from ..forms import TITLE_WIDTH, Form, rows_of
from ..jobs import bind
from ..kit import TONES, Combo, Fold, column, named, note, plain, row, scrolling, set_note
from ..training import UNNAMED

if TYPE_CHECKING:
    from ..training import Training

SIZE = (400, 640)
PARTS = (("loss", "Loss", LossParams), ("optim", "Training", OptimParams),
         ("data", "Data", DataParams), ("augment", "Augmentation", AugmentParams))  # fmt: skip
OWN = "own"
WORDS = {"family": {"": "none: images"}}


class SettingsDialog(QDialog):
    """A fold for each part of a :class:`TrainConfig`; edits count at once."""

    def __init__(self, training: Training, parent: QWidget) -> None:
        super().__init__(parent)
        self.training = training
        self.setWindowTitle("All settings of the training")
        self.resize(*SIZE)
        config = training.config
        self.forms: dict[str, Form] = {}
        body = QWidget()
        lines = column(body)
        lines.addWidget(self._run_rows())
        for name, title, cls in PARTS:
            form = Form(rows_of(cls), getattr(config, name), WORDS)
            self.forms[name] = form
            lines.addWidget(Fold(title, self._with_preset(form) if name == "loss" else form,
                                 f"All of {title.lower()}.", opened=name == "loss"))  # fmt: skip
        machine = [about for about in rows_of(TrainConfig) if about.kind not in ("text", "other")]
        self.forms[""] = Form(machine, config)
        lines.addWidget(Fold("Machine and seed", self.forms[""], "Precision, GPUs, seed."))
        lines.addStretch(1)
        column(self, 0).addWidget(scrolling(body))
        for name, form in self.forms.items():
            form.valueChanged.connect(lambda value, name=name: self._edited(name, value))
        bind(self, training.setup_changed, self._show)
        bind(self, training.work.devices_changed, self._show)
        self._show()

    def _run_rows(self) -> QWidget:
        """Make the rows of what is no number: name, device, epochs to keep."""
        self.name, self.keep = QLineEdit(), QLineEdit()
        named(self.name, "Name of the run", "Letters, digits, spaces, - _ and .; empty = the "
              "model's and the time.")  # fmt: skip
        named(self.keep, "Epochs to keep", "Epochs whose models are kept beside the best and the "
              "last, as in 5, 20.")  # fmt: skip
        self.name.setPlaceholderText("by model and time")
        self.device = Combo("Device", "Where it trains.")
        self.remark = note(name="What is wrong")
        self.remark.setStyleSheet(f"color: {TONES['bad']};")
        made = QWidget()
        layout = column(made, 0)
        for title, widget in (("Name", self.name), ("Device", self.device), ("Keep", self.keep)):
            label = plain(title)
            label.setFixedWidth(TITLE_WIDTH)
            widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            layout.addWidget(row(label, widget, stretch=1))
        layout.addWidget(self.remark)
        self.name.editingFinished.connect(lambda: self._set(name=self.name.text() or UNNAMED))
        self.keep.editingFinished.connect(self._keep_edited)
        self.device.picked.connect(lambda device: self._set(device=device))
        return made

    def _with_preset(self, form: Form) -> QWidget:
        presets = [(name, name, "") for name in LOSS_PRESETS]
        self.preset = Combo("Loss preset", "Weights by name.", [*presets, (OWN, "own", "")])
        form.form.insertRow(0, "Preset", self.preset)
        self.preset.picked.connect(
            lambda name: self._edited("loss", LOSS_PRESETS.get(name, self.training.config.loss))
        )
        return form

    def _edited(self, name: str, value: Any) -> None:
        config = self.training.config
        if name:
            self.training.edit(replace(config, **{name: value}))
        else:  # its parts and words may have been edited meanwhile
            rows = self.forms[""].rows
            self._set(**{row: getattr(value, row) for row in rows})

    def _set(self, **changes: Any) -> None:
        try:
            config = replace(self.training.config, **changes)
        except UserError as error:
            set_note(self.remark, str(error))
            return
        set_note(self.remark, "")
        self.training.edit(config)

    def _keep_edited(self) -> None:
        words = self.keep.text().replace(",", " ").split()
        if all(word.isdigit() for word in words):
            self._set(save_epochs=tuple(int(word) for word in words))
        else:
            set_note(self.remark, f"{self.keep.text()!r} is no list of epochs, as 5, 20.")

    def _show(self, *_: Any) -> None:
        config = self.training.config
        for name, form in self.forms.items():
            form.setValue(getattr(config, name) if name else config)
        known = next((name for name, loss in LOSS_PRESETS.items() if loss == config.loss), OWN)
        self.preset.setValue(known)
        usable = [d for d in self.training.work.devices if d.available]
        entries = [("auto", "automatic", ""), *((d.name, d.label, d.label) for d in usable)]
        self.device.fill(entries)
        self.device.setValue(config.device)
        self.name.setText("" if config.name == UNNAMED else config.name)
        self.keep.setText(", ".join(map(str, config.save_epochs)))
