"""What a user names is opened; what is not there is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.app.diagnose_opening import DiagnoseChoice, Own, open_steps
from napari_hovernet.app.jobs import drive
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.io.files import write_params
from napari_hovernet.core.params import LossParams, SeparationParams, TrainConfig
from napari_hovernet.core.separation.tuning import TuneParams
from napari_hovernet.core.training.files import RunFolder
from napari_hovernet.errors import InputError

from .diagnosis_fakes import two_nuclei


def opened(own: Own | None = None, **choice: Any) -> Any:
    return drive(open_steps(DiagnoseChoice(**choice), own))


def test_nothing_chosen_is_said() -> None:
    with pytest.raises(InputError, match="nothing to diagnose; give a model"):
        opened()


def test_a_missing_model_is_an_error_and_an_unfit_one_a_finding(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        opened(model=str(tmp_path / "none.pth"))
    bad = tmp_path / "bad.pth"
    bad.write_bytes(b"no model")
    found = opened(model=str(bad))
    assert found.predictor is None and "bad.pth" in found.model_error
    assert "model" in found.has


def test_the_built_in_model_and_the_default_separation() -> None:
    found = opened(model="compact")
    assert found.predictor is not None and found.predictor.name == "compact"
    assert found.separator is not None and found.separator.params == SeparationParams()


def test_a_separation_by_preset_by_file_and_as_a_function(tmp_path: Path) -> None:
    assert opened(separation="hover_net").separator.name == "hover_net"
    file = tmp_path / "cut.json"
    write_params(file, TuneParams(SeparationParams(depth=0.3)))
    assert opened(separation=str(file)).separator.params.depth == 0.3

    def mine(prob: Any, hv: Any) -> Any:
        return np.zeros(prob.shape, int)

    assert opened(Own(separation=mine)).separator.name == "mine"
    with pytest.raises(InputError, match="watersheds"):
        opened(separation="watersheds")


def test_a_loss_by_name_by_run_and_by_file(tmp_path: Path) -> None:
    assert opened(loss="default").loss == LossParams()
    run = RunFolder(tmp_path / "run")
    run.write_config(TrainConfig(loss=LossParams(lambda_magnitude=2.0)))
    assert opened(loss=str(run.path)).loss.lambda_magnitude == 2.0
    file = tmp_path / "loss.json"
    file.write_text(json.dumps({"lambda_magnitude": 3.0}))
    assert opened(loss=str(file)).loss.lambda_magnitude == 3.0
    assert opened(loss=str(run.config_file)).loss.lambda_magnitude == 2.0
    with pytest.raises(InputError, match="loss is 'mse'; give 'default'"):
        opened(loss="mse")


def test_an_augmentation_by_name_and_by_run(tmp_path: Path) -> None:
    assert opened(augmentation="story").augmentation == "story"
    run = RunFolder(tmp_path / "run")
    run.write_config(TrainConfig())
    assert opened(augmentation=str(run.path)).augmentation == "ours"
    with pytest.raises(InputError, match="augmentation is 'flips'; choose ours, story, none"):
        opened(augmentation="flips")


def test_targets_are_told_from_maps_and_read_as_they_claim(tmp_path: Path) -> None:
    labels = two_nuclei()
    hv = hv_targets(labels)
    stored, predicted = tmp_path / "t.npz", tmp_path / "p.npz"
    np.savez(stored, inst_maps=labels[None], np=(labels > 0)[None], hv=hv[None])
    np.savez(predicted, np=np.clip(labels[None] * 0.4 + 0.1, 0, 1), hv=hv[None])
    found = opened(data=str(stored), convention="vh_inward_radial")
    assert (found.kind, found.setup.target_order, found.setup.target_sign) == \
        ("targets", "vh", "inward")  # fmt: skip
    found = opened(data=str(predicted), convention="vh_inward_radial")
    assert (found.kind, found.setup.hv_order, found.setup.target_order) == ("maps", "vh", "hv")


def test_how_much_is_looked_at() -> None:
    params = DiagnoseChoice(n_samples=300).params
    assert (params.n_maps, params.n_items) == (300, 300)
    with pytest.raises(InputError, match="number of samples is 0"):
        _ = DiagnoseChoice(n_samples=0).params
