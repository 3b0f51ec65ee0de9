from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.data.load import load_samples
from napari_hovernet.core.params import DataParams, TrainConfig, config_as_dict
from napari_hovernet.core.tokens.data import (
    NOT_KNOWN,
    Membership,
    find_token_data,
    membership,
    own_config,
)
from napari_hovernet.core.types import ModelInfo
from napari_hovernet.errors import InputError

N, EDGE = 10, 64


def write(folder: Path, **more: Any) -> Path:
    folder.mkdir(exist_ok=True)
    labels = np.zeros((N, EDGE, EDGE), np.int32)
    labels[:, 10:30, 10:30] = 1
    np.savez(folder / "skin_features.npz", features=np.zeros((N, 261, 4), np.float16))
    np.savez(folder / "skin_targets.npz", inst_maps=labels, **more)
    return folder


def info_of(folder: Path, **changes: Any) -> ModelInfo:
    data = DataParams((str(folder),), val_fraction=0.3)
    config = replace(TrainConfig(start="scratch:optimus", data=data, seed=5), **changes)
    return ModelInfo("optimus", training=config_as_dict(config))


def test_nothing_tells(tmp_path):
    sides = membership(ModelInfo("optimus"), find_token_data([write(tmp_path)], ""))
    assert not any(sides.splits) and len(sides.chosen()) == N
    assert sides.called(sides.chosen()) == NOT_KNOWN
    with pytest.raises(InputError, match="not known which samples are for val"):
        sides.chosen("val")


def test_the_last_fold_validates(tmp_path):
    data = find_token_data([write(tmp_path, fold_ids=np.arange(N) % 3 + 1)], "")
    sides = membership(ModelInfo("optimus"), data)
    assert sides.chosen() == sides.chosen("val") == (2, 5, 8)
    assert sides.called(sides.chosen()) == "validation (fold 3)"
    assert sides.called(sides.chosen("train")) == "training (folds 1, 2)"
    assert sides.called(sides.chosen("all")) == "validation (fold 3) and training (folds 1, 2)"
    assert "does not say whether its training" in sides.notes[0]


def test_our_checkpoints_tell_by_seed_and_share(tmp_path):
    folder = write(tmp_path)
    info = info_of(folder)
    sides = membership(info, find_token_data([folder], ""))
    divided = load_samples(DataParams((str(folder),), val_fraction=0.3), needs="tokens", seed=5)
    wanted = {int(s.name[-5:]) for s in divided.val}
    assert set(sides.chosen("val")) == wanted and len(wanted) == 3
    assert sides.called(sides.chosen()) == "validation (seed 5)"
    other = membership(info_of(folder, seed=6), find_token_data([folder], ""))
    assert set(other.chosen("val")) != wanted


def test_the_dict_form_tells_the_same(tmp_path):
    folder = write(tmp_path)
    info = info_of(folder)
    nested = ModelInfo("optimus", training={"args": info.training, "epoch": 3})
    data = find_token_data([folder], "")
    assert membership(nested, data).splits == membership(info, data).splits


def test_data_that_moved_are_found_again_and_it_is_said(tmp_path):
    old = write(tmp_path / "old")
    info = info_of(old)
    before = membership(info, find_token_data([old], "")).splits
    new = shutil.move(old, tmp_path / "new")
    sides = membership(info, find_token_data([Path(new)], ""))
    assert sides.splits == before
    assert "moved" in " ".join(sides.notes)


def test_a_start_that_may_have_seen_everything_is_said(tmp_path):
    folder = write(tmp_path)
    sides = membership(info_of(folder, start="first.pth"), find_token_data([folder], ""))
    assert "started from first.pth, which may have seen" in " ".join(sides.notes)


def test_other_training_data_tell_nothing(tmp_path):
    other, folder = write(tmp_path / "a"), write(tmp_path / "b")
    sides = membership(info_of(other), find_token_data([folder], ""))
    assert not any(sides.splits)


@pytest.mark.parametrize(
    "training", [{}, {"lr": 1}, {"schema": 1, "data": 3, "optim": 1, "seed": 0}]
)
def test_what_is_not_our_training(training):
    assert own_config(ModelInfo("optimus", training=training)) is None


def test_an_unknown_side_is_refused():
    with pytest.raises(InputError, match="choose one of train, val, all"):
        Membership(("val",), {"val": "validation"}).chosen("test")
