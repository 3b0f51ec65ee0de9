"""A tuned separation becomes a run: provenance, layers, number and title."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_hovernet._napari.images import METADATA_KEY
from napari_hovernet._napari.kept_run import kept_run_steps, renumbered, unused_title
from napari_hovernet._napari.preferences import Preferences
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.tuning import tune_steps
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation.tuning import StagedTuner, TuneParams


@pytest.fixture
def run(planted_run):
    image = ViewerModel().add_image(np.zeros((200, 260, 3), np.uint8), rgb=True)
    return replace(planted_run(image), metadata={"image": "slide", "device": "cpu", "nuclei": -1})


def kept(run, params):
    tuned = drive(tune_steps(StagedTuner(run.result.maps), params))
    return drive(kept_run_steps(run, tuned, 7, "a tuned", Preferences()))


def test_a_kept_run_is_one_like_any_other(run):
    made, layers = kept(run, TuneParams(SeparationParams(depth=0.5)))
    assert (made.id, made.title, made.image) == (7, "a tuned", run.image)
    assert made.placement is run.placement and made.result.maps is run.result.maps
    (nuclei,) = layers
    assert nuclei.name == "a tuned · nuclei" and np.array_equal(nuclei.data, made.result.labels)
    assert nuclei.metadata[METADATA_KEY]["run"] == 7
    assert len(nuclei.features) == made.result.n


def test_maps_that_are_read_otherwise_come_along(run):
    made, layers = kept(run, TuneParams(hv=HVReading(scale=0.5)))
    assert [x.metadata[METADATA_KEY]["role"] for x in layers] == [
        "np", "hv_horizontal", "hv_vertical", "magnitude", "instances",
    ]  # fmt: skip
    assert np.array_equal(layers[1].data, run.result.maps.hv[0] * 0.5)
    assert np.array_equal(layers[1].data, made.result.maps.hv[0])


def test_it_says_where_it_comes_from(run):
    made, _ = kept(run, TuneParams(SeparationParams(depth=0.5), HVReading(order="vh")))
    about = json.loads(json.dumps(made.metadata))
    assert about["tuned"]["from"] == run.title and about["tuned"]["hv"]["order"] == "vh"
    assert about["separation"] == about["tuned"]["separation"]
    assert about["separation"]["depth"] == 0.5
    assert (about["image"], about["device"], about["nuclei"]) == ("slide", "cpu", made.result.n)


def test_another_number_is_given_to_the_run_and_all_its_layers(run):
    made, layers = renumbered(*kept(run, TuneParams(hv=HVReading(scale=0.5))), 12)
    assert made.id == 12
    assert [x.metadata[METADATA_KEY]["run"] for x in layers] == [12] * 5


def test_titles_are_not_taken_twice():
    assert unused_title("a", []) == "a" and unused_title("a", ["b"]) == "a"
    assert unused_title("a", ["a"]) == "a 2" and unused_title("a", ["a 2", "a", "a 3"]) == "a 4"
