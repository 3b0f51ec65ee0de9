"""PanNuke folds: images.npy, masks.npy and types.npy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....errors import InputError
from ...types import Int32
from ..samples import Sample, SampleArrays, SizeError
from ..stores import open_npy
from .families import of_family
from .haul import Haul, joined
from .patches import eight_bits

CLASSES = 5
"""Channels with instances: neoplastic, inflammatory, connective, dead, epithelial."""
BACKGROUND = 5
"""Channel that is 1 outside all nuclei."""
DEPTH = 4
"""Folders below the one given in which folds are looked for."""
PROBED = 8
"""Images of a fold that are looked at before training."""
LEAST_AGREEMENT = 0.9
"""Share of pixels in which the background channel must be the rest of the others."""
LEAST_BACKGROUND = 0.4
"""A channel that fills more than this share is no class of nuclei."""

_FOLD = re.compile(r"fold[\s_-]*(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Fold:
    """Where a fold lies.

    Parameters
    ----------
    name : str
    images, masks : Path
    types : Path or None
        Tissue of each image.
    """

    name: str
    images: Path
    masks: Path
    types: Path | None


def find_folds(path: Path) -> list[Fold]:
    """List the folds in a folder and below it, or the one of an ``images.npy``.

    The files lie together, or in folders ``images`` and ``masks`` beside each other, as
    published.
    """
    if path.is_file():
        found = [path] if path.name.lower() == "images.npy" else []
    else:
        found = [p for depth in range(DEPTH + 1) for p in path.glob("*/" * depth + "images.npy")]
    folds = [fold for file in sorted(found) if (fold := _fold(file)) is not None]
    return folds


def _fold(images: Path) -> Fold | None:
    beside = images.with_name("masks.npy")
    parts = images.parts
    places = [i for i, part in enumerate(parts[:-1]) if part.lower() == "images"]
    apart = [
        Path(*parts[:i], masks, *parts[i + 1 : -1], "masks.npy")
        for i in reversed(places)
        for masks in ("masks", "Masks")
    ]
    masks = next((p for p in (beside, *apart) if p.is_file()), None)
    if masks is None:
        return None
    types = next((p for p in (images.with_name("types.npy"), masks.with_name("types.npy"))
                  if p.is_file()), None)  # fmt: skip
    number = _FOLD.findall(str(images.parent))
    return Fold(f"fold{number[-1]}" if number else images.parent.name, images, masks, types)


def read_folds(folds: list[Fold], family: str = "") -> Haul:
    """List the images of folds; each is read from disk when it is needed.

    Of several folds the last validates, as published.

    Parameters
    ----------
    folds : list of Fold
    family : str
        Only tissues of this family; "" = all.

    Raises
    ------
    InputError
        If arrays do not fit each other or are no PanNuke.
    """
    last = max(fold.name for fold in folds)
    several = len({fold.name for fold in folds}) > 1
    hauls = [_read_fold(f, family, ("val" if f.name == last else "train") if several else "")
             for f in folds]  # fmt: skip
    divided = f"{last} of {len(folds)} folds validates, the others train" if several else ""
    return joined(hauls).noting(
        divided, "PanNuke does not tell the slides: each image counts as a source of its own"
    )


def _read_fold(fold: Fold, family: str, split: str) -> Haul:
    images, masks = open_npy(fold.images), open_npy(fold.masks)
    _check_shapes(fold, images, masks)
    keep = _chosen(fold, len(images), family)
    n = min(PROBED, len(keep))
    probed = [keep[k * len(keep) // n] for k in range(n)]
    scale, note = _scale(fold, images, probed)
    height, width = masks.shape[1:3]
    samples = tuple(
        Sample(
            f"{fold.name}_{i:04d}",
            split=split,
            reader=partial(read_pannuke, fold.images, fold.masks, i, scale),
            shape=(int(height), int(width)),
        )
        for i in keep
    )
    fault = _background_fault(fold, masks, probed)
    faults = (fault,) if fault else ()
    return Haul(samples, (note,) if note else (), faults, faults)


def read_pannuke(images: Path, masks: Path, index: int, scale: float = 1.0) -> SampleArrays:
    """Read one image: instances of the five classes in one label image, and their types.

    Types are 1 neoplastic, 2 inflammatory, 3 connective, 4 dead, 5 epithelial. Where two
    classes claim a pixel the later one has it, as in the published reader.
    """
    image = eight_bits(np.array(open_npy(images)[index]), f"{images.name}[{index}]", scale)
    labels, types = merge_classes(np.array(open_npy(masks)[index]), f"{masks.name}[{index}]")
    return SampleArrays(image=image, labels=labels, types=types)


def merge_classes(masks: npt.NDArray[Any], what: str = "masks") -> tuple[Int32, Int32]:
    """Put the instances of all classes into one label image.

    Parameters
    ----------
    masks : number array (H, W, 6)
        Instances per class; the last channel, background, is not used.
    what : str
        For messages.

    Returns
    -------
    labels, types : int32 (H, W)

    Raises
    ------
    InputError
        If ids are negative, NaN or fractions.

    Examples
    --------
    >>> masks = np.zeros((1, 3, 6)); masks[0, 0, 0] = masks[0, 2, 3] = 7
    >>> [a.tolist() for a in merge_classes(masks)]
    [[[7, 0, 14]], [[1, 0, 4]]]
    """
    instances = masks[..., :CLASSES]
    if not np.isfinite(instances.sum(dtype=np.float64)) or instances.min(initial=0) < 0:
        raise InputError(f"{what} holds NaN or negative ids; ids are whole numbers from 0 on.")
    ids = instances.astype(np.int32)
    if instances.dtype.kind == "f" and (ids != instances).any():
        raise InputError(f"{what} holds fractions; ids are whole numbers from 0 on.")
    labels = np.zeros(ids.shape[:2], np.int32)
    types = np.zeros(ids.shape[:2], np.int32)
    offset = 0
    for k in range(CLASSES):
        there = ids[..., k] > 0
        labels[there] = ids[..., k][there] + offset
        types[there] = k + 1
        offset += int(ids[..., k].max(initial=0))
    return labels, types


def _check_shapes(fold: Fold, images: npt.NDArray[Any], masks: npt.NDArray[Any]) -> None:
    if images.ndim != 4 or images.shape[3] != 3:
        raise InputError(f"{fold.images} has shape {images.shape}; PanNuke is (N, 256, 256, 3).")
    if masks.ndim != 4 or masks.shape[3] != CLASSES + 1:
        raise InputError(
            f"{fold.masks} has shape {masks.shape}; PanNuke is (N, 256, 256, 6): instances of "
            "five classes, then background."
        )
    if images.shape[:3] != masks.shape[:3]:
        raise SizeError(
            f"{fold.name}: images are {images.shape[:3]}, masks {masks.shape[:3]} (number, "
            "height, width); take both from the same fold."
        )
    if not len(images):
        raise InputError(f"{fold.images} holds no image.")


def _chosen(fold: Fold, n: int, family: str) -> list[int]:
    """List the images of a family, all if none is named."""
    if not family:
        return list(range(n))
    inside = of_family(_tissues(fold, n), family)
    keep = [i for i in range(n) if inside[i]]
    if not keep:
        raise InputError(f"{fold.images} has no tissue of the family {family!r}.")
    return keep


def _tissues(fold: Fold, n: int) -> list[str]:
    if fold.types is None:
        raise InputError(f"{fold.images} has no types.npy beside it, which tells the tissue.")
    types = open_npy(fold.types)
    if types.shape != (n,):
        raise SizeError(f"{fold.types} has shape {types.shape} for {n} images.")
    return [str(t) for t in types]


def _scale(fold: Fold, images: npt.NDArray[Any], probed: list[int]) -> tuple[float, str]:
    """Tell whether floats run to 1 rather than 255."""
    if images.dtype.kind != "f":
        return 1.0, ""
    largest = max(float(np.max(images[i])) for i in probed)
    if 0 < largest <= 1.0:
        return 255.0, f"{fold.name}: images run from 0 to 1 and are multiplied by 255"
    return 1.0, ""


def _background_fault(fold: Fold, masks: npt.NDArray[Any], probed: list[int]) -> str:
    """Say so where the last channel is not the background of the others."""
    values = np.stack([np.array(masks[i]) for i in probed]).reshape(-1, CLASSES + 1)
    filled = values > 0
    share = filled.mean(axis=0)
    largest = int(np.argmax(share))
    rest = ~filled[:, :CLASSES].any(axis=1)
    agreement = float((filled[:, BACKGROUND] == rest).mean())
    one_value = len(np.unique(values[filled[:, largest], largest])) == 1  # no ids of instances
    swapped = largest != BACKGROUND and share[largest] > LEAST_BACKGROUND and one_value
    if not swapped and (agreement >= LEAST_AGREEMENT or not share[BACKGROUND]):
        return ""
    hint = f"; channel {largest} covers most ({share[largest]:.0%})" if swapped else ""
    return (
        f"{fold.masks}: channel {BACKGROUND} is not the background of the others (fits "
        f"{agreement:.0%} of pixels){hint}. With wrong channels nearly everything is "
        "nucleus; put them in order: neoplastic, inflammatory, connective, dead, epithelial, "
        "background."
    )
