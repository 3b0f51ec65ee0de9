from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel

from napari_hovernet._napari import corrected_layer
from napari_hovernet._napari.images import Placement
from napari_hovernet._napari.layers import make_layers
from napari_hovernet._napari.outcome_layers import outcome_colormap
from napari_hovernet._napari.preferences import Preferences
from napari_hovernet._napari.run_layers import UNTYPED_COLOR
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.types import Maps

PLAIN = {"scale": (1, 1), "rotate": np.eye(2), "shear": [0], "affine": np.eye(3)}


@pytest.fixture
def make(make_result):
    def make(typed=False, offset=(0, 0)):
        result = make_result(typed=typed, offset=offset)
        run = Run(1, "compact 1", ImageChoice(1, "slide"), result, Placement((), PLAIN))
        return run, make_layers(run, Preferences())[-1]

    return make


def found(run, labels, types=None, comparison=None):
    maps = Maps(run.result.maps.np, run.result.maps.hv, types)
    nuclei = measure(labels, maps, type_names=run.result.info.types)
    return SimpleNamespace(nuclei=nuclei, comparison=comparison)


def test_a_new_nucleus_gets_its_line_and_an_erased_one_loses_it(make):
    run, layer = make(offset=(100, 200))
    labels = run.result.labels.copy()
    labels[labels == 1] = 0
    labels[50:54, 60:70] = 7
    corrected_layer.show(layer, run, found(run, labels))
    table = layer.features
    assert table["index"].tolist() == [2, 7] and table["area_px"].tolist() == [120, 40]
    assert table["centroid_x"].tolist() == [225.5, 264.5]
    assert table["area_um2"].tolist() == [7.5, 2.5]
    layer.data[:] = labels
    ViewerModel().add_layer(layer)
    at = layer.data_to_world((51, 65))
    assert "area_px: 40" in layer.get_status(at, world=True)["value"]  # napari's status bar


def test_nothing_is_touched_where_nothing_changed(make):
    run, layer = make(typed=True, offset=(10, 20))
    seen = []
    for name in ("features", "colormap"):
        getattr(layer.events, name).connect(lambda _: seen.append(1))
    corrected_layer.show(layer, run, found(run, run.result.labels))
    assert seen == []
    moved = np.roll(run.result.labels, 1, axis=0)  # the same areas, one row down
    corrected_layer.show(layer, run, found(run, moved))
    assert layer.features["centroid_y"].tolist() == [9.5 + 11, 34.5 + 11]


def with_seven(run):
    labels = run.result.labels.copy()
    labels[50:54, 60:70] = 7
    return labels


def all_of_type(kind, shape):
    types = np.zeros((3, *shape), np.float32)
    types[kind] = 1.0
    return types


def test_types_are_voted_anew_and_shown(make):
    run, layer = make(typed=True)
    labels = with_seven(run)
    np.testing.assert_allclose(layer.get_color(7), UNTYPED_COLOR)  # seen while it is drawn
    findings = found(run, labels, all_of_type(2, labels.shape))
    assert corrected_layer.show(layer, run, findings)
    assert layer.features["type_name"].tolist() == ["inflammatory"] * 3
    layer.colormap = drive(corrected_layer.color_steps(run, findings.nuclei))
    np.testing.assert_allclose(layer.get_color(7), (0, 1, 0, 1))


def test_colours_are_made_anew_only_where_types_changed(make):
    run, layer = make(typed=True)
    votes = np.stack([run.result.labels == kind for kind in range(3)]).astype(np.float32)
    grown = run.result.labels.copy()
    grown[15, 5:15] = 1
    assert not corrected_layer.show(layer, run, found(run, grown, votes))  # background beneath
    assert layer.features["type"].tolist() == [1, 2]
    assert not corrected_layer.show(layer, run, found(run, with_seven(run), votes))  # untyped
    assert corrected_layer.show(layer, run, found(run, grown, all_of_type(1, grown.shape)))


def test_colours_of_a_comparison_stay(make):
    run, layer = make(typed=True)
    outcomes = SimpleNamespace(pred_ids=np.array([1, 2]), pred=np.array(["matched", "split"]))
    layer.colormap = outcome_colormap(
        SimpleNamespace(prediction=SimpleNamespace(outcomes=outcomes))
    )
    labels = with_seven(run)
    assert not corrected_layer.show(layer, run, found(run, labels, all_of_type(2, labels.shape)))
    assert len(layer.features) == 3 and not corrected_layer.shows_types(layer, run)


def test_columns_of_others_stay_with_their_nuclei(make):
    run, layer = make()
    layer.features = layer.features.assign(note=["a", "b"])
    labels = run.result.labels.copy()
    labels[labels == 1] = 0
    labels[50:54, 60:70] = 7
    corrected_layer.show(layer, run, found(run, labels))
    assert layer.features["note"][0] == "b" and pd.isna(layer.features["note"][1])


def test_a_table_the_user_replaced_is_made_anew(make):
    run, layer = make()
    layer.features = {"mine": [1, 2, 3]}
    corrected_layer.show(layer, run, found(run, run.result.labels))
    assert layer.features["index"].tolist() == [1, 2]
