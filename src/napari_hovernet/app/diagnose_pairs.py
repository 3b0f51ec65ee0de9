"""Images with label files under diagnosis, an image at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.data.items import TEST_NAMES, TRAIN_NAMES, VAL_NAMES, split_of
from ..core.data.pairs import INDEX_NAME, DataChoice, Pair, find_data, groups_of, type_map
from ..core.inference.images import ArraySource, ImageSource
from ..core.io.open import read_image, read_labels
from .diagnose_found import About, DataFound, FileItems, joined

WHOLE = 1536
"""Longest edge, pixels, of an image of a file that is looked at whole."""
PART = 1024
"""Edge of the part of a larger one that is looked at."""


def pair_items(path: Path, split: str | None = None) -> DataFound:
    """List images with their label files; labels may be missing.

    Raises
    ------
    InputError
        If there is no image.
    """
    choice = DataChoice(need_labels=False)
    indexed = not path.is_dir() or (path / INDEX_NAME).is_file()
    folders = [] if indexed else _split_folders(path)
    if split and not indexed and not folders and (path / split).is_dir():
        folders = [path / split]
    if not folders:
        return _pairs_found(find_data(path, choice), groups_of(path))
    hauls = [
        _pairs_found(find_data(folder, choice), groups_of(folder), folder.name)
        for folder in folders
    ]
    return joined(hauls)


def _split_folders(path: Path) -> list[Path]:
    names = (*TRAIN_NAMES, *VAL_NAMES, *TEST_NAMES)
    found = [p for p in sorted(path.iterdir()) if p.is_dir() and p.name.lower() in names]
    return found if any(split_of(p.name) for p in found) else []


def _pairs_found(data: Any, groups: Any, split: str = "") -> DataFound:
    pairs = sorted((*data.pairs, *data.unpaired), key=lambda p: str(p.image))
    about = tuple(About(p.name, groups.get(p.name, ""), split or p.split) for p in pairs)
    labelled = {"image", "labels"} if data.pairs else {"image"}
    notes = [*data.notes]
    if data.unpaired and data.pairs:
        notes.append(f"{len(data.unpaired)} of {len(pairs)} images have no labels.")
    items = FileItems(about, frozenset(labelled), lambda i: read_pair(pairs[i]))
    return DataFound(items, notes=tuple(notes))


def read_pair(pair: Pair) -> dict[str, Any]:
    """Read image and labels of a pair; of a large image a part with nuclei in it.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    source = read_image(pair.image).source
    made: dict[str, Any] = {}
    if pair.labels is not None:
        instances = read_labels(pair.labels, source.shape)
        types = type_map(instances)
        made = {"labels": instances.labels, "types": types}
    labels = made.get("labels")
    fits = labels is None or labels.shape == source.shape
    if max(source.shape) <= WHOLE or not fits:
        return {**made, "image": _pixels(source, (0, source.shape[0], 0, source.shape[1]))}
    r0, r1, c0, c1 = box = _part_of(source.shape, labels)
    cut = {k: v[r0:r1, c0:c1] for k, v in made.items() if v is not None}
    where = f"{pair.name} (rows {r0} to {r1}, columns {c0} to {c1})"
    return {**cut, "image": _pixels(source, box), "name": where}


def _pixels(source: ImageSource, box: tuple[int, int, int, int]) -> npt.NDArray[Any]:
    """Return pixels as they are stored, where the file was read whole."""
    r0, r1, c0, c1 = box
    if isinstance(source, ArraySource) and isinstance(source.array, np.ndarray):
        array = source.array
        if not source.channel_first:
            return np.array(array[r0:r1, c0:c1])
        return np.moveaxis(np.array(array[:, r0:r1, c0:c1]), 0, -1)
    return source.read(r0, r1, c0, c1)


def _part_of(shape: tuple[int, int], labels: Any) -> tuple[int, int, int, int]:
    """Return the part that is looked at: around the middle of the nuclei."""
    centre = (shape[0] / 2, shape[1] / 2)
    if labels is not None and labels.any():
        there = [np.flatnonzero(labels.any(axis=1 - k)) for k in (0, 1)]
        centre = (float(np.median(there[0])), float(np.median(there[1])))
    edges = []
    for middle, size in zip(centre, shape, strict=True):
        edge = min(PART, size)
        begin = int(min(max(middle - edge / 2, 0), size - edge))
        edges += [begin, begin + edge]
    return (edges[0], edges[1], edges[2], edges[3])
