"""Why is it a blob, show me, fix it, take it back: with a real mouse, network and checks."""

import numpy as np
import pytest

from napari_hovernet.core.diagnosis import engine

from .conftest import LEFT, LONG_MS


@pytest.fixture(autouse=True)
def few_checks(monkeypatch):
    monkeypatch.setattr(engine, "MODULES", ("separation",))  # the others take a minute


def test_from_a_blob_to_its_cause_and_apart(dock, qtbot):
    work, page = dock.work, dock.pages[3]
    viewer, bar, asking, card = work.viewer, dock.tabs.tabBar(), page.asking, page.card

    def done(until=lambda: True):
        qtbot.wait(10)
        qtbot.waitUntil(lambda: not work.busy and until(), timeout=LONG_MS)

    qtbot.mouseClick(dock.run, LEFT)
    done(lambda: work.study.findings is not None)
    apart = len(work.study.findings.nuclei)
    page.plant.menu().actions()[0].trigger()  # the fault of the story
    done(lambda: work.study.findings.blobs.n_suspected > 0)
    blobs, merged = work.study.labels.copy(), len(work.study.findings.nuclei)
    camera = tuple(viewer.scene.camera.center)
    qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(3).center())
    assert bar.currentIndex() == 3 and not card.isVisible()

    qtbot.mouseClick(page.start, LEFT)
    qtbot.waitUntil(lambda: asking.finding is not None, timeout=LONG_MS)
    qtbot.waitUntil(lambda: not asking.busy, timeout=LONG_MS)
    assert asking.finding.id == "separation.relabel"
    assert card.title.text() == asking.finding.title and card.plot.isVisible()
    assert "glues" in card.todo.text() and "union" not in card.todo.text()
    page.code.setChecked(True)
    assert "union" in card.todo.text()
    page.code.setChecked(False)
    assert tuple(viewer.scene.camera.center) == camera

    qtbot.mouseClick(card.show_place, LEFT)
    assert tuple(viewer.scene.camera.center) != camera
    assert work.layers.nuclei._overlays["selection_box"].visible
    qtbot.mouseClick(card.fix, LEFT)
    qtbot.waitUntil(lambda: asking.said[0].startswith("Fixed"), timeout=LONG_MS)
    done(lambda: len(work.study.findings.nuclei) == apart)
    assert page.message.text() == f"Fixed: {merged} → {apart} nuclei."
    assert asking.fixed and not card.fix.isEnabled() and work.can_undo
    assert np.array_equal(work.layers.drawn(), work.study.labels)
    assert work.tuning.params.separation.merge_touching is False

    qtbot.mouseClick(card.undo, LEFT)
    done(lambda: len(work.study.findings.nuclei) == merged)
    assert np.array_equal(work.study.labels > 0, blobs > 0)
    assert "Taken back" in page.message.text() and card.fix.isEnabled()
    qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(0).center())
    assert not work.layers.nuclei._overlays["selection_box"].visible
    assert len(viewer.layers) <= 4 and dock.width() <= 340
    assert page.minimumSizeHint().width() <= 316
