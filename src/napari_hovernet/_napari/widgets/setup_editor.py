"""Every choice of a training run, put together from the smaller editors."""

from __future__ import annotations

import os
import re
from dataclasses import replace

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QLineEdit, QSizePolicy, QVBoxLayout, QWidget
from superqt import QCollapsible

from ...core.params import TrainConfig
from ...errors import InputError
from .augment_editor import AugmentEditor
from .data_editor import DataEditor
from .device_picker import DevicePicker
from .loss_editor import LossEditor
from .model_card import ModelCard
from .optim_editor import MoreOptimEditor, OptimEditor
from .param_form import TITLE_WIDTH, ParamForm, rows_of
from .parts import ERROR_STYLE, named, note, set_note
from .start_picker import StartPicker

ROWS = rows_of(TrainConfig, "precision", "seed", "threads", "num_workers")
EPOCHS_TIP = "Epochs whose models are kept, beside the best and the last, as in 5, 20."


class SetupEditor(QWidget):
    """Edits a :class:`TrainConfig`; knows neither session nor napari."""

    valueChanged = Signal(object)  # noqa: N815 - TrainConfig

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.start, self.card = StartPicker(), ModelCard()
        self.data, self.loss = DataEditor(), LossEditor()
        self.optim, self.more_optim = OptimEditor(), MoreOptimEditor()
        self.augment, self.device = AugmentEditor(), DevicePicker()
        self._config = TrainConfig(threads=threads_beside_a_viewer())
        self.machine = ParamForm(ROWS, self._config)
        self.name = _line("Name", "Of the run and its folder: letters, digits, '-', '_' and '.'.")
        self.epochs = _line("Keep the models of", EPOCHS_TIP)
        self.remark = note("", "What is wrong with the settings")
        self.remark.setStyleSheet(ERROR_STYLE)
        self._lay_out()
        self._connect()
        self.setValue(self._config)

    def _lay_out(self) -> None:
        form, more = self.machine.form, self.more_optim.form
        form.insertRow(0, _label("Device"), self.device)
        form.insertRow(0, _label("Name of the run"), self.name)
        more.addRow(_label("Keep the models of"), self.epochs)
        fold = QCollapsible("More about the training")
        fold.addWidget(self.more_optim)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for title, widgets in (
            ("Start from", (self.start, self.card)),
            ("Training data", (self.data,)),
            ("Training", (self.optim, fold)),
            ("Loss", (self.loss,)),
            ("Augmentation", (self.augment,)),
            ("Run", (self.machine, self.remark)),
        ):
            column.addWidget(heading(title))
            for widget in widgets:
                column.addWidget(widget)

    def _connect(self) -> None:
        for editor in (
            self.start,
            self.data,
            self.loss,
            self.optim,
            self.more_optim,
            self.augment,
            self.device,
            self.machine,
        ):
            editor.valueChanged.connect(self._edited)
        for line in (self.name, self.epochs):
            line.editingFinished.connect(self._edited)

    def value(self) -> TrainConfig:
        """Return the last configuration that was in order."""
        return self._config

    def setValue(self, config: TrainConfig) -> None:  # noqa: N802
        """Show a configuration without announcing it."""
        self._config = config
        self.start.setValue(config.start)
        self.data.setValue(config.data)
        self.loss.setValue(config.loss)
        self.optim.setValue(config.optim)
        self.more_optim.setValue(config.optim)
        self.augment.setValue(config.augment)
        self.device.setValue(config.device)
        self.machine.setValue(config)
        self.name.setText(config.name)
        self.epochs.setText(", ".join(str(e) for e in config.save_epochs))
        set_note(self.remark, "")

    @property
    def problem(self) -> str:
        """Why the settings cannot be used, "" if they can."""
        editors = (self.data, self.loss, self.optim, self.more_optim, self.augment, self.machine)
        return self.remark.text() or next((e.problem for e in editors if e.problem), "")

    def _edited(self, _value: object = None) -> None:
        try:
            config = self._read()
        except InputError as error:
            set_note(self.remark, str(error))
            return
        set_note(self.remark, "")
        if config != self._config:
            self._config = config
            self.valueChanged.emit(config)

    def _read(self) -> TrainConfig:
        more, machine = self.more_optim.value(), self.machine.value()
        optim = replace(
            self.optim.value(),
            weight_decay=more.weight_decay,
            warmup_steps=more.warmup_steps,
            clip=more.clip,
        )
        return replace(
            self._config,
            start=self.start.value(),
            name=self.name.text().strip(),
            data=self.data.value(),
            loss=self.loss.value(),
            augment=self.augment.value(),
            optim=optim,
            device=self.device.value(),
            precision=machine.precision,
            seed=machine.seed,
            threads=machine.threads,
            num_workers=machine.num_workers,
            save_epochs=epochs_of(self.epochs.text()),
        )


def threads_beside_a_viewer() -> int:
    """Return how many CPU threads a training may take beside a viewer: all but one."""
    return max((os.cpu_count() or 2) - 1, 1)


def epochs_of(text: str) -> tuple[int, ...]:
    """Read whole numbers out of a line.

    Raises
    ------
    InputError
        If something else stands in it.

    Examples
    --------
    >>> epochs_of("5, 20"), epochs_of("")
    ((5, 20), ())
    """
    words = [w for w in re.split(r"[\s,;]+", text.strip()) if w]
    if not all(w.isdecimal() and int(w) > 0 for w in words):
        raise InputError(f"Epochs to keep: {text!r}; give whole numbers from 1 on, as in 5, 20.")
    return tuple(sorted({int(w) for w in words}))


def heading(text: str) -> QLabel:
    """Return a bold line over a part of a panel."""
    label = QLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label


def _label(text: str) -> QLabel:
    label = QLabel(text)
    label.setMinimumWidth(TITLE_WIDTH)
    return label


def _line(name: str, tip: str) -> QLineEdit:
    line = QLineEdit()
    line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    named(line, name, tip)
    return line
