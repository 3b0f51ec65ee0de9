from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.app.jobs import drive
from napari_hovernet.app.tokens import TokenPictures, TokenStacks, sample_steps
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.separation.tuning import TuneParams
from napari_hovernet.core.tokens.decode import TokenMaps
from napari_hovernet.core.types import ModelInfo, numbered
from napari_hovernet.errors import InputError


@pytest.fixture
def stacks(tmp_path):
    labels = np.zeros((2, 224, 224), np.int32)
    labels[1, 40:70, 40:70], labels[1, 40:70, 70:100] = 1, 2
    hv = np.stack([hv_targets(x) for x in labels])
    probability = (labels > 0).astype(np.float32)
    types = np.stack([1 - probability, probability], 1)
    maps = TokenMaps(probability, hv, types, (4, 7), {0: "sample 4: tokens hold NaN"})
    pictures = TokenPictures("x", tmp_path / "x_features.npz", (4, 7), ("x_4", "x_7"),
                             np.zeros((2, 224, 224, 3), np.uint8), None, True)  # fmt: skip
    info = ModelInfo("optimus", types=numbered(2))
    return TokenStacks(pictures, maps, labels, info, 5, "", {}, (-1, 2), TuneParams(), ("odd",))


def test_touching_nuclei_are_measured_apart(stacks):
    result = drive(sample_steps(stacks, 1))
    assert sorted(result.nuclei.area.tolist()) == [900, 900]
    assert result.nuclei.type.tolist() == [1, 1]
    assert result.cut_with == stacks.tuning.separation
    assert (result.offset, result.notices) == ((0, 0), ("odd",))


def test_a_sample_that_failed_says_why(stacks):
    with pytest.raises(InputError, match="sample 4: tokens hold NaN"):
        drive(sample_steps(stacks, 0))
