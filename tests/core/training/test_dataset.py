"""Crops: what an item holds, what it depends on, and that processes change nothing."""

from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from napari_hovernet.core.data.samples import TURNS, Sample, SampleArrays, turn_plane
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.params import AugmentParams, DataParams
from napari_hovernet.core.training.crops import CropDataset, at_output_size, targets_of
from napari_hovernet.errors import InputError

from ...refusals import refuses
from ..data.drawn import nuclei

CROP = DataParams(crop=48)
STILL = AugmentParams(on=False)


def sample(seed: int = 0, name: str = "", **more: object) -> Sample:
    labels = nuclei(seed)
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (*labels.shape, 3)).astype(np.uint8)
    return Sample(name or f"s{seed}", image=image, labels=labels, **more)


def token_sample(seed: int = 0, **targets: object) -> Sample:
    features = np.random.default_rng(seed).normal(size=(261, 4)).astype(np.float16)
    return Sample(f"t{seed}", features=features, **targets)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_an_item_holds_what_the_engine_is_promised() -> None:
    labels = nuclei()
    crops = CropDataset([sample(types=(labels > 0) * 2)], CROP, AugmentParams(), n_types=3)
    item = crops[0]
    kinds = {k: (v.dtype, tuple(v.shape)) for k, v in item.items()}
    assert kinds == {
        "image": (torch.uint8, (3, 48, 48)),
        "np": (torch.int64, (48, 48)),
        "hv": (torch.float32, (2, 48, 48)),
        "nt": (torch.int64, (48, 48)),
        "valid": (torch.float32, (48, 48)),
    }
    assert (item["nt"] == item["np"] * 2).all() and item["hv"].abs().max() <= 1
    assert (item["hv"][:, item["np"] == 0] == 0).all()


def test_without_augmentation_a_crop_is_the_image_and_its_hv_that_of_the_cut_labels() -> None:
    whole = sample()
    item = CropDataset([whole], CROP, STILL)[0]
    image, labels = item["image"].numpy().transpose(1, 2, 0), None
    for r in range(whole.shape[0] - 47):
        for c in range(whole.shape[1] - 47):
            if (whole.image[r, c] == image[0, 0]).all() and (
                whole.image[r : r + 48, c : c + 48] == image
            ).all():
                labels = whole.labels[r : r + 48, c : c + 48]
    assert labels is not None and (item["hv"].numpy() == hv_targets(labels)).all()
    assert (item["np"].numpy() == (labels > 0)).all()


@pytest.mark.parametrize("strengths", [AugmentParams(), STILL], ids=["augmented", "still"])
def test_an_item_depends_on_seed_epoch_and_number_alone(strengths: AugmentParams) -> None:
    samples = [sample(i) for i in range(3)]
    first = CropDataset(samples, CROP, strengths, seed=5, length=6)
    other = CropDataset(samples, CROP, strengths, seed=5, length=6)
    before = [first[i] for i in range(6)]
    first.set_epoch(1)
    next_epoch = [first[i] for i in reversed(range(6))][::-1]
    first.set_epoch(0)
    assert all(same(first[i], before[i]) for i in (4, 0, 5, 1))
    other.set_epoch(1)
    assert all(same(other[i], next_epoch[i]) for i in range(6))
    assert not any(same(a, b) for a, b in zip(before, next_epoch, strict=True))
    assert not same(before[0], CropDataset(samples, CROP, strengths, seed=6, length=6)[0])


@pytest.mark.slow
def test_processes_change_nothing() -> None:
    """They are spawned: a fork after threads have started can hang, and did here."""
    crops = CropDataset([sample(i) for i in range(3)], CROP, AugmentParams(), seed=1, length=8)
    crops.set_epoch(2)
    alone = list(DataLoader(crops, batch_size=4))
    loader = DataLoader(crops, batch_size=4, num_workers=2, multiprocessing_context="spawn")
    for a, b in zip(alone, loader, strict=True):
        assert same(a, b)


def test_nuclei_without_a_known_type_teach_none_and_opencv_keeps_its_threads() -> None:
    cv2.setNumThreads(2)
    crops = CropDataset([sample()], CROP, AugmentParams())
    _ = crops[0]
    assert cv2.getNumThreads() == 2
    labels = nuclei()
    half = np.where((labels > 0) & (labels % 2 == 0), 2, 0)
    for types, known in ((None, set()), (half, {2})):
        more = {} if types is None else {"types": types}
        item = CropDataset([sample(**more)], CROP, STILL, n_types=3)[0]
        inside = item["np"] > 0
        assert set(item["nt"][inside].tolist()) == known | {-1} and (item["nt"][~inside] == 0).all()


def test_an_epoch_spreads_its_crops_by_area_in_another_order_each_time() -> None:
    blank = [
        Sample(f"{edge}", image=np.zeros((edge, edge, 3), np.uint8), labels=np.eye(edge, dtype=int))
        for edge in (20, 96, 192)
    ]
    crops = CropDataset(blank, CROP, STILL, seed=0)
    assert len(crops) == 1 + 4 + 16
    for epoch in range(3):
        crops.set_epoch(epoch)
        drawn = Counter(crops.sample_of(i).name for i in range(len(crops)))
        assert drawn == {"20": 1, "96": 4, "192": 16}
    half = CropDataset(blank, CROP, STILL, length=10)
    drawn = Counter(half.sample_of(i).name for i in range(10))
    assert 7 <= drawn["192"] <= 8
    crops = CropDataset([sample(i) for i in range(7)], DataParams(crop=128), STILL)
    orders = []
    for epoch in range(2):
        crops.set_epoch(epoch)
        orders.append([crops.sample_of(i).name for i in range(len(crops))])
    assert [sorted(order) for order in orders] == [[f"s{i}" for i in range(7)]] * 2
    assert orders[0] != orders[1]


def test_stored_targets_are_turned_with_their_tokens() -> None:
    labels = np.kron(nuclei()[:56, :56], np.ones((4, 4), np.int32))
    stored = token_sample(
        np_target=(labels > 0).astype(np.uint8), hv_target=hv_targets(labels), nt_target=labels * 0
    )
    with_labels = token_sample(labels=labels)
    turned, params = set(), AugmentParams()
    for seed in range(24):
        by_turning = CropDataset([stored], DataParams(), params, seed, n_types=2)[0]
        by_labels = CropDataset([with_labels], DataParams(), params, seed)[0]
        assert (by_turning["tokens"].shape, by_turning["tokens"].dtype) == ((261, 4), torch.float32)
        assert torch.equal(by_turning["tokens"], by_labels["tokens"])
        assert torch.equal(by_turning["np"], by_labels["np"])
        assert (by_turning["hv"] - by_labels["hv"]).abs().max() < 1e-5
        mask = by_turning["np"].numpy()
        turned.add(next(t for t in TURNS if (turn_plane(labels > 0, t) == mask).all()))
    assert len(turned) == 8


def test_targets_of_256_come_at_the_size_of_the_decoders_maps() -> None:
    labels = np.kron(nuclei()[:32, :32], np.ones((8, 8), np.int32))
    small = at_output_size(SampleArrays(features=np.zeros((261, 2)), labels=labels))
    assert (small.shape, set(np.unique(small.labels))) == ((224, 224), set(np.unique(labels)))
    assert (small.labels > 0).mean() == pytest.approx((labels > 0).mean(), abs=0.01)
    nucleus, hv = targets_of(small)
    inside = np.hypot(*hv)[nucleus].mean()
    assert 0.6 < inside < 0.8, "computed at that size, not blurred by resizing"
    mirrored = at_output_size(SampleArrays(features=np.zeros((261, 2)), labels=labels[:, ::-1]))
    assert (mirrored.labels[:, ::-1] == small.labels).mean() > 0.97, "no shift"


def test_what_cannot_be_trained_on_is_refused() -> None:
    refuses("no sample", CropDataset, [], CROP, STILL)
    refuses("length is 0", lambda: CropDataset([sample()], CROP, STILL, length=0))
    wrong = sample(types=np.full((61, 83), 6))
    with pytest.raises(InputError, match="has types up to 6; the model knows 0 to 4"):
        _ = CropDataset([wrong], CROP, STILL, n_types=5)[0]
    mixed = CropDataset([sample(), token_sample(labels=nuclei())], CROP, STILL, length=40)
    refuses("t0 has no image, others have", lambda: [mixed[i] for i in range(40)])
    with pytest.raises(IndexError):
        _ = CropDataset([sample()], CROP, STILL)[99]
