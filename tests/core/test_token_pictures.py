from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.tokens.decode import principal_rgb


@pytest.mark.parametrize("dim", [6, 700], ids=["few numbers", "more numbers than tokens"])
def test_colours_follow_the_largest_differences(dim):
    rng = np.random.default_rng(0)
    tokens = 0.01 * rng.standard_normal((2, 261, dim))
    direction = rng.standard_normal(dim)
    tokens[0, 5:133] += direction  # upper half of the first sample
    picture = principal_rgb(tokens)
    assert picture.shape == (2, 224, 224, 3) and picture.dtype == np.uint8
    red = picture[..., 0].astype(int)
    upper, lower = red[0, :112], red[0, 112:]
    assert min(abs(upper.min() - lower.max()), abs(lower.min() - upper.max())) > 60
    assert red[1].max() - red[1].min() < 20, "colours mean the same in every sample"


def test_each_patch_is_one_colour():
    tokens = np.random.default_rng(1).standard_normal((1, 257, 8))
    picture = principal_rgb(tokens)[0]
    assert (picture[:14, 14:28] == picture[0, 14]).all()
    assert (picture[0, 0] != picture[0, 14]).any()


def test_it_does_not_depend_on_chance_and_prefix():
    tokens = np.random.default_rng(2).standard_normal((1, 261, 5))
    other = tokens.copy()
    other[:, :5] = 100.0
    np.testing.assert_array_equal(principal_rgb(tokens), principal_rgb(other))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_tokens_that_tell_nothing_are_grey(value):
    assert (principal_rgb(np.full((1, 261, 4), value, np.float32)) == 128).all()


def test_too_few_tokens_are_grey():
    assert (principal_rgb(np.zeros((1, 12, 4))) == 128).all()


def test_one_spoilt_token_spoils_no_other():
    tokens = np.random.default_rng(3).standard_normal((1, 256, 4)).astype(np.float32)
    tokens[0, 17] = np.inf
    picture = principal_rgb(tokens)[0]
    assert (picture[14:28, 14:28] == 128).all() and picture.std() > 10
