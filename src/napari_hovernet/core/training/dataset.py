"""Crops for training: drawn by seed, epoch and number, targets made after the geometry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, get_worker_info

from ...errors import InputError
from ..hv import hv_targets
from ..networks.optimus import OUTPUT
from ..types import Float32
from .augment import augment_image
from .geometry import cut_crop, draw_move, turned
from .params import AugmentParams, DataParams
from .samples import Sample, SampleArrays
from .turns import turn_tokens

ROUNDING = 1e-9
"""Crops by which a sum may exceed a whole number and still be it."""

Item = dict[str, torch.Tensor]


class CropDataset(Dataset[Item]):
    """Augmented crops of images, or tokens with their targets.

    Item ``i`` of epoch ``e`` depends on ``seed``, ``e`` and ``i`` alone, not on the number of
    loading processes or on what was read before. The order within an epoch is random already:
    load with ``shuffle=False``. Every epoch spreads its crops over the images by their area;
    images that are no larger than a crop come once each when ``length`` is their number.

    Parameters
    ----------
    samples : sequence of Sample
    data : DataParams
        ``crop`` = edge of the crops, pixels. Tokens are taken whole, at 224 pixels.
    augment : AugmentParams
        Samples without labels, and tokens, are flipped and turned only.
    seed : int
    length : int, optional
        Crops per epoch; None = as many as cover the area once.
    n_types : int, optional
        Types, background included; None = items have no "nt".

    Raises
    ------
    InputError
        If there is no sample, ``length`` is below 1, or images and tokens are mixed.

    Examples
    --------
    >>> blank = Sample("a", image=np.zeros((64, 64, 3), np.uint8), labels=np.zeros((64, 64), int))
    >>> crops = CropDataset([blank], DataParams(crop=32), AugmentParams())
    >>> len(crops), crops[0]["hv"].shape
    (4, torch.Size([2, 32, 32]))
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        data: DataParams,
        augment: AugmentParams,
        seed: int = 0,
        length: int | None = None,
        n_types: int | None = None,
    ) -> None:
        if not samples:
            raise InputError("There is no sample to train on; check the data.")
        self.samples: tuple[Sample, ...] = tuple(samples)
        self.crop, self.augment = data.crop, augment
        self.seed, self.n_types, self.epoch = seed, n_types, 0
        self.tokens = samples[0].features is not None
        shares = [1.0 if self.tokens else self._crops_in(s) for s in self.samples]
        self._ends = np.cumsum(shares)
        self.length = math.ceil(self._ends[-1] - ROUNDING) if length is None else length
        self._drawn: tuple[int, npt.NDArray[np.intp]] | None = None
        if self.length < 1:
            raise InputError(f"length is {length}; give 1 crop per epoch or more.")

    def __len__(self) -> int:
        return self.length

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; before the loader of that epoch starts its processes."""
        self.epoch = int(epoch)

    def sample_of(self, index: int) -> Sample:
        """Return the sample that an item of this epoch is cut from."""
        if self._drawn is None or self._drawn[0] != self.epoch:
            self._drawn = (self.epoch, self._draw_order())
        return self.samples[int(self._drawn[1][index])]

    def __getitem__(self, index: int) -> Item:
        """Return one item.

        Returns
        -------
        dict of tensors
            "image" uint8 (3, S, S) or "tokens" float32 (N, D); "np" int64 (S, S), 1 = nucleus;
            "hv" float32 (2, S, S), [H, V] outward; "nt" int64 (S, S) if types are wanted;
            "valid" float32 (S, S), 1 = shows the image, 0 = beyond its edge.

        Raises
        ------
        InputError
            If the sample cannot be read any more, or lacks what is wanted.
        """
        if not 0 <= index < self.length:
            raise IndexError(index)
        if get_worker_info() is not None:
            cv2.setNumThreads(1)  # the processes share the cores already
        sample = self.sample_of(index)
        rng = np.random.default_rng((self.seed, self.epoch, index))
        if self.tokens:
            return self._token_item(sample, rng)
        return self._crop_item(sample, rng)

    def _draw_order(self) -> npt.NDArray[np.intp]:
        """Draw the sample of every item: evenly spread over the area, then shuffled."""
        rng = np.random.default_rng((self.seed, self.epoch))
        at = (np.arange(self.length) + rng.random()) * self._ends[-1] / self.length
        found = np.searchsorted(self._ends, at, side="right")
        return rng.permutation(np.minimum(found, len(self.samples) - 1))

    def _crops_in(self, sample: Sample) -> float:
        height, width = sample.shape
        return max(height, self.crop) * max(width, self.crop) / self.crop**2

    def _crop_item(self, sample: Sample, rng: np.random.Generator) -> Item:
        arrays = sample.arrays
        if arrays.image is None:
            raise InputError(f"{sample.name} has no image, others have; train on one kind.")
        move = draw_move(self.augment, rng, free=arrays.labels is not None)
        arrays, valid = cut_crop(arrays, self.crop, move, rng)
        image = augment_image(_there(arrays.image), self.augment, rng)
        item = {"image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))}
        return item | self._targets(sample, arrays, valid)

    def _token_item(self, sample: Sample, rng: np.random.Generator) -> Item:
        arrays = sample.arrays
        if arrays.features is None:
            raise InputError(f"{sample.name} has no tokens, others have; train on one kind.")
        turn = draw_move(self.augment, rng, free=False).turn
        tokens = turn_tokens(np.asarray(arrays.features, np.float32), turn)
        planes = turned(at_output_size(replace(arrays, image=None)), turn)
        item = {"tokens": torch.from_numpy(np.ascontiguousarray(tokens))}
        return item | self._targets(sample, planes, np.ones(planes.shape, np.uint8))

    def _targets(self, sample: Sample, arrays: SampleArrays, valid: npt.NDArray[Any]) -> Item:
        nucleus, hv = targets_of(arrays)
        item = {
            "np": torch.from_numpy(nucleus.astype(np.int64)),
            "hv": torch.from_numpy(np.ascontiguousarray(hv)),
            "valid": torch.from_numpy(valid.astype(np.float32)),
        }
        if self.n_types is not None:
            types = types_of(arrays, nucleus, self.n_types, sample.name)
            item["nt"] = torch.from_numpy(types)
        return item


def targets_of(arrays: SampleArrays) -> tuple[npt.NDArray[np.bool_], Float32]:
    """Return what NP and HV should be: from labels where there are, else as stored.

    Returns
    -------
    nucleus : bool (H, W)
    hv : float32 (2, H, W)
        [H, V] outward, 0 outside nuclei.
    """
    if arrays.labels is not None:
        return arrays.labels > 0, hv_targets(arrays.labels)
    nucleus = np.asarray(_there(arrays.np_target)) > 0
    return nucleus, np.asarray(_there(arrays.hv_target), np.float32) * nucleus


def types_of(
    arrays: SampleArrays, nucleus: npt.NDArray[np.bool_], n_types: int, name: str
) -> npt.NDArray[np.int64]:
    """Return the type of each pixel, 0 outside nuclei.

    Raises
    ------
    InputError
        If the sample has no types, or one that the model does not know.
    """
    if arrays.type_map is None:
        raise InputError(f"{name} has no types, and the model learns {n_types - 1}; leave it out.")
    types = np.where(nucleus, arrays.type_map, 0).astype(np.int64)
    low, high = int(types.min()), int(types.max())
    if low < 0 or high >= n_types:
        raise InputError(
            f"{name} has types {low} to {high}; the model knows 0 to {n_types - 1}. Start from a "
            "model with as many types, or renumber them."
        )
    return types


def at_output_size(arrays: SampleArrays, size: int = OUTPUT) -> SampleArrays:
    """Bring the planes of tokens to the size of the decoder's maps, nearest.

    HV is computed from labels at the new size where there are labels; stored HV takes the
    nearest value, so that no two nuclei mix.
    """
    if arrays.shape == (size, size):
        return arrays
    changes: dict[str, Any] = {}
    for name in ("labels", "types", "np_target", "nt_target", "hv_target"):
        plane = getattr(arrays, name)
        if plane is not None:
            rows, cols = (_nearest(extent, size) for extent in arrays.shape)
            changes[name] = np.ascontiguousarray(plane[..., rows[:, None], cols])
    return replace(arrays, **changes)


def _nearest(extent: int, size: int) -> npt.NDArray[np.intp]:
    """Index of the pixel that lies under the centre of each new one."""
    return ((np.arange(size) + 0.5) * extent / size).astype(np.intp)


def _there(array: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    """Give an array whose presence was checked."""
    if array is None:
        raise InputError("there are neither labels nor targets.")
    return array
