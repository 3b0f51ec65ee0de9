"""The run under the glass: what it does, its buttons, its plots, its pinned image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QProgressBar, QVBoxLayout, QWidget

from .epoch_slider import EpochSlider
from .parts import ERROR_STYLE, note, set_note
from .plot_style import BAD_COLOR, FAIR_COLOR, GOOD_COLOR, theme_colors
from .run_buttons import RunButtons
from .training_plot import TrainingPlot

if TYPE_CHECKING:
    from ...app.runs import RunInfo
    from ...app.watch import RunView

FIRST_PLOTS = (0, 3, 7)
"""Plots that are shown at first: loss, magnitude, AJI and PQ."""
BAD_STATES = ("failed", "killed", "broken")
REMARKS = {"go on": GOOD_COLOR, "investigate": BAD_COLOR}
PROGRESS_PX = 8
STEPS_SHOWN = 1000
"""Steps of the progress bar."""
READING = "Reading ..."
NO_RUN = "No run is chosen. Start one in 'Set up'; runs that were started before are listed here."


class RunViewBox(QWidget):
    """Shows a :class:`RunInfo` and a :class:`RunView`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: RunView | None = None
        self.words = note(NO_RUN, "What the run does")
        self.progress = QProgressBar()
        self.progress.setRange(0, STEPS_SHOWN)
        self.progress.setTextVisible(False)
        self.progress.setMaximumHeight(PROGRESS_PX)
        self.progress.setStyleSheet(f"QProgressBar::chunk {{ background: rgb{GOOD_COLOR}; }}")
        self.progress.setAccessibleName("Share of the steps that are done")
        self.remark = QLabel()
        self.remark.setAccessibleName("Remark on the magnitude")
        self.trouble = note("", "What went wrong")
        self.trouble.setStyleSheet(ERROR_STYLE)
        self.buttons, self.epochs = RunButtons(), EpochSlider()
        self.plots = tuple(TrainingPlot(at) for at in FIRST_PLOTS)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (
            self.words,
            self.progress,
            self.remark,
            self.trouble,
            self.buttons,
            self.epochs,
            *self.plots,
        ):
            column.addWidget(widget)
        self.set_info(None, "")
        self.setValue(None)

    def set_theme(self, name: str) -> None:
        """Fit a theme of napari."""
        colors = theme_colors(name)
        for plot in self.plots:
            plot.set_colors(colors)

    def set_info(self, info: RunInfo | None, log: str) -> None:
        """Show the state of a run and, where it went wrong, the end of its log."""
        self.buttons.setValue(info)
        bad = info is not None and info.state in BAD_STATES
        set_note(self.trouble, trouble_text(info, self._view, log) if bad and info else "")
        set_note(self.words, words_of(info, self._view))

    def setValue(self, view: RunView | None) -> None:  # noqa: N802
        """Show what a run has said; None = nothing."""
        self._view = view
        done = 0.0 if view is None or math.isnan(view.done) else view.done
        self.progress.setValue(round(done * STEPS_SHOWN))
        self.progress.setVisible(view is not None)
        text, color = remark_of(view)
        self.remark.setText(text)
        self.remark.setStyleSheet(f"color: rgb{color};")
        self.remark.setVisible(bool(text))
        for plot in self.plots:
            plot.setValue(view)


def words_of(info: RunInfo | None, view: RunView | None) -> str:
    """Say in a few lines what a run does and how far it is."""
    if info is None:
        return NO_RUN
    head = f"{info.name}: {info.state}"
    if view is None:
        return f"{head}\n{READING}" if info.state != "broken" else head
    parts = []
    if view.epoch and view.n_epochs:
        parts.append(f"epoch {min(view.epoch, view.n_epochs)} of {view.n_epochs}")
    if view.step:
        parts.append(f"step {view.step:,}")
    if view.active and view.images_per_s == view.images_per_s:
        parts.append(f"{view.images_per_s:.1f} crops/s")
    if view.active and view.eta_s == view.eta_s:
        parts.append(f"{duration(view.eta_s)} left")
    elif not view.active and view.seconds == view.seconds:
        parts.append(f"took {duration(view.seconds)}")
    best = view.best
    if best is not None and best.score("aji") == best.score("aji"):
        parts.append(f"best AJI {best.score('aji'):.3f} after epoch {best.epoch}")
    device = str(view.start.get("device", "")).split(",")[0].rsplit(": ", 1)[-1]
    said = info.message if info.state not in BAD_STATES else ""
    lines = (head + (f", on {device}" if device else ""), ", ".join(parts), said)
    return "\n".join(line for line in lines if line)


def remark_of(view: RunView | None) -> tuple[str, tuple[int, int, int]]:
    """Return the last remark on the magnitude, with the number it stands on, and its colour."""
    found = [row for row in view.rows if row.remark] if view is not None else []
    if not found:
        return "", FAIR_COLOR
    row = found[-1]
    text = f"Epoch {row.epoch}, magnitude {row.score('magnitude'):.2f}: {row.remark}."
    return text, REMARKS.get(row.remark, FAIR_COLOR)


def trouble_text(info: RunInfo, view: RunView | None, log: str) -> str:
    """Say what happened to a run that ended badly, and what can be done."""
    lines = [info.message or "It ended without a word."]
    if view is not None and view.error.rstrip(".") not in lines[0]:
        lines.append(view.error)
    if view is not None and view.error_term:
        lines.append(f"The term that became NaN: {view.error_term}.")
    if info.can_resume:
        lines.append("Resume goes on from the last good checkpoint.")
    elif info.state != "broken":
        lines.append("There is no checkpoint yet: Resume begins again.")
    if log:
        lines.append(f"The log ends with:\n{log}")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Say a time in words.

    Examples
    --------
    >>> duration(42), duration(170), duration(7300)
    ('42 s', '3 min', '2 h 2 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
