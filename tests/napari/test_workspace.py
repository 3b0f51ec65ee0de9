"""The panel's use cases on a ViewerModel: no window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from tifffile import imwrite

from napari_hovernet._napari.images import METADATA_KEY
from napari_hovernet._napari.session_for import forget, session_for
from napari_hovernet.errors import UserError


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def work(viewer, jobs, qapp):
    work = session_for(viewer)
    yield work
    forget(viewer)


def add_image(viewer, **keywords):
    return viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="slide", **keywords)


def ready(work, qtbot):
    work.choose_model("compact")
    qtbot.waitUntil(lambda: not work.session.model.reading, timeout=60000)


def finish(work, qtbot):
    qtbot.waitUntil(lambda: not work.session.status.busy, timeout=60000)
    qtbot.waitUntil(lambda: work.layers.settled, timeout=60000)


def test_run_adds_five_layers_with_fixed_limits(work, viewer, qtbot):
    add_image(viewer, scale=(0.5, 0.5), translate=(3, 4))
    ready(work, qtbot)
    work.run()
    finish(work, qtbot)
    names = [layer.name for layer in viewer.layers]
    assert names[1:] == [
        "compact 1 · NP",
        "compact 1 · HV horizontal",
        "compact 1 · HV vertical",
        "compact 1 · magnitude",
        "compact 1 · nuclei",
    ]
    np_layer, h, v, magnitude, nuclei = viewer.layers[1:]
    assert (h.contrast_limits, v.contrast_limits) == ([-1, 1], [-1, 1])
    assert (np_layer.contrast_limits, magnitude.contrast_limits) == ([0, 1], [0, 1])
    assert [layer.visible for layer in viewer.layers] == [True, False, False, False, False, True]
    assert nuclei.contour == 2
    assert tuple(nuclei.scale) == (0.5, 0.5) and tuple(nuclei.translate) == (3, 4)
    assert nuclei.metadata[METADATA_KEY]["run"] == 1
    assert nuclei.metadata[METADATA_KEY]["inference"]["image_mpp"] == 0.25
    assert "2 nuclei, mean magnitude 0.42" in work.session.status.message


def test_the_image_stays_selected_and_own_maps_are_not_offered(work, viewer, qtbot):
    image = add_image(viewer)
    ready(work, qtbot)
    work.run()
    finish(work, qtbot)
    assert viewer.layers.selection.active is image
    assert work.image_layers() == [image]


def test_second_run_replaces_nothing_and_undo_takes_one_run(work, viewer, qtbot):
    add_image(viewer)
    ready(work, qtbot)
    for _ in range(2):
        work.run()
        finish(work, qtbot)
    assert len(viewer.layers) == 11
    work.undo()
    assert len(viewer.layers) == 6 and viewer.layers[-1].name.startswith("compact 1")
    work.redo()
    finish(work, qtbot)
    assert len(viewer.layers) == 11


def test_replace_previous_is_one_step(work, viewer, qtbot):
    add_image(viewer)
    ready(work, qtbot)
    work.run()
    finish(work, qtbot)
    work.session.set_options(replace(work.session.options, replace_previous=True))
    work.run()
    finish(work, qtbot)
    assert [r.id for r in work.session.runs] == [2] and len(viewer.layers) == 6
    work.undo()
    finish(work, qtbot)
    assert [r.id for r in work.session.runs] == [1] and len(viewer.layers) == 6


def test_cancel_adds_nothing_and_closes_the_generator(work, viewer, jobs, qtbot):
    add_image(viewer)
    ready(work, qtbot)
    jobs.tiles, jobs.pause_s = 500, 0.01
    work.run()
    qtbot.waitUntil(lambda: work.session.status.done >= 2, timeout=60000)
    work.cancel()
    assert work.session.status.state == "cancelling"
    finish(work, qtbot)
    assert jobs.closed == 1 and len(viewer.layers) == 1
    assert work.session.status.message.startswith("Cancelled")


def test_runtime_error_of_the_network_reaches_the_user(work, viewer, jobs, qtbot):
    add_image(viewer)
    ready(work, qtbot)
    jobs.error = RuntimeError("mat1 and mat2 shapes cannot be multiplied\nmore")
    work.run()
    finish(work, qtbot)
    assert "mat1 and mat2" in work.session.status.error and "\n" not in work.session.status.error
    jobs.error = None
    work.run()
    finish(work, qtbot)
    assert work.session.status.error == "" and len(viewer.layers) == 6


def test_image_removed_while_running_cancels(work, viewer, jobs, qtbot):
    image = add_image(viewer)
    ready(work, qtbot)
    jobs.tiles, jobs.pause_s = 500, 0.01
    work.run()
    viewer.layers.remove(image)
    finish(work, qtbot)
    assert "image layer was removed" in work.session.status.message
    assert len(viewer.layers) == 0 and work.session.image is None


def test_without_an_image_run_says_what_to_do(work, qtbot):
    ready(work, qtbot)
    with pytest.raises(UserError, match="Open Sample"):
        work.run()


def test_two_viewers_have_sessions_of_their_own(jobs, qapp):
    one, two = ViewerModel(), ViewerModel()
    assert session_for(one) is session_for(one) is not session_for(two)
    forget(one)
    forget(two)


def test_plane_of_a_stack_is_segmented_where_it_lies(work, viewer, jobs, qtbot):
    viewer.add_image(np.zeros((5, 64, 80, 3), np.uint8), rgb=True, scale=(2, 1, 1), name="stack")
    viewer.dims.set_current_step(0, 3)
    ready(work, qtbot)
    assert "plane 4 of 5" in work.session.image.description
    work.run()
    finish(work, qtbot)
    assert jobs.requests[0].image.shape == (64, 80, 3)
    assert viewer.layers[-1].data.shape == (1, 64, 80)
    assert viewer.layers[-1].translate[0] == 6


def test_deleted_layers_of_a_run_do_not_break_undo(work, viewer, qtbot):
    add_image(viewer)
    ready(work, qtbot)
    work.run()
    finish(work, qtbot)
    viewer.layers.remove(viewer.layers["compact 1 · NP"])
    work.undo()
    assert len(viewer.layers) == 1


def test_drawn_rectangle_and_view_become_pixel_boxes(work, viewer, jobs, qtbot):
    add_image(viewer, scale=(0.5, 0.5))
    viewer.add_shapes(
        [np.array([[10, 10], [10, 40], [30, 40], [30, 10]])], scale=(0.25, 0.25), name="box"
    )
    ready(work, qtbot)
    work.session.set_options(replace(work.session.options, region="shapes"))
    work.run()
    finish(work, qtbot)
    assert jobs.requests[0].box == (5, 16, 5, 21)
    assert tuple(viewer.layers[-1].translate) == (2.5, 2.5)


def test_undo_while_layers_are_still_coming_leaves_none(work, viewer, qtbot):
    add_image(viewer)
    ready(work, qtbot)
    work.run()
    qtbot.waitUntil(lambda: not work.session.status.busy, timeout=60000)
    work.undo()
    qtbot.wait(50)
    assert len(viewer.layers) == 1 and work.layers.settled


def test_mpp_comes_from_the_image_file_where_the_layer_says_nothing(work, viewer, tmp_path, qtbot):
    path = tmp_path / "slide.tif"
    per_cm = 10_000 / 0.25
    imwrite(
        path, np.zeros((64, 80, 3), np.uint8), resolution=(per_cm, per_cm), resolutionunit=3,
        photometric="rgb",
    )  # fmt: skip
    viewer.open(path, plugin="napari", layer_type="image", rgb=True)
    qtbot.waitUntil(lambda: work.session.image.mpp is not None, timeout=60000)
    assert work.session.image.mpp == pytest.approx(0.25)
    assert work.session.options.inference.image_mpp == pytest.approx(0.25)
    assert "file" in work.session.image.mpp_source
