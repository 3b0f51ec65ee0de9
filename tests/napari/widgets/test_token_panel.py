"""The panel "Token decoder": what it shows, and what its widgets do."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_hovernet._napari import tokens as tokens_module
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.token_layers import FEATURES, SAMPLES
from napari_hovernet._napari.tokens import NO_CHECKPOINT, TokenRun
from napari_hovernet._napari.widgets.token_panel import TokenPanel
from napari_hovernet.core.tokens.decode import TOKEN_PREFIXES
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import InputError

WAIT_MS = 60_000


class Made:
    """Stands in for the stacks of a run."""

    summary = ("2 samples of skin: training.", "AJI 0.500")
    notes = ("maps come out 4 columns to the right",)


@pytest.fixture
def steps(monkeypatch):
    """Replace the run: a stack of two images, or an error."""
    from napari.layers import Image  # noqa: PLC0415

    state = {"error": None, "asked": []}

    def fake(options, title, _wanted):
        state["asked"].append(options)
        yield Progress(1, 2, "sample 1 of 2", "out of memory: 1 samples at a time")
        if state["error"]:
            raise InputError(state["error"])
        about = {"napari_hovernet": {FEATURES: "x", SAMPLES: ["skin_00001", "skin_00007"]}}
        images = Image(np.zeros((2, 8, 8, 3), np.uint8), rgb=True, name=title, metadata=about)
        return TokenRun(title, Made(), (images,))

    monkeypatch.setattr(tokens_module, "steps_of", fake)
    return state


@pytest.fixture
def viewer(jobs, qapp):
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def panel(viewer, qtbot, steps):
    panel = TokenPanel(viewer)
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def run(panel, qtbot):
    def run():
        panel.checkpoint.choose("/d/best.pth")
        panel.features.choose("/d/skin_features.npz")
        panel.bar.run.click()
        qtbot.waitUntil(lambda: not panel.tokens.status.busy, timeout=WAIT_MS)

    return run


def test_at_first_it_says_what_to_choose(panel):
    assert not panel.bar.run.isEnabled() and panel.bar.status.text() == NO_CHECKPOINT
    assert not panel.undo.isEnabled() and not panel.study.isEnabled()
    assert panel.result.isHidden()


def test_every_token_prefix_can_be_chosen_by_name(panel):
    values = [panel.prefix.itemData(i) for i in range(panel.prefix.count())]
    assert values == list(TOKEN_PREFIXES) and "historical 1:257" in values
    at = values.index("historical 1:257")
    assert "registers" in panel.prefix.itemData(at, Qt.ItemDataRole.ToolTipRole)
    panel.prefix.activated.emit(at)
    assert panel.tokens.options.prefix == "historical 1:257"


def test_choices_reach_the_run(panel, run, steps):
    panel.samples.setValue(7)
    panel.split.activated.emit(panel.split.findData("train"))
    run()
    (asked,) = steps["asked"]
    assert (asked.checkpoint, asked.features) == ("/d/best.pth", "/d/skin_features.npz")
    assert (asked.n_samples, asked.split, asked.prefix) == (7, "train", "file")


def test_what_came_out_is_shown(panel, run, viewer):
    run()
    assert panel.result.text() == "\n".join(Made.summary)
    assert panel.notes.text() == f"• {Made.notes[0]}"
    assert "out of memory" in panel.bar.notices.text()
    assert panel.undo.isEnabled() and panel.study.isEnabled()
    assert panel.sample.text() == "In view: skin_00001"
    viewer.dims.set_current_step(0, 1)
    assert panel.sample.text() == "In view: skin_00007"


def test_undo_and_redo(panel, run, viewer):
    run()
    panel.undo.click()
    assert not viewer.layers and panel.result.isHidden() and panel.redo.isEnabled()
    panel.redo.click()
    assert len(viewer.layers) == 1 and panel.result.text()


def test_an_error_is_shown_in_the_panel(panel, run, steps, viewer):
    steps["error"] = "The tokens are 8 long, this decoder reads 9."
    run()
    assert panel.bar.status.text() == steps["error"] and not viewer.layers
    assert panel.bar.run.isEnabled(), "it can be tried again"


def test_files_can_be_dropped_on_it(panel):
    for name in ("/d/a_features.npz", "/d/b.pth"):
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(name)])
        event = QDropEvent(
            QPointF(1, 1), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )  # fmt: skip
        panel.dropEvent(event)
    assert panel.features.line.text() == "a_features.npz"
    assert panel.checkpoint.line.text() == "b.pth"


def test_two_panels_show_one_state(panel, viewer, qtbot):
    other = TokenPanel(viewer)
    qtbot.addWidget(other)
    panel.features.choose("/d/skin_features.npz")
    assert other.features.line.text() == "skin_features.npz"
