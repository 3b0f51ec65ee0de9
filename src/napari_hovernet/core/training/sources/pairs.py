"""Images with label files: a folder, an index, one image."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ....errors import InputError
from ...hv import compact_ids
from ...io.dataset import DataChoice, Pair
from ...io.images import read_image
from ...io.index_csv import DELIMITERS, INDEX_NAME
from ...io.instances import Instances
from ...io.labels_file import read_labels
from ...io.pairs import find_data
from ...memory import free_memory
from ...types import Int32
from ..samples import Sample, SizeError
from .haul import TEST_NAMES, TRAIN_NAMES, VAL_NAMES, Haul, joined, listed, split_of

MEMORY_SHARE = 0.6
"""Share of the memory free at the start that images and labels may take."""
GROUP_COLUMNS = ("source_image", "slide", "case", "patient", "image_id")
"""Columns of an index that name what an image was cut from."""
OWN_COLUMN = "corrected"
"""An index with this column was written by this program: its ``source`` names the slide."""


def read_pairs(path: Path) -> Haul:
    """Read images and labels into memory.

    Parameters
    ----------
    path : Path
        Whatever :func:`.io.pairs.find_data` takes, or a folder of folders ``train`` and
        ``val``.

    Raises
    ------
    InputError
        If there is no pair, or they do not fit into memory. Single files that cannot be used
        are told as problems instead.
    """
    splits = _split_folders(path)
    if splits:
        return joined(_folder(folder, split) for folder, split in splits)
    return _folder(path, "")


def _split_folders(path: Path) -> list[tuple[Path, str]]:
    """List the folders of a data set that is divided into folders, with what they are for."""
    if not path.is_dir() or (path / INDEX_NAME).is_file():
        return []
    names = (*TRAIN_NAMES, *VAL_NAMES, *TEST_NAMES)
    found = [p for p in sorted(path.iterdir()) if p.is_dir() and p.name.lower() in names]
    return [(p, p.name) for p in found] if any(split_of(p.name) == "train" for p in found) else []


def _folder(path: Path, split: str) -> Haul:
    data = find_data(path, DataChoice(need_labels=split_of(split) is not None))
    groups = groups_of(path)
    pairs = [replace(pair, split=split or pair.split) for pair in data.pairs]
    tests = [pair for pair in pairs if split_of(pair.split) is None]
    notes = [*data.notes]
    if data.unpaired:
        notes.append(
            f"{len(data.unpaired)} images without labels are left out "
            f"({listed(p.name for p in data.unpaired)})"
        )
    if tests:
        notes.append(f"{len(tests)} images of the test split are kept out of training")
    return _read_all([p for p in pairs if p not in tests], groups).noting(*notes)


def groups_of(path: Path) -> Mapping[str, str]:
    """Source image by name, as far as an index tells."""
    index = path if path.suffix.lower() == ".csv" else path / INDEX_NAME
    if not index.is_file():
        return {}
    text = index.read_text(encoding="utf-8-sig")
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    columns = {(name or "").strip().lower(): name for name in (rows[0] if rows else ())}
    column = next((columns[name] for name in GROUP_COLUMNS if name in columns), None)
    if column is None and OWN_COLUMN in columns:
        column = columns.get("source")
    if column is None or "name" not in columns:
        return {}
    return {row[columns["name"]]: row[column] or "" for row in rows}


def _read_all(pairs: list[Pair], groups: Mapping[str, str]) -> Haul:
    samples: list[Sample] = []
    problems: list[str] = []
    faults: list[str] = []
    room, taken = free_memory() * MEMORY_SHARE, 0
    for pair in pairs:
        try:
            sample = _sample(pair, groups.get(pair.name, ""))
        except InputError as error:
            problems.append(str(error))
            if isinstance(error, SizeError):
                faults.append(str(error))
            continue
        samples.append(sample)
        taken += sum(a.nbytes for a in (sample.image, sample.labels, sample.types) if a is not None)
        if taken > room:
            raise InputError(
                f"The images up to {pair.name} take {taken / 1e9:.1f} GB of memory; cut large "
                "ones into patches (.npy files are read from disk as needed), or train on fewer."
            )
    return Haul(tuple(samples), (), tuple(problems), tuple(faults))


def _sample(pair: Pair, group: str) -> Sample:
    if pair.labels is None:
        raise InputError(f"{pair.name} has no labels.")
    image = read_image(pair.image)
    height, width = image.source.shape
    instances = read_labels(pair.labels, (height, width))
    if instances.labels.shape != (height, width):
        rows, cols = instances.labels.shape
        raise SizeError(
            f"{pair.name}: the image is {height} x {width} pixels, its labels {rows} x {cols}; "
            "give labels of the very image, at its resolution."
        )
    return Sample(
        pair.name,
        group,
        split_of(pair.split) or "",
        mpp=pair.mpp or image.mpp,
        image=np.ascontiguousarray(image.source.read(0, height, 0, width)),
        labels=compact_ids(instances.labels)[0],
        types=type_map(instances),
    )


def type_map(instances: Instances) -> Int32 | None:
    """Type of each pixel, None where no nucleus has one."""
    if not instances.type.any():
        return None
    place = np.searchsorted(instances.ids, instances.labels.ravel())
    types = np.append(instances.type, 0)[np.minimum(place, len(instances.ids))]
    return np.where(instances.labels.ravel() > 0, types, 0).reshape(instances.labels.shape)
