from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.data.load import load_samples
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.params import DataParams
from napari_hovernet.core.tokens.backbone import TokenFamilyParams, tokens_of, write_token_family
from napari_hovernet.errors import InputError


def test_files_are_those_of_a_family(tmp_path):
    params = TokenFamilyParams(n=4, dim=6, folds=2)
    files = write_token_family(tmp_path, "epidermal", params)
    assert {p.name for p in files.values()} == {
        "epidermal_features.npz", "epidermal_targets.npz", "epidermal_data_FIXED.npz"}  # fmt: skip
    with np.load(files["data"]) as data, np.load(files["features"]) as features:
        assert features["features"].shape == (4, 261, 6)
        assert features["features"].dtype == np.float16
        assert data["images"].shape == (4, 256, 256, 3)
        np.testing.assert_array_equal(data["hv_targets"][1], hv_targets(data["inst_maps"][1]))
        assert data["fold_ids"].tolist() == [1, 2, 1, 2]
    loaded = load_samples(DataParams((str(tmp_path),)), needs="tokens")
    assert (len(loaded.train), len(loaded.val)) == (2, 2)


def test_tokens_know_their_nuclei():
    labels = np.zeros((256, 256), np.int32)
    labels[32:48, 64:80] = 1  # the patch of row 2, column 4
    quiet = TokenFamilyParams(dim=8, noise=0.0)
    difference = np.abs(tokens_of(labels, quiet) - tokens_of(np.zeros_like(labels), quiet))
    assert np.flatnonzero(difference.any(axis=1)).tolist() == [5 + 2 * 16 + 4]


def test_the_same_seed_gives_the_same_tokens():
    labels = np.eye(256, dtype=np.int32)
    params = TokenFamilyParams(dim=4)
    first, second, third = (tokens_of(labels, params, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != third).any()


@pytest.mark.parametrize("change", [{"n": 0}, {"dim": 0}, {"noise": -1}, {"folds": -1}])
def test_numbers_out_of_range_are_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        TokenFamilyParams(**change)
