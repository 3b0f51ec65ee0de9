"""What is on screen: one layer of nuclei, one map, colours that stay; without a window."""

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_hovernet._napari import colours
from napari_hovernet._napari.layers import Picture, RunLayers, pyramid
from napari_hovernet._napari.viewer import METADATA_KEY, camera_of
from napari_hovernet.core.separation.tuning import TuneParams


@pytest.fixture
def scene(planted_run):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((200, 260, 3), np.uint8), scale=(0.5, 0.5), name="slide")
    run = planted_run(image)
    return viewer, RunLayers(viewer), run


def picture(run, view="image", **more):
    shown = colours.map_picture(view, run.result.maps, TuneParams(), unmasked=False)
    made = colours.colouring(view, None, run.result.nuclei, run, None)
    table = colours.feature_table(run.result.nuclei, run)
    return Picture(run.result.labels, made, shown, table, **more)


def test_a_run_adds_one_layer_and_leaves_selection_and_camera(scene):
    viewer, layers, run = scene
    viewer.layers.selection.active = viewer.layers[0]
    camera = camera_of(viewer)
    before = camera.center, camera.zoom
    layers.show(run, picture(run))
    assert [x.name for x in viewer.layers] == ["slide", "compact 1 · nuclei"]
    assert viewer.layers.selection.active is viewer.layers[0]
    assert (camera.center, camera.zoom) == before
    nuclei = layers.nuclei
    assert np.array_equal(nuclei.data, run.result.labels) and nuclei.data is not run.result.labels
    assert len(nuclei.features) == run.result.n and tuple(nuclei.scale) == (0.5, 0.5)
    assert nuclei.metadata[METADATA_KEY]["run"] == 1


def test_one_map_is_seen_at_a_time_and_two_layers_serve_all(scene):
    viewer, layers, run = scene
    for view in ("probability", "hv", "magnitude", "hv", "probability"):
        layers.show(run, picture(run, view))
        maps = [x for x in viewer.layers if x.name.split(" · ")[-1] in colours.MAPS.values()]
        assert [x.name for x in maps if x.visible] == [f"compact 1 · {colours.MAPS[view]}"]
        if view != "hv":
            (shown,) = (x for x in maps if x.visible)
            assert tuple(shown.contrast_limits) == (0, 1)
    assert len(viewer.layers) == 4
    layers.show(run, picture(run))
    assert not any(x.visible for x in maps)


def test_maps_are_clear_away_from_nuclei(scene):
    _, _, run = scene
    maps, params = run.result.maps, TuneParams()
    far = maps.np < params.separation.np_threshold / 2
    assert np.isnan(colours.map_picture("magnitude", maps, params, unmasked=False).data[far]).all()
    bare = colours.map_picture("magnitude", maps, params, unmasked=True).data
    assert np.array_equal(bare, maps.magnitude)
    assert not colours.map_picture("hv", maps, params, unmasked=False).data[far, 3].any()


def test_another_run_takes_over_the_layers(scene, planted_run):
    viewer, layers, run = scene
    layers.show(run, picture(run, "hv"))
    ids = [id(x) for x in viewer.layers]
    moved = replace(run.result, labels=np.roll(run.result.labels, 5, 0))
    other = replace(run, id=2, title="compact 2", result=moved)
    layers.show(other, picture(other, "hv"))
    assert [id(x) for x in viewer.layers] == ids
    assert np.array_equal(layers.nuclei.data, other.result.labels)
    assert [x.name for x in viewer.layers][1:] == ["compact 2 · HV", "compact 2 · nuclei"]
    part = replace(run, id=3, title="compact 3", result=replace(
        run.result, labels=run.result.labels[:50, :60].copy(), offset=(7, 9)))  # fmt: skip
    layers.show(part, replace(picture(run), labels=part.result.labels))
    assert layers.nuclei.data.shape == (50, 60) and np.allclose(layers.nuclei.translate, (3.5, 4.5))


def test_another_image_on_the_same_place_hides_the_first(scene, planted_run):
    viewer, layers, run = scene
    layers.show(run, picture(run))
    first = layers.nuclei
    other = planted_run(viewer.add_image(np.zeros((200, 260, 3), np.uint8)), 2)
    layers.show(other, picture(other))
    assert not first.visible and layers.nuclei.visible
    layers.show(run, picture(run))
    assert first.visible


def test_a_plane_of_a_stack_and_a_large_image(planted_run):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, 200, 260), np.uint8))
    run = planted_run(image, step=(2, 0, 0))
    layers = RunLayers(viewer)
    layers.show(run, picture(run, "hv"))
    assert layers.nuclei.data.shape == (1, 200, 260) and layers.nuclei.translate[0] == 2
    levels = pyramid(np.zeros((100, 30, 4)), (0, 1), edge=40)
    assert [x.shape for x in levels] == [(100, 30, 4), (50, 15, 4), (25, 8, 4)]


def test_strokes_are_told_and_our_own_paint_is_not(scene):
    _, layers, run = scene
    layers.show(run, picture(run))
    told = []
    layers.edited.connect(told.append)
    layers.show(run, picture(run, "blobs"))
    layers.nuclei.paint((50, 50), 7)
    assert told and layers.drawn()[50, 50] == 7


@pytest.mark.parametrize("contour", [0, 1, 3])
@pytest.mark.parametrize("box", [None, (20, 60, 30, 90), (0, 5, 250, 260)])
def test_what_is_painted_is_drawn_as_after_a_refresh(scene, contour, box):
    _, layers, run = scene
    layers.show(run, picture(run))
    layer = layers.nuclei
    layer.contour = contour
    layers.paint(np.roll(run.result.labels, 7, axis=1), box)
    drawn = layer._slice.image.view.copy()
    layer.refresh()
    np.testing.assert_array_equal(drawn, layer._slice.image.view)


def test_a_region_has_the_units_of_its_image_and_frames_arrows_and_maps_are_shown(scene):
    viewer, layers, _ = scene
    viewer.layers[0].units = ("um",) * viewer.layers[0].ndim
    assert layers.add_region(viewer.layers[0]).units == viewer.layers[0].units  # or napari warns
    viewer, layers, run = scene
    layers.show(run, picture(run))
    n = len(viewer.layers)
    layers.frame((5, 20, 5, 30))
    assert layers.nuclei._overlays["selection_box"].visible and len(viewer.layers) == n
    layers.frame(None)
    assert not layers.nuclei._overlays["selection_box"].visible
    layers.show_arrows(np.ones((4, 2, 2)), 3.0)
    layers.show_arrows(np.ones((9, 2, 2)), 2.0)
    assert len(viewer.layers) == n + 1 and len(viewer.layers[-1].data) == 9
    layers.show_arrows(None)
    assert not viewer.layers[-1].visible
    added = layers.add_all_maps(run)
    assert [x.name.split(" · ")[1] for x in added] == [
        "NP", "HV horizontal", "HV vertical", "magnitude"]  # fmt: skip
    assert [tuple(x.contrast_limits) for x in added] == [(0, 1), (-1, 1), (-1, 1), (0, 1)]
    assert all(x.metadata[METADATA_KEY]["run"] == 1 for x in added)
