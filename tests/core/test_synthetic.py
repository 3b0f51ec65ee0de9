import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.synthetic import TissueParams, planted_maps, tissue
from napari_hovernet.errors import InputError


def test_tissue_goes_by_its_seed_has_real_sizes_and_its_maps_give_it_back() -> None:
    first, again, other = (tissue((160, 200), seed=s) for s in (4, 4, 5))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.image != other.image).mean() > 0.5
    areas = measure(tissue((400, 400), seed=3).labels).area * 0.25**2
    assert 20 < np.median(areas) < 60
    coarse = tissue((200, 200), seed=3, params=TissueParams(mpp=0.5))
    areas = measure(coarse.labels).area * 0.5**2
    assert coarse.mpp == 0.5 and 15 < np.median(areas) < 60
    made = tissue((256, 256), seed=3)
    red = made.image[..., 0].astype(float)
    assert red[made.labels > 0].mean() < red[made.labels == 0].mean() - 50
    maps = planted_maps(MADE.labels, noise=0)
    assert ((maps.np > 0.5) == (MADE.labels > 0)).mean() > 0.99
    inside = measure(MADE.labels)
    r, c = inside.centroid[0][::-1].astype(int)
    target = hv_targets(MADE.labels)
    assert maps.hv[:, r, c] == pytest.approx(target[:, r, c], abs=0.02)
    maps = planted_maps(MADE.labels, noise=0.15, types=MADE.types)
    assert maps.types.sum(axis=0) == pytest.approx(1, abs=1e-5)
    nuclei = measure(MADE.labels, maps)
    assert (nuclei.type == MADE.types).mean() > 0.95


@pytest.mark.parametrize("shape", [(0, 5), (5, -1)])
def test_an_empty_picture_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="1 or more pixels"):
        tissue(shape)


MADE = tissue((256, 256), seed=3)
