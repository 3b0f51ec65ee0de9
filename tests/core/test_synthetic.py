from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.synthetic import (
    LAMP,
    Crowd,
    Stains,
    TissueParams,
    develop,
    lay_out,
    place_nuclei,
    planted_maps,
    tissue,
)
from napari_hovernet.errors import InputError


def test_the_same_seed_gives_the_same_tissue_and_another_another() -> None:
    first, again, other = (tissue((160, 200), seed=s) for s in (4, 4, 5))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.image != other.image).mean() > 0.5


def test_labels_types_and_picture_fit() -> None:
    made = tissue((256, 320), seed=3)
    assert made.image.shape == (256, 320, 3)
    assert made.image.dtype == np.uint8
    assert made.labels.dtype == made.types.dtype == np.int32
    np.testing.assert_array_equal(np.unique(made.labels), np.arange(len(made.types) + 1))
    assert set(made.types.tolist()) <= set(made.type_names) - {0}
    assert len(set(made.types.tolist())) >= 3


def test_nuclei_have_the_size_real_ones_have() -> None:
    areas = measure(tissue((400, 400), seed=3).labels).area * 0.25**2
    assert 20 < np.median(areas) < 60


def test_mpp_scales_the_nuclei() -> None:
    coarse = tissue((200, 200), seed=3, params=TissueParams(mpp=0.5))
    areas = measure(coarse.labels).area * 0.5**2
    assert coarse.mpp == 0.5
    assert 15 < np.median(areas) < 60


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (70, 3)])
def test_tiny_pictures_are_made_too(shape: tuple[int, int]) -> None:
    made = tissue(shape, seed=0)
    assert made.labels.shape == shape
    assert made.image.shape == (*shape, 3)


@pytest.mark.parametrize("shape", [(0, 5), (5, -1)])
def test_an_empty_picture_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="1 or more pixels"):
        tissue(shape)


MADE = tissue((256, 256), seed=3)


def test_maps_without_noise_are_the_truth_with_soft_borders() -> None:
    maps = planted_maps(MADE.labels, noise=0)
    assert ((maps.np > 0.5) == (MADE.labels > 0)).mean() > 0.99
    inside = measure(MADE.labels)
    r, c = inside.centroid[0][::-1].astype(int)
    target = hv_targets(MADE.labels)
    assert maps.hv[:, r, c] == pytest.approx(target[:, r, c], abs=0.02)


def test_noise_is_seeded_and_grows() -> None:
    a, b, other = (planted_maps(MADE.labels, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.hv, b.hv)
    assert (a.hv != other.hv).any()
    target = hv_targets(MADE.labels)
    errors = [
        float(np.abs(planted_maps(MADE.labels, noise=n).hv - target).mean()) for n in (0, 0.2, 0.6)
    ]
    assert errors[0] < errors[1] < errors[2]


def test_types_can_be_read_back() -> None:
    maps = planted_maps(MADE.labels, noise=0.15, types=MADE.types)
    assert maps.types is not None
    assert maps.types.sum(axis=0) == pytest.approx(1, abs=1e-5)
    nuclei = measure(MADE.labels, maps)
    assert (nuclei.type == MADE.types).mean() > 0.95


def test_an_empty_image_gives_empty_maps() -> None:
    maps = planted_maps(np.zeros((0, 4), int), types=np.zeros(0, int))
    assert maps.shape == (0, 4)
    assert maps.types is not None
    assert maps.types.shape == (6, 0, 4)


@pytest.mark.parametrize(
    ("labels", "noise", "types", "words"),
    [
        (np.zeros((2, 2), int), -1.0, None, "noise is -1.0"),
        (np.zeros((2, 2)), 0.1, None, "float64"),
        (np.ones((2, 2), int), 0.1, [1, 2], "2 types for 1 nuclei"),
    ],
)
def test_wrong_input_is_named(
    labels: np.ndarray, noise: float, types: list[int] | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        planted_maps(labels, noise=noise, types=types)


SHAPE = (320, 320)


def crowd_of(seed: int, **numbers: float) -> Crowd:
    params = TissueParams(**numbers)
    rng = np.random.default_rng(seed)
    return place_nuclei(lay_out(SHAPE, params, rng), params, rng)


def neighbours(labels: np.ndarray) -> set[int]:
    found: set[int] = set()
    for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        meet = (a != b) & (a > 0) & (b > 0)
        found |= set(a[meet].tolist()) | set(b[meet].tolist())
    return found


def test_no_nucleus_touches_another_where_none_shall() -> None:
    crowd = crowd_of(0, touching=0.0)
    assert len(crowd.nuclei) > 15
    assert not neighbours(crowd.labels)


@pytest.mark.parametrize("wished", [0.3, 0.6])
def test_the_wished_share_touches(wished: float) -> None:
    crowds = [crowd_of(seed, touching=wished) for seed in range(3)]
    share = sum(len(neighbours(c.labels)) for c in crowds) / sum(len(c.nuclei) for c in crowds)
    assert share == pytest.approx(wished, abs=0.12)


def test_density_rules_the_number() -> None:
    assert len(crowd_of(2, density=0, stroma_density=0, lymphocyte_density=0).nuclei) == 0
    sparse, dense = crowd_of(2, density=2000), crowd_of(2, density=8000)
    assert len(dense.nuclei) > len(sparse.nuclei) > 0


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


def test_nuclei_are_darker_in_red_than_what_surrounds_them() -> None:
    made = tissue((256, 256), seed=3)
    red = made.image[..., 0].astype(float)
    assert red[made.labels > 0].mean() < red[made.labels == 0].mean() - 50


def test_weaker_stain_is_paler() -> None:
    pale = tissue((128, 128), seed=3, params=TissueParams(hematoxylin=0.5, eosin=0.5))
    assert pale.image.mean() > tissue((128, 128), seed=3).image.mean() + 10
