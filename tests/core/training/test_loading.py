"""Batches from any step on."""

from __future__ import annotations

import numpy as np
import torch

from napari_hovernet.core.data.samples import Sample
from napari_hovernet.core.params import AugmentParams, DataParams
from napari_hovernet.core.training.crops import CropDataset, Steps, Stream, loader


def crops() -> CropDataset:
    rng = np.random.default_rng(0)
    labels = np.zeros((64, 64), np.int32)
    labels[10:30, 10:30], labels[35:60, 30:55] = 1, 2
    image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    sample = Sample("a", image=image, labels=labels)
    return CropDataset([sample], DataParams(crop=32), AugmentParams(), seed=3, length=4)


def test_the_stream_numbers_crops_through_all_epochs():
    stream, alone = Stream(crops(), 3), crops()
    assert len(stream) == 12
    alone.set_epoch(2)
    torch.testing.assert_close(stream[9]["image"], alone[1]["image"])
    alone.set_epoch(0)
    torch.testing.assert_close(stream[1]["image"], alone[1]["image"])


def test_processes_share_a_step_and_none_takes_another_ones_crops():
    parts = [list(Steps(0, 3, batch=2, rank=rank, world=2)) for rank in (0, 1)]
    assert parts == [[[0, 1], [4, 5], [8, 9]], [[2, 3], [6, 7], [10, 11]]]


def test_a_loader_from_the_middle_gives_what_one_from_the_start_gives():
    whole = list(loader(Stream(crops(), 3), Steps(0, 6, 2), workers=0, pin=False))
    rest = list(loader(Stream(crops(), 3), Steps(4, 6, 2), workers=0, pin=False))
    assert len(whole) == 6 and len(rest) == 2
    for a, b in zip(whole[4:], rest, strict=True):
        for name in a:
            torch.testing.assert_close(a[name], b[name])


def test_a_loader_draws_nothing_from_the_global_numbers():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    list(loader(Stream(crops(), 1), Steps(0, 2, 2), workers=0, pin=False))
    assert torch.equal(torch.get_rng_state(), before)
