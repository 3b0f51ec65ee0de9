from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.synthetic import LAMP, Stains, TissueParams, develop, tissue

BARE = TissueParams(noise=0, blur=0)


def picture(hematoxylin: float, eosin: float, blood: float = 0.0) -> np.ndarray:
    amounts = [np.full((3, 3), v, np.float32) for v in (hematoxylin, eosin, blood)]
    return develop(Stains(*amounts), BARE, np.random.default_rng(0))[1, 1].astype(int)


def test_no_stain_is_the_lamp() -> None:
    assert picture(0, 0).tolist() == [round(v) for v in LAMP]


def test_hematoxylin_is_blue_violet_eosin_pink_and_blood_red() -> None:
    red, green, blue = picture(1.5, 0)
    assert blue > red > 0.9 * green
    red, green, blue = picture(0, 0.8)
    assert red > blue > green
    red, green, blue = picture(0, 0, 0.8)
    assert red > 1.5 * blue
    assert red > 1.5 * green


def test_light_falls_exponentially_with_the_amount() -> None:
    once, twice = picture(0.4, 0), picture(0.8, 0)
    np.testing.assert_allclose(twice * np.array(LAMP), once**2, rtol=0.02)


def test_noise_has_the_given_spread() -> None:
    empty = np.zeros((200, 200), np.float32)
    params = TissueParams(noise=3, blur=0)
    image = develop(Stains(empty, empty + 0.5, empty), params, np.random.default_rng(0))
    assert image[..., 1].std() == pytest.approx(3, rel=0.2)


def test_nuclei_are_darker_in_red_than_what_surrounds_them() -> None:
    made = tissue((256, 256), seed=3)
    red = made.image[..., 0].astype(float)
    assert red[made.labels > 0].mean() < red[made.labels == 0].mean() - 50


def test_weaker_stain_is_paler() -> None:
    pale = tissue((128, 128), seed=3, params=TissueParams(hematoxylin=0.5, eosin=0.5))
    assert pale.image.mean() > tissue((128, 128), seed=3).image.mean() + 10
