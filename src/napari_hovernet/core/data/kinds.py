"""Data sets in arrays: families of the token decoder, PanNuke folds, patches of hover_net."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..params import FAMILIES, FAMILY_ENDINGS
from .items import Dataset, Item, dataset_of_stack, source_of, split_of
from .stores import (
    CLASSES,
    MASKS,
    TARGETS,
    SizeError,
    Stack,
    Stored,
    npz_members,
    only,
    open_member,
    open_npy,
    stack_of,
)

FAMILY_ARRAYS = {
    "image": ("images",),
    "labels": ("inst_maps",),
    "np": ("np_targets",),
    "hv": ("hv_targets",),
    "types": ("nt_targets",),
    "features": ("features", "layer_24"),
}
"""Names of a family's arrays."""
PANNUKE_TYPES, FAMILY_TYPES = 6, 5
"""Types in PanNuke folds and in family files, background included."""
FOLD_DEPTH, PATCH_DEPTH = 4, 3
"""Folders below the one given in which folds and patches are looked for."""

_FOLD = re.compile(r"fold[\s_-]*(\d+)", re.IGNORECASE)


# --- families -------------------------------------------------------------------------


@dataclass(frozen=True)
class FamilyFiles:
    """Files of one family: ``F_features``, ``F_targets``, ``F_data_FIXED`` .npz."""

    name: str
    features: Path | None = None
    targets: Path | None = None
    data: Path | None = None

    @property
    def there(self) -> list[Path]:
        """Those that are there; arrays of targets win over those of the data file."""
        return [f for f in (self.features, self.targets, self.data) if f is not None]


def check_family(name: str) -> str:
    """Return the name of a family in small letters."""
    found = name.strip().lower()
    if found and found not in FAMILIES:
        raise InputError(f"family is {name!r}; choose one of {', '.join(FAMILIES)}, or none.")
    return found


def find_families(path: Path, family: str = "") -> list[FamilyFiles]:
    """List the families of a folder, or the one a file belongs to."""
    found: dict[str, FamilyFiles] = {}
    for file in sorted((path if path.is_dir() else path.parent).glob("*.npz")):
        stem = file.stem.lower()
        kind = next((k for k, ending in FAMILY_ENDINGS.items() if stem.endswith(ending)), None)
        if kind is not None:
            name = file.stem[: -len(FAMILY_ENDINGS[kind])]
            files = found.get(name, FamilyFiles(name))
            found[name] = replace(files, **{kind: file})  # type: ignore[arg-type]
    chosen = [f for f in found.values() if not family or f.name.lower() == family]
    return [f for f in chosen if path in f.there] if path.is_file() else chosen


def family_data(files: FamilyFiles) -> Dataset:
    """List the samples of a family: tokens, images, targets, whatever there is."""
    stack = stack_of(files.there, FAMILY_ARRAYS)
    n, notes = stack.n, [*stack.notes]
    ids, folds = ids_of(files, "image_ids", n), ids_of(files, "fold_ids", n)
    if not ids:
        notes.append(f"{files.name}: no image_ids, so each sample counts as a source of its own")
    splits: list[str] = []
    if len(set(folds)) > 1:
        last, count = max(folds, key=as_number), len(set(folds))
        splits = ["val" if fold == last else "train" for fold in folds]
        notes.append(f"{files.name}: fold {last} of {count} validates, the others train")
    return dataset_of_stack(
        stack,
        files.name,
        [f"{files.name}_{i:05d}" for i in range(n)],
        [f"{files.name}:{i}" for i in ids],
        splits,
        kind=TARGETS,
        notes=tuple(notes),
        n_types=FAMILY_TYPES if "types" in stack.parts else None,
    )


def ids_of(files: FamilyFiles, name: str, n: int) -> tuple[str, ...]:
    """Return what the files say of each sample ("fold_ids", "image_ids"), () if nothing."""
    for file in (files.data, files.targets, files.features):
        if file is not None and name in npz_members(file):
            values = np.asarray(open_member(file, name)).reshape(-1)
            if len(values) == n:
                return tuple(str(value) for value in values)
    return ()


def as_number(text: str) -> tuple[float, str]:
    """Order numbers by their size, texts behind them."""
    try:
        return float(text), text
    except ValueError:
        return math.inf, text


# --- PanNuke --------------------------------------------------------------------------


@dataclass(frozen=True)
class Fold:
    """Where a fold lies."""

    name: str
    images: Path
    masks: Path
    types: Path | None  # Tissue of each image


def find_folds(path: Path) -> list[Fold]:
    """List the folds in a folder and below it, or the one of an ``images.npy``."""
    if path.is_file():
        found = [path] if path.name.lower() == "images.npy" else []
    else:
        found = [p for k in range(FOLD_DEPTH + 1) for p in path.glob("*/" * k + "images.npy")]
    return [fold for file in sorted(found) if (fold := _fold(file)) is not None]


def _fold(images: Path) -> Fold | None:
    parts = images.parts
    places = [i for i, part in enumerate(parts[:-1]) if part.lower() == "images"]
    apart = [
        Path(*parts[:i], masks, *parts[i + 1 : -1], "masks.npy")
        for i in reversed(places)
        for masks in ("masks", "Masks")
    ]
    masks = next((p for p in (images.with_name("masks.npy"), *apart) if p.is_file()), None)
    if masks is None:
        return None
    beside = (file.with_name("types.npy") for file in (images, masks))
    number = _FOLD.findall(str(images.parent))
    name = f"fold{number[-1]}" if number else images.parent.name
    return Fold(name, images, masks, next((p for p in beside if p.is_file()), None))


def folds_data(folds: Sequence[Fold], family: str = "") -> list[Dataset]:
    """List the images of folds, of a family if one is named; of several the last validates."""
    last = max(fold.name for fold in folds)
    several = len({fold.name for fold in folds}) > 1
    notes = ["PanNuke does not tell the slides: each image counts as a source of its own"]
    if several:
        notes.insert(0, f"{last} of {len(folds)} folds validates, the others train")
    found = []
    for fold in folds:
        images, masks = (
            Stored(file, "", a.shape, a.dtype)
            for file in (fold.images, fold.masks)
            for a in (open_npy(file),)
        )
        _check_shapes(fold, images.shape, masks.shape)
        n = len(images)
        split = "val" if fold.name == last else "train"
        found.append(
            dataset_of_stack(
                Stack({"image": images, MASKS: masks}),
                fold.name,
                [f"{fold.name}_{i:04d}" for i in range(n)],
                splits=[split] * n if several else (),
                keep=_of_family(fold, n, family) if family else None,
                notes=tuple(notes),
                n_types=PANNUKE_TYPES,
            )
        )
    return found


def _check_shapes(fold: Fold, images: tuple[int, ...], masks: tuple[int, ...]) -> None:
    if len(images) != 4 or images[3] != 3:
        raise InputError(f"{fold.images} has shape {images}; PanNuke is (N, 256, 256, 3).")
    if len(masks) != 4 or masks[3] != CLASSES + 1:
        raise InputError(
            f"{fold.masks} has shape {masks}; PanNuke is (N, 256, 256, 6): instances of five "
            "classes, then background."
        )
    if images[:3] != masks[:3]:
        raise SizeError(
            f"{fold.name}: images are {images[:3]}, masks {masks[:3]} (number, height, width); "
            "take both from the same fold."
        )


def _of_family(fold: Fold, n: int, family: str) -> list[int]:
    if fold.types is None:
        raise InputError(f"{fold.images} has no types.npy beside it, which tells the tissue.")
    tissues = open_npy(fold.types)
    if tissues.shape != (n,):
        raise SizeError(f"{fold.types} has shape {tissues.shape} for {n} images.")
    inside = of_family(map(str, np.asarray(tissues)), family)
    keep = [i for i in range(n) if inside[i]]
    if not keep:
        raise InputError(f"{fold.images} has no tissue of the family {family!r}.")
    return keep


def of_family(tissues: Iterable[str], family: str) -> list[bool]:
    """Tell of each tissue whether it belongs to a family."""
    members = FAMILIES[check_family(family)]
    return ["".join(c for c in t.lower() if c.isalpha()) in members for t in tissues]


# --- patches --------------------------------------------------------------------------


def patch_files(path: Path) -> list[Path]:
    """List the files that are patches by their shape: itself, or those of a folder and below."""
    levels = [path.glob("*/" * k + "*.npy") for k in range(PATCH_DEPTH + 1)]
    found = [file for level in levels for file in level] if path.is_dir() else [path]
    return sorted(file for file in found if _is_patch(file))


def _is_patch(path: Path) -> bool:
    """Tell by its header: (H, W, 5) is RGB, instances and types, (H, W, 4) has no types."""
    try:
        shape = open_npy(path).shape
    except InputError:
        return False
    return len(shape) == 3 and shape[2] in (CLASSES, CLASSES - 1)


def patches_data(files: Sequence[Path], top: Path) -> Dataset:
    """List patches; folders between a patch and the top may tell its split."""
    items = []
    for file in files:
        shape = open_npy(file).shape
        has = ("image", "labels", "types")[: shape[2] - 2]
        folders = (top.name, *file.relative_to(top).parts[:-1]) if top.is_dir() else ()
        split = next((name for name in folders if split_of(name) != ""), "")
        source = source_of(file.stem)
        read, plane = partial(_read_patch, file), (shape[0], shape[1])
        items.append(Item(file.stem, frozenset(has), read, source, split, shape=plane))
    note = "patches belong to the image of their name without the number at its end"
    return Dataset(tuple(items), str(top), (note,))


def _read_patch(file: Path, parts: Sequence[str]) -> dict[str, Any]:
    patch = np.array(open_npy(file))
    made = {"image": patch[..., :3], "labels": patch[..., 3]}
    return only(made | ({"types": patch[..., 4]} if patch.shape[2] == CLASSES else {}), parts)
