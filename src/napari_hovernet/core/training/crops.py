"""Crops for training: drawn by seed, epoch and number, targets made after the geometry."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from ...errors import InputError
from ..data.samples import TURNS, Sample, SampleArrays, Turn, turn_hv, turn_plane, turn_tokens
from ..hv import hv_targets
from ..inference.images import UInt8
from ..networks.optimus import OUTPUT
from ..params import AugmentParams, DataParams
from ..types import Float32

STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))
"""Haematoxylin and eosin in optical density of R, G, B (Ruifrok & Johnston 2001)."""
STAIN_BIAS = 0.05
"""Largest optical density of a stain that is added everywhere or taken away."""
THIRD_GAIN = (0.7, 1.3)
"""Factors of what is neither stain."""
MOST_NEGATIVE = 0.02
"""A drawn stain absorbs at least this share in every channel."""
LOG_GAMMA = 0.3
"""Spread of the logarithm of gamma."""
WHITE = (0.9, 1.06)
"""Factors of the white balance, per channel."""
SATURATION = (0.7, 1.3)
CONTRAST = (0.8, 1.2)
BRIGHTNESS = 0.06
"""Added light, as a share of white."""
BLUR_SIGMA = (0.4, 1.5)
"""Pixels."""
NOISE_STD = (2.0, 10.0)
"""Grey levels of 255."""
JPEG_QUALITY = (40, 92)
WHITE_LEVEL = 255.0

Matrix = npt.NDArray[np.float64]


def augment_image(image: UInt8, params: AugmentParams, rng: np.random.Generator) -> UInt8:
    """Change the look of a crop, uint8 (H, W, 3)."""
    if not params.on:
        return image
    stain, tone = rng.random() < params.p_stain, rng.random() < params.p_tone
    rgb: Any = image
    if stain or tone:
        rgb = _recoloured(image, params, rng, stain=stain, tone=tone)
    if rng.random() < params.p_blur:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(*BLUR_SIGMA))
    if rng.random() < params.p_noise:
        noise = rng.standard_normal(rgb.shape, np.float32)
        rgb = rgb + np.float32(rng.uniform(*NOISE_STD)) * noise
    jpeg = rng.random() < params.p_jpeg
    quality = int(rng.integers(*JPEG_QUALITY))
    if rgb.dtype != np.uint8:
        rgb = cv2.convertScaleAbs(np.maximum(rgb, 0.0))  # rounds, and saturates at 255
    if jpeg:
        code = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        rgb = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))[..., ::-1]
    made: UInt8 = np.ascontiguousarray(rgb)
    return made


def stain_matrix(
    params: AugmentParams, rng: np.random.Generator
) -> tuple[Matrix, npt.NDArray[np.float64]]:
    """Draw new strengths and vectors of the stains: matrix (3, 3), offset (3,)."""
    basis = _basis()
    gain = np.append(rng.uniform(*params.stain_gain, 2), rng.uniform(*THIRD_GAIN))
    bias = np.append(rng.uniform(-STAIN_BIAS, STAIN_BIAS, 2), 0.0)
    new = basis.copy()
    if params.stain_vectors:
        drawn = new[:2] + rng.normal(0, params.stain_vectors, (2, 3))
        new[:2] = np.maximum(drawn, MOST_NEGATIVE)
        new[:2] /= np.linalg.norm(new[:2], axis=1, keepdims=True)
    return (np.linalg.inv(basis) @ np.diag(gain) @ new).T, bias @ new


@cache
def _basis() -> Matrix:
    """Both stains and what is orthogonal to them, rows of length 1."""
    rows = np.array([*STAINS, np.cross(*np.array(STAINS))])
    unit: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


@cache
def _density_table() -> Float32:
    """Optical density of each grey level, by the natural logarithm."""
    levels = np.maximum(np.arange(256), 1) / WHITE_LEVEL
    return (-np.log(levels)).astype(np.float32)


def _recoloured(
    image: UInt8, params: AugmentParams, rng: np.random.Generator, *, stain: bool, tone: bool
) -> Float32:
    matrix, offset = stain_matrix(params, rng) if stain else (np.eye(3), np.zeros(3))
    if tone:
        gamma = np.exp(rng.uniform(-LOG_GAMMA, LOG_GAMMA))
        matrix, offset = gamma * matrix, gamma * offset - np.log(rng.uniform(*WHITE, 3))
    density = cv2.LUT(image, _density_table())
    density = cv2.transform(density, np.hstack([-matrix, -offset[:, None] + np.log(WHITE_LEVEL)]))
    rgb = np.asarray(cv2.exp(density), np.float32)
    if not tone:
        return rgb
    saturation, contrast = rng.uniform(*SATURATION), rng.uniform(*CONTRAST)
    light = rng.uniform(-BRIGHTNESS, BRIGHTNESS) * WHITE_LEVEL
    middle = float(np.mean(cv2.mean(rgb)[:3]))
    matrix = contrast * (saturation * np.eye(3) + (1 - saturation) / 3)
    offset = np.full((3, 1), (1 - contrast) * middle + light)
    return np.asarray(cv2.transform(rgb, np.hstack([matrix, offset])), np.float32)


LARGEST_ANGLE = 45.0
"""Degrees of free rotation either way; quarter turns do the rest."""
ALIASING_BELOW = 0.8
"""Scale below which an image is smoothed before it is made smaller."""
SMOOTHING = 0.4
"""Sigma of that smoothing, in pixels of the crop."""
REACH = 3
"""Pixels around what is cut that a smooth interpolation may look at."""

Plane = npt.NDArray[Any]


@dataclass(frozen=True)
class Move:
    """One drawn change of place."""

    turn: Turn = TURNS[0]  # Flip and quarter turns
    angle: float = 0.0  # Degrees of free rotation beside them
    scale: float = 1.0  # Magnification

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """2 x 2 matrix from offsets in the image to offsets in the crop (x, y)."""
        c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        moved: npt.NDArray[np.float64] = self.scale * np.array([[c, -s], [s, c]]) @ self.turn.matrix
        return moved


def draw_move(params: AugmentParams, rng: np.random.Generator, *, free: bool = True) -> Move:
    """Draw a change of place."""
    if not params.on:
        return Move()
    turn = TURNS[int(rng.integers(len(TURNS)))] if params.flips else TURNS[0]
    if not free:
        return Move(turn)
    low, high = params.scale
    scale = float(math.exp(rng.uniform(math.log(low), math.log(high)))) if low < high else low
    rotated = rng.random() < params.p_rotate
    angle = float(rng.uniform(-LARGEST_ANGLE, LARGEST_ANGLE)) if rotated else 0.0
    return Move(turn, angle, scale)


def cut_crop(
    arrays: SampleArrays, size: int, move: Move, rng: np.random.Generator
) -> tuple[SampleArrays, Plane]:
    """Cut a crop at a random place; beyond the image it is mirrored, labels are background."""
    if move.angle == 0 and move.scale == 1:  # no pixel has to be interpolated
        crop, valid = _cut_plain(arrays, size, rng)
        return turned(crop, move.turn), np.ascontiguousarray(turn_plane(valid, move.turn))
    return _cut_warped(arrays, size, move, rng)


def turned(arrays: SampleArrays, turn: Turn) -> SampleArrays:
    """Flip and turn every plane, and the vectors of stored HV with them."""
    if turn == TURNS[0]:
        return arrays
    changes: dict[str, Any] = {
        name: np.ascontiguousarray(turn_plane(plane, turn, (0, 1)))
        for name, plane in _planes(arrays).items()
    }
    if arrays.hv_target is not None:
        changes["hv_target"] = turn_hv(arrays.hv_target, turn)
    return replace(arrays, **changes)


def _planes(arrays: SampleArrays) -> dict[str, Plane]:
    """All planes but HV."""
    names = ("image", "labels", "types", "np_target", "nt_target")
    return {n: getattr(arrays, n) for n in names if getattr(arrays, n) is not None}


def _cut_plain(
    arrays: SampleArrays, size: int, rng: np.random.Generator
) -> tuple[SampleArrays, Plane]:
    height, width = arrays.shape
    r0, c0 = _corner(height, size, rng), _corner(width, size, rng)
    rows, cols = (max(r0, 0), min(r0 + size, height)), (max(c0, 0), min(c0 + size, width))
    box = (slice(*rows), slice(*cols))
    pad = (rows[0] - r0, r0 + size - rows[1], cols[0] - c0, c0 + size - cols[1])
    changes: dict[str, Any] = {
        name: _padded(plane[box], pad, mirror=name == "image")
        for name, plane in _planes(arrays).items()
    }
    if arrays.hv_target is not None:
        changes["hv_target"] = np.stack([_padded(p[box], pad) for p in arrays.hv_target])
    valid = _padded(np.ones((rows[1] - rows[0], cols[1] - cols[0]), np.uint8), pad)
    return replace(arrays, **changes), valid


def _corner(extent: int, size: int, rng: np.random.Generator) -> int:
    """Draw where a crop starts; one that is too large is centred."""
    room = extent - size
    return int(rng.integers(room + 1)) if room >= 0 else -(-room // 2)


def _padded(plane: Plane, pad: tuple[int, int, int, int], *, mirror: bool = False) -> Plane:
    if not any(pad):
        return np.ascontiguousarray(plane)
    if mirror:
        return np.asarray(
            cv2.copyMakeBorder(np.ascontiguousarray(plane), *pad, cv2.BORDER_REFLECT_101)
        )
    return np.pad(plane, (pad[:2], pad[2:]))


def _cut_warped(
    arrays: SampleArrays, size: int, move: Move, rng: np.random.Generator
) -> tuple[SampleArrays, Plane]:
    height, width = arrays.shape
    half = size / 2 / move.scale
    centre = np.array([_centre(width, half, rng), _centre(height, half, rng)])
    corner = half * math.sqrt(2) + REACH
    x0, y0 = (max(int(c - corner), 0) for c in centre)
    x1, y1 = (
        min(math.ceil(c + corner) + 1, e) for c, e in zip(centre, (width, height), strict=True)
    )
    linear = move.matrix
    shift = (size - 1) / 2 - linear @ (centre - (x0, y0))
    matrix = np.hstack([linear, shift[:, None]])
    box = (slice(y0, y1), slice(x0, x1))
    changes: dict[str, Any] = {
        name: _warp_image(plane[box], matrix, size, move.scale)
        if name == "image"
        else _warp_nearest(plane[box], matrix, size)
        for name, plane in _planes(arrays).items()
    }
    valid = _warp_nearest(np.ones((y1 - y0, x1 - x0), np.uint8), matrix, size)
    return replace(arrays, **changes), valid


def _centre(extent: int, half: float, rng: np.random.Generator) -> float:
    """Draw the centre of a crop, so that it lies in the image if it fits."""
    low, high = half - 0.5, extent - half - 0.5
    return float(rng.uniform(low, high)) if high > low else (extent - 1) / 2


def _warp_image(image: UInt8, matrix: Plane, size: int, scale: float) -> UInt8:
    source: Any = image
    if scale < ALIASING_BELOW:
        source = cv2.GaussianBlur(image, (0, 0), SMOOTHING / scale)
    warped: Any = cv2.warpAffine(
        source, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(warped, np.uint8)


def _warp_nearest(plane: Plane, matrix: Plane, size: int) -> Plane:
    exact: Any = np.ascontiguousarray(plane, np.uint8 if plane.dtype.itemsize == 1 else np.int32)
    warped: Plane = cv2.warpAffine(
        exact, matrix, (size, size), flags=cv2.INTER_NEAREST, borderValue=0
    )
    return warped


ROUNDING = 1e-9
"""Crops by which a sum may exceed a whole number and still be it."""

Item = dict[str, torch.Tensor]


class CropDataset(Dataset[Item]):
    """Augmented crops of images, or tokens with their targets."""

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
        area = data.crop**2
        shares = [
            1.0 if self.tokens else math.prod(max(n, data.crop) for n in s.shape) / area
            for s in self.samples
        ]
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
        """Return one item."""
        if not 0 <= index < self.length:
            raise IndexError(index)
        if get_worker_info() is not None:
            cv2.setNumThreads(1)  # the processes share the cores already
        sample = self.sample_of(index)
        arrays = sample.arrays
        if (arrays.features if self.tokens else arrays.image) is None:
            kind = "tokens" if self.tokens else "image"
            raise InputError(f"{sample.name} has no {kind}, others have; train on one kind.")
        rng = np.random.default_rng((self.seed, self.epoch, index))
        if self.tokens:
            turn = draw_move(self.augment, rng, free=False).turn
            tokens = turn_tokens(np.asarray(arrays.features, np.float32), turn)
            arrays = turned(at_output_size(replace(arrays, image=None)), turn)
            item = {"tokens": torch.from_numpy(np.ascontiguousarray(tokens))}
            return item | self._targets(sample, arrays, np.ones(arrays.shape, np.uint8))
        move = draw_move(self.augment, rng, free=arrays.labels is not None)
        arrays, valid = cut_crop(arrays, self.crop, move, rng)
        image = augment_image(_there(arrays.image), self.augment, rng)
        item = {"image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))}
        return item | self._targets(sample, arrays, valid)

    def _draw_order(self) -> npt.NDArray[np.intp]:
        """Draw the sample of every item: evenly spread over the area, then shuffled."""
        rng = np.random.default_rng((self.seed, self.epoch))
        at = (np.arange(self.length) + rng.random()) * self._ends[-1] / self.length
        found = np.searchsorted(self._ends, at, side="right")
        return rng.permutation(np.minimum(found, len(self.samples) - 1))

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
    """Return nucleus (H, W) and HV (2, H, W): from labels where there are, else as stored."""
    if arrays.labels is not None:
        return arrays.labels > 0, hv_targets(arrays.labels)
    nucleus = np.asarray(_there(arrays.np_target)) > 0
    return nucleus, np.asarray(_there(arrays.hv_target), np.float32) * nucleus


def types_of(
    arrays: SampleArrays, nucleus: npt.NDArray[np.bool_], n_types: int, name: str
) -> npt.NDArray[np.int64]:
    """Return the type of each pixel, 0 outside nuclei, -1 in those whose type is not known."""
    known = np.zeros(nucleus.shape, np.int64) if arrays.type_map is None else arrays.type_map
    high = int(known.max(initial=0))
    if high >= n_types:
        raise InputError(
            f"{name} has types up to {high}; the model knows 0 to {n_types - 1}. Start from a "
            "model with as many types, or renumber them."
        )
    return np.where(nucleus, np.where(known > 0, known, -1), 0).astype(np.int64)


def at_output_size(arrays: SampleArrays, size: int = OUTPUT) -> SampleArrays:
    """Bring the planes of tokens to the size of the decoder's maps, nearest: no nuclei mix."""
    if arrays.shape == (size, size):
        return arrays
    changes: dict[str, Any] = {}
    for name in ("labels", "types", "np_target", "nt_target", "hv_target"):
        plane = getattr(arrays, name)
        if plane is not None:
            rows, cols = (((np.arange(size) + 0.5) * n / size).astype(np.intp)
                          for n in arrays.shape)  # fmt: skip
            changes[name] = np.ascontiguousarray(plane[..., rows[:, None], cols])
    return replace(arrays, **changes)


def _there(array: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    if array is None:
        raise InputError("there are neither labels nor targets.")
    return array


class Stream(Dataset[Item]):
    """All crops of all epochs in one row, so that a run can begin anywhere."""

    def __init__(self, crops: CropDataset, epochs: int) -> None:
        self.crops, self._epochs = crops, epochs

    def __len__(self) -> int:
        return len(self.crops) * self._epochs

    def __getitem__(self, number: int) -> Item:
        epoch, index = divmod(number, len(self.crops))
        if self.crops.epoch != epoch:
            self.crops.set_epoch(epoch)
        return self.crops[index]


class Steps(Sampler[list[int]]):
    """Numbers of the crops of each batch."""

    def __init__(self, first: int, last: int, batch: int, rank: int = 0, world: int = 1) -> None:
        self._steps = range(first, last)
        self._batch, self._rank, self._world = batch, rank, world

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._steps:
            start = (step * self._world + self._rank) * self._batch
            yield list(range(start, start + self._batch))


def loader(stream: Stream, steps: Steps, workers: int, pin: bool) -> DataLoader[Item]:
    """Make the loader of a run; draws nothing from the global random numbers."""
    return DataLoader(
        stream,
        batch_sampler=steps,
        num_workers=workers,
        pin_memory=pin,
        generator=torch.Generator(),
        multiprocessing_context="spawn" if workers else None,
    )
