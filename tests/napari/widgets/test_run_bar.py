from __future__ import annotations

import pytest

from napari_hovernet._napari.widgets.run_bar import RunBar, duration, progress_text
from napari_hovernet.app.session import Status


@pytest.fixture
def bar(qtbot):
    bar = RunBar()
    qtbot.addWidget(bar)
    return bar


def test_a_blocked_run_says_why(bar):
    bar.setValue(Status(), "Open an image first.")
    assert not bar.run.isEnabled() and bar.status.text() == "Open an image first."
    assert bar.run.toolTip() == "Open an image first."


def test_running_shows_progress_and_can_be_cancelled(bar):
    bar.setValue(Status("running", "Segmenting", 3, 12, 8.4), "A run is under way.")
    assert not bar.run.isEnabled() and bar.cancel.isEnabled() and not bar.bar.isHidden()
    assert (bar.bar.value(), bar.bar.maximum(), bar.bar.format()) == (3, 12, "3 of 12, 8 s left")
    bar.setValue(Status("cancelling", "Stopping ..."), "A run is under way.")
    assert not bar.cancel.isEnabled()


def test_notices_stay_once_each(bar):
    halved = "out of memory: tile halved"
    bar.setValue(Status(message="212 nuclei", notices=(halved, halved)), "")
    assert bar.notices.text() == f"• {halved}" and bar.bar.isHidden()


def test_unknown_total_has_no_text():
    assert progress_text(Status("running", "Separating")) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min 0 s"), (75, "1 min 15 s"), (7260, "2 h 1 min")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
