"""Blob, nucleus near, truth, outcome, correction, training data: with a real mouse and network."""

import numpy as np
from qtpy.QtCore import Qt

from napari_hovernet.core.data.pairs import find_pairs

from .conftest import LEFT, LONG_MS


def test_from_a_blob_to_training_data(dock, qtbot, tmp_path):  # noqa: PLR0915 - one journey
    work, study, page = dock.work, dock.work.study, dock.pages[1]
    viewer, bar = work.viewer, dock.tabs.tabBar()
    canvas = viewer.window._qt_viewer.canvas.native

    def done(until=lambda: True):
        qtbot.wait(10)
        qtbot.waitUntil(lambda: not work.busy and until(), timeout=LONG_MS)

    def tab(at):
        qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(at).center())
        done()

    labels = viewer.layers.pop(viewer.layers.index("tissue, true nuclei")).data
    qtbot.mouseClick(dock.run, LEFT)
    done(lambda: study.findings is not None)
    work.tuning.choose_preset("merging_relabel")  # the fault of the story
    done(lambda: study.findings.blobs.n_suspected > 0)
    camera = tuple(viewer.scene.camera.center)

    tab(1)  # blobs are listed and coloured, and nothing has moved
    blobs = study.findings.blobs.n_suspected
    assert work.session.view == "blobs" and page.places.list.count() == blobs
    assert tuple(viewer.scene.camera.center) == camera
    assert dock.width() <= 340 and page.body.width() < page.width()
    where = page.places.list.visualItemRect(page.places.list.item(0)).center()
    qtbot.mouseClick(page.places.list.viewport(), LEFT, pos=where)
    done(lambda: page.nucleus.view is not None)
    assert tuple(viewer.scene.camera.center) != camera
    assert study.nucleus == study.findings.blobs.suspects[0].worst == page.nucleus.view.id

    truth = viewer.add_image(np.asarray(labels, np.uint16), name="ids.png")
    viewer.layers.selection.active = viewer.layers["tissue"]
    page.truth.combo.setFocus()
    qtbot.keyClick(page.truth.combo, Qt.Key.Key_Down)
    done(lambda: study.findings.comparison is not None)
    assert work.session.view == "outcome" and not truth.visible
    assert "without separation" in page.truth.words.text() and "merged" in dock.legend.toolTip()
    assert "(truth)" in page.magnitude.text()

    canvas.setFocus()
    qtbot.keyClick(canvas, "n")
    done()
    assert page.places.count.text().startswith("1 of")
    blob, before = study.nucleus, study.labels
    qtbot.mouseClick(page.correct.split, LEFT)
    done(lambda: study.labels is not before)
    after = study.labels
    assert study.instances.corrected and len(np.unique(after)) > len(np.unique(before))
    qtbot.mouseClick(page.correct.undo, LEFT)
    done(lambda: study.labels is not after)
    assert np.array_equal(study.labels, before)
    qtbot.mouseClick(page.correct.split, LEFT)
    done(lambda: np.array_equal(study.labels, after))

    work.fly_to((0, 0, 1, 1))
    other = int(study.findings.nuclei.label[study.findings.nuclei.label != blob][3])
    r0, c0, r1, c1 = (int(x) for x in study.findings.nuclei.bbox[
        study.findings.nuclei.label == other][0])  # fmt: skip
    work.fly_to((r0, r1, c0, c1))
    done()
    qtbot.mouseMove(canvas, canvas.rect().center())
    qtbot.mouseClick(canvas, LEFT, pos=canvas.rect().center())
    done(lambda: study.nucleus == other)
    qtbot.waitUntil(lambda: f"nucleus {other}" in page.pixel.text(), timeout=LONG_MS)

    page.save.fold.head.setChecked(True)
    page.save.set_folder(str(tmp_path / "data"))
    qtbot.mouseClick(page.save.add, LEFT)
    done(lambda: bool(work.data_folders))
    (pair,) = find_pairs(tmp_path / "data")
    assert pair.name == "tissue" and "Added" in dock.message.text()

    tab(0)
    assert not work.layers.nuclei._overlays["selection_box"].visible
    assert len(viewer.layers) <= 6 and viewer.layers.selection.active.name == "tissue"
