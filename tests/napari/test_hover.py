"""Words under the cursor, on a ViewerModel (which sets its status itself)."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.hover import GAP, Hover, with_words
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.session_for import forget
from napari_hovernet.app.session import ImageChoice, Run


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    viewer.mouse_over_canvas = True
    return viewer


@pytest.fixture
def desk(viewer, jobs, qapp, make_result):
    image = viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="slide")
    desk = desk_for(viewer)
    run = Run(1, "compact 1", ImageChoice(1, "x"), make_result(), placement(image, (0, 0)), {})
    desk.work.session.finish(run)
    viewer.layers.selection.active = image
    yield desk
    forget(viewer)


@pytest.fixture
def shown():
    return []


@pytest.fixture
def hover(desk, shown):
    hover = Hover(desk, shown.append)
    hover.start()
    yield hover
    hover.stop()


WORDS = "NP 1.00  h +0.30  v +0.30  magnitude 0.42  direction 45°  nucleus 2"


def words_of(viewer):
    status = viewer.status
    return status if isinstance(status, str) else status["coordinates"]


def test_cursor_gives_a_reading_and_words_after_naparis_own(viewer, hover, shown):
    viewer.cursor.position = (31.2, 24.9)
    assert (shown[-1].row, shown[-1].col, shown[-1].nucleus) == (31, 25, 2)
    assert words_of(viewer).endswith(GAP + WORDS)
    assert words_of(viewer).startswith("[31")
    assert words_of(viewer).count(GAP) == 1


def test_the_words_follow_and_never_pile_up(viewer, hover):
    for col in range(5, 60):
        viewer.cursor.position = (31, col)
        assert words_of(viewer).count("magnitude") == 1


@pytest.mark.parametrize("chosen", ["none", "instances", "two"])
def test_any_layer_may_be_selected(desk, viewer, hover, chosen):
    layers = viewer.layers
    instances = desk.instances_layer()
    layers.selection = {"none": [], "instances": [instances], "two": list(layers[:2])}[chosen]
    viewer.cursor.position = (31, 25)
    assert words_of(viewer).endswith(WORDS)


def test_outside_there_is_no_reading_and_the_status_is_naparis(viewer, hover, shown):
    viewer.cursor.position = (500, 25)
    assert shown[-1] is None
    assert GAP not in words_of(viewer)


def test_a_mouse_beside_the_canvas_or_3d_reads_nothing(viewer, hover):
    viewer.cursor.position = (31, 25)
    assert hover.reading() is not None
    viewer.dims.ndisplay = 3
    assert hover.reading() is None
    viewer.dims.ndisplay = 2
    viewer.mouse_over_canvas = False
    assert hover.reading() is None


def test_corrected_labels_are_read(desk, viewer, hover, shown):
    labels = desk.study.labels.copy()
    labels[31, 25] = 77
    desk.study.set_labels(labels, corrected=True)
    viewer.cursor.position = (31, 25)
    assert shown[-1].nucleus == 77


def test_labels_of_another_size_do_not_crash_it(desk, viewer, hover, shown):
    desk.study.set_labels(np.zeros((3, 3), np.int32), corrected=True)
    viewer.cursor.position = (31, 25)
    assert shown[-1] is None


def test_a_run_that_is_gone_reads_nothing(desk, viewer, hover, shown):
    desk.work.session.remove_run(1)
    viewer.cursor.position = (31, 25)
    assert shown[-1] is None
    assert "magnitude" not in words_of(viewer)


def test_stopped_it_lets_go(viewer, hover, shown):
    counts = [len(e.callbacks) for e in (viewer.cursor.events.position, viewer.events.status)]
    hover.stop()
    hover.stop()
    after = [len(e.callbacks) for e in (viewer.cursor.events.position, viewer.events.status)]
    assert [a - b for a, b in zip(counts, after, strict=True)] == [1, 1]
    viewer.cursor.position = (31, 25)
    assert not shown
    assert GAP not in words_of(viewer)


def test_words_of_every_kind_of_status():
    assert with_words("Ready", "x") == f"Ready{GAP}x"
    assert with_words("", "x") == "x"
    assert with_words({"coordinates": ""}, "x") == {"coordinates": "x"}
    before = {"layer_base": "a", "coordinates": "[1 2]"}
    assert with_words(before, "x") == {"layer_base": "a", "coordinates": f"[1 2]{GAP}x"}
    assert before["coordinates"] == "[1 2]"
