"""What a user names as data, as items that are read one at a time, exactly as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.data.items import source_of, split_of
from ..core.data.kinds import (
    WITH_TYPES,
    FamilyFiles,
    Fold,
    check_family,
    find_families,
    find_folds,
    groups_of,
    merge_classes,
    of_family,
    patch_files,
    splits_of,
)
from ..core.data.pairs import INDEX_NAME
from ..core.data.stores import open_npy
from ..core.diagnosis.case import TARGETS
from ..errors import InputError
from .diagnose_arrays import ALIASES, MASKS, Shelf, Stored, shelf_of
from .diagnose_found import About, DataFound, FileItems, joined
from .diagnose_pairs import pair_items

PANNUKE_TYPES, FAMILY_TYPES = 6, 5
"""Types in PanNuke folds and in family files, background included."""
SPLITS_SHOWN = 8
"""Splits an error names."""


def find_items(path: Path, family: str = "", split: str | None = None) -> DataFound:
    """List what there is at a place; nothing is read but headers and indices.

    Parameters
    ----------
    path : Path
        An image with its labels beside it, a folder or an index.csv of them, PanNuke folds,
        patches of hover_net, family .npz files, or .npz and .npy with arrays called as in
        :data:`.diagnose_arrays.ALIASES`. Large files are mapped: only what is looked at is
        read. Python objects are never opened.
    family : str
        Only this organ family; "" = all.
    split : str, optional
        Only this one; the others are then held out, to be looked through for leaks.

    Raises
    ------
    InputError
        If it is not there, or there is nothing in it that can be used.

    Examples
    --------
    >>> find_items(Path("missing"))
    Traceback (most recent call last):
        ...
    napari_hovernet.errors.InputError: missing is not there; check the path.
    """
    if not path.exists():
        raise InputError(f"{path} is not there; check the path.")
    wanted = family.strip().lower()
    found = _found(path, wanted, split)
    if split is None or found.held_out is not None:
        return found
    return _divided(found, path, split)


def _found(path: Path, family: str, split: str | None) -> DataFound:
    """Read one place by what lies there."""
    if path.is_dir() and (path / INDEX_NAME).is_file():
        return pair_items(path, split)
    if folds := find_folds(path):
        return pannuke_items(folds, check_family(family))
    if families := find_families(path, family):
        return joined([family_items(f) for f in families])
    if family:
        raise InputError(
            f"{path} has no files of the family {family!r} (FAMILY_targets.npz ...), nor PanNuke "
            "folds; leave the family out."
        )
    if path.suffix.lower() in (".npz", ".npy"):
        return _single_file(path)
    if path.is_dir() and (several := _array_files(path)):
        return joined(several)
    return pair_items(path, split)


def _single_file(path: Path) -> DataFound:
    if path.suffix.lower() == ".npz":
        return shelf_items(shelf_of([path]), path.stem)
    if patches := _patches([path], path.parent):
        return patches
    known = {name for names in ALIASES.values() for name in names}
    if path.stem.lower() in known:
        beside = sorted(p for p in path.parent.glob("*.npy") if p.stem.lower() in known)
        return shelf_items(shelf_of([path, *(p for p in beside if p != path)]), path.parent.name)
    shape = open_npy(path).shape
    raise InputError(
        f"{path} of shape {shape}: its name does not say what it is; call it images.npy, "
        "labels.npy, np.npy, hv.npy or types.npy, all in one folder, or save them as one .npz."
    )


def _array_files(folder: Path) -> list[DataFound]:
    """List what a folder of .npz or .npy files holds; [] if it is another kind of folder."""
    if files := sorted(folder.glob("*.npz")):
        return [shelf_items(shelf_of([file]), file.stem) for file in files]
    if patches := _patches(patch_files(folder), folder):
        return [patches]
    known = {name for names in ALIASES.values() for name in names}
    if stacks := sorted(p for p in folder.glob("*.npy") if p.stem.lower() in known):
        shelf = shelf_of(stacks)
        if {"image", "np", "hv", "features"} & set(shelf.parts):
            return [shelf_items(shelf, folder.name)]
    return []


# --- stacks ----------------------------------------------------------------------------


def shelf_items(
    shelf: Shelf, name: str, groups: Sequence[str] = (), splits: Sequence[str] = ()
) -> DataFound:
    """List the images of stacks that belong together.

    Raises
    ------
    InputError
        If there is none, or numbers differ.
    """
    n = shelf.n
    if not n:
        raise InputError(f"{name} holds no image.")
    names = [name] if n == 1 else [f"{name}_{i:05d}" for i in range(n)]
    about = tuple(
        About(names[i], groups[i] if groups else "", splits[i] if splits else "") for i in range(n)
    )
    parts = set(shelf.parts)
    if MASKS in parts:
        parts = (parts - {MASKS}) | {"labels", "types"}
    items = FileItems(about, frozenset(parts), lambda i: _on_shelf(shelf.parts, i))
    types = PANNUKE_TYPES if MASKS in shelf.parts else None
    return DataFound(items, kind=shelf.kind, n_types=types, notes=shelf.notes)


def _on_shelf(parts: dict[str, Stored], index: int) -> dict[str, Any]:
    made: dict[str, Any] = {part: stored.read(index) for part, stored in parts.items()}
    for part, array in made.items():
        if array.dtype.hasobject:
            made[part] = _stand_in(made)
    masks = made.pop(MASKS, None)
    if masks is not None:
        made["labels"], made["types"] = merge_classes(masks, parts[MASKS].called)
    return made


def _stand_in(made: dict[str, Any]) -> Any:
    """Make an array of None, as large as the image, in place of objects that stay closed."""
    sizes = {
        "image": slice(0, 2), "labels": slice(0, 2), "np": slice(0, 2), "types": slice(0, 2),
        "hv": slice(1, 3),
    }  # fmt: skip
    shapes = [made[p].shape[at] for p, at in sizes.items()
              if p in made and not made[p].dtype.hasobject]  # fmt: skip
    return np.full(shapes[0] if shapes else (1, 1), None, dtype=object)


def family_items(files: FamilyFiles) -> DataFound:
    """List the samples of a family: tokens, images, targets, whatever there is.

    Raises
    ------
    InputError
        If there is nothing that can be used, or numbers of samples differ.
    """
    there = [f for f in (files.features, files.targets, files.data) if f is not None]
    shelf = shelf_of(there)
    groups, group_note = groups_of(files, shelf.n)
    splits, split_note = splits_of(files, shelf.n)
    found = shelf_items(replace(shelf, kind=TARGETS), files.name, groups, splits)
    notes = (*found.notes, *(note for note in (group_note, split_note) if note))
    types = FAMILY_TYPES if "types" in shelf.parts else None
    return replace(found, n_types=types, notes=notes)


def pannuke_items(folds: Sequence[Fold], family: str = "") -> DataFound:
    """List the images of PanNuke folds; of several folds the last validates, as published.

    Raises
    ------
    InputError
        If a file is damaged, or has no tissue of the family.
    """
    last = max(fold.name for fold in folds)
    several = len({fold.name for fold in folds}) > 1
    found = []
    for fold in folds:
        split = ("val" if fold.name == last else "train") if several else ""
        images, masks = (
            Stored(file, "", a.shape, a.dtype)
            for file in (fold.images, fold.masks)
            for a in (open_npy(file),)
        )
        shelf = Shelf({"image": images, MASKS: masks})
        made = shelf_items(shelf, fold.name, splits=[split] * shelf.n)
        keep = _of_family(fold, shelf.n, family)
        if isinstance(made.items, FileItems):
            made = replace(made, items=made.items.only(keep))
        found.append(made)
    return joined(found)


def _of_family(fold: Fold, n: int, family: str) -> list[int]:
    if not family:
        return list(range(n))
    if fold.types is None:
        raise InputError(f"{fold.images} has no types.npy beside it, which tells the tissue.")
    inside = of_family([str(t) for t in open_npy(fold.types)], family)
    keep = [i for i, there in enumerate(inside) if there]
    if not keep:
        raise InputError(f"{fold.images} has no tissue of the family {family!r}.")
    return keep


def _patches(files: Sequence[Path], top: Path) -> DataFound | None:
    """List patches of hover_net: RGB, instances and perhaps types in one array each."""
    shapes = [open_npy(file).shape for file in files]
    channels = {shape[-1] for shape in shapes if len(shape) == 3}
    if not files or len(channels) != 1 or not channels <= {WITH_TYPES, WITH_TYPES - 1}:
        return None
    parts = {"image", "labels"} | ({"types"} if channels == {WITH_TYPES} else set())

    def read(index: int) -> dict[str, Any]:
        patch = np.array(open_npy(files[index]))
        types = {"types": patch[..., 4]} if patch.shape[2] == WITH_TYPES else {}
        return {"image": patch[..., :3], "labels": patch[..., 3], **types}

    about = tuple(About(f.stem, source_of(f.stem), _folder_split(f, top)) for f in files)
    return DataFound(FileItems(about, frozenset(parts), read))


def _folder_split(file: Path, top: Path) -> str:
    folders = file.relative_to(top).parts[:-1]
    return next((f for f in folders if split_of(f) != ""), "")


def _divided(found: DataFound, path: Path, split: str) -> DataFound:
    """Keep one split, and hold the others out."""
    items = found.items
    if not isinstance(items, FileItems):  # pragma: no cover - all of them are
        return found
    wanted = split.strip().lower()
    same = (split_of(wanted) or wanted,)
    mine = [i for i, a in enumerate(items.about) if _split_name(a.split) in same]
    if not mine:
        there = sorted({a.split for a in items.about if a.split})[:SPLITS_SHOWN]
        said = f"it has {', '.join(there)}" if there else "it does not say what is for what"
        raise InputError(f"{path} has nothing of the split {split!r}; {said}.")
    others = [i for i, a in enumerate(items.about) if a.split and i not in set(mine)]
    held_out = items.only(others) if others and "image" in items.parts else None
    return replace(found, items=items.only(mine), held_out=held_out)


def _split_name(split: str) -> str:
    text = split.strip().lower()
    return split_of(text) or text
