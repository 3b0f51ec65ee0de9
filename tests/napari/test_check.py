"""The tab "Check" over a viewer without a window; the network is a stand-in."""

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QToolButton

from napari_hovernet._napari.panels.check import CheckTab
from napari_hovernet._napari.panels.truth import TruthBox, layer_source


@pytest.fixture
def tab(work, qtbot):
    made = CheckTab(work)
    yield made
    made.left()
    made.deleteLater()  # at once, as a dock does: not whenever garbage is collected
    QCoreApplication.sendPostedEvents(made, QEvent.Type.DeferredDelete)


@pytest.fixture
def blobs(work, blob_run, settle):
    image = work.viewer.add_image(np.full((120, 160, 3), 200, np.uint8), rgb=True, name="cells")
    work.choose_image(image)
    run = blob_run(image)
    cells = replace(run.image, key=id(image), name="cells")
    work.session.finish(replace(run, image=cells, title=work.session.next_run()[1]))
    settle(work)
    return work.study.run


def test_truth_is_any_layer_of_whole_numbers_and_is_refused_in_words(
    work, tab, blobs, settle, qtbot
):
    tab.shown()
    c = np.indices((120, 160))[1]
    right = work.study.labels.astype(np.uint16)
    right[right == 9] = np.where(c[right == 9] < 28, 20, 21)
    layer = work.viewer.add_image(right, name="true ids")
    small = work.viewer.add_labels(np.ones((5, 60), int), name="sliver")
    floats = work.viewer.add_image(np.zeros((120, 160)), name="floats")
    keys = [tab.truth.combo.itemData(i) for i in range(tab.truth.combo.count())]
    assert ("layer", id(layer)) in keys and ("layer", id(small)) in keys
    assert ("layer", id(floats)) not in keys and ("layer", blobs.image.key) not in keys
    tab.truth.combo.picked.emit(("layer", id(layer)))
    qtbot.waitUntil(lambda: work.study.truth is not None, timeout=20_000)
    settle(work)
    assert work.session.view == "outcome" and not layer.visible
    assert "merged" in tab.truth.words.text() and "without separation" in tab.truth.words.text()
    assert "direction" in tab.magnitude.text() and "truth" in tab.magnitude.text()
    assert work.layers.nuclei.features["outcome"].isin(["true", "merged"]).all()
    tab.truth.outline.setChecked(True)
    qtbot.waitUntil(lambda: "true, not found" in work.viewer.layers[-1].name, timeout=20_000)
    tab.left()
    assert "true, not found" not in work.viewer.layers[-1].name
    tab.truth.combo.picked.emit(("layer", id(small)))
    qtbot.waitUntil(lambda: bool(work.study.truth.error), timeout=20_000)
    assert layer.visible and "5 x 60" in tab.truth.words.text() and tab.truth.words.tone == "bad"
    tab.truth.combo.picked.emit(None)
    settle(work)
    assert work.study.truth is None and work.session.view == "image"


def test_split_merge_delete_and_undo(work, tab, blobs, settle, qtbot):
    tab.shown()
    settle(work)

    def done(before):
        qtbot.waitUntil(lambda: work.study.labels is not before, timeout=20_000)
        settle(work)

    before = labels = work.study.labels
    work.study.look_at(9)
    tab.correct.split.click()
    done(labels)
    labels = work.study.labels
    assert len(np.unique(labels)) == len(np.unique(before)) + 2 and work.study.instances.corrected
    assert [p.nucleus for p in tab.places.places] == [7]
    work.study.look_at(1)
    tab.correct.delete.click()
    done(labels)
    labels = work.study.labels
    assert not (labels == 1).any()
    work.study.look_at(2)
    tab.correct.merge.click()
    tab._clicked(work.layers.nuclei.data_to_world(np.argwhere(labels == 3)[0]))
    done(labels)
    assert (work.study.labels == 2).sum() == (before == 2).sum() + (before == 3).sum()
    for _ in range(3):
        labels = work.study.labels
        tab.correct.undo.click()
        done(labels)
    assert np.array_equal(work.study.labels, before) and not work.study.instances.corrected
    assert not tab.correct.undo.isEnabled()


def test_two_runs_in_a_window_of_their_own(work, tab, blobs, blob_run, settle, qtbot):
    merged = (0, *range(1, 12))
    second = replace(blob_run(work.image_layer(), 2, merged), image=blobs.image, title="compact 2")
    work.session.finish(second)
    settle(work)
    layers = len(work.viewer.layers)
    tab.shown()
    assert not tab.compare.isHidden()
    tab.compare.open.click()
    qtbot.waitUntil(lambda: tab.compare.window is not None, timeout=20_000)
    window = tab.compare.window
    cells = [window.table.item(0, i).text() for i in range(4)]
    assert cells == ["Nuclei", "8", "11", "+3"] and len(work.viewer.layers) == layers
    assert all(item.image.shape == (120, 160, 3) for item in window.images)
    window.close()


def test_a_part_of_the_truth_is_put_where_it_lies(work, blobs):
    labels = np.arange(120 * 160, dtype=np.int32).reshape(120, 160)
    part = work.viewer.add_labels(labels[20:60, 30:90], name="part", translate=(20, 30))
    assert layer_source(part, blobs).read(None).origin == (20, 30)
    stack = work.viewer.add_labels(np.stack([labels] * 3), name="stack")
    stack.data[2] = 7
    run = replace(blobs, placement=replace(blobs.placement, plane=(2,)))
    found = layer_source(stack, run).read(None)
    assert found.origin is None and (found.labels == 7).all()


def test_scores_are_copied_and_saved(work, blobs, qtbot, tmp_path, monkeypatch):
    layer, box = work.viewer.add_labels(work.study.labels.copy(), name="true"), TruthBox(work)
    qtbot.addWidget(box)
    box.choose(("layer", id(layer)))
    qtbot.waitUntil(lambda: bool(work.study.findings and work.study.findings.comparison),
                    timeout=20_000)  # fmt: skip
    press(box, "Copy scores")
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0].split("\t")[0] == "row" and len(lines) > 3
    for name, first in (("s.csv", "row,"), ("s.json", "{"), ("plain", "row,")):
        monkeypatch.setattr(
            QFileDialog, "getSaveFileName", lambda *_, n=name: (str(tmp_path / n), "")
        )
        press(box, "Save scores")
        written = tmp_path / (name if "." in name else f"{name}.csv")
        assert written.read_text("utf-8").startswith(first)
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "no" / "s.csv"), "")
    )
    said = []
    work.said.connect(lambda text, tone: said.append((tone, text)))
    press(box, "Save scores")
    assert said and said[0][0] == "bad" and "the folder does not exist" in said[0][1]


def press(box, name):
    (found,) = (b for b in box.findChildren(QToolButton) if b.accessibleName() == name)
    found.click()


def test_a_truth_is_followed_and_shown_again_though_the_dock_was_closed_meanwhile(
    work, blobs, qtbot
):
    layer, first = work.viewer.add_labels(work.study.labels.copy(), name="true"), TruthBox(work)
    first.choose(("layer", id(layer)))
    qtbot.waitUntil(lambda: work.study.truth is not None, timeout=20_000)
    assert not layer.visible
    first.deleteLater()
    QCoreApplication.sendPostedEvents(first, QEvent.Type.DeferredDelete)
    again = TruthBox(work)
    qtbot.addWidget(again)
    layer.data_setitem((np.array([0]), np.array([0])), np.array([99]))
    qtbot.waitUntil(lambda: bool(work.study.truth.labels[0, 0]), timeout=20_000)
    again.choose(None)
    assert layer.visible
