"""What the panel "Token decoder" can do, on a ViewerModel: no window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from napari.components import ViewerModel

from napari_hovernet._napari.readers import get_reader
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.tokens import NO_CHECKPOINT, NO_FEATURES, tokens_for
from napari_hovernet.core.checkpoint import save_model
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.tokens.backbone import TokenFamilyParams, write_token_family
from napari_hovernet.core.types import Model, ModelInfo

WAIT_MS = 60_000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("skin")
    write_token_family(folder, "skin", TokenFamilyParams(n=4, dim=8, folds=2))
    torch.manual_seed(0)
    network = OptimusDecoder(8, 4, 5).eval()
    save_model(Model(network, ModelInfo("optimus"), torch.device("cpu")), folder / "d.pth")
    return folder


@pytest.fixture
def viewer(jobs, qapp):
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def tokens(viewer):
    return tokens_for(viewer)


@pytest.fixture
def run(tokens, place, qtbot):
    def run(**changes):
        tokens.choose(checkpoint=str(place / "d.pth"),
                      features=str(place / "skin_features.npz"), **changes)  # fmt: skip
        tokens.run()
        qtbot.waitUntil(lambda: not tokens.status.busy, timeout=WAIT_MS)
        return tokens.latest

    return run


def test_it_says_what_is_missing(tokens):
    assert tokens.blocked == NO_CHECKPOINT
    tokens.choose(checkpoint="d.pth")
    assert tokens.blocked == NO_FEATURES
    tokens.run()
    assert not tokens.status.busy and not tokens.runs


def test_a_run_is_seven_layers_and_one_undo(tokens, viewer, run):
    run()
    assert tokens.status.message == "skin tokens 1: 2 samples." and not tokens.status.error
    layers = list(viewer.layers)
    assert len(layers) == 7 and viewer.layers.selection.active is layers[0]
    tokens.undo()
    assert not viewer.layers and tokens.can_redo and not tokens.can_undo
    tokens.redo()
    assert list(viewer.layers) == layers


def test_undo_takes_the_last_run_alone(tokens, viewer, run):
    run()
    run(prefix="historical 1:257")
    assert len(viewer.layers) == 14
    first, second = (r.stacks for r in tokens.runs)
    assert (first.prefix, second.prefix) == (5, 1)
    assert (first.maps.hv != second.maps.hv).any()
    tokens.undo()
    assert [layer.name.split(" · ")[0] for layer in viewer.layers] == ["skin tokens 1"] * 7


def test_a_layer_deleted_by_hand_comes_back_with_redo_only(tokens, viewer, run):
    made = run()
    viewer.layers.remove(made.layers[3])
    tokens.undo()
    assert not viewer.layers
    tokens.redo()
    assert len(viewer.layers) == 7


def test_features_that_are_opened_are_chosen_and_make_way(tokens, viewer, run, place):
    path = str(place / "skin_features.npz")
    for data, look, kind in get_reader(path)(path):
        getattr(viewer, f"add_{kind}")(data, **look)
    assert tokens.options.features == path
    opened = list(viewer.layers)
    run()
    assert not any(layer.visible for layer in opened), "their planes are other samples"
    assert viewer.dims.current_step[0] == 0


def test_a_file_that_was_chosen_is_kept(tokens, viewer, place):
    tokens.choose(features="mine_features.npz")
    path = str(place / "skin_features.npz")
    data, look, _ = get_reader(path)(path)[0]
    viewer.add_image(data, **look)
    assert tokens.options.features == "mine_features.npz"


def test_a_wrong_checkpoint_is_told(tokens, viewer, place, qtbot, tmp_path):
    tokens.choose(checkpoint=str(tmp_path / "none.pth"), features=str(place / "skin_features.npz"))
    tokens.run()
    qtbot.waitUntil(lambda: not tokens.status.busy, timeout=WAIT_MS)
    assert "There is no file" in tokens.status.error and not viewer.layers
    assert not tokens.can_undo


def test_cancel_adds_nothing(tokens, viewer, place, qtbot):
    tokens.choose(checkpoint=str(place / "d.pth"), features=str(place / "skin_features.npz"))
    tokens.run()
    tokens.cancel()
    qtbot.waitUntil(lambda: not tokens.status.busy, timeout=WAIT_MS)
    assert "Cancelled" in tokens.status.message and not viewer.layers


def test_a_sample_can_be_looked_into(tokens, viewer, run, qtbot):
    made = run()
    viewer.dims.set_current_step(0, 1)
    tokens.study()
    session = tokens.work.session
    qtbot.waitUntil(lambda: bool(session.runs), timeout=WAIT_MS)
    (found,) = session.runs
    assert found.title.startswith("skin_00003") and found.placement.plane == (1,)
    np.testing.assert_array_equal(found.result.labels, made.stacks.labels[1])
    qtbot.waitUntil(lambda: tokens.work.layers.settled, timeout=WAIT_MS)


def test_without_its_images_nothing_can_be_looked_into(tokens, viewer, run):
    made = run()
    viewer.layers.remove(made.layers[0])
    tokens.study()
    assert "images of this run were removed" in tokens.status.error


@pytest.mark.parametrize(
    ("name", "field"), [("a_features.npz", "features"), ("b.pth", "checkpoint"), ("c.png", None)]
)
def test_dropped_files(tokens, name, field):
    assert tokens.drop(name) == (field is not None)
    assert getattr(tokens.options, field or "features") == (name if field else "")


def test_one_per_viewer(viewer, tokens):
    assert tokens_for(viewer) is tokens
