"""What is looked at before a run."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from napari_hovernet.app.training import look_at_data, say_what_is_missing
from napari_hovernet.core.params import DataParams, TrainConfig
from napari_hovernet.errors import InputError


def config(*sources: Path, start: str = "compact") -> TrainConfig:
    return TrainConfig(start=start, data=DataParams(tuple(map(str, sources)), crop=64))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    say_what_is_missing(config(tmp_path))
    say_what_is_missing(config(tmp_path, start="scratch:compact"))
    with pytest.raises(InputError, match=r"no training data at .*nowhere: put them back"):
        say_what_is_missing(config(tmp_path, tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"no model at .*m\.tar: name a file, 'compact'"):
        say_what_is_missing(config(tmp_path, start=str(tmp_path / "m.tar")))


@pytest.mark.parametrize("start", ["compact", "scratch:compact"])
def test_data_are_looked_at(tmp_path: Path, start: str) -> None:
    for i in range(3):
        labels = np.zeros((64, 64), np.uint8)
        labels[8:24, 8:24], labels[8:24, 24:40] = 1, 2
        rng = np.random.default_rng(i)
        cv2.imwrite(str(tmp_path / f"x{i}.png"), rng.integers(0, 256, (64, 64, 3), np.uint8))
        cv2.imwrite(str(tmp_path / f"x{i}_lab.png"), labels)
    report = look_at_data(config(tmp_path, start=start))
    assert (report.train_images, report.val_images, report.nuclei) == (2, 1, 6)
    assert report.touching == 1
    assert not report.refused
